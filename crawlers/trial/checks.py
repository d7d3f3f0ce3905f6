"""Whether guessed options read all that a few pages show, before a file is written: one sentence
for each thing that is short.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from urllib.parse import urldefrag

from lxml.html import HtmlElement  # type: ignore[import-untyped]  # it has no types
from scrapy.http import TextResponse

from crawlers.platforms.board import PLATFORM
from crawlers.sites import selectors
from crawlers.sites.pages import PageAddress, PageContent, Post
from crawlers.sites.site import Site
from crawlers.trial import holders, posts
from crawlers.trial.answer import ProbedPage, ProbeResponse
from crawlers.trial.guess import is_other_entry

LEAST_SHARE = 0.7
LONG = 25
"""So much of the long texts that threads do not share, dates and links apart, must posts hold;
so many bytes are long.
"""
LABEL_SIGNS = " :：|·-"
"""What stands between a label and a title or a date, as in "Subject: …"."""
FEWEST_PAGES = 2
"""What stands on so many pages of different threads, such as "Log in to reply", is nobody's
post.
"""
MAIL_IDS = re.compile(r"[^\w<]*(?:<[^<>\s@]+@[^<>\s@]+>\s*)+")
MOST_LINKS = 0.5
"""Of the text of posts, so much may be that of links."""


def doubts(site: Site, read: Sequence[tuple[PageAddress, ProbeResponse]]) -> Iterator[str]:
    """Yield what is short of some pages of a site, a sentence each."""
    roots = {
        answer.url: _thread_root(site, answer)
        for page, answer in read
        if page.role == "thread" and page.number == 1
    }
    texts = [
        {_plain(text) for text in root.itertext()} for root in roots.values() if root is not None
    ]
    pages = Counter(text for page in texts for text in page)
    same = (
        {text for text, count in pages.items() if count >= FEWEST_PAGES}
        if len(texts) >= FEWEST_PAGES
        else None
    )
    yield from holders.doubts(site, [root for root in roots.values() if root is not None])
    parses = [
        (page, answer, PLATFORM.parse(page, answer.response, site))
        for page, answer in read
        if isinstance(answer.response, TextResponse)
    ]
    silent = [page.url for page, _, parsed in parses if page.role == "thread" and not parsed.posts]
    # a thread for members, or one that is gone
    is_one_of_many = len(silent) <= (1 - posts.EVERYWHERE) * len(roots)
    for page, answer, parsed in parses:
        if page.url in silent and is_one_of_many:
            continue
        if parsed.shortfall:
            yield parsed.shortfall
        if page.role == "thread" and page.number == 1:
            yield from _of_thread(page, parsed, roots.get(answer.url), same)


def _of_thread(
    page: PageAddress, parsed: PageContent, root: HtmlElement | None, same: AbstractSet[str] | None
) -> Iterator[str]:
    """Yield what is short of the first page of a thread; `same` are texts of several threads,
    None for a single thread.
    """
    says = int(page.facts["posts"]) if page.facts.get("posts", "").isdecimal() else parsed.counted
    goes_on = any(one.number > 1 and one.role == "thread" for one in parsed.pages)
    if says is not None and says > len(parsed.posts) and not goes_on:
        yield f"reads {len(parsed.posts)} of {says} posts"
        return
    if root is None or same is None:
        return
    titles = (page.facts.get("title", ""), *root.xpath("//h1//text() | //title/text()"))
    known = same | {_plain(title) for title in titles}
    whole = _long(posts.said_in(posts.body(root)), known)
    held = sum(
        _long(posts.said_in(selectors.parse_html(_page(post.body)).root.root), known)
        for post in parsed.posts
    )
    if _links(parsed.posts) >= MOST_LINKS:
        yield "what was taken for posts is mostly links, as of a list"
    elif held < LEAST_SHARE * whole:
        yield f"reads {held * 100 // whole} percent of the text of a thread"


def raw_doubts(read: ProbedPage, answers: Sequence[ProbeResponse]) -> Iterator[str]:
    """Yield a sentence where a paste's text is not what its page shows, as where that is one
    reply of several.
    """
    responses = [answer.response for answer in answers if isinstance(answer.response, TextResponse)]
    roots = {response.url: selectors.parse_html(response).root.root for response in responses}
    shown = roots.get(urldefrag(read.page.identity).url)
    if shown is None or len(roots) < FEWEST_PAGES:
        return
    same = set.intersection(
        *({" ".join(text.split()) for text in root.itertext()} for root in roots.values())
    )
    raw = "".join(
        "".join(post.body.decode("utf-8", "replace") for post in read.parsed.posts).split()
    )
    lines = (
        " ".join(line.split())
        for text in posts.said_in(posts.body(shown))
        for line in text.splitlines()
    )
    long = [line for line in lines if len(line) >= LONG and line not in same]
    whole, held = (
        sum(map(len, long)),
        sum(len(line) for line in long if line.replace(" ", "") in raw),
    )
    if held < LEAST_SHARE * whole:
        yield f"the text of a paste holds {held * 100 // whole} percent of what its page shows"


def _links(found: Sequence[Post]) -> float:
    """How much of the text of posts is that of links."""
    roots = [selectors.parse_html(_page(post.body)).root.root for post in found]
    linked = sum(len(posts.text(link)) for root in roots for link in root.iter("a"))
    return linked / max(1, sum(len(posts.text(root)) for root in roots))


def _long(texts: Iterable[str], same: AbstractSet[str]) -> int:
    """Bytes of the texts that are long, not on all pages, and no date."""
    plain = {_plain(text) for text in texts if not MAIL_IDS.fullmatch(text)}
    sizes = {text: len(text.encode("utf-8", "replace")) for text in plain if text not in same}
    return sum(
        size for text, size in sizes.items() if size >= LONG and posts.MOMENT.parse(text) is None
    )


def _plain(text: str) -> str:
    """Return a text without the signs and the white space around and in it."""
    return " ".join(text.split()).strip(LABEL_SIGNS)


def _page(body: bytes) -> TextResponse:
    return TextResponse(
        "http://page.invalid/", body=b"<html><body>" + body + b"</body></html>", encoding="utf-8"
    )


def _thread_root(site: Site, answer: ProbeResponse) -> HtmlElement | None:
    """Return the tree of a thread's page without the rows that lead to other threads; None where
    it is no HTML.
    """
    response, pattern = answer.response, str(site.options.get("pattern", ""))
    if not isinstance(response, TextResponse) or response.selector.type != "html":
        return None
    root: HtmlElement = selectors.parse_html(response).root.root
    if pattern:
        posts.take_out_rows(root, lambda where: is_other_entry(pattern, answer.url, where))
    return root
