"""Read files in which each row names one customer by reference, and says something about them.

Lists of transfers and of fraud cases are such files: CSV of any delimiter and encoding, `.gz`, or
Parquet, with names of columns in the first line. No cell is repeated in a message.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from matcher.columns.batch import Texts
from matcher.watchlist.source import REFERENCE, is_showable, kind_named, tables
from matcher.watchlist.tagging import clean_references
from ullage.errors import ConfigError
from ullage.vocabulary.fields import FieldLabel


class NamedRows(NamedTuple):
    """Up to 50,000 rows: their lines, their references, and the cells of each further column."""

    lines: Sequence[int]
    references: Texts
    faults: dict[int, str]
    """By row, what is wrong with its reference."""
    cells: dict[str, list[str]]
    """By column, without surrounding spaces; a column that the file lacks is empty in each row."""


def read_named_rows(
    path: Path, required: Collection[str], optional: Collection[str] = ()
) -> Iterator[NamedRows]:
    """Yield the rows of a file that has a column of references and these others.

    A column of references may have any name that a customer list may give it. Raises ConfigError if
    the file cannot be read, lacks a required column, or has one that is neither.
    """
    columns = (REFERENCE, *required, *optional)

    def choose(_: Path, header: Sequence[str]) -> list[int]:
        names = [_name_of(name, columns) for name in header]
        if missing := [name for name in (REFERENCE, *required) if name not in names]:
            raise ConfigError(
                f"{path}: line 1 has no column {missing[0]}: use {', '.join(columns)}"
            )
        for name, meaning in zip(header, names, strict=True):
            if meaning not in columns or names.count(meaning) > 1:
                shown = name if is_showable(name) else "…"
                why = "stands twice" if meaning in columns else "is unknown"
                raise ConfigError(f"{path}: line 1: column {shown} {why}: use {', '.join(columns)}")
        return [*range(len(header))]

    for table in tables(path, (), "", choose):
        cells = {name: [""] * len(table.lines) for name in (*required, *optional)}
        references, faults = Texts.pack([]), dict[int, str]()
        for name, column in zip(table.names, table.columns, strict=True):
            meaning = _name_of(name, columns)
            if meaning == REFERENCE:
                references, faults = clean_references(column)
            else:
                cells[meaning] = [text.strip() for text in column.strings()]
        yield NamedRows(table.lines, references, faults, cells)


def parse_fields(text: str) -> tuple[FieldLabel, ...] | None:
    """Return the field labels in a cell, sorted; None if one of its words is no label.

    They stand in either case, with spaces, semicolons or pipes between.

    >>> [label.value for label in parse_fields("phone;NAME")], parse_fields(""), parse_fields("tel")
    (['NAME', 'PHONE'], (), None)
    """
    words = {word.upper() for word in text.replace(";", " ").replace("|", " ").split()}
    labels = {label.value for label in FieldLabel}
    return tuple(FieldLabel(word) for word in sorted(words)) if words <= labels else None


def _name_of(name: str, columns: Collection[str]) -> str:
    """Return the known name of a column, or its own."""
    plain = name.strip().lower()
    return plain if plain in columns else REFERENCE if kind_named(name) == REFERENCE else name
