"""Collect the kinds of identifier, such as phone numbers and resident IDs, one module each.

A module holds everything that is particular to its kind: shape, checksum, normal form, field label,
names and examples. A module of this package with a `KIND` is registered by being here, because
`kinds()` walks the package, and one shared test covers the examples and near-misses of every kind.
The builder of customer lists, the matcher, the pages and the reports all read a kind from here, so
that a value is normalised in the same way everywhere. `ullage.identifiers.base` explains `Kind`.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable
from functools import cache

from ullage.identifiers.base import Candidate, Kind
from ullage.vocabulary.fields import FieldLabel

__all__ = [
    "Candidate",
    "Kind",
    "claims",
    "field_by_kind",
    "is_verified",
    "kinds",
    "list_glued_words",
    "without_glued_words",
]

GLUED = re.compile(
    # a letter first: found faster
    r"([A-Za-z](?:(?<![0-9A-Za-z].)[A-Za-z]*+(?=\+?[0-9])|(?<=[0-9].)[A-Za-z]*+(?![0-9])))"
)
"""Letters directly beside a number, in one group."""


@cache
def kinds() -> dict[str, Kind]:
    """Return every kind by name; the lowest rank, which is the strongest claim, comes first."""
    modules = [
        importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)
    ]
    by_rank = sorted(
        (m.KIND for m in modules if hasattr(m, "KIND")), key=lambda kind: (kind.rank, kind.name)
    )
    return {kind.name: kind for kind in by_rank}


@cache
def claims(name: str) -> tuple[int, int]:
    """Return the strength of a kind's claim to a stretch of text, the lower the stronger.

    The first value is the rule, the second applies where a plus sign begins the stretch. A number
    with a calling code fits the plan of a country, so a phone from abroad goes before a card: one
    number in ten passes Luhn. Names that are no kinds, like that of a digest, come last.
    """
    ranks = {kind: 2 * definition.rank for kind, definition in kinds().items()}
    plain = ranks.get(name, 2 * len(ranks) + 2)
    return plain, ranks["card"] - 1 if name == "phone" else plain


@cache
def field_by_kind() -> dict[str, FieldLabel]:
    """Return the field label of each kind by the kind's name, and NAME for `name`.

    Names are enrolled like kinds but have no shape, so no module defines them.
    """
    return {**{name: kind.field for name, kind in kinds().items()}, "name": FieldLabel.NAME}


@cache
def list_glued_words() -> frozenset[str]:
    """Return the Latin words, in lower case, that may be glued to a number.

    Examples are `TEL13800138000` and `ICBC6200000000000005`.
    """
    return frozenset(
        word
        for kind in kinds().values()
        if kind.glued
        for word in (*kind.headers, *kind.glued)
        if word.isalpha() and word.isascii()
    )


def without_glued_words(text: str) -> str:
    """Return `text` with spaces for words that are glued to a number, such as TEL in TEL138….

    A word is replaced where a number directly precedes or follows it; a plus sign may stand before
    the number. Offsets stay the same.
    """
    # `split` costs a third of `sub`, which calls Python for each match
    parts, words = GLUED.split(text), list_glued_words()
    parts[1::2] = [" " * len(part) if part.lower() in words else part for part in parts[1::2]]
    return "".join(parts)


def is_verified(found: Iterable[str], *, corroborated: bool) -> bool:
    """Return whether chance cannot explain a match of these kinds.

    Either two fields of a row agree, or one of the kinds is not matched by chance.
    """
    return corroborated or any(name not in kinds() or not kinds()[name].by_chance for name in found)
