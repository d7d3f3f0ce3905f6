"""Long runs of Han digits (一三八零零一三八零零零) in UTF-8: told from every sixteenth byte, since prose is full of single ones.

Seven digits take 21 bytes or more, so six bytes at a multiple of sixteen lie in them; few bytes of other text look like them.
From the digit there its run is followed both ways.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from matcher.text.han_digits import DIGITS, SEPARATORS, SHORTEST_RUN
from matcher.text.utf8 import Bytes, Places

SIZE = 3
"""Bytes of a Han digit."""
STEP, WORD = 16, 8
WINDOW = 1 << 18
"""Bytes a step, a multiple of STEP."""
ALL_OF_WORD = 0x0101010101010101
ONE, HIGH = np.uint64(1), np.uint64(0x80 * ALL_OF_WORD)
CHARACTER, BELOW_LEAD = np.uint64(0xFFFFFF), np.uint64(7)
MIX, SLOT = np.uint64(0x9E3779B97F4A7C15), np.uint64(48)
"""Multiplied by the golden ratio's bits, the highest sixteen tell characters apart (Knuth, TAOCP 6.4)."""
Flags = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]


def long_runs(data: Bytes) -> Places:
    """A place in each run of at least seven Han digits, with at most one separator between two: i64[n], some of them twice.

    `data` is UTF-8, begins with a line end and ends in `utf8.ROOM` of them.
    """
    place = _sampled(data)
    word = _words(data)
    length = np.ones(len(place), np.int64)
    for way in (1, -1):
        at, going = place, np.arange(len(place))
        for _ in range(SHORTEST_RUN - 1):
            at = _neighbour(data, at, way)
            goes_on = _is_digit(word[at])
            at, going = at[goes_on], going[goes_on]
            length[going] += 1
            if not len(at):
                break
    return place[length >= SHORTEST_RUN]


def _words(data: Bytes) -> Words:
    """The eight bytes from each place on: u64[len(data) - 7], a view."""
    return np.ndarray((len(data) - WORD + 1,), "<u8", data.data, 0, (1,))


def _neighbour(data: Bytes, place: Places, way: int) -> Places:
    """Where a Han digit would begin behind (`way` 1) or before (-1) those at `place`, behind a separator if there is one."""
    between = data[place + (SIZE if way > 0 else -1)]
    space, dash, dot = (between == ord(sign) for sign in SEPARATORS)
    at: Places = place + way * (SIZE + (space | dash | dot))
    return at


def _sampled(data: Bytes) -> Places:
    """Where a Han digit is the first to begin in eight bytes at a multiple of sixteen, of which six may be of a run."""
    pairs = np.ndarray((len(data) - 1,), "<u2", data.data, 0, (1,))
    found = [np.empty(0, np.int64)]
    for first in range(0, len(data) - WORD + 1, WINDOW):
        sampled = np.ascontiguousarray(pairs[first : min(first + WINDOW, len(data) - WORD + 1) : STEP])
        found.append(np.flatnonzero(_pairs().take(sampled)) * STEP + first)
    place = np.concatenate(found)
    for behind in (2, 4):
        place = place[_pairs().take(pairs[place + behind])]
    word = _words(data)[place]
    begins = word & (word << ONE) & HIGH  # bits 7 and 6 of a first byte are set
    shift = np.bitwise_count((begins - ONE) & ~begins) - BELOW_LEAD
    digit = np.flatnonzero(_is_digit(word >> shift))
    found_at: Places = place[digit] + (shift[digit] >> np.uint64(3)).astype(np.int64)
    return found_at


@cache
def _pairs() -> Flags:
    """bool[65536]: which two bytes, as one little-endian number, may stand side by side in a run of Han digits."""
    digits, between = [digit.encode() for digit in DIGITS], [b"", *(sign.encode() for sign in SEPARATORS)]
    runs = {left + sign + right for left in digits for sign in between for right in digits}
    made = np.zeros(1 << 16, bool)
    made[[int.from_bytes(pair, "little") for run in runs for pair in pairwise(run)]] = True
    return made


def _is_digit(word: Words) -> Flags:
    """Whether the lowest three bytes of each word are a Han digit."""
    char = word & CHARACTER
    return np.asarray(_slots()[(char * MIX) >> SLOT] == char)


@cache
def _slots() -> npt.NDArray[np.uint32]:
    """The Han digit, in UTF-8, that falls into each slot; 0 for none."""
    made = np.zeros(1 << 16, np.uint32)
    codes = np.array([int.from_bytes(digit.encode(), "little") for digit in DIGITS], np.uint64)
    made[(codes * MIX) >> SLOT] = codes
    return made
