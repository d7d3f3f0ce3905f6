"""Lists of customers as banks export them, whatever their shape, in batches of columns.

One or many files (`readers.py` opens them), a header or `--columns` in its place, one row a customer or one row an identifier
(`--long`). Faults name file, line and column, never the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from matcher.columns.text_column import Texts
from matcher.watchlist import readers
from ullage.errors import ConfigError
from ullage.identifiers import kinds

REFERENCE = "customer_ref"
CANARY = "canary"
COHORT = re.compile(r"cohort[_:]([a-z0-9][a-z0-9_-]{0,19})")
"""A column of that name, or one that is mapped to it, holds labels."""


class Column(NamedTuple):
    """One column of a batch: what kind it holds, what the file calls it, and its cells."""

    kind: str
    name: str
    cells: Texts


class Witnessing(NamedTuple):
    """The columns of a loan's amount and date."""

    amount: Column
    date: Column


class Batch(NamedTuple):
    """Rows by column, with the line that each row begins on; two columns may hold one kind."""

    path: Path
    lines: Sequence[int]
    references: Texts
    columns: list[Column]
    labels: Sequence[Column] = ()
    """Columns of labels; their kind is the dimension, or `canary`."""
    witness: Witnessing | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A list of customers in one or more files.

    `mapping` is from column to kind; columns named as a kind map by themselves. `columns` names the columns of files that have
    no header. `long` names the columns of the reference, the kind and the value where each row holds one identifier.
    `delimiter` is recognised when empty. `witness` names the columns of a loan's amount and date (`witness.py`), by their own
    names or those that `mapping` gives them; () where witnesses are not wanted.
    """

    path: Path | Sequence[Path]
    mapping: Mapping[str, str]
    columns: Sequence[str] = ()
    long: Sequence[str] = ()
    delimiter: str = ""
    bare: bool = False
    witness: Sequence[str] = ()

    @property
    def paths(self) -> Sequence[Path]:
        """The files, in the order in which they are read."""
        return [self.path] if isinstance(self.path, Path) else self.path

    def __str__(self) -> str:
        """What it is called in a message."""
        return str(self.paths[0]) if len(self.paths) == 1 else f"{self.paths[0]} and {len(self.paths) - 1} more"

    def batches(self) -> Iterator[Batch]:
        """The rows, up to 50,000 a batch."""
        for path in self.paths:
            for table in readers.tables(path, self.columns, self.delimiter, self._wanted):
                if self.long:
                    yield from self._by_kind(path, table)
                else:
                    yield self._wide(path, table)

    def _wanted(self, path: Path, header: Sequence[str]) -> list[int]:
        """Numbers of the columns to read; ConfigError when the reference or every identifier is missing."""
        if self.long:
            return [self._place(path, header, name) for name in self.long]
        if missing := [name for name in self.mapping if name not in header]:
            raise ConfigError(f"{path}: line 1: there is no column {missing[0]!r} to map")
        known = self._known()
        named = [(i, self._kind(name)) for i, name in enumerate(header)]
        found = [(i, kind) for i, kind in named if kind in known or kind in self.witness or _dimension(kind)]
        called = [kind for _, kind in found]
        for name in self.witness:
            if called.count(name) != 1:
                number = "no" if name not in called else "more than one"
                raise ConfigError(f"{path}: line 1: {number} column is {name}, which --witness names")
        if called.count(REFERENCE) > 1:
            raise ConfigError(f"{path}: line 1: more than one column is {REFERENCE}")
        if REFERENCE not in called:
            raise ConfigError(f"{path}: line 1: no column {REFERENCE}: name it with --map COLUMN={REFERENCE}")
        if not self.bare and not any(kind in known - {REFERENCE, "name"} for kind in called):
            raise ConfigError(f"{path}: line 1: no identifier column: name one with --map COLUMN=phone")
        return [i for i, _ in found]

    def _known(self) -> set[str]:
        known = {*kinds(), "name", REFERENCE}
        others = [kind for kind in self.mapping.values() if kind not in known and kind not in self.witness]
        if unknown := [kind for kind in others if not _dimension(kind)]:
            raise ConfigError(f"--map: {unknown[0]!r} is no kind: use {', '.join(sorted(known))}, cohort:NAME or {CANARY}")
        return known

    def _kind(self, name: str) -> str:
        return self.mapping.get(name, name)

    @staticmethod
    def _place(path: Path, header: Sequence[str], name: str) -> int:
        if name not in header:
            raise ConfigError(f"{path}: line 1: there is no column {name!r}, which --long names")
        return list(header).index(name)

    def _wide(self, path: Path, table: readers.Table) -> Batch:
        columns = [Column(self._kind(name), name, cells) for name, cells in zip(table.names, table.columns, strict=True)]
        [references] = [column.cells for column in columns if column.kind == REFERENCE]
        labels = [Column(dimension, c.name, c.cells) for c in columns if (dimension := _dimension(c.kind))]
        pair = {column.kind: column for column in columns if column.kind in self.witness}
        apart = (REFERENCE, *pair)
        others = [column for column in columns if column.kind not in apart and not _dimension(column.kind)]
        witness = Witnessing(*(pair[name] for name in self.witness)) if pair else None
        return Batch(path, table.lines, references, others, labels, witness)

    def _by_kind(self, path: Path, table: readers.Table) -> Iterator[Batch]:
        """One batch a kind that occurs; a kind that is not known is a fault of the list."""
        references, kind_cells, values = table.columns
        known = self._known() - {REFERENCE}
        called = [text.strip() for text in kind_cells.strings()]
        for name in sorted(set(called)):
            rows = np.array([row for row, other in enumerate(called) if other == name])
            kind = self._kind(name)
            if kind not in known:
                raise ConfigError(
                    f"{path}: line {table.lines[int(rows[0])]}: a kind that is none of {', '.join(sorted(known))}: "
                    "map what the list calls it with --map CALLED=KIND"
                )
            lines = [table.lines[int(row)] for row in rows]
            yield Batch(path, lines, references.take(rows), [Column(kind, kind, values.take(rows))])


def _dimension(kind: str) -> str:
    """The dimension whose labels such a column holds; "" for other columns."""
    match = COHORT.fullmatch(kind)
    return match[1] if match else kind if kind == CANARY else ""
