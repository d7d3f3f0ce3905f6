"""Probe one site with a few requests, or many sites with one each, by the rules of a visit.

A check sends one request per origin of `start`: for robots.txt, or for the list if the site's file
says that robots.txt is not obeyed. Several sites are checked at a time, all within `ALL_SECONDS`. A
probe of one site takes at most `SECONDS` and each response `PAGE_SECONDS`, since a person waits for
it; pages that a browser renders have `RENDERING_SECONDS`.
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
    """The result of checking a site: a word of `visit_verdict` per faulty request."""

    site: Site
    proxy: Proxy | None = None
    resolved: Resolved = field(default_factory=dict)
    words: list[str] = field(default_factory=list)


class LookSpider(Spider):
    """The spider of a check; the middlewares find the site in its attribute `visit`."""

    visit: Look

    async def start(self) -> AsyncIterator[Request]:
        """Yield the requests."""
        for url in list_requests(self.visit.site):
            yield Request(url, self.answered, errback=self.failed, dont_filter=True)

    def answered(self, response: Response) -> None:
        """Record a fault that a response shows."""
        if word := self._judge_response(response):
            self.visit.words.append(word)

    def failed(self, failure: Failure) -> None:
        """Record a failed request."""
        self.visit.words.append(visit_verdict.to_reason(to_error_outcome(failure.value)))

    def _judge_response(self, response: Response) -> str:
        """Return the reason word of a faulty response; "" for a good one.

        For a site that obeys robots.txt the response is that file, and its reason is that the start
        address is forbidden; a file without such a rule is good.
        """
        site, requested_url = (
            self.visit.site,
            response.request.url if response.request else response.url,
        )
        if not site.robots:
            outcome = response_checks.classify_answer(requested_url, response)
            return (
                ""
                if outcome == "ok"
                else visit_verdict.to_reason(outcome, _to_cause(outcome, response))
            )
        text, refusal = read_rules(response)
        rules, name = ProtegoRobotParser(text, self), str(self.settings["USER_AGENT"])
        forbidden = [
            url
            for url in site.start
            if _build_robots_url(url) in _list_requested_urls(response)
            and not rules.allowed(url, name)
        ]
        return visit_verdict.to_reason(refusal) if forbidden else ""


def list_requests(site: Site) -> tuple[str, ...]:
    """Return the addresses to check: robots.txt of each origin, or its first list."""
    first: dict[str, str] = {}
    for url in site.start:
        first.setdefault(_build_robots_url(url), url)
    return tuple(first) if site.robots else tuple(first.values())


def _build_robots_url(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.lower()}/robots.txt"


def _list_requested_urls(response: Response) -> set[str]:
    """Return the addresses that led to this response, redirects included."""
    request = response.request
    return {
        response.url,
        *((request.url, *request.meta.get("redirect_urls", ())) if request else ()),
    }


def _to_cause(outcome: str, response: Response) -> str:
    return visit_verdict.to_status_reason(response.status) if outcome == "status" else ""


def build_check_settings(crawl: CrawlSettings, site: Site) -> dict[str, Any]:
    """Return Scrapy's settings of a visit without those that only a visit needs."""
    visit_settings = build_settings(crawl, site)
    middlewares = {
        **visit_settings["DOWNLOADER_MIDDLEWARES"],
        "crawlers.fetching.robots.TimedRobots": None,
    }
    seconds = min(LOOK_SECONDS, crawl.download_seconds)
    return {
        **visit_settings,
        "DOWNLOADER_MIDDLEWARES": middlewares,
        "ITEM_PIPELINES": {},
        "DOWNLOAD_TIMEOUT": seconds,
        "DOWNLOAD_DELAY": 0,
        "AUTOTHROTTLE_ENABLED": False,
    }


async def _check_site(
    crawl: CrawlSettings, site: Site, permits: asyncio.Semaphore, proxy: Proxy | None
) -> str:
    look = Look(site, proxy)
    async with permits:
        await AsyncCrawlerRunner(build_check_settings(crawl, site)).crawl(
            LookSpider, name=site.name, visit=look
        )
    return min(look.words, default="")


async def check_sites(
    crawl: CrawlSettings,
    sites: Iterable[Site],
    seconds: float = ALL_SECONDS,
    proxies: Mapping[str, Proxy] = NO_PROXIES,
) -> dict[str, str]:
    """Return the reason word of each faulty site, "" for a good one.

    Sites that were not checked in time are missing.
    """
    permits = asyncio.Semaphore(SIDE_BY_SIDE)
    tasks = {
        site.name: asyncio.ensure_future(_check_site(crawl, site, permits, proxies.get(site.proxy)))
        for site in sites
    }
    finished, late = await asyncio.wait(tasks.values(), timeout=seconds)
    for task in late:
        task.cancel()
    return {name: task.result() for name, task in tasks.items() if task in finished}


def run_checks(
    crawl: CrawlSettings, sites: Iterable[Site], proxies: Mapping[str, Proxy] = NO_PROXIES
) -> Mapping[str, str]:
    """Run `check_sites` on a reactor, which can run only once per process."""
    words: dict[str, str] = {}

    async def look(_: asyncio.Event) -> None:
        words.update(await check_sites(crawl, sites, proxies=proxies))

    silence_libraries()
    run_on_reactor(look, threading.Event())
    return words


SECONDS = 30.0
PAGE_SECONDS = 6.0
RENDERING_SECONDS = 75.0
DELAY_SECONDS = 1.0
"""The pause between two requests of a probe; a longer `Crawl-delay` is obeyed."""
NONE: tuple[Request, ...] = ()
LEADS_ELSEWHERE = frozenset({"host", "login", "redirects"})
"""Outcomes for which the target of the redirect is reported."""


class Pages:
    """The requests of a probe."""

    def __init__(
        self, spider: TrialSpider, limit: asyncio.Timeout, *, by_script: bool = False
    ) -> None:
        self._spider, self._limit, self._by_script, self.asked = spider, limit, by_script, 0

    def by_script(self) -> Pages:
        """Return the same requests with rendered pages, for which there is more time."""
        self._limit.reschedule(asyncio.get_running_loop().time() + RENDERING_SECONDS)
        return Pages(self._spider, self._limit, by_script=True)

    async def get(self, url: str) -> ProbeResponse:
        """Request `url`, follow redirects, and return the response or the outcome of the failure.

        A failed request raises nothing, nor does an invalid address (`parse`). The result names
        where the site led to if that explains the failure.
        """
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
                await self._find_redirect(url) if outcome in LEADS_ELSEWHERE else "",
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
        """Return the rules of robots.txt for `url`, and cache them for the middleware.

        If the request fails, the result has status 0, forbids the address and gives the reason;
        nothing is raised or cached.
        """
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

    async def _find_redirect(self, url: str) -> str:
        """Return where `url` redirects to; "" if it does not."""
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
        """Return whether a host is known to be outside of the organization."""
        return await is_external(host, PAGE_SECONDS)

    async def _ask(self, request: Request) -> Response:
        self.asked += 1
        response: Response = await self._spider.crawler.engine.download_async(request)
        return response


Act = Callable[[Pages], Awaitable[None]]


@dataclass(slots=True)
class ProbeVisit:
    """The replacement for a visit that the middlewares use."""

    site: Site
    robots: RobotsCache
    act: Act
    proxy: Proxy | None = None
    browsers: Browsers | None = None
    resolved: Resolved = field(default_factory=dict)
    is_over: bool = False
    is_late: bool = False


class TrialSpider(Spider):
    """The spider of a probe, which ends with the probe."""

    visit: ProbeVisit

    async def start(self) -> AsyncIterator[Request]:
        """Run the probe for at most SECONDS (30 s); the spider has no requests of its own.

        Sets `is_over` of the visit if the probe ended, `is_late` if its time was over.
        """
        try:
            async with asyncio.timeout(SECONDS) as limit:
                await self.visit.act(Pages(self, limit))
            self.visit.is_over = True
        except TimeoutError:
            self.visit.is_late = True
        for request in NONE:
            yield request


def build_probe_settings(crawl: CrawlSettings, site: Site) -> dict[str, Any]:
    """Return Scrapy's settings of a visit, with shorter time limits."""
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
    """Run `act`, which may send requests to `site`; return whether it finished in time.

    Silences the logging of libraries. It runs on a reactor, which can run only once per process.
    Raises UnavailableError if `act` failed.
    """
    tried = ProbeVisit(site, RobotsCache(clock.monotonic), act, proxy, create_browsers(crawl))

    async def run(_: asyncio.Event) -> None:
        await AsyncCrawlerRunner(build_probe_settings(crawl, site)).crawl(
            TrialSpider, name=site.name, visit=tried
        )

    silence_libraries()
    run_on_reactor(run, threading.Event())
    if not (tried.is_over or tried.is_late):  # Scrapy keeps what a spider raises for its log
        raise UnavailableError("the examination failed: please report it")
    return tried.is_over
