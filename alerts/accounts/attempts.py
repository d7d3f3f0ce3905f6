"""How often one may try a password: a few times, then after waits that double.

Nobody locks anybody else out. What is counted is an account as tried from one source, each source over all names, and, slowly,
an account as tried from everywhere. A device on which the person has logged in before (`alerts.accounts.devices`) is counted by
itself and waits for none of these; nor does a password that an operator has made wait for what is tried from everywhere.

A name that there is not is treated as one that there is, so that what is locked says nothing of who is known. An attempt counts
before it is judged: many at once are no way around. What is in memory is bounded, and forgotten after an hour without attempts.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from ullage.clock import Clock
from ullage.runtime.allowance import LimitedError

OF_ACCOUNT, OF_SOURCE, OF_ALL = 5, 20, 100
"""Wrong ones in a row before the first wait: of an account from a source or device, of a source, of an account from anywhere."""
FIRST_WAIT, LONGEST_WAIT = 15.0, 900.0
FORGOTTEN_AFTER = 3600.0
MOST = 10_000
"""Of each of these."""
MESSAGE = "too many attempts to log in"


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody tries a password of `account` from `source`; on a `device` that the account's person was on before, "" for none.

    `is_made` says that the password is one that an operator has made, which nobody guesses.
    """

    account: str
    source: str
    device: str = ""
    is_made: bool = False

    def counted(self) -> Iterator[tuple[str, str, int]]:
        """By what it is counted: what that is, its name, and how many are free."""
        if self.device:
            yield "device", f"{self.account}\n{self.device}", OF_ACCOUNT
            return
        yield "source", self.source, OF_SOURCE
        yield "account from a source", f"{self.account}\n{self.source}", OF_ACCOUNT
        if not self.is_made:
            yield "account", self.account, OF_ALL


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
        self._tries: dict[str, dict[str, _Tries]] = {}

    def begin(self, attempt: Attempt) -> None:
        """Count an attempt; LimitedError, `is_first` once, while it has to wait: what waits makes nothing else be counted."""
        now = self._clock.monotonic()
        with self._lock:
            counted = [*attempt.counted()]
            waits = [tries for kind, name, _ in counted if (tries := self._tries.get(kind, {}).get(name)) and tries.until > now]
            if waits:
                is_first = not all(tries.was_told for tries in waits)
                for tries in waits:
                    tries.was_told = True
                raise LimitedError(MESSAGE, max(tries.until for tries in waits) - now, is_first=is_first)
            for kind, name, free in counted:
                tries = self._of(kind, name, now)
                tries.count, tries.last = tries.count + 1, now
                if tries.count >= free:
                    tries.until = now + min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(tries.count - free, 16))
                    tries.was_told = False

    def right(self, attempt: Attempt) -> None:
        """Take an attempt back that was right: the account begins anew there, and the source has one fewer."""
        with self._lock:
            for kind, name, free in attempt.counted():
                known = self._tries.get(kind, {})
                if kind != "source":
                    known.pop(name, None)
                elif tries := known.get(name):
                    tries.count = max(0, tries.count - 1)
                    tries.until = tries.until if tries.count >= free else 0.0

    def _of(self, kind: str, name: str, now: float) -> _Tries:
        """The tries of something; those heard of longest ago are forgotten where there are too many of its kind."""
        known = self._tries.setdefault(kind, {})
        tries = known.pop(name, None)
        if tries is None or now - tries.last > FORGOTTEN_AFTER:
            tries = _Tries(last=now)
        known[name] = tries
        if len(known) > MOST:
            del known[next(iter(known))]
        return tries
