"""Lease pages, fetch them, let the platform parse them, and pass the result to the pipelines.

There is one spider for all platforms.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Self

from scrapy import Request, Spider, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response
from scrapy.http.request import NO_CALLBACK
from twisted.python.failure import Failure

from crawlers.fetching import RequestRefusal, response_checks
from crawlers.fetching.body_limit import STOPPED
from crawlers.fetching.conditional_requests import (
    build_conditions,
    extract_validators,
    select_headers,
)
from crawlers.fetching.outcomes import DOWNLOAD_ERRORS, RESTS, get_retry_after, to_error_outcome
from crawlers.fetching.scripted_pages import RENDER
from crawlers.frontier.leases import PageLease
from crawlers.sites import visit_verdict
from crawlers.sites.completeness import Absent, learn_absent, pick_absent_ids
from crawlers.sites.page_reader import COUNTED
from crawlers.sites.pages import PARENT, Lacking, PageAddress, PageContent, Post
from crawlers.visiting.visit import Visit
from ullage import log
from ullage.errors import RecordError, UllageError

LEASED, CONDITIONAL = "ullage_leased", "ullage_conditional"

NOT_MODIFIED = 304
LARGE_BYTES = 1 << 19
"""From this size on, a page is parsed in a thread.

It takes tenths of a second, in which pages of other sites are processed.
"""


@dataclass(slots=True)
class PageRead:
    """The item that passes through the pipelines: one page with its content.

    `posts` are the posts that remain to be published.
    """

    leased: PageLease
    parsed: PageContent
    posts: tuple[Post, ...]
    truncated: bool
    size: int = 0
    outcome: str = "ok"
    """One of `response_checks.UNREAD_LISTS` for a list that leads to no post."""
    headers: tuple[tuple[str, str], ...] = ()
    """The headers of the response that `conditional_requests.select_headers` keeps."""
    validators: bytes = b""
    """Values that identify this version to the site (`crawlers.fetching.conditional_requests`)."""


class PageSpider(Spider):
    """The spider of one visit. Scrapy creates it with the visit that it serves."""

    visit: Visit

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        """Create the spider for Scrapy.

        It also receives errors that Scrapy would only log, so that no page stays leased.
        """
        spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider.callback_failed, signal=signals.spider_error)
        crawler.signals.connect(spider.item_failed, signal=signals.item_error)
        return spider

    async def start(self) -> AsyncIterator[Request]:
        """Yield a request for each leased page until the visit is over.

        Scrapy then finishes the pages in progress.
        """
        try:
            while (leased := await self.visit.next_page()) is not None:
                if (request := self._request(leased)) is not None:
                    yield request
        except UllageError as error:
            self.visit.break_off(error)

    def _request(self, leased: PageLease) -> Request | None:
        """Return the request for a page; None where its address is invalid.

        Sites write invalid addresses, which must not end the visit: the page is recorded as failed
        ("parse"). The request is conditional unless the visit is deep, and asks for a browser where
        the site needs `script` and the page is no paste or file.
        """
        headers = {} if self.visit.deep else build_conditions(leased.validators, self.visit.reading)
        is_filled = (
            self.visit.reading.script
            and leased.page.role != "item"
            and PARENT not in leased.page.facts
        )
        meta = {LEASED: leased, CONDITIONAL: bool(headers), RENDER: is_filled}
        try:
            return Request(
                leased.page.url,
                self.read,
                errback=self.not_read,
                headers=dict(headers),
                meta=meta,
                dont_filter=True,
            )
        except ValueError:
            self._tell(leased, "parse")
            return None

    async def read(self, response: Response) -> list[PageRead]:
        """Return the page that a response holds, in a list; [] if nothing of it is to be stored.

        That is so if it is unchanged since the last visit, gone, or could not be read; the visit
        has recorded which. The page of a list whose outcome is one of `UNREAD_LISTS` is returned
        with that outcome.
        """
        visit, leased = self.visit, response.meta[LEASED]
        visit.metrics.bytes.inc(len(response.body))
        visit.metrics.latency.observe(response.meta.get("download_latency", 0.0))
        if response.status == NOT_MODIFIED and response.meta[CONDITIONAL]:
            visit.unchanged(leased)
            return []
        if len(response.body) < LARGE_BYTES:
            outcome, parsed = self._parsed(leased, response)
        else:
            async with visit.one_large:
                outcome, parsed = await asyncio.to_thread(self._parsed, leased, response)
        if (
            COUNTED in leased.page.facts
            and outcome in {"ok", "empty"}
            and await self._is_absent(leased.page, response)
        ):
            outcome = "gone"
        if outcome != "ok" and not (
            outcome in response_checks.UNREAD_LISTS and leased.page.role == "list"
        ):
            wait = get_retry_after(response, visit.clock.wall()) if outcome in RESTS else None
            self._tell(
                leased,
                outcome,
                wait,
                visit_verdict.to_status_reason(response.status) if outcome == "status" else "",
            )
            return []
        size, headers, truncated = (
            len(response.body),
            select_headers(response),
            STOPPED in response.flags,
        )
        cut: Lacking = "too_large" if truncated and leased.page.role != "item" else ""
        parsed = replace(parsed, whole=not truncated, lacking=parsed.lacking or cut)
        is_complete_list = (
            leased.page.role == "list" and outcome == "ok" and not (truncated or parsed.lacking)
        )
        validators = extract_validators(response, visit.reading) if is_complete_list else b""
        return [
            PageRead(leased, parsed, parsed.posts, truncated, size, outcome, headers, validators)
        ]

    async def _is_absent(self, page: PageAddress, response: Response) -> bool:
        """Return whether a paste with a guessed number does not exist.

        The answer is compared with those for two numbers that certainly do not exist.
        """
        visit, urls = self.visit, page.facts[COUNTED].split()
        if visit.absent is None:
            numbers = map(str, pick_absent_ids(page.number))
            bodies = [
                (await self._body(url), number) for url, number in zip(urls, numbers, strict=False)
            ]
            visit.absent = learn_absent(
                [(body, number) for body, number in bodies if body is not None]
            ) or Absent(())
        return not response.body.strip() or visit.absent.is_like(response.body, page.facts["id"])

    async def _body(self, url: str) -> bytes | None:
        """Return the body that the site answers for `url`; None where it is no normal page."""
        try:
            response = await self.crawler.engine.download_async(
                Request(url, callback=NO_CALLBACK, dont_filter=True)
            )
        except (IgnoreRequest, *DOWNLOAD_ERRORS):
            return None
        return response.body if response_checks.classify_answer(url, response) == "ok" else None

    def _parsed(self, leased: PageLease, response: Response) -> tuple[str, PageContent]:
        """Return the outcome of a response and its content, without changing the visit."""
        outcome, parsed = response_checks.classify_answer(leased.page.url, response), PageContent()
        if outcome == "ok":
            parsed = self.visit.platform.parse(leased.page, response, self.visit.site)
            outcome = response_checks.classify_page(leased, response, parsed, self.visit.site)
        return outcome, parsed

    def not_read(self, failure: Failure) -> None:
        """Record the outcome of a request that got no response."""
        request: Request = failure.request  # type: ignore[attr-defined]
        cause = failure.value.cause if isinstance(failure.value, RequestRefusal) else ""
        self._tell(request.meta[LEASED], to_error_outcome(failure.value), cause=cause)

    def callback_failed(self, failure: Failure, response: Response) -> None:
        """Record a page that the platform failed to parse."""
        self._report(failure)
        self._tell(response.meta[LEASED], "parse")

    def item_failed(self, item: PageRead, failure: Failure) -> None:
        """Handle a pipeline that failed.

        A page that can never become a record (RecordError) is given up as "too_large", so that
        nobody can end a visit by what they post. Any other error of ullage ends the visit, and the
        page is fetched again later. An unexpected error counts as "parse" for this page only.
        """
        self._report(failure)
        if isinstance(failure.value, RecordError):
            self._tell(item.leased, "too_large")
            return
        if isinstance(failure.value, UllageError):
            self.visit.break_off(failure.value)
        self._tell(item.leased, "parse")

    def _tell(
        self, leased: PageLease, outcome: str, wait: float | None = None, cause: str = ""
    ) -> None:
        """Report the outcome of a page to the visit; end the visit if that fails."""
        try:
            self.visit.failed(leased, outcome, wait, cause)
        except UllageError as error:
            self.visit.break_off(error)

    def _report(self, failure: Failure) -> None:
        kind = failure.type.__name__ if failure.type else "unknown"
        log.get("crawl").warning(
            "page_failed", site=self.visit.site.name, platform=self.visit.site.platform, error=kind
        )
