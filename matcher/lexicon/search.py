"""The lexicon's one engine: an Aho-Corasick automaton (pyahocorasick) over all forms, for titles, batches and files alike.

    text ─▶ forms, wherever they stand ─▶ whole words ─▶ the leftmost, of these the longest ─▶ company ─▶ `Terms`

The automaton reads bytes of UTF-8, each as one character (latin-1), three to six times as fast as text: its root has a tenth
of the branches to try that it has with Chinese characters.

A title is read whole. Of a batch, which may be a dump, only what stands around a word of the lexicon is read: the automaton alone
reads some 50 MB/s. Where such words stand the prescan has seen (hyperscan, with all else it looks for). It does not look for
field labels, which stand on every line of many a dump: they matter only near a word, and there the automaton finds them.

A flood of words costs Python some microseconds each, so it is not read to its end. If a text (one window of a long one) has more
than ENOUGH words, then of each form only the first and the last few are read around: as many as make about ENOUGH words in all,
one of each at least. So every different form that stands in a text is found and located, a brand behind a flood as well; what
stands within a flood of one ambiguous word, and is company to that word alone, may be missed; and how often a term is counted
is a lower bound.
"""

from __future__ import annotations

import math
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import ahocorasick
import numpy as np

from matcher.columns.batch import Batch, Bytes, Places
from matcher.columns.literals import Literals, once, stretches, whole_words
from matcher.detect.search import Prescan, Seen
from matcher.lexicon.entries import COMPANY, Entry, Names, forms, literals, lower, record_words, shipped_rows
from matcher.lexicon.terms import NEAR, Hit, Terms
from ullage.vocabulary.lexicon import Row

ENOUGH = 4096
"""Words of one text that are read in any case."""
LONGEST_CHARACTER = 4
"""Bytes."""
WITHIN_CHARACTERS = bytes(range(0x80, 0xC0))
"""The bytes of UTF-8 that begin no character."""
ALPHANUMERIC = frozenset(string.ascii_letters + string.digits)


class Lexicon:
    """All terms of `rows` (of this version by default), every tenant's `brands` (with its domains) and `bins` (6 to 8 digits).

    `prescan` is what `read_batch` goes by; `records` counts the words of somebody's record.
    """

    def __init__(self, brands: Names, bins: Names | None = None, rows: Sequence[Row] = ()) -> None:
        known = rows or shipped_rows()
        found = forms(brands, bins or {}, known)
        self.records = Records(record_words(known))
        self._automaton = _automaton(found)
        words = [form for form, entries in found.items() if any(entry.kind != "label" for entry in entries)]
        patterns = [(number, literal) for number, form in enumerate(words) for literal in literals(form)]
        self._form_of_pattern = np.array([number for number, _ in patterns], np.min_scalar_type(len(words)))
        self.prescan = Prescan(whole_words([literal for _, literal in patterns]))
        self._longest = max(form.size for form in self._automaton.values())
        self._margin = LONGEST_CHARACTER * NEAR + 3 * self._longest  # room for a word, its company, and one that is cut

    def read(self, text: str) -> Terms:
        """Terms and brands in one folded text; places are characters."""
        return Terms.of(self.words_in(text))

    def words_in(self, text: str) -> list[Hit]:
        """Everything that is known in folded `text`, in order: terms that count, labels, brands, words of context."""
        found = _meant(self._forms_in(lower(text).encode("utf-8", "surrogatepass")))
        return [Hit(form.at, form.behind, entry, form.form.text) for form, entry in found]

    def read_batch(self, batch: Batch, seen: Seen) -> Sequence[Terms]:
        """Terms and brands of each text in `batch`, as `read` finds them, floods apart; places are bytes from the text's begin.

        `seen` is what `prescan` saw in the batch.
        """
        terms = [Terms()] * len(batch.starts)
        number, end = seen.words
        order = np.argsort(end, kind="stable")
        form, end = self._form_of_pattern[number[order]], end[order]
        document = batch.documents(end - 1)
        borders = [*np.flatnonzero(np.diff(document, prepend=-1)).tolist(), len(end)]
        for first, last in pairwise(borders):
            text = int(document[first])
            begin = int(batch.starts[text])
            data = batch.data[begin : batch.ends[text]]
            terms[text] = Terms.of(self._read(data, self._stretches(form[first:last], end[first:last] - begin, len(data))))
        return terms

    def _stretches(self, form: Places, end: Places, size: int) -> Sequence[tuple[int, int]]:
        """What is read of a text of `size` bytes where forms were seen: `form` u[n] their numbers, `end` i64[n], ascending."""
        if len(form) <= ENOUGH:
            return list(stretches(end - self._margin, end + self._margin, size, apart=0))
        fewest, few = _fewest_beside(form), ENOUGH
        while True:
            known = end[fewest < few]
            around = list(stretches(known - self._margin, known + self._margin, size, apart=0))
            if few == 1 or np.diff(np.searchsorted(end, around)).sum() <= ENOUGH:
                return around
            few //= 2

    def _read(self, data: Bytes, around: Iterable[tuple[int, int]]) -> Iterator[Hit]:
        """What is known in the stretches `around` of `data`, the UTF-8 of one text; places are bytes."""
        for first, last in around:
            low, high = self._longest * (first > 0), last - first - self._longest * (last < len(data))
            for form, entry in _meant(self._forms_in(data[first:last].tobytes(), low, high)):
                yield Hit(first + form.start, first + form.end, entry, form.form.text)

    def _forms_in(self, raw: bytes, low: int = 0, high: int | None = None) -> Iterator[_Found]:
        """Forms in `raw`, a text's UTF-8: of those that are whole words the leftmost, of these the longest.

        Those not wholly in [`low`, `high`) are left out: beside a cut nobody knows whether they are part of more.
        """
        text, high = raw.lower().decode("latin-1"), len(raw) if high is None else high
        found = sorted((last + 1 - form.size, -last, form) for last, form in self._automaton.iter(text))
        free = counted = at = 0
        for start, minus_last, form in found:
            end = 1 - minus_last
            if start >= free and _is_word(text, start, end):
                free = end
                if start >= low and end <= high:
                    at += len(raw[counted:start].translate(None, WITHIN_CHARACTERS))
                    counted = start
                    yield _Found(start, end, at, at + len(form.text), form)


class Records:
    """The search for words of somebody's record, asked only of a text in which something was found: they stand all over dumps.

    `words` are folded, in lower case, as UTF-8.
    """

    def __init__(self, words: Sequence[bytes]) -> None:
        self._literals = Literals.of(once(words))

    def count(self, text: bytes) -> int:
        """How many different ones stand in folded `text`, which is UTF-8."""
        number, _ = self._literals.find(np.frombuffer(text, np.uint8))
        return len(np.unique(number))


class _Form(NamedTuple):
    """A form, how many bytes it has, and its meanings; beside `company`, ids, an ambiguous term of another id counts."""

    text: str
    size: int
    entries: tuple[Entry, ...]
    company: frozenset[str]
    is_ambiguous: bool


class _Found(NamedTuple):
    """A form at bytes [start, end), which are characters [at, behind)."""

    start: int
    end: int
    at: int
    behind: int
    form: _Form


def _automaton(known: Mapping[str, tuple[Entry, ...]]) -> ahocorasick.Automaton:
    automaton = ahocorasick.Automaton()
    for text, entries in known.items():
        company = frozenset(entry.id for entry in entries if entry.kind in COMPANY)
        is_ambiguous = any(entry.needs_company for entry in entries)
        for literal in literals(text):
            form = _Form(text, len(literal), entries, company, is_ambiguous)
            automaton.add_word(literal.decode("latin-1"), form)
    automaton.make_automaton()
    return automaton


def _is_word(text: str, start: int, end: int) -> bool:
    """Latin forms must not be part of a longer word; Chinese needs no boundary."""
    if start and text[start] in ALPHANUMERIC and text[start - 1] in ALPHANUMERIC:
        return False
    return not (end < len(text) and text[end - 1] in ALPHANUMERIC and text[end] in ALPHANUMERIC)


def _meant(forms: Iterable[_Found]) -> Iterator[tuple[_Found, Entry]]:
    """What forms stand for, in order of place: an ambiguous term only where it has company within NEAR characters."""
    found = list(forms)
    accompanied = set[tuple[int, str]]()
    if len(found) > 1 and any(one.form.is_ambiguous for one in found):
        mirrored = [_Found(-one.end, -one.start, -one.behind, -one.at, one.form) for one in reversed(found)]
        accompanied.update(_accompanied(found))
        accompanied.update((len(found) - 1 - number, name) for number, name in _accompanied(mirrored))
    for number, one in enumerate(found):
        for entry in one.form.entries:
            if not entry.needs_company or (number, entry.id) in accompanied:
                yield one, entry


def _accompanied(found: Iterable[_Found]) -> Iterator[tuple[int, str]]:
    """Ambiguous terms with another term, a label or a brand before them: the number in `found`, and the term's id.

    It takes the last form that is company and, in case that is the same term, the last that was another: a flood costs no more.
    """
    last = frozenset[str]()
    last_behind = other_behind = -math.inf
    for number, (_, _, at, behind, form) in enumerate(found):
        if form.is_ambiguous:
            for entry in form.entries:
                if entry.needs_company and at - (other_behind if last == {entry.id} else last_behind) <= NEAR:
                    yield number, entry.id
        if form.company:
            if form.company != last:
                last, other_behind = form.company, last_behind
            last_behind = behind


def _fewest_beside(form: Places) -> Places:
    """How many of the same form stand before or behind each hit, whichever are fewer: i64[n]. `form` u[n] numbers the forms."""
    order = np.argsort(form, kind="stable")  # of 16 bits: a radix sort
    first = np.flatnonzero(np.diff(form[order].astype(np.int64), prepend=-1))
    count = np.diff(first, append=len(form))
    before = np.arange(len(form)) - np.repeat(first, count)
    fewest = np.empty(len(form), np.int64)
    fewest[order] = np.minimum(before, np.repeat(count - 1, count) - before)
    return fewest
