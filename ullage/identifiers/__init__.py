"""Kinds of identifier, one file each: shape, checksum, normal form, field label, names, examples.

Dropping a file with a `KIND` in here registers the kind: `kinds()` walks the package. Its examples
and near-misses live beside its rule and one shared test covers all of them. The watchlist's
builder, the matcher, the pages and the reports all take what they know of a kind from here, so that
a value is normalised the same way everywhere.
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
    "glued_words",
    "is_verified",
    "kinds",
    "without_glued_words",
]

GLUED = re.compile(
    # a letter first: found faster
    r"([A-Za-z](?:(?<![0-9A-Za-z].)[A-Za-z]*+(?=\+?[0-9])|(?<=[0-9].)[A-Za-z]*+(?![0-9])))"
)
"""Letters between which and a number nothing stands, in one group."""


@cache
def kinds() -> dict[str, Kind]:
    """Every kind by name, those with the stronger claim on a stretch of text first."""
    modules = [
        importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)
    ]
    found = sorted(
        (m.KIND for m in modules if hasattr(m, "KIND")), key=lambda kind: (kind.rank, kind.name)
    )
    return {kind.name: kind for kind in found}


@cache
def claims(name: str) -> tuple[int, int]:
    """How strong the claim of a kind is on a stretch of text, the lower the stronger: as a rule,
    and where a plus sign begins it.

    A number with a calling code fits the plan of a country, so a phone from abroad goes before a
    card: one number in ten passes Luhn. Names that are no kinds, as a digest's, come last.
    """
    ranks = {kind: 2 * found.rank for kind, found in kinds().items()}
    plain = ranks.get(name, 2 * len(ranks) + 2)
    return plain, ranks["card"] - 1 if name == "phone" else plain


@cache
def field_by_kind() -> dict[str, FieldLabel]:
    """The field label of each kind, and of names, which are enrolled as kinds are but have no
    shape.
    """
    return {**{name: kind.field for name, kind in kinds().items()}, "name": FieldLabel.NAME}


@cache
def glued_words() -> frozenset[str]:
    """The words in Latin letters, lower case, that may stand glued to a number:
    `TEL13800138000`, `ICBC6200000000000005`.
    """
    return frozenset(
        word
        for kind in kinds().values()
        if kind.glued
        for word in (*kind.headers, *kind.glued)
        if word.isalpha() and word.isascii()
    )


def without_glued_words(text: str) -> str:
    """`text` with spaces for each of the glued words that a number, with a plus sign or none,
    follows or comes before.
    """
    # to split costs a third of what `sub` does, which calls Python for each
    parts, words = GLUED.split(text), glued_words()
    parts[1::2] = [" " * len(part) if part.lower() in words else part for part in parts[1::2]]
    return "".join(parts)


def is_verified(found: Iterable[str], *, corroborated: bool) -> bool:
    """Whether chance cannot have matched a customer by these kinds: two fields of a row agree,
    or one is more than a number.
    """
    return corroborated or any(name not in kinds() or not kinds()[name].by_chance for name in found)
