"""Store tombstones: proofs that a customer, or a whole tenant, was erased, without naming anybody.

A tombstone is a digest of the pseudonym, which is itself a keyed tag: without the building host's
key, or a pseudonym to compare, it reveals nothing. Alert stores it in the incident store, so that
findings still on the bus, or replayed, are not stored again. The host of the customer lists stores
it in `erased/TENANT.tombstones` and checks lists that are loaded later against it. A tombstone does
not apply for ever: `SETTLED` after the erasure, somebody who is a customer again is monitored
again.
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
"""Stands for the whole tenant, in the place of a pseudonym."""
MARK = 32
"""Hex digits of a tombstone."""
SETTLED = timedelta(days=1)
"""Delay after which an erasure no longer applies to new posts.

Other hosts may not have erased yet, and match may still have the old list open.
"""


def tombstone(tenant: str, handle: str) -> str:
    """Return the tombstone, 32 hex digits, of a pseudonym of 32 hex digits or of EVERYBODY."""
    return hashlib.sha256(f"ullage erased\x1f{tenant}\x1f{handle.lower()}".encode()).hexdigest()[
        :MARK
    ]


@dataclass(frozen=True, slots=True)
class Tombstones:
    """The tombstones of one tenant on the host of its customer lists."""

    data: Path
    tenant: str

    @property
    def path(self) -> Path:
        """Path of their file."""
        return self.data / FOLDER / f"{self.tenant}{SUFFIX}"

    def all(self) -> dict[str, datetime]:
        """Return when each tombstone was set; {} if there is no file.

        Raises CorruptError if the file is damaged.
        """
        try:
            lines = self.path.read_text(encoding="ascii").splitlines()
        except FileNotFoundError:
            return {}
        except UnicodeDecodeError:
            raise self._make_damage_error() from None
        try:
            *rows, end = map(read_json, lines)
            if end == len(rows):
                return {str(row["tombstone"]): datetime.fromisoformat(row["at"]) for row in rows}
        except (ValueError, KeyError, TypeError):
            pass
        raise self._make_damage_error()

    def add(self, mark: str, now: datetime) -> None:
        """Store durably that the customer or tenant with this keyed `mark` was erased at `now`.

        If the mark exists already, the later of the two times stays. Raises CorruptError if the
        file is damaged; nothing is written then.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with wait_for_lock(self.path.parent):
            tombstones = self.all()
            # the clock may have been set back
            tombstones[mark] = max(now, tombstones.get(mark, now))
            lines = [
                json.dumps({"tombstone": tombstone, "at": at.isoformat()})
                for tombstone, at in sorted(tombstones.items())
            ]
            write_whole("\n".join((*lines, str(len(lines)), "")).encode(), self.path)

    def _make_damage_error(self) -> CorruptError:
        return CorruptError(
            f"{self.path} is damaged: restore it, or remove it and erase those customers again"
        )
