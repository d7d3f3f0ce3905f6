"""Drop known posts, publish new ones and deletions, then mark the page as done.

The frontier keeps a page in progress until its posts are durable on the bus. A crash, or a bus
that is down, therefore only delays them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Self

from scrapy.crawler import Crawler

from crawlers.publishing.outbox import new_id
from crawlers.sites.pages import Post
from crawlers.visiting.spider import PageRead
from crawlers.visiting.visit import Visit
from ullage import log
from ullage.clock import Backoff
from ullage.errors import UnavailableError
from ullage.monitoring.metrics import BUS
from ullage.records import MAX_BODY_BYTES, Capture

AT_ONCE = 500


async def publish_deletions(visit: Visit) -> None:
    """Publish, for each deleted post that was not yet reported, a capture with `deleted` set.

    Includes deletions that earlier visits found; at most AT_ONCE (500) are published at a time.
    While the bus is down this logs a warning and returns; the rest is published after the next
    visit.
    """
    site = visit.site
    while gone := visit.frontier.find_unreported_gone(site.name, AT_ONCE):
        try:
            await visit.appends.append(
                visit.outbox, [_capture(visit, named, at) for named, at in gone]
            )
        except UnavailableError as error:
            log.get("crawl").warning("waiting", site=site.name, error=str(error))
            return
        visit.frontier.mark_reported_gone(site.name, gone)


def _capture(visit: Visit, named: bytes, at: float) -> Capture:
    return Capture(
        id=new_id(),
        site=visit.site.name,
        platform=visit.site.platform,
        post_id=named.hex(),
        post_name=named.hex(),
        url="",
        fetched_at=datetime.fromtimestamp(at, UTC),
        category=visit.site.category,
        deleted=True,
        body=b"",
    )


class SeenPipeline:
    """A Scrapy pipeline that drops the posts that the frontier already knows."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Create the pipeline for Scrapy."""
        return cls(crawler.spider.visit)  # type: ignore[union-attr]

    def process_item(self, item: PageRead) -> PageRead:
        """Set `item.posts` to the page's posts that the frontier does not know; return `item`.

        Equal posts are kept one time. A new version of a known post is kept, with `edited` set.
        """
        name = self._visit.site.name
        item.posts = self._visit.frontier.unseen(name, tuple(dict.fromkeys(item.parsed.posts)))
        self._visit.metrics.seen.inc(len(item.parsed.posts) - len(item.posts))
        return item


MAX_TEXT, MAX_URL = 2000, 8000
"""The most characters to keep of a title, an author or a name, and of an address.

Anything longer is an attack or a mistake.
"""


class PublishPipeline:
    """A Scrapy pipeline that publishes the posts of a page.

    It waits while the bus is down. The page stays leased meanwhile, so that no more pages are
    fetched than can be kept.
    """

    def __init__(self, visit: Visit) -> None:
        self._visit = visit

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Create the pipeline for Scrapy."""
        return cls(crawler.spider.visit)  # type: ignore[union-attr]

    async def process_item(self, item: PageRead) -> PageRead:
        """Publish `item.posts`, record the page as read in the visit, and return `item`.

        Publishing comes first, so a page is recorded only when its captures are durable. While the
        bus is down, it tries again after growing pauses, without end. Counts captures whose text
        was cut.
        """
        captures = [self._capture(post, item) for post in item.posts]
        await self._append(captures)
        for post in item.posts:
            self._visit.seen.texts.note_new(post)
        self._visit.finished(
            item.leased, item.parsed, len(captures), item.size, item.outcome, item.validators
        )
        self._visit.metrics.truncated.inc(sum(c.truncated for c in captures))
        return item

    async def _append(self, captures: Sequence[Capture]) -> None:
        backoff, reached = Backoff(), self._visit.metrics.loop.record_reachability
        while True:
            try:
                await self._visit.appends.append(self._visit.outbox, captures)
            except UnavailableError as error:
                reached(BUS, False)
                wait = backoff.next(error.retry_after)
                log.get("crawl").warning(
                    "waiting", site=self._visit.site.name, error=str(error), wait=round(wait, 1)
                )
                await asyncio.sleep(wait)
            else:
                return reached(BUS, True)

    def _capture(self, post: Post, item: PageRead) -> Capture:
        site = self._visit.site
        return Capture(
            id=new_id(),
            site=site.name,
            platform=site.platform,
            post_id=post.post_id,
            post_name=self._visit.frontier.post_name(site.name, post),
            url=_cut(post.url, MAX_URL),
            section=site.find_section(post.url),
            title=_cut(post.title),
            author=_cut(post.author),
            published_at=post.published_at,
            fetched_at=self._visit.clock.now(),
            kind=post.kind,
            category=site.category,
            media_type=post.media_type,
            charset=post.charset,
            truncated=item.truncated or len(post.body) > MAX_BODY_BYTES,
            channel=_cut(post.channel),
            thread=_cut(post.thread),
            reply_to=_cut(post.reply_to),
            edited=post.edited,
            parent=_cut(post.parent),
            attachments=tuple(map(_cut, post.attachments)),
            headers=item.headers,
            body=post.body[:MAX_BODY_BYTES],
        )


def _cut(text: str, most: int = MAX_TEXT) -> str:
    """Return at most the first `most` characters of `text`, without lone surrogates.

    JSON can hold lone surrogates and records cannot; without this they would hide a post.
    """
    return text[:most].encode("utf-8", "replace").decode()
