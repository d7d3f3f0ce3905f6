"""The embedded incident store: one SQLite table a record class, with its filters as columns and the
document as JSON.

Values of a set lie in a side table, words in an FTS5 table with `secure-delete`, so that erasing a
document erases its words from the file as well. (A contentless table would be smaller, but keeps
old words in its segments after a delete.) One connection a process behind a lock: the page's
threads and the alert loop ask for milliseconds at a time. The version of a document is its text:
who overwrites the very text that they read loses nothing.
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
from alerts.records.document import D, Document, E, QueryError, R, stored
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
    checked_columns,
    checked_set,
    narrow_index,
    page_mark,
    read_mark,
    read_order,
    selection,
    stamp,
    too_many,
    way,
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
"""Makes a number by which documents are ordered positive."""
CACHE_KIB = 65_536
"""Of pages that a process holds: each that it does not is read and its checksum worked out
again.
"""


def table_of(kind: type[Document]) -> str:
    """The table of a record class."""
    return kind.__name__.lower()


def _schema(kind: type[Document]) -> str:
    """Statements that make the tables of one record class."""
    name, columns = table_of(kind), "".join(f", {column} text not null" for column in kind.columns)
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
        *(f"{index}_by_{'_'.join(some)} on {name} ({', '.join(some)})" for some in kind.tallied),
        *filter(None, (narrow_index(kind, name),)),
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


SCHEMA = "".join(map(_schema, CLASSES))


def _runs(documents: Iterable[Document]) -> Iterator[tuple[type[Document], list[Document]]]:
    """Neighbours of one class together, in order."""
    return ((kind, list(some)) for kind, some in itertools.groupby(documents, type))


def _values(document: Document) -> list[str | int]:
    """What stands in the columns of its class."""
    return [getattr(document, column) for column in (*document.columns, *document.orders)]


class SqliteStore:
    """See the module, and `alerts.store` for what each method promises."""

    def __init__(self, path: Path, inventory: Inventory | None = None) -> None:
        self._path, self._lock = path, threading.RLock()
        self._database = open_database(path, SCHEMA, VERSION, inventory)
        self._database.execute(f"pragma cache_size = -{CACHE_KIB}")
        add_rows_with(self._database)

    def expunge(self, kinds: Collection[type[Document]]) -> None:
        """Nothing is left to do: a delete overwrites what it removes."""

    def check(self) -> str:
        """See `IncidentStore.check`; opening has looked at the file's version already."""
        with self._lock:
            check_database(self._database, self._path)
        return ""

    def get(self, kind: type[D], id_: str) -> D | None:
        """See `IncidentStore.get`."""
        return self.mget(kind, [id_]).get(id_)

    def mget(self, kind: type[D], ids: Collection[str]) -> dict[str, D]:
        """See `IncidentStore.mget`."""
        return {id_: self._document(kind, id_, doc) for id_, doc in self._texts(kind, ids)}

    def read(self, kind: type[D], ids: Collection[str]) -> dict[str, VersionedDocument[D]]:
        """See `IncidentStore.read`."""
        return {
            id_: VersionedDocument(self._document(kind, id_, doc), doc)
            for id_, doc in self._texts(kind, ids)
        }

    def create(self, documents: Sequence[Document]) -> list[bool]:
        """See `IncidentStore.create`."""
        made: list[bool] = []
        with self._writing():
            for kind, some in _runs(documents):
                known, fresh = _numbers(self._database, kind, some), dict[str, Document]()
                for document in some:
                    made.append(document.id not in known and document.id not in fresh)
                    fresh.setdefault(document.id, document)
                _insert(
                    self._database,
                    kind,
                    [document for id_, document in fresh.items() if id_ not in known],
                    {},
                )
        return made

    def put(self, documents: Sequence[Document], over: Versions | None = None) -> list[WriteResult]:
        """See `IncidentStore.put`; SQLite takes every document, so nothing is ever rejected
        here.
        """
        outcomes: list[WriteResult] = []
        with self._writing():
            for kind, some in _runs(documents):
                known, last = _numbers(self._database, kind, some), dict[str, Document]()
                other = (
                    set[str]()
                    if over is None
                    else self._others(kind, {document.id for document in some}, over)
                )
                for document in some:
                    there = document.id in known or document.id in last
                    if document.id in other or (over is not None and document.id in last):
                        outcomes.append(WriteResult.CONFLICT)
                        continue
                    outcomes.append(WriteResult.REPLACED if there else WriteResult.CREATED)
                    last[document.id] = document
                _remove(self._database, kind, [n for id_, n in known.items() if id_ not in other])
                _insert(self._database, kind, last.values(), known)
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
        condition, values = selection(kind, table_of(kind), where)
        return int(
            self._read(f"select count(*) from {table_of(kind)} where {condition}", values)[0][0]
        )

    def counts(
        self, kind: type[Document], where: DocumentFilter, parts: Sequence[DocumentFilter]
    ) -> list[int]:
        """See `IncidentStore.counts`; one pass over an index."""
        found = way(self._read, kind, table_of(kind), where)
        chosen = [selection(kind, table_of(kind), part, leads="time") for part in parts]
        columns = ", ".join(f"count(*) filter (where {condition})" for condition, _ in chosen)
        values = [*(value for _, some in chosen for value in some), *found.values]
        return [
            int(n)
            for n in self._read(
                f"select {columns} from {found.source} where {found.condition}", values
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
        """See `IncidentStore.tally`."""
        if moments:
            since, before = (
                max(filter(None, (where.since, moments[0]))),
                min(filter(None, (where.before, moments[-1]))),
            )
            where = replace(where, since=since, before=before)
        columns = checked_columns(kind, by)
        is_plain = where == DocumentFilter(where.equals) and not total
        is_tallied = is_plain and any({*where.equals, *columns} <= {*some} for some in kind.tallied)
        found = (
            self._plain(kind, where) if is_tallied else way(self._read, kind, table_of(kind), where)
        )
        span = _span([stamp(moment) for moment in moments[1:-1]], 0)
        sums = f"sum({read_order(kind, total)[0]})" if total else "0"
        sql = (
            f"select {span}, {sums}, count(*){''.join(f', {name}' for name in columns)} from"
            f" {found.source}"
        )
        # Grouped by a constant too, SQLite would sort what an index has in order.
        groups = ", ".join(columns if columns and span == "0" else ("1", *columns))
        rows = self._read(
            f"{sql} where {found.condition} group by {groups} limit {MAX_TALLIES + 1}", found.values
        )
        if len(rows) > MAX_TALLIES:
            raise QueryError(too_many())
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
        """See `IncidentStore.firsts`; the members of these sets are looked at, and nothing else."""
        table, (by, is_down) = table_of(kind), read_order(kind, order)
        condition, bound = selection(kind, table, where, leads=MEMBERS)
        # as text both order as they do apart
        first = f"{'max' if is_down else 'min'}(format('%020d', {by} + {ABOVE}) || id)"
        members = f"{table}_sets as s cross join {table} on {table}.n = s.n"
        among = f"s.field = ? and s.value in (select value from json_each(?)) and {condition}"
        sql = f"select s.value, {first}, count(*) from {members} where {among} group by s.value"
        rows = (
            self._read(sql, [checked_set(kind, name), json.dumps(list(values)), *bound])
            if values
            else ()
        )
        return {value: First(key[20:], many) for value, key, many in rows}

    def search(
        self,
        kind: type[D],
        where: DocumentFilter,
        limit: int = 50,
        after: str = "",
        order: str = "",
    ) -> DocumentPage[D]:
        """See `IncidentStore.search`."""
        by, is_down = read_order(kind, order)
        table, size, down = table_of(kind), max(1, min(limit, MAX_PAGE)), " desc" if is_down else ""
        found = self._way(kind, where, by)
        condition, values = found.condition, found.values
        if after:
            condition, values = (
                f"{condition} and ({by}, id) {'<' if is_down else '>'} (?, ?)",
                [*values, *read_mark(after)],
            )
        walked = f"+{by}" if found.is_few else by
        some = (
            f"select n, {by}, id from {found.source} where {condition} order by {walked}{down},"
            f" id{down}"
        )
        # Documents are read of those alone that are given back.
        joined = f"{table} as t on t.n = found.n order by found.{by}{down}, found.id{down}"
        sql = (
            f"with found as materialized ({some} limit ?) select found.{by}, found.id, doc from"
            f" found join {joined}"
        )
        rows = self._read(sql, [*values, size + 1])
        items = tuple(self._document(kind, id_, doc) for _, id_, doc in rows[:size])
        return DocumentPage(items, page_mark(*rows[size - 1][:2]) if len(rows) > size else "")

    @staticmethod
    def _plain(kind: type[Document], where: DocumentFilter) -> ReadPlan:
        """Where an index has just what is counted."""
        return ReadPlan(table_of(kind), *selection(kind, table_of(kind), where), True)

    def _way(self, kind: type[Document], where: DocumentFilter, by: str) -> ReadPlan:
        """How a page is found: along the index of its order where little stands between its
        rows.
        """
        walked = ReadPlan(
            table_of(kind), *selection(kind, table_of(kind), where, passed_over=kind.broad), False
        )
        if not kind.narrow:
            # of one incident, not all that have the value
            if "incident" in where.equals and where.equals.keys() & {*kind.sets}:
                return ReadPlan(
                    table_of(kind), *selection(kind, table_of(kind), where, leads="incident"), True
                )
            has_few = (
                where.since is not None
                or where.ids is not None
                or where.text
                or where.equals.keys() & {*kind.sets}
            )
            return walked._replace(is_few=bool(has_few))
        found = way(self._read, kind, table_of(kind), where)
        is_open = where == DocumentFilter(where.equals, where.differs) and where.equals.keys() <= {
            "tenant",
            *kind.narrow,
        }
        return walked if is_open and not found.is_few and by not in kind.narrow else found

    def scroll(self, kind: type[D], where: DocumentFilter) -> Iterator[D]:
        """See `IncidentStore.scroll`."""
        return self._scroll(kind, where, kind)

    def excerpts(self, kind: type[Document], where: DocumentFilter, shape: type[E]) -> Iterator[E]:
        """See `IncidentStore.excerpts`."""
        return self._scroll(kind, where, shape)

    def _scroll(self, kind: type[Document], where: DocumentFilter, read_as: type[R]) -> Iterator[R]:
        """Page after page; the lock is free between them.

        What fits is looked for twice at most, however much it is: for a first page, then for the
        numbers of all other rows.
        """
        table = table_of(kind)
        passed_over = {*_wide(where), *(kind.broad if where.equals.keys() - {*kind.broad} else ())}
        condition, values = selection(kind, table, where, passed_over)
        page = (
            f"select n, id, doc from {table} where {condition} and n > ? order by n limit {SCROLL}"
        )
        # Of a range SQLite would take a page along the numbers, past all that is not in it: there
        # numbers are looked for first.
        is_range = where.since is not None or where.before is not None or bool(where.begins)
        rows, last = [] if is_range else self._read(page, [*values, -1]), -1
        while rows:
            yield from (stored(kind, id_, doc, str(self._path), read_as) for _, id_, doc in rows)
            last = rows[-1][0]
            if len(rows) < SCROLL or where != DocumentFilter():
                break
            rows = self._read(page, [last])
        if is_range or len(rows) == SCROLL:
            behind = f"select n from {table} where {condition} and +n > ? order by +n"
            rest = [n for (n,) in self._read(behind, [*values, last])]
            some = f"select id, doc from {table} where n in (select value from json_each(?))"
            for numbers in (rest[start : start + SCROLL] for start in range(0, len(rest), SCROLL)):
                rows = self._read(some, (json.dumps(numbers),))
                yield from (stored(kind, id_, doc, str(self._path), read_as) for id_, doc in rows)

    def delete(
        self, kind: type[Document], ids: Collection[str], over: Versions | None = None
    ) -> int:
        """See `IncidentStore.delete`; the write-ahead log is emptied too, for it still holds the
        former pages.
        """
        sql = f"select n from {table_of(kind)} where id in (select value from json_each(?))"
        with self._writing():
            asked = {*ids} - (set[str]() if over is None else self._others(kind, ids, over))
            rows = self._read(sql, (json.dumps([*asked]),))
            numbers = [int(n) for (n,) in rows]
            _remove(self._database, kind, numbers)
        with self._lock, sqlite_errors(self._path):
            empty_log(self._database)
        return len(numbers)

    def refresh(self, *_kinds: type[Document]) -> None:
        """Every write is visible at once."""

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _texts(self, kind: type[Document], ids: Collection[str]) -> list[Any]:
        """Id and text of those of the documents that exist."""
        sql = f"select id, doc from {table_of(kind)} where id in (select value from json_each(?))"
        return self._read(sql, (json.dumps([*ids]),))

    def _others(self, kind: type[Document], ids: Collection[str], over: Versions) -> set[str]:
        """Those of `ids` of which there is another version than in `over`, or one in one of both
        places alone.
        """
        there = dict[str, str](self._texts(kind, ids))
        return {id_ for id_ in ids if there.get(id_) != over.get(id_)}

    def _document(self, kind: type[D], id_: str, doc: str) -> D:
        return stored(kind, id_, doc, str(self._path), kind)

    def _read(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock, sqlite_errors(self._path):
            return self._database.execute(sql, tuple(values)).fetchall()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock, sqlite_errors(self._path), transaction(self._database):
            yield


def _span(edges: Sequence[int], first: int) -> str:
    """Which span between `edges` a time lies in, as SQL; halved, so that a month of days costs
    five comparisons.
    """
    if not edges:
        return str(first)
    half = len(edges) // 2
    earlier, later = _span(edges[:half], first), _span(edges[half + 1 :], first + half + 1)
    return f"case when time < {edges[half]} then {earlier} else {later} end"


def _wide(where: DocumentFilter) -> Collection[str]:
    """A tenant has more documents than any other value that is asked for beside it, which SQLite
    does not know.
    """
    return ("tenant",) if len(where.equals) > 1 else ()


def _numbers(
    database: apsw.Connection, kind: type[Document], documents: Sequence[Document]
) -> dict[str, int]:
    """The row numbers of those that exist, by id."""
    sql = f"select id, n from {table_of(kind)} where id in (select value from json_each(?))"
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
    """Write rows that are not there, with their former number in `numbers` or the next free one;
    one statement for all.
    """
    name = table_of(kind)
    last = database.execute(f"select max(n) from {name}").get or 0
    free = itertools.count(1 + max(last, *numbers.values(), 0))
    placed = [(numbers[d.id] if d.id in numbers else next(free), d) for d in documents]
    rows = (
        (n, d.id, stamp(getattr(d, kind.time)), *_values(d), d.model_dump_json()) for n, d in placed
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
    name, rows = table_of(kind), [(number,) for number in numbers]
    if kind.sets:
        database.executemany(f"delete from {name}_sets where n = ?", rows)
    if kind.searchable:
        database.executemany(f"delete from {name}_words where rowid = ?", rows)
    database.executemany(f"delete from {name} where n = ?", rows)
