"""Send heartbeats with the states of sites and monitored hours.

Heartbeats never claim coverage afterwards: a slot gets its letter while the process runs and the
bus accepts heartbeats, and when the clock jumps, unsent slots are discarded. If there are more
sites than one heartbeat can report, those that wait longest go first.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from prometheus_client import Counter

from crawlers.metrics import CrawlMetrics
from crawlers.publishing.outbox import OnBus
from crawlers.scheduling.site_status import SiteStates
from crawlers.sites.site import Site
from ullage import log
from ullage.bus import CAPTURES, Outgoing, Publisher
from ullage.errors import UnavailableError
from ullage.monitoring.canary import SITE as CANARY
from ullage.records.heartbeat import (
    HEARTBEAT_SCHEMA,
    MOST_TOLD,
    PURPOSE,
    SLOTS,
    UNHEARD,
    Heartbeat,
    SiteCounter,
    SiteHour,
    merge_slots,
    to_slot,
)
from ullage.security.sealing import Sealer
from ullage.security.signing import Signer
from ullage.settings import CrawlSettings

JUMP_SECONDS = 60.0
"""Largest difference of wall and monotonic time between two heartbeats."""
NOTHING = UNHEARD * SLOTS
Told = tuple[str, int, str]
"""A site, an hour since 1970, and its slots."""


@dataclass(slots=True)
class HoursSeen:
    """Collects the slots of sites until they are sent.

    `known` are sites that existed before this process; those without a file are reported as gone.
    """

    known: set[str] = field(default_factory=set)
    _waiting: dict[str, dict[int, str]] = field(default_factory=dict)
    _gone: dict[str, None] = field(default_factory=dict)
    _last: tuple[float, float] | None = None

    def note(self, wall: float, monotonic: float, letters: Mapping[str, str], reach: float) -> None:
        """Record the present status letter of each site, by name, for the current slot.

        The letters also apply to the slots since the previous call, if that was at most `reach`
        seconds ago. `wall` and `monotonic` are the two clocks in seconds; if their difference has
        changed by over `JUMP_SECONDS`, all unsent slots are discarded.
        """
        first = now = to_slot(wall)
        if self._last is not None:
            before, passed = self._last[0], monotonic - self._last[1]
            if abs(wall - before - passed) > JUMP_SECONDS:
                log.get("crawl").warning("clock_jumped", seconds=round(wall - before - passed))
                self._waiting.clear()  # at hours that may not have been
            elif passed <= reach:
                first = min(now, to_slot(before) + 1)
        self._last = wall, monotonic
        for hour, slots in _group_by_hour(range(first, now + 1)):
            masks = {
                letter: "".join(letter if n in slots else UNHEARD for n in range(SLOTS))
                for letter in set(letters.values())
            }
            for site, letter in letters.items():
                hours = self._waiting.setdefault(site, {})
                if 0 in slots:
                    hours.setdefault(hour - 1, NOTHING)  # its last posts came after it was told of
                hours[hour] = merge_slots(hours.get(hour, NOTHING), masks[letter])

    def forget(self) -> None:
        """Discard all unsent slots, and do not fill the time before the next `note`.

        Called when the bus took no heartbeat, because coverage is never claimed later.
        """
        self._waiting.clear()
        self._last = None

    def files(self, names: Collection[str]) -> None:
        """Set the names of the sites that have a file now.

        Sites that were known and have none are reported as gone, unless their file returns before.
        """
        self._gone.update(dict.fromkeys(sorted(self.known - {*names})))
        for name in names:
            self._gone.pop(name, None)
        self.known = {*names}

    def told(self, most: int) -> tuple[list[Told], tuple[str, ...]]:
        """Return at most `most` unsent (site, hour, slots), and at most `most` gone sites.

        Sites whose slots wait the longest go first, hours ascending. Nothing is removed: see
        `sent`.
        """
        hours = (
            (site, hour, slots)
            for site, waits in self._waiting.items()
            for hour, slots in sorted(waits.items())
        )
        return [hour_slots for hour_slots, _ in zip(hours, range(most), strict=False)], tuple(
            self._gone
        )[:most]

    def sent(self, hours: Iterable[Told], gone: Iterable[str]) -> None:
        """Remove hours and gone sites that `told` returned; the bus now holds them durably.

        Raises KeyError for others.
        """
        for site, hour, _ in hours:
            self._waiting[site].pop(hour)
            if not self._waiting[site]:
                del self._waiting[site]
        for site in gone:
            self._gone.pop(site)


def _group_by_hour(slots: Iterable[int]) -> Iterator[tuple[int, set[int]]]:
    """Yield slots since 1970 as an hour and the slots in it."""
    hours: dict[int, set[int]] = {}
    for slot in slots:
        hours.setdefault(slot // SLOTS, set()).add(slot % SLOTS)
    yield from hours.items()


KEEP_BEATS_SECONDS = 7 * 86400.0
"""Retention of sending times: longer than that of captures on the bus."""
LATE = 2.0
"""Intervals after the last heartbeat for which the next one may still report."""
LIVES_SECONDS = 6 * 3600.0
"""Interval of estimating the lifetime of a site's posts."""
MANY_SITES, MANY_SECONDS = 1000, 1.0


@dataclass(slots=True)
class Heartbeats:
    """Sends a heartbeat every `crawl.heartbeat_seconds` while `turn` is called."""

    crawl: CrawlSettings
    site_states: SiteStates
    publisher: Publisher
    metrics: CrawlMetrics
    sealer: Callable[[], Sealer]
    """Called each time, because keys rotate."""
    signer: Signer
    on_bus: OnBus
    hours: HoursSeen = field(default_factory=HoursSeen)
    unwatched: Callable[[], Mapping[str, str]] = dict
    """Known sites that are not crawled, with the reason."""
    _due: float = float("-inf")
    _lives: dict[str, tuple[float, float]] = field(default_factory=dict)
    _shown_at: float = float("-inf")
    _stale: bool = False

    def wait(self) -> float:
        """Return the seconds until the next heartbeat is due; infinity when none is sent."""
        if not self.crawl.heartbeat_seconds:
            return float("inf")
        return max(0.0, self._due - self.site_states.clock.monotonic())

    def show(self, sites: Collection[Site]) -> None:
        """Set this process's metrics of its sites; for very many at most each second."""
        now = self.site_states.clock.monotonic()
        self._stale = len(sites) > MANY_SITES and now < self._shown_at + MANY_SECONDS
        if self._stale:
            return
        self._shown_at = now
        self.metrics.coverage.show(self.crawl.origin, self.site_states.coverage(sites))

    async def turn(self, sites: Collection[Site]) -> None:
        """Send a heartbeat if it is due.

        While the bus is down it is skipped, because a late heartbeat would be wrong.
        """
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
        """Record the present letters, and append one heartbeat durably to every partition.

        Raises UnavailableError if the bus is down; the unsent slots are then discarded.
        """
        clock, sealer = self.site_states.clock, self.sealer()
        letters = {site.name: self.site_states.letter(site) for site in sites} | dict(
            self.unwatched()
        )
        self.hours.note(
            clock.wall(), clock.monotonic(), letters, LATE * self.crawl.heartbeat_seconds
        )
        hours, gone = self.hours.told(MOST_TOLD)
        beat = Heartbeat(
            id=secrets.token_hex(16),
            origin=self.crawl.origin,
            inserted_at=clock.now(),
            coverage=self.site_states.coverage(sites),
            counts=tuple(self._iterate_counters()),
            hours=tuple(
                self._build_hours(hours, {site.name: int(site.revisit_seconds) for site in sites})
            ),
            gone=gone,
        )
        sealed = sealer.seal(
            self.signer.enclose(beat.encode(), PURPOSE),
            purpose=PURPOSE,
            topic=CAPTURES,
            schema=HEARTBEAT_SCHEMA,
        )
        record = Outgoing(beat.id, sealed, {**beat.headers(), "key_id": sealer.key_id})
        try:
            await self.on_bus(partial(self.publisher.spread, record))
        except UnavailableError:
            self.hours.forget()
            raise
        self.hours.sent(hours, gone)
        self.site_states.frontier.history.record_heartbeat(clock.wall(), KEEP_BEATS_SECONDS)

    def _build_hours(
        self, hours: Iterable[Told], revisits: Mapping[str, int]
    ) -> Iterator[SiteHour]:
        """Yield each hour of coverage with its posts, revisit time and lifetime of posts.

        The latter is how long posts stay visible; both are in seconds. A site that is not in
        `revisits` has revisit time 0. The estimate of the lifetime is cached for LIVES_SECONDS (6
        h).
        """
        history, now = self.site_states.frontier.history, self.site_states.clock.monotonic()
        for site, hour, slots in hours:
            worked_out, lives = self._lives.get(site, (float("-inf"), 0.0))
            if now - worked_out > LIVES_SECONDS:
                lives = history.estimate_lifetime(site)
                self._lives[site] = now, lives
            posts, revisit = history.count_arrivals(site, hour), revisits.get(site, 0)
            yield SiteHour(
                site=site, hour=hour, slots=slots, posts=posts, revisit=revisit, lives=int(lives)
            )

    def _iterate_counters(self) -> Iterator[SiteCounter]:
        """Yield crawl's current counters, summed over sites."""
        m = self.metrics
        for counter in (m.pages, m.captures, m.seen, m.truncated, m.bytes, m.visits, m.expired):
            yield from sum_samples(counter)


def sum_samples(counter: Counter) -> Iterator[SiteCounter]:
    """Yield the totals of a counter, summed over all sites except the canary site.

    There is one for each combination of the remaining labels.
    """
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    (family,) = counter.collect()
    for sample in family.samples:
        if sample.name.endswith("_total") and sample.labels.get("site") != CANARY:
            key = tuple(
                sorted((name, value) for name, value in sample.labels.items() if name != "site")
            )
            sums[key] = sums.get(key, 0.0) + sample.value
    for labels, value in sums.items():
        yield SiteCounter(name=f"{family.name}_total", labels=dict(labels), value=value)
