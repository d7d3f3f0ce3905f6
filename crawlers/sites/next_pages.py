"""Find the next page of a list or thread by its number, and notice a further page that is shown, whatever its address is.

A pager is known by its numbers: the number of the page in hand, without a link or marked as the current one, and beside it the
next number, or a word or sign for "next".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any
from urllib.parse import urljoin, urlsplit

from crawlers.sites.elements import elements_in, name_of
from crawlers.sites.layout import SiteLayout, named, search
from crawlers.sites.pages import PageAddress
from crawlers.sites.selectors import MOST_LINKS, Node, is_element, link_of

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


def is_page_of(first: str, there: str) -> bool:
    """Return whether an address is that of the first page of a list or thread, or of one of its other pages."""
    there, plain = there.partition("#")[0], _plain(first.partition("#")[0])
    return there.startswith(plain) and (not there[len(plain) :].strip("/") or bool(BEHIND.fullmatch(there[len(plain) :])))


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


NEXT_WORDS = frozenset(
    "next older more weiter nächste suivant suivante siguiente próxima successivo volgende далее следующая dalej nästa sonraki"
    " 下一页 下一頁 下页 后页 后一页 加载更多 查看更多 更多 次へ 次のページ 다음 › » → > >>".split()
)
BEHIND_NEXT = frozenset({"", "page", "posts", "results", "entries", "seite", "comments", "messages", "replies"})
"""What may stand behind such a word; behind others it leads to another thread."""
SIGNS = "›»→>↓….[]()<«‹← "
PAGE_WORD = re.compile(r"(?i)page|seite|página|pagina|页|頁|ページ")
"""With such a word it leads to a page, whatever its address looks like."""
LOAD = re.compile(r"^(load|show|see|view) (?=more|next|older)")
LONGEST_WORD = 24
CURRENT = re.compile(r"(?i)active|current|selected|\bon\b|\bthis|\bcur\b|\bnow\b")
DISABLED = re.compile(r"(?i)disabled|inactive|\boff\b")
CALENDAR, MOST_DAYS = re.compile(r"(?i)calendar"), 27
"""So many numbers beside one another that go no further than a month are days."""
NO_ENTRY = re.compile(r"(?i)[/?=](register|sign-?up|log-?in|log-?out|sign-?in|search|help|faq|rss|feed|contact|privacy|terms)\b")
"""Addresses that are no thread and no board."""
LONGEST_PAGER = 400
"""Elements that a pager has at most."""


def is_next_word(text: str) -> bool:
    """Return whether a text says "next page" in some language, or by a sign.

    >>> is_next_word("Next »"), is_next_word("下一页"), is_next_word("Next topic")
    (True, True, False)
    """
    told = LOAD.sub("", text.casefold())
    first, _, rest = (told.strip(SIGNS) or told).partition(" ")
    return first in NEXT_WORDS and rest.strip(SIGNS) in BEHIND_NEXT


def shows_further(layout: SiteLayout, page: PageAddress, url: str, root: Node, known: AbstractSet[str]) -> bool:
    """Return whether a page of a list or thread shows a further one whose address is not in `known`."""
    here = url.partition("#")[0]
    if (there := numbered(layout, page, url, root, 0)) and there not in known:
        return True
    for link in root.xpath(f"(//a)[position() <= {MOST_LINKS}]") if is_element(root) else ():
        text = " ".join("".join(islice(link.root.itertext(), MOST_TEXTS)).split())
        is_number = text.strip("[]() ") == str(page.number + 1)
        is_word = 0 < len(text) <= LONGEST_WORD and is_next_word(text)
        if not (is_number or is_word) or _is_disabled(link.root):
            continue
        there = _joined(here, link_of(link))
        is_script = not there or there == here
        if (
            there in known
            or (is_script and not (is_number and link.attrib))
            or _is_known_entry(layout, page, there, known, is_number)
        ):
            continue
        if there and urlsplit(there).netloc != urlsplit(here).netloc:
            continue
        if _is_beside(link.root, page.number, here):
            return True
        if is_word and text.strip(SIGNS) and (PAGE_WORD.search(text) or is_same_script(here, there)):
            return True
    return False


def is_same_script(here: str, there: str) -> bool:
    """Return whether two addresses differ in their queries alone."""
    a, b = urlsplit(here), urlsplit(there)
    return (a.netloc, a.path) == (b.netloc, b.path) and a.query != b.query and bool(b.query)


def _joined(here: str, where: str) -> str:
    """Return a link as an address of the Web without its fragment; "" for none."""
    try:
        there = urljoin(here, where).partition("#")[0]
    except ValueError:
        return ""
    return there if where and urlsplit(there).scheme in {"http", "https"} else ""


def _is_known_entry(layout: SiteLayout, page: PageAddress, there: str, known: AbstractSet[str], is_number: bool) -> bool:
    """Return whether an address is that of an entry; on a list a number leads to one only where a row does, too."""
    if not (is_number and page.role == "list"):
        return _is_entry(layout, page, there)
    match = search(layout.pattern, there) if layout.pattern and there else None
    return match is not None and named(there, match) in known


def _is_entry(layout: SiteLayout, page: PageAddress, there: str) -> bool:
    """Return whether an address is that of an entry, or of another thread than that of the page."""
    match = search(layout.pattern, there) if layout.pattern and there else None
    return bool(match and (page.role == "list" or match["id"] != page.facts.get("id", match["id"])))


def leads_to_other(layout: SiteLayout, page: PageAddress, there: str) -> bool:
    """Return whether an address is that of another thread than that of the page, as of the next one."""
    own = search(layout.pattern, page.series or page.url) if layout.pattern else None
    return own is not None and own["id"] == page.facts.get("id") and _is_entry(layout, page, there)


def _is_disabled(link: Any) -> bool:
    return any(one is not None and DISABLED.search(one.get("class") or "") for one in (link, link.getparent()))


def _is_beside(link: Any, number: int, here: str) -> bool:
    """Return whether the number of the page in hand stands beside a link, as that of the current page."""
    around = link
    if any(CALENDAR.search(name_of(above)) for above in link.iterancestors()):
        return False
    for _ in range(2):
        if (above := around.getparent()) is None or above.tag in {"body", "html"}:
            return False
        around = above
        members = list(islice(elements_in(around), LONGEST_PAGER + 1))
        if len(members) > LONGEST_PAGER or _is_calendar(members):
            return False
        if any(_is_current(one, number, here) for one in members) or _says_number(around, number):
            return True
    return False


def _is_calendar(members: list[Any]) -> bool:
    days = [text for one in members if one.tag == "td" and (text := "".join(one.itertext()).strip()).isdecimal()]
    return len(days) >= MOST_DAYS


def _is_current(one: Any, number: int, here: str) -> bool:
    """Return whether an element says the number of the page in hand and leads nowhere else, or is marked as the current one."""
    if len(one) > 2 or "".join(one.itertext()).strip("[]() \n\t\xa0") != str(number):
        return False
    links = [one] if one.tag == "a" else list(one.iter("a"))
    marked = [one, *one.iterancestors()][:2]
    is_marked = any(CURRENT.search(m.get("class") or "") or m.get("aria-current") for m in marked)
    return is_marked or all(_joined(here, link.get("href") or "") in {"", here} for link in links)


def _says_number(around: Any, number: int) -> bool:
    """Return whether the number stands as a text between the links of a pager."""
    texts = [around.text or "", *(child.tail or "" for child in around)]
    return any(re.search(rf"(?<!\d){number}(?!\d)", text) for text in texts)
