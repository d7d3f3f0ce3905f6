"""Walk the elements of a page, and handle elements nested in one another, as replies are.

A tree of lxml holds comments and processing instructions beside its elements: they have no
attributes, and a page may have one anywhere. Therefore other modules walk a tree only with
`elements_in` (a test checks that), and read the text beside an element with `text_before` and
`text_behind`, which continue behind a comment.
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
"""The depth to which rows or posts may be nested, as replies to replies are."""


def elements_in(root: Any, *, itself: bool = True) -> Iterator[Any]:
    """Yield the elements of a tree in page order.

    `root` is skipped if `itself` is False.
    """
    return iter(root.iter("*") if itself else root.iterdescendants("*"))


def next_element(element: Any) -> Any | None:
    """Return the element after another in the same parent; None where there is none."""
    return next(element.itersiblings("*"), None)


def text_before(element: Any) -> str:
    """Return the text of an element up to the first element in it."""
    return _join_texts(element.text, element)


def text_behind(element: Any) -> str:
    """Return the text after an element, up to the next element or to the end of its parent."""
    return _join_texts(element.tail, element.itersiblings())


def _join_texts(text: str | None, nodes: Iterable[Any]) -> str:
    """Return `text` and the text after each comment, up to the first element of `nodes`."""
    comments = itertools.takewhile(lambda node: not isinstance(node.tag, str), nodes)
    return "".join([text or "", *(node.tail or "" for node in comments)])


def texts_outside(nodes: AbstractSet[Any], root: Any) -> Iterator[str]:
    """Yield the texts of a page outside of the elements `nodes` and of all that these contain.

    Texts of scripts, styles, titles and options are left out.
    """
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
    """Return whether an element is a menu, header, footer or other navigation."""
    if element.tag in MENU_TAGS or element.get("role") == "navigation":
        return True
    name = f" {get_names(element)}".lower().replace("_", " ")
    return len(name) > 2 and any(part in name for part in MENUS)


def is_in_menu(element: Any) -> bool:
    """Return whether an element is a menu or is inside of one."""
    return is_menu(element) or any(map(is_menu, element.iterancestors()))


def get_names(element: Any) -> str:
    """Return the id and the classes of an element as one text."""
    return f"{element.get('id', '')} {element.get('class', '')}"


def drop_nested(nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes that are not inside another one of them."""
    return [node for node, depth in zip(nodes, _count_depths(nodes), strict=True) if not depth]


def iter_detached(nodes: Sequence[Node]) -> Iterator[tuple[int, Node]]:
    """Yield each node with its index, innermost first, without the nodes nested in it.

    Nested nodes are taken out of the page until all are read, so each text is read only once; they
    are put back at the end. Raises RecordError ("nested") if nodes are nested more than DEEPEST
    (200) deep, which is an attack.
    """
    by_depth: dict[int, list[int]] = {}
    for number, depth in enumerate(_count_depths(nodes)):
        by_depth.setdefault(depth, []).append(number)
    if max(by_depth, default=0) > DEEPEST:
        raise RecordError("nested")
    detached = list[tuple[Any, Any, str | None]]()
    try:
        for depth in sorted(by_depth, reverse=True):
            for number in by_depth[depth]:
                yield number, nodes[number]
            if depth:
                detached += [_detach(nodes[number].root) for number in by_depth[depth]]
    finally:
        for element, hole, tail in reversed(detached):
            hole.getparent().replace(hole, element)
            element.tail = tail


def _detach(element: Any) -> tuple[Any, Any, str | None]:
    """Replace an element by a comment; return the element, the comment and the text behind it.

    That text stays in the page.
    """
    hole, tail = etree.Comment(""), element.tail
    hole.tail, element.tail = tail, None
    element.getparent().replace(element, hole)
    return element, hole, tail


def _count_depths(nodes: Sequence[Node]) -> list[int]:
    """Return the depth of each node: how many of the others contain it.

    Takes time linear in the number of elements, however they are nested.
    """
    roots = {node.root for node in nodes if is_element(node)}
    depths: dict[Any, int] = {}
    for node in nodes:
        way, above = [], node.root.getparent() if is_element(node) else None
        while above is not None and above not in depths:
            way.append(above)
            above = above.getparent()
        depth = depths[above] if above is not None else 0
        for element in reversed(way):
            depth += element in roots
            depths[element] = depth
    return [depths.get(node.root.getparent(), 0) if is_element(node) else 0 for node in nodes]
