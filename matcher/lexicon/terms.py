"""What the lexicon says of a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from matcher.lexicon.entries import Entry
from ullage.records import Term
from ullage.vocabulary.lexicon import SIDES, is_offer

NEAR = 40
"""Characters within which a term of ambiguity H needs another term, a field label or a tenant's brand."""


class Hit(NamedTuple):
    """A form found at [start, end): characters of a text, or bytes of a document in a batch. `form` is as the lexicon has it."""

    start: int
    end: int
    entry: Entry
    form: str


@dataclass(frozen=True)
class Terms:
    """What the lexicon says of one text."""

    counts: Mapping[Entry, int] = field(default_factory=dict)
    """How often each term stands there and may count; in a flood at least so often (see `search`)."""
    others: frozenset[Entry] = frozenset()
    """Brands that are named, and words of context."""
    hits: Sequence[Hit] = ()
    """Where the terms that count stand."""
    written: Mapping[Entry, str] = field(default_factory=dict)
    """The form in which each of them stands there first."""

    @classmethod
    def of(cls, found: Iterable[Hit]) -> Terms:
        """What `found` says, by place: terms that count, brands, words of context and labels."""
        hits = tuple(found)
        counted = tuple(hit for hit in hits if hit.entry.kind == "term")
        others = frozenset(hit.entry for hit in hits if hit.entry.kind in ("brand", "context"))
        written = {hit.entry: hit.form for hit in reversed(counted)}
        return cls(Counter(hit.entry for hit in counted), others, counted, written)

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """Those that count, the heaviest first; one of ambiguity M counts once."""
        heaviest = sorted(self.counts, key=lambda e: (-e.weight, e.id))
        return tuple(
            Term(
                id=e.id,
                category=e.category,
                weight=e.weight,
                count=1 if e.ambiguity == "M" else self.counts[e],
                written=e.as_written(self.written[e]),
            )
            for e in heaviest
        )

    @cached_property
    def brands(self) -> dict[str, tuple[str, ...]]:
        """Tenant to the brands of it that are named."""
        named: dict[str, set[str]] = {}
        for tenant, name in (entry.brand for entry in self.others if entry.kind == "brand"):
            named.setdefault(tenant, set()).add(name)
        return {tenant: tuple(sorted(names)) for tenant, names in sorted(named.items())}

    @cached_property
    def context(self) -> dict[str, int]:
        """How many different words of context of each theme stand here; a term that is on one side of the trade is one too."""
        themes = [entry.category for entry in self.others if entry.kind == "context"]
        sides = [entry.category.lower() for entry in self.counts if entry.category in SIDES]
        return dict(sorted(Counter(themes + sides).items()))

    def offers(self, tenant: str, rows: int = 0) -> bool:
        """Whether the text offers data of `tenant`: its brand beside jargon of enough weight.

        A report on the trade does not, nor does a complaint, unless it shows `rows` as a seller's sample does.
        """
        weights = ((term.category, term.weight) for term in self.terms)
        return tenant in self.brands and is_offer(weights, self.context, rows)

    def under(self, title: Terms) -> Terms:
        """These and those of the title above: counts are added; hits stay those of the text."""
        if not (title.counts or title.others):
            return self
        counts = Counter(self.counts) + Counter(title.counts)
        return Terms(counts, self.others | title.others, self.hits, {**self.written, **title.written})
