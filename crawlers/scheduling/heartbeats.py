"""Sends heartbeats down the pipe, with what is known of the sites, and shows the same in this process's own metrics."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from prometheus_client import Counter

from crawlers.bus.bus_thread import OnBus
from crawlers.metrics import CrawlMetrics
from crawlers.scheduling.hours import HoursSeen, Told
from crawlers.scheduling.site_state import SiteStates
from crawlers.sites.site import Site
from ullage import log
from ullage.bus import CAPTURES, Outgoing, Publisher
from ullage.errors import UnavailableError
from ullage.monitoring.canary import SITE as CANARY
from ullage.records.heartbeat import HEARTBEAT_SCHEMA, PURPOSE, Heartbeat, SiteCounter
from ullage.records.hours import MOST_TOLD, SiteHour
from ullage.security.sealing import Sealer
from ullage.security.signing import Signer
from ullage.settings import CrawlSettings

KEEP_BEATS_SECONDS = 7 * 86400.0
"""How long it is known when one was sent: longer than captures lie on the bus."""
LATE = 2.0
"""So many intervals after the last heartbeat one still speaks for the time between them."""
LIVES_SECONDS = 6 * 3600.0
"""How often it is worked out how long posts of a site can be found."""
MANY_SITES, MANY_SECONDS = 1000, 1.0


@dataclass(slots=True)
class Heartbeats:
    """A heartbeat every `crawl.heartbeat_seconds` while `turn` is called."""

    crawl: CrawlSettings
    site_states: SiteStates
    publisher: Publisher
    metrics: CrawlMetrics
    sealer: Callable[[], Sealer]
    """Asked each time, since keys turn over."""
    signer: Signer
    on_bus: OnBus
    hours: HoursSeen = field(default_factory=HoursSeen)
    unwatched: Callable[[], Mapping[str, str]] = dict
    """Sites that are known and not crawled, and why."""
    _due: float = float("-inf")
    _lives: dict[str, tuple[float, float]] = field(default_factory=dict)
    _shown_at: float = float("-inf")
    _stale: bool = False

    def wait(self) -> float:
        """Seconds until the next is due; for ever when none is sent."""
        if not self.crawl.heartbeat_seconds:
            return float("inf")
        return max(0.0, self._due - self.site_states.clock.monotonic())

    def show(self, sites: Collection[Site]) -> None:
        """Set this process's metrics of its sites; of very many once a second."""
        now = self.site_states.clock.monotonic()
        self._stale = len(sites) > MANY_SITES and now < self._shown_at + MANY_SECONDS
        if self._stale:
            return
        self._shown_at = now
        self.metrics.coverage.show(self.crawl.origin, self.site_states.coverage(sites))

    async def turn(self, sites: Collection[Site]) -> None:
        """Send one if it is due; while the bus is down it is left out, since late is what it must not seem to be."""
        if self._stale:
            self.show(sites)
        if self.wait() > 0:
            return
        self._due = self.site_states.clock.monotonic() + self.crawl.heartbeat_seconds
        try:
            await self.send(sites)
        except UnavailableError as error:
            log.get("crawl").warning("heartbeat_skipped", error=str(error))

    async def send(self, sites: Collection[Site]) -> None:
        """Append one to every partition; durable on return."""
        clock, sealer = self.site_states.clock, self.sealer()
        letters = {site.name: self.site_states.letter(site) for site in sites} | dict(self.unwatched())
        self.hours.note(clock.wall(), clock.monotonic(), letters, LATE * self.crawl.heartbeat_seconds)
        told, gone = self.hours.told(MOST_TOLD)
        beat = Heartbeat(
            id=secrets.token_hex(16),
            origin=self.crawl.origin,
            inserted_at=clock.now(),
            coverage=self.site_states.coverage(sites),
            counts=tuple(self._counts()),
            hours=tuple(self._told_of(told, {site.name: int(site.revisit_seconds) for site in sites})),
            gone=gone,
        )
        sealed = sealer.seal(
            self.signer.enclose(beat.encode(), PURPOSE), purpose=PURPOSE, topic=CAPTURES, schema=HEARTBEAT_SCHEMA
        )
        record = Outgoing(beat.id, sealed, {**beat.headers(), "key_id": sealer.key_id})
        try:
            await self.on_bus(partial(self.publisher.spread, record))
        except UnavailableError:
            self.hours.forget()
            raise
        self.hours.sent(told, gone)
        self.site_states.frontier.history.note_beat(clock.wall(), KEEP_BEATS_SECONDS)

    def _told_of(self, told: Iterable[Told], revisits: Mapping[str, int]) -> Iterator[SiteHour]:
        """Hours with what else is known of them."""
        history, now = self.site_states.frontier.history, self.site_states.clock.monotonic()
        for site, hour, slots in told:
            worked_out, lives = self._lives.get(site, (float("-inf"), 0.0))
            if now - worked_out > LIVES_SECONDS:
                lives = history.lives(site)
                self._lives[site] = now, lives
            posts, revisit = history.arrived(site, hour), revisits.get(site, 0)
            yield SiteHour(site=site, hour=hour, slots=slots, posts=posts, revisit=revisit, lives=int(lives))

    def _counts(self) -> Iterator[SiteCounter]:
        """Crawl's counters as they stand, summed over sites."""
        m = self.metrics
        for counter in (m.pages, m.captures, m.seen, m.truncated, m.bytes, m.visits, m.expired):
            yield from totals(counter)


def totals(counter: Counter) -> Iterator[SiteCounter]:
    """A counter's samples without the label `site`, summed; canary posts are left out."""
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    (family,) = counter.collect()
    for sample in family.samples:
        if sample.name.endswith("_total") and sample.labels.get("site") != CANARY:
            key = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "site"))
            sums[key] = sums.get(key, 0.0) + sample.value
    for labels, value in sums.items():
        yield SiteCounter(name=f"{family.name}_total", labels=dict(labels), value=value)
