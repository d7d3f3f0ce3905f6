"""Tell a guessed "post" that is in truth the page, or what holds all posts of a thread.

Such a guess reads every text and passes each comparison of texts; a visit would take the whole
thread for one post, which changes with each reply, and see no author and no date of a reply.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from lxml.html import HtmlElement  # type: ignore[import-untyped]  # it has no types
from parsel import Selector

from crawlers.sites.elements import elements_in
from crawlers.sites.layout import load_layout
from crawlers.sites.selectors import Selections
from crawlers.sites.site import Site
from crawlers.trial import posts

MOST_OF_BODY = 0.9
"""So much of the text of a page is no post, but the page."""
LEAST_SECOND = 2
"""So many dated parts of one kind with words of their own are several posts."""


def doubts(site: Site, roots: Sequence[HtmlElement]) -> Iterator[str]:
    """Yield a sentence where the posts that a site's options find in threads are the page, or
    hold several posts.
    """
    options = load_layout(site.name, dict(site.options), "css")
    whole = 0
    for root in roots:
        found = _posts_in(options.post, root)
        size = len(posts.text(posts.body(root)))
        whole += any(len(posts.text(one)) >= MOST_OF_BODY * size for one in found)
        if any(_holds_head(one) and _holds_posts(one, found) for one in found):
            yield "what was taken for a post holds the title or a form, and several posts"
            return
    if roots and whole > len(roots) / 2:
        yield "what was taken for a post is nearly all of the page"


def _posts_in(selections: Selections, root: HtmlElement) -> list[HtmlElement]:
    return [node.root for node in selections.nodes(Selector(root=root, type="html"))]


def _holds_head(post: HtmlElement) -> bool:
    """Return whether the title of a page, or a form to write in, stands in an element."""
    return any(one.tag in {"h1", "form"} for one in elements_in(post))


def _holds_posts(post: HtmlElement, found: Sequence[HtmlElement]) -> bool:
    """Return whether several dated parts of one kind stand in a post, which are no posts of
    their own.
    """
    ours, kinds = set(found) - {post}, Counter[str]()
    for one in elements_in(post, itself=False):
        if (
            one in ours
            or any(above in ours for above in one.iterancestors())
            or "." not in posts.own(one)
        ):
            continue
        says = [text for text in posts.said_in(one) if posts.MOMENT.parse(text) is None]
        if posts.moment_in(one, None) is not None and sum(map(len, says)) >= posts.LONG:
            kinds[posts.own(one)] += 1
    return any(count >= LEAST_SECOND for count in kinds.values())
