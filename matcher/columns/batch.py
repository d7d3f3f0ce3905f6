r"""Store many texts in one buffer, and the arrays that vectorised steps compute from it.

A numpy call costs about a microsecond whatever its length, so a step pays off over a mebibyte or
more. Match therefore joins the texts of many documents into one `Batch`, and every offset that a
step finds, called a *place*, is one into the whole buffer:

    data     \n × PAD │ first text │ \n │ second text │ \n × PAD
                      ↑            ↑    ↑             ↑
             starts[0]=PAD   ends[0]  starts[1]  ends[1]

`documents` maps places back to texts. The padding lets a step read up to 136 bytes around any place
without a check for the edges. `Texts` holds the cells of a column instead, one row of bytes per
cell, for lists of millions of values:

    table    1 3 8 0 0 1 3 8 0 0 0     lengths   11
             a @ b . c n · · · · ·                6

Groups of different sizes lie one behind the other in a flat array; `index_in_groups` and `ranges`
replace a loop over them. These functions check no arguments: a place outside of the buffer raises
IndexError or gives a wrong result.
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
"""Line ends before the first and behind the last text.

Windows of up to 136 bytes around any offset therefore stay inside the buffer.
"""
LINE_END = bits.LINE_END
Bytes = bits.Bytes
Flags = bits.Flags
Places = bits.Places


@dataclass(frozen=True)
class Batch:
    """Several texts in one buffer: PAD line ends, each text and a line end, PAD line ends.

    `data` is u8[size]. `starts` and `ends` (i64[documents]) are the offsets of each text in `data`,
    without its closing line end.
    """

    data: Bytes
    starts: Places
    ends: Places

    @classmethod
    def join(cls, texts: Sequence[bytes]) -> Batch:
        """Build a batch from `texts` (UTF-8), any of which may be empty.

        An empty batch has no texts, but still its padding.
        """
        ends_line = b"\n" * PAD
        data = np.frombuffer(b"\n".join((ends_line[1:], *texts, ends_line)), np.uint8)
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        ends = PAD + np.cumsum(lengths + 1) - 1
        return cls(data, ends - lengths, ends)

    def windows(self, places: Places, width: int) -> Bytes:
        """Return a copy of the `width` (at most 136) bytes from each place on: u8[n, width].

        Places lie in the texts; the padding behind them fills a window at the end.
        """
        view = np.ndarray((len(self.data) - width + 1,), f"V{width}", self.data.data, 0, (1,))
        # `take` would copy the whole overlapping view first
        return view[places].view(np.uint8).reshape(-1, width)

    def documents(self, places: Places) -> Places:
        """Return the index of the text that holds each place: i64[n].

        A place in the padding before the first text gives -1.
        """
        return np.searchsorted(self.starts, places, "right") - 1

    def by_document(self, places: Places) -> Iterator[tuple[int, slice]]:
        """Yield the index of each text with any of `places`, and the slice of those places.

        `places` are positions in the buffer and must ascend.
        """
        document = self.documents(places)
        first = np.flatnonzero(np.diff(document, prepend=-1)).tolist()
        for begin, end in pairwise([*first, len(places)]):
            yield int(document[begin]), slice(begin, end)

    @cached_property
    def classes(self) -> bits.Classes:
        """Return the places of each byte class in the buffer; computed at first use."""
        return bits.Classes(self.data)

    @cached_property
    def line_starts(self) -> Places:
        """Return the place where each line of the buffer begins, padding included: i64[lines]."""
        return np.concatenate(([0], bits.places(self.classes.line_end) + 1))

    @cached_property
    def _lines_before(self) -> bits.Ranks:
        return bits.Ranks(self.classes.line_end)

    def lines(self, places: Places) -> Places:
        """Return the number of the buffer's line, from 0, that holds each place: i64[n]."""
        return self._lines_before.count_below(places)

    @cached_property
    def _characters(self) -> bits.Ranks:
        """Return the ranks of the bytes that begin a character."""
        return bits.Ranks(bits.find_places(self.data, bits.begins_character))

    def characters_before(self, places: Places) -> Places:
        """Return how many characters of the buffer begin before each place: i64[n]."""
        return self._characters.count_below(places)

    def text(self, start: int, end: int) -> Any:
        """Return the bytes from the position `start` up to `end`, exclusive."""
        return self.data[start:end].tobytes()


def texts_holding(places: Places, first: Places) -> Flags:
    """Return whether each text holds one of `places`: bool[texts].

    `first` are the starts of the texts, ascending. No place may lie before the first start.
    """
    holds_place = np.zeros(len(first), bool)
    holds_place[np.searchsorted(first, places, "right") - 1] = True
    return holds_place


class KeyedMembers(NamedTuple):
    """Members grouped by a key, such as candidates by their document.

        keys (i64[keys])         the distinct keys, ascending
        number (i64[members])    the index in `keys` of each member's key
        order (i64[members])     the members, sorted by key
        first (i64[keys])        where in `order` the members of each key begin

    Built by `group`.
    """

    keys: Places
    number: Places
    order: Places
    first: Places

    @classmethod
    def group(cls, keys: Places) -> KeyedMembers:
        """Group members by their `keys`.

        Does the work of `np.unique`, ten times as fast if the keys are a few ascending runs.
        """
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        is_first = np.ones(len(keys), bool)
        np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
        number = np.empty(len(keys), np.int64)
        number[order] = np.cumsum(is_first) - 1
        first = np.flatnonzero(is_first)
        return cls(ordered[first], number, order, first)

    def combine_bits(self, bits: Places) -> Places:
        """Return, for each key, the bitwise OR of `bits` over its members: i64[keys].

        `bits` has one number per member.
        """
        combined: Places = np.bitwise_or.reduceat(bits[self.order], self.first)
        return combined

    def any(self, flags: Flags) -> Flags:
        """Return, for each key, whether the flag of any of its members is set: bool[keys].

        `flags` has one flag per member.
        """
        flagged: Flags = np.logical_or.reduceat(flags[self.order], self.first)
        return flagged


def index_in_groups(count: Places) -> Places:
    """Return the index of each member in its group: i64[sum of `count`].

    `count` has the number of members of each group.

    >>> index_in_groups(np.array([2, 0, 3]))
    array([0, 1, 0, 1, 2])
    """
    end = np.cumsum(count)
    return np.arange(count.sum()) - np.repeat(end - count, count)


def ranges(first: Places, count: Places) -> Places:
    """Return the numbers [first, first + count) of every group, concatenated: i64[sum].

    >>> ranges(np.array([10, 20, 30]), np.array([2, 0, 3]))
    array([10, 11, 30, 31, 32])
    """
    end = np.cumsum(count)
    return np.arange(count.sum()) + np.repeat(first - end + count, count)


DAYS = np.array((0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31))
"""Days of each month of a leap year; index 0 is unused."""


def is_date(year: Places, month: Places, day: Places) -> npt.NDArray[np.bool_]:
    """Return whether each date exists in the Gregorian calendar: bool[n].

    The numbers must not be negative.
    """
    exists: npt.NDArray[np.bool_] = (
        (month >= 1) & (month <= 12) & (day >= 1) & (day <= DAYS.take(month, mode="clip"))
    )
    last = np.flatnonzero(exists & (month == 2) & (day == 29))
    leap = year.take(last)
    exists[last] = (leap % 4 == 0) & ((leap % 100 != 0) | (leap % 400 == 0))
    return exists


MOST = 512
"""Bytes of a cell that are kept; no identifier is longer."""


@dataclass(frozen=True, slots=True)
class Texts:
    """UTF-8 texts as rows of bytes.

    `table` is u8[n, width]; the first `lengths` (i64[n]) bytes of each row are the text. A length
    beyond the width means that the text was truncated.
    """

    table: Bytes = field(repr=False)
    lengths: Places

    @classmethod
    def pack(cls, messages: Sequence[bytes]) -> Texts:
        """Build texts from `messages`; at most MOST bytes of each are kept.

        The table is as wide as the longest message and zero beyond each length.
        """
        lengths = np.fromiter(map(len, messages), np.int64, len(messages))
        width = max(1, min(MOST, int(lengths.max(initial=0))))
        joined = b"".join([m[:width].ljust(width, b"\0") for m in messages])
        return cls(np.frombuffer(joined, np.uint8).reshape(len(messages), width), lengths)

    @classmethod
    def whole(cls, table: Bytes) -> Texts:
        """Build texts from a table whose rows are used in full."""
        return cls(table, np.full(len(table), table.shape[1], np.int64))

    @classmethod
    def cut(cls, data: Bytes, starts: Places, lengths: Places) -> Texts:
        """Cut texts out of a buffer; at most MOST bytes of each are kept.

        Beyond its length a row holds the bytes that follow in the buffer.
        """
        width = max(1, min(MOST, int(lengths.max(initial=0))))
        padded = np.concatenate((data, np.zeros(width, np.uint8)))
        windows = np.ndarray((len(data) + 1,), f"V{width}", padded.data, 0, (1,))
        return cls(windows.take(starts).view(np.uint8).reshape(-1, width), lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, rows: npt.NDArray[Any]) -> Texts:
        """Return a table of the texts with these indexes, in this order."""
        return Texts(self.table.take(rows, axis=0), self.lengths.take(rows))

    def messages(self) -> list[bytes]:
        """Return each text as bytes.

        A text that is longer than the table is wide is returned as far as the table has it.
        """
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
        """Return whether each text was truncated: bool[n]."""
        return np.greater(self.lengths, self.table.shape[1])

    def strings(self) -> list[str]:
        """Return each text as a string, with U+FFFD in place of invalid UTF-8."""
        return [message.decode("utf-8", "replace") for message in self.messages()]

    def are_filled(self) -> npt.NDArray[np.bool_]:
        """Return whether each text holds more than spaces and control characters: bool[n]."""
        return np.asarray(((self.table > ord(" ")) & self.mask_contents()).any(axis=1))

    def mask_contents(self) -> npt.NDArray[np.bool_]:
        """Return which bytes of the table belong to a text: bool[n, width]."""
        return np.arange(self.table.shape[1]) < self.lengths[:, None]


def concatenate(parts: Sequence[Texts]) -> Texts:
    """Return one table of the texts of all `parts`, in order; empty without parts.

    The result is as wide as the widest table. A single part is returned as it is.
    """
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


def encode_hex(raw: Bytes) -> Bytes:
    """Return the lower-case hex digits of each row: (n, w) → (n, 2w)."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    pairs = np.stack((np.repeat(digits, 16), np.tile(digits, 16)), axis=1).view(np.uint16).ravel()
    return pairs.take(raw).view(np.uint8).reshape(len(raw), 2 * raw.shape[1])
