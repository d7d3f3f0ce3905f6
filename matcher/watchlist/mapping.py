"""What the columns of a customer file hold, told by their names and by their values, for a person to confirm."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from matcher.watchlist.source import REFERENCE, Source, kind_named, may_be_shown, suggestion, tables
from ullage.errors import ConfigError
from ullage.lookup.values import readings
from ullage.security.masking import Secret

BARE_REFERENCES = frozenset("id uid no ref reference".split())
"""Names of a column of references where its values are no identifiers: a column `id` may hold resident IDs as well."""
BY_VALUE = ("resident_id", "card", "phone", "email")
"""Kinds that values show by themselves, the surest first."""
LOOKED_AT, SHARE, SHOWN = 200, 0.8, 3
"""Rows that are looked at, the share of a column's values that must be of a kind, and values that are shown masked."""
EDGE = 3


class ColumnMapping(NamedTuple):
    """A column, what it is read as ("" for not at all), whether that is only proposed, and some of its values, masked."""

    name: str
    kind: str
    is_proposed: bool
    examples: Sequence[str]


def mappings(source: Source) -> list[ColumnMapping]:
    """What each column of the first file is read as, or is proposed to be; [] for a list with a row an identifier."""
    if source.long or str(source.paths[0]) == "-":
        return []
    names, columns = _sample(source)
    known = {name: source.mapping.get(name) or kind_named(name) for name in names}
    found = {
        name: _proposed(name, cells) for name, cells in zip(names, columns, strict=True) if not known[name] and may_be_shown(name)
    }
    taken = REFERENCE in known.values()
    for name, kind in found.items():  # of several columns of references the first
        if kind == REFERENCE:
            found[name], taken = "" if taken else kind, True
    return [
        ColumnMapping(
            name, known[name] or found.get(name, ""), bool(found.get(name)), [masked(cell) for cell in cells if cell][:SHOWN]
        )
        for name, cells in zip(names, columns, strict=True)
    ]


def proposed(columns: Sequence[ColumnMapping]) -> dict[str, str]:
    """The kinds of the columns that are only proposed."""
    return {column.name: column.kind for column in columns if column.is_proposed}


def is_evident(columns: Sequence[ColumnMapping]) -> bool:
    """Whether all that is proposed is a column of references with a bare name such as `id`: nobody need be asked."""
    return all(
        column.kind == REFERENCE and column.name.strip().lower() in BARE_REFERENCES for column in columns if column.is_proposed
    )


def with_mapping(source: Source, more: dict[str, str]) -> Source:
    """`source` with these columns read as these kinds too."""
    return replace(source, mapping={**source.mapping, **more})


def require_columns(source: Source, columns: Sequence[ColumnMapping], words: Sequence[str]) -> None:
    """ConfigError with the command to use, `words` and what they lack, where references or all identifiers are only proposed."""
    read = {column.kind for column in columns if column.kind and not column.is_proposed}
    more = proposed(columns)
    has_identifiers = source.bare or bool(read - {REFERENCE, "name"})
    if REFERENCE in {*read, *more.values()} and (REFERENCE not in read or not has_identifiers):
        command = shlex.join([*words, *itertools.chain.from_iterable(("--map", f"{name}={kind}") for name, kind in more.items())])
        raise ConfigError(
            f"{source.paths[0]}: line 1: not every column has a name that is known: if this is what they hold, use: {command}"
        )


def masked(value: str) -> str:
    """`value` with its beginning and its end alone, as far as they show no more than half of it.

    >>> masked("13912345678"), masked("C-1"), masked("李娜")
    ('13*******78', '***', '**')
    """
    edge = min(EDGE, len(value) // 4)
    return f"{value[:edge]}{'*' * (len(value) - 2 * edge)}{value[len(value) - edge :]}"


def _sample(source: Source) -> tuple[list[str], list[list[str]]]:
    """The names of all columns of the first file, and the cells of its first rows by column."""
    header = list[str]()

    def all_of(path: Path, names: Sequence[str]) -> list[int]:
        source.require_header(path, names)
        header.extend(names)
        return [*range(len(names))]

    first = next(iter(tables(source.paths[0], source.columns, source.delimiter, all_of)), None)
    cells = [[text.strip() for text in column.strings()[:LOOKED_AT]] for column in first.columns] if first else []
    return header, cells or [[] for _ in header]


def _proposed(name: str, cells: Sequence[str]) -> str:
    """The kind of a column whose name alone does not say it; "" for none that is known."""
    filled = [_kinds(cell) for cell in cells if cell]
    by_value = next((kind for kind in BY_VALUE if filled and sum(kind in each for each in filled) >= SHARE * len(filled)), "")
    if by_value:
        return by_value
    if name.strip().lower() in BARE_REFERENCES:
        return REFERENCE
    kind = suggestion(name)
    is_contradicted = kind in BY_VALUE and bool(filled)
    return "" if is_contradicted else kind


def _kinds(cell: str) -> set[str]:
    return {kind for kind, _ in readings(Secret(cell))}
