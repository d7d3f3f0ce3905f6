"""Characters told from their bytes are those that decoding tells."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.text.utf8 import BEFORE, ROOM, WINDOW, Laid, sizes, special

CHARS = st.sampled_from("a1 \n中国龥一鿿㐀䀀ꀀ，。“é߿ࠀ가\ufeff😀𝟖\U0010ffff") | st.characters(exclude_categories=["Cs"])
TEXTS = st.lists(st.text(CHARS, max_size=30), max_size=5)


def is_special(char: str) -> bool:
    return not char.isascii() and not "\u4000" <= char <= "\u9fff"


def expected(text: str) -> list[tuple[int, int, int]]:
    """Byte offset, code point and bytes of each special character."""
    found, at = [], 0
    for char in text:
        size = len(char.encode())
        if is_special(char):
            found.append((at, ord(char), size))
        at += size
    return found


def listed(data: np.ndarray) -> list[tuple[int, int, int]]:
    seen = special(data)
    return list(zip(seen.place.tolist(), seen.code.tolist(), sizes(seen.code).tolist(), strict=True))


@given(TEXTS)
def test_special_characters_are_found_with_their_codes_and_sizes(texts: list[str]) -> None:
    laid = Laid.of([text.encode() for text in texts])
    whole = "\n" * BEFORE + "".join(text + "\n" for text in texts)
    assert listed(laid.data) == expected(whole)


@given(TEXTS)
def test_texts_lie_between_line_ends(texts: list[str]) -> None:
    laid = Laid.of([text.encode() for text in texts])
    assert [laid.data[a:b].tobytes().decode() for a, b in zip(laid.start, laid.end, strict=True)] == texts
    assert set(laid.data[laid.start - 1].tolist() + laid.data[laid.end].tolist()) <= {10}
    assert laid.data[-ROOM:].tobytes() == b"\n" * ROOM


@pytest.mark.parametrize("before", range(WINDOW - 5, WINDOW + 1))
def test_a_character_across_two_steps_is_found(before: int) -> None:
    assert listed(Laid.of([b"x" * (before - BEFORE) + "，中😀".encode()]).data) == [(before, 0xFF0C, 3), (before + 6, 0x1F600, 4)]


def is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(
    st.lists(
        st.sampled_from([b"a", "中".encode(), "é".encode(), "，".encode(), "😀".encode()])
        | st.sampled_from([bytes((n,)) for n in range(0x80, 0x100)])
        | st.binary(max_size=3),
        max_size=12,
    ).map(b"".join)
)
def test_what_is_no_utf8_is_broken_and_nothing_else(body: bytes) -> None:
    assert (len(special(Laid.of([body]).data).broken) > 0) == (not is_utf8(body))


@pytest.mark.parametrize("lead", range(0x80, 0x100))
def test_every_first_byte_is_held_to_what_may_follow_it(lead: int) -> None:
    bodies = [
        bytes((lead, *rest)) for rest in ([], [0x80], [0xBF], *([a, b] for a in (0x80, 0x9F, 0xA0, 0xBF) for b in (0x80, 0xBF)))
    ]
    bodies += [bytes((lead, a, 0x80, 0xBF)) for a in (0x80, 0x8F, 0x90, 0xBF)] + [bytes((lead, 0x90, 0x80, 0x80, 0x80))]
    assert [len(special(Laid.of([body]).data).broken) > 0 for body in bodies] == [not is_utf8(body) for body in bodies]


@pytest.mark.parametrize("before", range(WINDOW - 5, WINDOW + 2))
def test_what_is_cut_across_two_steps_is_broken(before: int) -> None:
    text = b"x" * (before - BEFORE) + "中😀".encode()
    assert not len(special(Laid.of([text]).data).broken)
    assert all(len(special(Laid.of([text[:cut] + b"." + text[cut:]]).data).broken) for cut in (-1, -2, -3, -5, -6))
