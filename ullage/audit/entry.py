"""The shape of an entry and of a head, as bytes and back; what is not written exactly so was not
written here.
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
"""Of the format of chains; each head has it."""
ORIGIN = "0" * 64
"""What stands as the digest before the first entry."""
SUFFIX = ".jsonl"
HEAD = "head.json"
GAP = "audit.gap"
"""The action of an entry that says that entries before it are gone."""
Seen = dict[str, tuple[int, str]]
"""Of other chains, by name, number and digest of the last entry."""


class SignedRecord(BaseModel):
    """What carries its own digest under a key."""

    model_config = STRICT
    purpose: ClassVar[str]
    """Keeps the digest of one kind of record from standing for another."""
    optional: ClassVar[frozenset[str]] = frozenset()
    """Left out where empty: lines that tell of other chains are found fast, and entries without
    a request stay as they were.
    """

    digest: str = ""

    def signed(self, key: bytes) -> str:
        """The digest that this must have under `key`."""
        body = self._json({"digest"})
        return hmac.new(
            key, f"ullage audit {self.purpose}\x1f{body}".encode(), hashlib.sha256
        ).hexdigest()

    def is_genuine(self, key: bytes) -> bool:
        """Whether the digest is that of this content under `key`."""
        return hmac.compare_digest(self.digest, self.signed(key))

    def line(self) -> bytes:
        """As it stands in a file."""
        return self._json(set()).encode() + b"\n"

    def _json(self, without: set[str]) -> str:
        """In one line, without `without` and without what is `optional` and empty."""
        empty = {name for name in self.optional if not getattr(self, name)}
        body = self.model_dump(mode="json", exclude=without | empty)
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


class AuditEntry(SignedRecord):
    """One change: `actor` did `action` to `object` (a kind of thing and its id) because of
    `reason`.

    `request` is the id of the request that caused it, "" where none did. `previous` is the digest
    of the entry before it; `seen` is how far other chains had gone, where that is news.
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

    `before` is the digest before entry `begins`; entry `seq`, with digest `last`, ends `size` bytes
    into the file that it is in. `seen` is what its entries told last of other chains.
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
    """The entry in a line, None when it is not exactly what an entry is written as.

    Its digest is not looked at.
    """
    try:
        entry = AuditEntry.model_validate_json(line)
    except ValidationError:
        return None
    return entry if entry.line() == line else None


def read_head(path: Path) -> ChainHead | None:
    """The head in a file, None when it is damaged.

    OSError when there is none. Its digest is not looked at.
    """
    data = path.read_bytes()
    try:
        head = ChainHead.model_validate_json(data)
    except ValidationError:
        return None
    return head if head.line() == data else None


def refuse_other_version(folder: Path) -> None:
    """Raise CorruptError where the chain in `folder` is of another version; nothing else of it
    is read.
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


def segments(folder: Path) -> list[Path]:
    """The files of a chain, the oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def segment(folder: Path, seq: int) -> Path:
    """The file that begins with entry `seq`."""
    return folder / f"{seq:010d}{SUFFIX}"
