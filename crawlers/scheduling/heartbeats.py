"""Send heartbeats with the states of sites and monitored hours.

Nothing is told that was not so: a slot gets its letter while the process runs and the bus takes
heartbeats, never afterwards, and when the clock jumps, what was gathered by it and not told yet is
thrown away. Where there are more sites than one heartbeat tells of, those that wait longest go
first.
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
"""By so much wall time and the time that has passed may differ between two heartbeats."""
NOTHING = UNHEARD * SLOTS
Told = tuple[str, int, str]
"""A site, an hour since 1970, and its slots."""


@dataclass(slots=True)
class HoursSeen:
    """See the module.

    `known` are sites that were there before this process; what has no file any more is told as
    gone.
    """

    known: set[str] = field(default_factory=set)
    _waiting: dict[str, dict[int, str]] = field(default_factory=dict)
    _gone: dict[str, None] = field(default_factory=dict)
    _last: tuple[float, float] | None = None

    def note(self, wall: float, monotonic: float, letters: Mapping[str, str], reach: float) -> None:
        """This is how sites are seen now; it holds for the slots since the last note, if that is
        at most `reach` seconds ago.
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
        for hour, slots in _by_hour(range(first, now + 1)):
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
        """The bus took no heartbeat: nobody may say later that this time was seen."""
        self._waiting.clear()
        self._last = None

    def files(self, names: Collection[str]) -> None:
        """There are files of these sites now."""
        self._gone.update(dict.fromkeys(sorted(self.known - {*names})))
        for name in names:
            self._gone.pop(name, None)
        self.known = {*names}

    def told(self, most: int) -> tuple[list[Told], tuple[str, ...]]:
        """At most so many hours, and as many sites that are gone; they wait until they were
        `sent`.
        """
        hours = (
            (site, hour, slots)
            for site, waits in self._waiting.items()
            for hour, slots in sorted(waits.items())
        )
        return [told for told, _ in zip(hours, range(most), strict=False)], tuple(self._gone)[:most]

    def sent(self, told: Iterable[Told], gone: Iterable[str]) -> None:
        """These are on the bus."""
        for site, hour, _ in told:
            self._waiting[site].pop(hour)
            if not self._waiting[site]:
                del self._waiting[site]
        for site in gone:
            self._gone.pop(site)


def _by_hour(slots: Iterable[int]) -> Iterator[tuple[int, set[int]]]:
    """Slots since 1970 as hours and slots in them."""
    hours: dict[int, set[int]] = {}
    for slot in slots:
        hours.setdefault(slot // SLOTS, set()).add(slot % SLOTS)
    yield from hours.items()


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
        """Send one if it is due; while the bus is down it is left out, since late is what it
        must not seem to be.
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
        """Append one to every partition; durable on return."""
        clock, sealer = self.site_states.clock, self.sealer()
        letters = {site.name: self.site_states.letter(site) for site in sites} | dict(
            self.unwatched()
        )
        self.hours.note(
            clock.wall(), clock.monotonic(), letters, LATE * self.crawl.heartbeat_seconds
        )
        told, gone = self.hours.told(MOST_TOLD)
        beat = Heartbeat(
            id=secrets.token_hex(16),
            origin=self.crawl.origin,
            inserted_at=clock.now(),
            coverage=self.site_states.coverage(sites),
            counts=tuple(self._counts()),
            hours=tuple(
                self._told_of(told, {site.name: int(site.revisit_seconds) for site in sites})
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
        self.hours.sent(told, gone)
        self.site_states.frontier.history.record_heartbeat(clock.wall(), KEEP_BEATS_SECONDS)

    def _told_of(self, told: Iterable[Told], revisits: Mapping[str, int]) -> Iterator[SiteHour]:
        """Hours with what else is known of them."""
        history, now = self.site_states.frontier.history, self.site_states.clock.monotonic()
        for site, hour, slots in told:
            worked_out, lives = self._lives.get(site, (float("-inf"), 0.0))
            if now - worked_out > LIVES_SECONDS:
                lives = history.estimate_lifetime(site)
                self._lives[site] = now, lives
            posts, revisit = history.count_arrivals(site, hour), revisits.get(site, 0)
            yield SiteHour(
                site=site, hour=hour, slots=slots, posts=posts, revisit=revisit, lives=int(lives)
            )

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
            key = tuple(
                sorted((name, value) for name, value in sample.labels.items() if name != "site")
            )
            sums[key] = sums.get(key, 0.0) + sample.value
    for labels, value in sums.items():
        yield SiteCounter(name=f"{family.name}_total", labels=dict(labels), value=value)
