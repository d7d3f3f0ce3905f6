"""By which index the embedded store answers, for a class whose lists people narrow and order as they like (`Document.narrow`).

Where one condition leaves few documents, it leads: they are collected and sorted. Else an index that has all columns in it is
read, in the order that is asked for where it has that, so that no document is read but those of a page. So no question costs more
than one pass over that index, whatever is asked; SQLite's own choice depends on statistics that a growing file has outgrown.
"""

# ruff: noqa: S608  names of tables and columns come from the record classes, never from outside
from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from alerts.records.document import Document
from alerts.store import DocumentFilter
from alerts.store.selection import ALL_ROWS, selection

FEW = 2_000
"""Documents that are collected and sorted within some milliseconds."""
Read = Callable[[str, Sequence[Any]], list[Any]]


class ReadPlan(NamedTuple):
    """What is read, and under which condition; `is_few` where it is collected rather than walked through in order."""

    source: str
    condition: str
    values: list[str | int]
    is_few: bool


def narrow_index(kind: type[Document], table: str) -> str:
    """The statement that makes the index of `Document.narrow`, "" for a class without one."""
    if not kind.narrow:
        return ""
    rest = [name for name in ("time", *kind.columns, *kind.orders) if name not in kind.narrow]
    return f"create index {table}_narrow on {table} ({', '.join((*kind.narrow, 'id', *rest))})"


def way(read: Read, kind: type[Document], table: str, where: DocumentFilter) -> ReadPlan:
    """How to find what fits `where`."""
    if not kind.narrow:
        condition, values = selection(kind, table, where)
        return ReadPlan(table, condition, values, True)
    lead = _lead(read, kind, table, where)
    if lead is not None:
        return ReadPlan(table, *selection(kind, table, where, leads=lead), True)
    return ReadPlan(f"{table} indexed by {table}_narrow", *selection(kind, table, where, leads=ALL_ROWS), False)


def _lead(read: Read, kind: type[Document], table: str, where: DocumentFilter) -> str | None:
    """What leaves few documents by itself; of what leaves more no more are counted. None where nothing does."""
    if where.ids is not None and len(where.ids) <= FEW:
        return "id"
    for name, sql, values in _alone(kind, table, where):
        if int(read(f"select count(*) from ({sql} limit {FEW + 1})", values)[0][0]) <= FEW:
            return name
    return None


def _alone(kind: type[Document], table: str, where: DocumentFilter) -> Iterator[tuple[str, str, Sequence[Any]]]:
    """Each condition that an index can lead by, as a query of what it leaves; those that mostly leave the least first."""
    if where.text:
        _, words = selection(kind, table, DocumentFilter(text=where.text))
        yield "text", f"select 1 from {table}_words where words match ?" if words else "select 1 where false", words
    for name in where.equals.keys() & {*kind.sets}:
        among = "value in (select value from json_each(?))"
        yield name, f"select 1 from {table}_sets where field = ? and {among}", [name, json.dumps(list(where.equals[name]))]
    for name in where.equals.keys() & {*kind.columns}:
        condition, values = selection(kind, table, DocumentFilter({name: where.equals[name]}))
        yield name, f"select 1 from {table} where {condition}", values
    if where.since is not None or where.before is not None:
        condition, values = selection(kind, table, DocumentFilter(since=where.since, before=where.before))
        yield "time", f"select 1 from {table} where {condition}", values
