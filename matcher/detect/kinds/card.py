"""Card numbers of 13 to 19 digits whose range a scheme has, in one piece or in groups; those that fail Luhn are told too."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

import numpy as np

from matcher.columns.batch import Batch, Bytes, Flags, Places
from matcher.columns.bitset import DOT, ONE, Classes, below, windows
from matcher.detect.candidates import Segment
from matcher.detect.numbers import DigitRuns, NumberColumns, NumberShape, all_digits, is_space_or_dash, of_shapes, two
from ullage.identifiers import card

KIND = "card"
AMBIGUOUS = 18
"""Digits that a resident ID has too."""
EIGHT = 8
FIRST = 4
"""Digits by which a scheme's range is told."""


@cache
def _schemes() -> Bytes:
    """u8[10000]: the scheme of the first four digits, counted from 1; 0 for none."""
    table = np.zeros(10_000, np.uint8)
    numbers = " ".join(f"{first:04}" for first in range(len(table)))  # in one text: ten times faster than to ask for each
    for scheme, (first, _) in enumerate(card.SCHEMES.values(), 1):
        table[[match.start() // (FIRST + 1) for match in re.finditer(rf"\b(?:{first})", numbers)]] = scheme
    return table


@cache
def _ranges(length: int) -> Flags:
    """bool[10000]: by the first four digits, whether a card scheme has numbers of that length there."""
    return np.array([False, *(length in lengths for _, lengths in card.SCHEMES.values())]).take(_schemes())


def in_range(text: Bytes, length: int) -> Flags:
    """Whether a card scheme has the first four digits at that length."""
    if not len(text):
        return np.zeros(0, bool)
    known: Flags = _ranges(length).take(two(text, 0) * 100 + two(text, 2), mode="clip")
    return known


@cache
def _eight(places: range, value: int = 0xFF) -> np.uint64:
    """`value` in the bytes with these places of a number of eight; places beyond it are left out."""
    return np.uint64(sum(value << 8 * place for place in places if place < EIGHT))


def luhn(text: Bytes, length: int) -> Flags:
    """Whether the Luhn sum of the first `length` digits is a multiple of ten: bool[n].

    A doubled digit above 4 counts nine less, as 2 · 7 counts 1 + 4. Eight digits are summed at a time, each in a byte of its own,
    the first of them the lowest: three of them make 27 at most, and all bytes together less than 256.
    """
    total = np.zeros(len(text), np.uint64)
    for first in range(0, length, EIGHT):
        digits = text.view("<u8")[:, first // EIGHT] & _eight(range(length - first), 0x0F)
        doubled = digits & _eight(range((length - first) % 2, EIGHT, 2))
        above = doubled + _eight(range(EIGHT), 3)  # 5 and 3 make 8
        above >>= np.uint64(3)
        above &= _eight(range(EIGHT), 1)
        above *= np.uint64(9)
        total += digits
        total += doubled
        total -= above
    total *= _eight(range(EIGHT), 1)  # the highest byte becomes the sum of all
    total >>= np.uint64(56)
    holds: Flags = _tens().take(total.view(np.int64))
    return holds


@cache
def _tens() -> Flags:
    """bool[256]: which numbers are multiples of ten: a table is faster than to divide."""
    are: Flags = np.arange(256) % 10 == 0
    return are


def is_valid(text: Bytes, length: int) -> Flags:
    """Which numbers of `length` digits are in a scheme's range and pass Luhn."""
    return in_range(text, length) & luhn(text, length)


def are_normal(text: Bytes, length: Places) -> Flags:
    """Which cells, the first `length` i64[n] bytes of `text` u8[n, w], are cards as they are enrolled: without Luhn too."""
    normal = np.zeros(len(length), bool)
    for size in card.LENGTHS:
        own = np.flatnonzero(length == size)
        normal[own] = all_digits(text[own], size) & in_range(text[own], size)
    return normal


def _accepts(batch: Batch, classes: Classes, shape: NumberShape, start: Places) -> Flags:
    """Those that are no part of a longer grouped number; a dot in one of two groups makes a decimal fraction.

    A group of one to four digits behind, or of four before, makes it longer.
    """
    data, digit, end = batch.data, classes.digit, start + shape.length
    alone: Flags = np.ones(len(start), bool)
    if len(shape.groups) == 2:
        alone = data[start + shape.groups[0]] != DOT
    may = np.flatnonzero(is_space_or_dash(data.take(end)))
    following = windows(digit, end.take(may) + 1)
    alone[may[(following & ONE > 0) & (~following & below(5) > 0)]] = False
    may = np.flatnonzero(is_space_or_dash(data.take(start - 1)))
    alone[may[windows(digit, start.take(may) - 6) & below(5) == np.uint64(0b11110)]] = False
    return alone


SHAPES = tuple(NumberShape(KIND, groups, _accepts) for groups in card.GROUPS)


def find(runs: DigitRuns, eighteens: NumberColumns, grouped: Iterable[tuple[NumberShape, NumberColumns]]) -> list[Segment]:
    """The cards of a batch, valid or not; `eighteens` are the runs of 18 digits that may be some."""
    pieces = [(length, eighteens if length == AMBIGUOUS else runs.of(length)) for length in card.LENGTHS]
    pieces += [(shape.size, numbers) for shape, numbers in of_shapes(grouped, KIND)]
    found = [(length, numbers.where(in_range(numbers.text, length))) for length, numbers in pieces]
    return [some.segment(KIND, length, luhn(some.text, length)) for length, some in found if len(some.start)]
