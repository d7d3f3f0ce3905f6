"""Checksums, dates and ranges over columns of numbers: `digits` u8[n, w] holds the values 0-9, one number a row.

The rules and their sources stand with each kind in `ullage/identifiers`; here they are tables and sums over whole columns.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from matcher.scan.batch import Bytes
from matcher.scan.segment import Flags
from ullage.identifiers import resident_id
from ullage.identifiers.card import issuer

LENGTHS = range(13, 20)
DAYS = np.array([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int16)
Numbers = npt.NDArray[np.int64]


@cache
def _regions() -> Flags:
    """bool[100]: which first two digits a resident ID may have."""
    table = np.zeros(100, bool)
    table[[int(region) for region in resident_id.REGIONS]] = True
    return table


@cache
def _ranges() -> npt.NDArray[np.bool_]:
    """bool[20, 10000]: by length and first four digits, whether a card scheme has that range."""
    table = np.zeros((20, 10_000), bool)
    for first in range(2000, 9000):
        for length in LENGTHS:
            table[length, first] = bool(issuer(f"{first:04}".ljust(length, "0")))
    return table


def number(digits: Bytes, first: int, last: int) -> Numbers:
    """The number that the columns [first, last) spell: i64[n]."""
    value = digits[:, first].astype(np.int64)
    for column in range(first + 1, last):
        value = value * 10 + digits[:, column]
    return value


def luhn(digits: Bytes, length: int) -> Flags:
    """Whether the Luhn sum (ISO/IEC 7812-1 annex B) of the first `length` columns is a multiple of ten."""
    doubled = np.arange(length) % 2 == length % 2
    values = digits[:, :length]
    nines = ((values > 4) & doubled).astype(np.float32)  # 2 x 7 counts as 1 + 4: nine less
    total = values.astype(np.float32) @ (1 + doubled).astype(np.float32) - 9 * (nines @ np.ones(length, np.float32))
    holds: Flags = total.astype(np.int16) % 10 == 0
    return holds


def is_mobile(text: Bytes) -> Flags:
    """Whether texts, u8[n, 2 or more] in ASCII, begin as a Chinese mobile number does: 13 to 19."""
    begins: Flags = (text[:, 0] == ord("1")) & (text[:, 1] >= ord("3")) & (text[:, 1] <= ord("9"))
    return begins


def in_range(digits: Bytes, length: int) -> Flags:
    """Whether a card scheme has that first four digits at that length."""
    known: Flags = _ranges()[length].take(number(digits, 0, 4), mode="clip")
    return known


def is_region(digits: Bytes) -> Flags:
    """Whether a resident ID may begin so."""
    return _regions().take(number(digits, 0, 2), mode="clip")


def is_date(year: Numbers, month: Numbers, day: Numbers) -> Flags:
    """Whether these are days of the calendar from 1800 to 2099."""
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    inside = (year >= 1800) & (year <= 2099) & (month >= 1) & (month <= 12) & (day >= 1)
    real: Flags = inside & (day <= DAYS.take(np.clip(month, 0, 12))) & (leap | (month != 2) | (day != 29))
    return real


def check_characters(digits: Bytes) -> Bytes:
    """The last character of a resident ID whose first 17 digits are given, by MOD 11-2 (ISO 7064): u8[n], ASCII."""
    weights = np.array(resident_id.WEIGHTS, np.float32)
    table = np.frombuffer(resident_id.CHECKS.encode(), np.uint8)
    return table.take((digits[:, :17].astype(np.float32) @ weights).astype(np.int64) % 11)
