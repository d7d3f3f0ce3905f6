"""Sets of places in a buffer as bits, 64 to a word: where a class of bytes stands, and where runs of it begin and end.

A step over bits costs an eighth of a step over bytes, and turns "eleven digits in a row" into four shifts.
Bit i of word w stands for place 64 w + i.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
BITS = 64
ONE = np.uint64(1)
EXPONENT, BIAS = 52, 1023
"""Of a binary64 (IEEE 754): the bits below its exponent, and what is added to that."""
_UNDER = np.array([(1 << count) - 1 for count in range(BITS + 1)], np.uint64)
_FIRST = np.array([(octet & -octet).bit_length() - 1 for octet in range(256)], np.int64)


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


class Chain:
    """From which places of one set on so many neighbours are all in it, for several lengths, each made from a shorter one."""

    def __init__(self, words: Words) -> None:
        self._made = {1: words}

    def of(self, length: int) -> Words:
        """The places from which `length` (1 to 64) neighbours on, itself among them, are all in the set."""
        if length not in self._made:
            half = 1 << (length - 1).bit_length() - 1  # the largest power of two below it
            shorter = self.of(half)
            self._made[length] = shorter & ahead(shorter, length - half)
        return self._made[length]

    def runs(self, shortest: int) -> tuple[Places, Places]:
        """Where each run of at least `shortest` (1 to 64) neighbours begins and ends (the place behind its last)."""
        long = self.of(shortest)
        return places(long & ~behind(long, 1)), places(long & ~ahead(long, 1)) + shortest


def places(words: Words) -> Places:
    """The places themselves, ascending."""
    return places_of(words.view(np.uint8))


def places_of(octets: npt.NDArray[np.uint8]) -> Places:
    """The same for bits packed to octets. Those with one place each, as where runs of eight begin, are read by a table."""
    filled = np.flatnonzero(octets != 0)
    held = octets.take(filled)
    if (held & (held - np.uint8(1))).any():
        bit = np.flatnonzero(np.unpackbits(held, bitorder="little").view(bool))  # of truth values: faster
        several: Places = (filled.take(bit >> 3) << 3) + (bit & 7)
        return several
    found: Places = (filled << 3) + _FIRST.take(held)
    return found


def windows(words: Words, start: Places) -> Words:
    """64 bits from each place on: bit i of the result is place `start` + i."""
    word, shift = start >> 6, (start & 63).astype(np.uint64)
    high = words.take(word + 1) << (np.uint64(BITS - 1) - shift) << ONE  # twice: a shift by 64 is none
    seen: Words = (words.take(word) >> shift) | high
    return seen


def lowest(words: Words) -> npt.NDArray[np.int64]:
    """The number of the lowest bit that is set, 64 where none is."""
    return np.bitwise_count(~words & (words - ONE)).astype(np.int64)


def highest(words: Words) -> npt.NDArray[np.int64]:
    """The number of the highest bit that is set, -1 where none is: the exponent of the word as a float.

    The bit below the highest is cleared first, so that rounding to 53 bits never carries beyond it.
    """
    rounded = (words & ~(words >> ONE)).astype(np.float64)
    return np.asarray(np.maximum((rounded.view(np.int64) >> EXPONENT) - BIAS, -1))


def under(counts: Places) -> Words:
    """For each of `counts` (0 to 64) so many of the lowest bits."""
    return _UNDER.take(counts)


def below(count: int) -> np.uint64:
    """The lowest `count` (0 to 64) bits."""
    return np.uint64((1 << count) - 1)
