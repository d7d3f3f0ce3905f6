"""One row's text: its cells, what each is, and the shape that may be stored."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from matcher.labels import label_before
from matcher.rows.columns import Columns
from matcher.rows.names import is_name, names_in
from matcher.rows.spans import BLOCK, LINE, TUPLE
from matcher.scan.digests import DIGEST
from ullage.fields import OF_KIND, Field

SHOWN_CELLS = 12
MOST_CELLS = 256
"""Cells of a row that are told apart; what is behind them counts as one."""
SHOWN_NUMBERS = 4
"""Of a cell with many, what the skeleton shows."""
NUMBER = "\0"
"""Stands for a candidate: folding leaves none in a text."""
HIDDEN = "\x01"
"""Stands for a separator inside quotes."""
DOUBLE_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+("?)', re.DOTALL)
SINGLE_QUOTED = re.compile(r"'(?:[^'\\]|\\.|'')*+('?)", re.DOTALL)
"""An open quote is read to the end once, and not again from each quote within it."""
AROUND = " \t\n\"'`()[]{};"
PASSWORD = re.compile(r"(?=.*[^\d])[\x21-\x7e]{4,64}")
EMPTY = frozenset(("", "null", "none", "nil", "\\n", "-"))
LONGEST_EMPTY = 4
MARKS = {**{str(label): f"<{label}>" for label in Field}, DIGEST: f"<{DIGEST}>"}
LABELS = {**{kind: str(label) for kind, label in OF_KIND.items()}, DIGEST: DIGEST}


class Inside(NamedTuple):
    """A candidate in a row: bytes [start, end) of its text, kind, and whether its checksum holds."""

    start: int
    end: int
    kind: str
    valid: bool


Seen = tuple[int, str, bool]
"""A column of a row, the kind whose shape it holds, and whether the checksum holds: what columns are typed by."""


class Described(NamedTuple):
    """What a row holds: labels, cells that may be names, the skeleton, what was seen in which column, and unlabelled columns."""

    fields: frozenset[str]
    names: tuple[str, ...]
    skeleton: str
    seen: Sequence[Seen] = ()
    unknown: Sequence[int] = ()

    def with_fields(self, more: frozenset[str]) -> Described:
        """The same with `more` fields."""
        return self._replace(fields=self.fields | more)

    def is_changed_by(self, columns: Columns) -> bool:
        """Whether what is known of the columns by now makes it read otherwise."""
        return any(column in columns.typed for column in self.unknown) or any(
            valid and (column, kind) in columns.doubted for column, kind, valid in self.seen
        )


class _Reading:
    """What is known of a row so far."""

    __slots__ = ("columns", "fields", "labels", "names", "seen", "shape", "unknown")

    def __init__(self, columns: Columns, labels: Sequence[Field | None]) -> None:
        self.columns, self.labels = columns, labels
        self.fields: set[str] = set()
        self.names: list[str] = []
        self.seen: list[Seen] = []
        self.unknown: list[int] = []
        self.shape: list[str] = []


def describe(text: bytes, inside: Sequence[Inside], style: int, columns: Columns) -> Described:
    """Read a row whose candidates are `inside`, in order; `style` says how it is written, `columns` what its columns are."""
    separator = {LINE: columns.separator, BLOCK: "\n"}.get(style, ",")
    plain = _hidden(masked(text, inside), separator, style)
    cells = plain.split(separator, MOST_CELLS) if separator else [plain]
    has_header = style in (LINE, TUPLE) and len(columns.labels) == len(cells) > 1
    reading = _Reading(columns, columns.labels if has_header else ())
    at = 0
    for column, cell in enumerate(cells):
        if cell == NUMBER:
            mark = _number_alone(reading, column, inside[at])
            at += 1
        else:
            count = cell.count(NUMBER)
            mark = _cell(reading, column, cell, inside[at : at + count])
            at += count
        reading.shape.append(mark)
    if separator == ":" and style == LINE:
        _password(reading, cells)
    shown = {"": " ", "\n": " ", "\t": "\\t"}.get(separator, separator)
    skeleton = shown.join(reading.shape[:SHOWN_CELLS])
    names = tuple([name.replace(HIDDEN, separator) for name in reading.names])
    return Described(frozenset(reading.fields), names, skeleton, reading.seen, reading.unknown)


def masked(text: bytes, inside: Sequence[Inside]) -> str:
    """The text with one NUMBER for each candidate: a separator within a number parts no cells."""
    parts, at = [], 0
    for start, end, *_ in inside:
        parts.append(text[at:start])
        at = max(at, end)
    parts.append(text[at:])
    return b"\0".join(parts).decode("utf-8", "replace")


def _hidden(plain: str, separator: str, style: int) -> str:
    """The text with HIDDEN for the separators inside quotes."""
    quote, pattern = ("'", SINGLE_QUOTED) if style == TUPLE else ('"', DOUBLE_QUOTED)
    if quote not in plain or not separator or style == BLOCK:
        return plain
    return pattern.sub(lambda m: m.group().replace(separator, HIDDEN) if m[1] else m.group(), plain)


def _number_alone(reading: _Reading, column: int, own: Inside) -> str:
    """The mark of a cell that is one candidate: as `_cell`, for the commonest of cells, in fewer steps."""
    if not own.valid or own.kind == DIGEST or reading.columns.doubted:
        return _cell(reading, column, NUMBER, (own,))
    label = LABELS.get(own.kind, str(Field.OTHER))
    reading.seen.append((column, own.kind, True))
    reading.fields.add(label)
    return MARKS[label]


def _cell(reading: _Reading, column: int, text: str, own: Sequence[Inside]) -> str:
    """One cell's mark for the skeleton; its fields and names go into `reading`."""
    named = label_before(text) if ":" in text or "=" in text else None
    label = named[0] if named else reading.labels[column] if reading.labels else None
    if own:
        reading.seen += [(column, kind, valid) for _, _, kind, valid in own]
        doubted = reading.columns.doubted
        counted = [kind for _, _, kind, valid in own if valid and (column, kind) not in doubted]
        if counted:
            return _number(reading, text, counted, label)
    value = (named[1] if named else text).strip(AROUND)
    if len(value) <= LONGEST_EMPTY and value.lower() in EMPTY:
        return ""
    if label is None:
        label = Field.NAME if is_name(value) else reading.columns.typed.get(column)
    if label is None:
        reading.unknown.append(column)
        return "<…>"
    reading.fields.add(str(label))
    if label is Field.NAME:
        reading.names.append(value)
    return f"<{label}>"


def _number(reading: _Reading, text: str, kinds: Sequence[str], label: Field | None) -> str:
    """The mark of a cell with identifiers; a digest counts as what its column or label says that it is of."""
    labels = [LABELS.get(kind, str(Field.OTHER)) for kind in kinds]
    reading.fields.update(labels)
    if DIGEST in kinds:
        reading.fields.discard(DIGEST)
        reading.fields.update([str(label)] if label else [])
    names = names_in(text.replace(NUMBER, " "))
    if names:
        reading.names += names
        reading.fields.add(str(Field.NAME))
    return "".join([MARKS[label] for label in labels[:SHOWN_NUMBERS]])


def _password(reading: _Reading, cells: Sequence[str]) -> None:
    """What follows an address behind a colon, at the end of a line, is its password: `a@b.cn:secret`, `https://…:a@b.cn:secret`."""
    is_open = len(cells) >= 2 and reading.shape[-1] == "<…>" and reading.shape[-2] == f"<{Field.EMAIL}>"
    if is_open and PASSWORD.fullmatch(cells[-1].strip()):
        reading.fields.add(str(Field.PASSWORD))
        reading.shape[-1] = f"<{Field.PASSWORD}>"
