"""Candidates of a batch as statistics need them, by document; each column is made when first asked for, for all documents."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Batch
from matcher.detect.candidates import Segment, by_place
from matcher.match.statistics.dates import newest_dates
from matcher.match.statistics.distinct import told_apart
from matcher.match.statistics.key import CaptureKey, Words, kind_numbers
from matcher.match.statistics.runs import numbers_of
from matcher.records import Rows
from matcher.records.logins import stealer_rows
from ullage.identifiers import masked

COUNTED_UP = ("phone", "card")
"""Kinds whose numbers a generator would count up."""
Column = npt.NDArray[Any]


class Part:
    """One batch: several captures, or a stretch of a long one. In memory only. Weak segments count for nothing.

    Documents number `about` are what a file says of itself.
    """

    def __init__(
        self, batch: Batch, segments: Sequence[Segment], rows: Rows, key: CaptureKey, about: Collection[int] = ()
    ) -> None:
        self.batch, self.rows, self.key, self._about = batch, rows, key, about
        self.segments = [s for s in segments if len(s) and not s.weak]
        self.kinds = tuple(sorted({_counted_as(s) for s in self.segments}))
        self._newest: dict[date, list[date | None]] = {}

    def tags(self, document: int) -> list[Words]:
        """Keyed 64-bit tags of a document's valid candidates, in no order, with repetitions."""
        return [column[own] for column, own in self._stretches(self._tags, document)]

    def values(self, document: int) -> list[Words]:
        """The same as `told_apart` gives, kind and all."""
        return [column[own] for column, own in self._stretches(self._values, document)]

    def numbers(self, document: int) -> list[npt.NDArray[np.int64]]:
        """The valid phones and cards of a document as numbers modulo 10^18."""
        return [column[own] for column, own in self._stretches(self._numbers, document)]

    def failures(self, document: int) -> dict[str, int]:
        """Candidates of a document that fail their checksum, a kind."""
        return {kind: n for kind, n in zip(self.kinds, self._failures[document].tolist(), strict=True) if n}

    def newest_date(self, document: int, today: date) -> date | None:
        """The newest date in the rows of a document that is not after `today`: what else it says tells no age of its data."""
        if today not in self._newest:
            self._newest[today] = newest_dates(self.batch, today, lambda places: self.rows.holding(places) >= 0)
        return None if document in self._about else self._newest[today][document]

    def stealer_rows(self, document: int) -> int:
        """Rows of a document in the form of a stealer log; what a file says of itself has none."""
        return 0 if document in self._about else stealer_rows(self.rows, document)

    def beginning(self, document: int, most: int) -> bytes:
        """The first bytes of a document, up to `most`."""
        start, end = int(self.batch.starts[document]), int(self.batch.ends[document])
        text: bytes = self.batch.text(start, min(end, start + most))
        return text

    def size(self, document: int) -> int:
        """Bytes of a document's folded text."""
        return int(self.batch.ends[document] - self.batch.starts[document])

    @cached_property
    def _valid(self) -> list[tuple[Segment, list[int]]]:
        """The valid candidates of each segment, by place, and where those of each document begin and the last one's end."""
        valid = [_by_place(segment if segment.valid.all() else segment.where(segment.valid)) for segment in self.segments]
        ends = np.append(self.batch.starts, len(self.batch.data))
        return [(segment, np.searchsorted(segment.start, ends).tolist()) for segment in valid]

    @cached_property
    def _tags(self) -> list[tuple[Words, list[int]]]:
        return [(self.key.words(segment), borders) for segment, borders in self._valid]

    @cached_property
    def _values(self) -> list[tuple[Words, list[int]]]:
        numbers = kind_numbers()
        tags = zip(self._valid, self._tags, strict=True)
        return [(told_apart(words, numbers[_counted_as(segment)]), borders) for (segment, borders), (words, _) in tags]

    @cached_property
    def _numbers(self) -> list[tuple[npt.NDArray[np.int64], list[int]]]:
        counted = ((s, borders) for s, borders in self._valid if s.kind in COUNTED_UP and s.form == "plain")
        return [(numbers_of(s.normal, s.length), borders) for s, borders in counted]

    def _stretches(self, columns: Sequence[tuple[Column, list[int]]], document: int) -> Iterator[tuple[Column, slice]]:
        """Each column, and which of it is of one document, where anything is."""
        for column, borders in columns:
            first, last = borders[document], borders[document + 1]
            if first < last:
                yield column, slice(first, last)

    @cached_property
    def _failures(self) -> npt.NDArray[np.int64]:
        """Shape (documents, kinds)."""
        counts = np.zeros((len(self.batch.starts), len(self.kinds)), np.int64)
        for segment in self.segments:
            failed = self.batch.documents(segment.start[~segment.valid])
            counts[:, self.kinds.index(_counted_as(segment))] += np.bincount(failed, minlength=len(counts))
        return counts


def _counted_as(segment: Segment) -> str:
    """The kind that candidates are counted as: masked ones apart, since no checksum of them holds, and many share one."""
    return segment.form if segment.form == masked.FORM else segment.kind


def _by_place(segment: Segment) -> Segment:
    """The candidates of a segment in order of place, which most are in anyway."""
    return segment if (segment.start[1:] >= segment.start[:-1]).all() else segment.take(by_place(segment.start))
