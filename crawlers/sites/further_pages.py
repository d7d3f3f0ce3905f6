"""Notice a further page of a list or thread that a page shows, whatever its address is.

Three things show one: a statement ("Page 1 of 4"), a relation (`rel=next`, on a list), and a link
that is the next number or says "next". The link must stand beside the number of the page in hand,
which leads nowhere or is marked as current, or its words or its address must be those of a page.

No further page: an entry, another thread, an anchor on the page, a calendar, a carousel, what
people write in posts.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from crawlers.sites.elements import elements_in, get_names, texts_outside
from crawlers.sites.layout import SiteLayout, to_identity
from crawlers.sites.next_pages import (
    MOST_TEXTS,
    find_numbered_link,
    find_user_content,
    is_entry,
    is_inside,
    match_entry,
    resolve_url,
)
from crawlers.sites.pages import PageAddress
from crawlers.sites.selectors import MOST_LINKS, Node, is_element

MORE_WORDS = frozenset("more weiter 更多 查看更多".split())
"""Words for a further page of a list, for the rest of an article, or for a whole category."""
NEXT_WORDS = MORE_WORDS | frozenset(
    "next older nächste suivant suivante siguiente próxima successivo volgende далее следующая"
    " dalej nästa sonraki 下一页 下一頁 下页 后页 后一页 加载更多 次へ 次のページ 다음 › » → > >> ⟩"
    " ⟫ ❯ ▶ ► ▸ ⇒ ⇨ ➔ ➜ ⟶".split()
)
PLURALS = frozenset(
    {
        "posts",
        "results",
        "entries",
        "comments",
        "messages",
        "replies",
        "articles",
        "threads",
        "topics",
    }
)
BEHIND_NEXT = PLURALS | {"", "page", "seite"}
"""Words that may follow such a word; with any other word a link leads to another thread."""
SIGNS = "›»→>⟩⟫❯▶►▸⇒⇨➔➜⟶↓….[]()<«‹← "
PAGE_WORD = re.compile(r"(?i)page|seite|página|pagina|页|頁|ページ")
"""Words with which a link leads to a page, whatever its address looks like."""
LOAD = re.compile(r"^(load|show|see|view) (?=more|next|older)")
LONGEST_WORD = 24
CURRENT = re.compile(r"(?i)active|current|selected|\bon\b|\bthis|\bcur\b|\bnow\b")
DISABLED = re.compile(r"(?i)disabled|inactive|\boff\b")
NO_PAGER, NEAR = (
    re.compile(r"(?i)calendar|datepicker|carousel|slide[rs]|slideshow|swiper|gallery|lightbox"),
    4,
)
"""Names of elements that page through days or pictures, and how near a link they count."""
MOST_DAYS = 27
"""From this many adjacent numbers on, none above those of a month, they are days."""
CALENDAR_KEYS = frozenset("month year date day week ym yearmonth".split())
PAGE_KEY = re.compile(
    r"(?i)page|pages|pg?|pn|start|offset|skip|from|st|after|before|cursor|since|until"
    r"|max_?id|last_?id|limit"
)
NEXT_THREAD = re.compile(r"(?i)next(?:newest|newset|oldest|_?topic|_?thread)?")
"""The value of a parameter that leads to the next thread."""
PAGE_NUMBER = re.compile(
    r"(?i)[\[(]?(?:page|seite|página|pagina|strona|sayfa|стр\.?|第)? ?(\d{1,6}) ?[页頁]?[\])]?"
)
"""The text of a link in a pager: `2`, `[2]`, `Page 2`, `第2页`."""
LONGEST_PAGER = 400
"""The most elements of a pager."""
LONGEST_TOLD = 200_000
"""The number of letters of a page that are searched for a statement of its pages."""
OF_PAGES = re.compile(
    r"(?i)(?:page|seite|página|pagina|страница|стр\.?|sayfa|strona|第) ?(\d{1,6}) ?(?:[页頁] ?)?"
    r"(?:[/,，]? ?共|/|of|von|de|di|sur|из|z) ?(\d{1,6})(?!\d)"
)
"""A statement of the current page and the number of pages."""


def is_next_word(text: str) -> bool:
    """Return whether a text says "next page" in some language, or by a sign.

    >>> is_next_word("Next »"), is_next_word("下一页"), is_next_word("Next topic")
    (True, True, False)
    """
    first, remainder = _split_words(text)
    return first in NEXT_WORDS and remainder in BEHIND_NEXT


def _split_words(text: str) -> tuple[str, str]:
    """Return the first word of a link's text without signs, and the remaining words."""
    text_left = LOAD.sub("", text.casefold())
    first, _, remainder = (text_left.strip(SIGNS) or text_left.strip()[:1]).partition(" ")
    return first, remainder.strip(SIGNS)


def is_page_link(here: str, there: str, text: str, *, is_list: bool) -> bool:
    """Return whether a link from `here` to `there` that says "next" leads to a further page.

    Its words `text` decide, or a query that differs: not by a month or the next thread. Words such
    as "more" count only if the query names a page. The caller has checked that the text says
    "next".

    >>> is_page_link("http://b/", "http://b/old-4", "Older posts", is_list=True)
    True
    >>> is_page_link("http://b/?m=2", "http://b/?month=3", "Next", is_list=True)
    False
    """
    first, remainder = _split_words(text)
    if PAGE_WORD.search(text) or (is_list and remainder in PLURALS and first not in MORE_WORDS):
        return True
    a, b = urlsplit(here), urlsplit(there)
    if not text.strip(SIGNS) or (a.netloc, a.path) != (b.netloc, b.path) or a.query == b.query:
        return False
    changed = set(parse_qsl(b.query)) - set(parse_qsl(a.query))
    keys = {key.casefold() for key, _ in changed}
    if keys & CALENDAR_KEYS or any(NEXT_THREAD.fullmatch(value) for _, value in changed):
        return False
    return (
        bool(b.query) if first not in MORE_WORDS else any(PAGE_KEY.fullmatch(key) for key in keys)
    )


def shows_further_page(
    layout: SiteLayout, page: PageAddress, url: str, root: Node, known: AbstractSet[str]
) -> bool:
    """Return whether a page shows a further one whose address is not in `known`.

    A numbered link, one of the first MOST_LINKS links, or a text such as "page 2 of 5" may show it.
    Returns False for a document that is no HTML.
    """
    if not is_element(root):
        return False
    if (there := find_numbered_link(layout, page, url, root, 0)) and there not in known:
        return True
    shown = _ShownPage(layout, page, url.partition("#")[0], root, known)
    links = root.xpath(f"(//a | //link[@rel])[position() <= {MOST_LINKS}]")
    return any(shown.is_further_page(link.root) for link in links) or shown.states_further_page()


@dataclass
class _ShownPage:
    layout: SiteLayout
    page: PageAddress
    url: str
    root: Node
    known_urls: AbstractSet[str]

    @cached_property
    def written(self) -> AbstractSet[Any]:
        """Return the elements that people wrote."""
        return find_user_content(self.layout, self.page, self.url, self.root)

    def states_further_page(self) -> bool:
        """Return whether the page states, outside of user content, that it has a successor.

        About the first LONGEST_TOLD (200,000) characters are searched for texts such as "page 2 of
        5".
        """
        texts, size = list[str](), 0
        for text in texts_outside(self.written, self.root.root):
            texts.append(text)
            size += len(text)
            if size > LONGEST_TOLD:
                break
        statements = OF_PAGES.findall(" ".join(" ".join(texts).split()))
        return any(int(number) == self.page.number < int(last) for number, last in statements)

    def is_further_page(self, link: Any) -> bool:
        """Return whether a link leads to a further page that is not known.

        It must say "next" or the next number, or be marked so, and must not be disabled, in user
        content, in an element that is named as no pager, on another host or an entry. A link
        without an address, which a script follows, counts only by its number beside the current
        one.
        """
        text = " ".join("".join(islice(link.itertext(), MOST_TEXTS)).split())
        is_number = _parse_page_number(text) == self.page.number + 1
        is_word = 0 < len(text) <= LONGEST_WORD and is_next_word(text)
        is_marked = "next" in (link.get("class") or "").casefold().split()
        is_related = (
            self.page.role == "list" and "next" in (link.get("rel") or "").casefold().split()
        )
        if (
            not (is_number or is_word or is_related or is_marked)
            or _is_disabled(link)
            or is_inside(link, self.written)
        ):
            return False
        if any(
            NO_PAGER.search(get_names(element))
            for element in (link, *islice(link.iterancestors(), NEAR))
        ):
            return False
        there = resolve_url(self.url, (link.get("href") or "").strip())
        if not there or there == self.url:
            is_script = is_number and bool(link.attrib) and not self._is_anchor(link)
            return is_script and _is_beside(link, self.page.number, self.url)
        if (
            there in self.known_urls
            or urlsplit(there).netloc != urlsplit(self.url).netloc
            or self._is_entry(there)
        ):
            return False
        if is_related or _is_beside(link, self.page.number, self.url):
            return True
        return is_word and is_page_link(self.url, there, text, is_list=self.page.role == "list")

    def _is_anchor(self, link: Any) -> bool:
        """Return whether a link leads to an element of this page."""
        where = (link.get("href") or "").partition("#")[2]
        return bool(where) and bool(self.root.xpath("//*[@id=$where or @name=$where]", where=where))

    def _is_entry(self, there: str) -> bool:
        """Return whether an address is that of an entry that was read, or of another thread."""
        if self.page.role != "list":
            return is_entry(self.layout, self.page, there)
        match = match_entry(self.layout, there)
        return match is not None and (
            self.layout.match == "path" or to_identity(there, match) in self.known_urls
        )


def _parse_page_number(text: str) -> int:
    """Return the page number that a text consists of; 0 for none."""
    match = PAGE_NUMBER.fullmatch(text)
    return int(match[1]) if match else 0


def _is_disabled(link: Any) -> bool:
    return any(
        element is not None and DISABLED.search(element.get("class") or "")
        for element in (link, link.getparent())
    )


def _is_beside(link: Any, number: int, here: str) -> bool:
    """Return whether the number of the current page stands next to a link.

    Two elements above the link are searched; one with more than LONGEST_PAGER (400) elements, or
    that is a calendar, is no pager. `here` is the address of the current page.
    """
    around = link
    for _ in range(2):
        if (above := around.getparent()) is None or above.tag in {"body", "html", "head"}:
            return False
        around = above
        members = list(islice(elements_in(around), LONGEST_PAGER + 1))
        if len(members) > LONGEST_PAGER or _is_calendar(members):
            return False
        if any(_is_current(element, number, here) for element in members) or _says_number(
            around, number
        ):
            return True
    return False


def _is_calendar(members: list[Any]) -> bool:
    days = [
        text
        for element in members
        if element.tag == "td" and (text := "".join(element.itertext()).strip()).isdecimal()
    ]
    return len(days) >= MOST_DAYS


def _is_current(element: Any, number: int, here: str) -> bool:
    """Return whether an element marks the current page.

    It shows the page's number, and leads nowhere else or is marked as current.
    """
    if (
        len(element) > 2
        or _parse_page_number(" ".join("".join(islice(element.itertext(), MOST_TEXTS)).split()))
        != number
    ):
        return False
    links = [element] if element.tag == "a" else list(element.iter("a"))
    marked = [element, *element.iterancestors()][:2]
    is_marked = any(CURRENT.search(m.get("class") or "") or m.get("aria-current") for m in marked)
    return is_marked or all(
        resolve_url(here, link.get("href") or "") in {"", here} for link in links
    )


def _says_number(around: Any, number: int) -> bool:
    """Return whether the number appears as a text between the links of a pager."""
    texts = [around.text or "", *(child.tail or "" for child in around)]
    return any(re.search(rf"(?<!\d){number}(?!\d)", text) for text in texts)
