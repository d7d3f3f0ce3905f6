"""Hold the crawl back while match lags, and fetch again what expired unread.

Retention on the bus is short, because the law asks for the least. So while match is too far behind
nothing more is fetched, and what has expired unread is fetched again: the frontier knows which page
each post stood on and when it was captured.

A look is compared with the one before it, which the frontier keeps. What the group had not dealt
with then and the bus no longer has now is taken to be lost, even if the group has passed it since:
match may have been started again, and gone on behind the gap, before this process looked. A post
that was read after all is only read twice, and folds into what it made the first time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crawlers.frontier.database import Frontier
from crawlers.frontier.progress import PartitionProgress
from crawlers.metrics import CrawlMetrics
from crawlers.publishing.outbox import OnBus
from ullage import log
from ullage.bus import CAPTURES, Bus, PartitionPosition, lag_of
from ullage.clock import Clock
from ullage.errors import UnavailableError
from ullage.monitoring.metrics import BUS

EXPIRE_SECONDS, EXPIRE_AGAIN_SECONDS = 3600.0, 60.0


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
            self._due = now + EXPIRE_AGAIN_SECONDS
            log.get("crawl").warning("waiting", error=str(error), wait=EXPIRE_AGAIN_SECONDS)


READER = "match"
LOOK_SECONDS, AGAIN_SECONDS = 15.0, 2.0
"""How often the bus is looked at, and how often while it is down: a look may take as long as a
broker is waited for.
"""
MARGIN_SECONDS = 300.0
"""The bus may stamp records with another machine's clock, and a page is done a moment after its
captures are on the bus.
"""


@dataclass(slots=True)
class Backlog:
    """See the module.

    `pause_seconds` is the age of the oldest unread capture beyond which nothing is fetched.
    """

    bus: Bus
    frontier: Frontier
    clock: Clock
    pause_seconds: float
    metrics: CrawlMetrics
    on_bus: OnBus
    _look_at: float = field(default=float("-inf"))
    _behind: bool = False
    _down: str = ""

    def too_long(self) -> bool:
        """Whether match is too far behind, as it was at the last look; UnavailableError when the
        bus was down then.
        """
        if self._down:
            raise UnavailableError(self._down)
        return self._behind

    async def turn(self) -> None:
        """Look at the bus if it is time to."""
        if self.clock.monotonic() < self._look_at:
            return
        try:
            await self.look()
        except UnavailableError as error:
            self._down = str(error)
        else:
            self._down = ""
        self._look_at = self.clock.monotonic() + (AGAIN_SECONDS if self._down else LOOK_SECONDS)

    async def look(self) -> None:
        """Look at the bus, and make the pages due again whose captures expired unread."""
        places, now = await self.on_bus(self._places), self.clock.wall()
        reading = {
            partition: PartitionProgress(
                max(place.first, place.position), now if place.oldest is None else place.oldest
            )
            for partition, place in places.items()
        }
        for partition, before in self.frontier.progress.load().items():
            place = places.get(partition)
            if place and place.first > before.position:
                # a clock may have been set back between
                since, until = sorted((before.until, reading[partition].until))
                self._read_again(since, until)
                beats = self.frontier.history.count_heartbeats(since, until)
                self.metrics.expired.inc(max(0, place.first - before.position - beats))
        self.frontier.progress.save(reading)
        self._tell(lag_of(places.values(), now).seconds)

    def _places(self) -> Mapping[int, PartitionPosition]:
        """Where match stands; whether the bus answers is a metric."""
        try:
            places = self.bus.places(CAPTURES, READER)
        except UnavailableError:
            self.metrics.loop.record_reachability(BUS, False)
            raise
        self.metrics.loop.record_reachability(BUS, True)
        return places

    def _read_again(self, since: float, until: float) -> None:
        pages = self.frontier.progress.read_again(since - MARGIN_SECONDS, until + MARGIN_SECONDS)
        log.get("crawl").warning("expired_unread", pages=pages, seconds=round(until - since))

    def _tell(self, lag: float) -> None:
        self._behind = lag > self.pause_seconds
        self.metrics.paused.set(self._behind)
        if self._behind:
            log.get("crawl").warning("paused", reason="match is behind", lag=round(lag))
