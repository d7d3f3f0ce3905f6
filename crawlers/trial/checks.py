"""Whether guessed options read all that a few pages show, before a file is written: one sentence for each thing that is short."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

from lxml.html import HtmlElement  # type: ignore[import-untyped]  # it has no types
from scrapy.http import TextResponse

from crawlers.platforms.board import PLATFORM
from crawlers.sites import selectors
from crawlers.sites.pages import PageAddress, Post
from crawlers.sites.site import Site
from crawlers.trial import posts
from crawlers.trial.answer import ProbeResponse

LEAST_SHARE = 0.7
LONG = 25
"""So much of the long texts that threads do not share, dates and links apart, must posts hold; so many bytes are long."""
MOST_LINKS = 0.5
"""Of the text of posts, so much may be that of links."""


def doubts(site: Site, read: Sequence[tuple[PageAddress, ProbeResponse]]) -> Iterator[str]:
    """What is short of some pages of a site."""
    roots = {answer.url: _root(answer) for page, answer in read if page.role == "thread" and page.number == 1}
    texts = [{text.strip() for text in root.itertext()} for root in roots.values() if root is not None]
    same = set.intersection(*texts) if len(texts) > 1 else set[str]()
    for page, answer in read:
        if answer.response is None or not isinstance(answer.response, TextResponse):
            continue
        parsed = PLATFORM.parse(page, answer.response, site)
        if parsed.shortfall:
            yield parsed.shortfall
        if page.role != "thread" or page.number > 1:
            continue
        says = int(page.facts["posts"]) if page.facts.get("posts", "").isdecimal() else parsed.counted
        goes_on = any(one.number > 1 and one.role == "thread" for one in parsed.pages)
        if says is not None and says > len(parsed.posts) and not goes_on:
            yield f"reads {len(parsed.posts)} of {says} posts"
        elif (root := roots.get(answer.url)) is not None and len(texts) > 1:
            told = same | {
                " ".join(title.split()) for title in (page.facts.get("title", ""), *root.xpath("//h1//text() | //title/text()"))
            }
            whole = _long(posts.said_in(posts.body(root)), told)
            held = sum(_long(posts.said_in(selectors.html(_page(post.body)).root.root), told) for post in parsed.posts)
            if _links(parsed.posts) >= MOST_LINKS:
                yield "what was taken for posts is mostly links, as of a list"
            elif held < LEAST_SHARE * whole:
                yield f"reads {held * 100 // whole} percent of the text of a thread"


def _links(found: Sequence[Post]) -> float:
    """How much of the text of posts is that of links."""
    roots = [selectors.html(_page(post.body)).root.root for post in found]
    linked = sum(len(posts.text(link)) for root in roots for link in root.iter("a"))
    return linked / max(1, sum(len(posts.text(root)) for root in roots))


def _long(texts: Iterable[str], same: AbstractSet[str]) -> int:
    """Bytes of the texts that are long, not on all pages, and no date."""
    sizes = {text: len(text.encode("utf-8", "replace")) for text in texts if text not in same}
    return sum(size for text, size in sizes.items() if size >= LONG and posts.MOMENT.moment(text) is None)


def _page(body: bytes) -> TextResponse:
    return TextResponse("http://page.invalid/", body=b"<html><body>" + body + b"</body></html>", encoding="utf-8")


def _root(answer: ProbeResponse) -> HtmlElement | None:
    response = answer.response
    if not isinstance(response, TextResponse) or response.selector.type != "html":
        return None
    root: HtmlElement = selectors.html(response).root.root
    return root
