"""Readers of a batch: documents whose columns are alike share one, and tuples are read by their statement's columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

from matcher.detect.labels import label_of
from matcher.records.cells import PASSWORD_BEHIND, Described, Reader
from matcher.records.json_sql_records import MAY_BEGIN, tuple_in
from matcher.records.marked import shown
from matcher.records.schema import Columns, Sheet
from matcher.records.spans import LINE, TUPLE
from matcher.records.values import AMOUNTS, field_of, is_offer
from ullage.vocabulary.fields import Field

CODE = re.compile("[0-9]{3,4}")
SECRET = re.compile(r"(?=[!-~]*[0-9])[!-~]{4,32}")
"""What stands behind a word for a password: no word of prose."""


class Written(NamedTuple):
    """A row: its bytes, with a mark for each candidate, how it is written, and where it begins in the batch.

    `codes` are its cells at a glance, if that is enough. Of one that is too long, `more` are labels of candidates that may stand
    behind what is read.
    """

    text: bytes
    style: int
    place: int
    codes: bytes = b""
    more: frozenset[str] = frozenset()


class Readers:
    """The readers that share what they know; `names` are the kinds of candidates by their numbers."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._made: dict[object, Reader] = {}
        self._typed: dict[tuple[Described, tuple[Field | None, ...]], Described] = {}

    def by(self, columns: Columns) -> Reader:
        """The reader for these columns."""
        key = columns.separator, columns.labels, columns.doubted, tuple(columns.typed.items()), columns.nameless
        found = self._made.get(key)
        return found or self._made.setdefault(key, Reader(columns, self._names))

    def typed(self, before: Described, labels: tuple[Field | None, ...]) -> Described:
        """What rows hold that were described as `before`, with these labels for what was unknown."""
        found = self._typed.get((before, labels))
        return found or self._typed.setdefault((before, labels), before.typed(labels))


class SheetReader:
    """Reads rows of a document by its `sheet`."""

    def __init__(self, sheet: Sheet, readers: Readers) -> None:
        self.sheet, self._readers = sheet, readers

    @cached_property
    def _reader(self) -> Reader:
        return self._readers.by(self.sheet.columns)

    @property
    def separator(self) -> bytes:
        """What parts the cells of lines, if nothing else is known of the columns; else nothing."""
        columns = self.sheet.columns
        return columns.separator.encode() if self._reader.is_bare and columns.separator != PASSWORD_BEHIND else b""

    def describe(self, row: Written) -> Described:
        """What a row holds."""
        text, style, place, codes, more = row
        if codes and self._reader.is_bare:
            found = self._reader.read_at_a_glance(codes)
        elif text[:1] in MAY_BEGIN and style in (LINE, TUPLE):
            reader, text, style = self._as_tuple(text, style, place)
            found = reader.read(text, style)
        else:
            found = self._reader.read(text, style)
        return found.with_fields(more) if more else found

    def again(self, row: Written, before: Described) -> Described:
        """What a row holds that was described `before` by what was known then: its text is read only where it has to be."""
        return self.known(before) or self.describe(row)

    def known(self, before: Described) -> Described | None:
        """What rows hold that were described as `before`, None where their text says it."""
        columns = self.sheet.columns
        if before.is_doubted_by(columns) or any(column in columns.typed for column in before.hashed):
            return None
        if not before.unknown:
            return before
        labels = tuple([columns.typed.get(column) for column in before.unknown])
        if not any(labels):
            return before
        return None if columns.separator == PASSWORD_BEHIND else self._readers.typed(before, labels)

    def worded(self, row: Written, described: Described) -> Described:
        """The same, with labels for what is unknown where the cells themselves say what they are."""
        if not described.unknown:
            return described
        reader, text, style = self._as_tuple(row.text, row.style, row.place)
        if is_offer(shown(text)):
            return described
        values = reader.values(text, style)
        labels = tuple([_field_of(values, column) for column in described.unknown])
        return self._readers.typed(described, labels) if any(labels) else described

    def values(self, row: Written) -> list[str]:
        """The cells of a row as text; see `Reader.values`."""
        reader, text, style = self._as_tuple(row.text, row.style, row.place)
        return reader.values(text, style)

    def names(self, row: Written) -> tuple[str, ...]:
        """Cells of a row that may be names, and names glued to its numbers."""
        reader, text, style = self._as_tuple(row.text, row.style, row.place)
        return reader.names(text, style)

    def _as_tuple(self, text: bytes, style: int, place: int) -> tuple[Reader, bytes, int]:
        """Who reads a row, and what of it in which style: of a line or statement with a tuple that alone."""
        found = tuple_in(text) if style in (LINE, TUPLE) else None
        if found is None:
            return self._reader, text, style
        return self._readers.by(self.sheet.of_statement(place, found.labels)), text[found.start : found.end], TUPLE


def _field_of(values: Sequence[str], column: int) -> Field | None:
    """The label of one of the cells of a row by what it says, or by the word in the cell before it: `借款金额 50000`."""
    if column >= len(values):
        return None
    said = field_of(values[column])
    if said is None and column and values[column][:1].isdigit():
        before = label_of(values[column - 1])
        said = before if before in AMOUNTS or (before is Field.CVV and CODE.fullmatch(values[column])) else None
    if said is None and column and SECRET.fullmatch(values[column]) and label_of(values[column - 1]) is Field.PASSWORD:
        said = Field.PASSWORD
    return None if said is Field.OTHER else said
