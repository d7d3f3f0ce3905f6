"""The trade's jargon, and brands, domains and card ranges of tenants, found in folded text (leftmost, longest, whole words).

L stands alone; M counts once; H counts only within 40 characters of another term or a field label. A page that talks of police,
courts and cases, and shows no rows, reports on the trade and does not take part in it.

    entries    written forms and what they mean: data files, labels, settings
    automaton  one text: pyahocorasick
    search     many texts in one buffer: the sieve (hyperscan) finds, numpy resolves
    records    words of somebody's record, counted in what somebody was found in
    terms      what comes of it
"""

from __future__ import annotations

from collections.abc import Sequence

from matcher.columns.batch import Batch
from matcher.detect.prescan import Seen, Sieve
from matcher.lexicon.automaton import Automaton
from matcher.lexicon.entries import Entry, Names, forms, lower, record_words, shipped_rows
from matcher.lexicon.records import Records
from matcher.lexicon.search import Search
from matcher.lexicon.terms import Hit, Terms
from ullage.vocabulary.lexicon import Row

__all__ = ["Entry", "Hit", "Lexicon", "Terms", "lower"]


class Lexicon:
    """All terms of `rows` (of this version by default), every tenant's `brands` (with its domains) and `bins` (6 to 8 digits).

    `records` finds the words of somebody's record.
    """

    def __init__(self, brands: Names, bins: Names | None = None, rows: Sequence[Row] = ()) -> None:
        known = rows or shipped_rows()
        found = forms(brands, bins or {}, known)
        self.records = Records(record_words(known))
        self._automaton, self._search = Automaton(found), Search(found)
        self.sieve = Sieve(self._search.patterns)

    def read(self, text: str) -> Terms:
        """Terms and brands in one folded text; places are characters."""
        return self._automaton.read(text)

    def words_in(self, text: str) -> list[Hit]:
        """Everything that is known in folded, lower-case `text`, in order: terms that count, labels, brands, words of context."""
        return self._automaton.words_in(text)

    def read_batch(self, batch: Batch, seen: Seen) -> Sequence[Terms]:
        """Terms and brands of each text in `batch`, the same as `read` finds; places are bytes from the text's begin.

        `seen` is what `sieve` saw in the batch.
        """
        return self._search.read(batch, seen.words)
