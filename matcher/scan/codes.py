"""Unified social credit codes: runs of exactly 18 letters and digits that pass MOD 31 (the rule is in `identifiers/uscc.py`)."""

from __future__ import annotations

from functools import cache

import numpy as np

from matcher.scan import checks
from matcher.scan.batch import Batch, Bytes
from matcher.scan.bits import inner, places, whole
from matcher.scan.classes import Classes, is_digit
from matcher.scan.numbers import WIDTH, ZERO
from matcher.scan.segment import Flags, Segment
from ullage.identifiers import uscc

LENGTH = 18
UPPER = 0xDF
NONE = 255
USUAL = b"159"
"""What a code of digits alone begins with: companies, associations, public bodies. Resident IDs mostly begin otherwise."""


@cache
def _values() -> Bytes:
    """u8[256]: the value of each character of the alphabet, NONE for any other."""
    table = np.full(256, NONE, np.uint8)
    table[np.frombuffer(uscc.ALPHABET.encode(), np.uint8)] = np.arange(len(uscc.ALPHABET))
    return table


def find_codes(batch: Batch, classes: Classes) -> list[Segment]:
    """Codes whose check holds; and those of letters and digits whose check fails, as failures. Digits alone may be anything."""
    eighteen, digits = whole(classes.word, LENGTH, classes.word), inner(classes.digit, LENGTH)
    plain = places(eighteen & digits)
    likely = np.isin(batch.data[plain], np.frombuffer(USUAL, np.uint8))
    start = np.union1d(places(eighteen & ~digits), plain[likely])
    text = batch.windows(start, WIDTH)
    text[:, LENGTH:] = 0
    digit = is_digit(text[:, :LENGTH])
    regional: Flags = digit[:, 2:8].all(1) & checks.is_region(text[:, 2:4] - np.uint8(ZERO))
    start, text, bare = start[regional], text[regional], digit[regional].all(1)
    text &= np.where(text > ord("Z"), UPPER, NONE).astype(np.uint8)
    values = _values().take(text[:, :LENGTH])
    known = [np.isin(text[:, n], list(may.encode())) for n, may in enumerate((uscc.DEPARTMENTS, uscc.CATEGORIES))]
    shaped = (values != NONE).all(1) & known[0] & known[1]
    valid = shaped & _holds(values)
    kept = valid | (shaped & ~bare)
    start = start[kept]
    length = np.full(len(start), LENGTH, np.int64)
    return [Segment("uscc", "plain", start, start + LENGTH, text[kept], length, valid[kept])] if len(start) else []


def _holds(values: Bytes) -> Flags:
    """Whether the last of 18 values is what MOD 31 of the others asks for."""
    total = (values[:, :17].astype(np.float32) @ np.array(uscc.WEIGHTS, np.float32)).astype(np.int64)  # at most 17·30·30: exact
    holds: Flags = values[:, 17] == -total % 31
    return holds
