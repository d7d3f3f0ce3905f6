"""List the parts that a data folder must hold, so that a missing part is noticed.

A *part* is a database, a topic, a chain of the audit log, a key with its check value, a customer
list, or the record of the clocks. Its name is its path below the data folder. The command or
service that creates a part enters it afterwards, and whoever removes one strikes it first. So after
a crash a part may be present but not listed, which `ullage check` reports, but never listed and
rightly absent. A service does not start while a listed part other than a customer list is missing
(`Inventory.require`).

    DATA/inventory/SERVICE.json       the parts that SERVICE created; its neighbours' digests
    DATA/inventory/SERVICE.unfinished  exists until the first SERVICE.json is durable
    DATA/keys/inventory/SERVICE.key   the key that signs it (HMAC-SHA-256)

No part is entered merely because it was found. `ullage init` enters keys that a person copied here,
and `ullage check --accept-loss` strikes lost parts; both are decisions of a person.

Each change writes number and digest of the changed inventory into those of the neighbours, the
remaining services of the folder. So they expose an inventory that was removed with its key, or
replaced by an older copy. An inventory that cannot be verified raises CorruptError; a lost part or
inventory raises ConfigError, with the command that accepts the loss.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, Field, ValidationError

from ullage.errors import ConfigError, CorruptError, UllageError
from ullage.files.atomic_write import disk_errors, sync_folder, wait_for_lock, write_whole
from ullage.files.ownership import read_trusted
from ullage.records.base import STRICT

FOLDER, SUFFIX, VERSION = "inventory", ".json", 1
UNFINISHED = ".unfinished"
"""Ending of the file beside an inventory whose creation a crash or a failing disk may cut short.

A key without its inventory then proves no loss.
"""
COMMANDS = "command"
"""The inventory of parts that commands create; each service has its own."""
SERVICES = ("crawl", "match", "alert", "search", "intake", "collect")
KEYS = "keys/"
"""Prefix of the names of parts that are keys."""
LISTS = ("watchlists/", "watchlist-sizes/", "enrolled/", "building/")
"""Parts of one tenant.

Services start without them, serve all remaining tenants, and report them as missing until they
are back.
"""
PARTS = (
    "ullage.toml", "sites.d", "*.sqlite", "bus/*.sqlite", "spool/streams/*.json", "audit/*/",
    "clock/record.json",
    "watchlists/*/*.watchlist", "watchlist-sizes/*.size", "enrolled/*.enrolled",
    "building/*.subjects", "building/*.transfers",
    "erased/*.tombstones",
)  # fmt: skip
"""Patterns of every part except keys."""
CREATED_HERE = (
    "*.sqlite", "bus/*.sqlite", "audit/*/*.jsonl", "watchlists/*/*.watchlist", "keys/seal/*.key",
    "keys/audit/*.key",
)  # fmt: skip
"""Parts that nobody copies to a new machine.

Where one of these is present, an inventory must have existed.
"""


Snapshot = tuple[tuple[int, ...], ...]


class InventoryRecord(BaseModel):
    """The content of a file. `neighbours` holds number and digest of each other inventory."""

    model_config = STRICT

    version: int
    service: str
    number: int = 0
    parts: dict[str, str] = Field(default_factory=dict)
    """The check value of each part that is a key, "" of any other, by name."""
    neighbours: dict[str, tuple[int, str]] = Field(default_factory=dict)
    digest: str = ""
    """Digest of service, number and parts; neighbours copy it."""
    signature: str = ""
    """Signature of the digest and the neighbours."""

    def sign(self, key: bytes) -> InventoryRecord:
        """Return this record with digest and signature under `key`."""
        digest = _hmac(key, [self.service, self.number, dict(sorted(self.parts.items()))])
        signature = _hmac(key, [digest, dict(sorted(self.neighbours.items()))])
        return self.model_copy(update={"digest": digest, "signature": signature})


class KeyFolder(Protocol):
    """The keys of the data folder, as `ullage.security.keys.KeyStore` has them."""

    @property
    def root(self) -> Path:
        """Return the folder of the keys that are files."""

    @property
    def has_command(self) -> bool:
        """Whether private keys come from a command, which is too slow for each look."""

    def is_available(self, name: str) -> bool:
        """Return whether a key is a file or a credential here."""

    def list_names(self, folder: str, suffix: str) -> list[str]:
        """Return the names of the keys in `folder` that end in `suffix`."""

    def inventory_key(self, name: str, *, make: bool = False) -> bytes:
        """Return an inventory's own key; with `make`, create it where it is nowhere."""

    def read_check_value(self, name: str) -> str:
        """Return the check value of a key as it is now."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """The inventories of a data folder; parts are entered in that of `service`."""

    data: Path
    service: str
    keys: KeyFolder
    kept: dict[Snapshot, dict[str, str]] = field(default_factory=dict, compare=False, repr=False)
    """The parts as last read: each look at a key needs them, and reading takes 2 ms."""

    @property
    def folder(self) -> Path:
        """Return the folder of the files."""
        return self.data / FOLDER

    def name_of(self, path: Path) -> str:
        """Return the name of the part at `path`.

        It is relative to the data folder if the part is below it.
        """
        return str(path.relative_to(self.data) if path.is_relative_to(self.data) else path)

    def parts(self) -> dict[str, str]:
        """Return the check value of every listed part by name, "" if the part is no key.

        They are read again if any file or folder was replaced or changed since the last reading.
        Raises CorruptError or ConfigError if an inventory cannot be verified.
        """
        snapshot = self._snapshot()  # before reading: a change meanwhile makes the next one another
        if (parts := self.kept.get(snapshot)) is None:
            parts = {
                name: value
                for record in self._read().values()
                for name, value in record.parts.items()
            }
            self.kept.clear()
            self.kept[snapshot] = parts
        return dict(parts)

    def lists(self, part: str | Path) -> bool:
        """Return whether a part is listed."""
        return (self.name_of(part) if isinstance(part, Path) else part) in self.parts()

    def begin(self) -> None:
        """Create the inventory of this service, if it does not exist, before its first part.

        Raises ConfigError if it existed and is gone.
        """
        if not self._path(self.service).exists():
            self._change({}, (), creates=True)

    def refuse_lost(self, part: str | Path) -> None:
        """Raise ConfigError if a part that is about to be created is already listed.

        It existed and is gone; a new one must not take its place unnoticed.
        """
        self.begin()
        name = self.name_of(part) if isinstance(part, Path) else part
        if name in self.parts():
            raise ConfigError(_describe_lost_part(name, self.data))

    def enter(self, part: str | Path, check_value: str = "") -> None:
        """List a part that was just created, durably.

        Raises ConfigError as `enter_all` does.
        """
        self.enter_all({self.name_of(part) if isinstance(part, Path) else part: check_value})

    def enter_all(self, parts: Mapping[str, str]) -> None:
        """List several parts that were just created, with their check values by name.

        Durable on return. Raises ConfigError if another inventory of the folder is missing or older
        than its neighbours know.
        """
        self._change(parts, (), creates=True)

    def strike(self, *parts: str | Path) -> None:
        """Take parts out of the inventory, durably, before they are removed.

        A part that is not listed is skipped. Raises ConfigError as `enter_all` does.
        """
        names = [self.name_of(part) if isinstance(part, Path) else part for part in parts]
        if self.folder.is_dir():
            self._change({}, names)

    def missing(self) -> list[str]:
        """Return the names of the listed parts that are absent, sorted.

        Errors are those of `parts`.
        """
        return sorted(part for part in self.parts() if not self._exists(part))

    def find_unlisted(self) -> list[str]:
        """Return parts that are present and not listed, sorted.

        Public halves belong to another host and are left out.
        """
        present = {
            f"{KEYS}{name}" for name in self._key_names() if name.endswith(".key")
        } | self._present(PARTS)
        return sorted(present - self.parts().keys())

    def faults(self, apart: tuple[str, ...] = ()) -> list[str]:
        """Return a message for every missing part and every faulty inventory; [] if there is none.

        An inventory is faulty if it is missing, damaged or older than its neighbours know. Parts
        whose names begin with one of `apart` are skipped.
        """
        faults = []
        try:
            with wait_for_lock(self.folder) if self.folder.is_dir() else contextlib.nullcontext():
                records = self._read()
                faults += self._missing_inventories(records)
            faults += [
                _describe_lost_part(part, self.data)
                for part in self.missing()
                if not part.startswith(apart)
            ]
        except (UllageError, OSError) as error:
            faults.append(str(error))
        return faults

    def require(self) -> None:
        """Raise ConfigError, which names every missing part that a service needs.

        Customer lists are left out: a service serves the remaining tenants without them.
        """
        if faults := self.faults(LISTS):
            raise ConfigError("; ".join(faults))

    def find_lost(self, part: str) -> list[str]:
        """Return the names of the missing parts that `part` stands for.

        `part` is a part, a folder of parts, or an inventory. Raises ConfigError if nothing of that
        name is missing.
        """
        part = part.rstrip("/")
        if part.partition("/")[0] == FOLDER:
            if self._missing_inventories(self._read_sound()) or self._unsound():
                return [part]
        elif lost := [
            name for name in self.missing() if name == part or name.startswith(f"{part}/")
        ]:
            return lost
        raise ConfigError(f"{part} is not missing: `ullage check` names the missing parts")

    def renew(self) -> None:
        """Replace lost or damaged inventories by new ones.

        Parts that are here now and that no inventory lists are added to that of the commands; sound
        inventories keep theirs. Raises UnavailableError if the disk fails.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with disk_errors(str(self.folder)), wait_for_lock(self.folder):
            records = self._read_sound()
            copies = [copy for record in records.values() for copy in record.neighbours.items()]
            names = {COMMANDS, *(name for name, _ in copies), *self._names()} - records.keys()
            listed = {part for record in records.values() for part in record.parts}
            for name in sorted(names):
                number = max((copy[0] for service, copy in copies if service == name), default=0)
                records[name] = InventoryRecord(version=VERSION, service=name, number=number)
            present = {
                f"{KEYS}{name}": self.keys.read_check_value(name) for name in self._key_names()
            }
            present |= dict.fromkeys(self._present(PARTS), "")
            home = records.get(COMMANDS) or records[self.service]
            home.parts.update(
                {part: value for part, value in present.items() if part not in listed}
            )
            self._write(records, [home.service, *names])

    def _change(
        self, entered: Mapping[str, str], struck: Collection[str], *, creates: bool = False
    ) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with disk_errors(str(self.folder)), wait_for_lock(self.folder):
            records = self._read()
            if faults := self._missing_inventories(records):
                raise ConfigError("; ".join(faults))
            holders = {part: name for name, record in records.items() for part in record.parts}
            before = {name: dict(record.parts) for name, record in records.items()}
            if creates and self.service not in records:
                records[self.service] = InventoryRecord(version=VERSION, service=self.service)
            for part, value in entered.items():
                records[holders.get(part, self.service)].parts[part] = value
            for part in struck:
                if part in holders:
                    records[holders[part]].parts.pop(part)
            changed = [name for name, record in records.items() if before.get(name) != record.parts]
            if changed:
                self._write(records, changed)

    def _write(self, records: dict[str, InventoryRecord], changed: Collection[str]) -> None:
        """Write changed inventories first, then the copies of their digests in the others.

        `records` are all inventories; those named in `changed` get the next number, and keys are
        created for new ones.
        """
        created = [name for name in records if not self._path(name).exists()]
        for name in created:
            self._prepare_creation(name)
        keys = {name: self._key(name, make=True) for name in records}
        for name in changed:
            renumbered = records[name].model_copy(update={"number": records[name].number + 1})
            records[name] = renumbered.sign(keys[name])
        for name in sorted(records, key=lambda name: name not in changed):
            copies = {
                neighbour: (record.number, record.digest)
                for neighbour, record in records.items()
                if neighbour != name
            }
            signed = records[name].model_copy(update={"neighbours": copies}).sign(keys[name])
            write_whole(signed.model_dump_json().encode() + b"\n", self._path(name))
            if name in created:
                self._build_unfinished_path(name).unlink()
                sync_folder(self.folder)

    def _prepare_creation(self, service: str) -> None:
        """Mark an inventory as unfinished, and remove the key of an earlier attempt."""
        if self._build_unfinished_path(service).exists():
            # it may be empty; `_missing_inventories` has found that it signed nothing
            (self.keys.root / FOLDER / f"{service}.key").unlink(missing_ok=True)
        else:
            write_whole(b"", self._build_unfinished_path(service))

    def _build_unfinished_path(self, service: str) -> Path:
        return self.folder / f"{service}{UNFINISHED}"

    def _path(self, service: str) -> Path:
        return self.folder / f"{service}{SUFFIX}"

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{SUFFIX}"))

    def _names(self) -> list[str]:
        """Return the services whose inventory or key is here."""
        named = {Path(name).stem for name in self.keys.list_names(FOLDER, ".key")}
        return sorted(named | {path.stem for path in self._paths()})

    def _key(self, service: str, *, make: bool = False) -> bytes:
        name = f"{FOLDER}/{service}.key"
        return self.keys.inventory_key(name, make=make)

    def _read(self) -> dict[str, InventoryRecord]:
        """Read every inventory by service.

        Raises CorruptError or ConfigError if one cannot be verified.
        """
        return {path.stem: self._read_one(path) for path in self._paths()}

    def _snapshot(self) -> Snapshot:
        """Return the identity of each inventory, of its key, and of their folders."""
        keys = self.keys.root / FOLDER
        files = [file for path in self._paths() for file in (path, keys / f"{path.stem}.key")]
        return tuple(_identity(path) for path in (self.folder, self.keys.root, keys, *files))

    def _read_one(self, path: Path) -> InventoryRecord:
        cure = "restore it from its copy, or accept its loss: " + _accept(f"{FOLDER}/{path.stem}")
        try:
            content: Any = json.loads(read_trusted(path, self.folder))
        except (ValueError, RecursionError):
            raise CorruptError(f"inventory {path} is damaged: {cure}") from None
        if (
            isinstance(content, dict)
            and isinstance(version := content.get("version"), int)
            and version != VERSION
        ):
            raise CorruptError(
                f"inventory {path} has version {version}, and this ullage reads {VERSION}: use that"
                " version"
            )
        try:
            record = InventoryRecord.model_validate_json(json.dumps(content))
        except ValidationError:
            raise CorruptError(f"inventory {path} is damaged: {cure}") from None
        signed = record.sign(self._key(path.stem))
        matches = hmac.compare_digest(
            record.digest + record.signature, signed.digest + signed.signature
        )
        if record.service != path.stem or not matches:
            raise CorruptError(f"inventory {path} was changed after it was signed: {cure}")
        return record

    def _read_sound(self) -> dict[str, InventoryRecord]:
        """Read the inventories that can be verified."""
        records = {}
        for path in self._paths():
            with contextlib.suppress(UllageError):
                records[path.stem] = self._read_one(path)
        return records

    def _unsound(self) -> bool:
        return len(self._read_sound()) < len(self._paths())

    def _missing_inventories(self, records: Mapping[str, InventoryRecord]) -> list[str]:
        """Describe each inventory that is absent, or older than a neighbour's copy says.

        Returns [] if there is none. Each message says how to restore it or accept the loss.
        """
        cure = "restore it from its copy, or accept its loss: "
        if not records and self._present(CREATED_HERE):
            return [f"the inventory {self.folder} is missing: {cure}{_accept(FOLDER)}"]
        how = {
            name: "is missing, but its key is here"
            for name in self._names()
            if name not in records and not self._build_unfinished_path(name).exists()
        }
        for holder, record in records.items():
            for name, (number, digest) in record.neighbours.items():
                neighbour = records.get(name)
                if neighbour is None:
                    how.setdefault(name, f"is missing, according to the inventory of {holder}")
                elif neighbour.number < number or (
                    neighbour.number == number and neighbour.digest != digest
                ):
                    how.setdefault(
                        name, f"is older than the copy of its digest in the inventory of {holder}"
                    )
        return [
            f"inventory {self._path(name)} {what}: {cure}{_accept(f'{FOLDER}/{name}')}"
            for name, what in how.items()
        ]

    def _exists(self, part: str) -> bool:
        if not part.startswith(KEYS):
            return (self.data / part).exists()
        name = part.removeprefix(KEYS)
        return self.keys.is_available(name) or (self.keys.has_command and name.endswith(".key"))

    def _present(self, patterns: Collection[str]) -> set[str]:
        paths = (path for pattern in patterns for path in self.data.glob(pattern))
        return {self.name_of(path) for path in paths if not path.name.startswith(".")}

    def _key_names(self) -> Iterator[str]:
        """Yield the keys in the folder, except those of inventories."""
        for path in sorted(self.keys.root.rglob("*")):
            parts = path.relative_to(self.keys.root).parts
            if (
                path.suffix in (".key", ".pub")
                and parts[0] != FOLDER
                and not parts[0].startswith(".")
            ):
                yield "/".join(parts)


def _identity(path: Path) -> tuple[int, ...]:
    """Return values that identify a file or folder and its current contents.

    Returns () where it cannot be read.
    """
    try:
        status = path.lstat()
    except OSError:
        return ()
    who = (status.st_dev, status.st_ino, status.st_mode, status.st_uid, status.st_size)
    # `touch` sets only the first
    return (*who, status.st_mtime_ns, status.st_ctime_ns)


def _hmac(key: bytes, content: object) -> str:
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return hmac.new(key, f"ullage inventory\x1f{body}".encode(), hashlib.sha256).hexdigest()


def _accept(part: str) -> str:
    return f"`ullage check --accept-loss {part} --reason …`"


def _describe_lost_part(part: str, data: Path) -> str:
    return (
        f"{data / part} is missing: restore it from its copy, or accept its loss: {_accept(part)}"
    )
