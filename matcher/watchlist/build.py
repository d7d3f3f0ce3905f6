"""From a list of customers to a signed watchlist and the sealed way back from handle to reference."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from matcher.scan import DIGESTED
from matcher.watchlist import file, subjects
from matcher.watchlist.source import REFERENCE, Batch, Column, Source
from matcher.watchlist.tagging import TagKeys, handles
from ullage.errors import ConfigError
from ullage.identifiers import kinds
from ullage.keys import KeyStore, signing_key

LIFE = timedelta(days=104)
"""An epoch of 90 days and a dual window of 14."""
DIGESTS = {"none": (), "phone": ("phone",), "all": DIGESTED}
FORMS = ("md5", "sha1", "sha256")
MAX_REJECTED_SHARE = 0.05


@dataclass(slots=True)
class Report:
    """What became of the list: rejects as (line, column, reason), never the value."""

    customers: int = 0
    identifiers: int = 0
    """Those that can be looked for; names only corroborate."""
    entries: int = 0
    rejects: list[tuple[int, str, str]] = field(default_factory=list)


def normal_name(text: str) -> str:
    """A name without spaces, in lower case; only ever corroborates."""
    return "".join(text.split()).lower()


class Builder:
    """Builds one tenant's watchlist for one epoch. `digests` is none, phone or all."""

    def __init__(self, keys: KeyStore, tenant: str, epoch: int, digests: str = "all") -> None:
        if digests not in DIGESTS:
            raise ConfigError(f"--digests {digests}: use none, phone or all")
        self._keys, self._tenant, self._epoch = keys, tenant, epoch
        self._tags = TagKeys(keys, tenant, "match", epoch)
        self._digested = DIGESTS[digests]
        self._kinds: dict[tuple[str, str], int] = {}
        self.report = Report()

    def build(self, source: Source, target: Path, now: datetime) -> file.Header:
        """Write `target` (.watchlist) and, beside it, the sealed `.subjects`.

        Nothing is written unless all of the list was read.
        """
        parts: list[dict[str, Any]] = []
        references: list[str] = []
        for batch in source.batches():
            kept = self._referenced(batch)
            parts += self._batch(kept)
            references += kept.references
        self._refuse_a_poor_list(source)
        arrays, owners = _merge(parts)
        self.report.customers, self.report.entries = len(owners), len(arrays["high"])
        header = file.write(
            target,
            {
                "version": file.VERSION,
                "algorithm": file.ALGORITHM,
                "tenant": self._tenant,
                "epoch": self._epoch,
                "created": now.isoformat(timespec="seconds"),
                "expires": (now + LIFE).isoformat(timespec="seconds"),
                "kinds": tuple(self._kinds),
                "key_check": self._tags.check_value(),
            },
            {**arrays, "handle": owners},
            signing_key(self._keys, self._tenant),
        )
        subjects.write(target.with_suffix(".subjects"), self._keys, self._tenant, references)
        return header

    def _referenced(self, batch: Batch) -> Batch:
        """The batch without rows that belong to nobody: they would all become one customer."""
        references = [reference.strip() for reference in batch.references]
        kept = [row for row, reference in enumerate(references) if reference and reference.isprintable()]
        if len(kept) == len(references):
            return batch._replace(references=references)
        for row in sorted(set(range(len(references))).difference(kept)):
            reason = "holds a control character" if references[row] else "is empty"
            self.report.rejects.append((batch.lines[row], REFERENCE, reason))
        columns = [column._replace(cells=[column.cells[row] for row in kept]) for column in batch.columns]
        return Batch([batch.lines[row] for row in kept], [references[row] for row in kept], columns)

    def _batch(self, batch: Batch) -> Iterator[dict[str, Any]]:
        """Tags of one batch of rows, a part for each (kind, form)."""
        owner = handles(self._keys, self._tenant, batch.references)
        for column in batch.columns:
            rows, normals = self._normals(batch.lines, column)
            self.report.identifiers += 0 if column.kind == "name" else len(rows)
            yield self._part(column.kind, "plain", rows, normals, owner)
            if column.kind in self._digested:
                for form in FORMS:
                    digests = [hashlib.new(form, n.encode(), usedforsecurity=False).hexdigest() for n in normals]
                    yield self._part(column.kind, form, rows, digests, owner)

    def _normals(self, lines: Sequence[int], column: Column) -> tuple[list[int], list[str]]:
        kind = kinds().get(column.kind)
        rows, normals = [], []
        for row, text in enumerate(column.cells):
            if not text.strip():
                continue
            normal = kind.normalise(text) if kind else normal_name(text)
            if not normal:
                self.report.rejects.append((lines[row], column.name, "has no such shape"))
            elif kind and kind.name == "resident_id" and not kind.check(normal):
                self.report.rejects.append((lines[row], column.name, "fails its checksum"))
            else:
                rows.append(row)
                normals.append(normal)
        return rows, normals

    def _part(self, kind: str, form: str, rows: list[int], values: list[str], owner: Any) -> dict[str, Any]:
        tags = self._tags.tagger(kind, form).tag([value.encode() for value in values])
        high, low = file.split(tags)
        number = self._kinds.setdefault((kind, form), len(self._kinds))
        return {"high": high, "low": low, "owner": owner[rows], "kind": np.full(len(rows), number, np.uint8)}

    def _refuse_a_poor_list(self, source: Source) -> None:
        rejected, all_read = len(self.report.rejects), self.report.identifiers + len(self.report.rejects)
        if not self.report.identifiers:
            raise ConfigError(f"{source.path}: holds no identifier that can be read: an empty watchlist would see nothing")
        if rejected > all_read * MAX_REJECTED_SHARE:
            first = "; ".join(f"line {line}, {column}: {reason}" for line, column, reason in self.report.rejects[:3])
            raise ConfigError(
                f"{source.path}: {rejected} of {all_read} values cannot be read ({first}): check the column mapping"
            )


def _merge(parts: list[dict[str, Any]]) -> tuple[dict[str, Any], Any]:
    """Sort the entries, drop repeated ones, and give each customer a row by the (keyed, so random) order of handles."""
    owner = np.ascontiguousarray(np.concatenate([p["owner"] for p in parts]))
    unique, subject = np.unique(owner.view("V16").ravel(), return_inverse=True)
    columns = {name: np.concatenate([p[name] for p in parts]) for name in ("high", "low", "kind")}
    columns["subject"] = subject.astype(np.uint32)
    order = np.lexsort((columns["subject"], columns["low"], columns["high"]))
    columns = {name: values[order] for name, values in columns.items()}
    fresh = np.ones(len(order), bool)
    fresh[1:] = (
        (np.diff(columns["high"].view(np.int64)) != 0)
        | (np.diff(columns["low"].view(np.int64)) != 0)
        | (np.diff(columns["subject"].astype(np.int64)) != 0)
    )
    return {name: values[fresh] for name, values in columns.items()}, unique.view(np.uint8).reshape(-1, 16)
