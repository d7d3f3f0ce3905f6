"""Characters of a UTF-8 buffer, told from their bytes: most are ASCII or common Chinese, and no work is done for those.

Common Chinese characters (U+4000 to U+9FFF) begin with E4 to E9. All others that are not ASCII are *special*: signs, other
scripts, forms of digits and letters. A few passes over the bytes find them; what each is gets asked of them alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matcher.scan import bits
from matcher.text.codes import Codes

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
LEAD, HAN_LEAD, HAN_LEADS = 0xC0, 0xE4, 6
"""The lowest first byte of a character of several bytes; the lowest of a common Chinese one, and how many of those there are."""
THREE, FOUR = 0xE0, 0xF0
"""First bytes from which a character has three, and four bytes."""
WINDOW = 1 << 17
"""Bytes a step, a multiple of 64."""
ROOM = 8
"""Line ends behind the last text: a character may be read with the bytes behind it."""


@dataclass(frozen=True, slots=True)
class Laid:
    """Texts end to end, a line end before the first and behind each: `data` u8[size], `start` and `end` i64[texts]."""

    data: Bytes
    start: Places
    end: Places

    @classmethod
    def of(cls, bodies: Sequence[bytes]) -> Laid:
        """Lay `bodies` out."""
        data = np.frombuffer(b"\n".join((b"", *bodies, b"\n" * ROOM)), np.uint8)
        length = np.fromiter(map(len, bodies), np.int64, len(bodies))
        end = np.cumsum(length + 1)
        return cls(data, end - length, end)


@dataclass(frozen=True, slots=True)
class Special:
    """Special characters by place: `place` i64[n] of the first byte, `code` u32[n] the code point, `size` i64[n] in bytes."""

    place: Places
    code: Codes
    size: Places


def special(data: Bytes) -> Special:
    """The special characters of a buffer of valid UTF-8 that ends in ROOM line ends."""
    place = bits.places(_leads(data))
    word: Codes = np.ndarray((len(data) - 3,), "<u4", data.data, 0, (1,))[place]
    first = word & 0xFF
    code = ((word & 0x0F) << 12) | ((word & 0x3F00) >> 2) | ((word >> 16) & 0x3F)
    size = np.full(len(place), 3, np.int64)
    two, four = np.flatnonzero(first < THREE), np.flatnonzero(first >= FOUR)
    if len(two):
        short = word[two]
        code[two], size[two] = ((short & 0x1F) << 6) | ((short >> 8) & 0x3F), 2
    if len(four):
        long = word[four]
        high = ((long & 0x07) << 18) | ((long & 0x3F00) << 4)
        code[four], size[four] = high | ((long >> 10) & 0xFC0) | ((long >> 24) & 0x3F), 4
    return Special(place, code, size)


def _leads(data: Bytes) -> bits.Words:
    """Where a character begins that is neither ASCII nor common Chinese, as bits."""
    found = bits.empty(len(data))
    packed = found.view(np.uint8)
    offset, is_lead, is_han = np.empty(WINDOW, np.uint8), np.empty(WINDOW, bool), np.empty(WINDOW, bool)
    for first in range(0, len(data), WINDOW):
        part = data[first : first + WINDOW]
        size = len(part)
        lead = np.greater_equal(part, LEAD, out=is_lead[:size])
        han = np.less(np.subtract(part, HAN_LEAD, out=offset[:size]), HAN_LEADS, out=is_han[:size])
        np.greater(lead, han, out=lead)
        packed[first // 8 : -(-(first + size) // 8)] = np.packbits(lead, bitorder="little")
    return found
