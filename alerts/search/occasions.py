"""For what somebody asks: a purpose and a case number, said once and kept with their session, in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

MOST = 1_000


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
