"""Many texts in one buffer: hyperscan finds forms, and columns say which of them count.

    forms that mean something ─▶ whole words ─▶ labels around them ─▶ leftmost, longest ─▶ company ─▶ one Terms a text

Labels stand on every line of many a dump, so they are looked for only around what else was found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from matcher.lexicon import resolve
from matcher.lexicon.entries import Entry, literals
from matcher.lexicon.resolve import Meanings
from matcher.lexicon.terms import NEAR, Hits, Terms
from matcher.scan.batch import Batch, Bytes, Places
from matcher.scan.classes import is_word
from matcher.scan.literals import Literals, stretches, whole_words
from matcher.scan.segment import Flags


@dataclass(frozen=True, slots=True)
class Found:
    """Forms in a buffer: number of the form and bytes [start, end), each i64[n]."""

    form: Places
    start: Places
    end: Places

    def take(self, which: Places | Flags) -> Found:
        """Some of them, by number or by flag."""
        return Found(self.form[which], self.start[which], self.end[which])

    @classmethod
    def joined(cls, parts: Sequence[Found]) -> Found:
        """All of `parts`, by start, and the longest first where they start together."""
        form, start, end = (np.concatenate([getattr(part, c) for part in parts]) for c in ("form", "start", "end"))
        return cls(form, start, end).take(np.lexsort((-end, start)))


class Finder:
    """Finds some of the forms in a buffer, as whole words."""

    def __init__(self, forms: Sequence[str], numbers: Sequence[int], *, quick: bool) -> None:
        """Of the forms, those with these numbers; with `quick`, parts of longer words cost nothing."""
        wanted = [(number, literal) for number in numbers for literal in literals(forms[number])]
        self._form = np.array([number for number, _ in wanted], np.int64)
        self._length = np.array([len(literal) for _, literal in wanted], np.int64)
        self._literals = (whole_words if quick else Literals)([literal for _, literal in wanted])

    def find(self, data: Bytes, stretches: Iterable[tuple[int, int]] | None = None) -> Found:
        """The forms in `data`, or in `stretches` of it, that are no part of a longer Latin word; overlapping ones too."""
        number, end = self._literals.find(data, stretches)
        start = end - self._length[number]
        whole = ~(is_word(data[start]) & is_word(data[start - 1]) | is_word(data[end - 1]) & is_word(data[end]))
        return Found(self._form[number[whole]], start[whole], end[whole])


class Search:
    """The search over all forms."""

    def __init__(self, forms: Mapping[str, Sequence[Entry]]) -> None:
        words, meanings = list(forms), list(forms.values())
        is_label = [all(entry.kind == "label" for entry in entries) for entries in meanings]
        self._meanings = Meanings.of(meanings)
        self._words = Finder(words, [n for n, label in enumerate(is_label) if not label], quick=True)
        self._labels = Finder(words, [n for n, label in enumerate(is_label) if label], quick=False)
        self._margin = 4 * NEAR + 2 * max(len(word.encode()) for word in words)

    def read(self, batch: Batch) -> list[Terms]:
        """What each text of `batch` says."""
        terms = [Terms()] * len(batch.starts)
        for document, said in self._documents(batch):
            terms[document] = said
        return terms

    def _documents(self, batch: Batch) -> Iterator[tuple[int, Terms]]:
        """The texts that say something, by number."""
        found = self._words.find(batch.data)
        if not len(found.form):
            return
        around = stretches(found.start - self._margin, found.end + self._margin, len(batch.data))
        found = Found.joined([found, self._labels.find(batch.data, around)])
        found = found.take(resolve.leftmost_longest(found.start, found.end))
        place, entry = self._meanings.of_forms(found.form)
        document = batch.documents(found.start)
        near = resolve.Near(batch, document, found.start, found.end, self._meanings.only[found.form])
        counts = self._meanings.is_term[entry]
        lonely = np.flatnonzero(self._meanings.needs_company[entry])
        counts[lonely] = near.has_company(place[lonely], self._meanings.company[entry[lonely]])
        shown = counts | self._meanings.is_other[entry]
        place, entry, counts = place[shown], entry[shown], counts[shown]
        owner = document[place]
        for number in np.unique(owner).tolist():
            own = slice(*np.searchsorted(owner, (number, number + 1)).tolist())
            yield number, self._terms(found, place[own], entry[own], counts[own], int(batch.starts[number]))

    def _terms(self, found: Found, place: Places, entry: Places, counts: Flags, begin: int) -> Terms:
        """What one text says: `place` and `entry` i64[n] of what is shown there, `counts` bool[n]."""
        entries = self._meanings.entries
        numbers, times = np.unique(entry[counts], return_counts=True)
        tally = {entries[number]: n for number, n in zip(numbers.tolist(), times.tolist(), strict=True)}
        others = frozenset(entries[number] for number in np.unique(entry[~counts]).tolist())
        at = place[counts]
        return Terms(Counter(tally), others, Hits(entries, found.start[at] - begin, found.end[at] - begin, entry[counts]))
