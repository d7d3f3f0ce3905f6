"""How many requests are under way over all sites, so that those to sites that hang hold up no other.

A request has a permit from when its site's pause is over, and for `SLOW_SECONDS` at most: then it waits for a site and costs next
to nothing. Sites that were not quick when they were last asked, and those that are new, share half of the permits.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

SLOW_SECONDS = 0.5
"""What takes longer gives its permit back and goes on without."""


class Permits:
    """`count` requests at once, over all sites of a process."""

    def __init__(self, count: int) -> None:
        self._all, self._doubtful = asyncio.Semaphore(count), asyncio.Semaphore(max(1, count // 2))
        self._quick = set[str]()

    @contextlib.asynccontextmanager
    async def hold(self, site: str) -> AsyncIterator[None]:
        """Wait for a permit for a request to `site`, and hold it while the site answers."""
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as held:
            for one in (self._all,) if site in self._quick else (self._doubtful, self._all):
                await one.acquire()
                held.callback(one.release)
            began, late = loop.time(), loop.call_later(SLOW_SECONDS, held.close)
            held.callback(late.cancel)
            try:
                yield
            finally:
                note = self._quick.add if loop.time() - began < SLOW_SECONDS else self._quick.discard
                note(site)
