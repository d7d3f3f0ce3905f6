"""Which documents have the words of a query, as the embedded store asks it of every row of an index.

SQLite would make a list of them anew for each statement, and a page asks for the same words three times and more: that took most
of its time where most documents have them. So they are worked out once, as a byte a row, until something is written.
"""

# ruff: noqa: S608  names of tables come from the record classes, never from outside
from __future__ import annotations

import json

import apsw

NAME = "rows_with"


def add_rows_with(database: apsw.Connection) -> None:
    """Give the connection the SQL function `rows_with(table, words)`: for each row number 1 if it has the words, else 0.

    It reads within the statement that asks, and so of the same moment. What it last said stands until this connection has changed
    something (`total_changes`), or another one has (`data_version`).
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
