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
    r"(?i)[/?=](register|sign-?up|log-?in|log-?out|sign-?in|search|help|faq|rss|feed|contact|privacy|terms)\b"
)
"""Addresses that are no thread and no board."""
MOST_TEXTS = 4
"""Texts of a link that are looked at: one may hold all that stands behind it."""
BEHIND = re.compile(
    r"(?i)[?&;,/_.-]*(?:(?:page|pages|index|p|pg|pn|start|offset|skip|from|st|seite|pagina|currentpage)[=/_,-]?)?(\d+)/?(?:\.html?)?"
)
"""What stands in an address behind that of the first page."""


def numbered(layout: SiteLayout, page: PageAddress, url: str, root: Node, held: int) -> str:
    """The address of the next page of a list or thread, by its number; "" where no link leads to
    it.
    """
    by_address, url, written = "", url.partition("#")[0], written_by_people(layout, page, url, root)
    for said, there in _links(layout, page, url, root, written):
        if said.strip("[]() ") == str(page.number + 1) and leads_on(url, there, page.number):
            return there
        by_address = by_address or (there if _is_next(url, there, page.number, held) else "")
    return by_address


def entry_in(layout: SiteLayout, url: str) -> re.Match[str] | None:
    """Return what the pattern of entries finds in an address; None where it is that of no entry."""
    return (
        search(layout.pattern, urlsplit(url).path if layout.match == "path" else url)
        if layout.pattern and url
        else None
    )


def written_by_people(layout: SiteLayout, page: PageAddress, url: str, root: Node) -> set[Any]:
    """Return the elements of a page in which people write, and whose links so lead to no further
    page of it.

    Of a list its entries; of a thread its posts that have an author or a date, or else their texts:
    what was taken for a post may be the pager, or hold it.
    """
    if not is_element(root):
        return set()
    if page.role == "list":
        rows = [row for row in layout.rows.nodes(root) if is_element(row)] if layout.rows else []
        return {
            row.root
            for row in rows
            if any(entry_in(layout, joined(url, link)) for link, _ in layout.links.links(row))
        }
    posts = [node for node in layout.post.nodes(root) if is_element(node)]
    signed = {post.root for post in posts if layout.author.nodes(post) or layout.time.nodes(post)}
    texts = {body.root for post in posts for body in layout.body.nodes(post) if is_element(body)}
    return signed if len(signed) > 1 else texts - {post.root for post in posts}


def _links(
    layout: SiteLayout, page: PageAddress, url: str, root: Node, written: set[Any]
) -> Iterator[tuple[str, str]]:
    """Yield text and address of the links of a page, without those to entries, to other threads
    and in what people wrote.
    """
    for link in root.xpath(f"(//a[@href])[position() <= {MOST_LINKS}]") if is_element(root) else ():
        there = joined(url, get_link(link))
        if there and not is_entry(layout, page, there) and not is_inside(link.root, written):
            yield "".join(islice(link.root.itertext(), MOST_TEXTS)).strip(), there


def joined(here: str, where: str) -> str:
    """Return a link as an address of the Web without its fragment; "" for none."""
    try:
        there = urljoin(here, where).partition("#")[0]
    except ValueError:
        return ""
    return there if where and urlsplit(there).scheme in {"http", "https"} else ""


def is_inside(element: Any, around: AbstractSet[Any]) -> bool:
    """Return whether an element is, or stands in, one of some others."""
    return bool(around) and (
        element in around or any(above in around for above in element.iterancestors())
    )


def is_entry(layout: SiteLayout, page: PageAddress, there: str) -> bool:
    """Return whether an address is that of an entry, or of another thread than that of the page."""
    match = entry_in(layout, there)
    return bool(match and (page.role == "list" or match["id"] != page.facts.get("id", match["id"])))


def leads_to_other(layout: SiteLayout, page: PageAddress, there: str) -> bool:
    """Return whether an address is that of another thread than that of the page, as of the next
    one.
    """
    own = entry_in(layout, page.series or page.url)
    return own is not None and own["id"] == page.facts.get("id") and is_entry(layout, page, there)


def leads_on(here: str, there: str, number: int = 1) -> bool:
    """Whether an address may be that of the page behind page `number`, which is at `here`."""
    if here == there or urlsplit(here).netloc != urlsplit(there).netloc or not NUMBER.search(there):
        return False
    if NUMBER.sub("*", here) == NUMBER.sub("*", there):
        return _counts_on(here, there, number)
    plain = _plain(here)
    is_root = urlsplit(here).path in {"", "/"} and not urlsplit(here).query
    return there.startswith(plain) and (not is_root or bool(BEHIND.fullmatch(there[len(plain) :])))


def is_page_of(first: str, there: str) -> bool:
    """Return whether an address is that of the first page of a list or thread, or of one of its
    other pages.
    """
    there, plain = there.partition("#")[0], _plain(first.partition("#")[0])
    return there.startswith(plain) and (
        not there[len(plain) :].strip("/") or bool(BEHIND.fullmatch(there[len(plain) :]))
    )


def _counts_on(here: str, there: str, number: int) -> bool:
    """Whether two addresses differ in one number, which is that of the page, or of the first
    thing on it.
    """
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
    """Whether an address is that of the next page, by itself; on each page until here stood
    `held` things.
    """
    if not leads_on(here, there, number):
        return False
    if NUMBER.sub("*", here) == NUMBER.sub("*", there):
        return True
    found = BEHIND.fullmatch(there[len(_plain(here)) :]) if number == 1 else None
    return found is not None and int(found[1][:9]) in {2, held}


def _plain(url: str) -> str:
    return re.sub(r"\.html?$", "", url.rstrip("/"))
