"""Where an IBAN in pieces may begin, told in columns: `D E 8 9 …`, `DE-89-3704-…`, `DE89·3704·…`, as chains of digits are.

Words of one, two and four letters are in every text, so the first two must be a country that has IBANs, and two digits and the
like between must follow.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from matcher.columns.bitset import (
    SPACE,
    Bytes,
    Flags,
    Places,
    Words,
    ahead,
    behind,
    is_digit,
    is_letter,
    is_word,
    lowest,
    places,
    where,
    windows,
)
from ullage.identifiers import iban

LONGEST_GAP = 8
"""Bytes between two pieces."""
PAIR, GROUP = 2, 4
UPPER = 0xDF
"""The bits of a letter without that of its case."""
X_SIGNS = (
    b"[^0-9a-z][a-z] ?x ?[a-z] ?x ?[0-9] ?x ?[0-9] ?x",
    b"[^0-9a-z][a-z]{2}[0-9]{2} ?x ?[0-9a-z]{4} ?x ?[0-9a-z]{4}",
    b"[^0-9a-z][a-z]{2} ?x ?[0-9]{2} ?x ?[0-9a-z]{4}",
)
"""With an x for a sign, which is a letter itself; for hyperscan."""


@cache
def _countries() -> Flags:
    """bool[65536]: which two capitals are a country that has IBANs, as one number, the first the higher."""
    table = np.zeros(1 << 16, bool)
    table[[int.from_bytes(country.encode(), "big") for country in iban.LENGTHS]] = True
    return table


def iban_starts(data: Bytes) -> Places:
    """Places in folded texts, UTF-8 with room around, where IBANs in pieces may begin: i64[n]."""
    word = where(data, is_word)
    begin, second, third = word & ~behind(word, 1), ahead(word, 1), ahead(word, 2)
    sizes = ((1, ~second), (PAIR, second & ~third), (GROUP, second & third & ahead(word, 3) & ~ahead(word, GROUP)))
    return np.concatenate([_of_size(data, word, begin & pieces, size) for size, pieces in sizes])


def _of_size(data: Bytes, word: Words, pieces: Words, size: int) -> Places:
    """Those of the pieces of that size that may begin an IBAN."""
    start = places(pieces)
    start = start[is_letter(data.take(start))]
    gap = lowest(windows(word, start + size))
    near = gap <= LONGEST_GAP
    start, gap = start[near], gap[near]
    second = start + 1 if size > 1 else start + 1 + gap
    digits = start + PAIR if size == GROUP else second + 1 + gap
    last = digits + 1 if size > 1 else digits + 1 + gap
    fits = _countries().take((data.take(start) & UPPER).astype(np.int64) << 8 | data.take(second) & UPPER)
    fits &= is_digit(data.take(digits)) & is_digit(data.take(last)) & is_letter(data.take(second))
    behind_last = last + 1 + gap
    fits &= is_word(data.take(behind_last)) & ~is_word(data.take(last + 1))
    if size == GROUP:  # the search reads those with a space between
        fits &= (gap > 1) | (data.take(start + size) != SPACE)
    return start[fits]
