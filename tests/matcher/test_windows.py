"""Windows over a long text: nothing is lost, and no number goes across a cut."""

import functools
import random

import pytest

from matcher.text import decode_as
from matcher.text.decode import WINDOW, cut_windows, detect_wide

PHONE = "154 0000 0001"


@functools.cache
def texts() -> dict[str, str]:
    rng = random.Random(4)
    filler = [f"{rng.randrange(10**6)}" for _ in range(400)]
    return {
        "lines": "\n".join(f"{word},{PHONE}" for word in filler * 400),
        "tuples": "INSERT INTO t VALUES "
        + ",".join(f"('{word}','{PHONE}')" for word in filler * 300),
        "fields": ",".join(f"{word},{PHONE}" for word in filler * 400),
        "words": " x ".join([PHONE] * 300_000),
    }


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("shape", ["fields", "lines", "tuples", "words"])
def test_windows_cover_everything_and_split_no_number(shape: str, encoding: str) -> None:
    text = texts()[shape]
    body = text.encode(encoding)
    chunks = (body[i : i + 100_001] for i in range(0, len(body), 100_001))
    cut = list(cut_windows(chunks, detect_wide(body[:100])))
    assert b"".join(cut) == body
    assert len(cut) > 1
    assert all(len(window) <= WINDOW + 4 for window in cut)
    declared, whole, numbers = "", "", 0
    for window in cut:
        read, declared = decode_as(window, declared)
        whole, numbers = whole + read, numbers + read.count(PHONE)
    assert whole == text
    assert numbers == text.count(PHONE)
