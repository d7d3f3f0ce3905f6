"""Resident IDs: 18 digits, or 17 and an X, in one piece or in groups; and the 15 digits of before 1999.

Sums are of eight digits at a time, as bytes of one number that never carry into the next. (A matrix product is no slower by
itself, but the library behind it starts threads, which wait for one another in a loop.)
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np

from matcher.columns.batch import Batch, Bytes, Flags, Places, is_date
from matcher.columns.bitset import CASE, Classes
from matcher.detect.candidates import Segment
from matcher.detect.kinds import card, phone
from matcher.detect.numbers import WIDTH, DigitRuns, NumberColumns, NumberShape, X, all_digits, of_shapes, pair, pair_table, two
from ullage.identifiers import resident_id

KIND, LENGTH, OLD_LENGTH = "resident_id", 18, 15
EIGHT = 8
LOW_HALVES, EVERY_SECOND = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x00FF00FF00FF00FF)
"""Of eight characters their digits; of eight bytes the first, third, fifth and seventh."""
FIRST_YEAR, LAST_YEAR = resident_id.YEARS


@cache
def _regions() -> Flags:
    """bool[65536]: which two characters an ID may begin with."""
    return pair_table(resident_id.REGIONS)


def is_id(text: Bytes) -> Flags:
    """Whether region and birth date of 18 characters are possible, whatever the check character: bool[n]."""
    year = two(text, 6) * 100 + two(text, 8)
    possible: Flags = _regions().take(pair(text, 0)) & (year >= FIRST_YEAR) & (year <= LAST_YEAR)
    possible &= is_date(year, two(text, 10), two(text, 12))
    return possible


@cache
def _checks() -> Bytes:
    """The check character of every weighted sum of the first 17 digits."""
    return np.resize(np.frombuffer(resident_id.CHECKS.encode(), np.uint8), 9 * sum(resident_id.WEIGHTS) + 1)


@cache
def _weights(first: int) -> np.uint64:
    """Every second weight of eight, from `first` on, in two bytes each; the first is the highest."""
    weights = resident_id.WEIGHTS[first : first - first % 2 + EIGHT : 2]
    return np.uint64(sum(weight << 16 * (3 - place) for place, weight in enumerate(weights)))


def check_characters(text: Bytes) -> Bytes:
    """The last character of an ID whose first 17 digits are given: u8[n], ASCII.

    Every second byte of eight, which has room for two, times the weights in the opposite order: the highest two bytes become
    the weighted sum, of at most 4 · 9 · 10.
    """
    total = np.zeros(len(text), np.uint64)
    for first in (0, EIGHT):
        digits = text.view("<u8")[:, first // EIGHT] & LOW_HALVES
        for odd in (0, 1):
            some = (digits >> np.uint64(8 * odd)) & EVERY_SECOND
            some *= _weights(first + odd)
            total += some >> np.uint64(48)
    total += (text[:, 16] & 0x0F) * np.uint64(resident_id.WEIGHTS[16])
    return _checks().take(total.view(np.int64), mode="clip")


def are_normal(text: Bytes, length: Places) -> Flags:
    """Which cells, the first `length` i64[n] bytes of `text` u8[n, w], are valid IDs as they are enrolled."""
    shaped: Flags = (length == LENGTH) & all_digits(text, LENGTH - 1) & is_id(text)
    own = np.flatnonzero(shaped)
    shaped[own] = check_characters(text[own]) == text[own, LENGTH - 1]
    return shaped


def _accepts(batch: Batch, _classes: Classes, shape: NumberShape, start: Places) -> Flags:
    """Any, but what has an X must end with one, which as a group of its own comes behind the same separator."""
    end = start + shape.length
    alone: Flags = np.ones(len(start), bool)
    if shape.with_x:
        alone &= (batch.data[end - 1] | CASE) == (X | CASE)
        alone &= (shape.groups[-1] > 1) | (batch.data[end - 2] == batch.data[start + shape.groups[0]])
    return alone


SHAPES = tuple(NumberShape(KIND, groups, _accepts, with_x=with_x) for groups in resident_id.GROUPS for with_x in (False, True))


def find(runs: DigitRuns, grouped: Iterable[tuple[NumberShape, NumberColumns]]) -> tuple[list[Segment], NumberColumns]:
    """The IDs of a batch, valid or not; and the runs of 18 digits that may be cards."""
    eighteen, others = _split(runs.of(LENGTH))
    found = [_segment(runs.before_x), _expanded(runs.of(OLD_LENGTH)), eighteen]
    found += [_segment(numbers) for _, numbers in of_shapes(grouped, KIND)]
    return [segment for segment in found if len(segment)], others


def _segment(found: NumberColumns) -> Segment:
    """IDs of 18 characters among `found`; an X of either case is their last, or a digit."""
    found = found.where(is_id(found.text))
    last = found.text[:, LENGTH - 1]
    last &= np.where(last > X, ~np.uint8(CASE), 0xFF).astype(np.uint8)
    return found.segment(KIND, LENGTH, check_characters(found.text) == last)


def _split(found: NumberColumns) -> tuple[Segment, NumberColumns]:
    """IDs among runs of 18 digits; and the other runs, with those that are valid cards as well, whatever their check as IDs."""
    own = is_id(found.text)
    valid = own & (check_characters(found.text) == found.text[:, LENGTH - 1])
    others = own.copy()
    others[own] = card.is_valid(found.text[own], LENGTH)
    cards = found.where(others | ~own)
    return found.where(own).segment(KIND, LENGTH, valid[own]), cards


def _expanded(found: NumberColumns) -> Segment:
    """IDs of 15 digits, brought to 18: century 19, or 18 for the orders of those born before 1900."""
    text = np.zeros_like(found.text)
    text[:, :6], text[:, 8:17] = found.text[:, :6], found.text[:, 6:15]
    order = two(found.text, 12) * 10 + (found.text[:, 14] & 0x0F)
    text[:, 6], text[:, 7] = ord("1"), np.where(order >= resident_id.OLDEST, ord("8"), ord("9"))
    found = found._replace(text=text)
    found = found.where(is_id(text))
    found.text[:, LENGTH - 1] = check_characters(found.text)
    return found.segment(KIND, LENGTH)


FIXED_WIDTH = phone.LENGTH + LENGTH


def find_fixed_width(batch: Batch, runs: DigitRuns) -> list[Segment]:
    """Phones and IDs of rows whose fields have a fixed width and no sign between, either first: `1380013800011010519491231002…`.

    A run of 29 digits is both where one end is a mobile number and the rest an ID whose date and check leave little to chance.
    """
    start, size = runs.long
    start, found = start[size == FIXED_WIDTH], list[Segment]()
    for phone_at, id_at in ((0, phone.LENGTH), (LENGTH, 0)):
        numbers, ids = (
            NumberColumns(start + at, start + at + length, batch.windows(start + at, WIDTH))
            for at, length in ((phone_at, phone.LENGTH), (id_at, LENGTH))
        )
        both = phone.is_mobile(numbers.text) & is_id(ids.text)
        both &= check_characters(ids.text) == ids.text[:, LENGTH - 1]
        if both.any():
            found.append(numbers.where(both).segment("phone", phone.LENGTH))
            found.append(ids.where(both).segment(KIND, LENGTH))
        start = start[~both]
    return found
