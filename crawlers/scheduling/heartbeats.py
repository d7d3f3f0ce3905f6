"""Sends heartbeats down the pipe, with what is known of the sites, and shows the same in this process's own metrics."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial

from prometheus_client import Counter

from crawlers.bus.bus_thread import OnBus
from crawlers.metrics import CrawlMetrics
from crawlers.scheduling.site_state import SiteStates
from crawlers.sites.site import Site
from ullage import log
from ullage.bus import CAPTURES, Outgoing, Publisher
from ullage.errors import UnavailableError
from ullage.monitoring.canary import SITE as CANARY
from ullage.records.heartbeat import HEARTBEAT_SCHEMA, PURPOSE, Count, Heartbeat
from ullage.security.sealing import Sealer
from ullage.security.signing import Signer
from ullage.settings import CrawlSettings

KEEP_BEATS_SECONDS = 7 * 86400.0
"""How long it is known when one was sent: longer than captures lie on the bus."""


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
    _due: float = float("-inf")

    def wait(self) -> float:
        """Seconds until the next is due; for ever when none is sent."""
        if not self.crawl.heartbeat_seconds:
            return float("inf")
        return max(0.0, self._due - self.site_states.clock.monotonic())

    def show(self, sites: Collection[Site]) -> None:
        """Set this process's metrics of its sites."""
        self.metrics.coverage.show(self.crawl.origin, self.site_states.coverage(sites))

    async def turn(self, sites: Collection[Site]) -> None:
        """Send one if it is due; while the bus is down it is left out, since late is what it must not seem to be."""
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
        beat = Heartbeat(
            id=secrets.token_hex(16),
            origin=self.crawl.origin,
            inserted_at=clock.now(),
            coverage=self.site_states.coverage(sites),
            counts=tuple(self._counts()),
        )
        sealed = sealer.seal(
            self.signer.enclose(beat.encode(), PURPOSE), purpose=PURPOSE, topic=CAPTURES, schema=HEARTBEAT_SCHEMA
        )
        record = Outgoing(beat.id, sealed, {**beat.headers(), "key_id": sealer.key_id})
        await self.on_bus(partial(self.publisher.spread, record))
        self.site_states.frontier.history.note_beat(clock.wall(), KEEP_BEATS_SECONDS)

    def _counts(self) -> Iterator[Count]:
        """Crawl's counters as they stand, summed over sites."""
        m = self.metrics
        for counter in (m.pages, m.captures, m.seen, m.truncated, m.bytes, m.visits, m.expired):
            yield from totals(counter)


def totals(counter: Counter) -> Iterator[Count]:
    """A counter's samples without the label `site`, summed; canary posts are left out."""
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    (family,) = counter.collect()
    for sample in family.samples:
        if sample.name.endswith("_total") and sample.labels.get("site") != CANARY:
            key = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "site"))
            sums[key] = sums.get(key, 0.0) + sample.value
    for labels, value in sums.items():
        yield Count(name=f"{family.name}_total", labels=dict(labels), value=value)
