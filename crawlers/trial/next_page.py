"""The links to further pages, as unknown software writes them: by relation, class, icon or word.

Numbers alone are read without a selector (`crawlers.sites.further`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import urldefrag, urljoin, urlsplit

from lxml.html import HtmlElement  # type: ignore[import-untyped]  # it has no types

from crawlers.sites.further import leads_on

WORDS = frozenset(
    "next older more weiter nächste suivant suivante siguiente próxima successivo volgende далее следующая dalej nästa sonraki"
    " 下一页 下一頁 下页 后页 后一页 加载更多 查看更多 更多 次へ 다음 › » → >".split()
)
BEHIND = frozenset({"", "page", "posts", "results", "entries", "seite", "comments", "messages", "replies"})
"""What may stand behind such a word; behind others it leads to another thread."""
SIGNS = "›»→>↓….[]() "
OF_PAGES = re.compile(r"(?i)page|seite|página|pagina|页|頁|ページ")
"""With such a word it leads to a page, whatever its address looks like."""
LOAD = re.compile(r"^(load|show|see|view) (?=more|next|older)")
RELATION = "a[rel~=next], link[rel~=next]"
CLASSES = "a.next, .next > a, a.nxt, .nxt > a, .pagination-next > a, a.pagination_next, .page-next > a, a.page-next"
ICONS = ("chevron-right", "arrow-right", "angle-right", "icon-next")


def of_pages(pages: Sequence[tuple[str, HtmlElement]]) -> list[str]:
    """Selectors of the next page that find it on any of some pages, given with their addresses."""
    found = dict[str, None]()
    for url, root in pages:
        found.update(dict.fromkeys(_on(url, root)))
    return list(found)


def _on(url: str, root: HtmlElement) -> Iterator[str]:
    if _leads(url, root.cssselect(RELATION)):
        yield RELATION
        return
    if _leads(url, root.cssselect(CLASSES)):
        yield CLASSES
        return
    for icon in ICONS:
        if _leads(url, root.cssselect(f"a:has([class*={icon}])")):
            yield f"a:has([class*={icon}])"
            return
    yield from list(_said(url, root))[:1]


def _said(url: str, root: HtmlElement) -> Iterator[str]:
    """By a word, in its text or title."""
    for link in root.iter("a"):
        for of, told in (
            ("normalize-space()", link.text_content()),
            ("@title", link.get("title")),
            ("@aria-label", link.get("aria-label")),
        ):
            text = " ".join((told or "").split())
            is_next = text and len(text) <= 24 and "'" not in text and _is_next(text)
            if is_next and (_leads(url, [link]) or (OF_PAGES.search(text) and _is_other(url, link))):
                yield f"xpath://a[{of}='{text}']"


def _is_other(url: str, link: HtmlElement) -> bool:
    """Whether a link leads to another page of the site."""
    there = urldefrag(urljoin(url, link.get("href", ""))).url
    return bool(there != url and urlsplit(there).netloc == urlsplit(url).netloc)


def _is_next(text: str) -> bool:
    said = LOAD.sub("", text.casefold())
    first, _, rest = (said.strip(SIGNS) or said).partition(" ")
    return first in WORDS and rest.strip(SIGNS) in BEHIND


def _leads(url: str, links: Sequence[HtmlElement]) -> bool:
    """Whether the first of some links leads to another page of the same list or thread."""
    href = links[0].get("href", "") if links else ""
    return bool(href) and leads_on(url, urljoin(url, href))
