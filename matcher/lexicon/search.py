"""Many texts in one buffer: the sieve finds forms, and columns say which of them count.

    forms that mean something ─▶ whole words ─▶ labels around them ─▶ leftmost, longest ─▶ company ─▶ one Terms a text

Labels stand on every line of many a dump, so they are looked for only around what else was found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from matcher.columns.batch import Batch, Bytes, Flags, Places
from matcher.columns.classes import is_word
from matcher.columns.literals import Literals, Patterns, stretches, whole_words
from matcher.lexicon import resolve
from matcher.lexicon.entries import Entry, literals
from matcher.lexicon.resolve import Meanings
from matcher.lexicon.terms import NEAR, Hits, Terms


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


class Words:
    """Some of the forms, as byte strings to look for: `literals`."""

    def __init__(self, forms: Sequence[str], numbers: Sequence[int]) -> None:
        """Of the forms, those with these numbers."""
        wanted = [(number, literal) for number in numbers for literal in literals(forms[number])]
        self._form = np.array([number for number, _ in wanted], np.int64)
        self._length = np.array([len(literal) for _, literal in wanted], np.int64)
        self.literals = tuple(literal for _, literal in wanted)

    def whole(self, data: Bytes, hits: tuple[Places, Places]) -> Found:
        """Of `hits`, number in `literals` and end in `data`, those that are no part of a longer Latin word."""
        number, end = hits
        start = end - self._length[number]
        whole = ~(is_word(data[start]) & is_word(data[start - 1]) | is_word(data[end - 1]) & is_word(data[end]))
        return Found(self._form[number[whole]], start[whole], end[whole])


class Search:
    """The search over all forms."""

    def __init__(self, forms: Mapping[str, Sequence[Entry]]) -> None:
        words, meanings = list(forms), list(forms.values())
        self._forms = words
        is_label = [all(entry.kind == "label" for entry in entries) for entries in meanings]
        self._meanings = Meanings.of(meanings)
        self._words = Words(words, [n for n, label in enumerate(is_label) if not label])
        self._labels = Words(words, [n for n, label in enumerate(is_label) if label])
        self._label_literals = Literals(self._labels.literals)
        self._margin = 4 * NEAR + 2 * max(len(word.encode()) for word in words)

    @property
    def patterns(self) -> Patterns:
        """The forms that mean something: parts of longer words cost nothing."""
        return whole_words(self._words.literals)

    def read(self, batch: Batch, hits: tuple[Places, Places]) -> list[Terms]:
        """What each text of `batch` says, where `hits` of `patterns` were found: number and end, each i64[n]."""
        terms = [Terms()] * len(batch.starts)
        for document, said in self._documents(batch, hits):
            terms[document] = said
        return terms

    def _documents(self, batch: Batch, hits: tuple[Places, Places]) -> Iterator[tuple[int, Terms]]:
        """The texts that say something, by number."""
        found = self._words.whole(batch.data, hits)
        if not len(found.form):
            return
        around = stretches(found.start - self._margin, found.end + self._margin, len(batch.data))
        labels = self._labels.whole(batch.data, self._label_literals.find(batch.data, around))
        found = Found.joined([found, labels])
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
        first = np.flatnonzero(np.diff(owner, prepend=-1))  # they come by place
        behind = np.append(first, len(owner))[1:]
        for number, *borders in zip(owner[first].tolist(), first.tolist(), behind.tolist(), strict=True):
            own = slice(*borders)
            yield number, self._terms(found, place[own], entry[own], counts[own], int(batch.starts[number]))

    def _terms(self, found: Found, place: Places, entry: Places, counts: Flags, begin: int) -> Terms:
        """What one text says: `place` and `entry` i64[n] of what is shown there, `counts` bool[n]."""
        entries = self._meanings.entries
        counted, other = (np.bincount(entry[own]) for own in (counts, ~counts))
        tally = {entries[number]: int(counted[number]) for number in np.flatnonzero(counted).tolist()}
        others = frozenset(entries[number] for number in np.flatnonzero(other).tolist())
        at = place[counts]
        once, first = np.unique(entry[counts], return_index=True)
        forms = zip(once.tolist(), found.form[at[first]].tolist(), strict=True)
        written = {entries[number]: self._forms[form] for number, form in forms}
        hits = Hits(entries, found.start[at] - begin, found.end[at] - begin, entry[counts])
        return Terms(Counter(tally), others, hits, written)
