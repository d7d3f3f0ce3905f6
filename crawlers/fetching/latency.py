"""How long a site takes to answer, without what our own loop adds to it.

Scrapy takes the time until its callback for an answer's headers runs. A loop that reads a large page or begins visits looks at
its sockets late, and every site that answered meanwhile would pass for a slow one, which AutoThrottle then reads more slowly. So
here the time runs from the turn of the loop in which a request goes out to the last look at the sockets that did not show its
answer, or to the moment at which a look that waited for it was woken. It is at most one turn too short, and never longer for what
we do. What it takes to connect counts, as it does in Scrapy.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable
from typing import Any

from scrapy import Request

SENT = "ullage_sent"
LATENCY = "download_latency"
"""Scrapy's name in a request's meta, which AutoThrottle reads."""


class Looks(selectors.DefaultSelector):
    """Waits for sockets on behalf of a loop, and remembers when; `monotonic` is in seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self.returned = self.since = monotonic()
        """When the last look ended, and the earliest moment at which what it found can have come."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As of any selector."""
        found = super().select(0)
        self.since = self.returned
        if not found and timeout != 0:
            found = super().select(timeout)
            self.since = self._monotonic()
        self.returned = self._monotonic()
        return found


class TimedLoop(asyncio.SelectorEventLoop):
    """A loop that can say when what it now deals with came."""

    def __init__(self, looks: Looks | None = None) -> None:
        self.looks = looks or Looks()
        super().__init__(self.looks)


def asked(request: Request) -> None:
    """`request` is handed to its connection now, and goes out in the next turn of the loop."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, TimedLoop):
        request.meta.pop(SENT, None)
        loop.call_soon(_sent, loop, request.meta)


def _sent(loop: TimedLoop, meta: dict[str, Any]) -> None:
    meta[SENT] = loop.looks.returned


def answered(request: Request) -> None:
    """The headers of the answer to `request` are here: put its latency right."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, TimedLoop) and (sent := request.meta.get(SENT)) is not None:
        request.meta[LATENCY] = min(request.meta.get(LATENCY, 0.0), max(0.0, loop.looks.since - sent))
