"""Checksums, dates and ranges over columns of numbers: `text` u8[n, w], w a multiple of 8, holds a number a row in ASCII.

The rules and their sources stand with each kind in `ullage/identifiers`; here they are tables and sums over whole columns. Two
neighbouring characters are one index into a table: half the look-ups, and no arithmetic. Eight are one number whose bytes are
worked on at once, since none ever carries into the next. (A matrix product is no slower by itself, but the library behind it
starts threads, which wait for one another in a loop.) What stands behind a number is not read.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Bytes, Flags
from ullage.identifiers import resident_id
from ullage.identifiers.card import issuer

LENGTHS = range(13, 20)
DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
ZERO = np.uint8(ord("0"))
NO_NUMBER = 255
EVERY_YEAR, LEAP_YEARS = 1, 2
CENTURIES = (18, 19, 20)
EIGHT = 8
"""Digits that are worked on at once, as bytes of one number, the first of them the lowest."""
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


def two(text: Bytes, column: int) -> Numbers:
    """The number that two digits from `column` on, an even one, spell: i64[n]; NO_NUMBER where they are none."""
    return _twos().take(pair(text, column)).astype(np.int64)


@cache
def _eight(places: range, value: int = 0xFF) -> np.uint64:
    """`value` in the bytes with these places of a number of eight; places beyond it are left out."""
    return np.uint64(sum(value << 8 * place for place in places if place < EIGHT))


def luhn(text: Bytes, length: int) -> Flags:
    """Whether the Luhn sum (ISO/IEC 7812-1 annex B) of the first `length` digits is a multiple of ten.

    A doubled digit above 4 counts nine less, as 2 · 7 counts 1 + 4. Eight digits are summed at a time, each in a byte of its own:
    three of them make 27 at most, and all bytes together less than 256.
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
    """bool[256]: which numbers are multiples of ten."""
    are: Flags = np.arange(256) % 10 == 0
    return are


def is_mobile(text: Bytes) -> Flags:
    """Whether texts, u8[n, 2 or more], begin as a Chinese mobile number does: 13 to 19."""
    begins: Flags = (text[:, 0] == ord("1")) & (text[:, 1] - np.uint8(ord("3")) <= 6)
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
def _id_checks() -> Bytes:
    """The check character of every weighted sum of the first 17 digits of a resident ID."""
    return np.resize(np.frombuffer(resident_id.CHECKS.encode(), np.uint8), 9 * sum(resident_id.WEIGHTS) + 1)


@cache
def _weights(first: int) -> np.uint64:
    """Every second weight of eight, from `first` on, in two bytes each; the first is the highest."""
    weights = resident_id.WEIGHTS[first : first - first % 2 + EIGHT : 2]
    return np.uint64(sum(weight << 16 * (3 - place) for place, weight in enumerate(weights)))


def check_characters(text: Bytes) -> Bytes:
    """The last character of a resident ID whose first 17 digits are given, by MOD 11-2 (ISO 7064): u8[n], ASCII.

    Every second byte of eight, which has room for two, times the weights in the opposite order: the highest two bytes become
    the weighted sum, of at most 4 · 9 · 10.
    """
    total = np.zeros(len(text), np.uint64)
    for first in (0, EIGHT):
        digits = text.view("<u8")[:, first // EIGHT] & _eight(range(EIGHT), 0x0F)
        for odd in (0, 1):
            some = (digits >> np.uint64(8 * odd)) & _eight(range(0, EIGHT, 2))
            some *= _weights(first + odd)
            total += some >> np.uint64(48)
    total += (text[:, 16] & 0x0F) * np.uint64(resident_id.WEIGHTS[16])
    return _id_checks().take(total.view(np.int64), mode="clip")
