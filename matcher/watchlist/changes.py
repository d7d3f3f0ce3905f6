"""Change an installed list without building it again: by a day's changes, or an erased customer.

A day's changes are a small signed file beside the list, the delta. It holds all changes since its
list was built, so there is never more than one: the next day's delta is built from it and replaces
it, and the next full list is built from neither. It holds added entries (as a list does), removed
entries (keyed hash and pseudonym, for the list's entries only), and removed customers. Look-ups in
`index.py` read list and delta as one.

A customer is erased (`erase_customer`) by overwriting in place. The host cannot sign, so it cannot
write a new list, and a list of gigabytes should not be copied for one customer. The customer's
entries lose their hashes and their pseudonym: their replacement keeps the order of the arrays and
matches no look-up. The digests of the chunks that change are stored first (`file.py`), then each
chunk is written by one call, then the former digests are dropped. After a crash in between, the
next `erase_customer` finishes the work; after a loss of power within a chunk, the file is
recognised as damaged. An entry keeps the top bits of its hash, as many as the directory has, and
its bit in the bitmap, which it shares with others.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from matcher.watchlist import file, subjects
from matcher.watchlist.build import (
    Builder,
    Control,
    add_label_sizes,
    index_entries,
    number_customers,
    write_table,
)
from matcher.watchlist.cohorts import FEW, CohortTable, Label, counts_of
from matcher.watchlist.file import (
    BODY,
    CHUNK,
    Array,
    digest_of,
    read_erased,
    read_header,
    write_erased,
)
from matcher.watchlist.index import ERASED, Index, Places
from matcher.watchlist.installation import DELTA, HANDLE, check_keys, path_of, tag_keys
from matcher.watchlist.runs import Runs
from matcher.watchlist.source import Source
from ullage.errors import ConfigError
from ullage.lookup import list_index as recorded
from ullage.security.cmac import TAG_BYTES
from ullage.security.keys import KeyStore, list_generations, load_signing_key, load_verify_key
from ullage.security.tags import Tags

Flags = npt.NDArray[np.bool_]
BLOCKS = 4096
"""Blocks of the customer registry that are changed together: a million pairs."""


class SubjectPairs(NamedTuple):
    """Entries: keyed hashes (n, 16) with the pseudonyms (n, 16) of their customers."""

    tags: Tags
    handles: Tags

    def select(self, kept: Flags) -> SubjectPairs:
        """Return the pairs for which `kept` is true."""
        return SubjectPairs(self.tags[kept], self.handles[kept])


class Changes:
    """The builder of the delta of one tenant's list at `main`.

    It extends `former`, the delta so far, if there is one. With `listed`, the customer registry is
    written anew beside the delta.
    """

    def __init__(
        self,
        keys: KeyStore,
        tenant: str,
        main: Path,
        former: Path,
        listed: recorded.VerifiedList | None = None,
    ) -> None:
        self._keys, self._tenant = keys, tenant
        self._base = file.read_header(main, load_verify_key(keys, tenant))
        self._tags = tag_keys(self._base, main, keys, tenant)
        check_keys(self._base, main, keys, HANDLE)
        self._former, self._main = former, main
        self._labelled: list[tuple[Tags, npt.NDArray[np.uint32]]] = []
        """Handles with the combinations of their labels; of several the last counts."""
        self._former_header: file.WatchlistHeader | None = None
        self._builder = Builder(
            keys, tenant, self._base.epoch, self._base.digested, listed=listed is not None
        )
        none = np.empty((0, TAG_BYTES), np.uint8)
        self._listed = listed
        """The list of what is recorded as it is; below what changes of it, pairs and whole
        customers.
        """
        self._listed_added, self._listed_removed = (
            [SubjectPairs(none, none)],
            [SubjectPairs(none, none)],
        )
        self._listed_gone = none
        self.report = self._builder.report

    def build(
        self,
        additions: Source | None,
        removals: Source | None,
        target: Path,
        way_back: Path,
        now: datetime,
        control: Control | None = None,
    ) -> file.WatchlistHeader:
        """Write a delta (the changes since the installed list) to `target`, and return its header.

        References of new customers are added to the file `way_back`. A row of `removals` with
        identifiers removes these from its customer; a row without, or with a name alone, removes
        the customer. Removals are applied before additions, which must have the totals of
        `control`; else ConfigError is raised.
        """
        added, removed, gone = self._so_far()
        if removals:
            more, whole = self._removals(removals)
            removed, gone = _join_pairs(removed, more), np.concatenate((gone, whole))
            added = added.select(~_among(added.handles, whole))
            added = added.select(
                ~_among(np.concatenate(added, axis=1), np.concatenate(more, axis=1))
            )
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with subjects.SubjectWriter(way_back, self._keys, self._tenant, keep=True) as references:
            if additions:
                added = _join_pairs(added, *self._additions(additions, references, control))
                if control:
                    control.reconcile(additions)
                self.report.refuse_a_poor_list(additions)
            added = _join_pairs(added, SubjectPairs(*self._builder.self_test()))
            header = self._write(target, added, removed, gone, now)
            if self._listed:
                self._list_anew(self._listed, target.with_suffix(recorded.SUFFIX), now)
            references.finish()
        return header

    def _so_far(self) -> tuple[SubjectPairs, SubjectPairs, Tags]:
        """Return the added entries, removed entries and removed customers of the delta so far.

        All are empty if there is no delta, or it belongs to another list. Also notes the labels of
        its customers. Raises CorruptError if it is damaged.
        """
        none = np.empty((0, TAG_BYTES), np.uint8)
        key = load_verify_key(self._keys, self._tenant)
        header = file.read_header(self._former, key) if self._former.is_file() else None
        if header is None or header.base != self._base.build:
            return SubjectPairs(none, none), SubjectPairs(none, none), none
        index = Index(self._former, key, self._tags.noting_key())
        index.chunks.check_all()
        arrays, self._former_header = index.arrays, header
        rows = np.flatnonzero(index.combinations_of(np.arange(index.header.subjects)))
        codes = [
            self._builder.coder.code(index.table.find_labels(code))
            for code in index.combinations_of(rows).tolist()
        ]
        self._labelled.append((arrays["handle"][rows], np.array(codes, np.uint32)))
        live = index.is_live(np.arange(index.header.entries))
        added = SubjectPairs(
            file.join_halves(arrays["high"][live], arrays["low"][live]),
            arrays["handle"][arrays["subject"][live]],
        )
        return (
            added,
            SubjectPairs(
                file.join_halves(arrays["removed_high"], arrays["removed_low"]),
                arrays["removed_handle"],
            ),
            arrays["gone"],
        )

    def _additions(
        self, source: Source, references: subjects.SubjectWriter, control: Control | None
    ) -> Iterator[SubjectPairs]:
        for batch in source.batches():
            if control:
                control.add(batch)
            texts, owned = self._builder.read_references(batch)
            handles = self._builder.handles(texts)
            used = np.zeros(len(texts), bool)
            for tags, rows in self._builder.tag_values(batch, owned):
                used[rows] = True
                yield SubjectPairs(tags, handles.take(rows, axis=0))
            self._listed_added += [
                SubjectPairs(tags, handles.take(rows, axis=0))
                for tags, rows in self._builder.index_tags()
            ]
            rows = np.flatnonzero(used)
            if batch.labels:
                self._labelled.append(
                    (handles.take(rows, axis=0), self._builder.coder.codes(batch).take(rows))
                )
            customer_references = texts.take(rows)
            references.add(handles.take(rows, axis=0), customer_references)
            for tags, places in self._builder.witness_tags(
                batch, customer_references, handles.take(rows, axis=0), rows
            ):
                yield SubjectPairs(tags, handles.take(places, axis=0))

    def _removals(self, source: Source) -> tuple[SubjectPairs, Tags]:
        """Return the entries and the customers' pseudonyms that a list removes.

        Raises ConfigError if a value to remove is unreadable.
        """
        none = np.empty((0, TAG_BYTES), np.uint8)
        entries, whole = [SubjectPairs(none, none)], [none]
        reader = Builder(
            self._keys, self._tenant, self._base.epoch, "all", listed=self._listed is not None
        )
        for batch in source.batches():
            texts, owned = reader.read_references(batch)
            handles = reader.handles(texts)
            names_one = np.zeros(len(texts), bool)
            for column in batch.columns:
                if column.kind != "name":
                    names_one |= column.cells.are_filled()
            entries += [
                SubjectPairs(tags, handles.take(rows, axis=0))
                for tags, rows in reader.tag_values(batch, owned)
            ]
            self._listed_removed += [
                SubjectPairs(tags, handles.take(rows, axis=0)) for tags, rows in reader.index_tags()
            ]
            whole.append(handles[owned & ~names_one])
        if reader.report.rejected:
            first = reader.report.rejects[0]
            raise ConfigError(
                f"{first.path}: line {first.line}, column {first.column}: {first.reason}:"
                " correct it, because every value to remove must be readable"
            )
        self._listed_gone = np.concatenate(whole)
        return _join_pairs(*entries), self._listed_gone

    def _list_anew(self, listed: recorded.VerifiedList, target: Path, now: datetime) -> None:
        """Write the customer registry with added and without removed customers.

        Its expiry stays the same. Raises ConfigError if the registry is of an older key.
        """
        head = recorded.header_for(self._keys, self._tenant, now, listed.header.expires)
        if head.key != listed.header.key:
            raise ConfigError(
                f"{listed.path} needs an older index key than {head.key}: load the whole list again"
            )
        additions, removals = (
            np.concatenate(_join_pairs(*parts), axis=1)
            for parts in (self._listed_added, self._listed_removed)
        )
        pairs = _amend_pairs(listed.pairs(), additions, removals, self._listed_gone)
        recorded.write(target, head, pairs, load_signing_key(self._keys, self._tenant))

    def _write(
        self, target: Path, added: SubjectPairs, removed: SubjectPairs, gone: Tags, now: datetime
    ) -> file.WatchlistHeader:
        parts = {name: io.BytesIO() for name in file.sections(self._base)}
        numbers = np.arange(len(added.tags), dtype=np.uint32)
        with (
            contextlib.closing(Runs(target.parent)) as entries,
            contextlib.closing(Runs(target.parent)) as customers,
        ):
            entries.add(added.tags, numbers)
            customers.add(added.handles, numbers)
            row_of, customer_count = number_customers(customers, len(numbers), parts["handle"])
            bits = file.sizes_for(len(numbers))
            count = index_entries(entries, row_of, bits, parts)
        table = self._label(parts) if self._builder.coder.is_used else None
        pairs = np.unique(np.concatenate(removed, axis=1), axis=0)
        high, low = file.split(pairs[:, :TAG_BYTES])
        whole = np.unique(gone, axis=0)
        for name, array in (
            ("removed_high", high),
            ("removed_low", low),
            ("removed_handle", pairs[:, TAG_BYTES:]),
            ("gone", whole),
        ):
            parts[name].write(np.ascontiguousarray(array).tobytes())
        for part in parts.values():
            part.seek(0)
        header = self._builder.header(now, self._former_header)
        header = replace(
            header,
            entries=count,
            subjects=customer_count,
            bits=bits,
            removed=len(pairs),
            gone=len(whole),
            base=self._base.build,
            expires=self._base.expires,
        )
        header = add_label_sizes(header, table)
        self.report.customers, self.report.entries = header.customers, header.enrolled
        return file.write(target, header, parts, load_signing_key(self._keys, self._tenant))

    def _label(self, parts: Mapping[str, io.BytesIO]) -> CohortTable:
        """Write the labels of the customers in the delta.

        A new label that too few customers have yet is left out.
        """
        coder = self._builder.coder
        high, low = file.split(
            np.frombuffer(parts["handle"].getvalue(), np.uint8).reshape(-1, TAG_BYTES)
        )
        cohort = np.zeros(len(high), file.width_of(len(coder)))
        for handles, codes in self._labelled:
            own_high, own_low = file.split(handles)
            rows = np.minimum(np.searchsorted(high, own_high), max(0, len(high) - 1))
            for row, code, mine in zip(
                rows.tolist(), codes.tolist(), own_low.tolist(), strict=True
            ):
                if code and len(high) and low[row] == mine:
                    cohort[row] = code
        parts["cohort"].write(cohort.tobytes())
        table = coder.table(counts_of(cohort, len(coder)), self._find_known_labels())
        write_table(table, parts)
        return table

    def _find_known_labels(self) -> set[Label]:
        """Return the labels that enough customers of the list share."""
        enrolled = Index(
            self._main, load_verify_key(self._keys, self._tenant), self._tags.noting_key()
        ).table.count_customers()
        return {label for label, customers in enrolled.items() if customers >= FEW}


def _amend_pairs(
    pairs: Iterator[Tags], additions: Tags, removals: Tags, gone: Tags
) -> Iterator[Tags]:
    """Yield sorted pairs (n, 32) with the changes applied.

    `removals` and the pairs of the customers `gone` are left out; `additions` are added.
    """
    additions = np.unique(additions, axis=0)
    order, place = _as_text(additions), 0
    while blocks := list(itertools.islice(pairs, BLOCKS)):
        block = np.concatenate(blocks)
        beyond = int(np.searchsorted(order, _as_text(block)[-1:], "right")[0])
        remaining = block[~_among(block, removals) & ~_among(block[:, TAG_BYTES:], gone)]
        yield np.unique(np.concatenate((remaining, additions[place:beyond])), axis=0)
        place = beyond
    yield additions[place:]


def _as_text(rows: Tags) -> npt.NDArray[np.bytes_]:
    """Return rows of bytes as fixed-width strings, which numpy sorts in the same order."""
    return np.ascontiguousarray(rows).view(f"S{2 * TAG_BYTES}").ravel()


def _join_pairs(*parts: SubjectPairs) -> SubjectPairs:
    return SubjectPairs(
        np.concatenate([part.tags for part in parts]),
        np.concatenate([part.handles for part in parts]),
    )


def _among(rows: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8]) -> Flags:
    """Return whether each row of bytes is also among `others`.

    The first eight bytes, which are random, rule out most.
    """
    is_among = np.isin(_first(rows), _first(others))
    whole = {row.tobytes() for row in others[np.isin(_first(others), _first(rows[is_among]))]}
    places = np.flatnonzero(is_among)
    is_among[places] = [rows[place].tobytes() in whole for place in places]
    return is_among


def _first(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(rows[:, :8]).view(np.uint64).ravel()


Edit = tuple[int, bytes]
"""A place in the body, and the bytes to write there."""
ENTRY = ("high", "low", "subject")
SCANNED = 1 << 24


def erase_customer(data: Path, keys: KeyStore, tenant: str, handle: str) -> int:
    """Overwrite every entry of a customer in the installed lists; return how many there were.

    All key generations are covered. `handle` is the pseudonym in 32 hex digits; 0 means that it is
    not in the lists. Raises ConfigError if `handle` is no pseudonym, or that of the self-test
    entry.
    """
    try:
        handle_bytes = np.frombuffer(bytes.fromhex(handle), np.uint8).reshape(1, 16)
    except ValueError:
        raise ConfigError(
            "--subject: must be a pseudonym of 32 hexadecimal digits, as in a finding"
        ) from None
    count = 0
    for epoch in list_generations(keys, tenant, "match"):
        main, key = path_of(data, tenant, epoch), load_verify_key(keys, tenant)
        for path in (main, main.with_suffix(DELTA)):
            if path.is_file():
                header = read_header(path, key)
                if header.self_test == handle.lower():
                    raise ConfigError(
                        "--subject: is the pseudonym of the list's self-test entry: give"
                        " that of a customer"
                    )
                count += _erase_in(
                    path, key, tag_keys(header, path, keys, tenant).noting_key(), handle_bytes
                )
    return count


def _erase_in(path: Path, key: Ed25519PublicKey, noted_under: bytes, handle: Array) -> int:
    """Erase the customer in one file, with labels and what the file removes.

    Returns the number of live entries. The file is overwritten in place; without the customer
    nothing is written, and 0 is returned.
    """
    index = Index(path, key, noted_under)
    rows = _rows_of(index, handle)
    entries = _entries_of(index, rows[0]) if rows else np.empty(0, np.int64)
    count = int(index.is_live(entries).sum())
    edits = [
        *_entry_edits(index, entries),
        *_row_edits(index, ["handle"], rows),
        *_label_edits(index, rows),
        *_row_edits(
            index,
            ["removed_high", "removed_low", "removed_handle"],
            _matching(index.arrays["removed_handle"], handle),
        ),
        *_row_edits(index, ["gone"], _matching(index.arrays["gone"], handle)),
    ]
    if edits:
        _overwrite(index, edits, noted_under)
    return count


def _entries_of(index: Index, row: int) -> Places:
    """Return the numbers of the entries of the customer in this row."""
    subjects = index.arrays["subject"]
    entries = [
        np.flatnonzero(subjects[i : i + SCANNED] == row) + i
        for i in range(0, len(subjects), SCANNED)
    ]
    return np.concatenate([np.empty(0, np.int64), *entries])


def _entry_edits(index: Index, entries: Places) -> Iterator[Edit]:
    """Yield the edits that overwrite entries.

    Each entry is replaced by a copy of the one before it; the first of a bucket keeps only the bits
    of the bucket.
    """
    high, shift = index.arrays["high"], np.uint64(64 - index.header.bits[0])
    erased = set(entries.tolist())
    for entry in sorted(erased):
        bucket, before = high[entry] >> shift, _before(entry, erased)
        if before >= 0 and high[before] >> shift == bucket:
            new = [index.arrays[name][before].tobytes() for name in ENTRY]
        else:
            new = [
                (bucket << shift).astype("<u8").tobytes(),
                bytes(8),
                ERASED.to_bytes(4, "little"),
            ]
        yield from ((index.place(name, entry), data) for name, data in zip(ENTRY, new, strict=True))


def _row_edits(index: Index, names: Sequence[str], rows: Sequence[int]) -> Iterator[Edit]:
    """Yield the edits that overwrite rows of sorted arrays.

    Each row is replaced by a copy of the row before it, the first by zeros.
    """
    erased = set(rows)
    for row in sorted(erased):
        before = _before(row, erased)
        for name in names:
            array = index.arrays[name]
            yield (
                index.place(name, row),
                array[before].tobytes() if before >= 0 else bytes(array[row].nbytes),
            )


def _label_edits(index: Index, rows: Sequence[int]) -> Iterator[Edit]:
    """Yield the edits that remove customers' labels."""
    if index.header.dimensions:
        yield from (
            (index.place("cohort", row), bytes(index.places["cohort"].dtype.itemsize))
            for row in rows
        )


def _before(row: int, erased: set[int]) -> int:
    """Return the last row before `row` that is not erased, or -1."""
    while row in erased:
        row -= 1
    return row


def _rows_of(index: Index, handle: Array) -> list[int]:
    """Return the rows that hold the pseudonym.

    They are several if the customer behind it was erased before.
    """
    rows, table = index.rows_of(handle).tolist(), index.arrays["handle"]
    while 0 <= rows[-1] < len(table) - 1 and (table[rows[-1] + 1] == handle[0]).all():
        rows.append(rows[-1] + 1)
    return [row for row in rows if row >= 0]


def _matching(table: Array, handle: Array) -> list[int]:
    """Return the rows of a small table that hold the pseudonym."""
    rows: list[int] = np.flatnonzero((table == handle).all(axis=1)).tolist()
    return rows


def _overwrite(index: Index, edits: list[Edit], noted_under: bytes) -> None:
    """Write the changed chunks.

    Their new digests are first stored beside the present ones; afterwards these are dropped.
    """
    chunks: dict[int, bytearray] = {}
    for place, new in edits:
        chunk = chunks.setdefault(place // CHUNK, bytearray(index.chunks.read(place // CHUNK)))
        chunk[place % CHUNK : place % CHUNK + len(new)] = new
    sha256 = index.header.chunks_sha256
    noted = read_erased(index.path, noted_under, sha256)
    after = {number: (digest_of(chunk),) for number, chunk in chunks.items()}
    meanwhile = {number: (index.chunks.digest(number), *digest) for number, digest in after.items()}
    write_erased(index.path, noted_under, sha256, noted | meanwhile)
    with index.path.open("r+b") as file:
        for number, chunk in chunks.items():
            os.pwrite(file.fileno(), chunk, BODY + number * CHUNK)
        os.fsync(file.fileno())
    write_erased(index.path, noted_under, sha256, noted | after)
