"""Visit the sites that are due, several at a time, and sleep until the next one is due.

`stop` ends the sleep at once. When told to stop, the scheduler leases nothing more and gives leased
pages `DRAIN_SECONDS`; a page that takes longer is fetched again at the next start, thanks to the
frontier. While match is too far behind nothing is leased, because unread captures would expire.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from heapq import heapify, heappop, heappush
from typing import Any

from crawlers.frontier.database import Visits, open_frontier
from crawlers.metrics import CrawlMetrics
from crawlers.platforms import find_platform
from crawlers.publishing.backlog import AGAIN_SECONDS, Backlog, Expiry
from crawlers.publishing.outbox import BusThread, OnBus
from crawlers.scheduling.canary_site import CanarySite
from crawlers.scheduling.crawled_sites import SiteList, SiteLocks
from crawlers.scheduling.egress import Egress, is_reachable
from crawlers.scheduling.heartbeats import Heartbeats, HoursSeen
from crawlers.scheduling.site_status import SiteStates
from crawlers.sites.presets import FOLDER, Presets
from crawlers.sites.site import Site, SiteFolder
from crawlers.visiting.visit import Visit
from crawlers.visiting.visitor import Read, Visitor, by_scrapy
from ullage import log
from ullage.bus import CAPTURES
from ullage.errors import ConfigError, UnavailableError
from ullage.monitoring.canary import SITE as CANARY
from ullage.monitoring.metrics import BUS
from ullage.security import keys
from ullage.settings import SITES, Context

DRAIN_SECONDS = 5.0
READ_SECONDS = 5.0
"""Interval of reading the site files, and so the longest sleep.

With many sites, visits end far more often.
"""
MOST_VISITS = 250
"""Concurrent visits, which share the permitted requests; each costs 0.2 MiB, and 10 ms to begin."""
BEGIN_TOGETHER = 4
"""Visits that are begun together before pages under way continue."""
FIRST_STATE_SECONDS = 60.0
"""Time after which a new site has a state during its first visit, which may be endless."""
HOLD_BACK_SECONDS = 5.0
"""How long a site is left alone after a dependency was down."""


class Scheduler:
    """Crawls the sites `names`, or every enabled site when none is named, in one process.

    Calls to the bus are made `on_bus`, in a thread of their own by default; `read` fetches the
    pages.
    """

    def __init__(
        self,
        context: Context,
        names: Sequence[str],
        metrics: CrawlMetrics,
        *,
        on_bus: OnBus | None = None,
        read: Read = by_scrapy,
    ) -> None:
        self._crawl, self._clock, self._metrics = context.settings.crawl, context.clock, metrics
        self._frontier = open_frontier(context)
        bus, self._closing = context.bus(), ExitStack()
        publisher = bus.publisher(CAPTURES)
        for part in (bus, publisher):  # closed from the last to the first
            self._closing.callback(part.close)
        if on_bus is None:
            on_bus = thread = BusThread()
            self._closing.callback(thread.close)
        signer, sealer = (
            keys.load_signer(context.keys, "crawl"),
            partial(keys.load_sealer, context.keys),
        )
        sealer()  # its faults are raised at the start, not at the end of the first visit
        canary = context.settings.canary
        self._canary = CanarySite(
            canary, context.clock, signer, enabled=bool(canary.interval_seconds) and not names
        )
        presets = Presets(context.data / FOLDER)
        folder = SiteFolder(
            context.data / SITES, partial(find_platform, presets=presets), presets.refresh
        )
        self._sites = SiteList(folder, names, SiteLocks(context.data), self._canary, metrics)
        self._strict = bool(names)
        self._backlog = Backlog(
            bus,
            self._frontier,
            context.clock,
            context.settings.bus.most_lag_seconds,
            metrics,
            on_bus,
        )
        self._expiry = Expiry(bus, context.clock, on_bus)
        self._site_states = SiteStates(self._frontier, Egress(), context.clock)
        hours = HoursSeen(self._frontier.history.names() - {CANARY})
        self._beats = Heartbeats(
            self._crawl,
            self._site_states,
            publisher,
            metrics,
            sealer,
            signer,
            on_bus,
            hours,
            lambda: self._sites.unwatched,
        )
        parts = self._frontier, publisher, signer, metrics, on_bus, self._may_lease, presets
        self._visitor = Visitor(context, *parts, read=read)
        self._visits: dict[str, tuple[Visit, asyncio.Task[None]]] = {}
        self._next: dict[str, Visits] = {}
        """When each site is due, cached from the frontier after each visit."""
        self._soon: list[tuple[float, str]] = []
        """A heap of sites that are due before the next collection, by time; some may have been
        visited meanwhile.
        """
        self._look_at = float("-inf")
        self._not_before: dict[str, float] = {}
        self._read_at = float("-inf")
        self._once = self._stopping = False
        self.unread: set[str] = set()
        """With `once`, the sites that no visit has read."""

    @property
    def faults(self) -> tuple[ConfigError, ...]:
        """The faults of site files when they were last read."""
        return self._sites.faults

    async def run(self, stopped: asyncio.Event, once: bool) -> None:
        """Visit sites until `stopped` is set; with `once`, visit every site one time and return.

        With `once`, `unread` holds afterwards the names of sites that no visit has read. Leased
        pages get `DRAIN_SECONDS` to end; then the bus is closed, so an instance runs one time only.
        Raises the error of a failed visit; without `once`, an unreachable bus is logged and tried
        again instead.
        """
        self._canary.open()
        self._canary.turn()
        self._once = once
        self._read_sites(strict=once or self._strict)
        self.unread = {site.name for site in self._sites.watched} if once else set()
        stop: asyncio.Task[Any] = asyncio.ensure_future(stopped.wait())
        try:
            await self._backlog.turn()
            waiting: Sequence[Site] = (
                list(self._sites.crawled.values()) if once and self._may_lease() else ()
            )
            while once and (waiting or self._visits) and not stop.done():
                waiting = self._begin_some(waiting)
                await self._wait(
                    stop, 0.0 if waiting and len(self._visits) < MOST_VISITS else READ_SECONDS
                )
                await self._backlog.turn()
            if once and not stop.done():
                self._frontier.forgetting.forget_all()
            if once and self._crawl.heartbeat_seconds and not stop.done():
                await self._beats.send(self._sites.watched)
            while not once and not stop.done():
                self._metrics.loop.record_turn()
                await self._backlog.turn()
                await self._expiry.turn()
                self._frontier.forgetting.turn()
                await self._beats.turn(self._sites.watched)
                await self._wait(
                    stop, min(self._begin_due(), self._beats.wait(), self._canary.turn())
                )
                if self._clock.monotonic() >= self._read_at:
                    self._read_sites(strict=False)
        finally:
            stop.cancel()
            await self._drain()

    def _read_sites(self, *, strict: bool) -> None:
        """Read the site files, and update everything that counts sites.

        `strict` and the errors are those of `SiteList.read`. The next reading is due in
        READ_SECONDS (5 s).
        """
        self._read_at = self._clock.monotonic() + READ_SECONDS
        self._sites.read(strict=strict, once=self._once)
        self._site_states.egress.total = len(self._sites.watched)
        self._site_states.unreadable = self._sites.unreadable
        self._look_at = float("-inf")
        self._beats.show(self._sites.watched)
        self._beats.hours.files(self._sites.files)

    def _begin_due(self) -> float:
        """Begin at most BEGIN_TOGETHER (4) due visits; return the seconds until the next look.

        0.0 if more are due, AGAIN_SECONDS while no visit may begin (bus or backlog), READ_SECONDS
        (5 s) if MOST_VISITS (250) are under way or none is due sooner.
        """
        now = self._clock.wall()
        if self._clock.monotonic() >= self._look_at:
            self._collect_due(now)
        begun = 0
        while self._soon and self._soon[0][0] <= now:
            if begun >= BEGIN_TOGETHER:
                return 0.0
            if not self._may_begin():
                return AGAIN_SECONDS
            if len(self._visits) >= MOST_VISITS:  # the end of one makes room, and wakes us
                return READ_SECONDS
            _, name = heappop(self._soon)
            if self._due_at(name, now) <= now:  # otherwise it was visited meanwhile, or is gone
                self._begin(self._sites.crawled[name])
                begun += 1
        return min(READ_SECONDS, max(0.1, self._soon[0][0] - now)) if self._soon else READ_SECONDS

    def _collect_due(self, now: float) -> None:
        """Collect the sites that are due before the next call.

        So ten thousand sites are not checked at each turn.
        """
        self._look_at = self._clock.monotonic() + READ_SECONDS
        due = ((self._due_at(name, now), name) for name in self._sites.crawled)
        self._soon = [entry for entry in due if entry[0] <= now + READ_SECONDS]
        heapify(self._soon)

    def _due_at(self, name: str, now: float) -> float:
        """Return when a site is due, in Unix seconds; sites with earlier times go first.

        Infinity while a visit is under way or if the site is not crawled. A site that was held back
        or has forbidden hours is due when these are over.
        """
        if name in self._visits or name not in self._sites.crawled:
            return float("inf")
        if name not in self._next:
            self._next[name] = self._frontier.visits(name)
        visits, held_back = self._next[name], self._seconds_held_back(name)
        seconds_left = max(visits.seconds_left(now), held_back)
        site = self._sites.crawled[name]
        if site.night and (opens := site.find_next_allowed(now + max(0.0, seconds_left))) > now:
            return opens
        return now + seconds_left if seconds_left > 0 else min(now, visits.due_at)

    def _requeue(self, name: str) -> None:
        """Queue a site whose visit has ended, if it is due before the next collection."""
        now = self._clock.wall()
        if (due := self._due_at(name, now)) <= now + READ_SECONDS:
            heappush(self._soon, (due, name))

    def _begin_some(self, due: Sequence[Site]) -> Sequence[Site]:
        """Begin as many visits as there is room for, in this order; return the remaining sites.

        The end of a visit makes room for the next one.
        """
        room = min(BEGIN_TOGETHER, max(0, MOST_VISITS - len(self._visits)))
        for site in due[:room]:
            self._begin(site)
        return due[room:]

    def _may_begin(self) -> bool:
        """Return whether a visit may begin, as `_may_lease`.

        Returns False while the bus is down; a later turn checks again.
        """
        try:
            return self._may_lease()
        except UnavailableError as error:
            log.get("crawl").warning("waiting", error=str(error), wait=AGAIN_SECONDS)
            return False

    def _begin(self, site: Site) -> None:
        visit = self._visitor.prepare(site)
        self._visits[site.name] = (visit, asyncio.ensure_future(self._visit(visit)))

    async def _visit(self, visit: Visit) -> None:
        """Run one visit to its end, record its result and the site's new state, and log it.

        A failure is not held against the site while the egress is down.
        """
        site = visit.site
        await self._visitor.run(visit)
        await self._probe(visit)
        visit.count_waiting()
        self._site_states.settle(site, visit.seen, visit.profile)
        succeeded = visit.end(blamed=self._site_states.egress.up) if visit.leased else False
        self._next[site.name] = self._frontier.visits(site.name)
        if succeeded:
            self.unread.discard(site.name)
        self._beats.show(self._sites.watched)
        self._metrics.count_visit(site.name, succeeded, self._frontier.count_pages(site.name))
        log.get("crawl").info(
            "visited",
            site=site.name,
            pages=visit.read,
            captures=visit.captured,
            edited=visit.edited,
            gone=visit.gone,
            status="ok" if succeeded else "failed",
        )

    async def _probe(self, visit: Visit) -> None:
        """Probe the egress, if configured, when a visit or the last probe reached nothing."""
        probe, egress = self._crawl.egress_probe, self._site_states.egress
        if probe and (egress.probe_failed or (visit.leased and not visit.seen.answered)):
            self._site_states.probed(await is_reachable(probe))

    async def _wait(self, stop: asyncio.Task[Any], seconds: float | None) -> None:
        """Wait for the end of a visit, for `stop`, or for `seconds` (None: without a limit).

        Ended visits are removed and queued again. Raises the error of a failed visit as
        `_check_result` does.
        """
        running: set[asyncio.Task[Any]] = {stop, *(task for _, task in self._visits.values())}
        await asyncio.wait(running, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        self._frontier.flush()
        for name, (_, task) in list(self._visits.items()):
            if task.done():
                del self._visits[name]
                self._check_result(name, task)
                self._requeue(name)
        self._judge_new()

    def _judge_new(self) -> None:
        """Give new sites a state while their first visit goes on.

        It is given once, FIRST_STATE_SECONDS (60 s) after the visit began, if the site has answered
        and has no state yet.
        """
        now = self._clock.wall()
        for name, (visit, _) in self._visits.items():
            if (
                visit.is_judged
                or not visit.first
                or now - visit.began < FIRST_STATE_SECONDS
                or not visit.seen.answered
            ):
                continue
            visit.is_judged = True
            if self._frontier.history.load(name).state is None:
                self._site_states.settle(visit.site, visit.so_far(), visit.profile)
                self._beats.show(self._sites.watched)

    def _check_result(self, name: str, task: asyncio.Task[None]) -> None:
        """Raise the error of an ended visit.

        If a dependency was down (UnavailableError), it is raised with `--once` only; otherwise it
        is logged, and the site is tried again after HOLD_BACK_SECONDS (5 s).
        """
        try:
            task.result()
        except UnavailableError as error:
            if self._once:
                raise
            self._metrics.loop.record_reachability(BUS, False)
            log.get("crawl").warning(
                "visit_broken_off", site=name, error=str(error), wait=HOLD_BACK_SECONDS
            )
            self._not_before[name] = self._clock.monotonic() + HOLD_BACK_SECONDS

    def _seconds_held_back(self, name: str) -> float:
        """Return for how many seconds a site is still left alone after an outage."""
        return self._not_before.get(name, 0.0) - self._clock.monotonic()

    async def _drain(self) -> None:
        """Lease nothing more, wait up to DRAIN_SECONDS (5 s) for leased pages, and close.

        The finished pages are written; the canary site and the bus are closed. Visits that are not
        done by then are left as they are.
        """
        self._stopping = True
        for visit, _ in self._visits.values():
            visit.wake()
        tasks = [task for _, task in self._visits.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
        self._frontier.flush()
        self._canary.close()
        self._closing.close()

    def _may_lease(self) -> bool:
        """Return whether the process goes on and match keeps up."""
        return not self._stopping and not self._backlog.is_too_long()
