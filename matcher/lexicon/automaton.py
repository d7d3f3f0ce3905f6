"""One text at a time, by an Aho-Corasick automaton: for titles, and what the search in batches is tested against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import ahocorasick

from matcher.lexicon.entries import COMPANY, Entry, lower
from matcher.lexicon.terms import NEAR, Hit, Terms


class Automaton:
    """The automaton over all forms."""

    def __init__(self, forms: Mapping[str, Sequence[Entry]]) -> None:
        self._automaton = ahocorasick.Automaton()
        for form, entries in forms.items():
            self._automaton.add_word(form, (len(form), entries))
        self._automaton.make_automaton()

    def read(self, text: str) -> Terms:
        """Terms and brands in folded `text`, ambiguity resolved."""
        text = lower(text)
        hits = list(self.hits(text))
        counted = [h for i, h in enumerate(hits) if h.entry.kind == "term" and _counts(hits, i)]
        others = frozenset(h.entry for h in hits if h.entry.kind in ("brand", "context"))
        written = {hit.entry: text[hit.start : hit.end] for hit in reversed(counted)}
        return Terms(Counter(hit.entry for hit in counted), others, tuple(counted), written)

    def words_in(self, text: str) -> list[Hit]:
        """Everything that is known in lower-case `text`: labels, brands and words of context besides the terms that count."""
        hits = list(self.hits(text))
        return [hit for number, hit in enumerate(hits) if _counts(hits, number)]

    def hits(self, text: str) -> Iterator[Hit]:
        """Forms in lower-case `text`: of those that are whole words the leftmost, of these the longest."""
        found = [(last + 1 - length, last + 1, entries) for last, (length, entries) in self._automaton.iter(text)]
        free = 0
        for start, end, entries in sorted(found, key=lambda f: (f[0], -f[1])):
            if start >= free and _is_word(text, start, end):
                free = end
                yield from (Hit(start, end, entry) for entry in entries)


def _is_word(text: str, start: int, end: int) -> bool:
    """Latin forms must not be part of a longer word; Chinese needs no boundary."""
    if text[start].isascii() and text[start].isalnum() and start and text[start - 1].isascii() and text[start - 1].isalnum():
        return False
    return not (
        text[end - 1].isascii() and text[end - 1].isalnum() and end < len(text) and text[end].isascii() and text[end].isalnum()
    )


def _counts(hits: list[Hit], number: int) -> bool:
    """Whether what was found stands for what it means: an ambiguous term does only in company."""
    entry = hits[number].entry
    return entry.kind != "term" or entry.ambiguity != "H" or _has_company(hits, number)


def _has_company(hits: list[Hit], number: int) -> bool:
    """Whether another term, a label or a brand stands within 40 characters."""
    hit = hits[number]
    for step in (-1, 1):
        other = number + step
        while 0 <= other < len(hits):
            gap = hits[other].start - hit.end if step > 0 else hit.start - hits[other].end
            if gap > NEAR:
                break
            elsewhere = hits[other].start != hit.start  # a word that is both a term and a label is no company to itself
            if elsewhere and hits[other].entry.kind in COMPANY and hits[other].entry.id != hit.entry.id:
                return True
            other += step
    return False
