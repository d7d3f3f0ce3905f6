"""Stretches of a batch that are one record each, and the candidates that stand together in one.

`Spans` are records that are not lines. `Groups` are neighbouring candidates with one key: the line or the record that holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Places
from matcher.detect.candidates import Candidates

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


MOST_KINDS = 32
Masks = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Groups:
    """Neighbours that share a key, at least one of them valid.

    `key`, `first`, `count`, `valid` i64[m]: the key, the first candidate, how many there are, and how many valid ones; `mask`
    u32[m]: a bit a kind of the valid ones.
    """

    key: Numbers
    first: Numbers
    count: Numbers
    valid: Numbers
    mask: Masks

    def __len__(self) -> int:
        return len(self.key)

    @classmethod
    def of(cls, keys: Numbers, bits: Masks) -> Groups:
        """Groups of candidates in order of place, from their `keys` i64[n] and kinds `bits` u32[n], 0 for what is not valid."""
        if not len(keys):
            return cls(keys, keys, keys, keys, bits)
        is_first = np.ones(len(keys), bool)
        np.not_equal(keys[1:], keys[:-1], out=is_first[1:])
        first = np.flatnonzero(is_first)
        count = np.diff(first, append=len(keys))
        mask = np.bitwise_or.reduceat(bits, first)
        is_valid = bits > 0
        valid = count if is_valid.all() else np.diff(np.cumsum(is_valid)[first + count - 1], prepend=0)
        kept = mask > 0
        return cls(keys[first[kept]], first[kept], count[kept], valid[kept], mask[kept])


def bits_of(candidates: Candidates) -> Masks:
    """A bit for the kind of each valid candidate, 0 for what fails its checksum: u32[n]."""
    if len(candidates.names) > MOST_KINDS:
        raise ValueError(f"{len(candidates.names)} kinds do not fit into a mask of {MOST_KINDS} bits")
    of_kind = np.left_shift(np.uint32(1), np.arange(MOST_KINDS, dtype=np.uint32))
    bits: Masks = of_kind.take(candidates.kind)
    bits *= candidates.valid
    return bits


def holder_of(starts: Places, places: Places) -> Numbers:
    """For each of `places` the number of the last of `starts` at or before it; both ascend. i64[places].

    The smaller side is looked up in the larger one.
    """
    if len(places) < len(starts):
        return np.searchsorted(starts, places, "right") - 1
    first = np.searchsorted(places, starts)
    return np.repeat(np.arange(len(starts)), np.diff(first, append=len(places)))
