"""What a page shows beside what is read of it, for sites whose own options say how: nobody proved those as a preset is proven.

One sentence says what is short. A page that is short makes its site `incomplete` (`fewer`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from crawlers.sites.elements import outermost
from crawlers.sites.further import numbered
from crawlers.sites.layout import Layout
from crawlers.sites.pages import Page, Post
from crawlers.sites.selecting import Node, is_element, text_of

LEAST_SHARE = 0.05
"""Of the text of the posts, so much must be that of their bodies, or headers were read."""
LEAST_TEXT = 200
"""Letters of a post from which that tells."""
OUTSIDE = 4
"""One text in so many that stands where no post was read is one too many."""


def shortfall(layout: Layout, page: Page, url: str, root: Node, read: tuple[Sequence[Post], Sequence[Page]]) -> str:
    """What of a page of a list or thread is not read, as a sentence; "" where nothing is known to be missing."""
    posts, pages = read
    if not is_element(root):
        return ""
    return _of_posts(layout, root, posts) or _of_pages(layout, page, url, root, pages)


def _of_posts(layout: Layout, root: Node, posts: Sequence[Post]) -> str:
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


def _of_pages(layout: Layout, page: Page, url: str, root: Node, pages: Sequence[Page]) -> str:
    """Whether there is a link to the next page that is not followed."""
    series = page.series or page.name
    if any(one.number == page.number + 1 and (one.series or one.name) == series for one in pages) or not layout.leads_on:
        return ""
    is_there = numbered(layout, page, url, root, 0)
    return f"page {page.number + 1} of a {page.role} is not followed" if is_there else ""
