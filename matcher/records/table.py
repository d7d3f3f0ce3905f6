"""The rows of a batch as columns, and their text with a mark for each candidate: what cells are read from.

A mark is two bytes: one that stands nowhere in UTF-8, and one for the candidate's kind and whether its checksum holds. So rows
that differ in their numbers alone are equal, and a separator inside a number parts no cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from matcher.columns.batch import LINE_END, Batch, Bytes, Places, ranges
from matcher.detect.candidates import Candidates
from matcher.detect.numbers import DIGEST
from matcher.records.spans import Groups, Numbers, Spans, holder_of
from ullage.identifiers import field_by_kind
from ullage.vocabulary.fields import Field

LONGEST = 1 << 16
"""Bytes of one row that are read; of a longer one the rest counts by its candidates alone."""


MARK = 0xFF
"""No byte of UTF-8."""
OPEN = bytes((MARK,))
KIND = 0x80
"""Of the second byte, with the number of the kind (below 32) from the second bit on: none of a separator's either."""
MARK_BYTES = 2
NUMBER = "\0"
"""Stands for a candidate where a row is shown as text: folding leaves none there."""
Seen = tuple[str, bool]
"""The kind whose shape a candidate has, and whether its checksum holds."""


def mark(kind: int, *, valid: bool) -> bytes:
    """The mark of a candidate, by the number of its kind."""
    return bytes((MARK, KIND | kind << 1 | valid))


def shown(text: bytes) -> str:
    """`text` as characters, with one NUMBER for each candidate."""
    first, *others = text.split(OPEN)
    plain = b"\0".join((first, *(part[1:] for part in others))) if others else first
    return plain.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Marked:
    """The text of rows: bytes [start, end) of `data`, i64[m], with a line end between two and three behind the last."""

    data: Bytes
    start: Numbers
    end: Numbers

    def texts(self) -> list[bytes]:
        """Each row."""
        whole = self.data.tobytes()
        return [whole[low:high] for low, high in zip(self.start.tolist(), self.end.tolist(), strict=True)]


def marked(batch: Batch, candidates: Candidates, start: Numbers, end: Numbers, first: Numbers, count: Numbers) -> Marked:
    """The text of rows, which is what stands between their candidates and a mark for each of those; all copied at once.

    Each is bytes [start, end) of `batch` with `count` candidates from number `first` on; i64[m] each, in order of place.
    """
    own = ranges(first, count)
    head = np.cumsum(count + 1) - count - 1
    is_last = np.zeros(len(own) + len(head), bool)
    is_last[head + count] = True
    is_head = np.zeros(len(is_last), bool)
    is_head[head] = True
    begin, stop = np.empty(len(is_last), np.int64), np.empty(len(is_last), np.int64)
    begin[is_head], begin[~is_head] = start, np.maximum.accumulate(candidates.end[own])
    stop[is_last], stop[~is_last] = end, candidates.start[own]
    length = np.maximum(stop - begin, 0)
    more = np.where(is_last, 1, MARK_BYTES)
    behind = np.cumsum(length + more)
    place = behind - length - more
    made = np.full((int(behind[-1]) if len(behind) else 0) + 2, LINE_END, np.uint8)
    made[ranges(place, length)] = batch.data[ranges(begin, length)]
    marks = behind[~is_last]
    made[marks - 2], made[marks - 1] = MARK, KIND | candidates.kind[own] << 1 | candidates.valid[own]
    return Marked(made, place[head], behind[head + count] - 1)


class Table:
    """Rows of a batch, in order of place; in memory only.

    A column a row, [m]: `document`; `start` and `end`, its bytes in the batch; `style` u8, how it is written; `mask` u32, a bit
    for each of `candidates.names` that it holds; `first_candidate` and `candidate_count`, also of those that fail their checksum.
    """

    def __init__(self, batch: Batch, candidates: Candidates, groups: Groups, rows: Spans) -> None:
        self.batch, self.candidates = batch, candidates
        self.document = holder_of(batch.starts, rows.start)
        self.start, self.end, self.style = rows.start, rows.end, rows.style
        self.mask, self.first_candidate, self.candidate_count = groups.mask, groups.first, groups.count
        self._labels: dict[int, frozenset[str]] = {}

    def __len__(self) -> int:
        return len(self.document)

    def lines(self, rows: Numbers) -> Numbers:
        """The first line of each of `rows`, from 0 in its document: i64[rows]."""
        first: Numbers = self.batch.lines(self.start[rows]) - self.batch.lines(self.batch.starts[self.document[rows]])
        return first

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
        start, first, count = self.start[rows], self.first_candidate[rows], self.candidate_count[rows]
        end = np.minimum(self.end[rows], start + LONGEST)
        for row in np.flatnonzero(self.end[rows] > end).tolist():
            own = slice(int(first[row]), int(first[row] + count[row]))
            count[row] = np.searchsorted(self.candidates.start[own], end[row])
        return marked(self.batch, self.candidates, start, end, first, count)
