"""The rows of a batch as columns, and the text of one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from matcher.rows.cells import Described, Inside, describe
from matcher.rows.groups import Groups, Masks
from matcher.rows.sheet import Sheet
from matcher.rows.spans import LINE, TUPLE, Numbers
from matcher.rows.statements import tuple_in
from matcher.scan.batch import Batch, Places
from matcher.scan.digests import DIGEST
from matcher.scan.segment import Candidates
from ullage.fields import OF_KIND, Field

LONGEST = 1 << 16
"""Bytes of one row that are read; of a longer one the rest counts by its candidates alone."""


@dataclass(frozen=True, slots=True)
class Extents:
    """Where rows are: bytes [start, end), lines [first, last] of the buffer, and how they are written; five columns [m]."""

    start: Places
    end: Places
    first: Numbers
    last: Numbers
    style: npt.NDArray[np.uint8]


class Table:
    """Rows of a batch, in order of place; in memory only.

    `of` i64[n]: the row of each candidate, −1 for none. A column a row, [m]: `document`; `start` and `end`, its bytes in the
    batch; `mask` u32, a bit for each of `candidates.names` that it holds; `style` u8, how it is written.
    """

    def __init__(self, batch: Batch, candidates: Candidates, groups: Groups, extents: Extents, document: Numbers) -> None:
        self.batch, self.candidates, self.document = batch, candidates, document
        self.of: Numbers = groups.member
        self.mask: Masks = groups.mask
        self.start, self.end, self.style = extents.start, extents.end, extents.style
        self._groups, self._extents = groups, extents

    def __len__(self) -> int:
        return len(self.document)

    @property
    def first(self) -> Numbers:
        """The first line of each row, from 0 in its document: i64[m]."""
        return self._extents.first - self.batch.lines(self.batch.starts)[self.document]

    @property
    def last(self) -> Numbers:
        """The last line of each row, from 0 in its document: i64[m]."""
        return self._extents.last - self.batch.lines(self.batch.starts)[self.document]

    def lines(self, rows: Numbers) -> Numbers:
        """The first line of each of `rows`, from 0 in its document: i64[rows]."""
        begin = self.batch.starts[self.document[rows]]
        return self._extents.first[rows] - self.batch.lines(begin)

    def of_document(self, document: int) -> range:
        """The numbers of the rows of one document."""
        first, last = np.searchsorted(self.document, (document, document + 1))
        return range(int(first), int(last))

    def holding(self, places: Places) -> Numbers:
        """The row that holds each of `places`, such as those of weak candidates, −1 for none: i64[places]."""
        found = np.searchsorted(self.start, places, "right") - 1
        if len(self):
            found[places >= self.end[found]] = -1
        return found

    def members(self, row: int) -> range:
        """The numbers of the candidates in a row, those that fail their checksum among them."""
        first = int(self._groups.first[row])
        return range(first, first + int(self._groups.count[row]))

    def first_members(self, rows: range) -> Numbers:
        """The first candidate of each of `rows`: i64[rows]."""
        return self._groups.first[rows.start : rows.stop]

    def labels(self, row: int) -> frozenset[str]:
        """Labels of the kinds that a row holds; digests say nothing of what they are of."""
        names = (name for bit, name in enumerate(self.candidates.names) if int(self.mask[row]) >> bit & 1)
        return frozenset(str(OF_KIND.get(name, Field.OTHER)) for name in names if name != DIGEST)

    def text(self, row: int) -> bytes:
        """The beginning of a row's text, at most LONGEST bytes."""
        start, end = int(self.start[row]), int(self.end[row])
        text: bytes = self.batch.text(start, min(end, start + LONGEST))
        return text

    def inside(self, row: int) -> list[Inside]:
        """A row's candidates, as places in its text."""
        start, own = int(self.start[row]), self.members(row)
        found = self._columns[own.start : own.stop]
        if self.end[row] - start > LONGEST:
            found = found[: np.searchsorted(found[:, 0], start + LONGEST)]
        names = self.candidates.names
        return [Inside(first - start, end - start, names[kind], valid > 0) for first, end, kind, valid in found.tolist()]

    @cached_property
    def _columns(self) -> Numbers:
        """Start, end, kind and validity of every candidate side by side: one slice for a row; i64[n, 4]."""
        table = self.candidates
        return np.column_stack((table.start, table.end, table.kind, table.valid)).astype(np.int64)

    def describe(self, row: int, sheet: Sheet) -> Described:
        """A row's text read by what `sheet` says of the columns."""
        text, inside, style, start = self.text(row), self.inside(row), int(self.style[row]), int(self.start[row])
        columns = sheet.columns
        found = tuple_in(text) if style in (LINE, TUPLE) else None
        if found:
            columns = sheet.of_statement(start, found.labels)
            text, style = text[found.start : found.end], TUPLE
            own = (one for one in inside if found.start <= one.start < found.end)
            inside = [one._replace(start=one.start - found.start, end=one.end - found.start) for one in own]
        described = describe(text, inside, style, columns)
        return described.with_fields(self.labels(row)) if self.end[row] - start > LONGEST else described
