"""What the columns of a document are: separator, header labels, and what its cells say of each column."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from matcher.detect.labelled import label_before, labels_of
from matcher.records.json_sql_records import Labels
from matcher.records.spans import BLOCK, LINE
from ullage.identifiers import field_by_kind
from ullage.vocabulary.fields import Field

FEWEST_CELLS = 4.0
"""Cells of a shape that a column must have before their checksums say anything."""
Said = tuple[float, int, Field]
"""Rows, a column, and the label that its cells in them say themselves."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The separator of a table ("" for none) and the labels of its header, () where it has none.

    `doubted` are (column, kind) of which most cells fail their checksum: those that pass do so by chance, as every tenth order
    number passes for a card. `typed` says of a column without a label what most of its cells are. Cells of
    `nameless` columns look like names and are tags.
    """

    separator: str = ""
    labels: tuple[Field | None, ...] = ()
    doubted: frozenset[tuple[int, str]] = frozenset()
    typed: Mapping[int, Field] = field(default_factory=dict, hash=False)
    names: tuple[str, ...] = field(default=(), compare=False)
    """The header as it is written: in memory only, as all that stands in a text."""
    nameless: frozenset[int] = frozenset()

    def separator_in(self, style: int) -> bytes:
        """What parts the cells of a row written in `style`."""
        return self.separator.encode() if style == LINE else b"\n" if style == BLOCK else b","

    def of_statement(self, labels: Labels) -> Columns:
        """The columns of tuples that a statement names so."""
        return replace(self, separator=",", labels=labels)

    def judged(self, seen: Iterable[tuple[float, int, str, bool]], said: Iterable[Said], rows: float) -> Columns:
        """The same, typed by cells of `rows` rows: those `seen` (weight, column, kind, is valid), and what others `said`."""
        shaped: dict[tuple[int, str], float] = defaultdict(float)
        passed: dict[tuple[int, str], float] = defaultdict(float)
        for weight, column, kind, valid in seen:
            shaped[column, kind] += weight
            passed[column, kind] += weight * valid
        many = [place for place, weight in shaped.items() if weight >= FEWEST_CELLS]
        doubted = frozenset(place for place in many if passed[place] < shaped[place] / 2)
        words: dict[tuple[int, Field], float] = defaultdict(float)
        for weight, column, label in said:
            words[column, label] += weight
        typed = {column: label for (column, label), weight in words.items() if weight * 2 > rows}
        by_kind = field_by_kind()
        typed |= {
            column: by_kind[kind] for column, kind in many if kind in by_kind and passed[column, kind] * 2 > rows >= FEWEST_CELLS
        }
        return replace(self, doubted=doubted, typed={**typed, **self.typed})


SEPARATORS = ("----", "\t", "|", ",", ";", "--", ":", " ")
HEADER_LINES = 20


@dataclass(frozen=True, slots=True)
class Sheet:
    """Columns of a document's lines, and of each SQL statement from its place on: ascending (place, labels)."""

    columns: Columns = Columns()
    statements: tuple[tuple[int, Labels], ...] = ()

    def labels_at(self, place: int) -> Labels:
        """What the last statement before `place` calls the columns of its tuples."""
        at = bisect_right(self.statements, place, key=lambda statement: statement[0])
        return self.statements[at - 1][1] if at else ()

    def judged(self, seen: Iterable[tuple[float, int, str, bool]], said: Iterable[Said], rows: int) -> Sheet:
        """The same with what the cells of `rows` rows say of the columns; as `Columns.judged`."""
        return Sheet(self.columns.judged(seen, said, rows), self.statements)

    def as_carried(self) -> Sheet:
        """The same for a document that goes on in a later batch: the last statement holds from its beginning."""
        return Sheet(self.columns, tuple((-1, labels) for _, labels in self.statements[-1:]))


def vote(line: str) -> str:
    """The separator of one line, the first of SEPARATORS that parts it; "" for none."""
    return next((s for s in SEPARATORS if s in line and _parts(s, line)), "")


def elected(votes: Sequence[str]) -> str:
    """What most of a few votes are for, the first of several.

    >>> elected([vote(line) for line in ('a|b', 'c|d', 'e,f')])
    '|'
    """
    return max(votes, key=votes.count, default="")


def _parts(separator: str, line: str) -> bool:
    """Whether a sign parts cells: a colon does where no space follows it and no label stands before it."""
    return separator != ":" or (": " not in line and label_before(line) is None)


def header_of(lines: Sequence[str], separator: str) -> tuple[Labels, tuple[str, ...]]:
    """Labels and names of the columns from the last of `lines` that is a header; () for none."""
    for line in reversed(lines if separator else ()):
        if separator in line:
            names = line.rstrip("\n").split(separator)
            labels = labels_of(names)
            if labels:
                return labels, tuple(names)
    return (), ()
