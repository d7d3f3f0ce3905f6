"""What rows hold by what is known of their columns: the label of each cell, and the skeleton that may be stored.

Rows of one shape hold the same in the same columns, so each shape is read once for all its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

from matcher.detect.numbers import DIGEST
from matcher.records.cells import PASSWORD_BEHIND, Content, Shape
from matcher.records.json_sql_records import Labels
from matcher.records.schema import Columns
from matcher.records.spans import LINE, TUPLE
from matcher.records.table import Seen
from ullage.identifiers import field_by_kind
from ullage.vocabulary.fields import Field

SHOWN_CELLS = 12  # a skeleton longer than a line helps nobody
SHOWN_NUMBERS = 4
"""Of a cell with many identifiers, what the skeleton shows."""
LOGINS = frozenset(f"<{label}>" for label in (Field.PHONE, Field.EMAIL))
"""Cells that a password may stand behind."""
HASH = f"<{DIGEST}>"


class Cell(NamedTuple):
    """What a cell is: its mark in the skeleton, labels, candidates, whether nothing is known of it, and whether it names."""

    mark: str
    fields: frozenset[str] = frozenset()
    seen: tuple[Seen, ...] = ()
    is_unknown: bool = False
    is_named: bool = False

    @classmethod
    def of(cls, label: Field, seen: tuple[Seen, ...] = ()) -> Cell:
        """A cell of which the label is known."""
        return cls(f"<{label}>", frozenset((str(label),)), seen, is_named=label is Field.NAME)


NAMED = Cell.of(Field.NAME)
SOMETHING = Cell("<…>", is_unknown=True)
"""A cell that may hold anything."""
SECRET = Cell.of(Field.PASSWORD)._replace(is_unknown=True)


class Layout(NamedTuple):
    """Labels and skeleton that rows share."""

    fields: frozenset[str]
    skeleton: str


class Described:
    """What rows of one shape hold, by their `cells`: labels, `more` among them, and the skeleton, whose cells `between` parts."""

    def __init__(self, cells: Sequence[Cell], between: str, more: frozenset[str] = frozenset()) -> None:
        self.cells, self._between = cells, between
        fields = more.union(*[cell.fields for cell in cells])
        self.layout = Layout(fields, between.join([cell.mark for cell in cells[:SHOWN_CELLS]]))
        self.seen = [(column, *seen) for column, cell in enumerate(cells) for seen in cell.seen]
        """Which kind was seen in which column, and whether its checksum holds."""
        self.unknown = [column for column, cell in enumerate(cells) if cell.is_unknown]
        """Columns of which nothing is known."""
        self.named = [column for column, cell in enumerate(cells) if cell.is_named]
        """Columns with a name."""
        self.names = [column for column in self.named if cells[column] == NAMED]
        """Those that hold nothing else."""
        self.marks = [cell.mark for cell in cells]

    @cached_property
    def said(self) -> list[tuple[int, Field]]:
        """Columns whose cell has one label, and no number or name in it that would say so again."""
        cells = enumerate(self.cells)
        return [(n, Field(next(iter(c.fields)))) for n, c in cells if len(c.fields) == 1 and not (c.seen or c.is_named)]

    @cached_property
    def behind_login(self) -> int | None:
        """The column in which a password would stand."""
        last = len(self.cells) - 1
        if last > 0 and self.cells[last].is_unknown and self.cells[last - 1].mark in LOGINS:
            return last
        return 1 if last > 0 and self.cells[1].is_unknown and self.cells[0].mark in LOGINS else None

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
        return Described(self.cells, self._between, more)


CellKey = tuple[int, Field | None, Field | None, Field | None, bool, tuple[bool, ...]]
"""The identity of a content, and what is known of its column and by the cell before it."""


class Readers:
    """The readers of a batch: documents whose columns are equal share one."""

    def __init__(self) -> None:
        self._by_columns: dict[Columns, Reader] = {}
        self.described: dict[tuple[tuple[Cell, ...], str], Described] = {}
        self.cells: dict[CellKey, tuple[Content, Cell]] = {}
        """What cells are; with the content, so that no other takes its place in memory."""

    def by(self, columns: Columns) -> Reader:
        """The reader for these columns."""
        found = self._by_columns.get(columns)
        return found or self._by_columns.setdefault(columns, Reader(columns, self, len(self._by_columns)))


class Reader:
    """Says what shapes hold by what is known of their `columns`; `number` is its own among its readers."""

    def __init__(self, columns: Columns, readers: Readers, number: int) -> None:
        self.columns, self._readers, self.number = columns, readers, number
        self._read: dict[tuple[Shape, bool], Described] = {}
        self._by_labels: dict[Labels, Reader] = {}

    def of_statement(self, labels: Labels) -> Reader:
        """The reader for tuples whose statement names its columns so."""
        found = self._by_labels.get(labels)
        return found or self._by_labels.setdefault(labels, self._readers.by(self.columns.of_statement(labels)))

    def read(self, shape: Shape, *, offer: bool = False) -> Described:
        """What rows of `shape` hold; words of an `offer` say nothing."""
        found = self._read.get((shape, offer))
        if found is None:
            separator = self.columns.separator_in(shape.style).decode()
            key = self._cells(shape, offer), {"": " ", "\n": " ", "\t": "\\t"}.get(separator, separator)
            found = self._readers.described.get(key) or self._readers.described.setdefault(key, Described(*key))
            self._read[shape, offer] = found
        return found

    def _cells(self, shape: Shape, offer: bool) -> tuple[Cell, ...]:
        """What each cell is."""
        contents, labels, count = shape.contents, self.columns.labels, len(shape.contents)
        is_headed = shape.style in (LINE, TUPLE) and len(labels) == count > 1
        header = labels if is_headed else (None,) * count
        words = (None,) * count if offer else shape.words
        columns = zip(range(count), contents, header, words, strict=True)
        cells = [self._known_cell(*column) for column in columns]
        if shape.style == LINE and self.columns.separator_in(LINE) == PASSWORD_BEHIND and count > 1:
            is_behind = cells[-1] == SOMETHING and cells[-2].mark == f"<{Field.EMAIL}>"
            if is_behind and contents[-1].is_password:
                cells[-1] = SECRET  # what follows an address at the end of a line: `https://…:a@b.cn:secret`
        return tuple(cells)

    def _known_cell(self, column: int, content: Content, header: Field | None, words: Field | None) -> Cell:
        """What a cell is, from those of all columns of the batch of which as much is known."""
        columns = self.columns
        doubted = tuple([(column, kind) in columns.doubted for kind, _ in content.seen]) if columns.doubted else ()
        key = id(content), header, words, columns.typed.get(column), column in columns.nameless, doubted
        cells = self._readers.cells
        known = cells.get(key)
        if known is None:
            known = cells[key] = content, _cell(content, header, words, *key[3:])
        return known[1]


def _cell(
    content: Content,
    header: Field | None,
    words: Field | None,
    typed: Field | None,
    is_nameless: bool,
    doubted: Sequence[bool],
) -> Cell:
    """What a cell is: by its identifiers, the label in it, the header, its look, its words, and what its column is mostly.

    `doubted` says of which of its candidates the column holds no true ones, () for none.
    """
    label = content.label if content.is_labelled else header
    seen = zip(content.seen, doubted or [False] * len(content.seen), strict=True)
    kinds = [kind for (kind, valid), is_doubted in seen if valid and not is_doubted]
    if kinds:
        return _of_numbers(content, kinds, label or typed)
    if content.is_empty:
        return Cell("", seen=content.seen)
    if label is None and content.is_name and not is_nameless:
        label = Field.NAME
    label = label or words or typed
    return Cell.of(label, content.seen) if label else SOMETHING._replace(seen=content.seen)


def _of_numbers(content: Content, kinds: Sequence[str], label: Field | None) -> Cell:
    """What a cell with identifiers is, by what stands around them; a digest is of what its column or label says it is."""
    by_kind = field_by_kind()
    labels = [kind if kind == DIGEST else str(by_kind.get(kind, Field.OTHER)) for kind in kinds]
    fields = content.around.union(labels) - {DIGEST}
    if DIGEST in labels and label:
        fields |= {str(label)}
    shown_as = "".join([f"<{name}>" for name in labels[:SHOWN_NUMBERS]])
    if content.sign and shown_as in LOGINS:
        fields |= {str(Field.PASSWORD)}
        shown_as += f"{content.sign}{SECRET.mark}"
    return Cell(shown_as, fields, content.seen, is_named=str(Field.NAME) in content.around)
