"""Links to the next page that say no more than its number, in their text or in their address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from urllib.parse import urljoin, urlsplit

from crawlers.sites.layout import SiteLayout, search
from crawlers.sites.pages import PageAddress
from crawlers.sites.selecting import MOST_LINKS, Node, is_element, link_of

NUMBER = re.compile(r"\d+")
MOST_TEXTS = 4
"""Texts of a link that are looked at: one may hold all that stands behind it."""
BEHIND = re.compile(
    r"(?i)[?&;,/_.-]*(?:(?:page|pages|p|pg|pn|start|offset|skip|from|st|seite|pagina|currentpage)[=/_,-]?)?(\d+)/?(?:\.html?)?"
)
"""What stands in an address behind that of the first page."""


def numbered(layout: SiteLayout, page: PageAddress, url: str, root: Node, held: int) -> str:
    """The address of the next page of a list or thread, by its number; "" where no link leads to it."""
    by_address, url = "", url.partition("#")[0]
    for said, there in _links(layout, page, url, root):
        if said.strip("[]() ") == str(page.number + 1) and leads_on(url, there, page.number):
            return there
        by_address = by_address or (there if _is_next(url, there, page.number, held) else "")
    return by_address


def _links(layout: SiteLayout, page: PageAddress, url: str, root: Node) -> Iterator[tuple[str, str]]:
    """Text and address of the links of a page, those to entries and to other threads apart."""
    for link in root.xpath(f"(//a[@href])[position() <= {MOST_LINKS}]") if is_element(root) else ():
        try:
            there = urljoin(url, link_of(link)).partition("#")[0]
        except ValueError:
            continue
        found = search(layout.pattern, there) if layout.pattern else None
        is_other = found and (page.role == "list" or found["id"] != page.facts.get("id", found["id"]))
        if not is_other and urlsplit(there).scheme in {"http", "https"}:
            yield "".join(islice(link.root.itertext(), MOST_TEXTS)).strip(), there


def leads_on(here: str, there: str, number: int = 1) -> bool:
    """Whether an address may be that of the page behind page `number`, which is at `here`."""
    if here == there or urlsplit(here).netloc != urlsplit(there).netloc or not NUMBER.search(there):
        return False
    if NUMBER.sub("*", here) == NUMBER.sub("*", there):
        return _counts_on(here, there, number)
    plain = _plain(here)
    is_root = urlsplit(here).path in {"", "/"} and not urlsplit(here).query
    return there.startswith(plain) and (not is_root or bool(BEHIND.fullmatch(there[len(plain) :])))


def _counts_on(here: str, there: str, number: int) -> bool:
    """Whether two addresses differ in one number, which is that of the page, or of the first thing on it."""
    pairs = [(int(a[:9]), int(b[:9])) for a, b in zip(NUMBER.findall(here), NUMBER.findall(there), strict=True) if a != b]
    return len(pairs) == 1 and (pairs[0] == (number, number + 1) or pairs[0][0] == (number - 1) * (pairs[0][1] - pairs[0][0]))


def _is_next(here: str, there: str, number: int, held: int) -> bool:
    """Whether an address is that of the next page, by itself; on each page until here stood `held` things."""
    if not leads_on(here, there, number):
        return False
    if NUMBER.sub("*", here) == NUMBER.sub("*", there):
        return True
    found = BEHIND.fullmatch(there[len(_plain(here)) :]) if number == 1 else None
    return found is not None and int(found[1][:9]) in {2, held}


def _plain(url: str) -> str:
    return re.sub(r"\.html?$", "", url.rstrip("/"))
