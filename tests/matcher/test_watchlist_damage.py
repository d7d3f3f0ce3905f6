"""A list too large to be read whole at every start: damage is never taken for true, and is
noticed within a few look-ups.
"""

import random
from pathlib import Path

import numpy as np
import pytest

from matcher.watchlist import index as module
from matcher.watchlist.file import BODY, CHUNK
from matcher.watchlist.index import Index
from tests.matcher.test_watchlist_file import PUBLIC, write_watchlist
from ullage.errors import CorruptError

COUNT = 60_000
CHANCE = random.Random(17)
ENTRIES = [(CHANCE.randbytes(16), n // 3) for n in range(COUNT)]
TAGS = np.frombuffer(b"".join(tag for tag, _ in ENTRIES), np.uint8).reshape(-1, 16)
OTHERS = np.frombuffer(CHANCE.randbytes(16_000), np.uint8).reshape(-1, 16)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "a.watchlist"
    write_watchlist(path, ENTRIES)
    return path.read_bytes()


@pytest.fixture
def large(monkeypatch, tmp_path: Path) -> Path:
    """Return the path for a list that counts as too large to be checked when opened."""
    monkeypatch.setattr(module, "WHOLE_AT_ONCE", 0)
    return tmp_path / "a.watchlist"


def look_up(path: Path, tags: np.ndarray) -> list[tuple[int, int]]:
    opened = Index(path, PUBLIC)
    hits, subjects = opened.look_up(tags)
    handles = opened.handles(subjects)
    return [
        (int(h), int.from_bytes(row.tobytes(), "big")) for h, row in zip(hits, handles, strict=True)
    ]


def test_valid_list_answers_and_is_verified_gradually(large: Path, whole: bytes) -> None:
    large.write_bytes(whole)
    assert sorted(look_up(large, TAGS)) == [(i, n) for i, (_, n) in enumerate(ENTRIES)]
    opened = Index(large, PUBLIC)
    for turn in range(len(whole) // CHUNK + 1):
        assert opened.chunks._checked.sum() == turn
        opened.look_up(OTHERS)
    assert opened.chunks._checked.all()
    opened.look_up(OTHERS)


def look_up_until_all_is_checked(opened: Index) -> None:
    for _ in range(len(opened.chunks._digests)):
        opened.look_up(OTHERS)


def flips() -> list[int]:
    chance = random.Random(19)
    return [chance.randrange(10**9) for _ in range(20)]


@pytest.mark.parametrize("place", flips())
def test_flipped_bit_names_no_wrong_customer_and_is_detected(
    large: Path, whole: bytes, place: int
) -> None:
    place = BODY + place % (len(whole) - BODY)
    large.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
    try:
        opened = Index(large, PUBLIC)
    except CorruptError:
        return  # in the table of digests: noticed at once
    numbers = np.arange(0, COUNT, 7)
    try:
        matches = look_up(large, TAGS[numbers])
    except CorruptError:
        matches = []
    assert {(int(numbers[h]), n) for h, n in matches} <= {
        (i, n) for i, (_, n) in enumerate(ENTRIES)
    }
    with pytest.raises(
        CorruptError,
        match=r"a\.watchlist was changed after it was signed: install or build it again",
    ):
        look_up_until_all_is_checked(opened)
    with pytest.raises(CorruptError):
        opened.chunks.check_all()


@pytest.mark.parametrize("length", flips())
def test_truncated_list_is_rejected_at_once(large: Path, whole: bytes, length: int) -> None:
    large.write_bytes(whole[: BODY + length % (len(whole) - BODY)])
    with pytest.raises(CorruptError, match="bytes instead of"):
        Index(large, PUBLIC)


def test_damaged_directory_does_not_lead_outside_the_file(
    large: Path, whole: bytes, monkeypatch
) -> None:
    large.write_bytes(whole)
    section = Index(large, PUBLIC).places["directory"]
    start = BODY + section.start
    large.write_bytes(whole[:start] + b"\xff" * section.size + whole[start + section.size :])
    opened = Index(large, PUBLIC)
    monkeypatch.setattr(opened.chunks, "check_next", lambda: None)
    assert opened.look_up(OTHERS)[0].tolist() == []
    monkeypatch.undo()
    with pytest.raises(CorruptError):
        look_up_until_all_is_checked(opened)


def test_shared_value_is_found_with_all_its_customers(tmp_path: Path) -> None:
    entries = (
        [(b"\5" * 16, n) for n in range(500)]
        + ENTRIES[:300]
        + [(b"\5" * 15 + b"\6", 7), (b"\5" * 15 + b"\4", 8)]
    )
    watchlist = write_watchlist(tmp_path / "a.watchlist", entries)
    tags = np.frombuffer(
        b"\5" * 16 + ENTRIES[4][0] + b"\5" * 15 + b"\6" + b"\5" * 15 + b"\7", np.uint8
    ).reshape(-1, 16)
    hits, subjects = watchlist.look_up(tags)
    assert sorted((int(h), int(watchlist.handle(int(s)), 16)) for h,
        s in zip(hits, subjects, strict=True)) == [
        *((0, n) for n in range(500)), (1, 1), (2, 7),
    ]  # fmt: skip


def test_pseudonym_rows_are_found_by_binary_search(tmp_path: Path) -> None:
    opened = write_watchlist(tmp_path / "a.watchlist", ENTRIES[:1000]).main
    stored = opened.handles(np.arange(opened.header.subjects))
    assert opened.rows_of(stored).tolist() == list(range(len(stored)))
    assert opened.rows_of(OTHERS[:50]).tolist() == [-1] * 50
    assert opened.rows_of(np.empty((0, 16), np.uint8)).tolist() == []
