"""Candidates of a batch as statistics need them, by document; each column is made when first asked for, for all documents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from matcher.rows import Rows
from matcher.scan.batch import Batch
from matcher.scan.segment import Segment
from matcher.statistics.dates import newest_dates
from matcher.statistics.key import CaptureKey, Words
from matcher.statistics.runs import numbers_of

COUNTED_UP = ("phone", "card")
"""Kinds whose numbers a generator would count up."""
Column = npt.NDArray[Any]


class Part:
    """One batch: several captures, or a stretch of a long one. In memory only. Weak segments count for nothing."""

    def __init__(self, batch: Batch, segments: Sequence[Segment], rows: Rows, key: CaptureKey) -> None:
        self.batch, self.rows, self.key = batch, rows, key
        self.segments = [s for s in segments if len(s) and not s.weak]
        self.kinds = tuple(sorted({s.kind for s in self.segments}))
        self._newest: dict[date, list[date | None]] = {}

    def tags(self, document: int) -> tuple[Words, npt.NDArray[np.uint8]]:
        """Keyed 64-bit tags and kinds (numbers into `kinds`) of a document's valid candidates, in no order, with repetitions."""
        (words, kinds), borders = self._tags
        own = slice(borders[document], borders[document + 1])
        return words[own], kinds[own]

    def numbers(self, document: int) -> npt.NDArray[np.int64]:
        """The valid phones and cards of a document as numbers modulo 10^18."""
        (numbers,), borders = self._numbers
        return numbers[borders[document] : borders[document + 1]]

    def failures(self, document: int) -> dict[str, int]:
        """Candidates of a document that fail their checksum, a kind."""
        return {kind: n for kind, n in zip(self.kinds, self._failures[document].tolist(), strict=True) if n}

    def newest_date(self, document: int, today: date) -> date | None:
        """The newest date of a document that is not after `today`."""
        if today not in self._newest:
            self._newest[today] = newest_dates(self.batch, today)
        return self._newest[today][document]

    def beginning(self, document: int, size: int) -> str:
        """The first characters of a document, up to `size`."""
        start, end = int(self.batch.starts[document]), int(self.batch.ends[document])
        text: bytes = self.batch.text(start, min(end, start + 4 * size))
        return text.decode("utf-8", "ignore")[:size]

    def size(self, document: int) -> int:
        """Bytes of a document's folded text."""
        return int(self.batch.ends[document] - self.batch.starts[document])

    @cached_property
    def _tags(self) -> tuple[list[Column], list[int]]:
        valid = [_valid(s) for s in self.segments]
        words = [self.key.words(s) for s in valid]
        kinds = [np.full(len(s), self.kinds.index(s.kind), np.uint8) for s in valid]
        return self._by_document(valid, [words, kinds], (np.uint64, np.uint8))

    @cached_property
    def _numbers(self) -> tuple[list[Column], list[int]]:
        valid = [_valid(s) for s in self.segments if s.kind in COUNTED_UP and s.form == "plain"]
        return self._by_document(valid, [[numbers_of(s.normal, s.length) for s in valid]], (np.int64,))

    @cached_property
    def _failures(self) -> npt.NDArray[np.int64]:
        """Shape (documents, kinds)."""
        counts = np.zeros((len(self.batch.starts), len(self.kinds)), np.int64)
        for segment in self.segments:
            failed = self.batch.documents(segment.start[~segment.valid])
            counts[:, self.kinds.index(segment.kind)] += np.bincount(failed, minlength=len(counts))
        return counts

    def _by_document(
        self, segments: Sequence[Segment], columns: Sequence[Sequence[Column]], types: Sequence[type]
    ) -> tuple[list[Column], list[int]]:
        """Columns of all `segments`, in order of document, and where each document begins in them and the last one ends."""
        whole = [np.concatenate([np.empty(0, kind), *column]) for column, kind in zip(columns, types, strict=True)]
        if len(self.batch.starts) == 1:
            return whole, [0, len(whole[0])]
        document = np.concatenate([np.empty(0, np.int64), *(self.batch.documents(s.start) for s in segments)])
        order = np.argsort(document, kind="stable")
        borders = np.searchsorted(document[order], np.arange(len(self.batch.starts) + 1))
        return [column[order] for column in whole], borders.tolist()


def _valid(segment: Segment) -> Segment:
    """The candidates of a segment whose checksum holds."""
    return segment if segment.valid.all() else segment.where(segment.valid)
