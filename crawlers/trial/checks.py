"""Check whether guessed options read everything that a few pages show, before a file is written.

Each fault is one sentence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from urllib.parse import urldefrag

from lxml.html import HtmlElement  # type: ignore[import-untyped]  # it has no types
from parsel import Selector
from scrapy.http import TextResponse

from crawlers.platforms.board import PLATFORM
from crawlers.sites import selectors
from crawlers.sites.elements import elements_in
from crawlers.sites.layout import load_layout
from crawlers.sites.pages import PageAddress, PageContent, Post
from crawlers.sites.selectors import Selections
from crawlers.sites.site import Site
from crawlers.trial import posts
from crawlers.trial.answer import ProbedPage, ProbeResponse
from crawlers.trial.guess import is_other_entry

LEAST_SHARE = 0.7
LONG = 25
"""The least share of long texts that the posts must contain, and the bytes of a long text.

Texts that threads share, dates and links are not counted.
"""
LABEL_SIGNS = " :：|·-"
"""Characters between a label and a title or a date, as in "Subject: …"."""
FEWEST_PAGES = 2
"""A text on this number of pages of different threads, such as "Log in to reply", is no post."""
MAIL_IDS = re.compile(r"[^\w<]*(?:<[^<>\s@]+@[^<>\s@]+>\s*)+")
MOST_LINKS = 0.5
"""The largest share of links in the text of posts."""
MOST_OF_BODY = 0.9
"""From this share of a page's text on, a "post" is the page itself."""
LEAST_SECOND = 2
"""From this number of dated parts with words of their own on, a "post" is several posts."""


def find_doubts(site: Site, read: Sequence[tuple[PageAddress, ProbeResponse]]) -> Iterator[str]:
    """Yield a sentence for each fault of the guessed options of `site` on the pages in `read`.

    Faults are posts that are not read, text of a thread that is left out, elements that are no
    posts, and a shortfall that the platform reports. Threads without any post are passed over if
    few of the threads are so. Comparisons of text need two or more threads.
    """
    roots = {
        answer.url: _parse_thread(site, answer)
        for page, answer in read
        if page.role == "thread" and page.number == 1
    }
    texts = [
        {_normalize(text) for text in root.itertext()}
        for root in roots.values()
        if root is not None
    ]
    pages = Counter(text for page in texts for text in page)
    same = (
        {text for text, count in pages.items() if count >= FEWEST_PAGES}
        if len(texts) >= FEWEST_PAGES
        else None
    )
    yield from find_container_doubts(site, [root for root in roots.values() if root is not None])
    parses = [
        (page, answer, PLATFORM.parse(page, answer.response, site))
        for page, answer in read
        if isinstance(answer.response, TextResponse)
    ]
    silent = [page.url for page, _, parsed in parses if page.role == "thread" and not parsed.posts]
    # the thread is for members only, or deleted
    is_one_of_many = len(silent) <= (1 - posts.EVERYWHERE) * len(roots)
    for page, answer, parsed in parses:
        if page.url in silent and is_one_of_many:
            continue
        if parsed.shortfall:
            yield parsed.shortfall
        if page.role == "thread" and page.number == 1:
            yield from _check_thread(page, parsed, roots.get(answer.url), same)


def _check_thread(
    page: PageAddress, parsed: PageContent, root: HtmlElement | None, same: AbstractSet[str] | None
) -> Iterator[str]:
    """Yield a sentence for each thing on the first page of a thread that was not read.

    `same` are texts that several threads share, None for a single thread.
    """
    says = int(page.facts["posts"]) if page.facts.get("posts", "").isdecimal() else parsed.counted
    goes_on = any(linked.number > 1 and linked.role == "thread" for linked in parsed.pages)
    if says is not None and says > len(parsed.posts) and not goes_on:
        yield f"reads {len(parsed.posts)} of {says} posts"
        return
    if root is None or same is None:
        return
    titles = (page.facts.get("title", ""), *root.xpath("//h1//text() | //title/text()"))
    ignored = same | {_normalize(title) for title in titles}
    whole = _measure_long_texts(posts.iter_texts(posts.get_body(root)), ignored)
    read_size = sum(
        _measure_long_texts(
            posts.iter_texts(selectors.parse_html(_build_page(post.body)).root.root), ignored
        )
        for post in parsed.posts
    )
    if _measure_links(parsed.posts) >= MOST_LINKS:
        yield "the elements found as posts are mostly links, as in a list"
    elif read_size < LEAST_SHARE * whole:
        yield f"reads {read_size * 100 // whole} percent of a thread's text"


def find_container_doubts(site: Site, roots: Sequence[HtmlElement]) -> Iterator[str]:
    """Yield at most one sentence: a guessed "post" is the whole page, or contains several posts.

    `roots` are the trees of threads. A post of any thread that holds a title or form and several
    dated parts counts as several posts. A post is the page if over half of the threads have a post
    with nine tenths of the page's text. Such a guess passes each comparison of texts, but a visit
    would take the whole thread for one post, which changes with each reply, and see no author and
    date of a reply. Raises FaultsError if the options of `site` are invalid.
    """
    options = load_layout(site.name, dict(site.options), "css")
    whole = 0
    for root in roots:
        nodes = _find_posts(options.post, root)
        size = len(posts.get_text(posts.get_body(root)))
        whole += any(len(posts.get_text(post)) >= MOST_OF_BODY * size for post in nodes)
        if any(_has_heading(post) and _has_posts(post, nodes) for post in nodes):
            yield "the element found as a post contains the title or a form, and several posts"
            return
    if roots and whole > len(roots) / 2:
        yield "the element found as a post is nearly the whole page"


def _find_posts(selections: Selections, root: HtmlElement) -> list[HtmlElement]:
    return [node.root for node in selections.nodes(Selector(root=root, type="html"))]


def _has_heading(post: HtmlElement) -> bool:
    """Return whether an element holds the title of a page, or a form."""
    return any(element.tag in {"h1", "form"} for element in elements_in(post))


def _has_posts(post: HtmlElement, nodes: Sequence[HtmlElement]) -> bool:
    """Return whether a post holds several dated parts of one kind that are no posts themselves.

    Several are at least LEAST_SECOND (2) parts of the same tag and class, each with text of at
    least `posts.LONG` (25) letters beside its date. `nodes` are all posts of the page.
    """
    ours, kinds = set(nodes) - {post}, Counter[str]()
    for element in elements_in(post, itself=False):
        if (
            element in ours
            or any(above in ours for above in element.iterancestors())
            or "." not in posts.select_by_kind(element)
        ):
            continue
        says = [text for text in posts.iter_texts(element) if posts.MOMENT.parse(text) is None]
        if posts.find_date(element, None) is not None and sum(map(len, says)) >= posts.LONG:
            kinds[posts.select_by_kind(element)] += 1
    return any(count >= LEAST_SECOND for count in kinds.values())


def find_raw_doubts(read: ProbedPage, answers: Sequence[ProbeResponse]) -> Iterator[str]:
    """Yield a sentence if the text read of a paste lacks over 30 % of its page's long lines.

    `read` is the parsed paste, `answers` the pages of pastes, its own among them. Lines below 25
    characters and texts on all pages are not compared. Nothing is yielded if its own page is
    missing or there are fewer than two pages. What was read may be one reply of several, which this
    shows.
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
        for text in posts.iter_texts(posts.get_body(shown))
        for line in text.splitlines()
    )
    long = [line for line in lines if len(line) >= LONG and line not in same]
    whole, read_size = (
        sum(map(len, long)),
        sum(len(line) for line in long if line.replace(" ", "") in raw),
    )
    if read_size < LEAST_SHARE * whole:
        yield f"the text of a paste is {read_size * 100 // whole} percent of its page"


def _measure_links(posts_read: Sequence[Post]) -> float:
    """Return which share of the posts' text is that of links."""
    roots = [selectors.parse_html(_build_page(post.body)).root.root for post in posts_read]
    linked = sum(len(posts.get_text(link)) for root in roots for link in root.iter("a"))
    return linked / max(1, sum(len(posts.get_text(root)) for root in roots))


def _measure_long_texts(texts: Iterable[str], same: AbstractSet[str]) -> int:
    """Return the bytes of texts that are long, not on all pages, and no date."""
    plain = {_normalize(text) for text in texts if not MAIL_IDS.fullmatch(text)}
    sizes = {text: len(text.encode("utf-8", "replace")) for text in plain if text not in same}
    return sum(
        size for text, size in sizes.items() if size >= LONG and posts.MOMENT.parse(text) is None
    )


def _normalize(text: str) -> str:
    """Return a text with single spaces and without signs around it."""
    return " ".join(text.split()).strip(LABEL_SIGNS)


def _build_page(body: bytes) -> TextResponse:
    return TextResponse(
        "http://page.invalid/", body=b"<html><body>" + body + b"</body></html>", encoding="utf-8"
    )


def _parse_thread(site: Site, answer: ProbeResponse) -> HtmlElement | None:
    """Return a thread's tree without rows that link to other threads; None if it is no HTML."""
    response, pattern = answer.response, str(site.options.get("pattern", ""))
    if not isinstance(response, TextResponse) or response.selector.type != "html":
        return None
    root: HtmlElement = selectors.parse_html(response).root.root
    if pattern:
        posts.take_out_rows(root, lambda where: is_other_entry(pattern, answer.url, where))
    return root
