"""Sets of places in a buffer as bits, 64 to a word: where a class of bytes stands, and where runs of it begin and end.

A step over bits costs an eighth of a step over bytes, and turns "eleven digits in a row" into four shifts.
Bit i of word w stands for place 64 w + i.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from matcher.scan.batch import Places

Words = npt.NDArray[np.uint64]
BITS = 64
ONE = np.uint64(1)


def empty(size: int) -> Words:
    """No place of a buffer of `size`; two empty words follow, so that shifts need no care at the end."""
    return np.zeros(-(-size // BITS) + 2, np.uint64)


def ahead(words: Words, by: int) -> Words:
    """The places p for which p + `by` is in `words`; `by` is 1 to 64."""
    if by == BITS:
        return np.concatenate((words[1:], words[-1:]))  # the last word is empty
    out = words >> np.uint64(by)
    out[:-1] |= words[1:] << np.uint64(BITS - by)
    return out


def behind(words: Words, by: int) -> Words:
    """The places p for which p - `by` is in `words`; `by` is 1 to 63."""
    out = words << np.uint64(by)
    out[1:] |= words[:-1] >> np.uint64(BITS - by)
    return out


def whole(words: Words, length: int, word: Words) -> Words:
    """Where a run in `words` of exactly `length` (1 to 64) begins that stands apart from what is in `word`, a larger set."""
    return inner(words, length) & ~behind(word, 1) & ~ahead(word, length)


def inner(words: Words, length: int) -> Words:
    """The places from which `length` (1 to 64) neighbours on, itself among them, are all in `words`."""
    have = 1
    while have < length:
        step = min(have, length - have)
        words = words & ahead(words, step)
        have += step
    return words


def spread(words: Words, length: int) -> Words:
    """The places within `length` (1 to 64) from a place in `words` on: what `inner` was made from."""
    have = 1
    while have < length:
        step = min(have, length - have)
        words = words | behind(words, step)
        have += step
    return words


def runs(words: Words, shortest: int) -> tuple[Places, Places]:
    """Where each run of at least `shortest` (1 to 64) neighbouring places begins and ends (the place behind its last)."""
    long = inner(words, shortest)
    return places(long & ~behind(long, 1)), places(long & ~ahead(long, 1)) + shortest


def places(words: Words) -> Places:
    """The places themselves, ascending."""
    filled = np.flatnonzero(words != 0)
    bit = np.flatnonzero(np.unpackbits(words[filled].view(np.uint8), bitorder="little").view(bool))  # of truth values: faster
    found: Places = (filled[bit >> 6] << 6) + (bit & 63)
    return found


def windows(words: Words, start: Places) -> Words:
    """64 bits from each place on: bit i of the result is place `start` + i."""
    word, shift = start >> 6, (start & 63).astype(np.uint64)
    high = words[word + 1] << (np.uint64(BITS) - shift & np.uint64(63))
    seen: Words = (words[word] >> shift) | np.where(shift == 0, np.uint64(0), high)
    return seen


def lowest(words: Words) -> npt.NDArray[np.int64]:
    """The number of the lowest bit that is set, 64 where none is."""
    return np.bitwise_count(~words & (words - ONE)).astype(np.int64)


def highest(words: Words) -> npt.NDArray[np.int64]:
    """The number of the highest bit that is set, -1 where none is."""
    filled = words.copy()
    for step in (1, 2, 4, 8, 16, 32):
        filled |= filled >> np.uint64(step)
    return np.bitwise_count(filled).astype(np.int64) - 1


def below(count: int) -> np.uint64:
    """The lowest `count` (0 to 64) bits."""
    return np.uint64((1 << count) - 1)
