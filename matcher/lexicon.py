"""The trade's jargon, and brands, domains and card ranges of tenants, found in folded text
(leftmost, longest, whole words).

L stands alone; M counts once; H counts only within 40 characters of another term or a field label.
A page that talks of police, courts and cases, and shows no rows, reports on the trade and does not
take part in it.

What is looked for: terms are data (`ullage.vocabulary.lexicon`), a file a theme, with weight 1-5,
ambiguity and source; words of context weigh nothing. Field labels come from `detect/labels.tsv`;
brands, domains and card ranges (BINs) from each tenant's settings. Every form is found in
simplified and in traditional characters, and in any case.

There is one engine: an Aho-Corasick automaton (pyahocorasick) over all forms, for titles, batches
and files alike.

    text ─▶ forms, wherever they stand ─▶ whole words ─▶ the leftmost, of these the longest
         ─▶ company ─▶ `TextTerms`

The automaton reads bytes of UTF-8, each as one character (latin-1), three to six times as fast as
text: its root has a tenth of the branches to try that it has with Chinese characters.

A title is read whole. Of a batch, which may be a dump, only what stands around a word of the
lexicon is read: the automaton alone reads some 50 MB/s. Where such words stand the prescan has seen
(hyperscan, with all else it looks for). It does not look for field labels, which stand on every
line of many a dump: they matter only near a word, and there the automaton finds them.

A flood of words costs Python some microseconds each, so it is not read to its end. If a text (one
window of a long one) has more than ENOUGH words, then of each form only the first and the last few
are read around: as many as make about ENOUGH words in all, one of each at least. So every different
form that stands in a text is found and located, a brand behind a flood as well; what stands within
a flood of one ambiguous word, and is company to that word alone, may be missed; and how often a
term is counted is a lower bound.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import pairwise
from typing import NamedTuple

import ahocorasick
import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Batch, Bytes, Places
from matcher.columns.literals import Literals, once, stretches, whole_words
from matcher.detect.labels import words
from matcher.detect.search import Prescan, PrescanHits
from matcher.text.fold import fold, fold_all, list_scripts
from ullage.records import Term
from ullage.vocabulary.fields import SURNAMES
from ullage.vocabulary.lexicon import SALE, SIDES, LexiconTerm, is_offer, is_traded, list_themes

CONTEXT, RECORD = "CONTEXT", "record"
"""The category of words of context; the theme of them that makes a text somebody's record."""
BIN = "BIN"
"""How a card range is named in a finding: its digits never stand beside the tags of cards (PCI
DSS 3.5.1).
"""
BIN_FORMS = (
    *(
        "{}开头",
        "{} 开头",
        "开头{}",
        "{}卡段",
        "{}段",
        "卡头{}",
        "卡头 {}",
        "卡头:{}",
        "卡bin{}",
        "卡bin {}",
        "卡bin:{}",
    ),
    *("bin{}", "bin {}", "bin:{}", "bin: {}", "bin#{}", "bins {}", "bins: {}", "{}bin", "{} bin"),
)
"""How the trade names a card range: the digits alone stand at the head of every card number."""
COMPANY = ("term", "label", "brand")
"""Kinds of entries beside which an ambiguous term is taken at its word."""
Names = Mapping[str, Iterable[str]]


class LexiconEntry(NamedTuple):
    """One meaning of a form: a term, a tenant's brand, a field label or a context word.

    The category of a context word is its theme.
    """

    kind: str
    id: str
    category: str = ""
    weight: int = 0
    ambiguity: str = "L"

    @property
    def brand(self) -> tuple[str, str]:
        """Return tenant and name of an entry of kind `brand`."""
        tenant, _, name = self.id.partition("\x1f")
        return tenant, name

    @property
    def needs_company(self) -> bool:
        """Return whether the term counts only near another term, a field label or a brand."""
        return self.kind == "term" and self.ambiguity == "H"

    def spell(self, form: str) -> str:
        """Return how to show a word that a post writes as `form`, as the lexicon spells it."""
        return self.id if form == fold_word(self.id) else form


def collect_forms(
    brands: Names, bins: Names, rows: Iterable[LexiconTerm]
) -> dict[str, tuple[LexiconEntry, ...]]:
    """Return every form, folded and in lower case, with its meanings.

    One form may belong to several terms or tenants.
    """
    meanings_of: dict[str, dict[LexiconEntry, None]] = {}
    pairs = [
        (form.encode("utf-8", "surrogatepass"), entry)
        for word, entry in _list_entries(brands, bins, rows)
        for form in list_scripts(word)
    ]
    # together: a fold each of a thousand words takes a tenth of a second
    texts = fold_all([form for form, _ in pairs])
    for text, (_, entry) in zip(texts, pairs, strict=True):
        if form := lower(text.text).strip():
            meanings_of.setdefault(form, {})[entry] = None
    return {form: tuple(meanings) for form, meanings in meanings_of.items()}


def _list_entries(
    brands: Names, bins: Names, rows: Iterable[LexiconTerm]
) -> Iterator[tuple[str, LexiconEntry]]:
    for word in words():
        yield word, LexiconEntry("label", word)
    for row in rows:
        entry = LexiconEntry("term", row.term, row.category, row.weight, row.ambiguity)
        if row.category == CONTEXT:
            entry = LexiconEntry("context", row.term, row.meaning)
        if entry.category != RECORD:
            yield from ((form, entry) for form in row.forms)
    for tenant, names in brands.items():
        for name in names:
            yield name, LexiconEntry("brand", f"{tenant}\x1f{name}")
    for tenant, ranges in bins.items():
        for digits in ranges:
            for form in BIN_FORMS:
                yield form.format(digits), LexiconEntry("brand", f"{tenant}\x1f{BIN}")


@cache
def load_shipped_terms() -> tuple[LexiconTerm, ...]:
    """Return the terms of every theme that this version ships."""
    return tuple(row for theme in list_themes().values() for row in theme.load_shipped().rules.rows)


def list_record_words(rows: Iterable[LexiconTerm]) -> tuple[bytes, ...]:
    """Return the words of theme `record`, folded, in lower case, in both scripts, as UTF-8."""
    words = [row.term for row in rows if (row.category, row.meaning) == (CONTEXT, RECORD)]
    folded_words = {lower(fold(form).text) for word in words for form in list_scripts(word)}
    return tuple(sorted(word.encode() for word in folded_words))


@cache
def fold_word(word: str) -> str:
    """Return `word` in the form in which the search compares it."""
    return lower(fold(word).text).strip()


def lower(text: str) -> str:
    """Return `text` in lower case, with the same length.

    Python turns one capital (İ) into two characters; it occurs in no word of the lexicon.
    """
    return text.replace("İ", "ı").lower()


def literals(form: str) -> tuple[bytes, ...]:
    """Return the UTF-8 of `form` in each case for which the search must look.

    The search ignores the case of ASCII letters only, so other letters need a variant each.
    """
    cases = (form, form.upper(), form.title(), form.capitalize())
    return tuple(dict.fromkeys(case.encode().lower() for case in cases if lower(case) == form))


ADDRESSED = frozenset(("qq",))
"""Means of contact that are domains of addresses as well."""
DOMAINS = frozenset(word.encode() for word in ADDRESSED)
NEAR = 40
"""Characters within which a term of ambiguity H needs another term, a field label or a tenant's
brand.
"""


class Hit(NamedTuple):
    """A form found at [start, end): characters of a text, or bytes of a document in a batch.

    `form` is as the lexicon has it.
    """

    start: int
    end: int
    entry: LexiconEntry
    form: str


@dataclass(frozen=True)
class TextTerms:
    """Terms, brands and context words that the lexicon finds in one text."""

    counts: Mapping[LexiconEntry, int] = field(default_factory=dict)
    """How often each term stands there and may count; in a flood at least so often."""
    others: frozenset[LexiconEntry] = frozenset()
    """Brands that are named, and words of context."""
    hits: Sequence[Hit] = ()
    """Where the terms that count stand."""
    written: Mapping[LexiconEntry, str] = field(default_factory=dict)
    """The form in which each of them stands there first."""
    sale_hits: Sequence[Hit] = ()
    """Where brands and plain words of a sale stand."""

    @classmethod
    def from_hits(cls, found_hits: Iterable[Hit]) -> TextTerms:
        """Return the terms, brands and context words of hits in order of place."""
        hits = tuple(found_hits)
        counted = tuple(hit for hit in hits if hit.entry.kind == "term")
        brands_and_context = frozenset(
            hit.entry for hit in hits if hit.entry.kind in ("brand", "context")
        )
        written = {hit.entry: hit.form for hit in reversed(counted)}
        sales = tuple(
            hit for hit in hits if hit.entry.kind == "brand" or hit.entry.category == SALE
        )
        return cls(
            Counter(hit.entry for hit in counted), brands_and_context, counted, written, sales
        )

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """Return the terms that count, heaviest first; a term of ambiguity M counts once."""
        heaviest = sorted(self.counts, key=lambda e: (-e.weight, e.id))
        return tuple(
            Term(
                id=e.id,
                category=e.category,
                weight=e.weight,
                count=1 if e.ambiguity == "M" else self.counts[e],
                written=e.spell(self.written[e]),
            )
            for e in heaviest
        )

    @cached_property
    def brands(self) -> dict[str, tuple[str, ...]]:
        """Return the brands that the text names, by tenant."""
        named: dict[str, set[str]] = {}
        for tenant, name in (entry.brand for entry in self.others if entry.kind == "brand"):
            named.setdefault(tenant, set()).add(name)
        return {tenant: tuple(sorted(names)) for tenant, names in sorted(named.items())}

    @cached_property
    def context(self) -> dict[str, int]:
        """Return how many different context words of each theme occur in the text.

        A term that belongs to one side of the trade is also a context word of that side.
        """
        themes = [entry.category for entry in self.others if entry.kind == "context"]
        sides = [entry.category.lower() for entry in self.counts if entry.category in SIDES]
        return dict(sorted(Counter(themes + sides).items()))

    @property
    def is_traded(self) -> bool:
        """Return whether the text has a word of a sale or names a marketplace."""
        return is_traded(self._weights(), self.context)

    def _weights(self) -> Iterator[tuple[str, int]]:
        """Yield category and weight of each term that counts."""
        return ((term.category, term.weight) for term in self.terms)

    def offers(self, tenant: str, rows: int = 0, claimed: int = 0) -> bool:
        """Return whether the text offers data of `tenant`: its brand beside a sale or jargon.

        A report on the trade does not offer data, nor does a complaint, unless it shows `rows` as a
        seller's sample does. `claimed` is how many people or rows the text claims to have,
        0 for none.
        """
        return tenant in self.brands and is_offer(self._weights(), self.context, rows, claimed)

    def add_title(self, title: TextTerms) -> TextTerms:
        """Return these terms together with those of the title.

        Counts are added; hits stay those of the text.
        """
        if not (title.counts or title.others):
            return self
        counts = Counter(self.counts) + Counter(title.counts)
        written = {**self.written, **title.written}
        return TextTerms(counts, self.others | title.others, self.hits, written, self.sale_hits)


ENOUGH = 4096
"""Words of one text that are read in any case."""
LONGEST_CHARACTER = 4
"""Bytes."""
WITHIN_CHARACTERS = bytes(range(0x80, 0xC0))
"""The bytes of UTF-8 that begin no character."""
ALPHANUMERIC = frozenset(string.ascii_letters + string.digits)
HAN = "[\xe4-\xe9][\x80-\xbf]{2}"
"""A Han character in UTF-8, whose bytes are read as latin-1."""
NAMED = re.compile(f"(?:{HAN}){{1,2}}(?!{HAN})")
"""The given name behind a surname."""
HAN_CHARACTER = re.compile(HAN)
HAN_LEADS, HAN_BYTES = (0xE4, 0xE9), 3


class Lexicon:
    """Terms of `rows` (default: those of this version) and each tenant's brands and card ranges.

    `brands` include a tenant's domains; `bins` have 6 to 8 digits. `prescan` finds the words in a
    batch for `read_batch`; `records` counts words that describe a person's record.
    """

    def __init__(
        self, brands: Names, bins: Names | None = None, rows: Sequence[LexiconTerm] | None = None
    ) -> None:
        terms = load_shipped_terms() if rows is None else rows
        meanings = collect_forms(brands, bins or {}, terms)
        self.records = Records(list_record_words(terms))
        self._automaton = _build_automaton(meanings)
        words = [
            form
            for form, entries in meanings.items()
            if any(entry.kind != "label" for entry in entries)
        ]
        patterns = [
            (number, literal) for number, form in enumerate(words) for literal in literals(form)
        ]
        self._form_of_pattern = np.array(
            [number for number, _ in patterns], np.min_scalar_type(len(words))
        )
        self._is_surname = np.array([form in _surnames() for form in words])
        self.prescan = Prescan(whole_words([literal for _, literal in patterns], DOMAINS))
        self._longest = max(form.size for form in self._automaton.values())
        # room for a word, its company, and one that is cut
        self._margin = LONGEST_CHARACTER * NEAR + 3 * self._longest

    def read(self, text: str) -> TextTerms:
        """Return terms and brands of one folded text; places are characters."""
        return TextTerms.from_hits(self.find_words(text))

    def find_words(self, text: str) -> list[Hit]:
        """Return everything that the lexicon knows in folded `text`, in order of place.

        That is terms that count, labels, brands and context words.
        """
        meanings = _resolve_meanings(self._find_forms(lower(text).encode("utf-8", "surrogatepass")))
        return [Hit(form.at, form.behind, entry, form.form.text) for form, entry in meanings]

    def read_batch(self, batch: Batch, prescan_hits: PrescanHits) -> Sequence[TextTerms]:
        """Return terms and brands of each text in `batch`, as `read` finds them except in floods.

        In a text with over ENOUGH (4,096) hits only a part is read. A text without hits gets empty
        TextTerms. Places are bytes from the text's start. `prescan_hits` are the hits of `prescan`
        in the batch.
        """
        terms = [TextTerms()] * len(batch.starts)
        number, end = prescan_hits.words
        form = self._form_of_pattern[number]
        is_name = self._is_surname[form]
        is_name[is_name] = _begin_names(batch.data, end[is_name])
        form, end = form[~is_name], end[~is_name]
        order = np.argsort(end, kind="stable")
        form, end = form[order], end[order]
        document = batch.documents(end - 1)
        borders = [*np.flatnonzero(np.diff(document, prepend=-1)).tolist(), len(end)]
        for first, last in pairwise(borders):
            text = int(document[first])
            begin = int(batch.starts[text])
            data = batch.data[begin : batch.ends[text]]
            terms[text] = TextTerms.from_hits(
                self._read(
                    data,
                    self._choose_stretches(form[first:last], end[first:last] - begin, len(data)),
                )
            )
        return terms

    def _choose_stretches(self, form: Places, end: Places, size: int) -> Sequence[tuple[int, int]]:
        """Return the stretches to read of a text of `size` bytes, given the forms that it contains.

        `form` u[n] are their numbers; `end` i64[n], ascending. Up to ENOUGH (4,096) hits all are
        read. Beyond, hits in the middle of many repetitions of one form are left out until few
        enough remain; the first and the last hit of each form always stay.
        """
        if len(form) <= ENOUGH:
            return list(stretches(end - self._margin, end + self._margin, size, apart=0))
        fewest, limit = _count_repeats(form), ENOUGH
        while True:
            near_ends = end[fewest < limit]
            around = list(
                stretches(near_ends - self._margin, near_ends + self._margin, size, apart=0)
            )
            if limit == 1 or np.diff(np.searchsorted(end, around)).sum() <= ENOUGH:
                return around
            limit //= 2

    def _read(self, data: Bytes, around: Iterable[tuple[int, int]]) -> Iterator[Hit]:
        """Yield the lexicon's hits in the stretches `around` of `data`, the UTF-8 of one text.

        Places are bytes.
        """
        for first, last in around:
            low, high = (
                self._longest * (first > 0),
                last - first - self._longest * (last < len(data)),
            )
            for form, entry in _resolve_meanings(
                self._find_forms(data[first:last].tobytes(), low, high)
            ):
                yield Hit(first + form.start, first + form.end, entry, form.form.text)

    def _find_forms(
        self, raw: bytes, low: int = 0, high: int | None = None
    ) -> Iterator[_TermMatch]:
        """Yield the forms in `raw`, a text's UTF-8: whole words, leftmost first, then longest.

        Forms not wholly in [`low`, `high`) are omitted: beside a cut they may be part of a
        longer word.
        """
        text, high = raw.lower().decode("latin-1"), len(raw) if high is None else high
        candidates = sorted(
            (last + 1 - form.size, -last, form) for last, form in self._automaton.iter(text)
        )
        free = counted = at = 0
        for start, minus_last, form in candidates:
            end = 1 - minus_last
            is_whole = not (form.is_surname and _begins_name(text, start, end))
            if start >= free and is_whole and _is_word(text, start, end):
                free = end
                if start >= low and end <= high:
                    at += len(raw[counted:start].translate(None, WITHIN_CHARACTERS))
                    counted = start
                    yield _TermMatch(start, end, at, at + len(form.text), form)


class Records:
    """Search for the words that describe a person's record.

    It runs only on texts with a finding, because dumps are full of these words. `words` are folded,
    in lower case, as UTF-8.
    """

    def __init__(self, words: Sequence[bytes]) -> None:
        self._literals = Literals(*once(words))

    def count(self, text: bytes) -> int:
        """Return how many different record words occur in folded `text`, which is UTF-8."""
        number, _ = self._literals.find(np.frombuffer(text, np.uint8))
        return len(np.unique(number))


class _Form(NamedTuple):
    """A form, its size in bytes and its meanings.

    `company` are the term ids beside which an ambiguous term of another id counts. What
    `is_surname` is no term at the head of a name.
    """

    text: str
    size: int
    entries: tuple[LexiconEntry, ...]
    company: frozenset[str]
    is_ambiguous: bool
    is_surname: bool


class _TermMatch(NamedTuple):
    """A form at bytes [start, end), which are characters [at, behind)."""

    start: int
    end: int
    at: int
    behind: int
    form: _Form


def _build_automaton(meanings_of: Mapping[str, tuple[LexiconEntry, ...]]) -> ahocorasick.Automaton:
    automaton = ahocorasick.Automaton()
    for text, entries in meanings_of.items():
        company = frozenset(entry.id for entry in entries if entry.kind in COMPANY)
        is_ambiguous = any(entry.needs_company for entry in entries)
        for literal in literals(text):
            form = _Form(text, len(literal), entries, company, is_ambiguous, text in _surnames())
            automaton.add_word(literal.decode("latin-1"), form)
    automaton.make_automaton()
    return automaton


def _is_word(text: str, start: int, end: int) -> bool:
    """Return whether a form is a whole word.

    Latin forms must not be part of a longer word, nor the domain of an address; Chinese needs no
    boundary.
    """
    if (
        start
        and text[start - 1] == "@"
        and text[end : end + 1] == "."
        and text[start:end] in ADDRESSED
    ):
        return False
    if start and text[start] in ALPHANUMERIC and text[start - 1] in ALPHANUMERIC:
        return False
    return not (end < len(text) and text[end - 1] in ALPHANUMERIC and text[end] in ALPHANUMERIC)


@cache
def _surnames() -> frozenset[str]:
    """Return the surnames of one character, in both scripts."""
    return frozenset(form for surname in SURNAMES for form in list_scripts(surname))


def _begins_name(text: str, start: int, end: int) -> bool:
    """Return whether the surname at [start, end) begins a name, as in `马晓红`.

    A name is two or three Han characters that stand alone.
    """
    before = start - HAN_BYTES
    return NAMED.match(text, end) is not None and not (
        before >= 0 and HAN_CHARACTER.match(text, before)
    )


def _begin_names(data: Bytes, end: Places) -> npt.NDArray[np.bool_]:
    """Return whether each surname, which ends at `end` in UTF-8, begins a name: bool[n].

    As `_begins_name` decides, for many places at once.
    """

    def is_han(place: Places) -> npt.NDArray[np.bool_]:
        lead, last = (data.take(place + at, mode="clip") for at in (0, HAN_BYTES - 1))
        is_lead: npt.NDArray[np.bool_] = (
            (lead >= HAN_LEADS[0]) & (lead <= HAN_LEADS[1]) & (last >= 0x80)
        )
        return is_lead

    follows = is_han(end) & ~(is_han(end + HAN_BYTES) & is_han(end + 2 * HAN_BYTES))
    before = end - 2 * HAN_BYTES
    named: npt.NDArray[np.bool_] = follows & ~((before >= 0) & is_han(before))
    return named


def _resolve_meanings(forms: Iterable[_TermMatch]) -> Iterator[tuple[_TermMatch, LexiconEntry]]:
    """Yield each form with each of its meanings, in order of place.

    A meaning that needs company is yielded only where another term, a label or a brand is within
    NEAR (40) characters before or behind.
    """
    matches = list(forms)
    accompanied = set[tuple[int, str]]()
    if len(matches) > 1 and any(match.form.is_ambiguous for match in matches):
        mirrored = [
            _TermMatch(-match.end, -match.start, -match.behind, -match.at, match.form)
            for match in reversed(matches)
        ]
        accompanied.update(_find_accompanied(matches))
        accompanied.update(
            (len(matches) - 1 - number, name) for number, name in _find_accompanied(mirrored)
        )
    for number, match in enumerate(matches):
        for entry in match.form.entries:
            if not entry.needs_company or (number, entry.id) in accompanied:
                yield match, entry


def _find_accompanied(matches: Iterable[_TermMatch]) -> Iterator[tuple[int, str]]:
    """Yield the ambiguous terms that count: number of the match and id of the term.

    Those count whose entry needs company and has it: another term, a label or a brand that ends at
    most `NEAR` characters before.

    It remembers the last form that is company and the last one before it with different ids, so a
    flood costs linear time.
    """
    last = frozenset[str]()
    last_behind = other_behind = -math.inf
    for number, (_, _, at, behind, form) in enumerate(matches):
        if form.is_ambiguous:
            for entry in form.entries:
                if (
                    entry.needs_company
                    and at - (other_behind if last == {entry.id} else last_behind) <= NEAR
                ):
                    yield number, entry.id
        if form.company:
            if form.company != last:
                last, other_behind = form.company, last_behind
            last_behind = behind


def _count_repeats(form: Places) -> Places:
    """Return how many hits of the same form precede or follow each hit, whichever is fewer: i64[n].

    `form` u[n] numbers the forms.
    """
    order = np.argsort(form, kind="stable")  # of 16 bits: a radix sort
    first = np.flatnonzero(np.diff(form[order].astype(np.int64), prepend=-1))
    count = np.diff(first, append=len(form))
    before = np.arange(len(form)) - np.repeat(first, count)
    fewest = np.empty(len(form), np.int64)
    fewest[order] = np.minimum(before, np.repeat(count - 1, count) - before)
    return fewest
