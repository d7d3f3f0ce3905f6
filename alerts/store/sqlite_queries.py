"""Turn a filter into SQL, and choose the index that leads.

SQLite would list the rows with some words anew for each statement, and a page asks for the same
words three times or more: that took most of its time where most documents have the words. So the
rows are computed one time, as a byte per row, until something is written.

Values are bound, names come from the record class, and words are quoted here.

Where one condition matches few documents, it leads: they are collected and sorted. Otherwise an
index that contains all columns is read, in the requested order where it has that, so that only the
documents of a page are read. So no query costs more than one pass over that index; SQLite's own
choice depends on statistics that a growing file has outgrown.
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
    """Add the SQL function `rows_with(table, words)`: one byte per row, 1 if the words match.

    The function reads within the calling statement, as of the same moment. Its last result is kept
    until this connection or another one has changed the database.
    """
    cached: tuple[object, bytes] = None, b""

    def rows_with(*arguments: apsw.SQLiteValue) -> bytes:
        nonlocal cached
        state = arguments, database.pragma("data_version"), database.total_changes()
        if cached[0] != state:
            table, words = arguments
            sql = f"select group_concat(rowid) from {table}_words where words match ?"
            cached = state, _to_flags(json.loads(f"[{database.execute(sql, (words,)).get or ''}]"))
        return cached[1]

    database.create_scalar_function(NAME, rows_with, 2, deterministic=True)


def _to_flags(numbers: list[int]) -> bytes:
    """Return bytes with 1 at the place of each of `numbers`, 0 elsewhere."""
    flags = bytearray(max(numbers, default=0) + 1)
    for n in numbers:
        flags[n] = 1
    return bytes(flags)


def has_words(table: str) -> str:
    """Return the SQL condition that a row of `table` has words; they are bound to its `?`."""
    return f"substr({NAME}('{table}', ?), {table}.n + 1, 1) = x'01'"


LAST = "\U0010ffff"
"""Sorts after every text with the same beginning."""
MARK_DIGITS = 18
"""Fits 64 bits, and reaches beyond the year 30000."""


def to_microseconds(moment: datetime) -> int:
    """Return a moment as microseconds since 1970, by which the store sorts and compares."""
    return round(moment.timestamp() * 1_000_000)


def page_mark(time: int, id_: str) -> str:
    """Return the cursor of the page that begins after the document with this time and id."""
    return f"{time}.{id_}"


def page_mark_after(document: Document, order: str) -> str:
    """Return the mark of the page that begins after `document` in that order of a search."""
    by, _ = read_order(type(document), order)
    return page_mark(
        to_microseconds(getattr(document, document.time))
        if by == "time"
        else getattr(document, by),
        document.id,
    )


def read_order(kind: type[Document], order: str) -> tuple[str, bool]:
    """Return the column that `order` sorts by, and whether the sort is descending.

    "" means newest first; a leading `-` means descending. Raises QueryError for an order that the
    class `kind` does not have.
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
    """Return the time and the id of a page mark; raise QueryError for an invalid one."""
    time, dot, id_ = after.partition(".")
    if not dot or not time.lstrip("-").isdecimal() or not time.isascii() or len(time) > MARK_DIGITS:
        raise QueryError("invalid page mark: start with the first page", "after")
    return int(time), id_


def require_columns(kind: type[Document], names: Iterable[str]) -> tuple[str, ...]:
    """Return `names`; raise QueryError unless each is a column of the class."""
    columns = tuple(names)
    if unknown := next((name for name in columns if name not in kind.columns), None):
        raise QueryError(
            Phrase("%(kind)s has no filter %(name)s", kind=kind.__name__, name=unknown)
        )
    return columns


def require_set(kind: type[Document], name: str) -> str:
    """Return `name` if it is a set of the class `kind`; otherwise raise QueryError."""
    if name not in kind.sets:
        raise QueryError(Phrase("%(kind)s has no filter %(name)s", kind=kind.__name__, name=name))
    return name


def too_many_values() -> Phrase:
    """Return the reason why a tally is refused."""
    return Phrase(
        "the search has more than %(most)s distinct values: choose a shorter"
        " period or another filter",
        most=MAX_TALLIES,
    )


ALL_ROWS, MEMBERS = "", "set"
"""What leads where no condition does: the index that is read, or members of a set that are read
with the condition.
"""
Condition = tuple[str, *tuple[str | int, ...]]
"""A condition and the values that are bound in it, in order."""


def build_condition(
    kind: type[Document],
    table: str,
    where: DocumentFilter,
    passed_over: Collection[str] = (),
    *,
    leads: str | None = None,
) -> tuple[str, list[str | int]]:
    """Return the SQL condition for `where` and its values, in order.

    No index leads by a column that is `passed_over`. Of several sets the last leads, and the
    remaining ones are checked for each row. With `leads`, only that column, set, `id`, `time`
    or `text` leads, or ALL_ROWS or MEMBERS, which are read anyway; words are then checked for
    each row.
    """
    conditions: list[Condition] = [("true",)]
    leading = (
        [field for field in where.equals if field in kind.sets][-1:] if leads is None else [leads]
    )
    passed_over = (
        passed_over
        if leads is None
        else {*kind.columns, "id", "time"} - {leads, *(() if leads else kind.narrow)}
    )
    for field, allowed in where.equals.items():
        is_leading = field in leading if field in kind.sets else field not in passed_over
        conditions.append(_values_condition(kind, table, field, allowed, leads=is_leading))
    conditions += [
        _values_condition(kind, table, field, excluded, leads=False, is_in=False)
        for field, excluded in where.differs.items()
    ]
    conditions += [
        (f"{read_order(kind, number)[0]} <= ?", most) for number, most in where.at_most.items()
    ]
    for name in require_columns(kind, where.begins):
        field = f"+{name}" if name in passed_over else name
        conditions.append(
            (f"{field} >= ? and {field} < ?", where.begins[name], where.begins[name] + LAST)
        )
    time, id_ = (f"+{name}" if name in passed_over else name for name in ("time", "id"))
    if where.before is not None:
        conditions.append((f"{time} < ?", to_microseconds(where.before)))
    if where.since is not None:
        conditions.append((f"{time} >= ?", to_microseconds(where.since)))
    if where.ids is not None:
        conditions.append(
            (f"{id_} in (select value from json_each(?))", json.dumps(list(where.ids)))
        )
    if where.without:
        conditions.append(
            ("id not in (select value from json_each(?))", json.dumps(list(where.without)))
        )
    if where.text:
        conditions.append(_text_condition(kind, table, where.text, leads))
    return " and ".join(condition for condition, *_ in conditions), [
        value for _, *values in conditions for value in values
    ]


def _values_condition(
    kind: type[Document],
    table: str,
    field: str,
    values: Collection[str],
    *,
    leads: bool,
    is_in: bool = True,
) -> Condition:
    """Return the condition that a column or a set has one of these values, or none of them.

    An index may lead by it only if it `leads`. Raises QueryError if the class has no such column or
    set, and TypeError for a single string.
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


def _text_condition(
    kind: type[Document], table: str, text: str, leads: str | None
) -> tuple[str, *tuple[str, ...]]:
    """Return the condition that every phrase occurs; a text without words matches nothing.

    Raises QueryError for a class without full-text search.
    """
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
"""Number of documents that are collected and sorted within some milliseconds."""
Read = Callable[[str, Sequence[Any]], list[Any]]


class ReadPlan(NamedTuple):
    """The source to read, and the condition.

    `is_few` means that the rows are collected and sorted rather than read in order.
    """

    source: str
    condition: str
    values: list[str | int]
    is_few: bool


def narrow_index_statement(kind: type[Document], table: str) -> str:
    """Return the statement that makes the index of `Document.narrow`, "" without one."""
    if not kind.narrow:
        return ""
    remaining = [name for name in ("time", *kind.columns, *kind.orders) if name not in kind.narrow]
    return f"create index {table}_narrow on {table} ({', '.join((*kind.narrow, 'id', *remaining))})"


def plan_read(read: Read, kind: type[Document], table: str, where: DocumentFilter) -> ReadPlan:
    """Return how to find the documents that match `where`: table or index, condition and values.

    `read` runs small queries that show which condition selects fewest documents.
    """
    if not kind.narrow:
        condition, values = build_condition(kind, table, where)
        return ReadPlan(table, condition, values, True)
    lead = _find_lead(read, kind, table, where)
    if lead is not None:
        return ReadPlan(table, *build_condition(kind, table, where, leads=lead), True)
    return ReadPlan(
        f"{table} indexed by {table}_narrow",
        *build_condition(kind, table, where, leads=ALL_ROWS),
        False,
    )


def _find_lead(read: Read, kind: type[Document], table: str, where: DocumentFilter) -> str | None:
    """Return the condition that alone matches at most `FEW` documents, or None.

    Counting stops above that number.
    """
    if where.ids is not None and len(where.ids) <= FEW:
        return "id"
    for name, sql, values in _iterate_leads(kind, table, where):
        if int(read(f"select count(*) from ({sql} limit {FEW + 1})", values)[0][0]) <= FEW:
            return name
    return None


def _iterate_leads(
    kind: type[Document], table: str, where: DocumentFilter
) -> Iterator[tuple[str, str, Sequence[Any]]]:
    """Yield each condition that an index can lead by, as a query of the rows it matches.

    Usually the most selective comes first: text, sets, columns, time. Yields the name of the
    condition, the SQL and its values; nothing if `where` has none of them.
    """
    if where.text:
        _, words = build_condition(kind, table, DocumentFilter(text=where.text))
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
        condition, values = build_condition(kind, table, DocumentFilter({name: where.equals[name]}))
        yield name, f"select 1 from {table} where {condition}", values
    if where.since is not None or where.before is not None:
        condition, values = build_condition(
            kind, table, DocumentFilter(since=where.since, before=where.before)
        )
        yield "time", f"select 1 from {table} where {condition}", values
