"""Limit look-ups of people, notice who goes through a range of numbers, and keep for what a session
asks.

Neighbours share all but the last digits. A range is told by a tag of how it begins, a value by a
tag of its own, both under a key that is made when search starts and never leaves its memory; so
what is kept says nothing, and ends with the process.
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
"""Of a kind, the last digits in which neighbours differ: a thousand phones, the people of one
place and birthday.
"""
MANY = 5
"""Different values of one range within an hour: callers come from everywhere, five of one
thousand numbers do not by chance.
"""
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

    def note(self, readings: Iterable[tuple[str, Secret]]) -> str:
        """Note a look-up; return the kind whose range somebody goes through, at most once an
        hour, "" for none.
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
        one = self._ranges.pop(name, None) or _Range()
        one.values = {tag: at for tag, at in one.values.items() if now - at <= SECONDS}
        one.values[self._tagger.tag_one(f"value {kind} {normal}".encode())] = now
        self._ranges[name] = one
        while len(self._ranges) > MOST_RANGES:
            self._ranges.popitem(last=False)
        is_news = one.told is None or now - one.told > SECONDS
        if len(one.values) < MANY or not is_news:
            return False
        one.told = now
        return True


MOST = 1_000
"""Sessions whose occasion is kept, in memory."""


class Occasion(NamedTuple):
    """A purpose of the closed list, and a case number that was checked; both "" where nothing
    was said yet.
    """

    purpose: str = ""
    case: str = ""


class Occasions:
    """By session. Threads share it."""

    def __init__(self) -> None:
        self._said: OrderedDict[str, Occasion] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, session: str) -> Occasion:
        """What was said last."""
        with self._lock:
            return self._said.get(session, Occasion())

    def keep(self, session: str, occasion: Occasion) -> None:
        """Keep it for this session; a program, which has none, says it each time."""
        if not session:
            return
        with self._lock:
            self._said.pop(session, None)
            self._said[session] = occasion
            if len(self._said) > MOST:
                self._said.popitem(last=False)


class Lookups:
    """Look-ups: few for each caller in a minute, and not many for all together in a day, so that no
    list of numbers is tried.

    All together are those who see the same tenants: others neither use up what is theirs nor learn
    how much that is.
    """

    def __init__(self, per_minute: int, per_day: int, clock: Clock) -> None:
        self._each = Allowance(per_minute, 60.0, clock, "too many look-ups in a short time")
        self._all = Allowance(per_day, 86_400.0, clock, "too many look-ups today")

    def take(self, caller: Principal) -> None:
        """Count one of `caller`; LimitedError when none is left, to this caller or to all."""
        self._all.check(caller.whose)
        self._each.take(f"{caller.is_program} {caller.name}\n{caller.whose}")
        self._all.take(caller.whose)
