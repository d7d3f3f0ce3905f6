"""Represent sets of offsets in a buffer as bits, 64 to a word, and compute with whole sets at once.

Match searches megabytes for runs of digits, at signs and so on. A set with one bit per byte of the
buffer takes an eighth of the memory of flags, and a question such as "where do eleven digits begin"
becomes four shifts and ands. An offset is called a *place* here. Bit i of word w stands for place
64 w + i, lowest bit first:

    buffer           a  1  2  3  -  4                places of digits   1 2 3 5
    word 0, bit      0  1  2  3  4  5 … 63           places(words)   →  i64 [1, 2, 3, 5]
                     0  1  1  1  0  1    0
    shift_back(words, 1)
                     1  1  1  0  1  0    0           p is in it if p + 1 was in the set

A set is u64[words] and has two spare words at its end, so that shifts need no special case there.
`find_places` builds a set from a test of bytes, `places` lists it, `NeighbourRuns` finds runs, and
`Ranks` counts places below a given one. `Classes` computes the sets that are needed for a whole
buffer, each at its first use. Arguments are not checked: a place beyond the set gives a wrong
result or IndexError. Bytes are compared by `<=`, for which numpy takes half the time of `<`
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
"""Bytes that are processed at a time, a multiple of 64.

Intermediate arrays of this size stay in the processor's cache.
"""
EXPONENT, BIAS = 52, 1023
"""Of an IEEE 754 binary64: the number of bits below the exponent, and its bias."""
FEW_WORDS = 256
"""Up to this many words, looking at every bit is fastest (measured)."""
ROUNDS = 6
"""Bits of a word that are extracted one after the other before all are looked at."""
LINE_END, SPACE, HASH, PLUS, COMMA, DASH, DOT, ZERO, AT, A = 10, 32, 35, 43, 44, 45, 46, 48, 64, 97
NINE, Z = 9, 25
"""The index of the last digit and of the last letter, from 0."""
CYRILLIC_LEAD = 0xD1
"""With which Cyrillic letters begin in UTF-8, or with the byte before it."""
CASE = 32
"""The bit that makes a letter lower case."""
_UNDER = np.array([(1 << count) - 1 for count in range(BITS + 1)], np.uint64)
_FIRST = np.array([(octet & -octet).bit_length() - 1 for octet in range(256)], np.int64)


def is_digit(data: Bytes) -> Flags:
    """Return whether each byte is an ASCII digit: bool[n]."""
    return data - np.uint8(ZERO) <= NINE


def is_word(data: Bytes) -> Flags:
    """Return whether each byte is an ASCII letter or digit: bool[n]."""
    return is_letter(data) | is_digit(data)


def is_letter(data: Bytes) -> Flags:
    """Return whether each byte is an ASCII letter: bool[n]."""
    return (data | CASE) - np.uint8(A) <= Z


def is_separator(data: Bytes) -> Flags:
    """Return whether each byte may separate the groups of a number: bool[n].

    These are space, dash and dot.
    """
    # the dot follows the dash in ASCII
    separates: Flags = (data - np.uint8(DASH) <= 1) | (data == SPACE)
    return separates


def begins_character(data: Bytes) -> Flags:
    """Return whether each byte of UTF-8 begins a character: bool[n]. All do but 10xxxxxx."""
    return data.view(np.int8) >= -64


@cache
def _table(signs: bytes) -> Flags:
    """Return which of the 256 byte values are `signs`: bool[256]."""
    table = np.zeros(256, bool)
    table[list(signs)] = True
    return table


def is_one_of(data: Bytes, signs: bytes) -> Flags:
    """Return whether each byte is one of the bytes `signs`: bool[n]."""
    return _table(signs).take(data)


@cache
def _pair_table(pairs: frozenset[bytes]) -> Flags:
    """Return which of the 65536 pairs of bytes are `pairs`; the first byte is the higher one."""
    table = np.zeros(1 << 16, bool)
    table[[int.from_bytes(pair, "big") for pair in pairs]] = True
    return table


def is_one_pair_of(first: Bytes, second: Bytes, pairs: frozenset[bytes]) -> Flags:
    """Return whether each byte of `first`, with that of `second`, is one of `pairs`."""
    return _pair_table(pairs).take(first.astype(np.int64) << 8 | second)


def empty(size: int) -> Words:
    """Return an empty set for a buffer of `size` bytes: u64[⌈size / 64⌉ + 2].

    The two spare words let shifts do without a special case at the end.
    """
    return np.zeros(-(-size // BITS) + 2, np.uint64)


def find_places(
    data: npt.NDArray[Any], test: Callable[[npt.NDArray[Any]], Flags], beyond: int = 0
) -> Words:
    """Return the set of places of `data` where `test` holds.

    `test` gets a window at a time and returns a flag for each of its bytes but the last `beyond`,
    which it may only look at. So the last `beyond` places of `data` are never in the set.
    """
    words = empty(len(data))
    octets = words.view(np.uint8)
    for first in range(0, len(data) - beyond, WINDOW):
        packed = np.packbits(test(data[first : first + WINDOW + beyond]), bitorder="little")
        octets[first // 8 : first // 8 + len(packed)] = packed
    return words


def shift_back(words: Words, by: int) -> Words:
    """Return the set of places p for which p + `by` is in `words`.

    `by` is 1 to 64. Places below `by` have no counterpart and drop out.
    """
    if by == BITS:
        return np.concatenate((words[1:], words[-1:]))  # the last word is empty
    out = words >> np.uint64(by)
    out[:-1] |= words[1:] << np.uint64(BITS - by)
    return out


def shift_forward(words: Words, by: int) -> Words:
    """Return the set of places p for which p - `by` is in `words`.

    `by` is 1 to 63.
    """
    out = words << np.uint64(by)
    out[1:] |= words[:-1] >> np.uint64(BITS - by)
    return out


class NeighbourRuns:
    """Runs of neighbouring places in one set, by length.

    The set for each length is derived from that for a shorter one and kept.
    """

    def __init__(self, words: Words) -> None:
        self._made = {1: words}

    def find_starts(self, length: int) -> Words:
        """Return the set of places where `length` (1 to 64) neighbours in the set begin.

        The result is kept, and must not be changed.
        """
        if length not in self._made:
            half = 1 << (length - 1).bit_length() - 1  # the largest power of two below it
            shorter = self.find_starts(half)
            self._made[length] = shorter & shift_back(shorter, length - half)
        return self._made[length]

    def runs(self, shortest: int) -> tuple[Places, Places]:
        """Return the start and the end of each run of at least `shortest` neighbours.

        Both are i64[n]. The end is the place behind the last neighbour; runs ascend. `shortest` is
        1 to 63.
        """
        long = self.find_starts(shortest)
        start = places(long & ~shift_forward(long, 1))
        size = lowest(~windows(self.find_starts(1), start))
        if (size == BITS).any():  # a run is longer than one word
            return start, places(long & ~shift_back(long, 1)) + shortest
        return start, start + size


def places(words: Words) -> Places:
    """Return the places of a set, ascending: i64[n].

    A set with few words is unpacked in full; otherwise empty words are dropped first.
    """
    if len(words) <= FEW_WORDS:
        return np.unpackbits(words.view(np.uint8), bitorder="little").view(bool).nonzero()[0]
    is_filled = words != 0
    if 4 * np.count_nonzero(is_filled) > 3 * len(words):
        return places_of(words.view(np.uint8))
    filled = np.flatnonzero(is_filled)
    return _places_within(words.take(filled), filled << 6)


def _places_within(words: Words, start: Places) -> Places:
    """Return the places in `words`, of which none is empty and each begins at its `start` (i64[n]).

    Each round extracts the lowest bit of every word. Words that still hold bits after ROUNDS rounds
    are unpacked in full.
    """
    slot, size = _slots(words)
    places = np.empty(size, np.int64)
    for _ in range(ROUNDS):
        under_lowest = words - ONE
        places[slot] = start + np.bitwise_count(~words & under_lowest)
        words = words & under_lowest
        more = np.flatnonzero(words != 0)
        if not len(more):
            return places
        words, start, slot = words.take(more), start.take(more), slot.take(more) + 1
    bit = np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little").view(bool))
    word, first = bit >> 6, _slots(words)[0]
    places[(slot - first).take(word) + np.arange(len(bit))] = start.take(word) + (bit & (BITS - 1))
    return places


def _slots(words: Words) -> tuple[Places, int]:
    """Return the index of each word's first place among all places, and their number."""
    counts = np.bitwise_count(words)
    slot = np.cumsum(counts, dtype=np.int64)
    size = int(slot[-1]) if len(slot) else 0
    slot -= counts
    return slot, size


def places_of(octets: Bytes) -> Places:
    """Return the places of a set whose bits are packed into `octets`, ascending: i64[n].

    Octets of a single bit, as where runs of eight begin, are looked up in a table.
    """
    filled = np.flatnonzero(octets != 0)
    nonzero = octets.take(filled)
    if (nonzero & (nonzero - np.uint8(1))).any():
        # numpy finds booleans faster
        bit = np.flatnonzero(np.unpackbits(nonzero, bitorder="little").view(bool))
        several: Places = (filled.take(bit >> 3) << 3) + (bit & 7)
        return several
    single: Places = (filled << 3) + _FIRST.take(nonzero)
    return single


def windows(words: Words, start: Places) -> Words:
    """Return the 64 bits from each place on: u64[n]; bit i of a word stands for place `start` + i.

    Works in place, which halves the time.
    """
    word, shift = start >> 6, (start & (BITS - 1)).view(np.uint64)
    bits: Words = words.take(word)
    bits >>= shift
    word += 1
    high = words.take(word)
    high <<= np.subtract(BITS - 1, shift, out=shift)
    high <<= ONE  # in two steps: a shift by 64 has no effect
    bits |= high
    return bits


class Ranks:
    """The number of places in a set below a given place.

    The counts of whole words are summed up one time; each look-up adds those of its own word.
    """

    def __init__(self, words: Words) -> None:
        self._words = words
        counts = np.bitwise_count(words)
        self._before = np.cumsum(counts, dtype=np.int64) - counts

    def count_below(self, start: Places) -> Places:
        """Return how many places of the set are below each of `start`: i64[n]."""
        word = start >> 6
        below = self._words.take(word)
        below &= (ONE << (start & (BITS - 1)).view(np.uint64)) - ONE
        ranks: Places = self._before.take(word)
        ranks += np.bitwise_count(below)
        return ranks


def lowest(words: Words) -> Places:
    """Return the number of the lowest set bit of each word, 64 if none is set: i64[n]."""
    return np.bitwise_count(~words & (words - ONE)).astype(np.int64)


def highest(words: Words) -> Places:
    """Return the number of the highest set bit of each word, -1 if none is set: i64[n].

    It is the exponent of the word as a float. The bit below the highest is cleared first, so that
    rounding to 53 bits never carries beyond it.
    """
    rounded = (words & ~(words >> ONE)).astype(np.float64)
    return np.asarray(np.maximum((rounded.view(np.int64) >> EXPONENT) - BIAS, -1))


def under(counts: Places) -> Words:
    """Return, for each of `counts` (0 to 64), a word with that many lowest bits set: u64[n]."""
    return _UNDER.take(counts)


def below(count: int) -> np.uint64:
    """Return a word whose lowest `count` (0 to 64) bits are set."""
    return np.uint64((1 << count) - 1)


class Classes:
    """The places of each byte class in the buffer `data`, computed at first use and then kept."""

    def __init__(self, data: Bytes) -> None:
        self.data = data

    @cached_property
    def digit(self) -> Words:
        """Return the places of digits."""
        return find_places(self.data, is_digit)

    @cached_property
    def first_digits(self) -> Places:
        """Return the place of the first digit of each run."""
        return places(self.digit & ~shift_forward(self.digit, 1))

    @cached_property
    def last_digits(self) -> Places:
        """Return the place of the last digit of each run."""
        return places(self.digit & ~shift_back(self.digit, 1))

    @cached_property
    def hash(self) -> Words:
        """Return the places of number signs."""
        return find_places(self.data, lambda part: part == HASH)

    @cached_property
    def dash(self) -> Words:
        """Return the places of hyphens."""
        return find_places(self.data, lambda part: part == DASH)

    @cached_property
    def zero(self) -> Words:
        """Return the places of zeros."""
        return find_places(self.data, lambda part: part == ZERO)

    @cached_property
    def letter(self) -> Words:
        """Return the places of ASCII letters."""
        return find_places(self.data, is_letter)

    @cached_property
    def cyrillic(self) -> Words:
        """Return the places of bytes with which Cyrillic letters begin in UTF-8, D0 and D1."""
        return find_places(self.data, lambda part: part | np.uint8(1) == CYRILLIC_LEAD)

    @cached_property
    def at(self) -> Words:
        """Return the places of at signs."""
        return find_places(self.data, lambda part: part == AT)

    @cached_property
    def plus(self) -> Words:
        """Return the places of plus signs."""
        return find_places(self.data, lambda part: part == PLUS)

    @cached_property
    def separator(self) -> Words:
        """Return the places of separators within a number: space, dash or dot."""
        return find_places(self.data, is_separator)

    @cached_property
    def line_end(self) -> Words:
        """Return the places of line ends."""
        return find_places(self.data, lambda part: part == LINE_END)

    @cached_property
    def word(self) -> Words:
        """Return the places of ASCII letters and digits, which no candidate may adjoin."""
        return self.digit | self.letter

    @cached_property
    def free(self) -> Words:
        """Return the places that do not follow a letter or digit."""
        return ~shift_forward(self.word, 1)

    @cached_property
    def digits(self) -> NeighbourRuns:
        """Return the runs of digits."""
        return NeighbourRuns(self.digit)

    @cached_property
    def words(self) -> NeighbourRuns:
        """Return the runs of letters and digits."""
        return NeighbourRuns(self.word)
