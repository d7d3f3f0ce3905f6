"""Candidates that stand together, as columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Places
from matcher.detect.candidates import Candidates
from matcher.records.spans import Numbers

MOST_KINDS = 32
Masks = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Groups:
    """Neighbours that share a key, at least one of them valid.

    `key`, `first`, `count`, `valid` i64[m]: the key, the first candidate, how many there are, and how many valid ones; `mask`
    u32[m]: a bit a kind of the valid ones; `member` i64[n]: the group of each candidate, −1 for none.
    """

    key: Numbers
    first: Numbers
    count: Numbers
    valid: Numbers
    mask: Masks
    member: Numbers

    def __len__(self) -> int:
        return len(self.key)

    @classmethod
    def of(cls, keys: Numbers, bits: Masks) -> Groups:
        """Groups of candidates in order of place, from their `keys` i64[n] and kinds `bits` u32[n], 0 for what is not valid."""
        if not len(keys):
            return cls(keys, keys, keys, keys, bits, keys)
        is_first = np.ones(len(keys), bool)
        np.not_equal(keys[1:], keys[:-1], out=is_first[1:])
        first = np.flatnonzero(is_first)
        count = np.diff(first, append=len(keys))
        mask = np.bitwise_or.reduceat(bits, first)
        is_valid = bits > 0
        valid = count if is_valid.all() else np.diff(np.cumsum(is_valid)[first + count - 1], prepend=0)
        kept = mask > 0
        if kept.all():
            return cls(keys[first], first, count, valid, mask, np.repeat(np.arange(len(first)), count))
        member = np.repeat(np.where(kept, np.cumsum(kept) - 1, -1), count)
        return cls(keys[first[kept]], first[kept], count[kept], valid[kept], mask[kept], member)


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
