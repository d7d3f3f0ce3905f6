"""Infer the columns of a document, and describe its rows: the label of each cell, and the skeleton.

`DocumentColumns` and its `HeaderColumns` hold the separator, header labels, column names of SQL
statements, and the types that the cells show for each column. Rows of one shape hold the same
fields in the same columns, so each shape is read one time for all its rows. The skeleton may be
stored.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from matcher.detect.labels import label_before, label_of, labels_of
from matcher.detect.numbers import DIGEST
from matcher.records.cells import PASSWORD_BEHIND, Content, RowShape
from matcher.records.table import BLOCK, LINE, TUPLE, Seen
from ullage.identifiers import field_by_kind
from ullage.vocabulary.fields import FieldLabel

MOST_STATEMENTS = 64
MOST_TRIES = 1024
LONGEST_HEAD = 8192
Labels = tuple[FieldLabel | None, ...]
NAME = rb"[`\"\[]?[\w.`\"\]\x80-\xff]{1,128}"
INSERT = re.compile(
    rb"(?i)(?:insert|replace)\s+(?:ignore\s+)?into\s+("
    + NAME
    + rb")(?:\s*+\(([^()]{1,4096}+)\))?+\s*+values?\s*"
)
CREATE = re.compile(rb"(?i)create\s+table\s+(?:if\s+not\s+exists\s+)?(" + NAME + rb")\s*\(")
COLUMN = re.compile(
    rb"(?m)^[ \t\r\v\f,]*[`\"\[]?([\w\x80-\xff]{1,64})[`\"\]]?\s+[A-Za-z]"
    rb"(?:[^\n]{0,256}?(?i:\bcomment)\s+'([^'\n]{1,64})')?"
)
"""The name of a column, and the name that its comment gives it."""
BEGINNING = re.compile(rb"\s*(?:\(|(?i:insert|replace)\s)")
MAY_BEGIN = frozenset(bytes((byte,)) for byte in b" \t\n\v\f\r(iIrR")
"""First bytes of a match of BEGINNING: most lines need no regular expression."""


class Tuple(NamedTuple):
    """A tuple in a line: bytes [start, end) between its brackets, and labels.

    The labels are those in the line itself.
    """

    start: int
    end: int
    labels: Labels


def is_beginning(line: bytes) -> bool:
    """Return whether a line begins with a tuple or an INSERT statement."""
    return line[:1] in MAY_BEGIN and BEGINNING.match(line) is not None


def tuple_in(line: bytes) -> Tuple | None:
    """Return the tuple of a line, None if the line is none.

    Such lines are `(1,'x'),` and `INSERT INTO t (a,b) VALUES (1,'x');`.
    """
    if not is_beginning(line):
        return None
    head = INSERT.match(line.lstrip()[:LONGEST_HEAD])
    behind = head.end() + len(line) - len(line.lstrip()) if head else 0
    start, end = line.find(b"(", behind), line.rfind(b")")
    return (
        Tuple(start + 1, end, labels_in(head[2]) if head and head[2] else ())
        if 0 <= start < end
        else None
    )


def statements_of(text: bytes, place: int = 0) -> tuple[tuple[int, Labels], ...]:
    """Return the place and the column labels of at most MOST_STATEMENTS INSERT statements.

    Labels are from the list in the INSERT, else from the CREATE TABLE. `place` is where `text`
    begins.
    """
    inserts = _heads(text, b"insert ", INSERT)
    unlisted = {_table_of(insert) for insert in inserts if not insert[2]}
    created = (
        {_table_of(create): create.end() for create in _heads(text, b"create ", CREATE)}
        if unlisted
        else {}
    )
    tables = {
        name: _column_labels(text[end : end + LONGEST_HEAD])
        for name, end in created.items()
        if name in unlisted
    }
    return tuple(
        (place + m.start(), labels_in(m[2]) if m[2] else tables.get(_table_of(m), ()))
        for m in inserts
    )


def _table_of(head: re.Match[bytes]) -> bytes:
    return head[1].strip(b'`"[]')


def labels_in(names: bytes) -> Labels:
    """Return the labels of the column names between the brackets of an INSERT."""
    return tuple(label_of(name) for name in names.decode("utf-8", "replace").split(","))


def _column_labels(body: bytes) -> Labels:
    """Return the labels of the columns of a CREATE TABLE.

    `body` begins behind the bracket, with a column a line, up to the keys.
    """
    first_line, *next_lines = body.split(b"\n")
    # a flood of line ends has no column
    body = b"\n".join((first_line, *(line for line in next_lines if line.strip(b" \t\r\v\f,"))))
    lines = re.split(
        rb"\n[ \t\r\v\f]*(?:\)|PRIMARY|UNIQUE|KEY|CONSTRAINT|INDEX)", body, maxsplit=1
    )[0]
    named = (
        (name.decode("utf-8", "replace"), comment.decode("utf-8", "replace"))
        for name, comment in COLUMN.findall(lines)
    )
    return tuple(
        label_of(name) or (label_of(comment) if comment else None) for name, comment in named
    )


def _heads(text: bytes, word: bytes, pattern: re.Pattern[bytes]) -> list[re.Match[bytes]]:
    """Return the matches of `pattern` that begin with `word` in lower or upper case.

    Searching for a word costs next to nothing.
    """
    heads: list[re.Match[bytes]] = []
    for written in (word, word.upper()):
        at, tries = text.find(written), 0
        while at >= 0 and len(heads) < MOST_STATEMENTS and tries < MOST_TRIES:
            match = pattern.match(text, at, at + LONGEST_HEAD)
            heads += [match] if match else []
            at, tries = text.find(written, at + 1), tries + 1
    return sorted(heads, key=re.Match.start)


FEWEST_CELLS = 4.0
"""Cells of one kind that a column needs before its checksums are evidence."""
LabelVote = tuple[float, int, FieldLabel]
"""Rows, a column, and the label that its cells in these rows show."""


@dataclass(frozen=True, slots=True)
class HeaderColumns:
    """The columns of a table: its separator ("" for none) and its header's labels (() for none).

    `doubted` are (column, kind) where most cells fail their checksum: those that pass do so by
    chance, as every tenth order number passes for a card. `typed` is the label of most cells in a
    column without one. Cells of `nameless` columns look like names but are tags.
    """

    separator: str = ""
    labels: tuple[FieldLabel | None, ...] = ()
    doubted: frozenset[tuple[int, str]] = frozenset()
    typed: Mapping[int, FieldLabel] = field(default_factory=dict, hash=False)
    names: tuple[str, ...] = field(default=(), compare=False)
    """The header as it is written: in memory only, like all text of a capture."""
    nameless: frozenset[int] = frozenset()

    def separator_in(self, style: int) -> bytes:
        """Return the separator of the cells of a row written in `style`."""
        return self.separator.encode() if style == LINE else b"\n" if style == BLOCK else b","

    def for_statement(self, labels: Labels) -> HeaderColumns:
        """Return a copy for the tuples of a statement whose columns have these `labels`.

        The separator is a comma.
        """
        return replace(self, separator=",", labels=labels)

    def with_inferred_types(
        self,
        candidates: Iterable[tuple[float, int, str, bool]],
        labels: Iterable[LabelVote],
        rows: float,
    ) -> HeaderColumns:
        """Return a copy with a type for each column in which most of the `rows` show one field.

        `candidates` are (weight, column, kind, is valid), `labels` the fields that the words of
        cells show. Returns the same object if nothing was inferred.
        """
        shaped: dict[tuple[int, str], float] = defaultdict(float)
        passed: dict[tuple[int, str], float] = defaultdict(float)
        for weight, column, kind, valid in candidates:
            shaped[column, kind] += weight
            passed[column, kind] += weight * valid
        frequent = [place for place, weight in shaped.items() if weight >= FEWEST_CELLS]
        doubted = frozenset(place for place in frequent if passed[place] < shaped[place] / 2)
        words: dict[tuple[int, FieldLabel], float] = defaultdict(float)
        for weight, column, label in labels:
            words[column, label] += weight
        typed = {column: label for (column, label), weight in words.items() if weight * 2 > rows}
        by_kind = field_by_kind()
        typed |= {
            column: by_kind[kind]
            for column, kind in frequent
            if kind in by_kind and passed[column, kind] * 2 > rows >= FEWEST_CELLS
        }
        if not typed and doubted == self.doubted:  # as in most short texts
            return self
        return replace(self, doubted=doubted, typed={**typed, **self.typed})


SEPARATORS = ("----", "\t", "|", ",", ";", "--", ":", " ")
HEADER_LINES = 20


@dataclass(frozen=True, slots=True)
class DocumentColumns:
    """The columns of a document's lines, and of its SQL statements.

    `statements` are (place, labels), ascending; the labels hold from the place on.
    """

    columns: HeaderColumns = HeaderColumns()
    statements: tuple[tuple[int, Labels], ...] = ()

    def labels_at(self, place: int) -> Labels:
        """Return the column labels of the last statement before `place`."""
        at = bisect_right(self.statements, place, key=lambda statement: statement[0])
        return self.statements[at - 1][1] if at else ()

    def with_inferred_types(
        self,
        candidates: Iterable[tuple[float, int, str, bool]],
        labels: Iterable[LabelVote],
        rows: int,
    ) -> DocumentColumns:
        """Return a copy with a type for each column whose cells agree.

        Returns the same object if none does. The arguments are those of
        `HeaderColumns.with_inferred_types`.
        """
        columns = self.columns.with_inferred_types(candidates, labels, rows)
        return self if columns is self.columns else DocumentColumns(columns, self.statements)

    def as_carried(self) -> DocumentColumns:
        """Return the columns for the rest of this document in a later batch.

        The last statement there applies from the beginning.
        """
        return DocumentColumns(
            self.columns, tuple((-1, labels) for _, labels in self.statements[-1:])
        )


def vote(line: str) -> str:
    """Return the first of SEPARATORS that separates cells of the line; "" for none."""
    return next((s for s in SEPARATORS if s in line and _parts(s, line)), "")


def elect_separator(votes: Sequence[str]) -> str:
    """Return the separator with most votes, the first of several.

    >>> elect_separator([vote(line) for line in ('a|b', 'c|d', 'e,f')])
    '|'
    """
    return max(votes, key=votes.count, default="")


def _parts(separator: str, line: str) -> bool:
    """Return whether `separator` separates cells of the line.

    A colon does if no space follows it and no label precedes it.
    """
    return separator != ":" or (": " not in line and label_before(line) is None)


def header_of(lines: Sequence[str], separator: str) -> tuple[Labels, tuple[str, ...]]:
    """Return labels and names of the columns, from the last of `lines` that is a header.

    Both are () if none is.
    """
    for line in reversed(lines if separator else ()):
        if separator in line:
            names = line.rstrip("\n").split(separator)
            labels = labels_of(names)
            if labels:
                return labels, tuple(names)
    return (), ()


SHOWN_CELLS = 12  # a skeleton longer than a line helps nobody
SHOWN_NUMBERS = 4
"""Identifiers of one cell that the skeleton shows."""
LOGINS = frozenset(f"<{label}>" for label in (FieldLabel.PHONE, FieldLabel.EMAIL))
"""Cells that a password may follow."""
HASH = f"<{DIGEST}>"


class ShapeCell(NamedTuple):
    """What a cell holds.

    It has its mark in the skeleton, its labels and candidates, whether it is unknown, and whether
    it holds a name.
    """

    mark: str
    fields: frozenset[str] = frozenset()
    candidates: tuple[Seen, ...] = ()
    is_unknown: bool = False
    is_named: bool = False

    @classmethod
    def from_label(cls, label: FieldLabel, candidates: tuple[Seen, ...] = ()) -> ShapeCell:
        """Return a cell with a known label."""
        return cls(
            f"<{label}>", frozenset((str(label),)), candidates, is_named=label is FieldLabel.NAME
        )


NAMED = ShapeCell.from_label(FieldLabel.NAME)
SOMETHING = ShapeCell("<…>", is_unknown=True)
"""A cell that may hold anything."""
SECRET = ShapeCell.from_label(FieldLabel.PASSWORD)._replace(is_unknown=True)


class RowLayout(NamedTuple):
    """The labels and the skeleton that rows share."""

    fields: frozenset[str]
    skeleton: str


class ShapeDescription:
    """What rows of one shape hold: labels, with `more`, and the skeleton.

    The skeleton is the marks of `cells`, joined by `between`.
    """

    def __init__(
        self, cells: Sequence[ShapeCell], between: str, more: frozenset[str] = frozenset()
    ) -> None:
        self.cells, self._between = cells, between
        fields = more.union(*[cell.fields for cell in cells])
        self.fields, self.skeleton = self.layout = RowLayout(
            fields, between.join([cell.mark for cell in cells[:SHOWN_CELLS]])
        )
        self.candidates = [
            (column, *candidate)
            for column, cell in enumerate(cells)
            for candidate in cell.candidates
        ]
        """Column and kind of each candidate, and whether its checksum holds."""
        self.unknown = [column for column, cell in enumerate(cells) if cell.is_unknown]
        """Columns of which nothing is known."""
        self.named = [column for column, cell in enumerate(cells) if cell.is_named]
        """Columns with a name."""
        self.names = [column for column in self.named if cells[column] == NAMED]
        """Columns that hold only a name."""
        self.marks = [cell.mark for cell in cells]

    @cached_property
    def label_votes(self) -> list[tuple[int, FieldLabel]]:
        """Return each column whose cell names exactly one field by its words, with that field.

        Cells with a candidate or a personal name are left out, because these show the field anyway.
        """
        cells = enumerate(self.cells)
        return [
            (n, FieldLabel(next(iter(c.fields))))
            for n, c in cells
            if len(c.fields) == 1 and not (c.candidates or c.is_named)
        ]

    @cached_property
    def behind_login(self) -> int | None:
        """Return the index of the column, directly behind a login, that may be a password.

        None if there is none at the beginning or the end of the row.
        """
        last = len(self.cells) - 1
        if last > 0 and self.cells[last].is_unknown and self.cells[last - 1].mark in LOGINS:
            return last
        return 1 if last > 0 and self.cells[1].is_unknown and self.cells[0].mark in LOGINS else None

    def with_fields(self, more: frozenset[str]) -> ShapeDescription:
        """Return a copy of this description to which the field labels `more` are added."""
        return ShapeDescription(self.cells, self._between, more)


CellKey = tuple[
    int, FieldLabel | None, FieldLabel | None, FieldLabel | None, bool, tuple[bool, ...]
]
"""The identity of a content, and what its column and the cell before it show."""


class Readers:
    """The readers of a batch: documents with equal columns share one."""

    def __init__(self) -> None:
        self._by_columns: dict[HeaderColumns, ShapeReader] = {}
        self.numbered: list[ShapeReader] = []
        self.described: dict[tuple[tuple[ShapeCell, ...], str], ShapeDescription] = {}
        self.cells: dict[CellKey, tuple[Content, ShapeCell]] = {}
        """Described cells; the content is kept so that its `id` stays unique."""

    def get(self, columns: HeaderColumns) -> ShapeReader:
        """Return the reader of row shapes for `columns`; equal columns share one reader."""
        reader = self._by_columns.get(columns)
        if reader is None:
            reader = self._by_columns[columns] = ShapeReader(columns, self, len(self.numbered))
            self.numbered.append(reader)
        return reader


class ShapeReader:
    """A reader of shapes by the known `columns`; `number` identifies it in `Readers`."""

    def __init__(self, columns: HeaderColumns, readers: Readers, number: int) -> None:
        self.columns, self._readers, self.number = columns, readers, number
        self._read: dict[tuple[RowShape, bool], ShapeDescription] = {}
        self._by_labels: dict[Labels, ShapeReader] = {}

    def for_statement(self, labels: Labels) -> ShapeReader:
        """Return the reader for tuples of a statement whose columns have these `labels`."""
        reader = self._by_labels.get(labels)
        return reader or self._by_labels.setdefault(
            labels, self._readers.get(self.columns.for_statement(labels))
        )

    def read(self, shape: RowShape, *, offer: bool = False) -> ShapeDescription:
        """Return what rows of this shape hold: the field label of each cell, and the skeleton.

        Computed one time per shape. If the text is an `offer`, words in cells do not name a field.
        """
        description = self._read.get((shape, offer))
        if description is None:
            separator = self.columns.separator_in(shape.style).decode()
            key = (
                self._cells(shape, offer),
                {"": " ", "\n": " ", "\t": "\\t"}.get(separator, separator),
            )
            description = self._readers.described.get(key) or self._readers.described.setdefault(
                key, ShapeDescription(*key)
            )
            self._read[shape, offer] = description
        return description

    def _cells(self, shape: RowShape, offer: bool) -> tuple[ShapeCell, ...]:
        """Return what each cell of the shape holds."""
        contents, labels, count = shape.contents, self.columns.labels, len(shape.contents)
        is_headed = shape.style in (LINE, TUPLE) and len(labels) == count > 1
        header = labels if is_headed else (None,) * count
        words = (None,) * count if offer else shape.words
        columns = zip(range(count), contents, header, words, strict=True)
        cells = [self._describe_cell(*column) for column in columns]
        if shape.style == LINE and self.columns.separator_in(LINE) == PASSWORD_BEHIND and count > 1:
            is_behind = cells[-1] == SOMETHING and cells[-2].mark == f"<{FieldLabel.EMAIL}>"
            if is_behind and contents[-1].is_password:
                # what follows an address at the end of a line: `https://…:a@b.cn:secret`
                cells[-1] = SECRET
        return tuple(cells)

    def _describe_cell(
        self, column: int, content: Content, header: FieldLabel | None, words: FieldLabel | None
    ) -> ShapeCell:
        """Return what a cell holds.

        Cells with the same content and the same known column, in the whole batch, share the result.
        """
        columns = self.columns
        doubted = (
            tuple([(column, kind) in columns.doubted for kind, _ in content.candidates])
            if columns.doubted
            else ()
        )
        key = (
            id(content),
            header,
            words,
            columns.typed.get(column),
            column in columns.nameless,
            doubted,
        )
        cells = self._readers.cells
        entry = cells.get(key)
        if entry is None:
            entry = cells[key] = content, _decide_cell(content, header, words, *key[3:])
        return entry[1]


def _decide_cell(
    content: Content,
    header: FieldLabel | None,
    words: FieldLabel | None,
    typed: FieldLabel | None,
    is_nameless: bool,
    doubted: Sequence[bool],
) -> ShapeCell:
    """Return what a cell holds.

    It is decided, in this order, by its identifiers, the label in it, the header, its look, its
    words, and the type of its column. `doubted` marks the candidates whose kind is doubted in the
    column; () for none.
    """
    label = content.label if content.is_labelled else header
    candidates = zip(content.candidates, doubted or [False] * len(content.candidates), strict=True)
    kinds = [kind for (kind, valid), is_doubted in candidates if valid and not is_doubted]
    if kinds:
        return _describe_numbers(content, kinds, label or typed)
    if content.is_empty:
        return ShapeCell("", candidates=content.candidates)
    if label is None and content.is_name and not is_nameless:
        label = FieldLabel.NAME
    label = label or words or typed
    return (
        ShapeCell.from_label(label, content.candidates)
        if label
        else SOMETHING._replace(candidates=content.candidates)
    )


def _describe_numbers(
    content: Content, kinds: Sequence[str], label: FieldLabel | None
) -> ShapeCell:
    """Return what a cell with identifiers holds, by the text around them.

    A digest is of the field that its column or label names.
    """
    by_kind = field_by_kind()
    labels = [
        kind if kind == DIGEST else str(by_kind.get(kind, FieldLabel.OTHER)) for kind in kinds
    ]
    fields = content.around.union(labels) - {DIGEST}
    if DIGEST in labels and label:
        fields |= {str(label)}
    shown_as = "".join([f"<{name}>" for name in labels[:SHOWN_NUMBERS]])
    if content.sign and shown_as in LOGINS:
        fields |= {str(FieldLabel.PASSWORD)}
        shown_as += f"{content.sign}{SECRET.mark}"
    return ShapeCell(
        shown_as, fields, content.candidates, is_named=str(FieldLabel.NAME) in content.around
    )
