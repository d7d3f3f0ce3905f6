"""Visits the sites that are due, several at a time, and sleeps until the next is due. `stop` wakes it at once.

Told to stop, it leases nothing more and gives what is in hand `DRAIN_SECONDS`; a page that takes longer is fetched again at the
next start, which is what the frontier is for. While match is too far behind nothing is leased: unread captures would expire.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

from scrapy.crawler import AsyncCrawlerRunner

from crawlers.bus.backlog import AGAIN_SECONDS, Backlog
from crawlers.bus.bus_thread import BusThread
from crawlers.bus.outbox import Outbox
from crawlers.fetching.middlewares.robots import RobotsCache
from crawlers.fetching.scrapy_settings import scrapy_settings
from crawlers.frontier.database import Visits, open_frontier
from crawlers.metrics import CrawlMetrics
from crawlers.platforms import platform_of
from crawlers.scheduling.canary_site import CanarySite, canary_site
from crawlers.scheduling.egress import Egress, reachable
from crawlers.scheduling.heartbeats import Beats
from crawlers.scheduling.site_state import Standings
from crawlers.sites.site import Site, SiteFolder
from crawlers.visiting.spider import PageSpider
from crawlers.visiting.visit import Visit
from ullage import log
from ullage.bus import CAPTURES
from ullage.errors import ConfigError, UnavailableError
from ullage.files.lock import hold
from ullage.monitoring.canary import SITE as CANARY
from ullage.monitoring.metrics import BUS
from ullage.records import INGEST
from ullage.security import keys
from ullage.settings import Context

DRAIN_SECONDS = 5.0
READ_SECONDS = 5.0
"""How often the site files are looked at, and so the longest sleep. Where there are many sites visits end far more often."""
EXPIRE_SECONDS, EXPIRE_AGAIN_SECONDS = 3600.0, 60.0
MOST_VISITS = 250
"""Visits at once, which take turns at the requests that may be under way: each costs 0.2 MiB, and some 20 ms to begin."""
HOLD_BACK_SECONDS = 5.0
"""How long a site is left alone after something on our side was down."""
LOCKS = "locks"


class Patrol:
    """One process's rounds over `names`, or over every enabled site when none is named."""

    def __init__(self, context: Context, names: Sequence[str], metrics: CrawlMetrics) -> None:
        self._context, self._names, self._metrics = context, names, metrics
        self._crawl, self._clock = context.settings.crawl, context.clock
        self._bus = context.bus()
        self._publisher = self._bus.publisher(CAPTURES)
        self._frontier = open_frontier(context)
        self._robots = RobotsCache(self._crawl.robots_seconds, context.clock.monotonic)
        self._folder = SiteFolder(context.data / self._crawl.sites, platform_of)
        self._faults: set[str] = set()
        self._next: dict[str, Visits] = {}
        """When each site is due, as the frontier has it: it is asked after a visit, and not ten thousand times at each turn."""
        self._read_at = float("-inf")
        self._locks: dict[str, int] = {}
        self._visits: dict[str, tuple[Visit, asyncio.Task[None]]] = {}
        self._not_before: dict[str, float] = {}
        self._expire_at = float("-inf")
        self._once = self._stopping = False
        self.unread: set[str] = set()
        """With `once`, the sites that no visit has read."""
        pause = self._crawl.pause_lag_hours * 3600
        self._on_bus = BusThread()
        self._backlog = Backlog(self._bus, self._frontier, context.clock, pause, metrics, self._on_bus)
        self._standings = Standings(self._frontier, Egress(), context.clock, self._crawl.quiet_days)
        self._signer = keys.signer(context.keys, "crawl")
        sealer = partial(keys.sealer, context.keys)
        sealer()  # what is wrong with it is said at the start, not at the end of the first visit
        self._beats = Beats(self._crawl, self._standings, self._publisher, metrics, sealer, self._signer, self._on_bus)
        self._sites: Collection[Site] = ()
        canary = context.settings.canary
        self._canary = CanarySite(canary, context.clock, self._signer) if canary.interval_seconds and not names else None

    async def run(self, stopped: asyncio.Event, once: bool) -> None:
        """Visit until `stopped`; with `once`, visit every site once and return. Raises what ends the process."""
        self._permits = asyncio.Semaphore(self._crawl.concurrency)
        if self._canary:
            self._canary.open()
            self._canary.turn()
        self._once = once
        sites = self._read_sites(strict=once or bool(self._names))
        self.unread = {site.name for site in self._sites} if once else set()
        stop: asyncio.Task[Any] = asyncio.ensure_future(stopped.wait())
        try:
            await self._backlog.turn()
            left: Sequence[Site] = list(sites.values()) if once and self._may_lease() else ()
            while once and (left or self._visits) and not stop.done():
                left = self._begin_some(left)
                await self._wait(stop, READ_SECONDS)
                await self._backlog.turn()
            if once and self._crawl.heartbeat_seconds and not stop.done():
                await self._beats.send(self._sites)
            while not once and not stop.done():
                self._metrics.loop.turned()
                await self._backlog.turn()
                await self._expire()
                await self._beats.turn(self._sites)
                await self._wait(stop, min(self._begin_due(sites), self._beats.wait(), self._turn_canary()))
                if self._clock.monotonic() >= self._read_at:
                    sites = self._read_sites(strict=False)
        finally:
            stop.cancel()
            await self._drain()

    def _read_sites(self, strict: bool) -> dict[str, Site]:
        """The enabled sites that are ours. Whoever waits for the end (`strict`) is told of a fault; a daemon goes on."""
        self._read_at = self._clock.monotonic() + READ_SECONDS
        sites, faults = self._folder.read()
        self._metrics.site_faults.set(len(faults))
        if faults and strict:
            raise faults[0]
        if strict and (unknown := sorted(set(self._names) - set(sites))):
            raise ConfigError(
                f"no site {unknown[0]} in {self._context.data / self._crawl.sites}: `ullage sites` lists what there is"
            )
        if strict and (fed := [name for name in self._names if name in sites and sites[name].platform == INGEST]):
            raise ConfigError(f"site {fed[0]} is not crawled: what is of it comes by `ullage ingest`")
        ours = {name: site for name, site in sites.items() if site.is_crawled and (not self._names or name in self._names)}
        if self._canary:
            ours[CANARY] = canary_site(self._canary.settings)
        at_start = not self._locks
        elsewhere = self._held_elsewhere(ours)
        if elsewhere and (strict or at_start):
            raise elsewhere[0]
        self._report({str(fault) for fault in (*faults, *elsewhere)})
        if self._once and not sites and not ours:
            raise ConfigError(f"no site yet: put NAME.toml into {self._context.data / self._crawl.sites}")
        self._sites = tuple(site for name, site in ours.items() if name != CANARY)
        self._metrics.watch(self._sites)
        self._standings.egress.total = len(self._sites)
        self._standings.unreadable = self._folder.unreadable
        self._beats.show(self._sites)
        return ours

    def _held_elsewhere(self, ours: dict[str, Site]) -> list[ConfigError]:
        """Take the locks of `ours` that are not held yet; sites that another process has are left out, for now."""
        faults = []
        for name in ours.keys() - self._locks.keys():
            try:
                self._locks[name] = hold(self._context.data / LOCKS / f"{name}.lock", f"site {name} is being crawled")
            except ConfigError as error:
                faults.append(error)
                del ours[name]
        return faults

    def _report(self, faults: set[str]) -> None:
        """Log why sites are not visited: each fault once, as long as it lasts."""
        for fault in sorted(faults - self._faults):
            log.get("crawl").error("site_refused", error=fault)
        self._faults = faults

    def _turn_canary(self) -> float:
        """Put up a canary post if one is due; returns the seconds until the next is."""
        return self._canary.turn() if self._canary else READ_SECONDS

    def _begin_due(self, sites: dict[str, Site]) -> float:
        """Begin visits that are due; returns the seconds until the next is, at most `READ_SECONDS`."""
        wait, now = READ_SECONDS, self._clock.wall()
        due: list[tuple[float, Site]] = []
        for name, site in sites.items():
            if name not in self._visits:
                if name not in self._next:
                    self._next[name] = self._frontier.visits(name)
                left = max(self._next[name].left(now), self._held_back(name))
                if left > 0:
                    wait = min(wait, max(0.1, left))
                else:
                    due.append((self._next[name].due_at, site))
        if due and not self._may_begin():
            return min(wait, AGAIN_SECONDS)
        self._begin_some([site for _, site in sorted(due, key=itemgetter(0))])
        return wait

    def _begin_some(self, due: Sequence[Site]) -> Sequence[Site]:
        """Begin as many visits as there is room for, in this order; returns the others, for which the end of one makes room."""
        room = max(0, MOST_VISITS - len(self._visits))
        for site in due[:room]:
            self._begin(site)
        return due[room:]

    def _may_begin(self) -> bool:
        """As `_may_lease`; while the bus is down nothing is begun, and a later turn asks again."""
        try:
            return self._may_lease()
        except UnavailableError as error:
            log.get("crawl").warning("waiting", error=str(error), wait=AGAIN_SECONDS)
            return False

    def _begin(self, site: Site) -> None:
        outbox = Outbox(self._publisher, keys.sealer(self._context.keys), self._signer)
        visit = Visit(
            site,
            platform_of(site),
            self._frontier,
            outbox,
            self._robots,
            self._metrics,
            self._clock,
            self._permits,
            self._may_lease,
            self._on_bus,
        )
        self._visits[site.name] = (visit, asyncio.ensure_future(self._visit(visit)))

    async def _visit(self, visit: Visit) -> None:
        """Run one spider to its end and note how the visit went."""
        site = visit.site
        if again := self._frontier.recover(site.name):
            log.get("crawl").info("leased_pages_due_again", site=site.name, pages=again)
        visit.begin()
        runner = AsyncCrawlerRunner(scrapy_settings(self._crawl, site))
        await runner.crawl(PageSpider, name=site.name, visit=visit)
        if visit.fault:
            raise visit.fault
        await self._probe(visit)
        self._standings.settle(site, visit.seen, visit.profile)
        succeeded = visit.end(blamed=self._standings.egress.up) if visit.leased else False
        self._next[site.name] = self._frontier.visits(site.name)
        if succeeded:
            self.unread.discard(site.name)
        self._beats.show(self._sites)
        self._metrics.visited(site.name, succeeded, self._frontier.counts(site.name))
        log.get("crawl").info(
            "visited", site=site.name, pages=visit.read, captures=visit.captured, status="ok" if succeeded else "failed"
        )

    async def _probe(self, visit: Visit) -> None:
        """Ask the probe of the way out, if there is one, when a visit reached nothing or the last probe did not."""
        probe, egress = self._crawl.egress_probe, self._standings.egress
        if probe and (egress.probe_failed or (visit.leased and not visit.seen.answered)):
            self._standings.probed(await reachable(probe))

    async def _wait(self, stop: asyncio.Task[Any], seconds: float | None) -> None:
        """Wait for a visit to end, for `stop`, or for `seconds`; a visit that failed raises here."""
        running: set[asyncio.Task[Any]] = {stop, *(task for _, task in self._visits.values())}
        await asyncio.wait(running, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for name, (_, task) in list(self._visits.items()):
            if task.done():
                del self._visits[name]
                self._settle(name, task)

    def _settle(self, name: str, task: asyncio.Task[None]) -> None:
        """Look at how a visit's task ended; what is down outside is tried again later, at `--once` by whoever called."""
        try:
            task.result()
        except UnavailableError as error:
            if self._once:
                raise
            self._metrics.loop.reached(BUS, False)
            log.get("crawl").warning("visit_broken_off", site=name, error=str(error), wait=HOLD_BACK_SECONDS)
            self._not_before[name] = self._clock.monotonic() + HOLD_BACK_SECONDS

    def _held_back(self, name: str) -> float:
        """Seconds for which a site is left alone after something was down; 0 or less when it is not."""
        return self._not_before.get(name, 0.0) - self._clock.monotonic()

    async def _expire(self) -> None:
        """Keep the bus within its retention even while nobody reads it, once an hour; sooner where that failed."""
        if (now := self._clock.monotonic()) >= self._expire_at:
            self._expire_at = now + EXPIRE_SECONDS
            try:
                await self._on_bus(self._bus.expire)
            except UnavailableError as error:
                self._expire_at = now + EXPIRE_AGAIN_SECONDS
                log.get("crawl").warning("waiting", error=str(error), wait=EXPIRE_AGAIN_SECONDS)

    async def _drain(self) -> None:
        """Lease nothing more, wait a little for what is in hand, and close."""
        self._stopping = True
        for visit, _ in self._visits.values():
            visit.wake()
        tasks = [task for _, task in self._visits.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
        if self._canary:
            self._canary.close()
        self._on_bus.close()
        self._publisher.close()
        self._bus.close()

    def _may_lease(self) -> bool:
        """Whether the process goes on and match keeps up."""
        return not self._stopping and not self._backlog.too_long()
