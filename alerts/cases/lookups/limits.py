"""Limit look-ups of people, detect scans of number ranges, and remember a session's purpose.

Numbers of one range differ only in their last digits. Ranges and values are stored as keyed hashes.
The key is made when the search service starts and never leaves its memory, so the stored hashes
reveal nothing and end with the process.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from alerts.accounts import Principal
from ullage.clock import Clock
from ullage.runtime.rate_limit import Allowance
from ullage.security.cmac import Cmac
from ullage.security.masking import Secret

RANGES: Mapping[str, int] = {"phone": 3, "resident_id": 4, "card": 4, "qq": 3}
"""Number of last digits, per kind, in which the numbers of one range differ.

A range is a thousand phone numbers, or the people with one birthplace and birthday.
"""
MANY = 5
"""Number of different values of one range within an hour that count as a scan.

Callers live everywhere, so five of one thousand numbers are no coincidence.
"""
SECONDS = 3600.0
MOST_RANGES = 20_000


@dataclass(slots=True)
class _Range:
    values: dict[bytes, float] = field(default_factory=dict)
    reported_at: float | None = None


@dataclass(slots=True)
class Sweeps:
    """The look-ups of the last hour, as keyed hashes. Threads share it."""

    clock: Clock
    _tagger: Cmac = field(default_factory=lambda: Cmac(secrets.token_bytes(32)))
    _ranges: OrderedDict[bytes, _Range] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, readings: Iterable[tuple[str, Secret]]) -> str:
        """Record a look-up, and return the kind whose numbers are being scanned, "" if none is.

        `readings` are the kinds and normal forms that the looked-up value may have. A scan is many
        neighbouring numbers within one hour; each range is returned at most once an hour.
        """
        with self._lock:
            swept = [
                kind
                for kind, normal in readings
                if kind in RANGES and self._is_sweep(kind, normal.reveal())
            ]
        return swept[0] if swept else ""

    def _is_sweep(self, kind: str, normal: str) -> bool:
        now, begins = self.clock.monotonic(), normal[: -RANGES[kind]]
        name = self._tagger.tag_one(f"range {kind} {begins}".encode())
        range_ = self._ranges.pop(name, None) or _Range()
        range_.values = {tag: at for tag, at in range_.values.items() if now - at <= SECONDS}
        range_.values[self._tagger.tag_one(f"value {kind} {normal}".encode())] = now
        self._ranges[name] = range_
        while len(self._ranges) > MOST_RANGES:
            self._ranges.popitem(last=False)
        is_news = range_.reported_at is None or now - range_.reported_at > SECONDS
        if len(range_.values) < MANY or not is_news:
            return False
        range_.reported_at = now
        return True


MOST = 1_000
"""Largest number of sessions that are remembered, in memory."""


class Occasion(NamedTuple):
    """The purpose and the checked case number of a session's look-ups.

    Both are "" before the first look-up.
    """

    purpose: str = ""
    case: str = ""


class Occasions:
    """The last occasion of each session. Threads share it."""

    def __init__(self) -> None:
        self._said: OrderedDict[str, Occasion] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, session: str) -> Occasion:
        """Return the last occasion of a session."""
        with self._lock:
            return self._said.get(session, Occasion())

    def keep(self, session: str, occasion: Occasion) -> None:
        """Store the occasion of a session, in place of an earlier one.

        Programs have no session ("") and state the occasion with each request, so nothing is
        stored. Beyond MOST (1,000) sessions, the one that was stored the longest ago is dropped.
        """
        if not session:
            return
        with self._lock:
            self._said.pop(session, None)
            self._said[session] = occasion
            if len(self._said) > MOST:
                self._said.popitem(last=False)


class Lookups:
    """Limits on the number of look-ups, so that nobody can try a whole list of numbers.

    There is a limit per caller and minute, and one per day for all callers that see the same
    tenants. Callers with other tenants neither use up this quota nor learn how much is left.
    """

    def __init__(self, per_minute: int, per_day: int, clock: Clock) -> None:
        self._each = Allowance(per_minute, 60.0, clock, "too many look-ups in a short time")
        self._all = Allowance(per_day, 86_400.0, clock, "too many look-ups today")

    def take(self, caller: Principal) -> None:
        """Count one look-up against the caller's own quota and the quota of all callers.

        Raises LimitedError if either quota is used up.
        """
        self._all.check(caller.whose)
        self._each.take(f"{caller.is_program} {caller.name}\n{caller.whose}")
        self._all.take(caller.whose)
