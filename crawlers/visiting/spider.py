"""The one spider: it leases pages, fetches them, lets the platform parse them, and hands what it
read to the pipelines.
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
from crawlers.frontier.database import PageLease
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
"""A page from this size on is read in a thread: it takes tenths of a second, and pages of other
sites go on.
"""


@dataclass(slots=True)
class PageRead:
    """The item that goes through the pipelines: one page, read.

    `posts` is what is still to be captured.
    """

    leased: PageLease
    parsed: PageContent
    posts: tuple[Post, ...]
    truncated: bool
    size: int = 0
    outcome: str = "ok"
    """Of `signs.UNREAD_LISTS` for a list that leads to nothing."""
    headers: tuple[tuple[str, str], ...] = ()
    """Of the response, as far as `answered` keeps them."""
    validators: bytes = b""
    """By what the site knows this answer (`crawlers.fetching.conditional_requests`)."""


class PageSpider(Spider):
    """Created by Scrapy with the visit that it serves."""

    visit: Visit

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        """Listen to errors that Scrapy would only log, so that no page stays in hand."""
        spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider.callback_failed, signal=signals.spider_error)
        crawler.signals.connect(spider.item_failed, signal=signals.item_error)
        return spider

    async def start(self) -> AsyncIterator[Request]:
        """A request a leased page; ends when the visit does, and Scrapy then finishes what is in
        hand.
        """
        try:
            while (leased := await self.visit.next_page()) is not None:
                if (request := self._request(leased)) is not None:
                    yield request
        except UllageError as error:
            self.visit.break_off(error)

    def _request(self, leased: PageLease) -> Request | None:
        """The request for a page; None where a site wrote something that is no address, which
        must not end the visit.
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
        """What a response holds; nothing for an error status, of which the frontier is told."""
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
        known = leased.page.role == "list" and outcome == "ok" and not (truncated or parsed.lacking)
        kept = extract_validators(response, visit.reading) if known else b""
        return [PageRead(leased, parsed, parsed.posts, truncated, size, outcome, headers, kept)]

    async def _is_absent(self, page: PageAddress, response: Response) -> bool:
        """Whether a paste that was counted up to is not there, by how the site answers for two
        that surely are not.
        """
        visit, urls = self.visit, page.facts[COUNTED].split()
        if visit.absent is None:
            numbers = map(str, pick_absent_ids(page.number))
            asked = [
                (await self._body(url), number) for url, number in zip(urls, numbers, strict=False)
            ]
            visit.absent = learn_absent(
                [(body, number) for body, number in asked if body is not None]
            ) or Absent(())
        return not response.body.strip() or visit.absent.is_like(response.body, page.facts["id"])

    async def _body(self, url: str) -> bytes | None:
        """What the site answers for `url`, None where it does not with 200."""
        try:
            response = await self.crawler.engine.download_async(
                Request(url, callback=NO_CALLBACK, dont_filter=True)
            )
        except (IgnoreRequest, *DOWNLOAD_ERRORS):
            return None
        return response.body if response_checks.classify_answer(url, response) == "ok" else None

    def _parsed(self, leased: PageLease, response: Response) -> tuple[str, PageContent]:
        """The outcome of a response and what it holds; touches nothing of the visit."""
        outcome, parsed = response_checks.classify_answer(leased.page.url, response), PageContent()
        if outcome == "ok":
            parsed = self.visit.platform.parse(leased.page, response, self.visit.site)
            outcome = response_checks.classify_page(leased, response, parsed, self.visit.site)
        return outcome, parsed

    def not_read(self, failure: Failure) -> None:
        """A request that brought no response."""
        request: Request = failure.request  # type: ignore[attr-defined]
        cause = failure.value.cause if isinstance(failure.value, RequestRefusal) else ""
        self._tell(request.meta[LEASED], to_error_outcome(failure.value), cause=cause)

    def callback_failed(self, failure: Failure, response: Response) -> None:
        """The platform could not make sense of a page."""
        self._report(failure)
        self._tell(response.meta[LEASED], "parse")

    def item_failed(self, item: PageRead, failure: Failure) -> None:
        """A pipeline failed: an error that is ours ends the visit, with the page left to be fetched
        again.

        What can never be a record is given up instead: nobody who may post on a site ends a visit
        by what he posts.
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
        """Tell the visit what became of a page; if even that fails, end it."""
        try:
            self.visit.failed(leased, outcome, wait, cause)
        except UllageError as error:
            self.visit.break_off(error)

    def _report(self, failure: Failure) -> None:
        kind = failure.type.__name__ if failure.type else "unknown"
        log.get("crawl").warning(
            "page_failed", site=self.visit.site.name, platform=self.visit.site.platform, error=kind
        )
