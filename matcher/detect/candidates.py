"""Hold candidates as columns, and decide which one wins where several claim the same bytes.

A *candidate* is a stretch of text that may be an identifier. There may be millions in a flood, so
those of one kind form a `Segment`: arrays with one entry each, and no Python object per candidate.

    start   i64[n]       end    i64[n]       byte offsets in the batch
    normal  u8[n, width] length i64[n]       the form that is hashed, zero padded
    valid   bool[n]                          whether the checksum holds

`settle` removes overlaps: a valid candidate wins over an invalid one, then the kind of lower rank
wins, then the first, then the longer. Only the winner is counted, but the customer list is asked
for valid losers too. The four comparisons are one, of a packed number:

    bit   63       48                   16              0
          │ claim   │ start             │ − (end − start) │   the lower the stronger

`every`, `anywhere`, `cut` and `lower` work on rows of bytes, eight at a time, so rows must be a
multiple of eight wide; other widths raise ValueError.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Bytes, Flags, Places
from ullage.identifiers import claims

NATIONAL = "national"
"""Form of a phone as dialled at home, in a country that only a customer list can tell."""
FULL = np.uint64(0x0101010101010101)
"""Eight true flags as one number."""
PLUS, INVALID = 43, 100
"""First byte of the normal form of a phone from abroad; rank added to invalid candidates."""
CASE_BIT = np.uint64(5)
"""The number of the bit that makes a letter lower case."""


def every(flags: Flags) -> Flags:
    """Return which rows are true throughout: bool[n].

    `flags` is bool[n, w]; a width w that is no multiple of 8 raises ValueError.
    """
    words = flags.view(np.uint64)
    combined = words[:, 0].copy()
    for column in range(1, words.shape[1]):
        combined &= words[:, column]
    full: Flags = combined == FULL
    return full


def anywhere(flags: Flags) -> Flags:
    """Return which rows are true somewhere: bool[n].

    `flags` is bool[n, w]; a width w that is no multiple of 8 raises ValueError.
    """
    words = flags.view(np.uint64)
    combined = words[:, 0].copy()
    for column in range(1, words.shape[1]):
        combined |= words[:, column]
    any_set: Flags = combined != 0
    return any_set


def cut(text: Bytes, length: int) -> Bytes:
    """Set the bytes behind the first `length` of each row to zero, in place, and return `text`.

    `text` is u8[n, w]; a width w that is no multiple of 8 raises ValueError.
    """
    words = text.view(np.uint64)
    for column in range(length // 8, words.shape[1]):
        bits = 8 * max(0, length - 8 * column)
        words[:, column] &= np.uint64((1 << bits) - 1)
    return text


def lower(text: Bytes) -> Bytes:
    """Turn the letters A to Z to lower case, in place, and return `text`.

    `text` is u8[n, w]; a width w that is no multiple of 8 raises ValueError.
    """
    capital = (text - np.uint8(ord("A")) <= 25).view(np.uint64)
    capital <<= CASE_BIT
    words = text.view(np.uint64)
    words |= capital
    return text


@dataclass(frozen=True, slots=True)
class Segment:
    """Candidates of one kind and form in a batch; in memory only.

    `start` and `end` i64[n] are byte offsets in `Batch.data`. `normal` u8[n, width] holds the
    normal forms, `length` i64[n] bytes long and zero padded (those of addresses and digests to a
    multiple of 8). `valid` bool[n] says whether the checksum holds. A `weak` candidate is no match
    alone: it only corroborates a row that holds another field of the same customer.
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

    def select(self, chosen: Flags) -> Segment:
        """Return the candidates whose flag in `chosen` (bool[n]) is set; itself if all are."""
        # four times as fast as boolean indexing
        return self if chosen.all() else self.take(np.flatnonzero(chosen))

    def take(self, indices: Places) -> Segment:
        """Return a segment of the candidates with these indexes (i64[m]), in this order."""
        start, end, length = (
            column.take(indices) for column in (self.start, self.end, self.length)
        )
        return Segment(
            self.kind,
            self.form,
            start,
            end,
            self.normal.take(indices, axis=0),
            length,
            self.valid.take(indices),
            self.weak,
        )


def join_segments(segments: Sequence[Segment], kind: str) -> Segment:
    """Return the candidates of all `segments` as one segment of `kind`; empty if there are none.

    The result has plain form and is not weak, whatever the segments are. Rows of different width
    raise ValueError; kinds and forms are not compared.
    """
    none = Segment(
        kind,
        "plain",
        *(np.empty(0, np.int64),) * 2,
        np.empty((0, 8), np.uint8),
        np.empty(0, np.int64),
        np.empty(0, bool),
    )
    filled = [segment for segment in segments if len(segment)]
    if not filled:
        return none
    start, end, length = (
        np.concatenate([getattr(s, column) for s in filled])
        for column in ("start", "end", "length")
    )
    normal, valid = (
        np.concatenate([s.normal for s in filled]),
        np.concatenate([s.valid for s in filled]),
    )
    return Segment(kind, "plain", start, end, normal, length, valid)


@dataclass(frozen=True, slots=True)
class Candidates:
    """All candidates of a batch, in order of place.

    `start`, `end` i64[n]; `kind` u8[n] is an index into `names`; `valid` bool[n].
    """

    names: tuple[str, ...]
    start: Places
    end: Places
    kind: npt.NDArray[np.uint8]
    valid: Flags

    @classmethod
    def merge(cls, segments: Sequence[Segment]) -> Candidates:
        """Merge segments into one table, in order of place; empty if no candidate is left.

        Weak segments are left out, except phones as dialled at home that begin where no other
        candidate begins: their country is in doubt, not that they are phones.
        """
        shown = [s for s in segments if len(s) and not s.weak]
        shown += [_without_places(s, shown) for s in segments if s.form == NATIONAL]
        names = tuple(sorted({s.kind for s in shown}))
        if not shown:
            return cls(
                (),
                np.empty(0, np.int64),
                np.empty(0, np.int64),
                np.empty(0, np.uint8),
                np.empty(0, bool),
            )
        start = np.concatenate([s.start for s in shown])
        order = np.argsort(start, kind="stable")  # merges what is ascending in each segment
        kind = np.repeat(
            np.array([names.index(s.kind) for s in shown], np.uint8), [len(s) for s in shown]
        )
        end, valid = (
            np.concatenate([s.end for s in shown]),
            np.concatenate([s.valid for s in shown]),
        )
        return cls(names, start.take(order), end.take(order), kind.take(order), valid.take(order))


def _without_places(segment: Segment, others: Sequence[Segment]) -> Segment:
    """Return the candidates of `segment` that begin where none of `others` does."""
    starts = np.concatenate([np.empty(0, np.int64), *(other.start for other in others)])
    return segment.select(~np.isin(segment.start, starts))


class SettledCandidates(NamedTuple):
    """Candidates after overlaps are resolved.

    `segments` do not overlap. `beaten` are valid candidates that lost to another or that are read
    backwards; the customer list is still asked for them.
    """

    segments: list[Segment]
    beaten: list[Segment]


def settle(segments: Sequence[Segment]) -> SettledCandidates:
    """Return the candidates without overlaps: of those that claim the same bytes, the strongest.

    Valid candidates that lost are returned as `beaten`; invalid ones that lost are dropped. The
    cost is that of one sort, near zero if nothing overlaps.
    """
    if not segments:
        return SettledCandidates([], [])
    start, end = (
        np.concatenate([s.start for s in segments]),
        np.concatenate([s.end for s in segments]),
    )
    order = np.argsort(start, kind="stable")
    ascending, ends = start.take(order), end.take(order)
    if (ends[:-1] <= ascending[1:]).all():
        return SettledCandidates(list(segments), [])
    losers = order.take(
        _losers(ascending, ends, np.concatenate([*map(_claims, segments)]).take(order))
    )
    survives = np.ones(len(start), bool)
    survives[losers] = False
    cuts = np.cumsum([len(s) for s in segments])[:-1]
    fates = list(zip(segments, np.split(survives, cuts), strict=True))
    won = [segment.select(wins) for segment, wins in fates if wins.any()]
    return SettledCandidates(
        won,
        [
            segment.select(~wins & segment.valid)
            for segment, wins in fates
            if (~wins & segment.valid).any()
        ],
    )


def _claims(segment: Segment) -> Places:
    """Return the strength of each candidate's claim, the lower the stronger: i64[n]."""
    plain, abroad = claims(segment.kind)
    claim = np.where(segment.normal[:, 0] == PLUS, abroad, plain)
    return np.where(segment.valid, claim, claim + INVALID)


def _losers(start: Places, end: Places, claims: Places) -> Places:
    """Return which candidates overlap with a stronger one that itself is kept: i64[m].

    The candidates are in order of place. The lower claim is stronger, then the first, then the
    longer. Every overlap is a pair. The pairs are sorted by their stronger side, so the fate of
    that side is known when its turn comes.
    """
    # the lower the stronger; no candidate has 2^16 bytes
    strength = (claims.astype(np.int64) << 48) + (start << 16) - (end - start)
    pairs, apart, first = list[Places](), 0, np.arange(len(start))
    while len(first := first[first + apart + 1 < len(start)]):
        apart += 1
        first = first[start.take(first + apart) < end.take(first)]
        pairs.append(np.stack((first, first + apart)))
    earlier, later = np.concatenate(pairs, axis=1)
    first_wins = strength.take(earlier) <= strength.take(later)
    strong, weak = np.where(first_wins, earlier, later), np.where(first_wins, later, earlier)
    turns = np.argsort(strength.take(strong), kind="stable")
    lost = bytearray(len(start))
    for winner, loser in zip(strong.take(turns).tolist(), weak.take(turns).tolist(), strict=True):
        if not lost[winner]:
            lost[loser] = True
    return np.flatnonzero(np.frombuffer(lost, np.uint8))
