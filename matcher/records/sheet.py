"""What is known of a document's columns: separator and header of its lines, column names of its SQL statements."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from matcher.detect.labels import label_before, labels_of
from matcher.records.schema import Columns, Said
from matcher.records.statements import Labels

SEPARATORS = ("----", "\t", "|", ",", ";", "--", ":", " ")
HEADER_LINES = 20


@dataclass(frozen=True, slots=True)
class Sheet:
    """Columns of a document's lines, and of each SQL statement from its place on: ascending (place, labels)."""

    columns: Columns = Columns()  # noqa: RUF009  frozen
    statements: tuple[tuple[int, Labels], ...] = ()

    def of_statement(self, place: int, own: Labels) -> Columns:
        """Columns of the tuple at `place`: named by its `own` line, else by the last statement before it."""
        at = bisect_right(self.statements, place, key=lambda statement: statement[0])
        return replace(self.columns, separator=",", labels=own or (self.statements[at - 1][1] if at else ()))

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
