"""How often somebody may look a customer up, and for what: a purpose and a case number, said once and kept with their session."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

from alerts.accounts.roles import Principal
from ullage.clock import Clock
from ullage.runtime.allowance import Allowance

MOST = 1_000
"""Sessions whose occasion is kept, in memory."""


class Occasion(NamedTuple):
    """A purpose of the closed list, and a case number that was checked; both "" where nothing was said yet."""

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
    """Look-ups: few for each caller in a minute, and not many for all together in a day, so that no list of numbers is tried.

    All together are those who see the same tenants: others neither use up what is theirs nor learn how much that is.
    """

    def __init__(self, per_minute: int, per_day: int, clock: Clock) -> None:
        self._each = Allowance(per_minute, 60.0, clock, "too many look-ups in a short time")
        self._all = Allowance(per_day, 86_400.0, clock, "too many look-ups today")

    def take(self, caller: Principal) -> None:
        """Count one of `caller`; LimitedError when none is left, to this caller or to all."""
        self._all.check(caller.whose)
        self._each.take(f"{caller.is_program} {caller.name}\n{caller.whose}")
        self._all.take(caller.whose)
