"""Begin visits and run each to its end: one Scrapy spider per visit.

All visits share the frontier, the bus and the robots rules.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from scrapy.crawler import Crawler

from crawlers.fetching.proxy import load_proxies
from crawlers.fetching.rendering import create_browsers
from crawlers.fetching.robots import RobotsCache
from crawlers.fetching.scrapy_setup import OfOneVisit, build_settings
from crawlers.fetching.site_session import SiteLogin, load_session
from crawlers.frontier.database import Frontier
from crawlers.metrics import CrawlMetrics
from crawlers.platforms import find_platform
from crawlers.publishing.batching import Appends
from crawlers.publishing.outbox import CaptureOutbox, OnBus
from crawlers.sites.presets import Presets
from crawlers.sites.site import SOON_SECONDS, Site
from crawlers.visiting.publish import publish_deletions
from crawlers.visiting.spider import PageSpider
from crawlers.visiting.visit import Visit
from ullage import log
from ullage.bus import Publisher
from ullage.errors import ConfigError
from ullage.security import keys
from ullage.security.signing import Signer
from ullage.settings import Context, CrawlSettings

Read = Callable[[CrawlSettings, Visit], Awaitable[None]]
"""Reads all pages that a visit leases, from its beginning to its end."""
ROBOTS_SECONDS = 3600.0
"""How long robots.txt is kept before it is read again."""


async def by_scrapy(crawl: CrawlSettings, visit: Visit) -> None:
    """Fetch the pages of `visit` with Scrapy until the visit is over."""
    crawler = Crawler(PageSpider, OfOneVisit(build_settings(crawl, visit.site)))
    await crawler.crawl_async(name=visit.site.name, visit=visit)


class Visitor:
    """The resources that all visits of a process share.

    `may_lease` returns whether another page may be begun, at any time. `read` fetches the pages of
    a visit: it is the only place where a visit uses the network.
    """

    def __init__(
        self,
        context: Context,
        frontier: Frontier,
        publisher: Publisher,
        signer: Signer,
        metrics: CrawlMetrics,
        on_bus: OnBus,
        may_lease: Callable[[], bool],
        presets: Presets,
        *,
        read: Read = by_scrapy,
    ) -> None:
        self._presets, self._read = presets, read
        self._context, self._frontier, self._publisher, self._signer = (
            context,
            frontier,
            publisher,
            signer,
        )
        self._metrics, self._appends, self._may_lease = metrics, Appends(on_bus), may_lease
        self._robots = RobotsCache(context.clock.monotonic, ROBOTS_SECONDS)
        self._proxies = load_proxies(context)
        self._browsers = create_browsers(context.settings.crawl)
        self._sessions: dict[str, SiteLogin] = {}
        self._told = set[str]()
        self._permits = asyncio.Semaphore(context.settings.crawl.concurrency)
        self._one_large = asyncio.Lock()

    def prepare(self, site: Site) -> Visit:
        """Return a visit to `site` that has not begun.

        Loads the sealing key again, because keys are rotated, and sets the metric of the session's
        end. A missing session is logged and does not raise. Raises ConfigError if the platform is
        unknown or refuses the site's options, or if no sealing key is here.
        """
        session = self._session(site)
        self._metrics.set_session_end(site.name, session.ends_at if session else 0.0)
        return Visit(
            site,
            find_platform(site, self._presets),
            self._frontier,
            CaptureOutbox(
                self._publisher,
                keys.load_sealer(self._context.keys),
                self._signer,
                self._context.clock.wall,
            ),
            self._robots,
            self._metrics,
            self._context.clock,
            self._permits,
            self._may_lease,
            self._appends,
            self._one_large,
            self._proxies.get(site.proxy),
            self._browsers,
            session,
        )

    def _session(self, site: Site) -> SiteLogin | None:
        """Return the session of `site`.

        Returns None where it has none or its file is missing or malformed, which is logged. An
        existing session is kept while its file is unchanged, because the site may have set new
        cookies. A session that ends within SOON_SECONDS is logged once.
        """
        if not site.cookies:
            return None
        try:
            read = load_session(self._context.keys, site)
        except ConfigError as error:
            log.get("crawl").error("session_missing", site=site.name, error=str(error))
            return None
        session = self._sessions.get(site.name)
        if session is None or session.lines != read.lines:
            self._sessions[site.name] = session = read
            self._told.discard(site.name)
        seconds_left = session.ends_at - self._context.clock.wall()
        if session.ends_at and seconds_left <= SOON_SECONDS and site.name not in self._told:
            self._told.add(site.name)
            log.get("crawl").warning("session_ends", site=site.name, seconds=round(seconds_left))
        return session

    async def run(self, visit: Visit) -> None:
        """Run a visit until no page is left to lease, then publish the deletions it found.

        Leases of an interrupted earlier visit are dropped first. Raises the error that broke the
        visit off, if any. `Visit.end` is left to the caller.
        """
        site = visit.site
        if again := self._frontier.recover(site.name):
            log.get("crawl").info("leased_pages_due_again", site=site.name, pages=again)
        visit.begin()
        await self._read(self._context.settings.crawl, visit)
        await publish_deletions(visit)
        if visit.fault:
            raise visit.fault
