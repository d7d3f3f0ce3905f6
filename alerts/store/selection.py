"""`Where` as an SQL condition, and page marks. Values are bound, names come from the record class, and words are quoted by us."""

# ruff: noqa: S608  names of tables and columns come from the record classes, never from outside
from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime

from alerts.records.document import Document
from alerts.store import QueryError, Where
from alerts.store.tokens import query_phrases

MARK_DIGITS = 18
"""Fits 64 bits, and reaches beyond the year 30000."""


def stamp(moment: datetime) -> int:
    """Microseconds since 1970: orders and compares as a number."""
    return round(moment.timestamp() * 1_000_000)


def page_mark(time: int, id_: str) -> str:
    """Where the next page begins: behind the document with this time and id."""
    return f"{time}.{id_}"


def read_order(kind: type[Document], order: str) -> tuple[str, bool]:
    """What a search orders by, and whether it goes down; QueryError for what the class does not have."""
    name, is_down = order.removeprefix("-"), order.startswith("-")
    if not order:
        return "time", True
    if name not in ("time", *kind.orders):
        raise QueryError(f"{kind.__name__} cannot be ordered so: use {', '.join(kind.orders) or 'none'}")
    return name, is_down


def read_mark(after: str) -> tuple[int, str]:
    """The time and the id of a page mark."""
    time, dot, id_ = after.partition(".")
    if not dot or not time.lstrip("-").isdecimal() or not time.isascii() or len(time) > MARK_DIGITS:
        raise QueryError("the page mark is not one of ours: begin with the first page")
    return int(time), id_


Condition = tuple[str, *tuple[str | int, ...]]
"""A condition and the values that are bound in it, in order."""


def selection(kind: type[Document], table: str, where: Where) -> tuple[str, list[str | int]]:
    """The condition and its values, in order."""
    found: list[Condition] = [("true",)]
    found += [_of_values(kind, table, field, wanted, "in") for field, wanted in where.equals.items()]
    found += [_of_values(kind, table, field, unwanted, "not in") for field, unwanted in where.differs.items()]
    found += [(f"{read_order(kind, number)[0]} <= ?", most) for number, most in where.at_most.items()]
    if where.before is not None:
        found.append(("time < ?", stamp(where.before)))
    if where.since is not None:
        found.append(("time >= ?", stamp(where.since)))
    if where.ids is not None:
        found.append(("id in (select value from json_each(?))", json.dumps(list(where.ids))))
    if where.without:
        found.append(("id not in (select value from json_each(?))", json.dumps(list(where.without))))
    if where.text:
        found.append(_text(kind, table, where.text))
    return " and ".join(condition for condition, *_ in found), [value for _, *values in found for value in values]


def _of_values(kind: type[Document], table: str, field: str, values: Collection[str], is_in: str) -> Condition:
    """That a column or a set has one of these values, or none of them."""
    if isinstance(values, str):
        raise TypeError(f"{field}: give a collection of values")
    listed = json.dumps(list(values))
    if field in kind.columns:
        return f"{field} {is_in} (select value from json_each(?))", listed
    if field in kind.sets:
        inner = f"select n from {table}_sets where field = ? and value in (select value from json_each(?))"
        return f"n {is_in} ({inner})", field, listed
    raise QueryError(f"{kind.__name__} has no filter {field!r}")


def _text(kind: type[Document], table: str, text: str) -> tuple[str, *tuple[str, ...]]:
    """Every phrase must occur; a text without a word finds nothing."""
    if not kind.searchable:
        raise QueryError(f"{kind.__name__} has no free text")
    phrases = query_phrases(text)
    if not phrases:
        return ("false",)
    # Words hold letters and digits alone, so quoting them is safe whatever was typed.
    match = " AND ".join('"' + " ".join(phrase) + '"' for phrase in phrases)
    return (f"n in (select rowid from {table}_words where words match ?)", match)
