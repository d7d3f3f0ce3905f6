"""Walk the elements of a page, and tell apart those that stand in one another, as replies to
replies do.

A tree of lxml holds comments and processing instructions beside its elements: they have no
attributes, and a page may have one anywhere. So no other module walks a tree but by `elements_in`
(a test of the rules holds to that), and takes the text beside an element from `text_before` and
`text_behind`, which go on behind a comment.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from lxml import etree  # type: ignore[import-untyped]  # it has no types

from crawlers.sites.selectors import Node, is_element
from ullage.errors import RecordError

MENUS = (" nav", " menu", " breadcrumb", " footer", " sidebar", " lang", " nv ", " hd ", " ft ")
MENU_TAGS = frozenset({"nav", "header", "footer", "aside"})
DEEPEST = 200
"""So deep may rows or posts stand in one another, as replies to replies may."""


def elements_in(root: Any, *, itself: bool = True) -> Iterator[Any]:
    """Yield the elements of a tree in the order of the page, without `root` where `itself` is
    False.
    """
    return iter(root.iter("*") if itself else root.iterdescendants("*"))


def next_element(element: Any) -> Any | None:
    """Return the element behind another in the same parent; None where there is none."""
    return next(element.itersiblings("*"), None)


def text_before(element: Any) -> str:
    """Return the text of an element up to the first element in it."""
    return _joined(element.text, element)


def text_behind(element: Any) -> str:
    """Return the text behind an element, up to the next element or to the end of its parent."""
    return _joined(element.tail, element.itersiblings())


def _joined(text: str | None, nodes: Iterable[Any]) -> str:
    """Return `text` and what stands behind each comment, up to the first element of `nodes`."""
    comments = itertools.takewhile(lambda node: not isinstance(node.tag, str), nodes)
    return "".join([text or "", *(node.tail or "" for node in comments)])


def texts_outside(nodes: AbstractSet[Any], root: Any) -> Iterator[str]:
    """Yield the texts of a page that stand in none of some elements, without scripts and titles."""
    within = set[object]()
    for element in elements_in(root):
        above = element.getparent()
        if above is not None and (above in within or above in nodes):
            within.add(element)
            continue
        if element not in nodes and element.tag not in {"script", "style", "title", "option"}:
            yield text_before(element)
        if above is not None:
            yield text_behind(element)


def is_menu(element: Any) -> bool:
    """Return whether an element is a menu, a header, a footer or something else that leads about
    the whole site.
    """
    if element.tag in MENU_TAGS or element.get("role") == "navigation":
        return True
    name = f" {name_of(element)}".lower().replace("_", " ")
    return len(name) > 2 and any(part in name for part in MENUS)


def stands_in_menu(element: Any) -> bool:
    """Return whether an element is a menu, or stands in one."""
    return is_menu(element) or any(map(is_menu, element.iterancestors()))


def name_of(element: Any) -> str:
    """Return the id and the classes of an element."""
    return f"{element.get('id', '')} {element.get('class', '')}"


def outermost(nodes: Sequence[Node]) -> list[Node]:
    """Without elements that stand in another of them."""
    return [node for node, depth in zip(nodes, _depths(nodes), strict=True) if not depth]


def apart(nodes: Sequence[Node]) -> Iterator[tuple[int, Node]]:
    """Each with its number, the innermost first; those within it are taken out of the page until
    all are read.

    So what stands innermost is read once, and not again with each that stands around it.
    RecordError where they stand in one another so deeply that it is an attack.
    """
    by_depth: dict[int, list[int]] = {}
    for number, depth in enumerate(_depths(nodes)):
        by_depth.setdefault(depth, []).append(number)
    if max(by_depth, default=0) > DEEPEST:
        raise RecordError("nested")
    taken = list[tuple[Any, Any, str | None]]()
    try:
        for depth in sorted(by_depth, reverse=True):
            for number in by_depth[depth]:
                yield number, nodes[number]
            if depth:
                taken += [_taken_out(nodes[number].root) for number in by_depth[depth]]
    finally:
        for element, hole, tail in reversed(taken):
            hole.getparent().replace(hole, element)
            element.tail = tail


def _taken_out(element: Any) -> tuple[Any, Any, str | None]:
    """The element, the comment that is now in its place, and the text behind it, which stays."""
    hole, tail = etree.Comment(""), element.tail
    hole.tail, element.tail = tail, None
    element.getparent().replace(element, hole)
    return element, hole, tail


def _depths(nodes: Sequence[Node]) -> list[int]:
    """In how many of the others each stands; takes as long as there are elements, however they
    stand.
    """
    own = {node.root for node in nodes if is_element(node)}
    known: dict[Any, int] = {}
    for node in nodes:
        way, above = [], node.root.getparent() if is_element(node) else None
        while above is not None and above not in known:
            way.append(above)
            above = above.getparent()
        depth = known[above] if above is not None else 0
        for element in reversed(way):
            depth += element in own
            known[element] = depth
    return [known.get(node.root.getparent(), 0) if is_element(node) else 0 for node in nodes]
