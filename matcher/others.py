"""Rows that name another platform, by the names that a tenant's settings give: a list of that platform's says so, row by row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from matcher.batches import Searched
from matcher.lexicon.entries import Entry, forms
from matcher.lexicon.resolve import leftmost_longest
from matcher.lexicon.search import Found, Words
from matcher.scan.batch import Places
from matcher.scan.literals import Literals
from matcher.scan.segment import Flags

OTHER = "other"
"""The kind of name that is not the tenant's own."""


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
        known = {form: meanings for form, meanings in known.items() if any(entry.kind == "brand" for entry in meanings)}
        self._words = Words(list(known), range(len(known)))
        self._is_other = np.array([_is_other(meanings) for meanings in known.values()], bool)
        self._literals = Literals(self._words.literals)

    def find(self, searched: Searched) -> tuple[Places, Flags]:
        """Where names begin in a batch, the longest of those that overlap, and whether each is another's."""
        data = searched.batch.data
        found = Found.joined([self._words.whole(data, self._literals.find(data))])
        found = found.take(leftmost_longest(found.start, found.end)) if len(found.form) else found
        found = found.take(~_inside(searched, found.start))
        return found.start, self._is_other[found.form]


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
