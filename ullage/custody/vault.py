"""Store sealed evidence files: write each one time, list, hold and expire them.

Each file has a header line in clear (tenant, finding, date, officers, digests), by which it is
listed, and the sealed capture behind it (`ullage.custody`). This module never opens a seal. An
empty file beside it exempts it from expiry. A damaged file raises CorruptError where it is read, is
reported by `scan`, and is never deleted, because its age is unknown.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ValidationError

from ullage.errors import ConfigError, CorruptError
from ullage.files.atomic_write import sync_folder, write_through
from ullage.files.validation import read_json
from ullage.records.base import STRICT
from ullage.running_time import DAY_SECONDS, ClockReading

SUFFIX, HOLD, DRAFT = ".evidence", ".hold", ".partial"
NAME = re.compile(r"[0-9A-Za-z_-]{1,80}")
"""The identifier of a finding: a keyed digest in hex."""
MAX_HEAD = 4096
UNFINISHED_SECONDS = 3600.0


FOLDER = "evidence"
"""Name within the data folder."""


class VaultHeader(BaseModel):
    """The clear header line of an evidence file."""

    model_config = STRICT

    tenant: str
    finding: str
    sealed_at: AwareDatetime
    officers: tuple[str, ...]
    sealed_sha256: str = ""
    sha256: str = ""
    """Digests of the sealed data, and of this line without this field.

    They reveal damage today and not only when a court asks. Older files have none.
    """

    def with_digests(self, sealed: bytes) -> VaultHeader:
        """Return a copy of this header with the digest of `sealed` and that of the header."""
        head = self.model_copy(
            update={"sealed_sha256": hashlib.sha256(sealed).hexdigest(), "sha256": ""}
        )
        return head.model_copy(update={"sha256": head.digest()})

    def digest(self) -> str:
        """Return the SHA-256 (hex) of this header, with its own digest field left empty."""
        return hashlib.sha256(
            self.model_copy(update={"sha256": ""}).model_dump_json().encode()
        ).hexdigest()

    @property
    def place(self) -> str:
        """The place to which the seal is bound."""
        return f"{self.tenant}/{self.finding}"


@dataclass(frozen=True, slots=True)
class VaultItem:
    """One sealed file."""

    head: VaultHeader
    path: Path
    bytes: int
    held: bool


@dataclass(frozen=True, slots=True)
class Vault:
    """The folder of evidence files; `root` is DATA/evidence."""

    root: Path

    def has(self, tenant: str, finding: str) -> bool:
        """Return whether evidence of this finding is stored."""
        return self._path(tenant, finding).is_file()

    def put(self, head: VaultHeader, sealed: bytes) -> None:
        """Write a file durably; an existing one is not changed.

        Raises OSError if the disk cannot store it.
        """
        path = self._path(head.tenant, head.finding)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_suffix(f"{DRAFT}{os.getpid()}")
        try:
            with os.fdopen(
                os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb"
            ) as file:
                write_through(
                    file, head.with_digests(sealed).model_dump_json().encode() + b"\n" + sealed
                )
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        sync_folder(path.parent)

    def items(self) -> Iterator[VaultItem]:
        """Yield all items, oldest first; raises CorruptError if one is damaged."""
        intact, faults = self.scan()
        if faults:
            raise faults[0]
        yield from intact

    def scan(self) -> tuple[list[VaultItem], list[CorruptError]]:
        """Return the intact items, oldest first, and the faults of the damaged ones.

        Only the header line of each file is checked.
        """
        intact, faults = list[VaultItem](), list[CorruptError]()
        for path in sorted(self.root.glob(f"*/*{SUFFIX}")):
            try:
                intact.append(self._item(path))
            except CorruptError as error:
                faults.append(error)
        return sorted(intact, key=lambda item: (item.head.sealed_at, item.head.finding)), faults

    def size(self) -> int:
        """Return the total size of all files in bytes."""
        return sum(path.stat().st_size for path in self.root.glob(f"*/*{SUFFIX}"))

    def find(self, finding: str) -> VaultItem:
        """Return the stored evidence of `finding`; only its header line is read.

        Raises ConfigError if there is none, and CorruptError if it is damaged.
        """
        paths = list(self.root.glob(f"*/{finding}{SUFFIX}")) if NAME.fullmatch(finding) else []
        if not paths:
            raise ConfigError("no evidence of that finding: see `ullage evidence list`")
        return self._item(paths[0])

    def find_intact(self, places: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Return the places (tenant, finding) whose sealed file is here and intact."""
        return frozenset(place for place in places if self._is_intact(*place))

    def _is_intact(self, tenant: str, finding: str) -> bool:
        if not NAME.fullmatch(finding) or not self.has(tenant, finding):
            return False
        try:
            return bool(self.read_sealed(self._item(self._path(tenant, finding))))
        except (CorruptError, OSError):
            return False

    def read_sealed(self, item: VaultItem) -> bytes:
        """Return the encrypted bytes of a piece of evidence.

        Raises CorruptError if they do not fit their digest.
        """
        sealed = item.path.read_bytes().partition(b"\n")[2]
        if item.head.sealed_sha256 not in ("", hashlib.sha256(sealed).hexdigest()):
            raise self._make_damage_error(item.path)
        return sealed

    def check(self) -> int:
        """Read all evidence files, and return how many there are.

        Raises CorruptError if one is damaged.
        """
        return sum(bool(self.read_sealed(item)) for item in self.items())

    def hold(self, findings: Iterable[str]) -> int:
        """Exempt evidence from expiry; returns how many items were found."""
        return sum(self._mark(item) for item in self._those(findings))

    def release(self, findings: Iterable[str]) -> int:
        """Let evidence expire again; returns how many items were held."""
        items = [item for item in self._those(findings) if item.held]
        for item in items:
            item.path.with_suffix(HOLD).unlink()
        return len(items)

    def expire(self, days: float, reading: ClockReading) -> int:
        """Remove older evidence that is not held; returns how many files were removed.

        Drafts that a crash left are removed as well. Damaged files remain, as their age is unknown.
        """
        old, unfinished = reading.older(days * DAY_SECONDS), reading.older(UNFINISHED_SECONDS)
        gone = [item for item in self.scan()[0] if item.head.sealed_at in old and not item.held]
        for item in gone:
            item.path.unlink()
        for draft in self.root.glob(f"*/*{DRAFT}*"):
            if draft.stat().st_mtime in unfinished:
                draft.unlink()
        return len(gone)

    def _those(self, findings: Iterable[str]) -> list[VaultItem]:
        ids = set(findings)
        return [item for item in self.items() if item.head.finding in ids]

    @staticmethod
    def _mark(item: VaultItem) -> bool:
        item.path.with_suffix(HOLD).touch(mode=0o600)
        return True

    @staticmethod
    def _make_damage_error(path: Path) -> CorruptError:
        return CorruptError(
            f"{path} is damaged, not written by ullage, or written by a newer version: use"
            " that version, or move it away without deleting it, and look for a copy"
        )

    def _path(self, tenant: str, finding: str) -> Path:
        if not NAME.fullmatch(finding):
            raise ConfigError("this is not the id of a finding: see `ullage evidence list`")
        return self.root / tenant / f"{finding}{SUFFIX}"

    def _item(self, path: Path) -> VaultItem:
        with path.open("rb") as file:
            line = file.readline(MAX_HEAD)
        try:
            head = VaultHeader.model_validate(read_json(line))
        except (ValueError, ValidationError):
            raise self._make_damage_error(path) from None
        if (head.tenant, head.finding) != (path.parent.name, path.stem) or (
            head.sealed_sha256 and head.sha256 != head.digest()
        ):
            raise self._make_damage_error(path)
        return VaultItem(head, path, path.stat().st_size, path.with_suffix(HOLD).exists())
