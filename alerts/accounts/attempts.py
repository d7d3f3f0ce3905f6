"""How often one may try a password: a few times, then after waits that double, for each account and for each source.

A name that there is not is treated as one that there is, so that what is locked says nothing of who is known. An attempt counts
before it is judged: many at once are no way around. What is in memory is bounded, and forgotten after an hour without attempts.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from ullage.clock import Clock
from ullage.runtime.allowance import LimitedError

OF_ACCOUNT, OF_SOURCE = 5, 20
"""Wrong ones in a row before the first wait."""
FIRST_WAIT, LONGEST_WAIT = 15.0, 900.0
FORGOTTEN_AFTER = 3600.0
MOST = 10_000
MESSAGE = "too many attempts to log in"


@dataclass(slots=True)
class _Tries:
    count: int = 0
    until: float = 0.0
    last: float = 0.0
    was_told: bool = False


class Attempts:
    """Counts them. Threads share it."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._tries: dict[tuple[str, str], _Tries] = {}

    def begin(self, account: str, source: str) -> None:
        """Count an attempt; LimitedError, `is_first` once, while account or source has to wait."""
        now = self._clock.monotonic()
        with self._lock:
            both = [(self._of(("account", account), now), OF_ACCOUNT), (self._of(("source", source), now), OF_SOURCE)]
            if waits := [tries for tries, _ in both if tries.until > now]:
                is_first = not all(tries.was_told for tries in waits)
                for tries in waits:
                    tries.was_told = True
                raise LimitedError(MESSAGE, max(tries.until for tries in waits) - now, is_first=is_first)
            for tries, free in both:
                tries.count, tries.last = tries.count + 1, now
                if tries.count >= free:
                    tries.until = now + min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(tries.count - free, 16))
                    tries.was_told = False

    def right(self, account: str, source: str) -> None:
        """Take an attempt back that was right: the account begins anew, and the source has one fewer."""
        with self._lock:
            self._tries.pop(("account", account), None)
            if tries := self._tries.get(("source", source)):
                tries.count = max(0, tries.count - 1)
                tries.until = tries.until if tries.count >= OF_SOURCE else 0.0

    def _of(self, key: tuple[str, str], now: float) -> _Tries:
        """The tries of an account or a source; those heard of longest ago are forgotten where there are too many."""
        tries = self._tries.pop(key, None)
        if tries is None or now - tries.last > FORGOTTEN_AFTER:
            tries = _Tries(last=now)
        self._tries[key] = tries
        if len(self._tries) > MOST:
            del self._tries[next(iter(self._tries))]
        return tries
