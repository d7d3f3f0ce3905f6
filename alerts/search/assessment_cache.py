"""What was judged and is looked at: in memory alone, for whoever dropped the file, for half an hour."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

from alerts.accounts.roles import Principal
from alerts.search.judge import FileAssessment
from ullage.clock import Clock
from ullage.incidents import IncidentReference

SECONDS = 1800.0
MOST = 16
MOST_BYTES = 256 << 20
"""Of all that is held for those who see the same tenants; the oldest go first, and others' never."""
FINDINGS_BYTES = 32 << 20
"""Findings of one file that are held until somebody opens them; larger ones are opened as the file is dropped, or not at all."""


@dataclass(slots=True)
class DroppedFile:
    """One file that was judged: what its owner called it, how it came, and what became of it, a tenant."""

    name: str
    how: str
    giver: str
    judged: FileAssessment
    opened: dict[str, IncidentReference] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        return 3 * len(self.judged.customers) // 2 + sum(len(one["value"]) for one in self.judged.findings) + 65_536


class _CachedAssessment(NamedTuple):
    since: float
    owner: str
    whose: str
    dropped: DroppedFile


@dataclass(slots=True)
class AssessmentCache:
    """Results by a name that nobody can guess; `tenants` share the memory. Threads share it."""

    clock: Clock
    tenants: int = 1
    _kept: OrderedDict[str, _CachedAssessment] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, dropped: DroppedFile, principal: Principal) -> str:
        """Hold it for `principal`; the name by which it is asked for."""
        name, whose, room = secrets.token_urlsafe(24), principal.whose, MOST_BYTES // max(1, self.tenants)
        with self._lock:
            self._kept[name] = _CachedAssessment(self.clock.monotonic(), _owner(principal), whose, dropped)
            ours = [(one, kept.dropped.size) for one, kept in self._kept.items() if kept.whose == whose]
            left = sum(size for _, size in ours)
            for one, size in ours[:-1]:  # the last is kept, however large
                if len(ours) <= MOST and left <= room:
                    break
                del self._kept[one]
                ours, left = ours[1:], left - size
        return name

    def get(self, name: str, principal: Principal) -> DroppedFile | None:
        """What is held under that name for `principal`; None where there is nothing (any more)."""
        now = self.clock.monotonic()
        with self._lock:
            for old in [one for one, kept in self._kept.items() if now - kept.since > SECONDS]:
                del self._kept[old]
            found = self._kept.get(name)
        return found.dropped if found and found.owner == _owner(principal) else None


def _owner(principal: Principal) -> str:
    return f"{principal.session}\n{principal.name}\n{principal.whose}"
