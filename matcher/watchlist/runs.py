"""Sort more keyed hashes than fit into memory.

Keyed hashes are evenly distributed. Records are kept until they make a run; a run is ordered by the
first byte of its hashes and written to a nameless temporary file. When read back, one range of
first bytes after the other is collected from all runs and sorted in memory: two passes over the
disk, whatever the size. The disk holds hashes and numbers, never a value.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt

from matcher.watchlist.file import Array, split
from ullage.errors import ConfigError
from ullage.security.cmac import TAG_BYTES
from ullage.security.tags import Tags

RUN = 3 << 20
"""Records of a run: 60 MiB."""
RANGE_BITS = 8
RANGES = 1 << RANGE_BITS
AT_ONCE = 1 << 20
"""Records that are sorted together, about; smaller ranges are joined."""
PLACE_BITS = 24
"""A range of more than 16 million records is sorted more slowly."""
MOST = 2**32 - 1
"""Most records of a list, which numbers its entries and customers with 32 bits."""
_NUMBER = np.dtype("<u4")


class SortedRecords(NamedTuple):
    """All records of some ranges, in order of hash, then number.

    They are the halves of the hashes (u64[n]) and the numbers (u32[n]).
    """

    first: int
    beyond: int
    high: Array
    low: Array
    number: Array


class _Run(NamedTuple):
    """A run in the file: its start, its length, and the start of each range in it."""

    place: int
    size: int
    starts: Array


class Runs:
    """A store of keyed hashes with a number each, added in any order and returned in order.

    `folder` is that of the temporary file, which has no name and disappears with the process.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._held: list[tuple[Tags, Array]] = []
        self._waiting = 0
        self._runs: list[_Run] = []
        self.count = 0

    def add(self, tags: Tags, numbers: Array) -> None:
        """Add records: hashes (n, 16) and numbers u32[n].

        They are written to disk when RUN of them wait. Raises `ConfigError` for more records than a
        list can number.
        """
        require_room(self.count + len(tags))
        self._held.append((tags, numbers))
        self._waiting += len(tags)
        self.count += len(tags)
        if self._waiting >= RUN:
            self._write(*self._order_by_range())
            self._held, self._waiting = [], 0

    def ranges(self, renumbered: Array | None = None) -> Iterator[SortedRecords]:
        """Yield every record one time, in order of the hashes, about AT_ONCE (1,048,576) at a time.

        `renumbered` (u32) maps the added numbers to others.
        """
        tags, numbers, starts = self._order_by_range()
        sizes = np.diff(starts) + sum(
            (np.diff(run.starts) for run in self._runs), np.zeros(RANGES, np.int64)
        )
        first = 0
        while first < RANGES:
            beyond = first + 1
            while beyond < RANGES and sizes[first : beyond + 1].sum() <= AT_ONCE:
                beyond += 1
            in_memory = slice(int(starts[first]), int(starts[beyond]))
            parts = [
                (tags[in_memory], numbers[in_memory]),
                *(self._read(run, first, beyond) for run in self._runs),
            ]
            number = np.concatenate([part for _, part in parts])
            high, low = split(np.concatenate([part for part, _ in parts]))
            yield SortedRecords(
                first,
                beyond,
                *_sort_records(
                    high, low, number if renumbered is None else renumbered.take(number)
                ),
            )
            first = beyond

    def close(self) -> None:
        """Close the temporary file."""
        if self._file:
            self._file.close()

    def _order_by_range(self) -> tuple[Tags, Array, Array]:
        """Order the records in memory by range; return them and the start of each range."""
        tags = np.concatenate(
            [np.empty((0, TAG_BYTES), np.uint8), *(tags for tags, _ in self._held)]
        )
        numbers = np.concatenate([np.empty(0, _NUMBER), *(numbers for _, numbers in self._held)])
        byte = np.ascontiguousarray(tags[:, 0])
        order = np.argsort(byte, kind="stable")
        starts = np.concatenate(([0], np.cumsum(np.bincount(byte, minlength=RANGES))))
        ordered = tags.take(order, axis=0), numbers.take(order)
        self._held = [ordered]
        return *ordered, starts

    def _write(self, tags: Tags, numbers: Array, starts: Array) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  closed by `close`
        self._runs.append(_Run(self._file.seek(0, os.SEEK_END), len(tags), starts))
        self._file.write(tags.data)
        self._file.write(numbers.data)
        self._file.flush()

    def _read(self, run: _Run, first: int, beyond: int) -> tuple[Tags, Array]:
        """Read some ranges of a run: its hashes are stored first, then its numbers."""
        assert self._file
        start, end = int(run.starts[first]), int(run.starts[beyond])
        numbers_at = run.place + run.size * TAG_BYTES
        tags = os.pread(
            self._file.fileno(), (end - start) * TAG_BYTES, run.place + start * TAG_BYTES
        )
        numbers = os.pread(
            self._file.fileno(),
            (end - start) * _NUMBER.itemsize,
            numbers_at + start * _NUMBER.itemsize,
        )
        return np.frombuffer(tags, np.uint8).reshape(-1, TAG_BYTES), np.frombuffer(numbers, _NUMBER)


def require_room(records: int) -> None:
    """Raise `ConfigError` for more records than a list can number."""
    if records > MOST:
        raise ConfigError(
            f"a customer list has at most {MOST:,} entries: use --digests none, or fewer customers"
        )


def _sort_records(high: Array, low: Array, number: Array) -> tuple[Array, Array, Array]:
    """Return records in order of hash, then number.

    The top 40 bits of a hash and the record's place are sorted as one word, twice as fast as
    sorting places by hashes. The few records with equal top bits are then sorted by all their
    fields.
    """
    if len(high) >= 1 << PLACE_BITS:
        order = np.lexsort((number, low, high))
        return high.take(order), low.take(order), number.take(order)
    places = np.uint64((1 << PLACE_BITS) - 1)
    keys = (high & ~places) | np.arange(len(high), dtype=np.uint64)
    keys.sort()
    order = (keys & places).view(np.int64)
    keys >>= np.uint64(PLACE_BITS)
    same = keys[1:] == keys[:-1]
    high, low, number = high.take(order), low.take(order), number.take(order)
    if same.any():
        tied = np.flatnonzero(np.concatenate((same, [False])) | np.concatenate(([False], same)))
        order = tied.take(np.lexsort((number[tied], low[tied], high[tied])))
        high[tied], low[tied], number[tied] = high[order], low[order], number[order]
    return high, low, number


def fresh(*columns: Array) -> npt.NDArray[np.bool_]:
    """Return which rows of sorted columns differ from the row before."""
    differs = np.ones(len(columns[0]), bool)
    differs[1:] = False
    for column in columns:
        differs[1:] |= column[1:] != column[:-1]
    return differs
