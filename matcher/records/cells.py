"""One row's cells: what each is, and the shape that may be stored.

A table is read by what is known of its columns. Most of its cells are one number, and most of its rows are made alike of cells
that are read alike: each kind of cell, and each kind of row, is worked out once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from matcher.detect.labels import label_before
from matcher.detect.words import DIGEST
from matcher.records.marked import MARK, NUMBER, OPEN, Seen, mark, shown
from matcher.records.schema import Columns
from matcher.records.spans import BLOCK, LINE, TUPLE
from matcher.records.values import (
    AMOUNTS,
    FIRST,
    HAN_BYTES,
    field_of,
    has_name,
    is_name,
    is_offer,
    is_possible,
    is_secret,
    is_terms,
    names_in,
)
from ullage.identifiers import field_by_kind
from ullage.vocabulary.fields import Field

SHOWN_CELLS = 12
MOST_CELLS = 256
"""Cells of a row that are told apart; what is behind them counts as one."""
SHOWN_NUMBERS = 4
"""Of a cell with many, what the skeleton shows."""
LOOK, NOTHING_IN, TEXT, NAME, NUMBER_IN = 0, 1, 2, 3, 0x100
"""What a cell is at a glance (`glance`): to be looked at, empty, unknown, a name, or one number, with its mark's second byte."""
HIDDEN = b"\x01"
"""Stands for a separator inside quotes."""
DOUBLE_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*+("?)', re.DOTALL)
SINGLE_QUOTED = re.compile(rb"'(?:[^'\\]|\\.|'')*+('?)", re.DOTALL)
"""An open quote is read to the end once, and not again from each quote within it."""
AROUND = b" \t\n\"'`()[]{};"
BETWEEN = AROUND.decode() + ",.:|-。、"
"""What may stand between a number and what else its cell says."""
PASSWORD = re.compile(r"(?=.*[^\d])[\x21-\x7e]{4,64}")
EMPTY = frozenset((b"", b"null", b"none", b"nil", b"\\n", b"-"))
LONGEST_EMPTY = 4
PASSWORD_BEHIND = ":"  # noqa: S105  a sign, not a secret
"""The sign behind an address that a password stands behind, and no label."""
BEHIND_LOGIN = re.compile(r"\s?(:|-{2,8}|\|)\s?(\S{4,64})")
LOGINS = frozenset(f"<{label}>" for label in (Field.PHONE, Field.EMAIL))
"""Cells that a password may stand behind."""
UNKNOWN = "<…>"
OTHER = str(Field.OTHER)
LABELS = {**{kind: str(label) for kind, label in field_by_kind().items()}, DIGEST: DIGEST}
HASH = f"<{DIGEST}>"


def split(row: bytes, separator: bytes, style: int) -> list[bytes]:
    """The cells of a row as they are written, with HIDDEN for the separators inside quotes."""
    if not separator:
        return [row]
    quote, pattern = (b"'", SINGLE_QUOTED) if style == TUPLE else (b'"', DOUBLE_QUOTED)
    if quote in row and style != BLOCK:
        row = pattern.sub(lambda m: m.group().replace(separator, HIDDEN) if m[1] else m.group(), row)
    return row.split(separator, MOST_CELLS)


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """What a kind of cell is: its mark in the skeleton, labels, candidates, whether nothing is known of it, and whether it names.

    There is one object for each kind of cell that a reader has met.
    """

    mark: str
    fields: frozenset[str] = frozenset()
    seen: tuple[Seen, ...] = ()
    is_unknown: bool = False
    is_named: bool = False


NOTHING, SOMETHING = Cell(""), Cell(UNKNOWN, is_unknown=True)
"""An empty cell, and one that may hold anything."""
NAMED = Cell(f"<{Field.NAME}>", frozenset((str(Field.NAME),)), is_named=True)
SECRET = Cell(f"<{Field.PASSWORD}>", frozenset((str(Field.PASSWORD),)), is_unknown=True)


class Layout(NamedTuple):
    """Labels and skeleton that rows share."""

    fields: frozenset[str]
    skeleton: str


class Described:
    """What rows of one kind hold, by their `cells`: labels, `more` among them, and the skeleton, whose cells `between` parts."""

    def __init__(self, cells: Sequence[Cell], between: str, more: frozenset[str] = frozenset()) -> None:
        self.cells, self._between, self._more = cells, between, more
        fields = more.union(*[cell.fields for cell in cells])
        self.layout = Layout(fields, between.join([cell.mark for cell in cells[:SHOWN_CELLS]]))
        self.seen = [(column, *seen) for column, cell in enumerate(cells) for seen in cell.seen]
        """Which kind was seen in which column, and whether its checksum holds."""
        self.unknown = [column for column, cell in enumerate(cells) if cell.is_unknown]
        """Columns of which nothing is known."""
        self.hashed = [column for column, cell in enumerate(cells) if any(kind == DIGEST for kind, _ in cell.seen)]
        """Columns with a digest of nobody knows what."""

    @property
    def said(self) -> list[tuple[int, Field]]:
        """Columns whose cell has one label, and no number or name in it that would say so again."""
        cells = enumerate(self.cells)
        return [(n, Field(next(iter(c.fields)))) for n, c in cells if len(c.fields) == 1 and not (c.seen or c.is_named)]

    @property
    def fields(self) -> frozenset[str]:
        """Its labels."""
        return self.layout.fields

    @property
    def skeleton(self) -> str:
        """Its shape."""
        return self.layout.skeleton

    def with_fields(self, more: frozenset[str]) -> Described:
        """The same with `more` fields."""
        return Described(self.cells, self._between, self._more | more)

    def is_doubted_by(self, columns: Columns) -> bool:
        """Whether a number or name in it is none by what is known of the columns by now."""
        if columns.nameless and any(self.cells[column] is NAMED for column in columns.nameless if column < len(self.cells)):
            return True
        return bool(columns.doubted) and any(valid and (column, kind) in columns.doubted for column, kind, valid in self.seen)

    def typed(self, labels: Sequence[Field | None]) -> Described:
        """The same with a label for each of the columns of which nothing is known, if there is one."""
        cells = list(self.cells)
        for column, label in zip(self.unknown, labels, strict=True):
            if label:
                cells[column] = Cell(f"<{label}>", frozenset((str(label),)), cells[column].seen)
        return Described(cells, self._between, self._more)


class Reader:
    """Reads rows by what is known of their `columns`; `names` are the kinds of candidates, as rows are marked with them."""

    def __init__(self, columns: Columns, names: Sequence[str]) -> None:
        self.columns, self._names = columns, names
        self._seen = {mark(number, valid=valid)[1]: (kind, valid) for number, kind in enumerate(names) for valid in (True, False)}
        self.is_bare = not (columns.labels or columns.typed or columns.doubted or columns.nameless)
        """Whether nothing is known of the columns but what parts them."""
        self._made: dict[tuple[str, frozenset[str], tuple[Seen, ...], bool, bool], Cell] = {}
        self._known = {} if columns.doubted else self._numbers()
        self._rows: dict[tuple[int, bytes], Described] = {}
        self._shapes: dict[tuple[int, tuple[Cell, ...]], Described] = {}
        self._glances: dict[bytes, Described] = {}

    def read(self, row: bytes, style: int) -> Described:
        """What `row`, written in `style`, holds."""
        found = self._rows.get((style, row))
        if found is None:
            cells = self._cells(self._split(row, style), style)
            found = self._shapes.get((style, cells))
            if found is None:
                found = self._shapes[style, cells] = Described(cells, self._between(style))
            self._rows[style, row] = found
        return found

    def read_at_a_glance(self, codes: bytes) -> Described:
        """What a line of cells holds that are told at a glance, by their `codes`: two bytes each."""
        found = self._glances.get(codes)
        if found is None:
            cells = tuple([self._told(code) for code in memoryview(codes).cast("H").tolist()])
            found = self._shapes.get((LINE, cells))
            if found is None:
                found = self._shapes[LINE, cells] = Described(cells, self._between(LINE))
            self._glances[codes] = found
        return found

    def _told(self, code: int) -> Cell:
        """The cell that a code stands for."""
        if code < NUMBER_IN:
            return {NOTHING_IN: NOTHING, TEXT: SOMETHING, NAME: NAMED}[code]
        part = bytes((MARK, code - NUMBER_IN))
        return self._known.get(part) or self._cell(0, part, ())

    def names(self, row: bytes, style: int) -> tuple[str, ...]:
        """Cells of `row` that may be names, and names glued to its numbers."""
        parts = self._split(row, style)
        cells = zip(parts, self._cells(parts, style), strict=True)
        found = [name for part, cell in cells if cell.is_named for name in _names(shown(part), cell)]
        separator = self.columns.separator_in(style)
        return tuple([name.replace(HIDDEN.decode(), separator.decode()) for name in found])

    def values(self, row: bytes, style: int) -> list[str]:
        """The cells of `row` as text, without what surrounds a value, and with one NUMBER for each candidate."""
        return [shown(part.strip(AROUND)) for part in self._split(row, style)]

    def _labels(self, cells: int, style: int) -> Sequence[Field | None]:
        """The labels of the header, if the row has as many cells."""
        labels = self.columns.labels
        return labels if labels and style in (LINE, TUPLE) and len(labels) == cells > 1 else ()

    def _split(self, row: bytes, style: int) -> list[bytes]:
        """The cells of a row as they are written, with HIDDEN for the separators inside quotes."""
        return split(row, self.columns.separator_in(style), style)

    def _cells(self, parts: Sequence[bytes], style: int) -> tuple[Cell, ...]:
        """What each cell of a row is."""
        labels, known, read = self._labels(len(parts), style), self._known.get, self._cell
        bare = self.is_bare
        cells = [
            known(part) or (SOMETHING if bare and part.isdigit() else read(column, part, labels))
            for column, part in enumerate(parts)
        ]
        if style == LINE and self.columns.separator == PASSWORD_BEHIND and len(cells) > 1:
            before, last = cells[-2:]
            if last is SOMETHING and before.mark == f"<{Field.EMAIL}>" and _is_password(shown(parts[-1]).strip()):
                cells[-1] = SECRET  # what follows an address behind a colon, at the end of a line: `https://…:a@b.cn:secret`
        return tuple(cells)

    def _between(self, style: int) -> str:
        """What parts the cells of a skeleton."""
        separator = self.columns.separator_in(style).decode()
        return {"": " ", "\n": " ", "\t": "\\t"}.get(separator, separator)

    def _numbers(self) -> dict[bytes, Cell]:
        """Cells that are one valid number: the commonest of all, whatever their column is called."""
        kinds = [(number, kind) for number, kind in enumerate(self._names) if kind != DIGEST]
        return {mark(number, valid=True): self._number([], [kind], None, ((kind, True),)) for number, kind in kinds}

    def _cell(self, column: int, part: bytes, labels: Sequence[Field | None]) -> Cell:
        """What a cell is that is not just a number."""
        if OPEN in part:
            cell = self._with_marks(column, part, labels)
            if self.is_bare:
                self._known[part] = cell
            return cell
        named = label_before(part.decode("utf-8", "replace")) if b":" in part or b"=" in part else None
        if named:
            label = None if named[0] in AMOUNTS and is_terms(named[1]) else named[0]
            return self._value(named[1].encode().strip(AROUND), label, column)
        return self._value(part.strip(AROUND), labels[column] if labels else None, column)

    def _with_marks(self, column: int, part: bytes, labels: Sequence[Field | None]) -> Cell:
        """What a cell is with candidates in it."""
        first, *others = part.split(OPEN)
        seen = tuple([self._seen[other[0]] for other in others])
        named = label_before(shown(part)) if b":" in part or b"=" in part else None
        label = named[0] if named else labels[column] if labels else None
        doubted = self.columns.doubted
        counted = [kind for kind, valid in seen if valid and not (doubted and (column, kind) in doubted)]
        if counted:
            around = [piece.decode("utf-8", "replace") for piece in (first, *[other[1:] for other in others])]
            return self._number(around, counted, label or self._of_digest(column, counted), seen)
        cell = self._value((named[1] if named else shown(part)).encode().strip(AROUND), label, column)
        return self._of(cell.mark, cell.fields, seen, is_unknown=cell.is_unknown, is_named=cell.is_named)

    def _of_digest(self, column: int, kinds: Sequence[str]) -> Field | None:
        """What a digest is of by what stands in its column."""
        return self.columns.typed.get(column) if DIGEST in kinds else None

    def _value(self, value: bytes, label: Field | None, column: int) -> Cell:
        """What a cell is in whose `value` no identifier stands."""
        if len(value) <= LONGEST_EMPTY and value.lower() in EMPTY:
            return NOTHING
        if label is None:
            may_be = value[:HAN_BYTES] in FIRST or value[:1] in FIRST
            if may_be and column not in self.columns.nameless and is_name(value.decode("utf-8", "replace")):
                return NAMED
            label = self.columns.typed.get(column)
        if label is None:
            return SOMETHING
        return NAMED if label is Field.NAME else self._of(f"<{label}>", frozenset((str(label),)), ())

    def _number(self, around: Sequence[str], kinds: Sequence[str], label: Field | None, seen: tuple[Seen, ...]) -> Cell:
        """What a cell with identifiers is, by what stands around them; a digest is of what its column or label says it is."""
        labels = [LABELS.get(kind, OTHER) for kind in kinds]
        fields = {*labels}
        if DIGEST in fields:
            fields.discard(DIGEST)
            fields.update([str(label)] if label else [])
        is_named = has_name(" ".join(around))
        if is_named:
            fields.add(str(Field.NAME))
        fields.update(_said(around))
        shown_as = "".join([f"<{name}>" for name in labels[:SHOWN_NUMBERS]])
        if len(labels) == 1 and shown_as in LOGINS and (sign := _sign_before_password(around)):
            fields.add(str(Field.PASSWORD))
            shown_as += f"{sign}{SECRET.mark}"
        return self._of(shown_as, frozenset(fields), seen, is_named=is_named)

    def _of(
        self, mark_: str, fields: frozenset[str], seen: tuple[Seen, ...], *, is_unknown: bool = False, is_named: bool = False
    ) -> Cell:
        """The one object for cells like this."""
        key = mark_, fields, seen, is_unknown, is_named
        return self._made.get(key) or self._made.setdefault(key, Cell(*key))


def _is_password(value: str) -> bool:
    return PASSWORD.fullmatch(value) is not None and is_possible(value)


def _sign_before_password(around: Sequence[str]) -> str:
    """The sign between a login and its password in one cell, `13800138000:abc123`, "" for none."""
    before, behind = (*around, "", "")[:2]
    found = BEHIND_LOGIN.fullmatch(behind)
    return found[1] if found and not before.strip() and is_secret(found[2]) else ""


def _said(around: Sequence[str]) -> Iterator[str]:
    """Labels of what stands around identifiers in one cell: `13800138000借款8万`."""
    for piece in around:
        value = piece.strip(BETWEEN)
        if value and (label := field_of(value)) and label is not Field.OTHER and not is_offer(value):
            yield str(label)


def _names(text: str, cell: Cell) -> list[str]:
    """The names in the text of a cell that has some."""
    if cell.mark != NAMED.mark:
        return names_in(text.replace(NUMBER, " "))
    named = label_before(text) if ":" in text or "=" in text else None
    return [(named[1] if named else text).strip(AROUND.decode())]
