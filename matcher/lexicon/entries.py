"""What is looked for: each written form, and what it may mean.

Terms are data (`ullage.vocabulary.lexicon`): a file a theme, with weight 1-5, ambiguity and source; words of context weigh
nothing. Field labels come from `detect/labels.tsv`; brands, domains and card ranges (BINs) from each tenant's settings. Every
form is found in simplified and in traditional characters, and in any case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

from matcher.detect.labelled import words
from matcher.text.fold import fold, fold_all, written
from ullage.vocabulary.lexicon import Row, themes

CONTEXT, RECORD = "CONTEXT", "record"
"""The category of words of context; the theme of them that makes a text somebody's record."""
BIN = "BIN"
"""How a card range is named in a finding: its digits never stand beside the tags of cards (PCI DSS 3.5.1)."""
BIN_FORMS = (
    *("{}开头", "{} 开头", "开头{}", "{}卡段", "{}段", "卡头{}", "卡头 {}", "卡头:{}", "卡bin{}", "卡bin {}", "卡bin:{}"),
    *("bin{}", "bin {}", "bin:{}", "bin: {}", "bin#{}", "bins {}", "bins: {}", "{}bin", "{} bin"),
)
"""How the trade names a card range: the digits alone stand at the head of every card number."""
COMPANY = ("term", "label", "brand")
"""Kinds of entries beside which an ambiguous term is taken at its word."""
Names = Mapping[str, Iterable[str]]


class Entry(NamedTuple):
    """One meaning of a form: the term it belongs to, the tenant whose brand it is, a field label, or a word of context.

    The category of a word of context is its theme.
    """

    kind: str
    id: str
    category: str = ""
    weight: int = 0
    ambiguity: str = "L"

    @property
    def brand(self) -> tuple[str, str]:
        """Tenant and name, of an entry of kind `brand`."""
        tenant, _, name = self.id.partition("\x1f")
        return tenant, name

    @property
    def needs_company(self) -> bool:
        """Whether it counts only near another term, a field label or a brand."""
        return self.kind == "term" and self.ambiguity == "H"

    def as_written(self, form: str) -> str:
        """How a word is shown that stands in a post as `form`, one of its own: the lexicon's spelling of that very form."""
        return self.id if form == folded(self.id) else form


def forms(brands: Names, bins: Names, rows: Iterable[Row]) -> dict[str, tuple[Entry, ...]]:
    """Every form, folded and in lower case, with its meanings; a form may belong to several terms or tenants."""
    found: dict[str, dict[Entry, None]] = {}
    pairs = [
        (form.encode("utf-8", "surrogatepass"), entry) for word, entry in _entries(brands, bins, rows) for form in written(word)
    ]
    texts = fold_all([form for form, _ in pairs])  # together: a fold each of a thousand words takes a tenth of a second
    for text, (_, entry) in zip(texts, pairs, strict=True):
        if form := lower(text.text).strip():
            found.setdefault(form, {})[entry] = None
    return {form: tuple(meanings) for form, meanings in found.items()}


def _entries(brands: Names, bins: Names, rows: Iterable[Row]) -> Iterator[tuple[str, Entry]]:
    for word in words():
        yield word, Entry("label", word)
    yield from _terms(rows)
    for tenant, names in brands.items():
        for name in names:
            yield name, Entry("brand", f"{tenant}\x1f{name}")
    for tenant, ranges in bins.items():
        for digits in ranges:
            for form in BIN_FORMS:
                yield form.format(digits), Entry("brand", f"{tenant}\x1f{BIN}")


def _terms(rows: Iterable[Row]) -> Iterator[tuple[str, Entry]]:
    """The terms, and the words of context."""
    for row in rows:
        entry = Entry("term", row.term, row.category, row.weight, row.ambiguity)
        if row.category == CONTEXT:
            entry = Entry("context", row.term, row.meaning)
        if entry.category != RECORD:
            yield from ((form, entry) for form in row.forms)


@cache
def shipped_rows() -> tuple[Row, ...]:
    """The terms of every theme that this version comes with."""
    return tuple(row for theme in themes().values() for row in theme.shipped().rules.rows)


def record_words(rows: Iterable[Row]) -> tuple[bytes, ...]:
    """The words of theme `record`, folded, in lower case, in both scripts, as UTF-8."""
    words = [row.term for row in rows if (row.category, row.meaning) == (CONTEXT, RECORD)]
    found = {lower(fold(form).text) for word in words for form in written(word)}
    return tuple(sorted(word.encode() for word in found))


@cache
def folded(word: str) -> str:
    """A word as it is looked for."""
    return lower(fold(word).text).strip()


def lower(text: str) -> str:
    """Lower case of the same length: one capital (İ) would become two characters, and is no i of any word here."""
    return text.replace("İ", "ı").lower()


def literals(form: str) -> tuple[bytes, ...]:
    """The UTF-8 of `form` in each case that a search which ignores the case of ASCII letters alone would miss."""
    cases = (form, form.upper(), form.title(), form.capitalize())
    return tuple(dict.fromkeys(case.encode().lower() for case in cases if lower(case) == form))
