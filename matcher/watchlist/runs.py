"""Sorting more tags than fit into memory.

Tags are keyed, so they spread evenly. What is added is kept until it makes a run; a run is put in order of the tags' first byte
and written to a nameless temporary file. Read back, one range of first bytes after the other is gathered from all runs and sorted
in memory: as long as the runs are few, that is two passes over the disk. What is on disk are tags and numbers, never a value.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from matcher.watchlist.file import Array

RECORD = np.dtype([("high", "<u8"), ("low", "<u8"), ("number", "<u4")])
RUN = 3 << 20
"""Records of a run: 60 MiB."""
RANGE_BITS = 8
RANGES = 1 << RANGE_BITS
AT_ONCE = 1 << 20
"""Records that are sorted at once, about: fewer ranges are taken together."""


class Runs:
    """Tags with a number each, in any order; given back in order of the tags.

    `folder` is where the temporary file lies; it has no name there and is gone with the process.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._held: list[Array] = []
        self._waiting = 0
        self._runs: list[tuple[int, Array]] = []
        self.count = 0

    def add(self, high: Array, low: Array, number: Array) -> None:
        """Add records: halves of tags u64[n], numbers u32[n]."""
        records = np.empty(len(high), RECORD)
        records["high"], records["low"], records["number"] = high, low, number
        self._held.append(records)
        self._waiting += len(records)
        self.count += len(records)
        if self._waiting >= RUN:
            ordered, starts = self._ordered()
            self._write(ordered, starts)

    def ranges(self, renumbered: Array | None = None) -> Iterator[tuple[int, int, Array]]:
        """Every record once: (first range, range behind the last, records sorted by tag and number), in order of the tags.

        `renumbered` u32 holds another number for each that was added.
        """
        held, starts = self._ordered()
        ends = np.diff(starts) + sum((np.diff(own) for _, own in self._runs), np.zeros(RANGES, np.int64))
        first = 0
        while first < RANGES:
            beyond = first + 1
            while beyond < RANGES and ends[first : beyond + 1].sum() <= AT_ONCE:
                beyond += 1
            parts = [held[starts[first] : starts[beyond]], *(self._read(run, own[first], own[beyond]) for run, own in self._runs)]
            records = np.concatenate(parts)
            if renumbered is not None:
                records["number"] = renumbered.take(records["number"])
            yield first, beyond, _sorted(records)
            first = beyond

    def close(self) -> None:
        """Let go of what is on disk."""
        if self._file:
            self._file.close()

    def _ordered(self) -> tuple[Array, Array]:
        """What is held, in order of its ranges, and where each range begins."""
        held = np.concatenate(self._held) if self._held else np.empty(0, RECORD)
        self._held, self._waiting = [], 0
        byte = (held["high"] >> np.uint64(56)).astype(np.uint8)
        starts = np.concatenate(([0], np.cumsum(np.bincount(byte, minlength=RANGES))))
        return held.take(np.argsort(byte, kind="stable")), starts

    def _write(self, records: Array, starts: Array) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  closed by `close`
        self._runs.append((self._file.seek(0, os.SEEK_END), starts))
        self._file.write(records.data)
        self._file.flush()

    def _read(self, run: int, start: int, end: int) -> Array:
        assert self._file
        size = RECORD.itemsize
        return np.frombuffer(os.pread(self._file.fileno(), int(end - start) * size, int(run + start * size)), RECORD)


def _sorted(records: Array) -> Array:
    """Records in order of tag, then number. Equal first halves are rare, so only they are looked at further."""
    records = records.take(np.argsort(records["high"]))
    same = records["high"][1:] == records["high"][:-1]
    if same.any():
        tied = np.flatnonzero(np.concatenate((same, [False])) | np.concatenate(([False], same)))
        group = records[tied]
        records[tied] = group[np.lexsort((group["number"], group["low"], group["high"]))]
    return records
