"""Where bytes of a class stand in a buffer, and sets of places as bits, 64 to a word.

A step over bits costs an eighth of a step over bytes, and turns "eleven digits in a row" into four
shifts. Bit i of word w stands for place 64 w + i.

Only what must be known everywhere is a class (`Classes`); what matters near a number or an at sign
is asked there. Bytes are compared by `<=` and not by `<`, for which numpy takes twice the time
(measured with 2.4).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
BITS = 64
ONE = np.uint64(1)
WINDOW = 1 << 18
"""Bytes a step of a pass over a buffer, a multiple of 64: what is made on the way stays in the
processor's cache.
"""
EXPONENT, BIAS = 52, 1023
"""Of a binary64 (IEEE 754): the bits below its exponent, and what is added to that."""
FEW_WORDS = 256
"""In so few, looking at every bit is the quickest (measured)."""
ROUNDS = 6
"""Places of a word that are told one after the other."""
LINE_END, SPACE, HASH, PLUS, COMMA, DASH, DOT, ZERO, AT, A = 10, 32, 35, 43, 44, 45, 46, 48, 64, 97
NINE, Z = 9, 25
"""The last digit and the last letter, counted from the first."""
CASE = 32
"""The bit that makes a letter lower case."""
_UNDER = np.array([(1 << count) - 1 for count in range(BITS + 1)], np.uint64)
_FIRST = np.array([(octet & -octet).bit_length() - 1 for octet in range(256)], np.int64)


def is_digit(data: Bytes) -> Flags:
    """Whether these bytes are digits."""
    return data - np.uint8(ZERO) <= NINE


def is_word(data: Bytes) -> Flags:
    """Whether these bytes are ASCII letters or digits."""
    return is_letter(data) | is_digit(data)


def is_letter(data: Bytes) -> Flags:
    """Whether these bytes are ASCII letters."""
    return (data | CASE) - np.uint8(A) <= Z


def is_separator(data: Bytes) -> Flags:
    """Whether these bytes may stand between the groups of a number: space, dash or dot."""
    # the dot stands behind the dash
    separates: Flags = (data - np.uint8(DASH) <= 1) | (data == SPACE)
    return separates


def begins_character(data: Bytes) -> Flags:
    """Whether these bytes of UTF-8 are the first of a character: all but 10xxxxxx."""
    return data.view(np.int8) >= -64


@cache
def _table(signs: bytes) -> Flags:
    """bool[256]: which bytes are `signs`."""
    table = np.zeros(256, bool)
    table[list(signs)] = True
    return table


def is_one_of(data: Bytes, signs: bytes) -> Flags:
    """Whether these bytes are among `signs`."""
    return _table(signs).take(data)


def empty(size: int) -> Words:
    """No place of a buffer of `size`; two empty words follow, so that shifts need no care at the
    end.
    """
    return np.zeros(-(-size // BITS) + 2, np.uint64)


def where(
    data: npt.NDArray[Any], test: Callable[[npt.NDArray[Any]], Flags], beyond: int = 0
) -> Words:
    """The places of `data` where `test` holds.

    It is given a window at a time, and answers for each place there but the last `beyond`: so far
    it may look ahead.
    """
    found = empty(len(data))
    octets = found.view(np.uint8)
    for first in range(0, len(data) - beyond, WINDOW):
        packed = np.packbits(test(data[first : first + WINDOW + beyond]), bitorder="little")
        octets[first // 8 : first // 8 + len(packed)] = packed
    return found


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


class NeighbourRuns:
    """From which places of one set on so many neighbours are all in it, for several lengths,
    each made from a shorter one.
    """

    def __init__(self, words: Words) -> None:
        self._made = {1: words}

    def of(self, length: int) -> Words:
        """The places from which `length` (1 to 64) neighbours on, itself among them, are all in
        the set.
        """
        if length not in self._made:
            half = 1 << (length - 1).bit_length() - 1  # the largest power of two below it
            shorter = self.of(half)
            self._made[length] = shorter & ahead(shorter, length - half)
        return self._made[length]

    def runs(self, shortest: int) -> tuple[Places, Places]:
        """Where each run of at least `shortest` (1 to 63) neighbours begins and ends (the place
        behind its last).
        """
        long = self.of(shortest)
        start = places(long & ~behind(long, 1))
        size = lowest(~windows(self.of(1), start))
        if (size == BITS).any():  # longer than is seen from its beginning
            return start, places(long & ~ahead(long, 1)) + shortest
        return start, start + size


def places(words: Words) -> Places:
    """Return the places themselves, ascending; where few words hold any, the others are passed
    over first.
    """
    if len(words) <= FEW_WORDS:
        return np.unpackbits(words.view(np.uint8), bitorder="little").view(bool).nonzero()[0]
    is_filled = words != 0
    if 4 * np.count_nonzero(is_filled) > 3 * len(words):
        return places_of(words.view(np.uint8))
    filled = np.flatnonzero(is_filled)
    return _places_within(words.take(filled), filled << 6)


def _places_within(words: Words, start: Places) -> Places:
    """The places in `words`, none of them empty, whose lowest bits stand for `start` i64[n].

    A round for each place of a word; in words that are still not done after some rounds, every bit
    is looked at.
    """
    slot, size = _slots(words)
    found = np.empty(size, np.int64)
    for _ in range(ROUNDS):
        under_lowest = words - ONE
        found[slot] = start + np.bitwise_count(~words & under_lowest)
        words = words & under_lowest
        more = np.flatnonzero(words != 0)
        if not len(more):
            return found
        words, start, slot = words.take(more), start.take(more), slot.take(more) + 1
    bit = np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little").view(bool))
    word, first = bit >> 6, _slots(words)[0]
    found[(slot - first).take(word) + np.arange(len(bit))] = start.take(word) + (bit & (BITS - 1))
    return found


def _slots(words: Words) -> tuple[Places, int]:
    """Where the first place of each word comes to lie among the places of all, and how many
    these are.
    """
    counts = np.bitwise_count(words)
    slot = np.cumsum(counts, dtype=np.int64)
    size = int(slot[-1]) if len(slot) else 0
    slot -= counts
    return slot, size


def places_of(octets: Bytes) -> Places:
    """The same for bits packed to octets.

    Those with one place each, as where runs of eight begin, are read by a table.
    """
    filled = np.flatnonzero(octets != 0)
    held = octets.take(filled)
    if (held & (held - np.uint8(1))).any():
        # of truth values: faster
        bit = np.flatnonzero(np.unpackbits(held, bitorder="little").view(bool))
        several: Places = (filled.take(bit >> 3) << 3) + (bit & 7)
        return several
    found: Places = (filled << 3) + _FIRST.take(held)
    return found


def windows(words: Words, start: Places) -> Words:
    """64 bits from each place on: bit i of the result is place `start` + i.

    Worked out in place: half the time.
    """
    word, shift = start >> 6, (start & (BITS - 1)).view(np.uint64)
    seen: Words = words.take(word)
    seen >>= shift
    word += 1
    high = words.take(word)
    high <<= np.subtract(BITS - 1, shift, out=shift)
    high <<= ONE  # apart: a shift by 64 is none
    seen |= high
    return seen


class Ranks:
    """How many places of a set come before another: those of the words before, which are counted
    once, and its own word's.
    """

    def __init__(self, words: Words) -> None:
        self._words = words
        counts = np.bitwise_count(words)
        self._before = np.cumsum(counts, dtype=np.int64) - counts

    def of(self, start: Places) -> Places:
        """How many places of the set are lower than each of `start`: i64[n]."""
        word = start >> 6
        own = self._words.take(word)
        own &= (ONE << (start & (BITS - 1)).view(np.uint64)) - ONE
        ranks: Places = self._before.take(word)
        ranks += np.bitwise_count(own)
        return ranks


def lowest(words: Words) -> Places:
    """The number of the lowest bit that is set, 64 where none is."""
    return np.bitwise_count(~words & (words - ONE)).astype(np.int64)


def highest(words: Words) -> Places:
    """The number of the highest bit that is set, -1 where none is: the exponent of the word as a
    float.

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


class Classes:
    """Where bytes of each class stand in the buffer `data`; each class is told when first asked
    for, once for all who ask.
    """

    def __init__(self, data: Bytes) -> None:
        self.data = data

    @cached_property
    def digit(self) -> Words:
        """Digits."""
        return where(self.data, is_digit)

    @cached_property
    def first_digits(self) -> Places:
        """Where runs of digits begin."""
        return places(self.digit & ~behind(self.digit, 1))

    @cached_property
    def last_digits(self) -> Places:
        """The last digit of each run."""
        return places(self.digit & ~ahead(self.digit, 1))

    @cached_property
    def hash(self) -> Words:
        """Number signs."""
        return where(self.data, lambda part: part == HASH)

    @cached_property
    def dash(self) -> Words:
        """Hyphens."""
        return where(self.data, lambda part: part == DASH)

    @cached_property
    def zero(self) -> Words:
        """Zeros."""
        return where(self.data, lambda part: part == ZERO)

    @cached_property
    def letter(self) -> Words:
        """ASCII letters."""
        return where(self.data, is_letter)

    @cached_property
    def at(self) -> Words:
        """At signs."""
        return where(self.data, lambda part: part == AT)

    @cached_property
    def plus(self) -> Words:
        """Plus signs."""
        return where(self.data, lambda part: part == PLUS)

    @cached_property
    def separator(self) -> Words:
        """What may stand between the groups of a number: space, dash or dot."""
        return where(self.data, is_separator)

    @cached_property
    def line_end(self) -> Words:
        """Line ends."""
        return where(self.data, lambda part: part == LINE_END)

    @cached_property
    def word(self) -> Words:
        """Letters and digits: what a candidate may not be glued to."""
        return self.digit | self.letter

    @cached_property
    def free(self) -> Words:
        """Places before which no letter or digit stands."""
        return ~behind(self.word, 1)

    @cached_property
    def digits(self) -> NeighbourRuns:
        """Neighbouring digits."""
        return NeighbourRuns(self.digit)

    @cached_property
    def words(self) -> NeighbourRuns:
        """Neighbouring letters and digits."""
        return NeighbourRuns(self.word)
