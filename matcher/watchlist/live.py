"""A tenant's list as match sees it: the installed file, and beside it what changed since (`changes.py`), as one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from matcher.watchlist.cohorts import Label, tally
from matcher.watchlist.file import Array, Header, split
from matcher.watchlist.index import Index, Places
from ullage.security.tags import Tags


class Watchlist:
    """The main file and, if there is one, its delta. A subject's number is its row in the main file, or lies behind all these."""

    def __init__(self, path: Path, key: Ed25519PublicKey, noted_under: bytes = b"") -> None:
        self._keys = key, noted_under
        self.main = Index(path, key, noted_under)
        self._delta: Index | None = None

    @property
    def header(self) -> Header:
        """What the main file says of itself."""
        return self.main.header

    @property
    def delta(self) -> Index | None:
        """What changed since, if anything."""
        return self._delta

    @property
    def kinds(self) -> frozenset[tuple[str, str]]:
        """The (kind, form) pairs that can be asked for."""
        return frozenset(self.main.header.kinds + (self._delta.header.kinds if self._delta else ()))

    @property
    def customers(self) -> int:
        """Customers that are enrolled; of those that were erased since the list was built, none is taken off."""
        return self.main.header.customers + (len(self._fresh) - len(np.setdiff1d(self._gone, self._number)) if self._delta else 0)

    def amend(self, path: Path) -> bool:
        """Take the delta at `path` into account; False when it amends another list than this."""
        delta = Index(path, *self._keys)
        if delta.header.base != self.main.header.build:
            return False
        delta.chunks.check_all()
        own = delta.arrays
        rows = self.main.rows_of(own["handle"])
        self._fresh = np.flatnonzero(rows < 0)
        rows[self._fresh] = self.main.header.subjects + np.arange(len(self._fresh))
        self._number = rows
        gone = self.main.rows_of(own["gone"])
        self._gone = np.unique(gone[gone >= 0])
        self._delta = delta
        return True

    def check(self) -> None:
        """CorruptError unless everything is what was signed; reads all files."""
        self.main.chunks.check_all()
        if self._delta:
            self._delta.chunks.check_all()

    def look_up(self, tags: Tags) -> tuple[Places, Places]:
        """Which of `tags` (n, 16) are enrolled: (number of the tag, subject) pairs; a shared value gives several."""
        hits, subjects = self.main.look_up(tags)
        if self._delta is None:
            return hits, subjects
        if len(hits):
            kept = np.flatnonzero(~np.isin(subjects, self._gone) & ~self._is_removed(tags[hits], subjects))
            hits, subjects = hits[kept], subjects[kept]
        more, rows = self._delta.look_up(tags)
        pairs = np.unique(np.stack((np.concatenate((hits, more)), np.concatenate((subjects, self._number[rows])))), axis=1)
        return pairs[0], pairs[1]

    def belongs(self, tags: Tags, subjects: Places) -> npt.NDArray[np.bool_]:
        """Whether each of `tags` (n, 16) is the subject's beside it: bool[n]. Of a value that many share it gives no other."""
        old = subjects < self.main.header.subjects
        found = np.zeros(len(subjects), bool)
        places = np.flatnonzero(old)
        found[places] = self.main.belongs(tags[places], subjects[places])
        if self._delta is None:
            return found
        hits = np.flatnonzero(found)
        found[hits] = ~np.isin(subjects[hits], self._gone) & ~self._is_removed(tags[hits], subjects[hits])
        order = np.argsort(self._number)
        place = np.searchsorted(self._number, subjects, sorter=order)
        changed = np.flatnonzero(place < len(order))
        rows = order[place[changed]]
        known = self._number[rows] == subjects[changed]
        found[changed[known]] |= self._delta.belongs(tags[changed[known]], rows[known])
        return found

    def handle(self, subject: int) -> str:
        """The handle (hex) of a subject."""
        return self.handles(np.array([subject]))[0]

    def handles(self, subjects: Places) -> list[str]:
        """The handles (hex) of subjects."""
        return [handle.tobytes().hex() for handle in self.raw_handles(subjects)]

    def raw_handles(self, subjects: Places) -> Tags:
        """The handles (n, 16) of subjects."""
        beyond = subjects - self.main.header.subjects
        found = (
            self.main.handles(np.where(beyond < 0, subjects, 0))
            if self.main.header.subjects
            else np.empty((len(beyond), 16), np.uint8)
        )
        if self._delta is not None:
            fresh = np.flatnonzero(beyond >= 0)
            found[fresh] = self._delta.handles(self._fresh[beyond[fresh]])
        return found

    def counts(self) -> dict[str, int]:
        """Entries a kind and form as built, such as `phone` or `phone.md5`."""
        return self.main.counts()

    def labels(self, subjects: Places) -> dict[Label, int]:
        """How many of these customers have each label; what changed since the list was built comes first."""
        beyond = self.main.header.subjects
        if self._delta is None:
            return tally([(self.main.table, self.main.combinations_of(subjects))])
        order = np.argsort(self._number)
        place = np.minimum(np.searchsorted(self._number, subjects, sorter=order), max(0, len(order) - 1))
        rows = order[place] if len(order) else np.zeros(len(subjects), np.int64)
        changed = np.flatnonzero(self._number[rows] == subjects) if len(order) else np.empty(0, np.int64)
        codes = self._delta.combinations_of(rows[changed])
        old = np.ones(len(subjects), bool)
        old[changed[codes > 0]] = False
        older = subjects[old & (subjects < beyond)]
        return tally([(self.main.table, self.main.combinations_of(older)), (self._delta.table, codes)])

    def enrolled_labels(self) -> dict[Label, int]:
        """Customers a label, as built; of a day's changes those are added."""
        found = Counter(self.main.table.enrolled())
        return dict(found + Counter(self._delta.table.enrolled()) if self._delta else found)

    def _is_removed(self, tags: Tags, subjects: Places) -> Array:
        """Which (tag, subject) hits of the main file the delta takes away: bool[n]. Hits are few."""
        assert self._delta
        own = self._delta.arrays
        high, low = split(tags)
        handles = self.main.handles(subjects)
        place, end = (np.searchsorted(own["removed_high"], high, side) for side in ("left", "right"))
        removed = np.zeros(len(high), bool)
        for i in np.flatnonzero(place < end):
            entries = slice(int(place[i]), int(end[i]))
            same = (own["removed_low"][entries] == low[i]) & (own["removed_handle"][entries] == handles[i]).all(axis=1)
            removed[i] = same.any()
        return removed
