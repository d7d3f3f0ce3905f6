"""The scripted world that is read: paste sites whose posts come, go and are edited, and chats that
are handed in.

A site has moods at which it is down, walled, slow, or laid out anew. Whoever reads it fetches as
the spider does, page by page, through the spider's own callbacks and the product's own pipelines;
only the transport is not there.
"""

from __future__ import annotations

import asyncio
import inspect
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from scrapy import Request
from scrapy.exceptions import DownloadConnectionRefusedError, DownloadTimeoutError
from scrapy.http import Headers, Response
from scrapy.responsetypes import responsetypes
from twisted.python.failure import Failure

from crawlers.visiting.publish import PublishPipeline, SeenPipeline
from crawlers.visiting.spider import PageRead, PageSpider
from crawlers.visiting.visit import Visit
from harness.simulate.timeline import Timeline
from ullage.settings import CrawlSettings

REVISIT_SECONDS = 900
LATENCY_SECONDS, SLOW_SECONDS = 0.3, 25.0
MENU = (
    "<nav>"
    + "".join(f"<a href='/help/{n}.html'>how this place works, part {n}</a>" for n in range(20))
    + "</nav>"
)
"""A page without any of what stands around a list is taken for an empty list."""
SITE = """\
platform = "raw_paste"
start = ["http://{name}.example/archive"]
revisit_seconds = {revisit}
delay_seconds = 0
legal_basis = "synthetic people"
owner = "the night"
watch = true
"""
CHAT = """\
platform = "ingest"
category = "chat"
legal_basis = "synthetic people"
owner = "the night"
"""


@dataclass
class Post:
    """Something that is put up: `at` and, where it goes again, `gone` in virtual seconds."""

    id: str
    text: str
    at: float
    gone: float = float("inf")
    author: str = ""
    people: tuple[int, ...] = ()
    """Customers that it shows, by number."""

    @property
    def stays(self) -> bool:
        """Whether it can be read when all is well again."""
        return self.gone == float("inf")

    def is_up(self, now: float) -> bool:
        """Return whether the post can be read now."""
        return self.at <= now < self.gone


@dataclass
class Site:
    """A paste site. `moods` are spans of virtual time with what is wrong in them."""

    name: str
    timeline: Timeline
    posts: list[Post] = field(default_factory=list)
    moods: list[tuple[float, float, str]] = field(default_factory=list)
    listed: list[float] = field(default_factory=list)
    """When its list was read as it should be."""
    read: set[str] = field(default_factory=set)
    """Posts that somebody was given."""

    @property
    def mood(self) -> str:
        """What is wrong with it now, "" for nothing."""
        now = self.timeline.now
        return next((mood for since, until, mood in self.moods if since <= now < until), "")

    def answer(self, path: str, known: bytes = b"") -> tuple[int, bytes, str]:
        """Status, body and media type, 304 where the body has the tag that is `known`; raises as
        a download does.
        """
        mood, now = self.mood, self.timeline.now
        if mood == "down":
            raise DownloadConnectionRefusedError("refused")
        if mood == "hangs":
            raise DownloadTimeoutError("no answer")
        if mood == "wall":
            return (
                403,
                (
                    b"<html><title>Just a moment...</title><script"
                    b" src='/cdn-cgi/challenge-platform/x.js'></script></html>"
                ),
                "text/html",
            )
        if mood == "error":
            return 500, b"internal error", "text/plain"
        if path == "/archive":
            listed = self._list(now, new_layout=mood == "layout")
            return (
                (304, b"", "")
                if tag(listed) == known
                else (200, listed, "text/html; charset=utf-8")
            )
        post = next(
            (post for post in self.posts if f"/raw/{post.id}" == path and post.is_up(now)), None
        )
        if post is None:
            return 404, b"", "text/html"
        self.read.add(post.id)
        return 200, post.text.encode(), "text/plain; charset=utf-8"

    def _list(self, now: float, *, new_layout: bool) -> bytes:
        up = [post for post in reversed(self.posts) if post.is_up(now)]
        link = (
            "<li><a href='/view.php?paste={0}'>paste</a>"
            if new_layout
            else "<li><a href='/{0}'>paste {0}</a>"
        )
        if not new_layout:
            self.listed.append(now)
        return (
            f"<html>{MENU}<ul>{''.join(link.format(post.id) for post in up)}</ul></html>".encode()
        )


def tag(body: bytes) -> bytes:
    """Return the entity tag of a response."""
    return b'"%08x"' % zlib.crc32(body)


Read = Callable[[CrawlSettings, Visit], Any]


def reader(timeline: Timeline, sites: dict[str, Site]) -> Read:
    """Return a reader of a visit's pages from `sites`, in place of Scrapy's downloader."""

    async def read(_crawl: CrawlSettings, visit: Visit) -> None:
        spider = PageSpider(name=visit.site.name, visit=visit)
        pipelines = SeenPipeline(visit), PublishPipeline(visit)
        async for request in spider.start():
            site = sites[visit.site.name]
            await asyncio.sleep(SLOW_SECONDS if site.mood in {"slow", "hangs"} else LATENCY_SECONDS)
            try:
                response = _response(request, site)
            except Exception as error:  # noqa: BLE001 - as a download fails
                failure = _failure(error)
                failure.request = request  # type: ignore[attr-defined]  # as Scrapy sets it
                spider.not_read(failure)
                continue
            for item in await _items(spider, response):
                await _through(spider, pipelines, item)

    return read


def _response(request: Request, site: Site) -> Response:
    path = "/" + request.url.partition("://")[2].partition("/")[2]
    status, body, media = site.answer(path, request.headers.get("If-None-Match") or b"")
    headers = Headers({"Content-Type": media, "ETag": tag(body)})
    kind = responsetypes.from_args(headers=headers, url=request.url, body=body)
    return kind(request.url, status=status, headers=headers, body=body, request=request)


async def _items(spider: PageSpider, response: Response) -> list[PageRead]:
    try:
        return await spider.read(response)
    except Exception as error:  # noqa: BLE001 - as Scrapy tells of it
        spider.callback_failed(_failure(error), response)
        return []


async def _through(spider: PageSpider, pipelines: tuple[Any, ...], item: PageRead) -> None:
    try:
        for pipeline in pipelines:
            result = pipeline.process_item(item)
            item = await result if inspect.isawaitable(result) else result
    except Exception as error:  # noqa: BLE001 - as Scrapy tells of it
        spider.item_failed(item, _failure(error))


def _failure(error: Exception) -> Failure:
    return Failure(error)  # type: ignore[no-untyped-call]  # Twisted's constructor has no types
