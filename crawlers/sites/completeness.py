"""Compare what was read of a page with what the page itself says that it holds.

Both are asked for far ahead of what was counted. What they do not have in common, such as the time,
tells nothing; the id that was asked for may stand in each.

A trial and every visit ask the same. One sentence says what is short; a page that is short makes
its site `incomplete` (`fewer`), as threads do that give fewer posts than their list or their own
page counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from crawlers.sites.elements import drop_nested, texts_outside
from crawlers.sites.further_pages import shows_further
from crawlers.sites.layout import SiteLayout, named, search
from crawlers.sites.next_pages import BEHIND, entry_in, is_page_of, joined
from crawlers.sites.pages import PageAddress, PageContent, Post
from crawlers.sites.selectors import MOST_LINKS, Node, get_link, get_text, is_element

FAR = 1_000_000
"""So far ahead of an id that is there none is yet."""
WORDS = re.compile(rb"\w+|\W+")
LONGEST = 256 * 1024
"""Bytes of an answer that are compared: nobody writes more to say that there is nothing."""


def far_ids(number: int) -> tuple[int, int]:
    """Two ids that nobody has, where `number` is about the last one."""
    return number + FAR, number + 2 * FAR + 7


@dataclass(frozen=True, slots=True)
class Absent:
    """How a site answers for what is not there: the words of two answers, None in the place of
    those that differ.
    """

    words: tuple[bytes | None, ...]

    def is_like(self, body: bytes, number: str) -> bool:
        """Whether an answer for `number` says the same."""
        said = _words(body, number)
        return (
            bool(said)
            and len(said) == len(self.words)
            and all(a is None or a == b for a, b in zip(self.words, said, strict=True))
        )


def absent_of(answers: Sequence[tuple[bytes, str]]) -> Absent | None:
    """What two answers, each for an id, have in common; None where they are no such answers."""
    if len(answers) < 2 or any(len(body) > LONGEST for body, _ in answers):
        return None
    one, other = (_words(body, number) for body, number in answers)
    if len(one) != len(other):
        return None
    return Absent(tuple(a if a == b else None for a, b in zip(one, other, strict=True)))


def _words(body: bytes, number: str) -> list[bytes]:
    """An answer without the id that it is for."""
    if len(body) > LONGEST:
        return []
    return WORDS.findall(re.sub(rb"(?<!\w)%b(?!\w)" % re.escape(number.encode()), b"", body))


LEAST_SHARE = 0.05
"""Of the text of the posts, so much must be that of their bodies, or headers were read."""
LEAST_TEXT = 200
"""Letters of a post from which that tells."""
OUTSIDE = 4
"""One text in so many that stands where no post was read is one too many."""
LONGEST_TOLD = 20_000
"""Letters around the posts of a thread in which its count is looked for: it stands above or
right below them.
"""
_NUMBER = r"(?<![\d.,:/#-])(?P<{}>\d{{1,3}}(?:,\d{{3}})+|\d{{1,6}})"
_REPLIES = (
    r"replies|comments|answers|responses|antworten|kommentare|réponses|commentaires|respuestas|comentarios|risposte|respostas|"
    r"ответ\w{0,3}|комментари\w{0,2}|yanıt|cevap|回复|回覆|回帖|回應|评论|評論|跟帖|コメント|댓글|답글"
)
_COUNTS = re.compile(
    rf"(?i){_NUMBER.format('replies')}\s?\+?\s?(?:個|个|條|条|則|则|篇|件の)?\s?(?:{_REPLIES})(?!\s?[:：(（]\s?\d)"
    rf"|(?<![\d.,:/#-])(?P<one>1) (?:reply|comment|answer|response)\b"
    rf"|(?:{_REPLIES})(?:数|數)?\s?[:：(（]?\s?(?P<behind>\d{{1,3}}(?:,\d{{3}})+|\d{{1,6}})(?![\d:/.年月-]|\s?(?:楼|樓|#))"
    rf"|{_NUMBER.format('posts')}\s?\+?\s?(?:posts?|messages?|beiträge|сообщени\w{{0,2}})\b(?P<of>\s?[•·|–-]\s?page)?"
)
"""How a list, or a thread's own page, says how many posts a thread has."""
NO_COUNT = "¦"
"""Stands for the title of a thread, and for a date, among other texts."""
DATE = re.compile(r"\w\W{1,3}(?:19|20)\d\d\W*$")
"""A text that ends in a year, before which something else of a date stands."""


@dataclass(slots=True)
class RowCount:
    """What became of the rows of a list: each is an entry, a declared exception (`where`), or it is
    missing.

    `are_entries` is whether the layout names rows, and does not only look through all links of a
    page.
    """

    total: int = 0
    are_entries: bool = False
    refused: list[str] = field(default_factory=list)
    """The addresses of rows that gave no entry."""
    addresses: dict[str, set[str]] = field(default_factory=dict)
    """By the identity of an entry, what stands in addresses behind it."""

    def note(self, entry: PageAddress | None, url: str) -> None:
        """Note one row that is no exception, its entry, and the address that it has; "" for
        none.
        """
        if entry is None:
            self.refused += [url] if url else []
        elif entry.role == "thread" and url.startswith(entry.name):
            rest = url[len(entry.name) :].partition("#")[0]
            self.addresses.setdefault(entry.name, set()).add("" if BEHIND.fullmatch(rest) else rest)

    def shortfall(self, layout: SiteLayout, page: PageAddress, pages: Sequence[PageAddress]) -> str:
        """Return as a sentence that rows are not read, or that several are taken for one; "" where
        all are read.

        A row that leads to another list, or to another page of its own, is none of the entries.
        """
        if not self.are_entries:
            return ""
        merged = sum(len(rests) - 1 for rests in self.addresses.values())
        known = {one.url for one in pages}
        refused = [
            url for url in self.refused if url not in known and not _is_list(layout, page, url)
        ]
        if refused:
            return (
                f"{len(refused)} of {self.total} rows of the list lead to an address that is not"
                " read"
            )
        return (
            f"{len(self.addresses) + merged} addresses of the list have {len(self.addresses)} ids"
            if merged
            else ""
        )


def _is_list(layout: SiteLayout, page: PageAddress, url: str) -> bool:
    """Return whether an address is that of another list, or of a page of the list in hand."""
    is_other = bool(layout.lists_pattern and search(layout.lists_pattern, url))
    return is_other or is_page_of(page.series or page.url, url) or is_page_of(page.url, url)


def shortfall(
    layout: SiteLayout, page: PageAddress, url: str, root: Node, read: PageContent, *, is_own: bool
) -> str:
    """Return what of a page of a list or thread is not read, as a sentence; "" where nothing is
    known to be missing.

    Posts are held against what the page shows where `is_own`, that is, where the layout is the
    site's own and no preset.
    """
    if not is_element(root):
        return ""
    beside = is_own and (
        _of_headings(layout, page, url, root, read.pages) or _of_posts(layout, root, read.posts)
    )
    return beside or _of_pages(layout, page, url, root, read.pages)


def counted(told: str, *, by_thread: bool = False) -> int | None:
    """How many posts a text says that a thread has, that of its row or, `by_thread`, of its own
    page; None for two numbers.

    Around the posts of a thread a number of posts alone is that of a member or of the whole board.

    >>> counted("An offer, 12 replies, 300 views"), counted("回复：12"), counted("3 replies 4 comments")
    (13, 13, None)
    """  # noqa: E501
    said = set[int]()
    for found in _COUNTS.finditer(" ".join(told.split())):
        replies = found["replies"] or found["one"] or found["behind"]
        if replies or not by_thread or found["of"]:
            said.add(int((replies or found["posts"]).replace(",", "")) + bool(replies))
    return said.pop() if len(said) == 1 else None


def counted_in(texts: Iterable[str], title: str, *, by_thread: bool = False) -> int | None:
    """Return `counted` of several texts together, without title and dates: in "Lot 25",
    "Comments" is no number of them.
    """
    plain = (" ".join(text.split()) for text in texts)
    return counted(
        " ".join(NO_COUNT if text == title or DATE.search(text) else text for text in plain),
        by_thread=by_thread,
    )


def counted_on(layout: SiteLayout, root: Node, title: str) -> int | None:
    """Return how many posts a thread's own page, of this title, says around them that it has."""
    if not is_element(root):
        return None
    told, size = list[str](), 0
    for text in texts_outside(
        {node.root for node in layout.post.nodes(root) if is_element(node)}, root.root
    ):
        told.append(text)
        size += len(text)
        if size > LONGEST_TOLD:
            break
    return counted_in(told, title, by_thread=True)


def _of_headings(
    layout: SiteLayout, page: PageAddress, url: str, root: Node, pages: Sequence[PageAddress]
) -> str:
    """Return as a sentence that headings outside of the rows of a list lead to entries, as that
    of a featured article does.
    """
    if page.role != "list" or not layout.rows:
        return ""
    known = {name for one in pages for name in (one.url, one.name)}
    links = root.xpath(
        "//*[(self::h1 or self::h2) and not(ancestor::nav or ancestor::footer)]//a[@href]"
    )[:MOST_LINKS]
    urls = {joined(url, get_link(link)) for link in links}
    entries = {named(there, match): there for there in urls if (match := entry_in(layout, there))}
    missed = [name for name, there in entries.items() if not known & {name, there}]
    return f"{len(missed)} headings lead to entries that stand in no row" if missed else ""


def _of_posts(layout: SiteLayout, root: Node, posts: Sequence[Post]) -> str:
    """Whether there are more texts than posts, posts that share an id, or more around their
    texts than in them.
    """
    nodes = (
        drop_nested([node for node in layout.post.nodes(root) if is_element(node)]) if posts else []
    )
    if not nodes or len(nodes) < len(posts):  # posts in posts: what is around one is another
        return ""
    ids = Counter(post.post_id for post in posts)
    if len(ids) < len(posts):
        return f"{len(posts)} posts have {len(ids)} ids"
    inside = sum(len(layout.body.nodes(node)) for node in nodes)
    outside = sum(is_element(one) for one in layout.body.nodes(root)) - inside
    if outside > 0 and outside * OUTSIDE >= inside:
        return f"reads {len(posts)} of {len(posts) + outside} posts"
    whole = sum(len(get_text(node)) for node in nodes)
    held = sum(len(get_text(one)) for node in nodes for one in drop_nested(layout.body.nodes(node)))
    if held < LEAST_SHARE * whole and whole > LEAST_TEXT * len(nodes):
        return f"its texts are {held * 100 // whole} percent of its posts: a header was read"
    return ""


def _of_pages(
    layout: SiteLayout, page: PageAddress, url: str, root: Node, pages: Sequence[PageAddress]
) -> str:
    """Return as a sentence that a further page is shown and not followed; "" where it is
    followed, or there is none.
    """
    series = page.series or page.name
    if any(one.number == page.number + 1 and (one.series or one.name) == series for one in pages):
        return ""
    known = {address.partition("#")[0] for one in pages for address in (one.url, one.name)}
    return (
        f"page {page.number + 1} of a {page.role} is not followed"
        if shows_further(layout, page, url, root, known)
        else ""
    )
