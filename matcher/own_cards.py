"""Which cards are of a tenant's own ranges (BINs), enrolled or not: how many of its cards a capture shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

import numpy as np

from matcher.scan.batch import Bytes, Places
from matcher.scan.segment import Flags

LEADING = 8
"""Digits that a range may have (ISO/IEC 7812: 6, since 2017 8)."""


def own_cards(normal: Bytes, length: Places, bins: Mapping[str, Iterable[str]]) -> dict[str, Flags]:
    """Tenant to the cards of its ranges, bool[n].

    `normal` u8[n, width >= 8] holds card numbers as ASCII digits, `length` i64[n] long; `bins` have up to 8 digits each.

    >>> normal = np.frombuffer(b"6200000000000005", np.uint8)[None]
    >>> own_cards(normal, np.array([16]), {"bank": ["62000000"], "other": ["622848"]})
    {'bank': array([ True]), 'other': array([False])}
    """
    leading = _leading(normal)
    return {tenant: (length >= LEADING) & _begins(leading, ranges) for tenant, ranges in bins.items()}


def _leading(normal: Bytes) -> Places:
    """The number that the first eight digits spell: i64[n]."""
    digits = normal[:, :LEADING].astype(np.int64) - ord("0")
    return digits @ 10 ** np.arange(LEADING)[::-1]


def _begins(leading: Places, ranges: Iterable[str]) -> Flags:
    """Whether these eight digits begin with one of `ranges`: bool[n]."""
    found = np.zeros(len(leading), bool)
    for size, same in groupby(sorted(ranges, key=len), key=len):
        found |= np.isin(leading // 10 ** (LEADING - size), [int(digits) for digits in same])
    return found
