"""Ask one site for a few pages, or many sites for one each, by the rules of a visit.

One request for each origin of `start`: robots.txt, or the list itself where the site's file says
that robots.txt is not obeyed; with the same guard, pinned address and name as a visit. Several
sites at a time, all within `ALL_SECONDS`.

All within `SECONDS`, and no answer may take longer than `PAGE_SECONDS`: who tries a site waits for
it. Where a browser has to render its pages they have `RENDERING_SECONDS`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

from scrapy import Request, Spider
from scrapy.crawler import AsyncCrawlerRunner
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response
from scrapy.http.request import NO_CALLBACK
from scrapy.robotstxt import ProtegoRobotParser
from twisted.python.failure import Failure

from crawlers.fetching import RequestRefusal, response_checks
from crawlers.fetching.address_pin import Resolved, is_external
from crawlers.fetching.outcomes import DOWNLOAD_ERRORS, to_error_outcome
from crawlers.fetching.proxy import Proxy
from crawlers.fetching.rendering import Browsers, create_browsers
from crawlers.fetching.robots import SKIP, RobotsCache, RobotsRules, read_rules
from crawlers.fetching.scrapy_setup import build_settings, run_on_reactor, silence_libraries
from crawlers.fetching.scripted_pages import RENDER
from crawlers.sites import visit_verdict
from crawlers.sites.site import Site
from crawlers.trial.answer import ProbeResponse, Robots
from ullage.clock import Clock
from ullage.errors import UnavailableError
from ullage.settings import CrawlSettings

SIDE_BY_SIDE = 16
LOOK_SECONDS = 10.0
ALL_SECONDS = 60.0
NO_PROXIES: Mapping[str, Proxy] = {}


@dataclass(slots=True)
class Look:
    """What came of the look at one site: words of `crawlers.sites.visit_verdict`, one a request
    that found a fault.
    """

    site: Site
    proxy: Proxy | None = None
    resolved: Resolved = field(default_factory=dict)
    words: list[str] = field(default_factory=list)


class LookSpider(Spider):
    """Asks and goes; `visit` is the name under which the middlewares find the site."""

    visit: Look

    async def start(self) -> AsyncIterator[Request]:
        """The requests."""
        for url in requests_of(self.visit.site):
            yield Request(url, self.answered, errback=self.failed, dont_filter=True)

    def answered(self, response: Response) -> None:
        """An answer came."""
        if word := self._word(response):
            self.visit.words.append(word)

    def failed(self, failure: Failure) -> None:
        """None came."""
        self.visit.words.append(visit_verdict.to_reason(to_error_outcome(failure.value)))

    def _word(self, response: Response) -> str:
        """What an answer says against the site, "" where it says nothing."""
        site, asked = self.visit.site, response.request.url if response.request else response.url
        if not site.robots:
            outcome = response_checks.classify_answer(asked, response)
            return (
                ""
                if outcome == "ok"
                else visit_verdict.to_reason(outcome, _status(outcome, response))
            )
        text, refusal = read_rules(response)
        rules, name = ProtegoRobotParser(text, self), str(self.settings["USER_AGENT"])
        forbidden = [
            url
            for url in site.start
            if _robots_of(url) in _origins(response) and not rules.allowed(url, name)
        ]
        return visit_verdict.to_reason(refusal) if forbidden else ""


def requests_of(site: Site) -> tuple[str, ...]:
    """What is asked of a site: robots.txt of each origin, or else its lists, the first of each."""
    first: dict[str, str] = {}
    for url in site.start:
        first.setdefault(_robots_of(url), url)
    return tuple(first) if site.robots else tuple(first.values())


def _robots_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.lower()}/robots.txt"


def _origins(response: Response) -> set[str]:
    """The addresses under which this answer was asked for, redirects included."""
    request = response.request
    return {
        response.url,
        *((request.url, *request.meta.get("redirect_urls", ())) if request else ()),
    }


def _status(outcome: str, response: Response) -> str:
    return visit_verdict.to_status_reason(response.status) if outcome == "status" else ""


def look_settings(crawl: CrawlSettings, site: Site) -> dict[str, Any]:
    """As for a visit, without what is of a visit alone."""
    known = build_settings(crawl, site)
    middlewares = {**known["DOWNLOADER_MIDDLEWARES"], "crawlers.fetching.robots.TimedRobots": None}
    seconds = min(LOOK_SECONDS, crawl.download_seconds)
    return {
        **known,
        "DOWNLOADER_MIDDLEWARES": middlewares,
        "ITEM_PIPELINES": {},
        "DOWNLOAD_TIMEOUT": seconds,
        "DOWNLOAD_DELAY": 0,
        "AUTOTHROTTLE_ENABLED": False,
    }


async def _look(
    crawl: CrawlSettings, site: Site, permits: asyncio.Semaphore, proxy: Proxy | None
) -> str:
    look = Look(site, proxy)
    async with permits:
        await AsyncCrawlerRunner(look_settings(crawl, site)).crawl(
            LookSpider, name=site.name, visit=look
        )
    return min(look.words, default="")


async def look_at(
    crawl: CrawlSettings,
    sites: Iterable[Site],
    seconds: float = ALL_SECONDS,
    proxies: Mapping[str, Proxy] = NO_PROXIES,
) -> dict[str, str]:
    """By site what speaks against it, "" for nothing; a site that is left out was not looked at
    in time.
    """
    permits = asyncio.Semaphore(SIDE_BY_SIDE)
    tasks = {
        site.name: asyncio.ensure_future(_look(crawl, site, permits, proxies.get(site.proxy)))
        for site in sites
    }
    done, late = await asyncio.wait(tasks.values(), timeout=seconds)
    for task in late:
        task.cancel()
    return {name: task.result() for name, task in tasks.items() if task in done}


def looks(
    crawl: CrawlSettings, sites: Iterable[Site], proxies: Mapping[str, Proxy] = NO_PROXIES
) -> Mapping[str, str]:
    """`look_at`, on a reactor that runs once in the life of a process."""
    found: dict[str, str] = {}

    async def look(_: asyncio.Event) -> None:
        found.update(await look_at(crawl, sites, proxies=proxies))

    silence_libraries()
    run_on_reactor(look, threading.Event())
    return found


SECONDS = 30.0
PAGE_SECONDS = 6.0
RENDERING_SECONDS = 75.0
DELAY_SECONDS = 1.0
"""Between two of the few requests; a longer `Crawl-delay` is obeyed."""
NONE: tuple[Request, ...] = ()
LEADS_ELSEWHERE = frozenset({"host", "login", "redirects"})
"""Outcomes of which it helps to know where the site sent us."""


class Pages:
    """What a look asks for."""

    def __init__(
        self, spider: TrialSpider, limit: asyncio.Timeout, *, by_script: bool = False
    ) -> None:
        self._spider, self._limit, self._by_script, self.asked = spider, limit, by_script, 0

    def by_script(self) -> Pages:
        """The same pages as their scripts make them, for which there is more time."""
        self._limit.reschedule(asyncio.get_running_loop().time() + RENDERING_SECONDS)
        return Pages(self._spider, self._limit, by_script=True)

    async def get(self, url: str) -> ProbeResponse:
        """The answer to a request for `url`, redirects followed."""
        try:
            request = Request(
                url, callback=NO_CALLBACK, dont_filter=True, meta={RENDER: self._by_script}
            )
        except ValueError:
            return ProbeResponse(url, "parse")
        try:
            response = await self._ask(request)
        except (IgnoreRequest, *DOWNLOAD_ERRORS) as error:
            outcome, cause = (
                to_error_outcome(error),
                error.cause if isinstance(error, RequestRefusal) else "",
            )
            return ProbeResponse(
                url,
                outcome,
                None,
                cause,
                await self._led_to(url) if outcome in LEADS_ELSEWHERE else "",
            )
        outcome = response_checks.classify_answer(url, response)
        cause = visit_verdict.to_status_reason(response.status) if outcome == "status" else ""
        return ProbeResponse(
            url,
            outcome,
            response,
            cause,
            response.url if outcome == "login" and response.url != url else "",
        )

    async def robots(self, url: str) -> Robots:
        """What robots.txt says of `url`; it is kept, so that the middleware need not ask again."""
        spider, parts = self._spider, urlsplit(url)
        place = f"{parts.scheme}://{parts.netloc}"
        request = Request(
            f"{place}/robots.txt", callback=NO_CALLBACK, dont_filter=True, meta={SKIP: True}
        )
        try:
            response = await self._ask(request)
        except (IgnoreRequest, *DOWNLOAD_ERRORS) as error:
            return Robots(0, False, 0.0, visit_verdict.to_reason(to_error_outcome(error)))
        text, refusal = read_rules(response)
        rules, name = ProtegoRobotParser(text, spider), str(spider.settings["USER_AGENT"])
        spider.visit.robots.put(place, RobotsRules(rules, refusal))
        word = "" if refusal == "robots" else visit_verdict.to_reason(refusal)
        return Robots(
            response.status, rules.allowed(url, name), rules.crawl_delay(name) or 0.0, word
        )

    async def _led_to(self, url: str) -> str:
        """Where `url` redirects to."""
        request = Request(url, callback=NO_CALLBACK, dont_filter=True, meta={"dont_redirect": True})
        try:
            response = await self._ask(request)
        except (IgnoreRequest, *DOWNLOAD_ERRORS):
            return ""
        return (
            urljoin(url, (response.headers.get("Location") or b"").decode("latin-1"))
            if response.status // 100 == 3
            else ""
        )

    async def is_outside(self, host: str) -> bool:
        """Whether a host leads out of this house, as far as can be told."""
        return await is_external(host, PAGE_SECONDS)

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
    seconds, delay = (
        min(PAGE_SECONDS, crawl.download_seconds),
        min(DELAY_SECONDS, site.delay_seconds),
    )
    pace = {
        "DOWNLOAD_DELAY": delay,
        "AUTOTHROTTLE_START_DELAY": delay,
        "AUTOTHROTTLE_MAX_DELAY": SECONDS,
    }
    limits = {"DOWNLOAD_TIMEOUT": seconds, "DNS_TIMEOUT": seconds}
    return {**build_settings(crawl, site), **pace, **limits, "ITEM_PIPELINES": {}}


def fetch(
    crawl: CrawlSettings, site: Site, clock: Clock, act: Act, proxy: Proxy | None = None
) -> bool:
    """Run `act` with the means to ask `site`, on a reactor that runs once in a process; whether
    it came to its end in time.
    """
    tried = ProbeVisit(site, RobotsCache(clock.monotonic), act, proxy, create_browsers(crawl))

    async def run(_: asyncio.Event) -> None:
        await AsyncCrawlerRunner(settings_of(crawl, site)).crawl(
            TrialSpider, name=site.name, visit=tried
        )

    silence_libraries()
    run_on_reactor(run, threading.Event())
    if not (tried.is_over or tried.is_late):  # Scrapy keeps what a spider raises for its log
        raise UnavailableError("the look broke off: please report it")
    return tried.is_over
