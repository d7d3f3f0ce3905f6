"""One look at each site, for `ullage check`: does it answer, and does it let us read?

One request for each origin of `start`: robots.txt, or the list itself where the site's file says that robots.txt is not obeyed;
with the same guard, pinned address and name as a visit. Several sites at a time, all within `ALL_SECONDS`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from scrapy import Request, Spider
from scrapy.crawler import AsyncCrawlerRunner
from scrapy.http import Response
from scrapy.robotstxt import ProtegoRobotParser
from twisted.python.failure import Failure

from crawlers.fetching import response_checks
from crawlers.fetching.address_pin import Resolved
from crawlers.fetching.library_logs import silence_libraries
from crawlers.fetching.middlewares.robots import rules_text
from crawlers.fetching.outcomes import of_error
from crawlers.fetching.proxy import Proxy
from crawlers.fetching.reactor import drive
from crawlers.fetching.scrapy_settings import scrapy_settings
from crawlers.sites import reasons
from crawlers.sites.site import Site
from ullage.settings import CrawlSettings

SIDE_BY_SIDE = 16
LOOK_SECONDS = 10.0
ALL_SECONDS = 60.0
NO_PROXIES: Mapping[str, Proxy] = {}


@dataclass(slots=True)
class Look:
    """What came of the look at one site: words of `crawlers.sites.reasons`, one a request that found a fault."""

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
        self.visit.words.append(reasons.of_outcome(of_error(failure.value)))

    def _word(self, response: Response) -> str:
        """What an answer says against the site, "" where it says nothing."""
        site, asked = self.visit.site, response.request.url if response.request else response.url
        if not site.robots:
            outcome = response_checks.of_answer(asked, response)
            return "" if outcome == "ok" else reasons.of_outcome(outcome, _status(outcome, response))
        text, refusal = rules_text(response)
        rules, name = ProtegoRobotParser(text, self), str(self.settings["USER_AGENT"])
        forbidden = [url for url in site.start if _robots_of(url) in _origins(response) and not rules.allowed(url, name)]
        return reasons.of_outcome(refusal) if forbidden else ""


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
    return {response.url, *((request.url, *request.meta.get("redirect_urls", ())) if request else ())}


def _status(outcome: str, response: Response) -> str:
    return reasons.of_status(response.status) if outcome == "status" else ""


def settings_of(crawl: CrawlSettings, site: Site) -> dict[str, Any]:
    """As for a visit, without what is of a visit alone."""
    known = scrapy_settings(crawl, site)
    middlewares = {**known["DOWNLOADER_MIDDLEWARES"], "crawlers.fetching.middlewares.robots.TimedRobots": None}
    seconds = min(LOOK_SECONDS, crawl.download_seconds)
    return {
        **known,
        "DOWNLOADER_MIDDLEWARES": middlewares,
        "ITEM_PIPELINES": {},
        "DOWNLOAD_TIMEOUT": seconds,
        "DOWNLOAD_DELAY": 0,
        "AUTOTHROTTLE_ENABLED": False,
    }


async def _look(crawl: CrawlSettings, site: Site, permits: asyncio.Semaphore, proxy: Proxy | None) -> str:
    look = Look(site, proxy)
    async with permits:
        await AsyncCrawlerRunner(settings_of(crawl, site)).crawl(LookSpider, name=site.name, visit=look)
    return min(look.words, default="")


async def look_at(
    crawl: CrawlSettings, sites: Iterable[Site], seconds: float = ALL_SECONDS, proxies: Mapping[str, Proxy] = NO_PROXIES
) -> dict[str, str]:
    """By site what speaks against it, "" for nothing; a site that is left out was not looked at in time."""
    permits = asyncio.Semaphore(SIDE_BY_SIDE)
    tasks = {site.name: asyncio.ensure_future(_look(crawl, site, permits, proxies.get(site.proxy))) for site in sites}
    done, late = await asyncio.wait(tasks.values(), timeout=seconds)
    for task in late:
        task.cancel()
    return {name: task.result() for name, task in tasks.items() if task in done}


def looks(crawl: CrawlSettings, sites: Iterable[Site], proxies: Mapping[str, Proxy] = NO_PROXIES) -> Mapping[str, str]:
    """`look_at`, on a reactor that runs once in the life of a process."""
    found: dict[str, str] = {}

    async def look(_: asyncio.Event) -> None:
        found.update(await look_at(crawl, sites, proxies=proxies))

    silence_libraries()
    drive(look, threading.Event())
    return found
