"""What was judged and is looked at: in memory alone, for whoever dropped the file, for half an hour."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from alerts.accounts.roles import Principal
from alerts.search.judge import Judged
from ullage.clock import Clock
from ullage.incidents import Opened

SECONDS = 1800.0
MOST = 16
MOST_BYTES = 256 << 20
"""Of all that is held; the oldest go first."""
FINDINGS_BYTES = 32 << 20
"""Findings of one file that are held until somebody opens them; larger ones are opened as the file is dropped, or not at all."""


@dataclass(slots=True)
class Dropped:
    """One file that was judged: what its owner called it, how it came, and what became of it, a tenant."""

    name: str
    how: str
    giver: str
    judged: Judged
    opened: dict[str, Opened] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        return 3 * len(self.judged.customers) // 2 + sum(len(one["value"]) for one in self.judged.findings) + 65_536


@dataclass(slots=True)
class Held:
    """Results by a name that nobody can guess. Threads share it."""

    clock: Clock
    _kept: OrderedDict[str, tuple[float, str, Dropped]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, dropped: Dropped, principal: Principal) -> str:
        """Hold it for `principal`; the name by which it is asked for."""
        name = secrets.token_urlsafe(24)
        with self._lock:
            self._kept[name] = (self.clock.monotonic(), _owner(principal), dropped)
            while len(self._kept) > MOST or (
                len(self._kept) > 1 and sum(one.size for *_, one in self._kept.values()) > MOST_BYTES
            ):
                self._kept.popitem(last=False)
        return name

    def get(self, name: str, principal: Principal) -> Dropped | None:
        """What is held under that name for `principal`; None where there is nothing (any more)."""
        now = self.clock.monotonic()
        with self._lock:
            for old in [one for one, (since, *_) in self._kept.items() if now - since > SECONDS]:
                del self._kept[old]
            found = self._kept.get(name)
        return found[2] if found and found[1] == _owner(principal) else None


def _owner(principal: Principal) -> str:
    return f"{principal.session}\n{principal.name}"
