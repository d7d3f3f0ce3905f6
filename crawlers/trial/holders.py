"""Detect guessed "posts" that are the whole page, or a container of all posts of a thread.

Such a guess reads every text and passes each comparison of texts. A visit, however, would take the
whole thread for one post, which changes with each reply, and see no author and date of a reply.
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
"""From this share of a page's text on, a "post" is the page itself."""
LEAST_SECOND = 2
"""From this number of dated parts with words of their own on, a "post" is several posts."""


def find_doubts(site: Site, roots: Sequence[HtmlElement]) -> Iterator[str]:
    """Yield a sentence for each fault of the posts that a site's options find.

    A "post" may be the whole page, or may contain several posts.
    """
    options = load_layout(site.name, dict(site.options), "css")
    whole = 0
    for root in roots:
        nodes = _find_posts(options.post, root)
        size = len(posts.get_text(posts.get_body(root)))
        whole += any(len(posts.get_text(post)) >= MOST_OF_BODY * size for post in nodes)
        if any(_has_heading(post) and _has_posts(post, nodes) for post in nodes):
            yield "the element found as a post contains the title or a form, and several posts"
            return
    if roots and whole > len(roots) / 2:
        yield "the element found as a post is nearly the whole page"


def _find_posts(selections: Selections, root: HtmlElement) -> list[HtmlElement]:
    return [node.root for node in selections.nodes(Selector(root=root, type="html"))]


def _has_heading(post: HtmlElement) -> bool:
    """Return whether an element holds the title of a page, or a form."""
    return any(element.tag in {"h1", "form"} for element in elements_in(post))


def _has_posts(post: HtmlElement, nodes: Sequence[HtmlElement]) -> bool:
    """Return whether a post holds several dated parts of one kind that are no posts themselves."""
    ours, kinds = set(nodes) - {post}, Counter[str]()
    for element in elements_in(post, itself=False):
        if (
            element in ours
            or any(above in ours for above in element.iterancestors())
            or "." not in posts.select_by_kind(element)
        ):
            continue
        says = [text for text in posts.iter_texts(element) if posts.MOMENT.parse(text) is None]
        if posts.find_date(element, None) is not None and sum(map(len, says)) >= posts.LONG:
            kinds[posts.select_by_kind(element)] += 1
    return any(count >= LEAST_SECOND for count in kinds.values())
