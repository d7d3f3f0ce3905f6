"""Rows as bytes with a mark for each candidate: what cells are read from.

A mark is two bytes: one that stands nowhere in UTF-8, and one for the candidate's kind and whether its checksum holds. So rows
that differ in their numbers alone are equal, and a separator inside a number parts no cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from matcher.columns.batch import LINE_END, Batch, Bytes
from matcher.columns.ragged import ranges
from matcher.detect.candidates import Candidates
from matcher.records.spans import Numbers

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
class Stretches:
    """Rows as bytes [start, end) of a batch, each with `count` candidates from number `first` on; four i64[m], by place."""

    start: Numbers
    end: Numbers
    first: Numbers
    count: Numbers


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


def marked(batch: Batch, candidates: Candidates, rows: Stretches) -> Marked:
    """The text of `rows`, which is what stands between their candidates and a mark for each of those; all copied at once."""
    start, end, first, count = rows.start, rows.end, rows.first, rows.count
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
