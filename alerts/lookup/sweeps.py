"""Whether somebody goes through numbers: many neighbours are asked for within an hour, whoever asks, and none is stored.

Neighbours share all but the last digits. A range is told by a tag of how it begins, a value by a tag of its own, both under a key
that is made when search starts and never leaves its memory; so what is kept says nothing, and ends with the process.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from ullage.clock import Clock
from ullage.lookup.free_text_check import readings
from ullage.security.cmac import Cmac
from ullage.security.masking import Secret

RANGES: Mapping[str, int] = {"phone": 3, "resident_id": 4, "card": 4, "qq": 3}
"""Of a kind, the last digits in which neighbours differ: a thousand phones, the people of one place and birthday."""
MANY = 5
"""Different values of one range within an hour: callers come from everywhere, five of one thousand numbers do not by chance."""
SECONDS = 3600.0
MOST_RANGES = 20_000


@dataclass(slots=True)
class _Range:
    values: dict[bytes, float] = field(default_factory=dict)
    told: float | None = None


@dataclass(slots=True)
class Sweeps:
    """What was asked for within the hour, as tags. Threads share it."""

    clock: Clock
    _tagger: Cmac = field(default_factory=lambda: Cmac(secrets.token_bytes(32)))
    _ranges: OrderedDict[bytes, _Range] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, value: Secret) -> str:
        """Note that a value was asked for: the kind of a range that somebody goes through, "" for none; told once an hour."""
        with self._lock:
            found = [kind for kind, normal in readings(value) if kind in RANGES and self._is_sweep(kind, normal.reveal())]
        return found[0] if found else ""

    def _is_sweep(self, kind: str, normal: str) -> bool:
        now, begins = self.clock.monotonic(), normal[: -RANGES[kind]]
        name = self._tagger.one(f"range {kind} {begins}".encode())
        one = self._ranges.pop(name, None) or _Range()
        one.values = {tag: at for tag, at in one.values.items() if now - at <= SECONDS}
        one.values[self._tagger.one(f"value {kind} {normal}".encode())] = now
        self._ranges[name] = one
        while len(self._ranges) > MOST_RANGES:
            self._ranges.popitem(last=False)
        is_news = one.told is None or now - one.told > SECONDS
        if len(one.values) < MANY or not is_news:
            return False
        one.told = now
        return True
