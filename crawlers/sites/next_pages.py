"""Find the next page of a list or thread by its number, in the text of a link or in its address.

`crawlers.sites.further_pages` notices one that is shown in any other way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any
from urllib.parse import urljoin, urlsplit

from crawlers.sites.layout import SiteLayout, search
from crawlers.sites.pages import PageAddress
from crawlers.sites.selectors import MOST_LINKS, Node, get_link, is_element

NUMBER = re.compile(r"\d+")
NO_ENTRY = re.compile(
    r"(?i)[/?=](register|sign-?up|log-?in|log-?out|sign-?in|search|help|faq|rss|feed|contact"
    r"|privacy|terms)\b"
)
"""Addresses that are neither a thread nor a board."""
MOST_TEXTS = 4
"""The most texts of a link that are examined: a link may contain the rest of the page."""
BEHIND = re.compile(
    r"(?i)[?&;,/_.-]*"
    r"(?:(?:page|pages|index|p|pg|pn|start|offset|skip|from|st|seite|pagina|currentpage)[=/_,-]?)?"
    r"(\d+)/?(?:\.html?)?"
)
"""What stands in an address behind that of the first page."""


def find_numbered_link(
    layout: SiteLayout, page: PageAddress, url: str, root: Node, held: int
) -> str:
    """Return the address of the next page of a list or thread, found by its number; "" for none.

    `held` is the number of entries or posts on each page so far.
    """
    by_address, url, written = "", url.partition("#")[0], find_user_content(layout, page, url, root)
    for text, there in _iter_links(layout, page, url, root, written):
        if text.strip("[]() ") == str(page.number + 1) and may_follow(url, there, page.number):
            return there
        by_address = by_address or (there if _is_next(url, there, page.number, held) else "")
    return by_address


def match_entry(layout: SiteLayout, url: str) -> re.Match[str] | None:
    """Return the match of the entry pattern in an address; None if it is no entry's."""
    return (
        search(layout.pattern, urlsplit(url).path if layout.match == "path" else url)
        if layout.pattern and url
        else None
    )


def find_user_content(layout: SiteLayout, page: PageAddress, url: str, root: Node) -> set[Any]:
    """Return the elements of a page that people wrote, whose links lead to no further page.

    On a list these are its entries; on a thread its posts with an author or a date if there are
    several, or else the bodies: what was taken for a post may be the pager, or contain it. The set
    is empty for a document that is no HTML.
    """
    if not is_element(root):
        return set()
    if page.role == "list":
        rows = [row for row in layout.rows.nodes(root) if is_element(row)] if layout.rows else []
        return {
            row.root
            for row in rows
            if any(
                match_entry(layout, resolve_url(url, link)) for link, _ in layout.links.links(row)
            )
        }
    posts = [node for node in layout.post.nodes(root) if is_element(node)]
    signed = {post.root for post in posts if layout.author.nodes(post) or layout.time.nodes(post)}
    texts = {body.root for post in posts for body in layout.body.nodes(post) if is_element(body)}
    return signed if len(signed) > 1 else texts - {post.root for post in posts}


def _iter_links(
    layout: SiteLayout, page: PageAddress, url: str, root: Node, written: set[Any]
) -> Iterator[tuple[str, str]]:
    """Yield the text and address of each link of a page.

    Links to entries, to other threads and in user content are skipped.
    """
    for link in root.xpath(f"(//a[@href])[position() <= {MOST_LINKS}]") if is_element(root) else ():
        there = resolve_url(url, get_link(link))
        if there and not is_entry(layout, page, there) and not is_inside(link.root, written):
            yield "".join(islice(link.root.itertext(), MOST_TEXTS)).strip(), there


def resolve_url(here: str, where: str) -> str:
    """Return a link as an absolute HTTP(S) address without its fragment; "" for none."""
    try:
        there = urljoin(here, where).partition("#")[0]
    except ValueError:
        return ""
    return there if where and urlsplit(there).scheme in {"http", "https"} else ""


def is_inside(element: Any, around: AbstractSet[Any]) -> bool:
    """Return whether an element is one of the elements `around`, or inside of one."""
    return bool(around) and (
        element in around or any(above in around for above in element.iterancestors())
    )


def is_entry(layout: SiteLayout, page: PageAddress, there: str) -> bool:
    """Return whether an address is that of an entry, or of another thread than that of the page."""
    match = match_entry(layout, there)
    return bool(match and (page.role == "list" or match["id"] != page.facts.get("id", match["id"])))


def is_other_thread(layout: SiteLayout, page: PageAddress, there: str) -> bool:
    """Return whether an address is that of another thread, such as the next one."""
    match = match_entry(layout, page.series or page.url)
    return (
        match is not None and match["id"] == page.facts.get("id") and is_entry(layout, page, there)
    )


def may_follow(here: str, there: str, number: int = 1) -> bool:
    """Return whether `there` may be the page after page `number`, which is at `here`.

    It must be on the same host and either differ in the page number alone, or begin with the
    address of `here` and have a number behind it.
    """
    if here == there or urlsplit(here).netloc != urlsplit(there).netloc or not NUMBER.search(there):
        return False
    if NUMBER.sub("*", here) == NUMBER.sub("*", there):
        return _differ_in_page_number(here, there, number)
    plain = _strip_suffix(here)
    is_root = urlsplit(here).path in {"", "/"} and not urlsplit(here).query
    return there.startswith(plain) and (not is_root or bool(BEHIND.fullmatch(there[len(plain) :])))


def is_page_of(first: str, there: str) -> bool:
    """Return whether an address belongs to the list or thread whose first page is at `first`."""
    there, plain = there.partition("#")[0], _strip_suffix(first.partition("#")[0])
    return there.startswith(plain) and (
        not there[len(plain) :].strip("/") or bool(BEHIND.fullmatch(there[len(plain) :]))
    )


def _differ_in_page_number(here: str, there: str, number: int) -> bool:
    """Return whether two addresses differ only in the number of the page, or of its first item."""
    pairs = [
        (int(a[:9]), int(b[:9]))
        for a, b in zip(NUMBER.findall(here), NUMBER.findall(there), strict=True)
        if a != b
    ]
    return len(pairs) == 1 and (
        pairs[0] == (number, number + 1)
        or pairs[0][0] == (number - 1) * (pairs[0][1] - pairs[0][0])
    )


def _is_next(here: str, there: str, number: int, held: int) -> bool:
    """Return whether an address alone shows that it is the next page.

    `held` is the number of items on each page so far.
    """
    if not may_follow(here, there, number):
        return False
    if NUMBER.sub("*", here) == NUMBER.sub("*", there):
        return True
    match = BEHIND.fullmatch(there[len(_strip_suffix(here)) :]) if number == 1 else None
    return match is not None and int(match[1][:9]) in {2, held}


def _strip_suffix(url: str) -> str:
    """Return an address without `.html` and the slash at its end."""
    return re.sub(r"\.html?$", "", url.rstrip("/"))
