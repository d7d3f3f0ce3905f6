"""Find the names and docstrings of a module that are not plain."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from harness.naming.words import EMPTY, SENTENCE_STARTS, is_verb

FUNCTION, DOCSTRING, VARIABLE = "function names", "docstrings", "variables"


class Fault(NamedTuple):
    """A name or docstring at a line, and which of the three it is."""

    line: int
    kind: str
    name: str


def find_faults(source: str) -> Iterator[Fault]:
    """Yield the faults of a module's `source`; properties and tests may be named as they like."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            if node.id.strip("_") in EMPTY:
                yield Fault(node.lineno, VARIABLE, node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_action(node):
            if not is_verb(node.name):
                yield Fault(node.lineno, FUNCTION, node.name)
            words = (ast.get_docstring(node) or "").replace("`", " ").split()
            if words and words[0].lower().strip(",.:;") in SENTENCE_STARTS:
                yield Fault(node.lineno, DOCSTRING, node.name)


def _is_action(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    is_property = any("property" in ast.unparse(each) for each in node.decorator_list)
    return not (is_property or node.name.startswith(("__", "test_")))
