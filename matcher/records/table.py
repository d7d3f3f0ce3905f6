"""The rows of a batch as columns, and the text of one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Batch, Places
from matcher.detect.candidates import Candidates
from matcher.detect.words import DIGEST
from matcher.records.marked import Marked, Stretches, marked
from matcher.records.spans import Groups, Masks, Numbers
from ullage.identifiers import field_by_kind
from ullage.vocabulary.fields import Field

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
        self._labels: dict[int, frozenset[str]] = {}

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

    def extent_of(self, documents: Numbers) -> tuple[Numbers, Numbers]:
        """The first row of each of `documents`, and how many rows it has: i64[documents] each."""
        first = np.searchsorted(self.document, documents)
        return first, np.searchsorted(self.document, documents + 1) - first

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

    def first_members(self, rows: Numbers) -> Numbers:
        """The first candidate of each of `rows`: i64[rows]."""
        return self._groups.first[rows]

    def labels(self, row: int) -> frozenset[str]:
        """Labels of the kinds that a row holds; digests say nothing of what they are of."""
        mask = int(self.mask[row])
        if mask not in self._labels:
            names = (name for bit, name in enumerate(self.candidates.names) if mask >> bit & 1)
            self._labels[mask] = frozenset(str(field_by_kind().get(name, Field.OTHER)) for name in names if name != DIGEST)
        return self._labels[mask]

    def text(self, row: int) -> bytes:
        """The beginning of a row's text, at most LONGEST bytes."""
        start, end = int(self.start[row]), int(self.end[row])
        text: bytes = self.batch.text(start, min(end, start + LONGEST))
        return text

    def marked(self, rows: Numbers) -> Marked:
        """The beginnings of `rows`, which ascend, at most LONGEST bytes of each, with a mark for each candidate."""
        start, first, count = self.start[rows], self._groups.first[rows], self._groups.count[rows]
        end = np.minimum(self.end[rows], start + LONGEST)
        for row in np.flatnonzero(self.end[rows] > end).tolist():
            own = slice(int(first[row]), int(first[row] + count[row]))
            count[row] = np.searchsorted(self.candidates.start[own], end[row])
        return marked(self.batch, self.candidates, Stretches(start, end, first, count))
