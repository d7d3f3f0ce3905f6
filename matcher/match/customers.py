"""Customers who were found, as columns: a dump may hold millions of them."""

from __future__ import annotations

from collections import Counter

import numpy as np

from matcher.columns.batch import Places
from ullage.fields import Shows

CLASSES = {"A": 1, "B": 2, "C": 4}
"""A bit for each class of the rows that a customer stands in, the gravest first."""
VERIFIED, MINOR, AGREES = 8, 16, 32
"""Bits for those whom chance cannot have matched, for those under 14, and for those with two fields of their own in a row."""
SHOWN = {Shows.GRAVE: 64, Shows.PRIVATE: 128, Shows.IDENTITY: 256, Shows.LENT: 512}
"""A bit for each that the rows show in which a customer agrees."""
FLAG_BITS = 10
LEAST_PENDING = 1 << 14


class Customers:
    """Each customer once, by the row in the list, with all that was seen of them: eight bytes a customer."""

    def __init__(self) -> None:
        self._known = np.empty(0, np.int64)
        self._pending: list[Places] = []
        self._waiting = 0

    def add(self, subjects: Places, flags: Places) -> None:
        """Customers i64[n], below 2^53, some of them several times, and what was seen of them."""
        self._pending.append(subjects << FLAG_BITS | flags)
        self._waiting += len(subjects)
        if self._waiting > max(LEAST_PENDING, len(self._known) // 4):
            self._merge()

    def __len__(self) -> int:
        return len(self.subjects)

    @property
    def subjects(self) -> Places:
        """All of them, ascending."""
        self._merge()
        return self._known >> FLAG_BITS

    def having(self, flag: int) -> Places:
        """Those with this flag, ascending."""
        subjects = self.subjects
        return subjects[(self._known & flag) > 0]

    def classes(self, flag: int = 0) -> Counter[str]:
        """How many customers, of those with `flag` if it is given, stand in rows of which class, the gravest of each."""
        self._merge()
        flags = self._known[(self._known & flag) > 0] if flag else self._known
        found: Counter[str] = Counter()
        for name, bit in CLASSES.items():
            has = (flags & bit) > 0
            found.update({name: int(np.count_nonzero(has))} if has.any() else {})
            flags = flags[~has]
        return found

    def shown(self) -> dict[frozenset[str], int]:
        """How many of those who agree stand in rows that show what."""
        self._merge()
        flags, counts = np.unique(self._known[(self._known & AGREES) > 0] & sum(SHOWN.values()), return_counts=True)
        return {
            frozenset(name for name, bit in SHOWN.items() if bit & flag): count
            for flag, count in zip(flags.tolist(), counts.tolist(), strict=True)
        }

    def _merge(self) -> None:
        """Sort in what waits; what was seen of one customer is seen of them all."""
        if not self._waiting:
            return
        every = np.sort(np.concatenate((self._known, *self._pending)))
        first = np.flatnonzero(np.diff(every >> FLAG_BITS, prepend=-1))
        self._known = np.bitwise_or.reduceat(every, first)
        self._pending, self._waiting = [], 0
