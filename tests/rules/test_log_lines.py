"""Every line that a service logs is explained in `docs/log-lines.md`, and keeps its fields."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ullage.log import FIELDS

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "log-lines.md"
PACKAGES = ("alerts", "crawlers", "matcher", "ullage")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
LOGGERS = re.compile(r"log\.get\(|logger$|_log$")
"""How a logger is written before its level."""
REPLACED = "unnamed"
"""The event of a line whose event is no plain name."""


class LogCall(NamedTuple):
    """One call that writes a log line."""

    place: str
    event: str
    fields: frozenset[str]


@cache
def list_log_calls() -> tuple[LogCall, ...]:
    """Return every call of a logger in the product."""
    paths = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return tuple(call for path in paths for call in find_log_calls(path))


def find_log_calls(path: Path) -> Iterator[LogCall]:
    """Yield the calls of a logger in one module."""
    text = path.read_text("utf-8")
    for node in ast.walk(ast.parse(text)) if "log" in text else ():
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in LEVELS
            and LOGGERS.search(ast.unparse(node.func.value))
        ):
            place = f"{path.relative_to(ROOT)}:{node.lineno}"
            fields = frozenset(keyword.arg for keyword in node.keywords if keyword.arg)
            yield from (LogCall(place, event, fields) for event in list_events(node.args[0]))


def list_events(argument: ast.expr) -> list[str]:
    """Return the events that the first argument of a call may name."""
    choices = (argument.body, argument.orelse) if isinstance(argument, ast.IfExp) else (argument,)
    return [str(ast.literal_eval(choice)) for choice in choices]


def list_explained() -> list[str]:
    """Return the events of the document's rows, in order."""
    text = DOCUMENT.read_text("utf-8")
    rows = re.findall(r"^\| (`.+?`) \| [^|]+ \| [^|]+ \|$", text, re.MULTILINE)
    return [event for named in rows for event in re.findall(r"`(\w+)`", named)]


def test_every_logged_event_is_explained() -> None:
    logged = {call.event for call in list_log_calls()}
    assert len(logged) > 70
    assert logged - {*list_explained()} == set()


def test_every_explained_event_is_logged_and_explained_once() -> None:
    explained = list_explained()
    assert {*explained} - {call.event for call in list_log_calls()} == {REPLACED}
    assert len(explained) == len({*explained})


def test_no_field_of_a_log_line_is_dropped() -> None:
    dropped = {(call.place, name) for call in list_log_calls() for name in call.fields - FIELDS}
    assert dropped == set()
