"""Cards of a tenant's own ranges (BINs): how many a capture shows, which of them are enrolled, and in how many rows they stand.

A range is public, and a list that a card shop sorts by it holds nothing else: a card that is not enrolled says which bank gave it
out, and no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from matcher.scan.batch import Bytes, Places
from matcher.scan.segment import Flags
from matcher.statistics.key import Words

LEADING = 8
"""Digits that a range may have (ISO/IEC 7812: 6, since 2017 8)."""


@dataclass(slots=True)
class OwnCards:
    """Those of one tenant in one capture, counted while its parts go by."""

    rows: int = 0
    """Rows that hold one, enrolled or not."""
    _known: list[Words] = field(default_factory=list)
    _others: list[Words] = field(default_factory=list)

    def add(self, words: Words, is_known: Flags, row: Places) -> None:
        """Count cards of one part, by place: their keyed numbers, whether each is enrolled, and the row that it stands in."""
        self.rows += len(np.unique(row[row >= 0]))
        self._others.append(words[~is_known])
        own = row[is_known]
        self._known.append(words[is_known][np.unique(own, return_index=True)[1]])

    @property
    def known(self) -> int:
        """Different cards that are enrolled, at most one a row."""
        return _different(self._known)

    @property
    def others(self) -> int:
        """Different cards that are not enrolled."""
        return _different(self._others)


def _different(parts: list[Words]) -> int:
    return len(np.unique(np.concatenate(parts))) if parts else 0


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
