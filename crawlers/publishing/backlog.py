"""Hold the crawl back while match lags, and fetch again what expired unread.

Retention on the bus is short, because the law requires the minimum. So while match is too far
behind nothing more is fetched, and what has expired unread is fetched again: the frontier knows on
which page each post was and when it was captured.

Each check is compared with the previous one, which the frontier stores. Records that match had not
processed then, and that the bus no longer has, count as lost, even if match has passed them since:
it may have been restarted, and have continued after the gap, before this process checked. A post
that was read after all is only read twice, and merges with its first capture.
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
    """Removes expired records each hour while `turn` is called; sooner after a failure."""

    bus: Bus
    clock: Clock
    on_bus: OnBus
    _due: float = float("-inf")

    async def turn(self) -> None:
        """Remove expired records from the bus if due: EXPIRE_SECONDS (1 h) after the last time.

        While the bus is down, it is logged and tried again after EXPIRE_AGAIN_SECONDS (60 s).
        """
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
"""Interval of checking the bus, and while it is down; a check may take a broker's whole timeout."""
MARGIN_SECONDS = 300.0
"""The bus may stamp records with another machine's clock, and a page is done a moment after its
captures are on the bus.
"""


@dataclass(slots=True)
class Backlog:
    """Measures how far match is behind; see the module.

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

    def is_too_long(self) -> bool:
        """Return whether match was too far behind at the last check.

        Raises UnavailableError when the bus was down then.
        """
        if self._down:
            raise UnavailableError(self._down)
        return self._behind

    async def turn(self) -> None:
        """Check the bus (`look`) if it is due.

        That is every LOOK_SECONDS (15 s), or AGAIN_SECONDS (2 s) while it is down. An unreachable
        bus is noted, not raised.
        """
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
        """Store match's position, and make pages due again whose captures expired unread.

        Also updates the lag. The expired captures are counted, without heartbeats. Raises
        UnavailableError if the bus is down.
        """
        places, now = await self.on_bus(self._read_positions), self.clock.wall()
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
        self._set_lag(lag_of(places.values(), now).seconds)

    def _read_positions(self) -> Mapping[int, PartitionPosition]:
        """Return the positions of match; record in a metric whether the bus answers."""
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

    def _set_lag(self, lag: float) -> None:
        self._behind = lag > self.pause_seconds
        self.metrics.paused.set(self._behind)
        if self._behind:
            log.get("crawl").warning("paused", reason="match is behind", lag=round(lag))
