"""`Where` as an SQL condition, and page marks. Values are bound, names come from the record class, and words are quoted by us."""

# ruff: noqa: S608  names of tables and columns come from the record classes, never from outside
from __future__ import annotations

import json
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


def read_mark(after: str) -> tuple[int, str]:
    """The time and the id of a page mark."""
    time, dot, id_ = after.partition(".")
    if not dot or not time.lstrip("-").isdecimal() or not time.isascii() or len(time) > MARK_DIGITS:
        raise QueryError("the page mark is not one of ours: begin with the first page")
    return int(time), id_


def selection(kind: type[Document], table: str, where: Where) -> tuple[str, list[str | int]]:
    """The condition and its values, in order."""
    conditions, values = ["true"], list[str | int]()

    def add(condition: str, *bound: str | int) -> None:
        conditions.append(condition)
        values.extend(bound)

    for field, wanted in where.equals.items():
        if isinstance(wanted, str):
            raise TypeError(f"{field}: give a collection of values")
        listed = json.dumps(list(wanted))
        if field in kind.columns:
            add(f"{field} in (select value from json_each(?))", listed)
        elif field in kind.sets:
            inner = f"select n from {table}_sets where field = ? and value in (select value from json_each(?))"
            add(f"n in ({inner})", field, listed)
        else:
            raise QueryError(f"{kind.__name__} has no filter {field!r}")
    if where.before is not None:
        add("time < ?", stamp(where.before))
    if where.ids is not None:
        add("id in (select value from json_each(?))", json.dumps(list(where.ids)))
    if where.without:
        add("id not in (select value from json_each(?))", json.dumps(list(where.without)))
    if where.text:
        add(*_text(kind, table, where.text))
    return " and ".join(conditions), values


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
