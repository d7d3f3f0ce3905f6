"""Reads HTML whose elements stand in one another more deeply than libxml2 goes on reading.

It stops at 2,048 and passes over all that follows, so whoever may nest tags in a post could hide
every post below it. Such a page is read again without the tags that nest too deeply; what they hold
stays. Of a page of more than `MOST_TAGS` the rest is left out: no other site is read while a page
is.
"""

from __future__ import annotations

import re
from collections import Counter

from lxml import etree, html  # type: ignore[import-untyped]  # it has no types
from parsel import Selector

DEEPEST, DEEPEST_OF_NAME = 1000, 60
"""So many elements may be open at once, and so many of one name: browsers too put what is deeper
beside instead of within.
"""
MOST_TAGS = 400_000
"""A thousand times what a page of threads has; they take half a second."""
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:-]*)")
_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())
_ENDED_BY_THE_NEXT = frozenset("p li td th tr dt dd option".split())


def selector(text: str) -> Selector:
    """`text` as a browser would read it."""
    parser = html.HTMLParser(recover=True, encoding="utf-8", huge_tree=True)
    body = text.strip().replace("\x00", "").encode("utf-8", "replace") or b"<html/>"
    root = etree.fromstring(body, parser)
    if any(error.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT for error in parser.error_log):
        return Selector(text=flattened(text), type="html")
    return (
        Selector(text="<html/>", type="html") if root is None else Selector(root=root, type="html")
    )


def within(text: str) -> str:
    """`text` up to where its tags are too many, itself where they are not."""
    if text.count("<") <= MOST_TAGS:
        return text
    at = -1
    for _ in range(MOST_TAGS):
        at = text.index("<", at + 1)
    return text[:at]


def flattened(text: str) -> str:
    """`text` without tags of elements that stand too deeply in others; takes as long as there is
    text.
    """
    pieces, at, search_from = list[str](), 0, 0
    stack, of_name, kept = list[tuple[str, bool]](), Counter[str](), 0

    def end_one() -> bool:
        nonlocal kept
        name, was_kept = stack.pop()
        of_name[name] -= 1
        kept -= was_kept
        return was_kept

    while tag := _TAG.search(text, search_from):
        end = text.find(">", tag.end()) + 1 or len(text)
        name, keeps, search_from = tag[2].lower(), True, end
        if tag[1]:
            while of_name[name] and stack[-1][0] != name:
                end_one()
            keeps = not of_name[name] or end_one()
        elif name not in _VOID:
            while name in _ENDED_BY_THE_NEXT and stack and stack[-1][0] in _ENDED_BY_THE_NEXT:
                end_one()
            keeps = kept < DEEPEST and of_name[name] < DEEPEST_OF_NAME
            stack.append((name, keeps))
            of_name[name] += 1
            kept += keeps
        if not keeps:
            pieces.append(text[at : tag.start()])
            at = end
    return "".join([*pieces, text[at:]])
