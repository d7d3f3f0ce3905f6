"""Time stamps of lists of bait: that a list was there, whole, before it was handed to anybody.

Bait proves who leaked only if nobody can say that it was made afterwards. So before a list is
handed out, its SHA-256 goes into the audit log, whose entries are chained and dated
(`ullage.audit`). Whoever has the file shows that it is that list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from ullage.audit import AuditEntry, Trail, entries

ACTION = "bait.stamp"
_ENTRY = re.compile(r"bait of (.{1,40}): (\d+) customers, sha256 ([0-9a-f]{64})")


class Stamp(NamedTuple):
    """A list of bait: for which party of which tenant, how many customers, the file's SHA-256 in
    hex, when it was recorded.
    """

    tenant: str
    party: str
    customers: int
    sha256: str
    at: datetime


def record(
    trail: Trail, tenant: str, party: str, customers: int, sha256: str, *, actor: str
) -> AuditEntry:
    """Put a stamp into the audit log; durable on return."""
    return trail.append(
        ACTION,
        f"bait of {party}: {customers} customers, sha256 {sha256}",
        actor=actor,
        tenant=tenant,
    )


def stamps(log: Path, tenant: str = "", party: str = "") -> Iterator[Stamp]:
    """The stamps in the audit log in folder `log`, the oldest first: of one tenant and one party,
    or of all.

    They are read, not verified: `ullage audit verify` does that.
    """
    for _, entry in entries(log):
        found = _ENTRY.fullmatch(entry.object) if entry.action == ACTION else None
        if found and tenant in ("", entry.tenant) and party in ("", found[1]):
            yield Stamp(entry.tenant, found[1], int(found[2]), found[3], entry.at)
