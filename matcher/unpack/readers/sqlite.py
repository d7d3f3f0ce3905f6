"""Databases of SQLite, read in memory: the rows of each table become lines."""

from __future__ import annotations

import mmap
import sqlite3
from collections.abc import Iterator
from functools import partial

from matcher.unpack.cells import lines
from matcher.unpack.limits import Halt
from matcher.unpack.protocol import BYTES, SEPARATOR
from matcher.unpack.registry import Format
from matcher.unpack.streams import slices
from matcher.unpack.walk import Body, Walk

COPIES = 3
"""How often a database of SQLite is in memory while it is read."""
NO_LOG = slice(18, 20), b"\1\1"
"""Bytes of the head that say whether there is a write-ahead log, and what they are where there is none, as here."""
PAGE_SIZE = slice(16, 18)
"""Bytes of the head that say how long a page is; 1 stands for MOST_PAGE."""
MOST_PAGE = 65_536
ALLOWED = frozenset((sqlite3.SQLITE_READ, sqlite3.SQLITE_SELECT))
TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY rootpage"
"""Those that hold something themselves: virtual ones have no page of their own."""
ROWS = 256
"""Rows that are fetched at once."""


def database(walk: Walk, body: Body, path: str, _depth: int) -> None:
    """The tables of a database of SQLite, read in memory; as it stands where it is too large for that, or of another kind."""
    if COPIES * len(body) > walk.budget.memory or not hasattr(sqlite3.Connection, "deserialize"):
        walk.text(path, slices(body), BYTES)
        raise Halt("database")
    held = body if isinstance(body, mmap.mmap) else bytearray(body)
    held[NO_LOG[0]] = NO_LOG[1]
    opened = sqlite3.connect(":memory:")
    left: list[str] = []
    damaged = False
    try:
        opened.deserialize(held)
        opened.execute("PRAGMA trusted_schema = OFF")
        opened.text_factory = lambda raw: raw.decode("utf-8", "replace")
        opened.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in ALLOWED else sqlite3.SQLITE_DENY)
        tables = opened.execute(TABLES).fetchall()
        page = int.from_bytes(held[PAGE_SIZE], "big")
        if not tables and len(body) > (page if page > 1 else MOST_PAGE):
            raise ValueError("damaged database")  # a page besides the list of tables, which names none
        for (name,) in tables:
            lines = walk.budget.measured(_lines(opened, str(name), left), lambda: len(body))
            damaged |= walk.guarded(f"{path}{SEPARATOR}{name}", partial(walk.text, f"{path}{SEPARATOR}{name}", lines))
    except sqlite3.Error as error:
        raise ValueError("damaged database") from error
    finally:
        opened.close()
    if left and not damaged:
        raise Halt("database")


def _lines(opened: sqlite3.Connection, table: str, left: list[str]) -> Iterator[bytes]:
    """The names of a table's columns and its rows, as lines of UTF-8; a table with a cell that is no text goes to `left`."""
    quoted = table.replace('"', '""')
    try:
        found = opened.execute(f'SELECT * FROM "{quoted}"')  # noqa: S608  quoted, and nothing but reading is allowed
        yield from lines([[column[0] for column in found.description]])
        while rows := found.fetchmany(ROWS):
            yield b"".join(lines(rows, left, table))
    except sqlite3.Error as error:
        raise ValueError("damaged table") from error


FORMATS = (Format("sqlite", database, starts=(b"SQLite format 3\0",)),)
