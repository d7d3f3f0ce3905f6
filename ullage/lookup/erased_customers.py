"""Tombstones: that a customer, or a whole tenant, was erased, told without saying whom.

A tombstone is a digest of the handle, which is a keyed tag itself: without the building host's key,
or a handle to compare, it says nothing. Alert has it as a claim in the incident store, so that what
still lies on the bus, or is replayed, is not stored again. The host of the watchlists has it in
`erased/TENANT.tombstones`, by which a list that is loaded later is looked through. A tombstone
names nobody's return: who is a customer again is looked for again, from `SETTLED` after the erasure
on.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ullage.errors import CorruptError
from ullage.files.atomic_write import wait_for_lock, write_whole
from ullage.files.validation import read_json

FOLDER, SUFFIX = "erased", ".tombstones"
EVERYBODY = ""
"""In the place of a handle: the whole tenant."""
MARK = 32
"""Hex digits of a tombstone."""
SETTLED = timedelta(days=1)
"""So long after it an erasure holds for new posts too: other hosts may not have erased yet,
match may hold the old list open.
"""


def tombstone(tenant: str, handle: str) -> str:
    """The tombstone of a handle of 32 hex digits, or of EVERYBODY: 32 hex digits."""
    return hashlib.sha256(f"ullage erased\x1f{tenant}\x1f{handle.lower()}".encode()).hexdigest()[
        :MARK
    ]


@dataclass(frozen=True, slots=True)
class Tombstones:
    """Those of one tenant on the host of its watchlists, under the data folder."""

    data: Path
    tenant: str

    @property
    def path(self) -> Path:
        """Their file."""
        return self.data / FOLDER / f"{self.tenant}{SUFFIX}"

    def all(self) -> dict[str, datetime]:
        """When each was set, by tombstone; CorruptError where the file is damaged."""
        try:
            lines = self.path.read_text(encoding="ascii").splitlines()
        except FileNotFoundError:
            return {}
        except UnicodeDecodeError:
            raise self._damaged() from None
        try:
            *rows, end = map(read_json, lines)
            if end == len(rows):
                return {str(row["tombstone"]): datetime.fromisoformat(row["at"]) for row in rows}
        except (ValueError, KeyError, TypeError):
            pass
        raise self._damaged()

    def add(self, mark: str, now: datetime) -> None:
        """Set one, durably; one that is there gets the later time."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with wait_for_lock(self.path.parent):
            known = {**self.all(), mark: now}
            lines = [
                json.dumps({"tombstone": one, "at": at.isoformat()})
                for one, at in sorted(known.items())
            ]
            write_whole("\n".join((*lines, str(len(lines)), "")).encode(), self.path)

    def _damaged(self) -> CorruptError:
        return CorruptError(
            f"{self.path} is damaged: restore it, or remove it and erase those customers again"
        )
