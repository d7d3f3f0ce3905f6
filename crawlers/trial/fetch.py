"""A few pages of one site, one after the other, by the rules of a visit: robots.txt, pinned addresses, pace, limits of size.

All within `SECONDS`, and no answer may take longer than `PAGE_SECONDS`: who tries a site waits for it. Where a browser has to
render its pages they have `RENDERING_SECONDS`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

from scrapy import Request, Spider
from scrapy.crawler import AsyncCrawlerRunner
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response
from scrapy.http.request import NO_CALLBACK
from scrapy.robotstxt import ProtegoRobotParser

from crawlers.fetching import response_checks
from crawlers.fetching.address_pin import Resolved
from crawlers.fetching.addresses import is_outside
from crawlers.fetching.library_logs import silence_libraries
from crawlers.fetching.middlewares import RequestRefusal
from crawlers.fetching.middlewares.robots import SKIP, RobotsCache, RobotsRules, rules_text
from crawlers.fetching.middlewares.script import RENDER
from crawlers.fetching.outcomes import DOWNLOAD_ERRORS, of_error
from crawlers.fetching.proxy import Proxy
from crawlers.fetching.reactor import drive
from crawlers.fetching.rendering import Browsers, browsers_of
from crawlers.fetching.scrapy_settings import scrapy_settings
from crawlers.sites import reasons
from crawlers.sites.site import Site
from crawlers.trial.answer import ProbeResponse, Robots
from ullage.clock import Clock
from ullage.errors import UnavailableError
from ullage.settings import CrawlSettings

SECONDS = 24.0
PAGE_SECONDS = 6.0
RENDERING_SECONDS = 75.0
DELAY_SECONDS = 1.0
"""Between two of the few requests; a longer `Crawl-delay` is obeyed."""
NONE: tuple[Request, ...] = ()
LEADS_ELSEWHERE = frozenset({"host", "login", "redirects"})
"""Outcomes of which it helps to know where the site sent us."""


class Pages:
    """What a look asks for."""

    def __init__(self, spider: TrialSpider, limit: asyncio.Timeout, *, by_script: bool = False) -> None:
        self._spider, self._limit, self._by_script, self.asked = spider, limit, by_script, 0

    def by_script(self) -> Pages:
        """The same pages as their scripts make them, for which there is more time."""
        self._limit.reschedule(asyncio.get_running_loop().time() + RENDERING_SECONDS)
        return Pages(self._spider, self._limit, by_script=True)

    async def get(self, url: str) -> ProbeResponse:
        """The answer to a request for `url`, redirects followed."""
        try:
            request = Request(url, callback=NO_CALLBACK, dont_filter=True, meta={RENDER: self._by_script})
        except ValueError:
            return ProbeResponse(url, "parse")
        try:
            response = await self._ask(request)
        except (IgnoreRequest, *DOWNLOAD_ERRORS) as error:
            outcome, cause = of_error(error), error.cause if isinstance(error, RequestRefusal) else ""
            return ProbeResponse(url, outcome, None, cause, await self._led_to(url) if outcome in LEADS_ELSEWHERE else "")
        outcome = response_checks.of_answer(url, response)
        cause = reasons.of_status(response.status) if outcome == "status" else ""
        return ProbeResponse(url, outcome, response, cause, response.url if outcome == "login" and response.url != url else "")

    async def robots(self, url: str) -> Robots:
        """What robots.txt says of `url`; it is kept, so that the middleware need not ask again."""
        spider, parts = self._spider, urlsplit(url)
        place = f"{parts.scheme}://{parts.netloc}"
        request = Request(f"{place}/robots.txt", callback=NO_CALLBACK, dont_filter=True, meta={SKIP: True})
        try:
            response = await self._ask(request)
        except (IgnoreRequest, *DOWNLOAD_ERRORS) as error:
            return Robots(0, False, 0.0, reasons.of_outcome(of_error(error)))
        text, refusal = rules_text(response)
        rules, name = ProtegoRobotParser(text, spider), str(spider.settings["USER_AGENT"])
        spider.visit.robots.put(place, RobotsRules(rules, refusal))
        word = "" if refusal == "robots" else reasons.of_outcome(refusal)
        return Robots(response.status, rules.allowed(url, name), rules.crawl_delay(name) or 0.0, word)

    async def _led_to(self, url: str) -> str:
        """Where `url` redirects to."""
        request = Request(url, callback=NO_CALLBACK, dont_filter=True, meta={"dont_redirect": True})
        try:
            response = await self._ask(request)
        except (IgnoreRequest, *DOWNLOAD_ERRORS):
            return ""
        return urljoin(url, (response.headers.get("Location") or b"").decode("latin-1")) if response.status // 100 == 3 else ""

    async def is_outside(self, host: str) -> bool:
        """Whether a host leads out of this house, as far as can be told."""
        return await is_outside(host, PAGE_SECONDS)

    async def _ask(self, request: Request) -> Response:
        self.asked += 1
        response: Response = await self._spider.crawler.engine.download_async(request)
        return response


Act = Callable[[Pages], Awaitable[None]]


@dataclass(slots=True)
class ProbeVisit:
    """Stands where the middlewares look for a visit."""

    site: Site
    robots: RobotsCache
    act: Act
    proxy: Proxy | None = None
    browsers: Browsers | None = None
    resolved: Resolved = field(default_factory=dict)
    is_over: bool = False
    is_late: bool = False


class TrialSpider(Spider):
    """Asks what the look asks for, and ends with it."""

    visit: ProbeVisit

    async def start(self) -> AsyncIterator[Request]:
        """No request of its own."""
        try:
            async with asyncio.timeout(SECONDS) as limit:
                await self.visit.act(Pages(self, limit))
            self.visit.is_over = True
        except TimeoutError:
            self.visit.is_late = True
        for request in NONE:
            yield request


def settings_of(crawl: CrawlSettings, site: Site) -> dict[str, Any]:
    """As for a visit, but for the little time that there is."""
    seconds, delay = min(PAGE_SECONDS, crawl.download_seconds), min(DELAY_SECONDS, site.delay_seconds)
    pace = {"DOWNLOAD_DELAY": delay, "AUTOTHROTTLE_START_DELAY": delay, "AUTOTHROTTLE_MAX_DELAY": SECONDS}
    limits = {"DOWNLOAD_TIMEOUT": seconds, "DNS_TIMEOUT": seconds}
    return {**scrapy_settings(crawl, site), **pace, **limits, "ITEM_PIPELINES": {}}


def fetch(crawl: CrawlSettings, site: Site, clock: Clock, act: Act, proxy: Proxy | None = None) -> bool:
    """Run `act` with the means to ask `site`, on a reactor that runs once in a process; whether it came to its end in time."""
    tried = ProbeVisit(site, RobotsCache(clock.monotonic), act, proxy, browsers_of(crawl))

    async def run(_: asyncio.Event) -> None:
        await AsyncCrawlerRunner(settings_of(crawl, site)).crawl(TrialSpider, name=site.name, visit=tried)

    silence_libraries()
    drive(run, threading.Event())
    if not (tried.is_over or tried.is_late):  # Scrapy keeps what a spider raises for its log
        raise UnavailableError("the look broke off: please report it")
    return tried.is_over
