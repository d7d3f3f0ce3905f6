"""Transfers: which customers were given to which recipient, in the file `building/T.transfers`.

A *recipient* is a partner, a supplier or a system that received customers' data; each is a
candidate source of a leak. The file has customer pseudonyms and row numbers, and no reference or
value:

    magic | u32 length | JSON of the recipients | pseudonyms u8[n, 16], sorted | u32[…] | digest

The numbers are those of each recipient's customers among the pseudonyms, one recipient after the
other: four bytes for each customer and recipient. The digest is keyed (AES-CMAC under the key of
pseudonyms), so a damaged file, or one of another key, is refused. It lies beside the encrypted
references, on the only host that turns references into pseudonyms.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Texts
from matcher.leak_source.candidates import Kind
from matcher.watchlist.cohorts import MOST_DIGITS, SHAPE
from matcher.watchlist.installation import BUILDING
from matcher.watchlist.named_rows import NamedRows, parse_fields, read_named_rows
from matcher.watchlist.tagging import HandleKey
from ullage.errors import CorruptError
from ullage.files.atomic_write import write_whole
from ullage.lookup.values import identifier_in
from ullage.security.cmac import TAG_BYTES, Cmac, derive_key
from ullage.security.keys import KeyStore
from ullage.security.tags import Tags, to_sortable
from ullage.settings import Context
from ullage.vocabulary.fields import FieldLabel

SUFFIX = ".transfers"
MAGIC = b"ULLAGETR"
REQUIRED = ("recipient",)
OPTIONAL = ("kind", "fields", "from", "to")
KINDS: tuple[Kind, ...] = get_args(Kind)
MOST_RECIPIENTS = 1000
ROWS = np.dtype("<u4")
_LENGTH = struct.Struct("<I")
CURE = "restore it, or enrol the transfers again"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who received customers' data, which fields, and when.

    `first_day` is the day of the first transfer, None if unknown. `last_day` is that of the last
    one, None for a feed that goes on. `id` stands for the name where that must not be shown.
    """

    id: str
    name: str
    kind: Kind
    fields: frozenset[str] = frozenset()
    first_day: date | None = None
    last_day: date | None = None

    def as_json(self, customers: int) -> dict[str, Any]:
        """Return the recipient as the file has it."""
        return {
            "id": self.id,
            "name": self.name,
            "kind": self.kind,
            "fields": sorted(self.fields),
            "first_day": self.first_day.isoformat() if self.first_day else None,
            "last_day": self.last_day.isoformat() if self.last_day else None,
            "customers": customers,
        }


@dataclass(frozen=True)
class TransferTable:
    """The transfers of a tenant: recipients, and the customers of each."""

    recipients: tuple[Recipient, ...] = ()
    pseudonyms: Tags = field(default_factory=lambda: np.empty((0, 16), np.uint8), repr=False)
    """Of all customers who were given to anybody, sorted: u8[n, 16]."""
    customers: tuple[npt.NDArray[np.uint32], ...] = ()
    """For each recipient, the rows of its customers in `pseudonyms`, sorted."""

    def without(self, pseudonym: bytes) -> tuple[TransferTable, int]:
        """Return the table without a customer, and from how many recipients' lists they went."""
        row = np.flatnonzero((self.pseudonyms == np.frombuffer(pseudonym, np.uint8)).all(axis=1))
        if not len(row):
            return self, 0
        gone = int(row[0])
        lists, removed = [], 0
        for rows in self.customers:
            remaining = rows[rows != gone]
            removed += len(rows) - len(remaining)
            lists.append(remaining - (remaining > gone).astype(np.uint32))
        pseudonyms = np.delete(self.pseudonyms, gone, axis=0)
        return replace(self, pseudonyms=pseudonyms, customers=tuple(lists)), removed


def path_of(data: Path, tenant: str) -> Path:
    """Return the path of a tenant's transfers."""
    return data / BUILDING / f"{tenant}{SUFFIX}"


def write_transfers(path: Path, keys: KeyStore, tenant: str, table: TransferTable) -> None:
    """Write the file, durably and in one step."""
    recipients = [
        recipient.as_json(len(rows))
        for recipient, rows in zip(table.recipients, table.customers, strict=True)
    ]
    text = json.dumps(recipients, ensure_ascii=False).encode()
    rows = np.concatenate([np.empty(0, ROWS), *table.customers]).astype(ROWS)
    body = b"".join(
        (MAGIC, _LENGTH.pack(len(text)), text, table.pseudonyms.tobytes(), rows.tobytes())
    )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(body + _digest(keys, tenant, body), path)


def read_transfers(path: Path, keys: KeyStore, tenant: str) -> TransferTable:
    """Return the transfers in the file; an empty table if there is none.

    Raises CorruptError if it is damaged or was written under another key of pseudonyms.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return TransferTable()
    body, digest = content[:-TAG_BYTES], content[-TAG_BYTES:]
    if not body.startswith(MAGIC) or not hmac.compare_digest(digest, _digest(keys, tenant, body)):
        raise CorruptError(f"{path} is damaged, or belongs to another key of {tenant}: {CURE}")
    start = len(MAGIC) + _LENGTH.size
    beyond = start + _LENGTH.unpack_from(body, len(MAGIC))[0]
    entries = json.loads(body[start:beyond])
    sizes = [entry["customers"] for entry in entries]
    rows = np.frombuffer(body[len(body) - sum(sizes) * ROWS.itemsize :], ROWS)
    pseudonyms = np.frombuffer(body[beyond : len(body) - rows.nbytes], np.uint8).reshape(-1, 16)
    ends = np.cumsum(sizes, dtype=np.int64)
    lists = [rows[end - size : end] for size, end in zip(sizes, ends.tolist(), strict=True)]
    return TransferTable(tuple(map(_recipient_of, entries)), pseudonyms, tuple(lists))


def _recipient_of(entry: dict[str, Any]) -> Recipient:
    days = (
        date.fromisoformat(entry[name]) if entry[name] else None
        for name in ("first_day", "last_day")
    )
    return Recipient(entry["id"], entry["name"], entry["kind"], frozenset(entry["fields"]), *days)


def _digest(keys: KeyStore, tenant: str, body: bytes) -> bytes:
    key = derive_key(keys.read(f"{tenant}/handle.key"), "transfers", tenant)
    return Cmac(key).tag_one(hashlib.sha256(body).digest())


class _Received:
    """What one recipient received so far: days, fields, and batches of customers."""

    def __init__(self, kind: Kind) -> None:
        self.kind: Kind = kind
        self.fields: set[str] = set()
        self.first_days: set[date | None] = set()
        self.last_days: set[date | None] = set()
        self.batches: list[Tags] = []


class TransferReader:
    """Reads lists of transfers, and keeps the lines that it refused."""

    def __init__(self, keys: KeyStore, tenant: str) -> None:
        self._handles = HandleKey(keys, tenant)
        self._received: dict[str, _Received] = {}
        self.refused: list[tuple[Path, int, str]] = []
        """File, line and reason of each row that was left out."""
        self.rows = 0

    def read(self, path: Path) -> None:
        """Read a file.

        Raises ConfigError if it cannot be read, or its columns are not those of transfers.
        """
        for rows in read_named_rows(path, REQUIRED, OPTIONAL):
            self._add(path, rows)

    def build(self, former: TransferTable) -> TransferTable:
        """Return the table of everything that was read.

        A recipient keeps the id that it has in the `former` table.
        """
        ids = {recipient.name: recipient.id for recipient in former.recipients}
        numbers = [int(id_.rpartition("-")[2]) for id_ in ids.values()]
        batches = [batch for received in self._received.values() for batch in received.batches]
        every = np.concatenate([np.empty((0, 16), np.uint8), *batches])
        distinct = np.unique(to_sortable(every))
        recipients, lists = [], []
        next_number = max(numbers, default=0) + 1
        for name, received in self._received.items():
            if name not in ids:
                ids[name] = f"{received.kind}-{next_number}"
                next_number += 1
            recipients.append(
                Recipient(
                    ids[name],
                    name,
                    received.kind,
                    frozenset(received.fields),
                    _earliest(received.first_days),
                    _latest(received.last_days),
                )
            )
            texts = np.unique(to_sortable(np.concatenate(received.batches)))
            lists.append(np.searchsorted(distinct, texts).astype(np.uint32))
        pseudonyms = distinct.view(np.uint8).reshape(-1, 16)
        return TransferTable(tuple(recipients), pseudonyms, tuple(lists))

    def _add(self, path: Path, rows: NamedRows) -> None:
        columns = [rows.cells[name] for name in (*REQUIRED, *OPTIONAL)]
        places = dict[tuple[str, ...], list[int]]()
        for row, cells in enumerate(zip(*columns, strict=True)):
            places.setdefault(cells, []).append(row)
        for cells, of_transfer in places.items():
            fault = self._register(*cells)
            faults = {row: fault or rows.faults.get(row, "") for row in of_transfer}
            self.refused += [(path, rows.lines[row], why) for row, why in faults.items() if why]
            good = np.array([row for row, why in faults.items() if not why], np.int64)
            self.rows += len(good)
            if len(good):
                self._received[cells[0]].batches.append(self._tag(rows.references, good))
        self._received = {name: r for name, r in self._received.items() if r.batches}

    def _tag(self, references: Texts, rows: npt.NDArray[np.int64]) -> Tags:
        return self._handles.tags(references.take(rows))

    def _register(self, name: str, kind: str, fields: str, first: str, last: str) -> str:
        """Enter a transfer of a recipient; return what is wrong with it, "" if nothing is."""
        labels = parse_fields(fields)
        fault = _find_fault(name, kind)
        if not fault and labels is None:
            fault = f"fields must be labels such as {FieldLabel.NAME} {FieldLabel.PHONE}, or empty"
        if not fault and name not in self._received and len(self._received) == MOST_RECIPIENTS:
            fault = f"has more than {MOST_RECIPIENTS:,} recipients before it"
        if fault:
            return fault
        try:
            days = [date.fromisoformat(day) if day else None for day in (first, last)]
        except ValueError:
            return "from and to must be days such as 2026-01-31, or empty"
        if days[0] and days[1] and days[1] < days[0]:
            return "to is before from"
        received = self._received.get(name)
        stated: Kind = next((option for option in KINDS if option == kind), "partner")
        if received is None:
            received = self._received[name] = _Received(stated)
        elif kind and received.kind != stated:
            return "has another kind than an earlier line of this recipient"
        received.fields |= {label.value for label in labels or ()}
        received.first_days.add(days[0])
        received.last_days.add(days[1])
        return ""


def _find_fault(name: str, kind: str) -> str:
    digits = sum(letter.isdigit() for letter in name)
    if not SHAPE.fullmatch(name) or digits > MOST_DIGITS or identifier_in(name):
        return "recipient must be a short name or code, and no customer's value"
    if kind and kind not in KINDS:
        return f"kind must be one of {', '.join(KINDS)}, or empty"
    return ""


def _earliest(days: Collection[date | None]) -> date | None:
    """Return the earliest day; None, which is always, if one is unknown."""
    return None if None in days else min(day for day in days if day)


def _latest(days: Collection[date | None]) -> date | None:
    return None if None in days else max(day for day in days if day)


def parts(context: Context) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the part that `ullage check` examines here: the enrolled transfers, read completely."""

    def look() -> str:
        homes = sorted((context.data / BUILDING).glob(f"*{SUFFIX}"))
        tables = {home.stem: read_transfers(home, context.keys, home.stem) for home in homes}
        named = (f"{tenant} {len(table.recipients)} recipients" for tenant, table in tables.items())
        return ", ".join(named) or "not on this machine"

    yield "transfers", look
