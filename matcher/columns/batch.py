"""Many texts side by side, as arrays: what the vectorised steps work on.

A `Batch` is several folded texts in one buffer of UTF-8 bytes; `Texts` are cells of a column as
rows of bytes: what a list of millions is read, normalised and tagged as. One numpy call costs about
a microsecond whatever its length, so steps pay only over a mebibyte or more: batches span
documents.

What belongs together in groups of unlike sizes lies one behind the other in a flat array (`within`,
`ranges`): what a loop over each group would give, without the loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from matcher.columns import bitset as bits

PAD = 192
"""Line ends before the first and behind the last text: windows of up to 136 bytes around any
place stay in the buffer.
"""
LINE_END = bits.LINE_END
Bytes = bits.Bytes
Flags = bits.Flags
Places = bits.Places


@dataclass(frozen=True)
class Batch:
    """`data` u8[size]: PAD line ends, each text followed by one line end, PAD line ends.

    `starts` and `ends` i64[documents]: where each text begins and ends in `data`, its closing line
    end not counted.
    """

    data: Bytes
    starts: Places
    ends: Places

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> Batch:
        """Lay `texts` out; any may be empty."""
        ends_line = b"\n" * PAD
        data = np.frombuffer(b"\n".join((ends_line[1:], *texts, ends_line)), np.uint8)
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        ends = PAD + np.cumsum(lengths + 1) - 1
        return cls(data, ends - lengths, ends)

    def windows(self, places: Places, width: int) -> Bytes:
        """The `width` bytes from each place on: shape (n, width), a copy. `width` is at most
        136.
        """
        view = np.ndarray((len(self.data) - width + 1,), f"V{width}", self.data.data, 0, (1,))
        # `take` would copy the whole overlapping view first
        return view[places].view(np.uint8).reshape(-1, width)

    def documents(self, places: Places) -> Places:
        """The number of the text that holds each place."""
        return np.searchsorted(self.starts, places, "right") - 1

    def by_document(self, places: Places) -> Iterator[tuple[int, slice]]:
        """The number of each text that holds some of `places`, which ascend, and which of them
        these are.
        """
        document = self.documents(places)
        first = np.flatnonzero(np.diff(document, prepend=-1)).tolist()
        for begin, end in pairwise([*first, len(places)]):
            yield int(document[begin]), slice(begin, end)

    @cached_property
    def classes(self) -> bits.Classes:
        """Where bytes of each class stand."""
        return bits.Classes(self.data)

    @cached_property
    def line_starts(self) -> Places:
        """Where each line of the buffer begins, the padding's among them."""
        return np.concatenate(([0], bits.places(self.classes.line_end) + 1))

    @cached_property
    def _lines_before(self) -> bits.Ranks:
        return bits.Ranks(self.classes.line_end)

    def lines(self, places: Places) -> Places:
        """The number, in the buffer, of the line that holds each place."""
        return self._lines_before.of(places)

    @cached_property
    def _characters(self) -> bits.Ranks:
        """Where characters begin."""
        return bits.Ranks(bits.where(self.data, bits.begins_character))

    def characters_before(self, places: Places) -> Places:
        """How many characters of the buffer begin before each place: i64[n]."""
        return self._characters.of(places)

    def text(self, start: int, end: int) -> Any:
        """The bytes [start, end)."""
        return self.data[start:end].tobytes()


def texts_holding(places: Places, first: Places) -> Flags:
    """Which of the texts that begin at `first`, ascending, hold one of `places`: bool[texts]."""
    found = np.zeros(len(first), bool)
    found[np.searchsorted(first, places, "right") - 1] = True
    return found


class KeyedMembers(NamedTuple):
    """Members by their key: `keys`, each once, ascending, and the `number` among these of each
    member's, i64[members].

    In `order`, i64[members], they stand by key, those of each from `first` on.
    """

    keys: Places
    number: Places
    order: Places
    first: Places

    @classmethod
    def of(cls, keys: Places) -> KeyedMembers:
        """Members with these keys: what np.unique does, ten times as fast where they come as a
        few ascending runs.
        """
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        is_first = np.ones(len(keys), bool)
        np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
        number = np.empty(len(keys), np.int64)
        number[order] = np.cumsum(is_first) - 1
        first = np.flatnonzero(is_first)
        return cls(ordered[first], number, order, first)

    def united(self, bits: Places) -> Places:
        """The bits that any member of each key has: i64[keys]."""
        found: Places = np.bitwise_or.reduceat(bits[self.order], self.first)
        return found

    def any(self, flags: Flags) -> Flags:
        """Whether any member of each key has a flag: bool[keys]."""
        found: Flags = np.logical_or.reduceat(flags[self.order], self.first)
        return found


def within(count: Places) -> Places:
    """For groups of `count` members each, the number of every member in its group, from 0 on:
    i64[count.sum()].

    >>> within(np.array([2, 0, 3]))
    array([0, 1, 0, 1, 2])
    """
    end = np.cumsum(count)
    return np.arange(count.sum()) - np.repeat(end - count, count)


def ranges(first: Places, count: Places) -> Places:
    """The numbers [first, first + count) of every group, one group behind the other:
    i64[count.sum()].

    >>> ranges(np.array([10, 20, 30]), np.array([2, 0, 3]))
    array([10, 11, 30, 31, 32])
    """
    end = np.cumsum(count)
    return np.arange(count.sum()) + np.repeat(first - end + count, count)


DAYS = np.array((0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31))
"""Days of each month of a leap year, from 1 on."""


def is_date(year: Places, month: Places, day: Places) -> npt.NDArray[np.bool_]:
    """Whether there is such a day in the Gregorian calendar: bool[n].

    Any number that is not negative is allowed.
    """
    exists: npt.NDArray[np.bool_] = (
        (month >= 1) & (month <= 12) & (day >= 1) & (day <= DAYS.take(month, mode="clip"))
    )
    last = np.flatnonzero(exists & (month == 2) & (day == 29))
    leap = year.take(last)
    exists[last] = (leap % 4 == 0) & ((leap % 100 != 0) | (leap % 400 == 0))
    return exists


MOST = 512
"""Bytes of a cell that are kept: more than any identifier has."""


@dataclass(frozen=True, slots=True)
class Texts:
    """UTF-8 texts: `table` u8[n, width], of which the first `lengths` i64[n] of each row count.

    A length beyond the width says that the text was longer than what is kept.
    """

    table: Bytes = field(repr=False)
    lengths: Places

    @classmethod
    def of(cls, messages: Sequence[bytes]) -> Texts:
        """Lay messages out, as wide as the longest, of which at most MOST bytes are kept; what
        is beyond a length is zero.
        """
        lengths = np.fromiter(map(len, messages), np.int64, len(messages))
        width = max(1, min(MOST, int(lengths.max(initial=0))))
        joined = b"".join([m[:width].ljust(width, b"\0") for m in messages])
        return cls(np.frombuffer(joined, np.uint8).reshape(len(messages), width), lengths)

    @classmethod
    def whole(cls, table: Bytes) -> Texts:
        """Rows that count from end to end."""
        return cls(table, np.full(len(table), table.shape[1], np.int64))

    @classmethod
    def cut(cls, data: Bytes, starts: Places, lengths: Places) -> Texts:
        """Pieces of one buffer, of which at most MOST bytes are kept; what is beyond a length is
        whatever follows there.
        """
        width = max(1, min(MOST, int(lengths.max(initial=0))))
        padded = np.concatenate((data, np.zeros(width, np.uint8)))
        windows = np.ndarray((len(data) + 1,), f"V{width}", padded.data, 0, (1,))
        return cls(windows.take(starts).view(np.uint8).reshape(-1, width), lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, rows: npt.NDArray[Any]) -> Texts:
        """The texts of these rows."""
        return Texts(self.table.take(rows, axis=0), self.lengths.take(rows))

    def messages(self) -> list[bytes]:
        """Each text as bytes."""
        if len(self) and (self.lengths == self.lengths[0]).all():
            width = int(self.lengths[0])
            joined = self.table[:, :width].tobytes()
            return (
                [joined[i : i + width] for i in range(0, len(joined), width)]
                if width
                else [b""] * len(self)
            )
        width, joined = self.table.shape[1], self.table.tobytes()
        return [
            joined[i * width : i * width + length] for i, length in enumerate(self.lengths.tolist())
        ]

    def too_long(self) -> npt.NDArray[np.bool_]:
        """Which texts were longer than what is kept."""
        return np.greater(self.lengths, self.table.shape[1])

    def strings(self) -> list[str]:
        """Each text as characters."""
        return [message.decode("utf-8", "replace") for message in self.messages()]

    def filled(self) -> npt.NDArray[np.bool_]:
        """Which texts hold more than spaces."""
        return np.asarray(((self.table > ord(" ")) & self.within()).any(axis=1))

    def within(self) -> npt.NDArray[np.bool_]:
        """Which bytes count: bool[n, width]."""
        return np.arange(self.table.shape[1]) < self.lengths[:, None]


def concatenate(parts: Sequence[Texts]) -> Texts:
    """Texts of several tables one after the other."""
    if len(parts) == 1:
        return parts[0]
    width = max((part.table.shape[1] for part in parts), default=1)
    table = np.zeros((sum(map(len, parts)), width), np.uint8)
    at = 0
    for part in parts:
        table[at : at + len(part), : part.table.shape[1]] = part.table
        at += len(part)
    return Texts(
        table, np.concatenate([part.lengths for part in parts]) if parts else np.empty(0, np.int64)
    )


def hexed(raw: Bytes) -> Bytes:
    """Lower-case hex of each row: (n, w) → (n, 2w)."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    pairs = np.stack((np.repeat(digits, 16), np.tile(digits, 16)), axis=1).view(np.uint16).ravel()
    return pairs.take(raw).view(np.uint8).reshape(len(raw), 2 * raw.shape[1])
