"""Find the names and docstrings of a module that are not plain."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from harness.naming.words import EMPTY, SENTENCE_STARTS, is_verb

FUNCTION, DOCSTRING, VARIABLE = "function names", "docstrings", "variables"
ERRORS = "docstrings without an error that is raised"
SHOWN = {"command", "callback", "get", "post", "put", "delete", "head"}
"""Decorators that show a docstring to users, as help of a command or description of a route."""


class Fault(NamedTuple):
    """A name or docstring at a line, and which of the four it is."""

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
            docstring = ast.get_docstring(node) or ""
            words = docstring.replace("`", " ").split()
            if words and words[0].lower().strip(",.:;") in SENTENCE_STARTS:
                yield Fault(node.lineno, DOCSTRING, node.name)
            named = set(re.findall(r"\w+?Error", docstring))
            if words and not _is_shown(node) and not _list_raised(node) <= named:
                yield Fault(node.lineno, ERRORS, node.name)


def _is_action(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    is_property = any("property" in ast.unparse(each) for each in node.decorator_list)
    return not (is_property or node.name.startswith(("__", "test_")))


def _is_shown(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    decorators = (each.func for each in node.decorator_list if isinstance(each, ast.Call))
    names = {each.attr for each in decorators if isinstance(each, ast.Attribute)}
    arguments = node.args.args
    return bool(names & SHOWN) or any(
        each.annotation and ast.unparse(each.annotation) == "typer.Context" for each in arguments
    )


def _list_raised(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """Return the classes of errors that a function raises itself, by the names it uses."""
    names, inner = set[str](), list[ast.AST](node.body)
    while inner:
        part = inner.pop()
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if isinstance(part, ast.Raise) and part.exc:
            error = part.exc.func if isinstance(part.exc, ast.Call) else part.exc
            names.add(ast.unparse(error).rpartition(".")[2])
        inner.extend(ast.iter_child_nodes(part))
    return {name for name in names if name.endswith("Error")}
