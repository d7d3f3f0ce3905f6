"""Stretches of a batch that are one record each, where a record is not a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Places

LINE, OBJECT, TUPLE, BLOCK = range(4)
"""How a record is written: on a line, as a JSON object, as a tuple of an SQL statement, as `label: value` lines downwards."""
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Spans:
    """Records that do not overlap, in order of place: bytes [start, end) i64[s] and how each is written, `style` u8[s]."""

    start: Places
    end: Places
    style: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, start: Places, end: Places, style: int) -> Spans:
        """Records that are all written alike."""
        return cls(start, end, np.full(len(start), style, np.uint8))

    @classmethod
    def joined(cls, parts: Sequence[Spans]) -> Spans:
        """All of `parts`, which come from different documents, in order of place."""
        if not parts:
            return cls.of(np.empty(0, np.int64), np.empty(0, np.int64), LINE)
        start = np.concatenate([part.start for part in parts])
        order = np.argsort(start, kind="stable")
        ends, styles = (np.concatenate([getattr(part, column) for part in parts])[order] for column in ("end", "style"))
        return cls(start[order], ends, styles)

    def __len__(self) -> int:
        return len(self.start)

    def before(self, places: Places) -> Numbers:
        """For each place the last record that begins at or before it, −1 for none: i64[n]."""
        return np.searchsorted(self.start, places, "right") - 1

    def of_places(self, places: Places) -> Numbers:
        """For each place the record that holds it, −1 for none: i64[n]."""
        found = self.before(places)
        if len(self):
            found[places >= self.end[found]] = -1  # for −1 this asks the last record, which is behind: it stays −1 or becomes it
        return found
