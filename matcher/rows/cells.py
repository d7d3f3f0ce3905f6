"""One row's text: its cells, what each is, and the shape that may be stored."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from matcher.labels import label_before
from matcher.rows.columns import Columns
from matcher.rows.names import is_name, names_in
from matcher.rows.spans import BLOCK, LINE, OBJECT, TUPLE
from matcher.scan import DIGEST
from ullage.fields import OF_KIND, Field

SHOWN_CELLS = 12
HIDDEN = b"\x01"
"""Stands for a separator inside quotes; like NUL, which stands for a candidate's bytes, folding leaves none of it."""
QUOTED = {OBJECT: re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL), TUPLE: re.compile(rb"'(?:[^'\\]|\\.|'')*'", re.DOTALL)}
NUMBERS = re.compile("\0+")
PASSWORD = re.compile(r"(?=.*[^\d])[\x21-\x7e]{4,64}")
EMPTY = frozenset(("", "null", "none", "nil", "\\n", "-"))


class Inside(NamedTuple):
    """A candidate in a row: bytes [start, end) of its text, kind, and whether its checksum holds."""

    start: int
    end: int
    kind: str
    valid: bool


class Seen(NamedTuple):
    """A column of a row that holds something of the shape of `kind`: what columns are typed by."""

    column: int
    kind: str
    valid: bool


@dataclass(frozen=True, slots=True)
class Described:
    """What a row holds: labels, cells that may be names, the skeleton, and what was seen in which column."""

    fields: frozenset[str]
    names: tuple[str, ...]
    skeleton: str
    seen: tuple[Seen, ...] = ()

    def with_fields(self, more: frozenset[str]) -> Described:
        """The same with `more` fields."""
        return replace(self, fields=self.fields | more)


@dataclass(slots=True)
class _Reading:
    """What is known of a row so far."""

    columns: Columns
    has_header: bool
    fields: set[str] = field(default_factory=set)
    names: list[str] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    shape: list[str] = field(default_factory=list)


def describe(text: bytes, inside: Sequence[Inside], style: int, columns: Columns) -> Described:
    """Read a row whose candidates are `inside`, in order; `style` says how it is written, `columns` what its columns are."""
    separator = {LINE: columns.separator, BLOCK: b"\n"}.get(style, b",")
    plain = _hidden(masked(text, inside), separator, style)
    cells = plain.split(separator) if separator else [plain]
    reading = _Reading(columns, len(columns.labels) == len(cells) > 1)
    for column, (cell, own) in enumerate(_with_candidates(cells, len(separator), inside)):
        reading.shape.append(_cell(reading, column, cell, own))
    if separator == b":" and style == LINE:
        _password(reading, cells)
    mark = {b"": " ", b"\n": " ", b"\t": "\\t"}.get(separator, separator.decode())
    return Described(frozenset(reading.fields), tuple(reading.names), mark.join(reading.shape[:SHOWN_CELLS]), tuple(reading.seen))


def masked(text: bytes, inside: Sequence[Inside]) -> bytes:
    """The text with NULs for its candidates: a separator within a number parts no cells."""
    plain = bytearray(text)
    for one in inside:
        plain[one.start : one.end] = b"\0" * (min(one.end, len(text)) - one.start)
    return bytes(plain)


def _hidden(plain: bytes, separator: bytes, style: int) -> bytes:
    """The text with separators inside quotes made unlike separators, at equal length."""
    pattern = QUOTED.get(TUPLE if style == TUPLE else OBJECT)
    if pattern is None or style == BLOCK or not separator or (b"'" if style == TUPLE else b'"') not in plain:
        return plain
    return pattern.sub(lambda m: m.group().replace(separator, HIDDEN * len(separator)), plain)


def _with_candidates(
    cells: Sequence[bytes], separator: int, inside: Sequence[Inside]
) -> Iterator[tuple[bytes, Sequence[Inside]]]:
    """Each cell with the candidates that begin in it."""
    place, at = 0, 0
    for cell in cells:
        first, end = at, place + len(cell)
        while at < len(inside) and inside[at].start < end:
            at += 1
        yield cell, inside[first:at]
        place = end + separator


def _cell(reading: _Reading, column: int, cell: bytes, own: Sequence[Inside]) -> str:
    """One cell's mark for the skeleton; its fields and names go into `reading`."""
    text = cell.decode("utf-8", "replace")
    named = label_before(text) if ":" in text or "=" in text else None
    label = named[0] if named else reading.columns.labels[column] if reading.has_header else None
    reading.seen += [Seen(column, one.kind, one.valid) for one in own]
    counted = [one for one in own if one.valid and (column, one.kind) not in reading.columns.doubted]
    if counted:
        return _number(reading, text, counted, label)
    value = (named[1] if named else text).strip(" \t\n\"'`()[]{};").strip()
    if label is None and is_name(value):
        label = Field.NAME
    label = label or reading.columns.typed.get(column)
    if value.lower() in EMPTY:
        return ""
    if label is None:
        return "<…>"
    reading.fields.add(str(label))
    if label is Field.NAME:
        reading.names.append(value.replace(HIDDEN.decode(), " "))
    return f"<{label}>"


def _number(reading: _Reading, text: str, own: Sequence[Inside], label: Field | None) -> str:
    """The mark of a cell with identifiers; a digest counts as what its column or label says that it is of."""
    labels = [one.kind if one.kind == DIGEST else str(OF_KIND.get(one.kind, Field.OTHER)) for one in own]
    reading.fields.update(mark for mark in labels if mark != DIGEST)
    if label and DIGEST in labels:
        reading.fields.add(str(label))
    names = names_in(NUMBERS.sub(" ", text))
    if names:
        reading.names += names
        reading.fields.add(str(Field.NAME))
    return "".join(f"<{mark}>" for mark in labels)


def _password(reading: _Reading, cells: Sequence[bytes]) -> None:
    """What follows an address behind a colon, at the end of a line, is its password: `a@b.cn:secret`, `https://…:a@b.cn:secret`."""
    last = cells[-1].decode("utf-8", "replace").strip()
    is_open = len(cells) >= 2 and reading.shape[-1] == "<…>" and reading.shape[-2] == f"<{Field.EMAIL}>"
    if is_open and PASSWORD.fullmatch(last):
        reading.fields.add(str(Field.PASSWORD))
        reading.shape[-1] = f"<{Field.PASSWORD}>"
