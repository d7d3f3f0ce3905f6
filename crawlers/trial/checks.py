"""Whether guessed options read all that a few pages show, before a file is written: one sentence for each thing that is short."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

from lxml.html import HtmlElement  # type: ignore[import-untyped]  # it has no types
from scrapy.http import TextResponse

from crawlers.platforms.board import PLATFORM
from crawlers.sites import selecting
from crawlers.sites.pages import Page
from crawlers.sites.site import Site
from crawlers.trial import posts
from crawlers.trial.answer import Answer

LEAST_SHARE = 0.7
LONG = 25
"""So much of the long texts that threads do not share, dates apart, must posts hold; so many bytes are long."""
REPLIES = re.compile(
    r"(?i)(?<![\d.,:-])(?P<count>\d{1,3}(?:,\d{3})+|\d{1,6})\s*(?P<what>repl|comment|answer|antwort|répons|respuest|ответ|"
    r"(?:个|個|条|條)?(?:回复|回覆|回帖|评论|評論)|post|message|beitr)"
)
"""What a list says of how many posts a thread has."""
WITH_FIRST = ("post", "message", "beitr")
"""These count what is replied to as well."""


def counted(told: str) -> int | None:
    """How many posts a row says that its thread has; None where it does not, or says two numbers."""
    found = list(REPLIES.finditer(told))
    if len(found) != 1:
        return None
    return int(found[0]["count"].replace(",", "")) + (found[0]["what"].lower() not in WITH_FIRST)


def doubts(site: Site, read: Sequence[tuple[Page, Answer]], rows: Sequence[str]) -> Iterator[str]:
    """What is short of some pages of a site, given with what its list says in the row of each, "" for a list itself."""
    threads = [(page, answer, row) for (page, answer), row in zip(read, rows, strict=True)]
    roots = {answer.url: _root(answer) for page, answer, _ in threads if page.role == "thread" and page.number == 1}
    texts = [{text.strip() for text in root.itertext()} for root in roots.values() if root is not None]
    same = set.intersection(*texts) if len(texts) > 1 else set[str]()
    for page, answer, row in threads:
        if answer.response is None or not isinstance(answer.response, TextResponse):
            continue
        reading = PLATFORM.reading(page, answer.response, site)
        parsed = reading.parsed()
        if short := reading.shortfall(parsed):
            yield short
        if page.role != "thread" or page.number > 1:
            continue
        says = int(page.facts["posts"]) if page.facts.get("posts", "").isdecimal() else counted(row)
        goes_on = any(one.number > 1 and one.role == "thread" for one in parsed.pages)
        if says is not None and says > len(parsed.posts) and not goes_on:
            yield f"reads {len(parsed.posts)} of {says} posts"
        elif (root := roots.get(answer.url)) is not None and len(texts) > 1:
            told = same | {
                " ".join(title.split()) for title in (page.facts.get("title", ""), *root.xpath("//h1//text() | //title/text()"))
            }
            whole = _long(posts.body(root).itertext(), told)
            held = sum(_long(selecting.html(_page(post.body)).root.root.itertext(), told) for post in parsed.posts)
            if held < LEAST_SHARE * whole:
                yield f"reads {held * 100 // whole} percent of the text of a thread"


def _long(texts: Iterable[str], same: AbstractSet[str]) -> int:
    """Bytes of the texts that are long, not on all pages, and no date."""
    sizes = {text: len(text.encode("utf-8", "replace")) for one in texts if (text := one.strip()) and text not in same}
    return sum(size for text, size in sizes.items() if size >= LONG and posts.MOMENT.moment(text) is None)


def _page(body: bytes) -> TextResponse:
    return TextResponse("http://page.invalid/", body=b"<html><body>" + body + b"</body></html>", encoding="utf-8")


def _root(answer: Answer) -> HtmlElement | None:
    response = answer.response
    if not isinstance(response, TextResponse) or response.selector.type != "html":
        return None
    root: HtmlElement = selecting.html(response).root.root
    return root
