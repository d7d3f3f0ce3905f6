"""A day's changes to a list without building it again: a small signed file beside it, the delta.

A delta holds all that changed since its list was built, so there is never more than one: the next day's is built from it and
replaces it, and the next full list from neither. It holds entries that came (as a list does), entries that went (tag and
handle, for the list's entries only), and customers who went whole. Look-ups in `index.py` read list and delta as one.
"""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matcher.watchlist import file, subjects
from matcher.watchlist.build import Builder, index_entries, labelled, number_customers, write_table
from matcher.watchlist.build_report import Control
from matcher.watchlist.cohorts import FEW, Label, Table, counts_of
from matcher.watchlist.index import Index
from matcher.watchlist.installed import HANDLE, check_keys, tag_keys
from matcher.watchlist.runs import Runs
from matcher.watchlist.source import Source
from ullage.errors import ConfigError
from ullage.lookup import enrolled as recorded
from ullage.security.keys import KeyStore, signing_key, verify_key
from ullage.security.tags import TAG_BYTES, Tags

Flags = npt.NDArray[np.bool_]
BLOCKS = 4096
"""Blocks of the list of what is recorded that are changed together: a million pairs."""


class Pairs(NamedTuple):
    """Entries as tags (n, 16) with the handles (n, 16) of their customers."""

    tags: Tags
    handles: Tags

    def where(self, kept: Flags) -> Pairs:
        """Those of them."""
        return Pairs(self.tags[kept], self.handles[kept])


class Changes:
    """Builds the delta of one tenant's list at `main`, from what `former` (its delta so far, if there is one) holds and more.

    With the list `listed` of what is recorded, that is written anew as well, beside the delta.
    """

    def __init__(self, keys: KeyStore, tenant: str, main: Path, former: Path, listed: recorded.Enrolled | None = None) -> None:
        self._keys, self._tenant = keys, tenant
        self._base = file.read_header(main, verify_key(keys, tenant))
        self._tags = tag_keys(self._base, main, keys, tenant)
        check_keys(self._base, main, keys, HANDLE)
        self._former, self._main = former, main
        self._labelled: list[tuple[Tags, npt.NDArray[np.uint32]]] = []
        """Handles with the combinations of their labels; of several the last counts."""
        self._counted: file.Header | None = None
        self._builder = Builder(keys, tenant, self._base.epoch, self._base.digested, listed=listed is not None)
        none = np.empty((0, TAG_BYTES), np.uint8)
        self._listed = listed
        """The list of what is recorded as it is; below what changes of it, pairs and whole customers."""
        self._listed_added, self._listed_removed = [Pairs(none, none)], [Pairs(none, none)]
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
    ) -> file.Header:
        """Write the delta to `target` and the references of new customers behind those in `way_back`.

        Additions must be what `control` says. A row of `removals` that names identifiers takes these from its customer; one that
        names none, or only a name, takes the customer whole. Removals are taken away before additions are added.
        """
        added, removed, gone = self._so_far()
        if removals:
            more, whole = self._removals(removals)
            removed, gone = _joined(removed, more), np.concatenate((gone, whole))
            added = added.where(~_among(added.handles, whole))
            added = added.where(~_pairs_among(added, more))
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with subjects.Writer(way_back, self._keys, self._tenant, keep=True) as references:
            if additions:
                added = _joined(added, *self._additions(additions, references, control))
                if control:
                    control.reconcile(additions)
                self.report.refuse_a_poor_list(additions)
            if self._base.self_test:
                added = _joined(added, Pairs(*self._builder.self_test()))
            header = self._write(target, added, removed, gone, now)
            if self._listed:
                self._list_anew(self._listed, target.with_suffix(recorded.SUFFIX), now)
            references.finish()
        return header

    def _so_far(self) -> tuple[Pairs, Pairs, Tags]:
        """(entries that came, entries that went, customers that went) as the delta so far has them."""
        none = np.empty((0, TAG_BYTES), np.uint8)
        key = verify_key(self._keys, self._tenant)
        header = file.read_header(self._former, key) if self._former.is_file() else None
        if header is None or header.base != self._base.build:
            return Pairs(none, none), Pairs(none, none), none
        index = Index(self._former, key, self._tags.noting_key())
        index.chunks.check_all()
        own, self._counted = index.arrays, header
        rows = np.flatnonzero(index.combinations_of(np.arange(index.header.subjects)))
        codes = [self._builder.coder.code(index.table.of(code)) for code in index.combinations_of(rows).tolist()]
        self._labelled.append((own["handle"][rows], np.array(codes, np.uint32)))
        live = index.is_live(np.arange(index.header.entries))
        added = Pairs(file.joined(own["high"][live], own["low"][live]), own["handle"][own["subject"][live]])
        return added, Pairs(file.joined(own["removed_high"], own["removed_low"]), own["removed_handle"]), own["gone"]

    def _additions(self, source: Source, references: subjects.Writer, control: Control | None) -> Iterator[Pairs]:
        for batch in source.batches():
            if control:
                control.add(batch)
            texts, owned = self._builder.owned(batch)
            handles = self._builder.handles(texts)
            used = np.zeros(len(texts), bool)
            for tags, rows in self._builder.tagged(batch, owned):
                used[rows] = True
                yield Pairs(tags, handles.take(rows, axis=0))
            self._listed_added += [Pairs(tags, handles.take(rows, axis=0)) for tags, rows in self._builder.index_tags()]
            rows = np.flatnonzero(used)
            if batch.labels:
                self._labelled.append((handles.take(rows, axis=0), self._builder.coder.codes(batch).take(rows)))
            own = texts.take(rows)
            references.add(handles.take(rows, axis=0), own)
            for tags, places in self._builder.witness_tags(batch, own, handles.take(rows, axis=0), rows):
                yield Pairs(tags, handles.take(places, axis=0))

    def _removals(self, source: Source) -> tuple[Pairs, Tags]:
        """(entries, handles of customers) that a list takes away."""
        none = np.empty((0, TAG_BYTES), np.uint8)
        entries, whole = [Pairs(none, none)], [none]
        reader = Builder(self._keys, self._tenant, self._base.epoch, "all", listed=self._listed is not None)
        for batch in source.batches():
            texts, owned = reader.owned(batch)
            handles = reader.handles(texts)
            names_one = np.zeros(len(texts), bool)
            for column in batch.columns:
                if column.kind != "name":
                    names_one |= column.cells.filled()
            entries += [Pairs(tags, handles.take(rows, axis=0)) for tags, rows in reader.tagged(batch, owned)]
            self._listed_removed += [Pairs(tags, handles.take(rows, axis=0)) for tags, rows in reader.index_tags()]
            whole.append(handles[owned & ~names_one])
        if reader.report.rejected:
            first = reader.report.rejects[0]
            raise ConfigError(
                f"{first.path}: line {first.line}, column {first.column}: {first.reason}: what is to be removed must be readable"
            )
        self._listed_gone = np.concatenate(whole)
        return _joined(*entries), self._listed_gone

    def _list_anew(self, listed: recorded.Enrolled, target: Path, now: datetime) -> None:
        """Write the list of what is recorded with what came and without what went; it expires when it would have."""
        head = recorded.header_for(self._keys, self._tenant, now, listed.header.expires)
        if head.key != listed.header.key:
            raise ConfigError(f"{listed.path} is under an older index key than {head.key}: load the whole list again")
        came, went = (np.concatenate(_joined(*parts), axis=1) for parts in (self._listed_added, self._listed_removed))
        pairs = _amended(listed.pairs(), came, went, self._listed_gone)
        recorded.write(target, head, pairs, signing_key(self._keys, self._tenant))

    def _write(self, target: Path, added: Pairs, removed: Pairs, gone: Tags, now: datetime) -> file.Header:
        parts = {name: io.BytesIO() for name in file.sections(self._base)}
        numbers = np.arange(len(added.tags), dtype=np.uint32)
        with contextlib.closing(Runs(target.parent)) as entries, contextlib.closing(Runs(target.parent)) as customers:
            entries.add(added.tags, numbers)
            customers.add(added.handles, numbers)
            row_of, known = number_customers(customers, len(numbers), parts["handle"])
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
        header = self._builder.header(now, self._counted)
        header = replace(
            header, entries=count, subjects=known, bits=bits, removed=len(pairs), gone=len(whole),
            base=self._base.build, expires=self._base.expires,
        )  # fmt: skip
        header = labelled(header if self._base.self_test else replace(header, self_test=""), table)
        self.report.customers, self.report.entries = header.customers, header.enrolled
        return file.write(target, header, parts, signing_key(self._keys, self._tenant))

    def _label(self, parts: Mapping[str, io.BytesIO]) -> Table:
        """Write the labels of the customers who are in the delta; a new label that few have yet is left out."""
        coder = self._builder.coder
        high, low = file.split(np.frombuffer(parts["handle"].getvalue(), np.uint8).reshape(-1, TAG_BYTES))
        cohort = np.zeros(len(high), file.width_of(len(coder)))
        for handles, codes in self._labelled:
            own_high, own_low = file.split(handles)
            rows = np.minimum(np.searchsorted(high, own_high), max(0, len(high) - 1))
            for row, code, mine in zip(rows.tolist(), codes.tolist(), own_low.tolist(), strict=True):
                if code and len(high) and low[row] == mine:
                    cohort[row] = code
        parts["cohort"].write(cohort.tobytes())
        table = coder.table(counts_of(cohort, len(coder)), self._known())
        write_table(table, parts)
        return table

    def _known(self) -> set[Label]:
        """Labels that enough customers of the list share."""
        enrolled = Index(self._main, verify_key(self._keys, self._tenant), self._tags.noting_key()).table.enrolled()
        return {label for label, customers in enrolled.items() if customers >= FEW}


def _amended(pairs: Iterator[Tags], came: Tags, went: Tags, gone: Tags) -> Iterator[Tags]:
    """Pairs (n, 32) in order, without those that `went` and those of the customers `gone`, with those that `came`."""
    came = np.unique(came, axis=0)
    order, place = _as_text(came), 0
    while blocks := list(itertools.islice(pairs, BLOCKS)):
        some = np.concatenate(blocks)
        beyond = int(np.searchsorted(order, _as_text(some)[-1:], "right")[0])
        kept = some[~_among(some, went) & ~_among(some[:, TAG_BYTES:], gone)]
        yield np.unique(np.concatenate((kept, came[place:beyond])), axis=0)
        place = beyond
    yield came[place:]


def _as_text(rows: Tags) -> npt.NDArray[np.bytes_]:
    """Rows of bytes as what numpy sorts as they are ordered."""
    return np.ascontiguousarray(rows).view(f"S{2 * TAG_BYTES}").ravel()


def _joined(*parts: Pairs) -> Pairs:
    return Pairs(np.concatenate([part.tags for part in parts]), np.concatenate([part.handles for part in parts]))


def _among(rows: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8]) -> Flags:
    """Which rows of bytes are also among `others`; the first eight bytes, which are random, rule most out."""
    found = np.isin(_first(rows), _first(others))
    whole = {row.tobytes() for row in others[np.isin(_first(others), _first(rows[found]))]}
    places = np.flatnonzero(found)
    found[places] = [rows[place].tobytes() in whole for place in places]
    return found


def _pairs_among(pairs: Pairs, others: Pairs) -> Flags:
    """Which entries are also among `others`."""
    return _among(np.concatenate(pairs, axis=1), np.concatenate(others, axis=1))


def _first(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(rows[:, :8]).view(np.uint64).ravel()
