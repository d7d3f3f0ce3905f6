"""Define the format of audit entries and heads, and convert them to bytes and back.

Both are JSON on one line, with fields in a fixed order and a digest: HMAC-SHA-256 of the rest of
the line under the key of the chain (`ullage.audit`). Bytes that differ from the exact output of
this module were not written by it, so `read_line` returns None for them. A head of another version
raises CorruptError.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, Field, ValidationError

from ullage.errors import CorruptError
from ullage.records.base import STRICT

VERSION = 1
"""Version of the format of chains; each head contains it."""
ORIGIN = "0" * 64
"""The digest before the first entry."""
SUFFIX = ".jsonl"
HEAD = "head.json"
GAP = "audit.gap"
"""The action of an entry that reports that entries before it are gone."""
Seen = dict[str, tuple[int, str]]
"""Last entry, as number and digest, of other chains, by name."""


class SignedRecord(BaseModel):
    """A record that contains its own keyed digest."""

    model_config = STRICT
    purpose: ClassVar[str]
    """Prevents the digest of one kind of record from being used for another."""
    optional: ClassVar[frozenset[str]] = frozenset()
    """Fields left out if empty.

    Lines that mention other chains are found fast, and entries without a request keep their old
    form.
    """

    digest: str = ""

    def compute_digest(self, key: bytes) -> str:
        """Return the digest that this record must have under `key`: 64 hex digits.

        It covers all fields but `digest` itself.
        """
        body = self._to_json({"digest"})
        return hmac.new(
            key, f"ullage audit {self.purpose}\x1f{body}".encode(), hashlib.sha256
        ).hexdigest()

    def is_genuine(self, key: bytes) -> bool:
        """Return whether the digest is correct under `key`."""
        return hmac.compare_digest(self.digest, self.compute_digest(key))

    def to_line(self) -> bytes:
        """Return the record as a line of a file, in UTF-8 with its line end."""
        return self._to_json(set()).encode() + b"\n"

    def _to_json(self, without: set[str]) -> str:
        """Return one line of JSON, without the fields `without` and empty optional fields."""
        empty = {name for name in self.optional if not getattr(self, name)}
        body = self.model_dump(mode="json", exclude=without | empty)
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


class AuditEntry(SignedRecord):
    """One change: `actor` did `action` to `object` (a kind of thing and id) because of `reason`.

    `request` is the id of the request that caused it, "" if there is none. `previous` is the digest
    of the entry before it; `seen` is how far other chains have reached, where that is news.
    """

    purpose = "entry"
    optional = frozenset({"seen", "request"})

    seq: int
    at: datetime
    actor: str
    action: str
    object: str
    tenant: str = ""
    reason: str = ""
    request: str = ""
    previous: str
    seen: Seen = Field(default_factory=dict)


class ChainHead(SignedRecord):
    """Where a chain begins and ends.

    `before` is the digest before entry `begins`; entry `seq`, with digest `last`, ends at byte
    `size` of its file. `seen` is the latest that its entries say about other chains.
    """

    purpose = "head"
    optional = frozenset({"seen"})

    version: int = VERSION
    begins: int = 1
    before: str = ORIGIN
    seq: int
    last: str
    size: int
    seen: Seen = Field(default_factory=dict)


def read_line(line: bytes) -> AuditEntry | None:
    """Parse an entry; None if the line is not exactly what is written for an entry.

    Its digest is not verified.
    """
    try:
        entry = AuditEntry.model_validate_json(line)
    except ValidationError:
        return None
    return entry if entry.to_line() == line else None


def read_head(path: Path) -> ChainHead | None:
    """Parse a head; None if it is damaged.

    Raises OSError if there is no file. Its digest is not verified.
    """
    data = path.read_bytes()
    try:
        head = ChainHead.model_validate_json(data)
    except ValidationError:
        return None
    return head if head.to_line() == data else None


def refuse_other_version(folder: Path) -> None:
    """Raise CorruptError if the chain in `folder` has another version.

    Only its head is read. A head that is missing, unreadable or no JSON raises nothing here; a head
    without a version counts as version 0.
    """
    path = folder / HEAD
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return
    version = content.get("version", 0) if isinstance(content, dict) else VERSION
    if isinstance(version, int) and version != VERSION:
        raise CorruptError(
            f"audit chain {folder} has version {version} ({HEAD}), and this ullage reads {VERSION}:"
            " use the ullage that wrote it"
        )


def list_segments(folder: Path) -> list[Path]:
    """List the files of a chain, oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def segment_path(folder: Path, seq: int) -> Path:
    """Return the path of the file that begins with entry `seq`."""
    return folder / f"{seq:010d}{SUFFIX}"
