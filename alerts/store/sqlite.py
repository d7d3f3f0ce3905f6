"""The embedded incident store: an SQLite table per record class with filters as columns.

Values of a set are in a side table, words in an FTS5 table with `secure-delete`, so that erasing a
document erases its words from the file too. (A contentless table would be smaller, but leaves old
words in its segments after a delete.) Each process has one connection behind a lock: the page's
threads and the alert loop need it for milliseconds at a time. The version of a document is its
text: overwriting the very text that was read loses nothing.
"""

# ruff: noqa: S608  names of tables and columns come from the record classes, never from outside
from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import apsw

from alerts.records import CLASSES, VERSION
from alerts.records.document import D, Document, E, QueryError, R, parse_stored
from alerts.store import (
    MAX_PAGE,
    MAX_TALLIES,
    DocumentFilter,
    DocumentPage,
    First,
    GroupCount,
    VersionedDocument,
    Versions,
    WriteResult,
    index_words,
)
from alerts.store.sqlite_queries import (
    MEMBERS,
    ReadPlan,
    add_rows_with,
    build_condition,
    narrow_index_statement,
    page_mark,
    plan_read,
    read_mark,
    read_order,
    require_columns,
    require_set,
    to_microseconds,
    too_many_values,
)
from ullage.files.database import (
    check_database,
    empty_log,
    open_database,
    sqlite_errors,
    transaction,
)
from ullage.inventory import Inventory

SCROLL = 500
ABOVE = 2**62
"""Added to a number that orders documents, so that it is positive."""
CACHE_KIB = 65_536
"""Page cache of a process: a page outside it is read again and its checksum computed again."""


def table_name(kind: type[Document]) -> str:
    """Return the table name of a record class."""
    return kind.__name__.lower()


def _build_schema(kind: type[Document]) -> str:
    """Return the statements that make the tables of one record class."""
    name, columns = (
        table_name(kind),
        "".join(f", {column} text not null" for column in kind.columns),
    )
    columns += "".join(f", {number} integer not null" for number in kind.orders)
    index = f"create index {name}"
    statements = [
        (
            f"create table {name} (n integer primary key, id text not null unique, time integer not"
            f" null{columns}, doc text) strict"
        ),
        f"{index}_by_time on {name} (time, id)",
        *(f"{index}_by_{column} on {name} ({column}, time)" for column in kind.columns),
        *(f"{index}_by_{number} on {name} ({number}, id)" for number in kind.orders),
        *(
            f"{index}_by_{'_'.join(columns_)} on {name} ({', '.join(columns_)})"
            for columns_ in kind.tallied
        ),
        *filter(None, (narrow_index_statement(kind, name),)),
    ]
    if kind.sets:
        statements += [
            (
                f"create table {name}_sets (field text, value text, n integer, primary key (field,"
                " value, n)) strict, without rowid"
            ),
            f"{index}_sets_by_n on {name}_sets (n)",
        ]
    if kind.searchable:
        statements += [
            f"create virtual table {name}_words using fts5(words, tokenize='ascii')",
            f"insert into {name}_words ({name}_words, rank) values ('secure-delete', 1)",
        ]
    return ";\n".join(statements) + ";\n"


SCHEMA = "".join(map(_build_schema, CLASSES))


def _group_by_class(
    documents: Iterable[Document],
) -> Iterator[tuple[type[Document], list[Document]]]:
    """Group consecutive documents of one class, in order."""
    return ((kind, list(group)) for kind, group in itertools.groupby(documents, type))


def _column_values(document: Document) -> list[str | int]:
    """Return the values of a document's columns."""
    return [getattr(document, column) for column in (*document.columns, *document.orders)]


class SqliteStore:
    """The incident store in an SQLite file; see `alerts.store` for its promises."""

    def __init__(self, path: Path, inventory: Inventory | None = None) -> None:
        self._path, self._lock = path, threading.RLock()
        self._database = open_database(path, SCHEMA, VERSION, inventory)
        self._database.execute(f"pragma cache_size = -{CACHE_KIB}")
        add_rows_with(self._database)

    def expunge(self, kinds: Collection[type[Document]]) -> None:
        """Do nothing: a delete overwrites the removed bytes."""

    def check(self) -> str:
        """Check the database file for damage and return ""; see `IncidentStore.check`."""
        with self._lock:
            check_database(self._database, self._path)
        return ""

    def get(self, kind: type[D], id_: str) -> D | None:
        """See `IncidentStore.get`."""
        return self.mget(kind, [id_]).get(id_)

    def mget(self, kind: type[D], ids: Collection[str]) -> dict[str, D]:
        """See `IncidentStore.mget`."""
        return {id_: self._document(kind, id_, doc) for id_, doc in self._read_texts(kind, ids)}

    def read(self, kind: type[D], ids: Collection[str]) -> dict[str, VersionedDocument[D]]:
        """See `IncidentStore.read`."""
        return {
            id_: VersionedDocument(self._document(kind, id_, doc), doc)
            for id_, doc in self._read_texts(kind, ids)
        }

    def create(self, documents: Sequence[Document]) -> list[bool]:
        """Write the documents whose ids are new; return for each whether it was.

        See `IncidentStore.create`. Of several with one id, the first is written.
        """
        is_created: list[bool] = []
        with self._writing():
            for kind, group in _group_by_class(documents):
                numbers, fresh = (
                    _find_row_numbers(self._database, kind, group),
                    dict[str, Document](),
                )
                for document in group:
                    is_created.append(document.id not in numbers and document.id not in fresh)
                    fresh.setdefault(document.id, document)
                _insert(
                    self._database,
                    kind,
                    [document for id_, document in fresh.items() if id_ not in numbers],
                    {},
                )
        return is_created

    def put(self, documents: Sequence[Document], over: Versions | None = None) -> list[WriteResult]:
        """Write each; SQLite takes every document, so none is rejected. See `IncidentStore.put`."""
        outcomes: list[WriteResult] = []
        with self._writing():
            for kind, group in _group_by_class(documents):
                numbers, last = (
                    _find_row_numbers(self._database, kind, group),
                    dict[str, Document](),
                )
                conflicting = (
                    set[str]()
                    if over is None
                    else self._find_conflicts(kind, {document.id for document in group}, over)
                )
                for document in group:
                    exists = document.id in numbers or document.id in last
                    if document.id in conflicting or (over is not None and document.id in last):
                        outcomes.append(WriteResult.CONFLICT)
                        continue
                    outcomes.append(WriteResult.REPLACED if exists else WriteResult.CREATED)
                    last[document.id] = document
                _remove(
                    self._database,
                    kind,
                    [n for id_, n in numbers.items() if id_ not in conflicting],
                )
                _insert(self._database, kind, last.values(), numbers)
        return outcomes

    def count(self, kind: type[Document], where: DocumentFilter) -> int:
        """See `IncidentStore.count`."""
        if kind.narrow and (
            where.text
            or where.since
            or where.before
            or where.at_most
            or where.equals.keys() & {*kind.sets}
        ):
            return self.counts(kind, where, (DocumentFilter(),))[0]
        condition, values = build_condition(kind, table_name(kind), where)
        return int(
            self._read(f"select count(*) from {table_name(kind)} where {condition}", values)[0][0]
        )

    def counts(
        self, kind: type[Document], where: DocumentFilter, parts: Sequence[DocumentFilter]
    ) -> list[int]:
        """Return how many documents match `where` and each of `parts`, in their order.

        `parts` must not be empty. All are counted in one pass.
        """
        plan = plan_read(self._read, kind, table_name(kind), where)
        chosen = [build_condition(kind, table_name(kind), part, leads="time") for part in parts]
        columns = ", ".join(f"count(*) filter (where {condition})" for condition, _ in chosen)
        values = [*(value for _, bound in chosen for value in bound), *plan.values]
        return [
            int(n)
            for n in self._read(
                f"select {columns} from {plan.source} where {plan.condition}", values
            )[0]
        ]

    def tally(
        self,
        kind: type[Document],
        where: DocumentFilter,
        by: Sequence[str],
        total: str = "",
        moments: Sequence[datetime] = (),
    ) -> list[GroupCount]:
        """Count documents by the columns `by` and spans of time; see `IncidentStore.tally`.

        Raises QueryError for more than `MAX_TALLIES` combinations of values.
        """
        if moments:
            since, before = (
                max(filter(None, (where.since, moments[0]))),
                min(filter(None, (where.before, moments[-1]))),
            )
            where = replace(where, since=since, before=before)
        columns = require_columns(kind, by)
        is_plain = where == DocumentFilter(where.equals) and not total
        is_tallied = is_plain and any(
            {*where.equals, *columns} <= {*columns_} for columns_ in kind.tallied
        )
        plan = (
            self._plan_tally(kind, where)
            if is_tallied
            else plan_read(self._read, kind, table_name(kind), where)
        )
        span = _span_sql([to_microseconds(moment) for moment in moments[1:-1]], 0)
        sums = f"sum({read_order(kind, total)[0]})" if total else "0"
        sql = (
            f"select {span}, {sums}, count(*){''.join(f', {name}' for name in columns)} from"
            f" {plan.source}"
        )
        # Grouped by a constant too, SQLite would sort what an index has in order.
        groups = ", ".join(columns if columns and span == "0" else ("1", *columns))
        rows = self._read(
            f"{sql} where {plan.condition} group by {groups} limit {MAX_TALLIES + 1}", plan.values
        )
        if len(rows) > MAX_TALLIES:
            raise QueryError(too_many_values())
        return [
            GroupCount(tuple(values), count, added, n) for n, added, count, *values in rows if count
        ]

    def firsts(
        self,
        kind: type[Document],
        where: DocumentFilter,
        name: str,
        values: Collection[str],
        order: str,
    ) -> dict[str, First]:
        """Read only the members of these sets; see `IncidentStore.firsts`."""
        table, (by, is_down) = table_name(kind), read_order(kind, order)
        condition, bound = build_condition(kind, table, where, leads=MEMBERS)
        # as text, number and id order as they do separately
        first = f"{'max' if is_down else 'min'}(format('%020d', {by} + {ABOVE}) || id)"
        members = f"{table}_sets as s cross join {table} on {table}.n = s.n"
        among = f"s.field = ? and s.value in (select value from json_each(?)) and {condition}"
        sql = f"select s.value, {first}, count(*) from {members} where {among} group by s.value"
        rows = (
            self._read(sql, [require_set(kind, name), json.dumps(list(values)), *bound])
            if values
            else ()
        )
        return {value: First(key[20:], count) for value, key, count in rows}

    def search(
        self,
        kind: type[D],
        where: DocumentFilter,
        limit: int = 50,
        after: str = "",
        order: str = "",
    ) -> DocumentPage[D]:
        """Return a page of documents; see `IncidentStore.search`.

        A page has 1 to MAX_PAGE documents, whatever `limit` says.
        """
        by, is_down = read_order(kind, order)
        table, size, down = (
            table_name(kind),
            max(1, min(limit, MAX_PAGE)),
            " desc" if is_down else "",
        )
        plan = self._plan_page(kind, where, by)
        condition, values = plan.condition, plan.values
        if after:
            condition, values = (
                f"{condition} and ({by}, id) {'<' if is_down else '>'} (?, ?)",
                [*values, *read_mark(after)],
            )
        walked = f"+{by}" if plan.is_few else by
        page = (
            f"select n, {by}, id from {plan.source} where {condition} order by {walked}{down},"
            f" id{down}"
        )
        # Only the documents that are returned are read.
        joined = f"{table} as t on t.n = found.n order by found.{by}{down}, found.id{down}"
        sql = (
            f"with found as materialized ({page} limit ?) select found.{by}, found.id, doc from"
            f" found join {joined}"
        )
        rows = self._read(sql, [*values, size + 1])
        items = tuple(self._document(kind, id_, doc) for _, id_, doc in rows[:size])
        return DocumentPage(items, page_mark(*rows[size - 1][:2]) if len(rows) > size else "")

    @staticmethod
    def _plan_tally(kind: type[Document], where: DocumentFilter) -> ReadPlan:
        """Return the plan of a tally that one index covers."""
        return ReadPlan(table_name(kind), *build_condition(kind, table_name(kind), where), True)

    def _plan_page(self, kind: type[Document], where: DocumentFilter, by: str) -> ReadPlan:
        """Choose how to find a page of documents.

        It follows the index of its order where few unwanted rows stand between its rows.
        """
        in_order = ReadPlan(
            table_name(kind),
            *build_condition(kind, table_name(kind), where, passed_over=kind.broad),
            False,
        )
        if not kind.narrow:
            # those of one incident, not all that have the value
            if "incident" in where.equals and where.equals.keys() & {*kind.sets}:
                return ReadPlan(
                    table_name(kind),
                    *build_condition(kind, table_name(kind), where, leads="incident"),
                    True,
                )
            has_few = (
                where.since is not None
                or where.ids is not None
                or where.text
                or where.equals.keys() & {*kind.sets}
            )
            return in_order._replace(is_few=bool(has_few))
        plan = plan_read(self._read, kind, table_name(kind), where)
        is_open = where == DocumentFilter(where.equals, where.differs) and where.equals.keys() <= {
            "tenant",
            *kind.narrow,
        }
        return in_order if is_open and not plan.is_few and by not in kind.narrow else plan

    def scroll(self, kind: type[D], where: DocumentFilter) -> Iterator[D]:
        """See `IncidentStore.scroll`."""
        return self._scroll(kind, where, kind)

    def excerpts(self, kind: type[Document], where: DocumentFilter, shape: type[E]) -> Iterator[E]:
        """See `IncidentStore.excerpts`."""
        return self._scroll(kind, where, shape)

    def _scroll(self, kind: type[Document], where: DocumentFilter, read_as: type[R]) -> Iterator[R]:
        """Yield page after page; the lock is free between them.

        Matching rows are searched twice at most, however many there are: for a first page,
        then for the numbers of all remaining rows.
        """
        table = table_name(kind)
        passed_over = {
            *_unselective_columns(where),
            *(kind.broad if where.equals.keys() - {*kind.broad} else ()),
        }
        condition, values = build_condition(kind, table, where, passed_over)
        page = (
            f"select n, id, doc from {table} where {condition} and n > ? order by n limit {SCROLL}"
        )
        # For a range SQLite would walk the row numbers past everything outside the range, so the
        # numbers in it are searched first.
        is_range = where.since is not None or where.before is not None or bool(where.begins)
        rows, last = [] if is_range else self._read(page, [*values, -1]), -1
        while rows:
            yield from (
                parse_stored(kind, id_, doc, str(self._path), read_as) for _, id_, doc in rows
            )
            last = rows[-1][0]
            if len(rows) < SCROLL or where != DocumentFilter():
                break
            rows = self._read(page, [last])
        if is_range or len(rows) == SCROLL:
            behind = f"select n from {table} where {condition} and +n > ? order by +n"
            numbers_behind = [n for (n,) in self._read(behind, [*values, last])]
            by_numbers = f"select id, doc from {table} where n in (select value from json_each(?))"
            for numbers in (
                numbers_behind[start : start + SCROLL]
                for start in range(0, len(numbers_behind), SCROLL)
            ):
                rows = self._read(by_numbers, (json.dumps(numbers),))
                yield from (
                    parse_stored(kind, id_, doc, str(self._path), read_as) for id_, doc in rows
                )

    def delete(
        self, kind: type[Document], ids: Collection[str], over: Versions | None = None
    ) -> int:
        """Delete documents; see `IncidentStore.delete`.

        The write-ahead log is emptied too, because it still holds the former pages.
        """
        sql = f"select n from {table_name(kind)} where id in (select value from json_each(?))"
        with self._writing():
            unchanged = {*ids} - (
                set[str]() if over is None else self._find_conflicts(kind, ids, over)
            )
            rows = self._read(sql, (json.dumps([*unchanged]),))
            numbers = [int(n) for (n,) in rows]
            _remove(self._database, kind, numbers)
        with self._lock, sqlite_errors(self._path):
            empty_log(self._database)
        return len(numbers)

    def refresh(self, *_kinds: type[Document]) -> None:
        """Do nothing: every write is visible at once."""

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _read_texts(self, kind: type[Document], ids: Collection[str]) -> list[Any]:
        """Return id and text of the documents that exist."""
        sql = f"select id, doc from {table_name(kind)} where id in (select value from json_each(?))"
        return self._read(sql, (json.dumps([*ids]),))

    def _find_conflicts(
        self, kind: type[Document], ids: Collection[str], over: Versions
    ) -> set[str]:
        """Return the ids whose version differs from `over`, or is missing on one side."""
        texts = dict[str, str](self._read_texts(kind, ids))
        return {id_ for id_ in ids if texts.get(id_) != over.get(id_)}

    def _document(self, kind: type[D], id_: str, doc: str) -> D:
        return parse_stored(kind, id_, doc, str(self._path), kind)

    def _read(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock, sqlite_errors(self._path):
            return self._database.execute(sql, tuple(values)).fetchall()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock, sqlite_errors(self._path), transaction(self._database):
            yield


def _span_sql(edges: Sequence[int], first: int) -> str:
    """Return SQL for the index of the span between `edges` that a time lies in.

    The edges are halved, so that a month of days costs five comparisons.
    """
    if not edges:
        return str(first)
    half = len(edges) // 2
    earlier, later = _span_sql(edges[:half], first), _span_sql(edges[half + 1 :], first + half + 1)
    return f"case when time < {edges[half]} then {earlier} else {later} end"


def _unselective_columns(where: DocumentFilter) -> Collection[str]:
    """Return the columns by which no index should lead.

    A tenant has more documents than any value that is filtered with it, which SQLite does not know.
    """
    return ("tenant",) if len(where.equals) > 1 else ()


def _find_row_numbers(
    database: apsw.Connection, kind: type[Document], documents: Sequence[Document]
) -> dict[str, int]:
    """Return the row numbers of the documents that exist, by id."""
    sql = f"select id, n from {table_name(kind)} where id in (select value from json_each(?))"
    rows: list[Any] = database.execute(
        sql, (json.dumps([document.id for document in documents]),)
    ).fetchall()
    return dict(rows)


def _insert(
    database: apsw.Connection,
    kind: type[Document],
    documents: Collection[Document],
    numbers: Mapping[str, int],
) -> None:
    """Insert rows, with their members of sets and words, within the caller's transaction.

    Each has its former number in `numbers` or the next free one; rows of that number must have been
    removed.
    """
    name = table_name(kind)
    last = database.execute(f"select max(n) from {name}").get or 0
    free = itertools.count(1 + max(last, *numbers.values(), 0))
    placed = [(numbers[d.id] if d.id in numbers else next(free), d) for d in documents]
    rows = (
        (n, d.id, to_microseconds(getattr(d, kind.time)), *_column_values(d), d.model_dump_json())
        for n, d in placed
    )
    database.executemany(
        f"insert into {name} values"
        f" ({', '.join('?' * (len(kind.columns) + len(kind.orders) + 4))})",
        rows,
    )
    if kind.sets:
        values = (
            (field, value, n)
            for n, d in placed
            for field in kind.sets
            for value in set(getattr(d, field))
        )
        database.executemany(f"insert into {name}_sets values (?, ?, ?)", values)
    if kind.searchable:
        words = ((n, index_words(d.words())) for n, d in placed)
        database.executemany(f"insert into {name}_words (rowid, words) values (?, ?)", words)


def _remove(database: apsw.Connection, kind: type[Document], numbers: Collection[int]) -> None:
    name, rows = table_name(kind), [(number,) for number in numbers]
    if kind.sets:
        database.executemany(f"delete from {name}_sets where n = ?", rows)
    if kind.searchable:
        database.executemany(f"delete from {name}_words where rowid = ?", rows)
    database.executemany(f"delete from {name} where n = ?", rows)
