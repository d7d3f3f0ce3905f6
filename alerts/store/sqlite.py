"""The embedded incident store: one SQLite table a record class, with its filters as columns and the document as JSON.

Values of a set lie in a side table, words in an FTS5 table with `secure-delete`, so that erasing a document erases its words
from the file as well. (A contentless table would be smaller, but keeps old words in its segments after a delete.) One
connection a process behind a lock: the page's threads and the alert loop ask for milliseconds at a time.
"""

# ruff: noqa: S608  names of tables and columns come from the record classes, never from outside
from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from alerts.records import CLASSES, D, Document
from alerts.store import MAX_PAGE, Outcome, Page, Where
from alerts.store.selection import page_mark, read_mark, selection, stamp
from alerts.store.tokens import index_words
from ullage.database import open_database, sqlite_errors, transaction

SCROLL = 500


def table_of(kind: type[Document]) -> str:
    """The table of a record class."""
    return kind.__name__.lower()


def _schema(kind: type[Document]) -> str:
    """Statements that make the tables of one record class."""
    name = table_of(kind)
    columns = "".join(f", {column} text not null" for column in kind.columns)
    statements = [
        f"create table {name} (n integer primary key, id text not null unique, time integer not null{columns}, doc text) strict",
        f"create index {name}_by_time on {name} (time, id)",
        *(f"create index {name}_by_{column} on {name} ({column}, time)" for column in kind.columns),
    ]
    if kind.sets:
        statements += [
            f"create table {name}_sets (field text, value text, n integer, primary key (field, value, n)) strict, without rowid",
            f"create index {name}_sets_by_n on {name}_sets (n)",
        ]
    if kind.searchable:
        statements += [
            f"create virtual table {name}_words using fts5(words, tokenize='ascii')",
            f"insert into {name}_words ({name}_words, rank) values ('secure-delete', 1)",
        ]
    return ";\n".join(statements) + ";\n"


class SqliteStore:
    """See the module, and `alerts.store` for what each method promises."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.RLock()
        self._database = open_database(path, ["".join(map(_schema, CLASSES))])

    def check(self) -> str:
        """See `IncidentStore.check`; opening has looked at the file's version already."""
        return ""

    def get(self, kind: type[D], id_: str) -> D | None:
        """See `IncidentStore.get`."""
        return self.mget(kind, [id_]).get(id_)

    def mget(self, kind: type[D], ids: Collection[str]) -> dict[str, D]:
        """See `IncidentStore.mget`."""
        sql = f"select doc from {table_of(kind)} where id in (select value from json_each(?))"
        found = [kind.model_validate_json(doc) for (doc,) in self._read(sql, (json.dumps(list(ids)),))]
        return {document.id: document for document in found}

    def create(self, documents: Sequence[Document]) -> list[bool]:
        """See `IncidentStore.create`."""
        with self._writing():
            return [self._number(document) is None and self._insert(document) for document in documents]

    def put(self, documents: Sequence[Document]) -> list[Outcome]:
        """See `IncidentStore.put`; SQLite takes every document, so nothing is ever rejected here."""
        outcomes = []
        with self._writing():
            for document in documents:
                number = self._number(document)
                if number is not None:
                    self._remove(type(document), number)
                self._insert(document, number)
                outcomes.append(Outcome.CREATED if number is None else Outcome.REPLACED)
        return outcomes

    def count(self, kind: type[Document], where: Where) -> int:
        """See `IncidentStore.count`."""
        condition, values = selection(kind, table_of(kind), where)
        return int(self._read(f"select count(*) from {table_of(kind)} where {condition}", values)[0][0])

    def search(self, kind: type[D], where: Where, limit: int = 50, after: str = "") -> Page[D]:
        """See `IncidentStore.search`."""
        condition, values = selection(kind, table_of(kind), where)
        size = max(1, min(limit, MAX_PAGE))
        if after:
            condition, values = f"{condition} and (time, id) < (?, ?)", [*values, *read_mark(after)]
        sql = f"select time, id, doc from {table_of(kind)} where {condition} order by time desc, id desc limit ?"
        rows = self._read(sql, [*values, size + 1])
        items = tuple(kind.model_validate_json(doc) for _, _, doc in rows[:size])
        return Page(items, page_mark(*rows[size - 1][:2]) if len(rows) > size else "")

    def scroll(self, kind: type[D], where: Where) -> Iterator[D]:
        """See `IncidentStore.scroll`; the lock is free between pages."""
        condition, values = selection(kind, table_of(kind), where)
        sql = f"select n, doc from {table_of(kind)} where {condition} and n > ? order by n limit {SCROLL}"
        last = -1
        while rows := self._read(sql, [*values, last]):
            yield from (kind.model_validate_json(doc) for _, doc in rows)
            last = rows[-1][0]

    def delete(self, kind: type[Document], ids: Collection[str]) -> int:
        """See `IncidentStore.delete`; the write-ahead log is emptied too, for it still holds the former pages."""
        sql = f"select n from {table_of(kind)} where id in (select value from json_each(?))"
        with self._writing():
            rows = self._read(sql, (json.dumps(list(ids)),))
            numbers = [int(n) for (n,) in rows]
            for number in numbers:
                self._remove(kind, number)
        self._read("pragma wal_checkpoint(truncate)")
        return len(numbers)

    def refresh(self) -> None:
        """Every write is visible at once."""

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _number(self, document: Document) -> int | None:
        number: int | None = self._database.execute(f"select n from {table_of(type(document))} where id = ?", (document.id,)).get
        return number

    def _insert(self, document: Document, number: int | None = None) -> bool:
        kind, name = type(document), table_of(type(document))
        values = [number, document.id, stamp(getattr(document, kind.time)), *(getattr(document, c) for c in kind.columns)]
        marks = ", ".join("?" * (len(values) + 1))
        self._database.execute(f"insert into {name} values ({marks})", (*values, document.model_dump_json()))
        row = number if number is not None else self._database.last_insert_rowid()
        for field in kind.sets:
            rows = [(field, value, row) for value in set(getattr(document, field))]
            self._database.executemany(f"insert into {name}_sets values (?, ?, ?)", rows)
        if kind.searchable:
            words = index_words(document.words())
            self._database.execute(f"insert into {name}_words (rowid, words) values (?, ?)", (row, words))
        return True

    def _remove(self, kind: type[Document], number: int) -> None:
        name = table_of(kind)
        if kind.sets:
            self._database.execute(f"delete from {name}_sets where n = ?", (number,))
        if kind.searchable:
            self._database.execute(f"delete from {name}_words where rowid = ?", (number,))
        self._database.execute(f"delete from {name} where n = ?", (number,))

    def _read(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock, sqlite_errors(f"incident store {self._path}"):
            return self._database.execute(sql, tuple(values)).fetchall()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock, sqlite_errors(f"incident store {self._path}"), transaction(self._database):
            yield
