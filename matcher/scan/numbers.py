"""Numbers written in one piece: mobile numbers, resident IDs and cards, told apart by the length of the run of digits.

    11 phone · 12 (0), 13 (86), 15 (0086) phone with a prefix · 15 old resident ID · 17+X and 18 resident ID · 13-19 card

A run belongs to a kind only as a whole: a number inside a longer one is another number. Where the kinds meet, a valid reading
wins over an invalid one, then the resident ID over the card over the phone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from matcher.scan import checks
from matcher.scan.batch import Batch, Bytes, Places
from matcher.scan.bits import runs
from matcher.scan.classes import DOT, Classes, is_digit, is_word
from matcher.scan.segment import Flags, Segment

PREFIXES = {11: b"", 12: b"0", 13: b"86", 15: b"0086"}
SHORTEST, LONGEST = 11, 19
PHONE, ID, WIDTH = 11, 18, 24
"""Digits of a phone and of a resident ID; bytes of a row, room for every kind."""
ZERO, X = 48, 88


class Runs(NamedTuple):
    """Runs of digits that are glued to no letter: where they begin and end, i64[n]."""

    start: Places
    end: Places

    def where(self, chosen: Flags | Places) -> Runs:
        """Those that are chosen."""
        return Runs(self.start[chosen], self.end[chosen])


class ByLength:
    """Runs sorted by how many digits they have, each length by place."""

    def __init__(self, runs: Runs) -> None:
        length = (runs.end - runs.start).astype(np.uint8)
        order = np.argsort(length, kind="stable")  # of bytes: counting, not comparing
        self._runs = runs.where(order)
        self._borders = np.concatenate(([0], np.cumsum(np.bincount(length, minlength=LONGEST + 1))))

    def of(self, length: int) -> Runs:
        """Those of exactly `length` digits, at most LONGEST."""
        own = slice(self._borders[length], self._borders[length + 1])
        return Runs(self._runs.start[own], self._runs.end[own])


def find_numbers(batch: Batch, classes: Classes) -> list[Segment]:
    """Phones, resident IDs and cards that are written in one piece, valid or not."""
    runs_, before_x = _runs(batch, classes)
    whole = ByLength(runs_)
    found = [_phones(batch, whole), ids(before_x, rows(batch, before_x.start))]
    new_ids, other = _split_eighteens(batch, whole.of(ID))
    found += [new_ids, _old_ids(batch, whole.of(15))]
    for length in checks.LENGTHS:
        some = other if length == ID else whole.of(length)
        found.append(cards(some, rows(batch, some.start), length))
    return [segment for segment in found if len(segment)]


def _runs(batch: Batch, classes: Classes) -> tuple[Runs, Runs]:
    """Runs of 11 to 19 digits between what is no letter; and runs of 17 that an X ends."""
    start, end = runs(classes.digit, SHORTEST)
    kept = end - start <= LONGEST
    start, end = start[kept], end[kept]
    free = ~is_word(batch.data.take(start - 1))
    start, end = start[free], end[free]
    following = batch.data.take(end)
    glued = is_word(following)
    with_x = ((following | 32) == (X | 32)) & (end - start == ID - 1) & ~is_word(batch.data.take(end + 1))
    return Runs(start[~glued], end[~glued]), Runs(start[with_x], end[with_x] + 1)


def rows(batch: Batch, start: Places) -> Bytes:
    """The WIDTH bytes from each place on: u8[n, 24]."""
    return batch.windows(start, WIDTH)


def segment(kind: str, found: Runs, text: Bytes, length: int, valid: Flags) -> Segment:
    """A segment of numbers that are all `length` long; what stands behind them in `text` is wiped."""
    text[:, length:] = 0
    return Segment(kind, "plain", found.start, found.end, text, np.full(len(text), length, np.int64), valid)


def is_fraction(data: Bytes, start: Places) -> Flags:
    """Whether a digit and a dot stand before: a decimal fraction, no phone."""
    fraction: Flags = (data.take(start - 1) == DOT) & is_digit(data.take(start - 2))
    return fraction


def _phones(batch: Batch, whole: ByLength) -> Segment:
    """Mobile numbers, with or without a prefix; what stands behind a digit and a dot is a fraction."""
    start, end = [], []
    for length, prefix in PREFIXES.items():
        some = whole.of(length)
        head = batch.windows(some.start, 8)[:, : len(prefix)]
        good = checks.is_mobile(batch.windows(some.end - PHONE, 8)) & (head == np.frombuffer(prefix, np.uint8)).all(1)
        start.append(some.start[good])
        end.append(some.end[good])
    found = Runs(np.concatenate(start), np.concatenate(end))
    found = found.where(~is_fraction(batch.data, found.start))
    return segment("phone", found, rows(batch, found.end - PHONE), PHONE, np.ones(len(found.start), bool))


def _is_id(digits: Bytes) -> Flags:
    """Whether region and birth date are possible."""
    date = checks.is_date(checks.number(digits, 6, 10), checks.number(digits, 10, 12), checks.number(digits, 12, 14))
    return date & checks.is_region(digits)


def ids(found: Runs, text: Bytes) -> Segment:
    """Resident IDs of 18 characters, `text` u8[n, 24], among `found`; an X of either case is their last, or a digit."""
    shaped = _is_id(text - ZERO)
    found, text = found.where(shaped), text[shaped]
    text[:, 17] &= np.where(text[:, 17] > X, 0xDF, 0xFF).astype(np.uint8)
    return segment("resident_id", found, text, ID, checks.check_characters(text - ZERO) == text[:, 17])


def _split_eighteens(batch: Batch, found: Runs) -> tuple[Segment, Runs]:
    """Resident IDs among runs of 18 digits, and the runs that are to be read as cards.

    An ID whose check fails, and which is a valid card, is the card.
    """
    text = rows(batch, found.start)
    digits = text - ZERO
    shaped = _is_id(digits)
    valid = shaped & (checks.check_characters(digits) == text[:, 17])
    card = ~valid & checks.in_range(digits, ID)
    card[card] = checks.luhn(digits[card], ID)
    is_id = shaped & ~card
    return segment("resident_id", found.where(is_id), text[is_id], ID, valid[is_id]), found.where(~is_id)


def _old_ids(batch: Batch, found: Runs) -> Segment:
    """Resident IDs of 15 digits, brought to 18: century 19, or 18 for the orders 996 to 999 of centenarians."""
    old = rows(batch, found.start)
    old_digits = old - ZERO
    text = np.zeros_like(old)
    text[:, :6], text[:, 8:17] = old[:, :6], old[:, 6:15]
    century = np.where(checks.number(old_digits, 12, 15) >= 996, 18, 19)
    text[:, 6], text[:, 7] = ZERO + 1, ZERO + century % 10
    shaped = _is_id(text - ZERO)
    found, text = found.where(shaped), text[shaped]
    text[:, 17] = checks.check_characters(text - ZERO)
    return segment("resident_id", found, text, ID, np.ones(len(text), bool))


def cards(found: Runs, text: Bytes, length: int) -> Segment:
    """Cards of `length` digits, `text` u8[n, 24], among `found`."""
    ranged = checks.in_range(text - ZERO, length)
    found, text = found.where(ranged), text[ranged]
    return segment("card", found, text, length, checks.luhn(text - ZERO, length))
