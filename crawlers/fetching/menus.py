"""What a page has beside what it shows: menus, and small forms to log in with. Takes as long as the page has elements.

XPath could say all this in a line, and would look at every element above every link: a page of half a megabyte would take hours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from parsel import Selector

_MENUS = (" nav", " menu", " breadcrumb", " footer", " sidebar", " lang", " nv ", " hd ", " ft ")
_MENU_TAGS = frozenset({"nav", "header", "footer", "aside"})
ABOVE_A_FORM = 3
"""So many elements above a form may name it."""


def outside_menus(page: Selector) -> Iterator[Any]:
    """Every element that stands in no menu, in the page's order."""
    within: set[Any] = set()
    for element in page.root.iter("*"):
        above = element.getparent()
        if above is not None and (above in within or _is_menu(above)):
            within.add(element)
        else:
            yield element


def has_login_form(page: Selector, box: re.Pattern[str]) -> bool:
    """Whether there is a field for a password that stands in no menu and in no form that `box` finds named as a small one."""
    forms, known = dict[Any, Any](), set[Any]()
    for element in outside_menus(page):
        above = element.getparent()
        forms[element] = element if element.tag == "form" else forms.get(above)
        form = forms[element]
        around = above if form is None else form
        if hides_input(element) and around not in known:
            known.add(around)
            if not any(box.search(name) for name in _names(around, is_form=form is not None)):
                return True
    return False


def hides_input(element: Any) -> bool:
    """Whether it is a field for a password."""
    return bool(element.tag == "input" and element.get("type", "").lower() == "password")


def _names(around: Any, *, is_form: bool) -> Iterator[str]:
    """What a form is called, or what holds a field without one: its own name, those of parts with fields, and those above it."""
    if not is_form:
        yield _name(around)
        return
    marked: set[Any] = set()
    for field in around.iter("input"):
        element = field
        while element is not around and element not in marked:
            marked.add(element)
            yield _name(element)
            element = element.getparent()
    yield _name(around)
    above = (element for element in around.iterancestors() if element.tag not in {"body", "html"})
    yield from map(_name, islice(above, ABOVE_A_FORM))


def _is_menu(element: Any) -> bool:
    if element.tag in _MENU_TAGS or element.get("role") == "navigation":
        return True
    name = f" {_name(element)}".lower().replace("_", " ")
    return len(name) > 2 and any(part in name for part in _MENUS)


def _name(element: Any) -> str:
    return f"{element.get('id', '')} {element.get('class', '')}"
