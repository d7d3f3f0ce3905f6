"""How many different candidates a capture has, a kind: exact, and within bounds whatever the capture.

Of each candidate a keyed 59-bit number is kept, its kind in the 5 bits below: sorted, each once, merged with what came since only
when that has grown to a share of the whole, so that adding costs n log n in all. Among a million values two have one number with
a chance of 1 in a million. Beyond LIMIT the upper half of the numbers is dropped, again and again, and the rest stands for its
share of all (adaptive sampling, by Wegman; Flajolet, On adaptive sampling, Computing 43, 1990): the count is then an estimate,
off by less than 0.1 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

LIMIT = 1 << 21
"""Numbers kept: 16 MiB, and three times as much while they are sorted. A capture of 32 MiB rarely has more."""
KIND_BITS = 5
LEAST_PENDING = 1 << 16
SEVERAL = 16
"""Of more than so many times the numbers that are wanted, the lowest are taken before they are sorted."""
Words = npt.NDArray[np.uint64]
T = TypeVar("T", np.uint64, np.int64)


class Distinct:
    """Counts different numbers, `limit` of them exactly."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._sorted = np.empty(0, np.uint64)
        self._pending: list[Words] = []
        self._waiting = 0
        self._halvings = 0

    @property
    def is_exact(self) -> bool:
        """Whether nothing had to be dropped."""
        self._merge()
        return not self._halvings

    def add(self, words: Words) -> None:
        """Count values by their numbers (`told_apart`)."""
        words = words[words <= self._highest()] if self._halvings else words
        self._pending.append(words)
        self._waiting += len(words)
        if self._waiting > max(LEAST_PENDING, len(self._sorted) // 4):
            self._merge()

    def counts(self) -> list[int]:
        """Different values of each kind, by its number."""
        self._merge()
        kinds = (self._sorted & np.uint64((1 << KIND_BITS) - 1)).astype(np.int64)
        return [count << self._halvings for count in np.bincount(kinds, minlength=1 << KIND_BITS).tolist()]

    def __len__(self) -> int:
        """Different values of all kinds."""
        return sum(self.counts())

    def _highest(self) -> np.uint64:
        """The highest number that is still kept."""
        return np.uint64((1 << (64 - self._halvings)) - 1)

    def _merge(self) -> None:
        """Sort in what waits, drop what is double, and drop upper halves until the rest fits."""
        if not self._waiting:
            return
        self._sorted = merged(self._sorted, self._pending)
        self._pending, self._waiting = [], 0
        while len(self._sorted) > self._limit:
            self._halvings += 1
            self._sorted = self._sorted[: np.searchsorted(self._sorted, self._highest(), "right")].copy()


def told_apart(tags: Words, kinds: npt.NDArray[np.uint8] | int) -> Words:
    """Numbers that tell values apart: from their 64-bit keyed `tags` [n], and `kinds` < 32, one for each or one for all."""
    return tags >> np.uint64(KIND_BITS) << np.uint64(KIND_BITS) | np.asarray(kinds, np.uint64)


class Lowest:
    """The lowest different numbers, `size` of them at most."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._found = np.empty(0, np.uint64)
        self._pending: list[Words] = []
        self._waiting = 0

    def add(self, numbers: Words) -> None:
        """Take numbers in."""
        if len(self._found) == self._size and len(numbers) > self._size:
            numbers = numbers[numbers < self._found[-1]]
        self._pending.append(numbers)
        self._waiting += len(numbers)
        if self._waiting > LEAST_PENDING:
            self.found()

    def found(self) -> Words:
        """Those found, ascending."""
        if self._waiting:
            numbers = np.concatenate(self._pending)
            several = SEVERAL * self._size
            if len(numbers) > several:  # few are so often repeated that it is not enough
                low = numbers[numbers <= np.partition(numbers, several)[several]]
                numbers = low if len(np.unique(low)) >= self._size else numbers
            self._found = merged(self._found, [numbers])[: self._size]
            self._pending, self._waiting = [], 0
        return self._found


class Numbers:
    """Different numbers below 10^18, sorted: of phones and cards, to see which are counted up. Beyond `limit` none is added."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._sorted = np.empty(0, np.int64)
        self._pending: list[npt.NDArray[np.int64]] = []
        self._waiting = 0

    def add(self, numbers: npt.NDArray[np.int64]) -> None:
        """Take numbers in."""
        if len(self._sorted) >= self._limit:
            return
        self._pending.append(numbers)
        self._waiting += len(numbers)
        if self._waiting > max(LEAST_PENDING, len(self._sorted) // 4):
            self.sorted()

    def sorted(self) -> npt.NDArray[np.int64]:
        """All of them, ascending, each once."""
        if self._waiting:
            self._sorted = merged(self._sorted, self._pending)
            self._pending, self._waiting = [], 0
        return self._sorted


def merged(ascending: npt.NDArray[T], more: Sequence[npt.NDArray[T]]) -> npt.NDArray[T]:
    """All values, ascending, each once; `ascending` is so already.

    What is new is sorted first. Then a merge sort finds two runs and only has to merge them: twenty times faster than to sort
    all.
    """
    new = np.concatenate(more)
    new.sort()
    found = np.concatenate([ascending, new])
    found.sort(kind="stable")
    is_new = np.ones(len(found), bool)
    np.not_equal(found[1:], found[:-1], out=is_new[1:])
    return found[is_new]
