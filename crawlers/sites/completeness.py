"""Compare what was read of a page with what the page itself says that it holds.

Both are asked for far ahead of what was counted. What they do not have in common, such as the time, tells nothing; the id that
was asked for may stand in each.

A trial and every visit ask the same. One sentence says what is short; a page that is short makes its site `incomplete` (`fewer`),
as threads do that give fewer posts than their list or their own page counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from urllib.parse import urljoin, urlsplit

from crawlers.sites.elements import elements_in, outermost, text_before, text_behind
from crawlers.sites.layout import SiteLayout, search
from crawlers.sites.pages import PageAddress, Post
from crawlers.sites.selectors import MOST_LINKS, Node, is_element, link_of, text_of

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
    """How a site answers for what is not there: the words of two answers, None in the place of those that differ."""

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


LEAST_SHARE = 0.05
"""Of the text of the posts, so much must be that of their bodies, or headers were read."""
LEAST_TEXT = 200
"""Letters of a post from which that tells."""
OUTSIDE = 4
"""One text in so many that stands where no post was read is one too many."""
LONGEST_TOLD = 20_000
"""Letters around the posts of a thread in which its count is looked for: it stands above or right below them."""
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


def shortfall(
    layout: SiteLayout, page: PageAddress, url: str, root: Node, read: tuple[Sequence[Post], Sequence[PageAddress]]
) -> str:
    """What of a page of a list or thread is not read, as a sentence; "" where nothing is known to be missing."""
    posts, pages = read
    if not is_element(root):
        return ""
    return _of_posts(layout, root, posts) or _of_pages(layout, page, url, root, pages)


def counted(told: str, *, by_thread: bool = False) -> int | None:
    """How many posts a text says that a thread has, that of its row or, `by_thread`, of its own page; None for two numbers.

    Around the posts of a thread a number of posts alone is that of a member or of the whole board.

    >>> counted("An offer, 12 replies, 300 views"), counted("回复：12"), counted("3 replies 4 comments")
    (13, 13, None)
    """
    said = set[int]()
    for found in _COUNTS.finditer(" ".join(told.split())):
        replies = found["replies"] or found["one"] or found["behind"]
        if replies or not by_thread or found["of"]:
            said.add(int((replies or found["posts"]).replace(",", "")) + bool(replies))
    return said.pop() if len(said) == 1 else None


def counted_on(layout: SiteLayout, root: Node) -> int | None:
    """How many posts a thread's own page says that it has, around them."""
    if not is_element(root):
        return None
    told, size = list[str](), 0
    for text in _around({node.root for node in layout.post.nodes(root) if is_element(node)}, root.root):
        told.append(text)
        size += len(text)
        if size > LONGEST_TOLD:
            break
    return counted(" ".join(told), by_thread=True)


def _around(posts: set[object], root: Node) -> Iterator[str]:
    """What stands outside of posts."""
    within = set[object]()
    for element in elements_in(root):
        above = element.getparent()
        if above is not None and (above in within or above in posts):
            within.add(element)
            continue
        if element not in posts and element.tag not in {"script", "style", "title", "option"}:
            yield text_before(element)
        if above is not None:
            yield text_behind(element)


def _of_posts(layout: SiteLayout, root: Node, posts: Sequence[Post]) -> str:
    """Whether there are more texts than posts, posts that share an id, or more around their texts than in them."""
    nodes = outermost([node for node in layout.post.nodes(root) if is_element(node)]) if posts else []
    if not nodes or len(nodes) < len(posts):  # posts in posts: what is around one is another
        return ""
    ids = Counter(post.post_id for post in posts)
    if len(ids) < len(posts):
        return f"{len(posts)} posts have {len(ids)} ids"
    inside = sum(len(layout.body.nodes(node)) for node in nodes)
    outside = sum(is_element(one) for one in layout.body.nodes(root)) - inside
    if outside > 0 and outside * OUTSIDE >= inside:
        return f"reads {len(posts)} of {len(posts) + outside} posts"
    whole = sum(len(text_of(node)) for node in nodes)
    held = sum(len(text_of(one)) for node in nodes for one in outermost(layout.body.nodes(node)))
    if held < LEAST_SHARE * whole and whole > LEAST_TEXT * len(nodes):
        return f"its texts are {held * 100 // whole} percent of its posts: a header was read"
    return ""


def _of_pages(layout: SiteLayout, page: PageAddress, url: str, root: Node, pages: Sequence[PageAddress]) -> str:
    """Whether there is a link to the next page that is not followed."""
    series = page.series or page.name
    if any(one.number == page.number + 1 and (one.series or one.name) == series for one in pages) or not layout.leads_on:
        return ""
    is_there = numbered(layout, page, url, root, 0)
    return f"page {page.number + 1} of a {page.role} is not followed" if is_there else ""
