"""Numbers written in one piece: mobile numbers, resident IDs and cards, told apart by the length of the run of digits.

    11 phone · 12 (0), 13 (86), 15 (0086) phone with a prefix · 15 old resident ID · 17+X and 18 resident ID · 13-19 card

A run belongs to a kind only as a whole: a number inside a longer one is another number. Where the kinds meet, a valid reading
wins over an invalid one, then the resident ID over the card over the phone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from matcher.columns.batch import Batch, Bytes, Flags, Places
from matcher.columns.classes import CASE, DOT, Classes, is_digit, is_word
from matcher.detect import checks
from matcher.detect.candidates import Segment, cut

PREFIXES = {11: b"", 12: b"0", 13: b"86", 15: b"0086"}
SHORTEST, LONGEST = 11, 19
LEADING = 16
"""Digits that a word may begin with and still be found by them, not by its letters (`words`)."""
PHONE, OLD_ID, ID, WIDTH = 11, 15, 18, 24
"""Digits of a phone, of an old and a new resident ID; bytes of a row, room for every kind."""
ZERO, X = 48, 88
LATE_ORDERS = 996
"""Order numbers of old IDs from which on the holder was born before 1900."""


class Numbers(NamedTuple):
    """Numbers that stand alone: where they begin and end, i64[n], and a row of bytes from the beginning on, u8[n, 24]."""

    start: Places
    end: Places
    text: Bytes

    @property
    def size(self) -> int:
        """How many they are."""
        return len(self.start)

    def where(self, chosen: Flags) -> Numbers:
        """Those that are chosen; itself where all are."""
        if chosen.all():
            return self
        own = np.flatnonzero(chosen)
        return Numbers(self.start.take(own), self.end.take(own), self.text.take(own, axis=0))


class Whole:
    """All numbers of a batch that are written in one piece.

    `of(length)` gives those of exactly so many digits, by place; `before_x` are the runs of 17 that an X ends; `led` i64[n] is
    where runs of letters and digits begin whose first LEADING characters or more are digits, and not all.
    """

    def __init__(self, batch: Batch, classes: Classes) -> None:
        start, end = classes.digits.runs(SHORTEST)
        following, size = batch.data.take(end), end - start
        free, glued = ~is_word(batch.data.take(start - 1)), is_word(following)
        odd = np.flatnonzero(free & glued)
        self.led: Places = start.take(odd[size.take(odd) >= LEADING])
        x = odd[((following.take(odd) | CASE) == (X | CASE)) & (size.take(odd) == ID - 1)]
        x = x[~is_word(batch.data.take(end.take(x) + 1))]
        self.before_x = _numbers(batch, start.take(x), end.take(x) + 1)
        kept = np.flatnonzero(free & ~glued & (size <= LONGEST))
        length = size.take(kept).astype(np.uint8)
        order = np.argsort(length, kind="stable")  # of bytes: counting, not comparing
        kept = kept.take(order)
        self._all = _numbers(batch, start.take(kept), end.take(kept))
        self._borders = np.searchsorted(length.take(order), np.arange(LONGEST + 2, dtype=np.uint8)).tolist()

    def of(self, length: int) -> Numbers:
        """Those of `length` digits, at most LONGEST, as views."""
        own = slice(self._borders[length], self._borders[length + 1])
        return Numbers(self._all.start[own], self._all.end[own], self._all.text[own])


def _numbers(batch: Batch, start: Places, end: Places) -> Numbers:
    return Numbers(start, end, batch.windows(start, WIDTH))


def find_numbers(batch: Batch, whole: Whole) -> list[Segment]:
    """Phones, resident IDs and cards that are written in one piece, valid or not; wipes what stands behind them in `whole`."""
    found = [_phones(batch, whole.of(length), prefix) for length, prefix in PREFIXES.items() if whole.of(length).size]
    if whole.before_x.size:
        found.append(ids(whole.before_x))
    if whole.of(OLD_ID).size:
        found.append(_old_ids(whole.of(OLD_ID)))
    for length in checks.LENGTHS:
        some = whole.of(length)
        if some.size and length == ID:
            new_ids, some = _split_eighteens(some)
            found.append(new_ids)
        if some.size:
            found.append(cards(some, length))
    return [segment for segment in found if len(segment)]


def segment(kind: str, found: Numbers, length: int, valid: Flags | None = None) -> Segment:
    """A segment of numbers that are all `length` long, valid unless told; what stands behind them is wiped in place."""
    valid = np.ones(len(found.start), bool) if valid is None else valid
    return Segment(
        kind, "plain", found.start, found.end, cut(found.text, length), np.full(len(found.start), length, np.int64), valid
    )


def is_fraction(data: Bytes, start: Places) -> Flags:
    """Whether a digit and a dot stand before: a decimal fraction, no phone."""
    fraction: Flags = data.take(start - 1) == DOT
    dotted = np.flatnonzero(fraction)
    fraction[dotted] = is_digit(data.take(start.take(dotted) - 2))
    return fraction


def _phones(batch: Batch, found: Numbers, prefix: bytes) -> Segment:
    """Mobile numbers behind a prefix, which may be none; what stands behind a digit and a dot is a fraction."""
    if prefix:
        found = found.where((found.text[:, : len(prefix)] == np.frombuffer(prefix, np.uint8)).all(1))
        found = found._replace(text=batch.windows(found.end - PHONE, WIDTH))
    return segment("phone", found.where(checks.is_mobile(found.text) & ~is_fraction(batch.data, found.start)), PHONE)


def ids(found: Numbers) -> Segment:
    """Resident IDs of 18 characters among `found`; an X of either case is their last, or a digit."""
    found = found.where(checks.is_id(found.text))
    last = found.text[:, ID - 1]
    last &= np.where(last > X, 0xDF, 0xFF).astype(np.uint8)
    return segment("resident_id", found, ID, checks.check_characters(found.text) == last)


def _split_eighteens(found: Numbers) -> tuple[Segment, Numbers]:
    """Resident IDs among runs of 18 digits, and the runs that are to be read as cards.

    An ID whose check fails, and which is a valid card, is the card.
    """
    is_id = checks.is_id(found.text)
    valid = is_id & (checks.check_characters(found.text) == found.text[:, ID - 1])
    unsure = np.flatnonzero(is_id & ~valid)
    text = found.text.take(unsure, axis=0)
    is_id[unsure] = ~(checks.in_range(text, ID) & checks.luhn(text, ID))
    others = found.where(~is_id)
    return segment("resident_id", found.where(is_id), ID, valid[is_id]), others


def _old_ids(found: Numbers) -> Segment:
    """Resident IDs of 15 digits, brought to 18: century 19, or 18 for the orders 996 to 999 of centenarians."""
    old = found.text
    text = np.zeros_like(old)
    text[:, :6], text[:, 8:17] = old[:, :6], old[:, 6:15]
    order = checks.two(old, 12) * 10 + (old[:, 14] - np.uint8(ZERO))
    text[:, 6], text[:, 7] = ZERO + 1, np.where(order >= LATE_ORDERS, ZERO + 8, ZERO + 9)
    found = found._replace(text=text)
    found = found.where(checks.is_id(text))
    found.text[:, ID - 1] = checks.check_characters(found.text)
    return segment("resident_id", found, ID)


def cards(found: Numbers, length: int) -> Segment:
    """Cards of `length` digits among `found`."""
    found = found.where(checks.in_range(found.text, length))
    return segment("card", found, length, checks.luhn(found.text, length))
