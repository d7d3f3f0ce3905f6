"""Hold all code to walking the tree of a page by `crawlers.sites.elements`, which passes over
comments.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("crawlers", "matcher", "alerts", "ullage")
WALKS = frozenset(
    {
        "iter",
        "iterdescendants",
        "iterchildren",
        "itersiblings",
        "getnext",
        "getprevious",
        "getchildren",
    }
)
WALKER = ROOT / "crawlers" / "sites" / "elements.py"
"""The one module that may meet what is no element."""


def raw_walks(source: str) -> Iterator[int]:
    """Yield the lines of calls that walk a tree and are not told which elements they want."""
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in WALKS
            and not node.args
        ):
            yield node.lineno


def test_no_module_walks_a_tree_including_comments() -> None:
    modules = (
        path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if path != WALKER
    )
    walks = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in modules
        for line in raw_walks(path.read_text(encoding="utf-8"))
    ]
    assert walks == [], (
        "take elements_in, next_element, text_before or text_behind of crawlers.sites.elements"
    )


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("for one in root.iter(): pass", [1]),
        ("x.iterdescendants()", [1]),
        ("x.getnext()", [1]),
        ("x.iter('a')", []),
        ("iter(x)", []),
    ],
)
def test_raw_tree_walk_is_detected(source: str, lines: list[int]) -> None:
    assert list(raw_walks(source)) == lines
