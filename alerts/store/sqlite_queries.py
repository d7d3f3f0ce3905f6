"""Turn a filter into SQL, and choose the index that leads.

SQLite would make a list of them anew for each statement, and a page asks for the same words three
times and more: that took most of its time where most documents have them. So they are worked out
once, as a byte a row, until something is written.

Values are bound, names come from the record class, and words are quoted by us.

Where one condition leaves few documents, it leads: they are collected and sorted. Else an index
that has all columns in it is read, in the order that is asked for where it has that, so that no
document is read but those of a page. So no question costs more than one pass over that index,
whatever is asked; SQLite's own choice depends on statistics that a growing file has outgrown.
"""

# ruff: noqa: S608  names of tables and columns come from the record classes, never from outside

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import apsw

from alerts.records.document import Document, QueryError
from alerts.store import MAX_TALLIES, DocumentFilter, query_phrases
from ullage.phrase import Phrase

NAME = "rows_with"


def add_rows_with(database: apsw.Connection) -> None:
    """Give the connection the SQL function `rows_with(table, words)`: for each row number 1 if it
    has the words, else 0.

    It reads within the statement that asks, and so of the same moment. What it last said stands
    until this connection has changed something (`total_changes`), or another one has
    (`data_version`).
    """
    known: tuple[object, bytes] = None, b""

    def rows_with(*asked: apsw.SQLiteValue) -> bytes:
        nonlocal known
        state = asked, database.pragma("data_version"), database.total_changes()
        if known[0] != state:
            table, words = asked
            sql = f"select group_concat(rowid) from {table}_words where words match ?"
            known = state, _flags(json.loads(f"[{database.execute(sql, (words,)).get or ''}]"))
        return known[1]

    database.create_scalar_function(NAME, rows_with, 2, deterministic=True)


def _flags(numbers: list[int]) -> bytes:
    """1 at the place of each of `numbers`, 0 at all others."""
    flags = bytearray(max(numbers, default=0) + 1)
    for n in numbers:
        flags[n] = 1
    return bytes(flags)


def has_words(table: str) -> str:
    """The condition that a row of `table` has the words that are bound in it."""
    return f"substr({NAME}('{table}', ?), {table}.n + 1, 1) = x'01'"


LAST = "\U0010ffff"
"""Behind every text that begins alike."""
MARK_DIGITS = 18
"""Fits 64 bits, and reaches beyond the year 30000."""


def stamp(moment: datetime) -> int:
    """Microseconds since 1970: orders and compares as a number."""
    return round(moment.timestamp() * 1_000_000)


def page_mark(time: int, id_: str) -> str:
    """Where the next page begins: behind the document with this time and id."""
    return f"{time}.{id_}"


def mark_behind(document: Document, order: str) -> str:
    """The mark of the page that begins behind `document` in that order of a search."""
    by, _ = read_order(type(document), order)
    return page_mark(
        stamp(getattr(document, document.time)) if by == "time" else getattr(document, by),
        document.id,
    )


def read_order(kind: type[Document], order: str) -> tuple[str, bool]:
    """What a search orders by, and whether it goes down; QueryError for what the class does not
    have.
    """
    name, is_down = order.removeprefix("-"), order.startswith("-")
    if not order:
        return "time", True
    if name not in ("time", *kind.orders):
        raise QueryError(
            Phrase(
                "%(kind)s cannot be sorted that way: use %(known)s",
                kind=kind.__name__,
                known=", ".join(kind.orders) or "-",
            )
        )
    return name, is_down


def read_mark(after: str) -> tuple[int, str]:
    """The time and the id of a page mark."""
    time, dot, id_ = after.partition(".")
    if not dot or not time.lstrip("-").isdecimal() or not time.isascii() or len(time) > MARK_DIGITS:
        raise QueryError("invalid page mark: start with the first page", "after")
    return int(time), id_


def checked_columns(kind: type[Document], names: Iterable[str]) -> tuple[str, ...]:
    """`names`, each of which is a column of the class; QueryError else."""
    found = tuple(names)
    if unknown := next((name for name in found if name not in kind.columns), None):
        raise QueryError(
            Phrase("%(kind)s has no filter %(name)s", kind=kind.__name__, name=unknown)
        )
    return found


def checked_set(kind: type[Document], name: str) -> str:
    """`name`, which is a set of the class; QueryError else."""
    if name not in kind.sets:
        raise QueryError(Phrase("%(kind)s has no filter %(name)s", kind=kind.__name__, name=name))
    return name


def too_many() -> Phrase:
    """Why a tally is not given."""
    return Phrase("more than %(most)s distinct values: narrow the search", most=MAX_TALLIES)


ALL_ROWS, MEMBERS = "", "set"
"""What leads where nothing does: the index that is read, or members of a set that are read
beside the condition.
"""
Condition = tuple[str, *tuple[str | int, ...]]
"""A condition and the values that are bound in it, in order."""


def selection(
    kind: type[Document],
    table: str,
    where: DocumentFilter,
    passed_over: Collection[str] = (),
    *,
    leads: str | None = None,
) -> tuple[str, list[str | int]]:
    """The condition and its values, in order.

    No index leads by a column that is `passed_over`. Of several sets the last leads, and rows are
    asked for the others. Where `leads` is given, that column, set, `id`, `time` or `text` leads and
    nothing else, or what is read anyway: ALL_ROWS, MEMBERS. What has words is then asked of each
    row.
    """
    found: list[Condition] = [("true",)]
    leading = (
        [field for field in where.equals if field in kind.sets][-1:] if leads is None else [leads]
    )
    passed_over = (
        passed_over
        if leads is None
        else {*kind.columns, "id", "time"} - {leads, *(() if leads else kind.narrow)}
    )
    for field, wanted in where.equals.items():
        is_leading = field in leading if field in kind.sets else field not in passed_over
        found.append(_of_values(kind, table, field, wanted, leads=is_leading))
    found += [
        _of_values(kind, table, field, some, leads=False, is_in=False)
        for field, some in where.differs.items()
    ]
    found += [
        (f"{read_order(kind, number)[0]} <= ?", most) for number, most in where.at_most.items()
    ]
    for name in checked_columns(kind, where.begins):
        field = f"+{name}" if name in passed_over else name
        found.append(
            (f"{field} >= ? and {field} < ?", where.begins[name], where.begins[name] + LAST)
        )
    time, id_ = (f"+{name}" if name in passed_over else name for name in ("time", "id"))
    if where.before is not None:
        found.append((f"{time} < ?", stamp(where.before)))
    if where.since is not None:
        found.append((f"{time} >= ?", stamp(where.since)))
    if where.ids is not None:
        found.append((f"{id_} in (select value from json_each(?))", json.dumps(list(where.ids))))
    if where.without:
        found.append(
            ("id not in (select value from json_each(?))", json.dumps(list(where.without)))
        )
    if where.text:
        found.append(_text(kind, table, where.text, leads))
    return " and ".join(condition for condition, *_ in found), [
        value for _, *values in found for value in values
    ]


def _of_values(
    kind: type[Document],
    table: str,
    field: str,
    values: Collection[str],
    *,
    leads: bool,
    is_in: bool = True,
) -> Condition:
    """That a column or a set has one of these values, or none of them; an index may lead by it
    only if it `leads`.
    """
    if isinstance(values, str):
        raise TypeError(f"{field}: give a collection of values")
    among, bound = (
        ("= ?", next(iter(values)))
        if len(values) == 1
        else ("in (select value from json_each(?))", _json(values))
    )
    if field in kind.columns:
        return f"{'' if is_in else 'not '}{'' if leads else '+'}{field} {among}", bound
    if field not in kind.sets:
        raise QueryError(Phrase("%(kind)s has no filter %(name)s", kind=kind.__name__, name=field))
    if leads:
        return (
            f"{table}.n in (select n from {table}_sets where field = ? and value {among})",
            field,
            bound,
        )
    has = (
        f"exists (select 1 from {table}_sets s where s.field = ? and s.value {among} and s.n ="
        f" {table}.n)"
    )
    return (has if is_in else f"not {has}"), field, bound


def _json(values: Collection[str]) -> str:
    return json.dumps(list(values))


def _text(
    kind: type[Document], table: str, text: str, leads: str | None
) -> tuple[str, *tuple[str, ...]]:
    """Every phrase must occur; a text without a word finds nothing."""
    if not kind.searchable:
        raise QueryError(Phrase("%(kind)s has no full-text search", kind=kind.__name__))
    phrases = query_phrases(text)
    if not phrases:
        return ("false",)
    # Words hold letters and digits alone, so quoting them is safe whatever was typed.
    match = " AND ".join('"' + " ".join(phrase) + '"' for phrase in phrases)
    if leads in (ALL_ROWS, MEMBERS):
        return has_words(table), match
    return (
        (
            f"{'' if leads in (None, 'text') else '+'}{table}.n in (select rowid from {table}_words"
            " where words match ?)"
        ),
        match,
    )


FEW = 2_000
"""Documents that are collected and sorted within some milliseconds."""
Read = Callable[[str, Sequence[Any]], list[Any]]


class ReadPlan(NamedTuple):
    """What is read, and under which condition; `is_few` where it is collected rather than walked
    through in order.
    """

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
    return ReadPlan(
        f"{table} indexed by {table}_narrow", *selection(kind, table, where, leads=ALL_ROWS), False
    )


def _lead(read: Read, kind: type[Document], table: str, where: DocumentFilter) -> str | None:
    """What leaves few documents by itself; of what leaves more no more are counted.

    None where nothing does.
    """
    if where.ids is not None and len(where.ids) <= FEW:
        return "id"
    for name, sql, values in _alone(kind, table, where):
        if int(read(f"select count(*) from ({sql} limit {FEW + 1})", values)[0][0]) <= FEW:
            return name
    return None


def _alone(
    kind: type[Document], table: str, where: DocumentFilter
) -> Iterator[tuple[str, str, Sequence[Any]]]:
    """Each condition that an index can lead by, as a query of what it leaves; those that mostly
    leave the least first.
    """
    if where.text:
        _, words = selection(kind, table, DocumentFilter(text=where.text))
        yield (
            "text",
            f"select 1 from {table}_words where words match ?" if words else "select 1 where false",
            words,
        )
    for name in where.equals.keys() & {*kind.sets}:
        among = "value in (select value from json_each(?))"
        yield (
            name,
            f"select 1 from {table}_sets where field = ? and {among}",
            [name, json.dumps(list(where.equals[name]))],
        )
    for name in where.equals.keys() & {*kind.columns}:
        condition, values = selection(kind, table, DocumentFilter({name: where.equals[name]}))
        yield name, f"select 1 from {table} where {condition}", values
    if where.since is not None or where.before is not None:
        condition, values = selection(
            kind, table, DocumentFilter(since=where.since, before=where.before)
        )
        yield "time", f"select 1 from {table} where {condition}", values
