"""Keeps the bus within its retention even while nobody reads it."""

from __future__ import annotations

from dataclasses import dataclass

from crawlers.bus.bus_thread import OnBus
from ullage import log
from ullage.bus import Bus
from ullage.clock import Clock
from ullage.errors import UnavailableError

EXPIRE_SECONDS, AGAIN_SECONDS = 3600.0, 60.0


@dataclass(slots=True)
class Expiry:
    """Removes what has expired once an hour while `turn` is called; sooner where that failed."""

    bus: Bus
    clock: Clock
    on_bus: OnBus
    _due: float = float("-inf")

    async def turn(self) -> None:
        """Remove what has expired if it is time to; while the bus is down it is tried again."""
        if (now := self.clock.monotonic()) < self._due:
            return
        self._due = now + EXPIRE_SECONDS
        try:
            await self.on_bus(self.bus.expire)
        except UnavailableError as error:
            self._due = now + AGAIN_SECONDS
            log.get("crawl").warning("waiting", error=str(error), wait=AGAIN_SECONDS)
