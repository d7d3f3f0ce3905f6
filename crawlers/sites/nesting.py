"""Parse HTML that is nested more deeply than libxml2 can read.

libxml2 stops at a depth of 2,048 and skips the rest of the page, so anybody who can nest tags in a
post could hide every post below it. Such a page is parsed again without the tags that nest too
deeply; their content stays. A page is cut at `MOST_TAGS` tags, since no other site is read while
one page is parsed.
"""

from __future__ import annotations

import re
from collections import Counter

from lxml import etree, html  # type: ignore[import-untyped]  # it has no types
from parsel import Selector

DEEPEST, DEEPEST_OF_NAME = 1000, 60
"""The most elements that may be open at a time, in total and of one name.

Deeper elements become siblings, as in browsers.
"""
MOST_TAGS = 400_000
"""The most tags that are read: a thousand times those of a usual page; they take half a second."""
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:-]*)")
_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())
_ENDED_BY_THE_NEXT = frozenset("p li td th tr dt dd option".split())


def parse_html(text: str) -> Selector:
    """Return the tree of `text`, parsed as a browser would; never fails.

    A text without any element gives an empty page; one that is nested too deeply is flattened
    first.
    """
    parser = html.HTMLParser(recover=True, encoding="utf-8", huge_tree=True)
    body = text.strip().replace("\x00", "").encode("utf-8", "replace") or b"<html/>"
    root = etree.fromstring(body, parser)
    if any(error.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT for error in parser.error_log):
        return Selector(text=flatten(text), type="html")
    return (
        Selector(text="<html/>", type="html") if root is None else Selector(root=root, type="html")
    )


def limit_tags(text: str) -> str:
    """Return the beginning of `text` that has at most `MOST_TAGS` tags.

    A text with fewer is returned as it is.
    """
    if text.count("<") <= MOST_TAGS:
        return text
    at = -1
    for _ in range(MOST_TAGS):
        at = text.index("<", at + 1)
    return text[:at]


def flatten(text: str) -> str:
    """Return `text` without the tags of elements that are nested too deeply.

    These are elements below DEEPEST (1,000) others, or below DEEPEST_OF_NAME (60) of the same name;
    their text stays. Takes time linear in the length of the text.
    """
    pieces, at, search_from = list[str](), 0, 0
    stack, of_name, open_tags = list[tuple[str, bool]](), Counter[str](), 0

    def close_element() -> bool:
        nonlocal open_tags
        name, was_kept = stack.pop()
        of_name[name] -= 1
        open_tags -= was_kept
        return was_kept

    while tag := _TAG.search(text, search_from):
        end = text.find(">", tag.end()) + 1 or len(text)
        name, keeps, search_from = tag[2].lower(), True, end
        if tag[1]:
            while of_name[name] and stack[-1][0] != name:
                close_element()
            keeps = not of_name[name] or close_element()
        elif name not in _VOID:
            while name in _ENDED_BY_THE_NEXT and stack and stack[-1][0] in _ENDED_BY_THE_NEXT:
                close_element()
            keeps = open_tags < DEEPEST and of_name[name] < DEEPEST_OF_NAME
            stack.append((name, keeps))
            of_name[name] += 1
            open_tags += keeps
        if not keeps:
            pieces.append(text[at : tag.start()])
            at = end
    return "".join([*pieces, text[at:]])
