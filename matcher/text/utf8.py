"""Characters of a UTF-8 buffer, told from their bytes: most are ASCII or common Chinese, and no work is done for those.

Common Chinese characters (U+4000 to U+9FFF) begin with E4 to E9. All others that are not ASCII are *special*: signs, other
scripts, forms of digits and letters. A few passes over the bytes find them; what each is gets asked of them alone. The same
passes tell whether it is UTF-8 at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from matcher.columns import bitset as bits
from matcher.text.codepoints import Codes

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]
LEAD, HAN_LEAD, LAST_HAN = 0xC0, 0xE4, 5
"""The lowest first byte of a character of several bytes; the lowest of a common Chinese one, and the last, counted from that."""
THREE, FOUR = 0xE0, 0xF0
"""First bytes from which a character has three, and four bytes."""
LAST_LEAD, SURROGATE_LEAD = 0xF4, 0xED
GOES_ON = -64
"""As a signed byte: below it are those that go on a character, 10xxxxxx."""
LEAST = {2: 0x80, 3: 0x800, 4: 0x10000}
"""The lowest code point that takes so many bytes: a lower one is written with fewer."""
HIGHEST, SURROGATES, SURROGATE_COUNT = np.uint32(0x10FFFF), np.uint32(0xD800), 0x800
WINDOW = 1 << 17
"""Bytes a step, a multiple of 64."""
BEFORE = 3
"""Bytes before a step that are looked at as well; so many line ends stand before the first text."""
ROOM = 8
"""Line ends behind the last text: a character may be read with the bytes behind it."""


@dataclass(frozen=True, slots=True)
class Laid:
    """Texts end to end, a line end behind each: `data` u8[size], `start` and `end` i64[texts].

    BEFORE line ends stand before the first, ROOM behind the last.
    """

    data: Bytes
    start: Places
    end: Places

    @classmethod
    def of(cls, bodies: Sequence[bytes]) -> Laid:
        """Lay `bodies` out."""
        data = np.frombuffer(b"\n".join((b"\n" * (BEFORE - 1), *bodies, b"\n" * ROOM)), np.uint8)
        length = np.fromiter(map(len, bodies), np.int64, len(bodies))
        end = np.cumsum(length + 1) + BEFORE - 1
        return cls(data, end - length, end)


@dataclass(frozen=True, slots=True)
class Special:
    """Special characters by place: `place` i64[n] of the first byte, `code` u32[n] the code point.

    `broken` i64[m]: places in or near which the buffer is no UTF-8 (RFC 3629).
    """

    place: Places
    code: Codes
    broken: Places


def special(data: Bytes) -> Special:
    """The special characters of a buffer that is laid out as `Laid` does."""
    leads, broken = _leads(data)
    place = bits.places(leads)
    word: Codes = np.ndarray((len(data) - 3,), "<u4", data.data, 0, (1,))[place]
    first = word & 0xFF
    code = ((word & 0x0F) << 12) | ((word & 0x3F00) >> 2) | ((word >> 16) & 0x3F)
    rare = np.flatnonzero(_usual().take(first) == 0)
    if len(rare):
        code[rare], wrong = _rare(word[rare], first[rare], code[rare])
        broken = np.concatenate((broken, place[rare[wrong]]))
    return Special(place, code, broken)


def _rare(word: Codes, first: Codes, code: Codes) -> tuple[Codes, Flags]:
    """The codes of those whose first byte is not `_usual`, and which nobody may write; `code` is what three bytes would mean."""
    two, four = first < THREE, first >= FOUR
    high = ((word & 0x07) << 18) | ((word & 0x3F00) << 4) | ((word >> 10) & 0xFC0) | ((word >> 24) & 0x3F)
    code = np.where(two, ((word & 0x1F) << 6) | ((word >> 8) & 0x3F), np.where(four, high, code))
    least = np.where(two, LEAST[2], np.where(four, LEAST[4], LEAST[3]))
    wrong = (code < least) | (code - SURROGATES < SURROGATE_COUNT) | (code > HIGHEST) | (first > LAST_LEAD)
    return np.minimum(code, HIGHEST), wrong


def sizes(code: Codes) -> Places:
    """Bytes that each character takes: i64[n], 2 to 4."""
    return 2 + (code >= LEAST[3]).astype(np.int64) + (code >= LEAST[4])


@cache
def _usual() -> Bytes:
    """u8[256]: 1 for the first bytes that three bytes may follow in any way."""
    made = np.zeros(256, np.uint8)
    made[THREE + 1 : FOUR], made[SURROGATE_LEAD] = 1, 0
    return made


def _leads(data: Bytes) -> tuple[bits.Words, Places]:
    """Where a character begins that is neither ASCII nor common Chinese, as bits; where first bytes and others do not fit."""
    found, broken = bits.empty(len(data)), [np.empty(0, np.int64)]
    packed = found.view(np.uint8)
    scratch, flags = np.empty(WINDOW, np.uint8), np.empty((4, WINDOW + BEFORE), bool)
    for first in range(0, len(data), WINDOW):
        before = min(first, BEFORE)
        part = data[first - before : first + WINDOW]
        size = len(part)
        lead = np.greater_equal(part, LEAD, out=flags[0, :size])
        wrong = _misfits(part, lead, flags)
        if wrong.any():
            broken.append(np.flatnonzero(wrong) + (first - before + BEFORE))
        part, lead = part[before:], lead[before:]
        han = np.less_equal(np.subtract(part, HAN_LEAD, out=scratch[: len(part)]), LAST_HAN, out=flags[1, : len(part)])
        np.greater(lead, han, out=lead)
        packed[first // 8 : -(-(first + len(part)) // 8)] = np.packbits(lead, bitorder="little")
    return found, np.concatenate(broken)


def _misfits(part: Bytes, lead: Flags, flags: Flags) -> Flags:
    """Which bytes behind the third of `part` are 10xxxxxx where they should not be, or the other way round: bool[size - 3]."""
    size = len(part)
    due = np.bitwise_or(lead[2:-1], np.greater_equal(part, THREE, out=flags[1, :size])[1:-2], out=flags[2, : size - BEFORE])
    if part.max() >= FOUR:
        np.bitwise_or(due, np.greater_equal(part[:-3], FOUR, out=flags[3, : size - BEFORE]), out=due)
    goes_on = np.less(part.view(np.int8), GOES_ON, out=flags[1, :size])
    return np.not_equal(due, goes_on[BEFORE:], out=due)
