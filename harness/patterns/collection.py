"""Every regular expression of the program, and how it is used: tried at each place of a text, at
one, or on the whole of it.

Patterns are noted as they are compiled while all modules are imported, those made of parts among
them, and read from the source where they are written in a call. Of one that has a name all uses of
the name count; any other use counts as a search.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from ullage import regex

ROOT = Path(__file__).parents[2]
PACKAGES = ("ullage", "matcher", "crawlers", "alerts")
SEARCH = "search"
USES = frozenset(("search", "match", "fullmatch", "finditer", "findall", "sub", "subn", "split"))
AT_ONE_PLACE = frozenset(("match", "fullmatch", "pattern", "flags", "groupindex", "groups"))


@dataclass(frozen=True)
class PatternUse:
    """A pattern, its name or place (`matcher.reference.HEX`, `matcher/reference.py:17`), and how
    it is used.
    """

    pattern: re.Pattern[Any]
    name: str
    is_searched: bool = True
    is_whole: bool = False


def collect() -> list[PatternUse]:
    """Return all uses of patterns; a pattern with two names occurs twice."""
    compiled = _compile_at_import()
    trees = {
        path.relative_to(ROOT): ast.parse(path.read_text())
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }
    found, known_uses = list[PatternUse](), Uses.within(trees)
    for path, tree in trees.items():
        names = dict(_find_names(tree))
        for line, pattern in compiled.get(str(path), []):
            name = next((name for name, lines in names.items() if line in lines), "")
            uses = known_uses.of.get((_module(path), name), {SEARCH})
            place = f"{_module(path)}.{name}" if name else f"{path}:{line}"
            found.append(
                PatternUse(pattern, place, not uses <= AT_ONE_PLACE, uses & USES == {"fullmatch"})
            )
        found += [
            PatternUse(pattern, f"{path}:{line}", *how) for line, pattern, *how in _find_calls(tree)
        ]
    return list(dict.fromkeys(found))


def _module(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _compile_at_import() -> dict[str, list[tuple[int, re.Pattern[Any]]]]:
    """Return by file the line in which each pattern was compiled."""
    made, original = dict[str, list[tuple[int, re.Pattern[Any]]]](), vars(re)["_compile"]
    ours = tuple(f"{ROOT / package}/" for package in PACKAGES)

    def record(pattern: Any, flags: Any = 0) -> Any:
        compiled, frame = original(pattern, flags), sys._getframe(2)
        while frame.f_back and frame.f_code.co_filename == regex.__file__:
            frame = frame.f_back
        if frame.f_code.co_filename.startswith(ours) and isinstance(compiled, re.Pattern):
            made.setdefault(str(Path(frame.f_code.co_filename).relative_to(ROOT)), []).append(
                (frame.f_lineno, compiled)
            )
        return compiled

    with (
        mock.patch.object(re, "_compile", record),
        mock.patch.object(regex, "_LatePattern", re.compile),
    ):
        for package in PACKAGES:
            for module in pkgutil.walk_packages([str(ROOT / package)], f"{package}."):
                if not module.name.endswith("__main__"):
                    importlib.import_module(module.name)
    return made


def _find_names(tree: ast.Module) -> Iterator[tuple[str, range]]:
    """Return the names that a module assigns, and the lines of their values."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            names = [
                element
                for target in targets
                for element in (target.elts if isinstance(target, ast.Tuple) else [target])
            ]
            for name, value in zip(
                names, values * (len(names) if len(values) == 1 else 1), strict=False
            ):
                if isinstance(name, ast.Name) and isinstance(value, ast.Call):
                    yield name.id, range(value.lineno, (value.end_lineno or value.lineno) + 1)


@dataclass(frozen=True)
class Uses:
    """What each file does with names: of its own, imported, and of modules (`module.NAME`)."""

    of: dict[tuple[str, str], set[str]]

    @classmethod
    def within(cls, trees: dict[Path, ast.Module]) -> Uses:
        """Read once for all names; a match at a place that is told is a SEARCH, as is any other
        use.
        """
        of = dict[tuple[str, str], set[str]]()
        for path, tree in trees.items():
            nodes = list(ast.walk(tree))
            attributes = {id(node.value): node for node in nodes if isinstance(node, ast.Attribute)}
            called = {id(node.func): node for node in nodes if isinstance(node, ast.Call)}
            origin = {
                alias.name: node.module or ""
                for node in nodes
                if isinstance(node, ast.ImportFrom)
                for alias in node.names
            }
            for node in nodes:
                if (
                    isinstance(node, ast.Name)
                    and isinstance(node.ctx, ast.Load)
                    and node.id.isupper()
                ):
                    key = origin.get(node.id, _module(path)), node.id
                elif (
                    isinstance(node, ast.Attribute)
                    and node.attr.isupper()
                    and isinstance(node.value, ast.Name)
                ):
                    key = f"{origin.get(node.value.id, '')}.{node.value.id}", node.attr
                else:
                    continue
                method = attributes.get(id(node))
                call = called.get(id(method)) if method else None
                use = method.attr if method and (call is None or len(call.args) == 1) else SEARCH
                of.setdefault(key, set()).add(use)
        return cls(of)


def _find_calls(tree: ast.Module) -> Iterator[tuple[int, re.Pattern[Any], bool, bool]]:
    """Yield the patterns within a call of `re`: `re.sub("a+", …)`."""
    for node in ast.walk(tree):
        if not (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ):
            continue
        use = node.func.attr
        if node.func.value.id == "re" and use in USES and isinstance(node.args[0], ast.Constant):
            yield (
                node.lineno,
                re.compile(node.args[0].value),
                use not in AT_ONE_PLACE,
                use == "fullmatch",
            )
