"""Makes what many requests bring durable together: one append for all that wait while the one before it is under way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial

from prometheus_client import Counter

from crawlers.bus.backlog import LOOK_SECONDS, READER
from crawlers.bus.bus_thread import BusThread
from crawlers.bus.outbox import Outbox
from crawlers.intake.feed import Feed
from ullage import log
from ullage.bus import CAPTURES, Bus, lag_of
from ullage.clock import Backoff
from ullage.errors import UnavailableError
from ullage.monitoring.metrics import BUS, LoopMetrics
from ullage.records import Capture
from ullage.security import keys

Waiting = tuple[list[Capture], "asyncio.Future[None]"]


@dataclass(slots=True)
class Appender:
    """See the module. `pause_seconds` is the lag of match beyond which nothing more is taken: it would expire unread."""

    bus: Bus
    feed: Feed
    loop: LoopMetrics
    captured: Counter
    pause_seconds: float
    on_bus: BusThread = field(default_factory=BusThread)
    behind: bool = False
    """Whether match is too far behind."""
    _waiting: list[Waiting] = field(default_factory=list)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def append(self, captures: list[Capture]) -> None:
        """Durable on return."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((captures, done))
        self._wake.set()
        await asyncio.shield(done)

    async def run(self) -> None:
        """Append for ever what comes, and look now and then how far match is behind."""
        clock, look_at = self.feed.clock, float("-inf")
        while True:
            self.loop.turned()
            if clock.monotonic() >= look_at:
                await self._look()
                look_at = clock.monotonic() + LOOK_SECONDS
            try:
                async with asyncio.timeout(1.0):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()
            taken, self._waiting = self._waiting, []
            await self._durable([capture for captures, _ in taken for capture in captures])
            for _, done in taken:
                if not done.done():
                    done.set_result(None)

    async def _durable(self, captures: list[Capture]) -> None:
        """Append, and try again for ever while the bus is down."""
        backoff = Backoff()
        while True:
            outbox = Outbox(self.feed.publisher, keys.sealer(self.feed.context.keys), self.feed.signer)
            try:
                await self.on_bus(partial(outbox.append, captures))
            except UnavailableError as error:
                self.loop.reached(BUS, False)
                wait = backoff.next(error.retry_after)
                log.get("intake").warning("waiting", error=str(error), wait=round(wait, 1))
                await asyncio.sleep(wait)
            else:
                self.loop.reached(BUS, True)
                self.captured.inc(len(captures))
                return

    async def _look(self) -> None:
        try:
            places = await self.on_bus(partial(self.bus.places, CAPTURES, READER))
        except UnavailableError:
            return  # an append will find out, and wait
        self.behind = lag_of(places.values(), self.feed.clock.wall()).seconds > self.pause_seconds
