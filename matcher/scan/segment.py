"""Candidates as columns: an array a fact, and no Python object for what matches nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matcher.scan.batch import Bytes, Places

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Segment:
    """Candidates of one kind and form in a batch; in memory only.

    `start` and `end` i64[n] are byte offsets in `Batch.data`; `normal` u8[n, width] the normal forms, zero padded, `length`
    i64[n] long; `valid` bool[n] says whether the checksum holds. What is `weak` is no match by itself: it only corroborates a
    row in which another field of the same customer was found.
    """

    kind: str
    form: str
    start: Places
    end: Places
    normal: Bytes
    length: Places
    valid: Flags
    weak: bool = False

    def __len__(self) -> int:
        return len(self.start)

    def where(self, chosen: Flags) -> Segment:
        """Those that are chosen."""
        start, end, length = self.start[chosen], self.end[chosen], self.length[chosen]
        return Segment(self.kind, self.form, start, end, self.normal[chosen], length, self.valid[chosen], self.weak)


@dataclass(frozen=True, slots=True)
class Candidates:
    """All candidates of a batch by place: `start`, `end` i64[n], `kind` u8[n] (an index into `names`), `valid` bool[n]."""

    names: tuple[str, ...]
    start: Places
    end: Places
    kind: npt.NDArray[np.uint8]
    valid: Flags

    @classmethod
    def merged(cls, segments: Sequence[Segment]) -> Candidates:
        """`segments` in one table, in order of place. Digests have the kind `digest`; weak segments are left out."""
        shown = [s for s in segments if len(s) and not s.weak]
        names = tuple(sorted({s.kind for s in shown}))
        start = np.concatenate([s.start for s in shown]) if shown else np.empty(0, np.int64)
        order = np.argsort(start, kind="stable")
        numbers = [np.full(len(s), names.index(s.kind), np.uint8) for s in shown]
        return cls(
            names,
            start[order],
            np.concatenate([s.end for s in shown])[order] if shown else start,
            np.concatenate(numbers)[order] if shown else np.empty(0, np.uint8),
            np.concatenate([s.valid for s in shown])[order] if shown else np.empty(0, bool),
        )
