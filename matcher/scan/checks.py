"""Checksums, dates and ranges over columns of numbers: `text` u8[n, w], w even, holds a number a row in ASCII.

The rules and their sources stand with each kind in `ullage/identifiers`; here they are tables and sums over whole columns. Two
neighbouring characters are one index into a table: half the look-ups, and no arithmetic. What stands behind a number is not read.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
import numpy.typing as npt

from matcher.scan.batch import Bytes
from matcher.scan.segment import Flags
from ullage.identifiers import resident_id
from ullage.identifiers.card import issuer

LENGTHS = range(13, 20)
DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
ZERO = np.uint8(ord("0"))
NO_NUMBER = 255
EVERY_YEAR, LEAP_YEARS = 1, 2
CENTURIES = (18, 19, 20)
Numbers = npt.NDArray[np.int64]


def pair(text: Bytes, column: int) -> npt.NDArray[np.uint16]:
    """The characters in `column`, an even one, and behind it as one number, to look up in a table of 65,536: u16[n]."""
    pairs: npt.NDArray[np.uint16] = text.view("<u2")[:, column // 2]
    return pairs


def pair_table(pairs: Iterable[str]) -> Flags:
    """bool[65536]: which two characters are one of `pairs`."""
    table = np.zeros(1 << 16, bool)
    table[[int.from_bytes(two.encode(), "little") for two in pairs]] = True
    return table


@cache
def _twos() -> Bytes:
    """u8[65536]: the number that two digits spell, NO_NUMBER for others."""
    table = np.full(1 << 16, NO_NUMBER, np.uint8)
    table[[int.from_bytes(f"{n:02}".encode(), "little") for n in range(100)]] = range(100)
    return table


@cache
def _regions() -> Flags:
    """bool[65536]: which two characters a resident ID may begin with."""
    return pair_table(resident_id.REGIONS)


@cache
def _ranges() -> npt.NDArray[np.bool_]:
    """bool[20, 10000]: by length and first four digits, whether a card scheme has that range."""
    table = np.zeros((20, 10_000), bool)
    for first in range(2000, 9000):
        for length in LENGTHS:
            table[length, first] = bool(issuer(f"{first:04}".ljust(length, "0")))
    return table


@cache
def _calendar() -> Bytes:
    """u8[10000]: for month · 100 + day whether there is such a day, in which years."""
    table = np.zeros(10_000, np.uint8)
    for month, days in enumerate(DAYS, 1):
        table[month * 100 + 1 : month * 100 + days + 1] = EVERY_YEAR
    table[229] = LEAP_YEARS
    return table


@cache
def _luhn_weights(length: int, width: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """f32[width] twice: how often each digit of a number counts, and which are doubled."""
    doubled = np.zeros(width, np.float32)
    doubled[:length] = np.arange(length) % 2 == length % 2
    weights = doubled.copy()
    weights[:length] += 1
    return weights, doubled


def two(text: Bytes, column: int) -> Numbers:
    """The number that two digits from `column` on, an even one, spell: i64[n]; NO_NUMBER where they are none."""
    return _twos().take(pair(text, column)).astype(np.int64)


def luhn(text: Bytes, length: int) -> Flags:
    """Whether the Luhn sum (ISO/IEC 7812-1 annex B) of the first `length` digits is a multiple of ten.

    A doubled digit above 4 counts nine less, as 2 · 7 counts 1 + 4: by tens, one more.
    """
    weights, doubled = _luhn_weights(length, text.shape[1])
    digits = text - ZERO
    total = digits.astype(np.float32) @ weights + (digits > 4).astype(np.float32) @ doubled
    holds: Flags = total.astype(np.int16) % 10 == 0
    return holds


def is_mobile(text: Bytes) -> Flags:
    """Whether texts, u8[n, 2 or more], begin as a Chinese mobile number does: 13 to 19."""
    begins: Flags = (text[:, 0] == ord("1")) & (text[:, 1] - np.uint8(ord("3")) < 7)
    return begins


def in_range(text: Bytes, length: int) -> Flags:
    """Whether a card scheme has the first four digits at that length."""
    known: Flags = _ranges()[length].take(two(text, 0) * 100 + two(text, 2), mode="clip")
    return known


def is_region(text: Bytes, column: int = 0) -> Flags:
    """Whether a region of China has the two digits from `column` on."""
    return _regions().take(pair(text, column))


def is_id(text: Bytes) -> Flags:
    """Whether region and birth date of a resident ID of 18 characters are possible; years are 1800 to 2099."""
    day = _calendar().take(two(text, 10) * 100 + two(text, 12), mode="clip")
    century = two(text, 6)
    possible: Flags = is_region(text) & (day > 0) & (century >= CENTURIES[0]) & (century <= CENTURIES[-1])
    born = np.flatnonzero(possible & (day == LEAP_YEARS))
    year = century[born] * 100 + two(text[born], 8)
    possible[born] = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    return possible


@cache
def _id_weights(width: int) -> tuple[npt.NDArray[np.float32], Bytes]:
    """The weights of MOD 11-2 as f32[width], and the check character of every sum that they can give."""
    weights = np.zeros(width, np.float32)
    weights[: len(resident_id.WEIGHTS)] = resident_id.WEIGHTS
    return weights, np.resize(np.frombuffer(resident_id.CHECKS.encode(), np.uint8), 9 * sum(resident_id.WEIGHTS) + 1)


def check_characters(text: Bytes) -> Bytes:
    """The last character of a resident ID whose first 17 digits are given, by MOD 11-2 (ISO 7064): u8[n], ASCII."""
    weights, table = _id_weights(text.shape[1])
    return table.take(((text - ZERO).astype(np.float32) @ weights).astype(np.int64))
