"""What a page shows beside what is read of it, for sites whose own options say how: nobody proved those as a preset is proven.

A trial and every visit ask the same. One sentence says what is short; a page that is short makes its site `incomplete` (`fewer`),
as threads do that give fewer posts than their list or their own page counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from crawlers.sites.elements import outermost
from crawlers.sites.further import numbered
from crawlers.sites.layout import SiteLayout
from crawlers.sites.pages import PageAddress, Post
from crawlers.sites.selecting import Node, is_element, text_of

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
    for element in root.iter():
        above = element.getparent()
        if above is not None and (above in within or above in posts):
            within.add(element)
            continue
        is_shown = isinstance(element.tag, str) and element.tag not in {"script", "style", "title", "option"}
        if element not in posts and is_shown and element.text:
            yield element.text
        if element.tail and above is not None:
            yield element.tail


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
