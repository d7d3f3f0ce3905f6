"""Whose rows they are, by what stands in them besides customers: cards of a tenant's own ranges (BINs), names of other platforms.

A range is public, and a list that a card shop sorts by it holds nothing else: a card that is not enrolled says which bank gave it
out, and no more. Other platforms are those that a tenant's settings name: a list of theirs says so, row by row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from matcher.columns.batch import Bytes, Flags, Places
from matcher.columns.literals import Literals, whole_words
from matcher.lexicon.entries import Entry, forms, literals
from matcher.match.batches import Searched
from matcher.match.capture_key import Words as Tags

LEADING = 8
"""Digits that a range may have (ISO/IEC 7812: 6, since 2017 8)."""
OTHER = "other"
"""The kind of name that is not the tenant's own."""


@dataclass(slots=True)
class OwnCards:
    """Those of one tenant in one capture, counted while its parts go by."""

    rows: int = 0
    """Rows that hold one, enrolled or not."""
    _known: list[Tags] = field(default_factory=list)
    _others: list[Tags] = field(default_factory=list)

    def add(self, words: Tags, is_known: Flags, row: Places) -> None:
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


def _different(parts: list[Tags]) -> int:
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


class OtherNames:
    """Finds the names of other platforms in rows; `others` and `own` are a tenant's lists of names.

    A row that names the tenant too is not another's, nor is one by a mail address alone.
    """

    def __init__(self, others: Mapping[str, Iterable[str]], own: Mapping[str, Iterable[str]]) -> None:
        self._tenants = {tenant: _Names(names, own.get(tenant, ())) for tenant, names in others.items() if names}

    def __bool__(self) -> bool:
        return bool(self._tenants)

    def rows(self, searched: Searched) -> Iterator[tuple[str, Places]]:
        """Each tenant with the rows of a batch that name another platform, ascending."""
        for tenant, names in self._tenants.items():
            start, is_other = names.find(searched)
            if is_other.any():
                row = searched.rows.holding(start)
                yield tenant, np.setdiff1d(row[is_other & (row >= 0)], row[~is_other])


class _Names:
    """The names of one tenant's settings."""

    def __init__(self, others: Iterable[str], own: Iterable[str]) -> None:
        known = forms({OTHER: others, "": own}, {}, ())
        names = {form: meanings for form, meanings in known.items() if any(entry.kind == "brand" for entry in meanings)}
        found = [(literal, _is_other(meanings)) for form, meanings in names.items() for literal in literals(form)]
        self._literals = Literals.of(whole_words([literal for literal, _ in found]))
        self._length = np.array([len(literal) for literal, _ in found], np.int64)
        self._is_other = np.array([is_other for _, is_other in found], bool)

    def find(self, searched: Searched) -> tuple[Places, Flags]:
        """Where names begin in a batch that are part of no longer one, and whether each is another's."""
        number, end = self._literals.find(searched.batch.data)
        start = end - self._length[number]
        order = np.lexsort((-end, start))
        number, start, end = number[order], start[order], end[order]
        whole = end > np.concatenate(([0], np.maximum.accumulate(end)[:-1]))
        whole &= ~_inside(searched, start)
        return start[whole], self._is_other[number[whole]]


def _is_other(meanings: Iterable[Entry]) -> bool:
    """Whether a form is a name of others alone."""
    return {entry.brand[0] for entry in meanings if entry.kind == "brand"} == {OTHER}


def _inside(searched: Searched, places: Places) -> Flags:
    """Which places lie in a candidate, such as a mail address."""
    candidates = searched.candidates
    if not len(candidates.start):
        return np.zeros(len(places), bool)
    before = np.searchsorted(candidates.start, places, "right") - 1
    inside: Flags = (before >= 0) & (candidates.end[before] > places)
    return inside
