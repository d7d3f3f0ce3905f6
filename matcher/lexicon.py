"""The trade's jargon, found by an Aho-Corasick automaton in one pass (leftmost, longest).

Terms are data: a file a theme in `lexicons/`, with weight 1–5, ambiguity and source. L stands alone; M counts once; H
counts only within 40 characters of another term or a field label. Latin terms need word boundaries. A page that talks
of police, courts and cases, and shows no rows, reports on the trade and does not take part in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import NamedTuple

import ahocorasick

from matcher.labels import words
from matcher.text.fold import fold
from ullage.records import Term

NEAR = 40
REPORTING = ("警方", "法院", "判处", "提醒", "案例", "民警", "检察院", "反诈")
REPORTING_WORDS = 2
SAMPLE_ROWS = 3
OFFER_WEIGHT = 5
SELLING = frozenset(("DATA", "TRADE", "QUAL", "CARD", "CRED", "SERV", "LOAN", "ID"))


class Entry(NamedTuple):
    """One surface form: the term it belongs to, or the tenant whose brand it is, or a label's or reporting word."""

    kind: str
    id: str
    category: str = ""
    weight: int = 0
    ambiguity: str = "L"


class Hit(NamedTuple):
    """A surface form found in folded text at [start, end)."""

    start: int
    end: int
    entry: Entry


@dataclass(slots=True)
class Terms:
    """What the lexicon says of one text."""

    terms: tuple[Term, ...] = ()
    brands: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Tenant to the brands of it that are named."""
    reporting: bool = False
    hits: tuple[Hit, ...] = ()
    """Where the terms that count stand."""

    def offers(self, tenant: str, rows: int = 0) -> bool:
        """Whether the text offers data of `tenant`: its brand beside jargon of enough weight.

        A report on the trade does not, unless it shows `rows` as a seller's sample does.
        """
        selling = [t for t in self.terms if t.category in SELLING]
        reporting = self.reporting and rows < SAMPLE_ROWS
        return tenant in self.brands and not reporting and sum(t.weight for t in selling) >= OFFER_WEIGHT


class Lexicon:
    """The automaton over all terms and every tenant's brands and domains."""

    def __init__(self, brands: Mapping[str, Iterable[str]]) -> None:
        self._automaton = ahocorasick.Automaton()
        for form, entry in self._entries(brands):
            folded = lower(fold(form).text)
            held = self._automaton.get(folded, None)
            self._automaton.add_word(folded, (len(folded), [*(held[1] if held else []), entry]))
        self._automaton.make_automaton()

    @staticmethod
    def _entries(brands: Mapping[str, Iterable[str]]) -> Iterable[tuple[str, Entry]]:
        for form in words():
            yield form, Entry("label", form)
        for form in REPORTING:
            yield form, Entry("reporting", form)
        for file in sorted(resources.files(__package__).joinpath("lexicons").iterdir(), key=lambda f: f.name):
            for line in file.read_text(encoding="utf-8").splitlines():
                if line and not line.startswith("#"):
                    term, also, _, category, _, weight, ambiguity, *_ = line.split("\t")
                    for form in (term, *filter(None, also.split(";"))):
                        yield form, Entry("term", term, category, int(weight), ambiguity)
        for tenant, names in brands.items():
            for name in names:
                yield name, Entry("brand", f"{tenant}\x1f{name}")

    def read(self, text: str) -> Terms:
        """Terms and brands in folded `text`, ambiguity resolved."""
        hits = list(self._hits(lower(text)))
        counted = [
            h for i, h in enumerate(hits) if h.entry.kind == "term" and (h.entry.ambiguity != "H" or _has_company(hits, i))
        ]
        brands: dict[str, set[str]] = {}
        for hit in hits:
            if hit.entry.kind == "brand":
                tenant, _, name = hit.entry.id.partition("\x1f")
                brands.setdefault(tenant, set()).add(name)
        reporting = len({h.entry.id for h in hits if h.entry.kind == "reporting"}) >= REPORTING_WORDS
        return Terms(_count(counted), {t: tuple(sorted(n)) for t, n in brands.items()}, reporting, tuple(counted))

    def _hits(self, text: str) -> Iterator[Hit]:
        """Surface forms in lower-case `text`: of those that are whole words the leftmost, of these the longest."""
        found = [(last + 1 - length, last + 1, entries) for last, (length, entries) in self._automaton.iter(text)]
        free = 0
        for start, end, entries in sorted(found, key=lambda f: (f[0], -f[1])):
            if start >= free and _is_word(text, start, end):
                free = end
                yield from (Hit(start, end, entry) for entry in entries)


def lower(text: str) -> str:
    """Lower case of the same length: one capital (İ) would become two characters."""
    return text.replace("İ", "i").lower()


def _is_word(text: str, start: int, end: int) -> bool:
    """Latin forms must not be part of a longer word; Chinese needs no boundary."""
    if text[start].isascii() and text[start].isalnum() and start and text[start - 1].isascii() and text[start - 1].isalnum():
        return False
    return not (
        text[end - 1].isascii() and text[end - 1].isalnum() and end < len(text) and text[end].isascii() and text[end].isalnum()
    )


def _has_company(hits: list[Hit], number: int) -> bool:
    """Whether another term, or a label, stands within 40 characters."""
    hit = hits[number]
    for step in (-1, 1):
        other = number + step
        while 0 <= other < len(hits):
            gap = hits[other].start - hit.end if step > 0 else hit.start - hits[other].end
            if gap > NEAR:
                break
            elsewhere = hits[other].start != hit.start  # a word that is both a term and a label is no company to itself
            if elsewhere and hits[other].entry.kind in ("term", "label") and hits[other].entry.id != hit.entry.id:
                return True
            other += step
    return False


def _count(hits: Iterable[Hit]) -> tuple[Term, ...]:
    counts = Counter(hit.entry for hit in hits)
    return tuple(
        Term(id=e.id, category=e.category, weight=e.weight, count=1 if e.ambiguity == "M" else n)
        for e, n in sorted(counts.items(), key=lambda item: (-item[0].weight, item[0].id))
    )
