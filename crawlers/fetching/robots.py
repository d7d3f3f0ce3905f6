"""robots.txt as RFC 9309 wants it: asked again after an hour, and a site that cannot answer is not
read.

Scrapy keeps the rules for a crawler's life, reads a 503 page as rules that allow all, and takes a
failure for permission. Here 5xx, 429, timeouts and network errors disallow; 4xx allows;
`Crawl-delay` is obeyed up to AutoThrottle's longest delay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.exceptions import IgnoreRequest
from scrapy.extensions.throttle import AutoThrottle
from scrapy.http import Response
from scrapy.http.request import NO_CALLBACK
from scrapy.robotstxt import ProtegoRobotParser, RobotParser

from crawlers.fetching import RequestRefusal, response_checks
from crawlers.fetching.outcomes import DOWNLOAD_ERRORS, of_error
from crawlers.sites import visit_verdict

MAX_BYTES = 500 * 1024
KEEP_SECONDS, FAILURE_SECONDS = 3600.0, 300.0
"""A site that could not answer is asked again after this time."""
NO_ANSWER_SECONDS = 30.0
"""And one that did not answer at all after this: its other pages need not try, and its return is
soon noticed.
"""
DISALLOW_ALL = b"User-agent: *\nDisallow: /\n"
SKIP = "dont_obey_robotstxt"
WAITS = {
    "robots_blocked": FAILURE_SECONDS,
    "robots_unavailable": FAILURE_SECONDS,
    "robots_unreachable": NO_ANSWER_SECONDS,
}
"""How long an answer holds that is none, at most."""


class RobotsRules(NamedTuple):
    """What holds at a place, and with what outcome a page is refused that it forbids: `robots`,
    or why there is no answer.
    """

    parser: RobotParser
    refusal: str = "robots"
    cause: str = ""
    """Why there is no answer, as a word of `crawlers.sites.visit_verdict`."""


@dataclass(slots=True)
class RobotsCache:
    """Rules by host and port, for `seconds`; shared by the visits of a process.

    Two requests at once ask the site once.
    """

    monotonic: Callable[[], float]
    seconds: float = KEEP_SECONDS
    _rules: dict[str, tuple[float, RobotsRules]] = field(default_factory=dict)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    def lock(self, place: str) -> asyncio.Lock:
        """The lock under which the rules of `place` are fetched."""
        return self._locks.setdefault(place, asyncio.Lock())

    def get(self, place: str) -> RobotsRules | None:
        """The rules of `place`, unless they are too old."""
        until, rules = self._rules.get(place, (0.0, None))
        return rules if self.monotonic() < until else None

    def put(self, place: str, rules: RobotsRules, at_most: float | None = None) -> None:
        """Keep the rules of `place`, for `at_most` seconds if that is shorter."""
        self._rules[place] = (self.monotonic() + min(self.seconds, at_most or self.seconds), rules)


def rules_text(response: Response) -> tuple[bytes, str]:
    """What a robots.txt answer means, and why it refuses: its first 500 KiB, nothing for 4xx,
    all forbidden for anything else.
    """
    if 200 <= response.status < 300:
        return response.body[:MAX_BYTES], "robots"
    if 400 <= response.status < 500 and response.status != 429:
        return b"", "robots"
    return DISALLOW_ALL, "robots_blocked" if response_checks.is_challenge(
        response, body=True
    ) else "robots_unavailable"


class TimedRobots(RobotsTxtMiddleware):
    """Scrapy's middleware with our cache and our reading of failures."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._cache: RobotsCache = crawler.spider.visit.robots  # type: ignore[union-attr]

    async def process_request(self, request: Request) -> None:  # type: ignore[override]
        """Refuse with `robots`, or with why nobody knows what is allowed."""
        if request.meta.get(SKIP):
            return
        rules = await self.robot_parser(request)
        if not rules.parser.allowed(request.url, self._default_useragent):
            raise RequestRefusal(rules.refusal, rules.cause)

    async def robot_parser(self, request: Request) -> RobotsRules:  # type: ignore[override]
        """The rules in force for the request's host and port."""
        parts = urlsplit(request.url)
        place = f"{parts.scheme}://{parts.netloc}"
        async with self._cache.lock(place):
            rules = self._cache.get(place)
            if rules is None:
                text, refusal, cause = await self._fetch(f"{place}/robots.txt")
                rules = RobotsRules(ProtegoRobotParser(text, self.crawler.spider), refusal, cause)
                self._cache.put(place, rules, WAITS.get(refusal))
        self._keep_pace(rules.parser)
        return rules

    async def _fetch(self, url: str) -> tuple[bytes, str, str]:
        asking = Request(
            url,
            priority=self.DOWNLOAD_PRIORITY,
            meta={SKIP: True},
            callback=NO_CALLBACK,
            dont_filter=True,
        )
        try:
            return *rules_text(await self.crawler.engine.download_async(asking)), ""
        except (IgnoreRequest, *DOWNLOAD_ERRORS) as error:
            return DISALLOW_ALL, "robots_unreachable", visit_verdict.to_reason(of_error(error))

    def _keep_pace(self, rules: RobotParser) -> None:
        """Let `Crawl-delay` raise the least delay of AutoThrottle."""
        wanted, throttle = (
            rules.crawl_delay(self._default_useragent),
            self.crawler.get_extension(AutoThrottle),
        )
        if wanted and throttle:
            throttle.mindelay = max(throttle.mindelay, min(wanted, throttle.maxdelay))
            for slot in self.crawler.engine.downloader.slots.values():
                slot.delay = max(slot.delay, throttle.mindelay)
