"""Look up keyed hashes of identifiers in a customer list: whose are they?

`Index` reads one mapped file (`matcher.watchlist.file` has its layout) and answers for thousands of
hashes at once. A bitmap, which is a blocked Bloom filter, turns most hashes of strangers away; a
directory leads to the few sorted entries that begin with the same bits; all 16 bytes are compared.

    hash (128 bits)   high u64                              low u64
                      ├─ top b bits ─▶ directory ─▶ entries [first, beyond) ─▶ equal? ─▶ subject
                      └─ top k-6 bits ─▶ word of the bitmap: both marks set?

The result is the *subject*, the customer's row in the list, and `handles` gives the pseudonym of a
row. A `Watchlist` combines the list with the delta of the day. Before a customer is reported, the
digests of the bytes that say so are checked: damage raises CorruptError and never names the wrong
customer.
"""

from __future__ import annotations

import mmap
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from matcher.watchlist.cohorts import (
    NO_LABELS,
    CohortTable,
    Label,
    PlacedLabels,
    place_labels,
    tally,
)
from matcher.watchlist.file import (
    BODY,
    CHUNK,
    MOST_CODES,
    WHOLE_AT_ONCE,
    WORD_BITS,
    Array,
    Chunks,
    WatchlistHeader,
    body_bytes,
    header_of,
    marks,
    open_file,
    read_erased,
    sections,
    split,
    upper,
)
from ullage.security.tags import Tags, to_sortable

Places = npt.NDArray[np.int64]
STEPS = 12
"""Entries of a bucket that are compared in step.

One in three thousand buckets has more, and those of values that many customers share.
"""
ERASED = 0xFFFFFFFF
"""The subject of an erased entry that was the first of its bucket."""


class Index:
    """One file of entries, mapped read-only.

    `key` verifies its signature; `noted_under` is the key under which this host records erasures.
    Raises ConfigError or CorruptError for a file that cannot be used; `file.py` lists what is
    detected when.
    """

    def __init__(self, path: Path, key: Ed25519PublicKey, noted_under: bytes = b"") -> None:
        self.path = path
        # opened one time only: another list may replace the file at any time
        with open_file(path) as file:
            self.header = header_of(file, path, key)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        size = body_bytes(self.header)
        sha256 = self.header.chunks_sha256
        self.chunks = Chunks(
            path, self._map, BODY, size, sha256, lambda: read_erased(path, noted_under, sha256)
        )
        if size <= WHOLE_AT_ONCE:
            self.chunks.check_all()
        self.places = sections(self.header)
        self.arrays = {
            name: np.frombuffer(self._map, s.dtype, int(np.prod(s.shape)), BODY + s.start).reshape(
                s.shape
            )
            for name, s in self.places.items()
        }
        # a tenth of the file, which every look-up reads from: let it be read ahead
        for name in ("bitmap", "directory"):
            start = BODY + self.places[name].start
            self._map.madvise(
                mmap.MADV_WILLNEED, start // mmap.PAGESIZE * mmap.PAGESIZE, self.places[name].size
            )
        a = self.arrays
        self._high, self._low, self._subject = a["high"], a["low"], a["subject"]
        self._bitmap, self._directory, self._handle = (
            a["bitmap"].view("<u8"),
            a["directory"],
            a["handle"],
        )
        self.table = self._read_table()

    def _read_table(self) -> CohortTable:
        """Return the checked table of combinations, empty if the list has no labels."""
        if not self.header.dimensions:
            return NO_LABELS
        first = self.places["combination"].start
        self.chunks.check(range(first // CHUNK, -(-self.places["labels"].end // CHUNK)))
        return CohortTable.read(
            self.header.dimensions, self.arrays["labels"].tobytes(), self.arrays["combination"]
        )

    def combinations_of(self, subjects: Places) -> Places:
        """Return the number of each row's combination of labels: i64[n], 0 for none.

        `subjects` are row numbers. Raises CorruptError if the file is damaged there.
        """
        if not self.header.dimensions:
            return np.zeros(len(subjects), np.int64)
        self.chunks.check_bytes(
            self.places["cohort"].start + subjects * self.places["cohort"].dtype.itemsize
        )
        codes: Places = self.arrays["cohort"][subjects].astype(np.int64)
        return codes

    def look_up(self, tags: Tags) -> tuple[Places, Places]:
        """Return which hashes are entries: (index in `tags`, row of the subject), i64[m] each.

        `tags` is u8[n, 16]. A value that several customers share has several pairs; one that is not
        in the list has none. Raises CorruptError if the file is damaged.
        """
        self.chunks.check_next()
        maybe = self.in_bitmap(upper(tags))
        hits, entries = self._walk(*split(tags.take(maybe, axis=0)))
        self._check(entries)
        live = self.is_live(entries)
        return maybe[hits[live]], self._subject[entries[live]].astype(np.int64)

    def is_live(self, entries: Places) -> npt.NDArray[np.bool_]:
        """Return which entries were not erased.

        An erased entry has no customer, or equals the one before it.
        """
        before = np.maximum(entries - 1, 0)
        copies = (entries > 0) & (self._subject[entries] == self._subject[before])
        copies &= (self._high[entries] == self._high[before]) & (
            self._low[entries] == self._low[before]
        )
        live: npt.NDArray[np.bool_] = (self._subject[entries] != ERASED) & ~copies
        return live

    def belongs(self, tags: Tags, subjects: Places) -> npt.NDArray[np.bool_]:
        """Return whether each keyed hash in `tags` (n, 16) is an entry of the customer beside it.

        `subjects` are the customers' row numbers; the result is bool[n]. Use it for values that
        many customers share: no other customer is returned. Raises CorruptError if the file is
        damaged there.
        """
        high, low = split(tags)
        bucket = (high >> np.uint64(64 - self.header.bits[0])).view(np.int64)
        beyond = np.minimum(self._directory.take(bucket + 1), self.header.entries).astype(np.int64)
        first = np.minimum(self._directory.take(bucket).astype(np.int64), beyond)
        last = beyond.copy()
        for _ in range(int((beyond - first).max(initial=0)).bit_length()):  # halve, for all at once
            middle = np.minimum((first + last) // 2, max(0, self.header.entries - 1))
            open_, less = first < last, self._less(middle, high, low, subjects)
            first, last = (
                np.where(open_ & less, middle + 1, first),
                np.where(open_ & ~less, middle, last),
            )
        nonempty = np.flatnonzero(first < beyond)
        place = first[nonempty]
        same = (
            (self._high[place] == high[nonempty])
            & (self._low[place] == low[nonempty])
            & (self._subject[place] == subjects[nonempty])
        )
        self._check(place[same])
        is_entry = np.zeros(len(high), bool)
        is_entry[nonempty[same]] = True
        return is_entry

    def _less(
        self, places: Places, high: Array, low: Array, subjects: Places
    ) -> npt.NDArray[np.bool_]:
        """Return whether each entry sorts before the tag and subject beside it."""
        upper, lower, subject = (
            self._high.take(places),
            self._low.take(places),
            self._subject.take(places),
        )
        less: npt.NDArray[np.bool_] = (upper < high) | (
            (upper == high) & ((lower < low) | ((lower == low) & (subject < subjects)))
        )
        return less

    def in_bitmap(self, high: Array) -> Places:
        """Return the indices of the tags that may be entries, by the bitmap: i64[m].

        `high` (u64[n]) are the upper halves of the tags. No entry is left out; three in a hundred
        others pass.
        """
        bits = self.header.bits[1]
        mask = marks(high, bits)
        word = self._bitmap.take((high >> np.uint64(64 + WORD_BITS - bits)).view(np.int64))
        word &= mask
        return np.flatnonzero(word == mask)

    def _walk(self, high: Array, low: Array) -> tuple[Places, Places]:
        """Return (number of the tag, number of the entry) for each entry that equals a tag.

        All buckets are searched in step.
        """
        bucket = (high >> np.uint64(64 - self.header.bits[0])).view(np.int64)
        ends = self._directory.take(bucket + 1).astype(np.int64)
        # a damaged directory must not lead out of the file
        last = np.minimum(ends, self.header.entries)
        place = np.minimum(self._directory.take(bucket).astype(np.int64), last)
        live = np.flatnonzero(place < last)
        tag_numbers, entries = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for _ in range(STEPS):
            if not len(live):
                break
            candidates = place[live]
            entry_high, tag_high = self._high.take(candidates), high[live]
            same = np.flatnonzero(entry_high == tag_high)
            if len(same):
                same = same[self._low.take(candidates[same]) == low[live[same]]]
                tag_numbers.append(live[same])
                entries.append(candidates[same])
            place[live] += 1
            live = live[(entry_high <= tag_high) & (place[live] < last[live])]
        for tag in live.tolist():  # a value that many customers share
            equal = _equal(
                self._high, self._low, int(place[tag]), int(last[tag]), high[tag], low[tag]
            )
            tag_numbers.append(np.full(len(equal), tag))
            entries.append(equal)
        return np.concatenate(tag_numbers), np.concatenate(entries)

    def _check(self, entries: Places) -> None:
        """Check the chunks with the customers found, pseudonyms included, before any is named.

        Raises CorruptError if one was changed. No entries: nothing is checked.
        """
        if not len(entries):
            return
        for name in ("high", "low", "subject"):
            section = self.places[name]
            self.chunks.check_bytes(section.start + entries * section.dtype.itemsize)
        subjects = self._subject[entries].astype(np.int64)
        self.chunks.check_bytes(self.places["handle"].start + subjects[subjects != ERASED] * 16)

    def place(self, name: str, row: int) -> int:
        """Return the offset in the body, in bytes, of a row of the array `name`."""
        section = self.places[name]
        return section.start + row * section.size // section.shape[0]

    def handles(self, subjects: Places) -> Tags:
        """Return the pseudonyms of the customers with these row numbers: u8[n, 16]."""
        return self._handle[subjects]

    def rows_of(self, handles: Tags) -> Places:
        """Return the row number of each pseudonym (u8[n, 16]) here: i64[n], -1 if missing."""
        high, low = split(handles)
        first, beyond = (
            np.zeros(len(high), np.int64),
            np.full(len(high), self.header.subjects, np.int64),
        )
        for _ in range(self.header.subjects.bit_length()):
            middle = (first + beyond) // 2
            inside = middle < beyond
            seen_high, seen_low = split(
                self._handle[np.minimum(middle, max(0, self.header.subjects - 1))]
            )
            less = inside & ((seen_high < high) | ((seen_high == high) & (seen_low < low)))
            first, beyond = (
                np.where(less, middle + 1, first),
                np.where(inside & ~less, middle, beyond),
            )
        rows = np.minimum(first, max(0, self.header.subjects - 1))
        if not self.header.subjects:
            return np.full(len(high), -1, np.int64)
        return np.where((self._handle[rows] == handles).all(axis=1), rows, -1)

    def counts(self) -> dict[str, int]:
        """Return the number of entries by kind and form, such as `phone.md5`, as built."""
        pairs = zip(self.header.kinds, self.header.counts, strict=True)
        return {
            kind if form == "plain" else f"{kind}.{form}": count for (kind, form), count in pairs
        }


def _equal(
    highs: Array, lows: Array, first: int, beyond: int, high: np.uint64, low: np.uint64
) -> Places:
    """Return the numbers of the sorted entries in [first, beyond) that equal one tag."""
    start, end = (
        first + int(np.searchsorted(highs[first:beyond], high, side)) for side in ("left", "right")
    )
    lowest, highest = (
        start + int(np.searchsorted(lows[start:end], low, side)) for side in ("left", "right")
    )
    return np.arange(lowest, highest)


class Watchlist:
    """A tenant's list and, if there is one, the delta of the day.

    A subject is a customer's row in the list; customers whom only the delta has are numbered behind
    these. Raises ConfigError or CorruptError for a file that cannot be used.
    """

    def __init__(self, path: Path, key: Ed25519PublicKey, noted_under: bytes = b"") -> None:
        self._keys = key, noted_under
        self.main = Index(path, key, noted_under)
        self.delta: Index | None = None
        """What changed since, if anything."""

    @property
    def header(self) -> WatchlistHeader:
        """Return the header of the main file."""
        return self.main.header

    @property
    def kinds(self) -> frozenset[tuple[str, str]]:
        """Return the (kind, form) pairs that can be looked up."""
        return frozenset(self.main.header.kinds + (self.delta.header.kinds if self.delta else ()))

    @property
    def customers(self) -> int:
        """Return the number of enrolled customers.

        Customers who were erased since the list was built are still counted.
        """
        return self.main.header.customers + (
            len(self._fresh) - len(np.setdiff1d(self._gone, self._number)) if self.delta else 0
        )

    def amend(self, path: Path) -> bool:
        """Apply the delta file at `path`, and return True.

        False means that the delta is for another list, and that nothing was changed. Raises
        ConfigError or CorruptError if the file cannot be used.
        """
        delta = Index(path, *self._keys)
        if delta.header.base != self.main.header.build:
            return False
        delta.chunks.check_all()
        arrays = delta.arrays
        rows = self.main.rows_of(arrays["handle"])
        self._fresh = np.flatnonzero(rows < 0)
        rows[self._fresh] = self.main.header.subjects + np.arange(len(self._fresh))
        self._number = rows
        gone = self.main.rows_of(arrays["gone"])
        self._gone = np.unique(gone[gone >= 0])
        self.delta = delta
        return True

    def check(self) -> None:
        """Read all files of the list. Raises CorruptError if a chunk is damaged."""
        self.main.chunks.check_all()
        if self.delta:
            self.delta.chunks.check_all()

    def look_up(self, tags: Tags) -> tuple[Places, Places]:
        """Return which hashes are of customers: (index in `tags`, subject), i64[m] each.

        `tags` is u8[n, 16]. A value that several customers share has several pairs; one that is not
        in the list has none. Raises CorruptError if a file is damaged.
        """
        hits, subjects = self.main.look_up(tags)
        if self.delta is None:
            return hits, subjects
        if len(hits):
            in_force = np.flatnonzero(
                ~np.isin(subjects, self._gone) & ~self._is_removed(tags[hits], subjects)
            )
            hits, subjects = hits[in_force], subjects[in_force]
        more, rows = self.delta.look_up(tags)
        pairs = np.unique(
            np.stack(
                (np.concatenate((hits, more)), np.concatenate((subjects, self._number[rows])))
            ),
            axis=1,
        )
        return pairs[0], pairs[1]

    def belongs(self, tags: Tags, subjects: Places) -> npt.NDArray[np.bool_]:
        """Return whether each keyed hash in `tags` belongs to the customer beside it: bool[n].

        `tags` is u8[n, 16]. Of a value that many customers share, no other customer is returned.
        The delta is included.
        """
        old = subjects < self.main.header.subjects
        is_entry = np.zeros(len(subjects), bool)
        places = np.flatnonzero(old)
        is_entry[places] = self.main.belongs(tags[places], subjects[places])
        if self.delta is None:
            return is_entry
        hits = np.flatnonzero(is_entry)
        is_entry[hits] = ~np.isin(subjects[hits], self._gone) & ~self._is_removed(
            tags[hits], subjects[hits]
        )
        changed, rows = self._find_changed(subjects)
        is_entry[changed] |= self.delta.belongs(tags[changed], rows)
        return is_entry

    def list_subjects(self) -> Places:
        """Return the numbers of all customers, delta included, without erased and removed ones."""
        subjects = np.arange(self.main.header.subjects)
        if self.delta is not None:
            added = self.main.header.subjects + np.arange(len(self._fresh))
            subjects = np.concatenate((subjects, added))
            subjects = subjects[~np.isin(subjects, np.setdiff1d(self._gone, self._number))]
        handles = to_sortable(self.raw_handles(subjects))
        # an erased row repeats the one before it, or is empty
        _, firsts = np.unique(handles, return_index=True)
        firsts = np.sort(firsts[handles[firsts] != b""])
        self_test = bytes.fromhex(self.header.self_test)
        listed: Places = subjects[firsts][handles[firsts] != self_test.rstrip(b"\0")]
        return listed

    def find_subjects(self, handles: Tags) -> Places:
        """Return the number of each pseudonym's customer, delta included: i64[n], -1 if missing.

        `handles` is u8[n, 16].
        """
        subjects = self.main.rows_of(handles)
        if self.delta is not None:
            subjects[np.isin(subjects, np.setdiff1d(self._gone, self._number))] = -1
            rows = self.delta.rows_of(handles)
            subjects[rows >= 0] = self._number[rows[rows >= 0]]
        return subjects

    def place_labels(self, subjects: Places) -> dict[str, PlacedLabels]:
        """Return the label of each of the customers in `subjects`, by dimension.

        Labels in the delta take precedence over those in the list.
        """
        old = np.flatnonzero(subjects < self.main.header.subjects)
        tables = [(self.main.table, old, self.main.combinations_of(subjects[old]))]
        if self.delta is not None:
            changed, rows = self._find_changed(subjects)
            tables.append((self.delta.table, changed, self.delta.combinations_of(rows)))
        return place_labels(tables, len(subjects))

    def handle(self, subject: int) -> str:
        """Return the pseudonym of a subject, 32 hex digits."""
        return self.handles(np.array([subject]))[0]

    def handles(self, subjects: Places) -> list[str]:
        """Return the pseudonyms of subjects, 32 hex digits each."""
        raw = self.raw_handles(subjects)
        return raw.tobytes().hex(" ", raw.shape[1]).split()

    def raw_handles(self, subjects: Places) -> Tags:
        """Return the pseudonyms of the customers with these numbers, delta included: u8[n, 16]."""
        beyond = subjects - self.main.header.subjects
        handles = (
            self.main.handles(np.where(beyond < 0, subjects, 0))
            if self.main.header.subjects
            else np.empty((len(beyond), 16), np.uint8)
        )
        if self.delta is not None:
            fresh = np.flatnonzero(beyond >= 0)
            handles[fresh] = self.delta.handles(self._fresh[beyond[fresh]])
        return handles

    def counts(self) -> dict[str, int]:
        """Return the number of entries by kind and form, such as `phone.md5`, without delta."""
        return self.main.counts()

    def count_phones_abroad(self) -> dict[str, int]:
        """Return the enrolled phones from abroad by calling code, the most frequent codes only."""
        counts = Counter(dict(self.main.header.codes))
        if self.delta:
            counts.update(dict(self.delta.header.codes))
        return dict(counts.most_common(MOST_CODES))

    def labels(self, subjects: Places) -> dict[Label, int]:
        """Return how many of the customers in `subjects` have each label.

        Labels in the delta take precedence over those in the list.
        """
        beyond = self.main.header.subjects
        if self.delta is None:
            return tally([(self.main.table, self.main.combinations_of(subjects))])
        changed, rows = self._find_changed(subjects)
        codes = self.delta.combinations_of(rows)
        old = np.ones(len(subjects), bool)
        old[changed[codes > 0]] = False
        older = subjects[old & (subjects < beyond)]
        return tally(
            [(self.main.table, self.main.combinations_of(older)), (self.delta.table, codes)]
        )

    def _find_changed(self, subjects: Places) -> tuple[Places, Places]:
        """Return the places in `subjects` of customers in the delta, and their rows there."""
        if not len(self._number):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        order = np.argsort(self._number)
        place = np.minimum(np.searchsorted(self._number, subjects, sorter=order), len(order) - 1)
        rows: Places = order[place]
        changed = np.flatnonzero(self._number[rows] == subjects)
        return changed, rows[changed]

    def count_labels(self) -> dict[Label, int]:
        """Return the number of customers of each label, in the list and the delta, as built."""
        counts: Counter[Label] = Counter(self.main.table.count_customers())
        return dict(counts + Counter(self.delta.table.count_customers()) if self.delta else counts)

    def _is_removed(self, tags: Tags, subjects: Places) -> Array:
        """Return whether the delta removes each (tag, subject) hit of the main file: bool[n].

        Hits are few.
        """
        assert self.delta
        arrays = self.delta.arrays
        high, low = split(tags)
        handles = self.main.handles(subjects)
        place, end = (
            np.searchsorted(arrays["removed_high"], high, side) for side in ("left", "right")
        )
        removed = np.zeros(len(high), bool)
        for i in np.flatnonzero(place < end):
            entries = slice(int(place[i]), int(end[i]))
            same = (arrays["removed_low"][entries] == low[i]) & (
                arrays["removed_handle"][entries] == handles[i]
            ).all(axis=1)
            removed[i] = same.any()
        return removed
