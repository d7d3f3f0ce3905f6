"""Which of the forms that were found count: the rules of `automaton`, over columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from matcher.columns.batch import Batch, Flags, Places
from matcher.columns.ragged import ranges
from matcher.lexicon.entries import COMPANY, Entry
from matcher.lexicon.terms import NEAR

NOBODY, SEVERAL = -2, -1
LONGEST = 4
"""Bytes of the longest character."""
WINDOW, ROWS = 80, 4096
"""Bytes of a gap, and gaps, that are counted in one step."""


@dataclass(frozen=True, slots=True)
class Meanings:
    """Meanings of forms as columns.

    `entries` are all meanings; those of form f are `own`[`first`[f]:`first`[f + 1]]. For each entry: `is_term`, `needs_company`
    (a term of ambiguity H), `is_other` (brand or word of context), `company` the number of its id. For each form: `only`, the one
    number of its terms, labels and brands, SEVERAL or NOBODY: a form is company for a term of any other number.
    """

    entries: tuple[Entry, ...]
    first: Places
    own: Places
    only: Places
    is_term: Flags
    needs_company: Flags
    is_other: Flags
    company: Places

    @classmethod
    def of(cls, meanings: Sequence[Sequence[Entry]]) -> Meanings:
        """The columns of forms with these meanings."""
        entries = tuple(dict.fromkeys(entry for own in meanings for entry in own))
        number = {entry: n for n, entry in enumerate(entries)}
        ids = {name: n for n, name in enumerate(dict.fromkeys(entry.id for entry in entries))}
        company = [{ids[entry.id] for entry in own if entry.kind in COMPANY} for own in meanings]
        return cls(
            entries,
            np.cumsum([0, *map(len, meanings)]),
            np.array([number[entry] for own in meanings for entry in own], np.int64),
            np.array([NOBODY if not c else SEVERAL if len(c) > 1 else next(iter(c)) for c in company], np.int64),
            np.array([entry.kind == "term" for entry in entries], bool),
            np.array([entry.kind == "term" and entry.ambiguity == "H" for entry in entries], bool),
            np.array([entry.kind in ("brand", "context") for entry in entries], bool),
            np.array([ids[entry.id] for entry in entries], np.int64),
        )

    def of_forms(self, form: Places) -> tuple[Places, Places]:
        """The meanings of each of `form` i64[n]: place in `form`, and number of the entry, each i64[m], by place."""
        count = self.first[form + 1] - self.first[form]
        return np.repeat(np.arange(len(form)), count), self.own[ranges(self.first[form], count)]


def leftmost_longest(start: Places, end: Places) -> Flags:
    """Which of the stretches [start, end) stay when the leftmost wins, of these the longest: bool[n].

    They come by start, the longest first. A cluster of overlapping ones is mostly covered by its first; only others need a loop.
    """
    furthest = np.maximum.accumulate(end)
    kept = np.concatenate(([True], start[1:] >= furthest[:-1]))
    first = np.flatnonzero(kept)
    last = np.append(first[1:], len(start))
    for cluster in np.flatnonzero(end[first] < furthest[last - 1]).tolist():
        own = slice(int(first[cluster]), int(last[cluster]))
        free = 0
        for number, (begins, ends) in enumerate(zip(start[own].tolist(), end[own].tolist(), strict=True), own.start):
            kept[number] = begins >= free
            free = ends if begins >= free else free
    return kept


@dataclass(frozen=True, slots=True)
class Near:
    """Forms that stand apart, by place: document, bytes [start, end) of `batch`, and `only` of `Meanings`, each i64[n]."""

    batch: Batch
    document: Places
    start: Places
    end: Places
    only: Places

    def has_company(self, place: Places, company: Places) -> Flags:
        """Whether near each of `place` i64[m] stands a term, label or brand of another number than `company` i64[m]: bool[m].

        On either side only the next such form matters. Those of the same number stand in runs, which are jumped over.
        """
        somebody = np.flatnonzero(self.only != NOBODY)
        only = self.only[somebody]
        edge = np.flatnonzero(np.diff(only)) + 1
        before, behind = np.concatenate(([0], edge)), np.append(edge, len(only))
        found = np.zeros(len(place), bool)
        if not len(edge) and (company == only[:1]).all():  # one word over and over
            return found
        for step in (-1, 0):
            alone = np.flatnonzero(~found)  # in a flood of such forms hardly one is, once one side is known
            other = np.searchsorted(somebody, place[alone], "left" if step else "right") + step
            inside = np.flatnonzero((other >= 0) & (other < len(only)))
            same = inside[only[other[inside]] == company[alone[inside]]]
            if len(same):
                run = np.searchsorted(before, other[same], "right") - 1
                other[same] = before[run] - 1 if step else behind[run]
            asked = np.flatnonzero((other >= 0) & (other < len(only)))
            found[alone[asked]] = self._is_near(place[alone[asked]], somebody[other[asked]])
        return found

    def _is_near(self, place: Places, other: Places) -> Flags:
        """Whether at most 40 characters lie between the forms `place` and `other` of one document: bool[m]."""
        first = self.end[np.minimum(place, other)]
        last = self.start[np.maximum(place, other)]
        near: Flags = (last - first <= NEAR * LONGEST) & (self.document[place] == self.document[other])
        unsure = np.flatnonzero(near & (last - first > NEAR))
        if len(unsure):
            near[unsure] = characters(self.batch, first[unsure], last[unsure]) <= NEAR
        return near


def characters(batch: Batch, first: Places, last: Places) -> Places:
    """How many characters of UTF-8 lie in each [first, last) of at most 160 bytes: i64[n]."""
    count = np.zeros(len(first), np.int64)
    for row in range(0, len(first), ROWS):
        own = slice(row, row + ROWS)
        for offset in range(0, NEAR * LONGEST, WINDOW):
            begins = (batch.windows(first[own] + offset, WINDOW) & 0xC0) != 0x80  # a character's other bytes are 10xxxxxx
            inside = np.arange(offset, offset + WINDOW) < (last[own] - first[own])[:, None]
            count[own] += np.count_nonzero(begins & inside, axis=1)
    return count
