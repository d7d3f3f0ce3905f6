"""Obey robots.txt by RFC 9309: refetch it after an hour, and do not read a site that cannot answer.

Scrapy keeps the rules for the life of a crawler, reads a 503 page as rules that allow everything,
and takes a failure for permission. Here 5xx, 429, timeouts and network errors disallow; other 4xx
allow; `Crawl-delay` is obeyed up to AutoThrottle's longest delay.
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
from crawlers.fetching.outcomes import DOWNLOAD_ERRORS, to_error_outcome
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
    """The rules of a host, and the outcome with which they refuse a page: `robots`, or the
    failure.
    """

    parser: RobotParser
    refusal: str = "robots"
    cause: str = ""
    """Why there is no answer, as a word of `crawlers.sites.visit_verdict`."""


@dataclass(slots=True)
class RobotsCache:
    """Rules by host and port, kept for `seconds`; shared by all visits of a process.

    Concurrent requests fetch the rules of a site one time.
    """

    monotonic: Callable[[], float]
    seconds: float = KEEP_SECONDS
    _rules: dict[str, tuple[float, RobotsRules]] = field(default_factory=dict)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    def lock(self, place: str) -> asyncio.Lock:
        """Return the lock for `place` (scheme, host and port), creating it at the first call.

        Hold it while the rules of `place` are looked up and fetched, so that they are fetched one
        time.
        """
        return self._locks.setdefault(place, asyncio.Lock())

    def get(self, place: str) -> RobotsRules | None:
        """Return the rules stored for `place` (scheme, host, port); None if unknown or expired."""
        until, rules = self._rules.get(place, (0.0, None))
        return rules if self.monotonic() < until else None

    def put(self, place: str, rules: RobotsRules, at_most: float | None = None) -> None:
        """Store the rules of `place` (scheme, host and port), replacing those stored before.

        They expire after the cache's `seconds`, or after `at_most` seconds if that is shorter; None
        and 0 mean no shorter time.
        """
        self._rules[place] = (self.monotonic() + min(self.seconds, at_most or self.seconds), rules)


def read_rules(response: Response) -> tuple[bytes, str]:
    """Return the robots.txt text to obey for this response, and the outcome of a refused page.

    2xx gives the first 500 KiB of the body and 4xx but 429 an empty text, which allows all; both
    with the outcome `robots`. Any other status gives a text that forbids all, with `robots_blocked`
    if the response is a challenge, else `robots_unavailable`.
    """
    if 200 <= response.status < 300:
        return response.body[:MAX_BYTES], "robots"
    if 400 <= response.status < 500 and response.status != 429:
        return b"", "robots"
    return DISALLOW_ALL, "robots_blocked" if response_checks.is_challenge(
        response, body=True
    ) else "robots_unavailable"


class TimedRobots(RobotsTxtMiddleware):
    """Scrapy's middleware with our cache and our treatment of failures."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._cache: RobotsCache = crawler.spider.visit.robots  # type: ignore[union-attr]

    async def process_request(self, request: Request) -> None:  # type: ignore[override]
        """Raise RequestRefusal if robots.txt forbids the request's URL to our user agent.

        The reason is `robots`, or the failure that left the rules unknown, with its cause. Requests
        with `dont_obey_robotstxt` in their meta pass unchecked.
        """
        if request.meta.get(SKIP):
            return
        rules = await self.robot_parser(request)
        if not rules.parser.allowed(request.url, self._default_useragent):
            raise RequestRefusal(rules.refusal, rules.cause)

    async def robot_parser(self, request: Request) -> RobotsRules:  # type: ignore[override]
        """Return the rules for the request's scheme, host and port, from the cache or fetched now.

        Fetched rules enter the cache: for an hour, or for a shorter time if the site gave no
        answer. Each call also raises AutoThrottle's shortest delay to the site's `Crawl-delay`.
        Concurrent calls for one place fetch the rules one time only. If they cannot be fetched, the
        rules say so (`refusal`, `cause`); nothing is raised for it.
        """
        parts = urlsplit(request.url)
        place = f"{parts.scheme}://{parts.netloc}"
        async with self._cache.lock(place):
            rules = self._cache.get(place)
            if rules is None:
                text, refusal, cause = await self._fetch(f"{place}/robots.txt")
                rules = RobotsRules(ProtegoRobotParser(text, self.crawler.spider), refusal, cause)
                self._cache.put(place, rules, WAITS.get(refusal))
        self._apply_crawl_delay(rules.parser)
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
            return *read_rules(await self.crawler.engine.download_async(asking)), ""
        except (IgnoreRequest, *DOWNLOAD_ERRORS) as error:
            return (
                DISALLOW_ALL,
                "robots_unreachable",
                visit_verdict.to_reason(to_error_outcome(error)),
            )

    def _apply_crawl_delay(self, rules: RobotParser) -> None:
        """Raise AutoThrottle's shortest delay to `Crawl-delay`."""
        delay, throttle = (
            rules.crawl_delay(self._default_useragent),
            self.crawler.get_extension(AutoThrottle),
        )
        if delay and throttle:
            throttle.mindelay = max(throttle.mindelay, min(delay, throttle.maxdelay))
            for slot in self.crawler.engine.downloader.slots.values():
                slot.delay = max(slot.delay, throttle.mindelay)
