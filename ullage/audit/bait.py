"""Timestamp lists of honeytokens, to prove that a list existed before anybody received it.

A honeytoken proves who leaked only if nobody can claim that it was made afterwards. So before a
list is handed out, its SHA-256 is recorded in the audit log, whose entries are chained and dated
(`ullage.audit`). Whoever has the file can show that it is that list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from ullage.audit import AuditEntry, Trail, read_entries

ACTION = "bait.stamp"
_ENTRY = re.compile(r"(?:bait|honeytokens) of (.{1,40}): (\d+) customers, sha256 ([0-9a-f]{64})")


class Stamp(NamedTuple):
    """The record of a list.

    It holds the tenant, the receiving party, the customers, the SHA-256 (hex), and the time.
    """

    tenant: str
    party: str
    customers: int
    sha256: str
    at: datetime


def record(
    trail: Trail, tenant: str, party: str, customers: int, sha256: str, *, actor: str
) -> AuditEntry:
    """Record a list in the audit log; durable on return."""
    return trail.append(
        ACTION,
        f"honeytokens of {party}: {customers} customers, sha256 {sha256}",
        actor=actor,
        tenant=tenant,
    )


def read_stamps(log: Path, tenant: str = "", party: str = "") -> Iterator[Stamp]:
    """Yield the stamps in the audit log in folder `log`, oldest first.

    Of one tenant and party, or of all. They are not verified: `ullage audit verify` does that.
    """
    for _, entry in read_entries(log):
        match = _ENTRY.fullmatch(entry.object) if entry.action == ACTION else None
        if match and tenant in ("", entry.tenant) and party in ("", match[1]):
            yield Stamp(entry.tenant, match[1], int(match[2]), match[3], entry.at)
