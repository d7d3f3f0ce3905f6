"""How often somebody may look a customer up."""

from __future__ import annotations

from ullage.clock import Clock
from ullage.runtime.allowance import Allowance


class Lookups:
    """Look-ups: few for each caller in a minute, and not many for all together in a day, so that no list of numbers is tried."""

    def __init__(self, per_minute: int, per_day: int, clock: Clock) -> None:
        self._each = Allowance(per_minute, 60.0, clock, "too many look-ups in a short time")
        self._all = Allowance(per_day, 86_400.0, clock, "too many look-ups today")

    def take(self, caller: str) -> None:
        """Count one of `caller`; LimitedError when none is left, to this caller or to all."""
        self._all.check()
        self._each.take(caller)
        self._all.take()
