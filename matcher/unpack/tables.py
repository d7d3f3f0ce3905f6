"""Databases that are one file: SQLite, and dBASE with its kin. Rows become lines, cells parted by tabs."""

from __future__ import annotations

import mmap
import sqlite3
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from matcher.unpack import sheet
from matcher.unpack.budget import Halt
from matcher.unpack.frames import BYTES, SEPARATOR
from matcher.unpack.streams import slices

if TYPE_CHECKING:
    from matcher.unpack.walk import Walk

Body = bytes | mmap.mmap
COPIES = 3
"""How often a database of SQLite is in memory while it is read."""
NO_LOG = slice(18, 20), b"\1\1"
"""Bytes of the head that say whether there is a write-ahead log, and what they are where there is none, as here."""
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
        for (name,) in opened.execute(TABLES).fetchall():
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
    try:
        yield from _rows(opened, table, left)
    except sqlite3.Error as error:
        raise ValueError("damaged table") from error


def _rows(opened: sqlite3.Connection, table: str, left: list[str]) -> Iterator[bytes]:
    quoted = table.replace('"', '""')
    found = opened.execute(f'SELECT * FROM "{quoted}"')  # noqa: S608  quoted, and nothing but reading is allowed
    yield ("\t".join(str(column[0]) for column in found.description) + "\n").encode("utf-8", "replace")
    while rows := found.fetchmany(ROWS):
        cells = [[_cell(value) for value in row] for row in rows]
        if any(cell is None for row in cells for cell in row):
            left.append(table)
        yield "".join("\t".join(cell or "" for cell in row) + "\n" for row in cells).encode("utf-8", "replace")


def _cell(value: object) -> str | None:
    """A value as a person reads it, None for bytes that are no text."""
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return None
    if value is None:
        return ""
    return sheet.number(repr(value)) if isinstance(value, float) else str(value).translate(sheet.CLEAN)


class Column(NamedTuple):
    """A column of a dBASE table: its name, type and bytes [start, end) of a record."""

    name: bytes
    kind: str
    start: int
    end: int


END = b"\x1a"
"""Stands behind the last record."""
LINE_ENDS = bytes.maketrans(b"\t\r\n\0", b"    ")
ELSEWHERE = frozenset("MGPW")
"""Types of columns whose values are in another file."""
INTEGERS = frozenset("I+")
TEXTS = frozenset("CNFDLV")


def dbase(walk: Walk, body: Body, path: str, _depth: int) -> None:
    """The records of a dBASE or FoxPro table, those that are marked as deleted too."""
    begin, size = int.from_bytes(body[8:10], "little"), int.from_bytes(body[10:12], "little")
    columns = list(_columns(body, begin))
    if not columns or columns[-1].end > size:
        raise ValueError("damaged table")
    count = int.from_bytes(body[4:8], "little")
    walk.text(f"{path}{SEPARATOR}records", walk.budget.measured(_records(body, columns, begin, size), lambda: len(body)))
    if begin + count * size > len(body):
        raise EOFError("the table ends early")
    if any(column.kind not in TEXTS | INTEGERS for column in columns):
        raise Halt("database")


def _columns(body: Body, begin: int) -> Iterator[Column]:
    """The columns by the head of a table."""
    start = 1  # behind the mark for deleted records
    for at in range(32, min(begin, len(body)) - 31, 32):
        described = body[at : at + 32]
        if described[0] in b"\r\0":
            return
        width = described[16]
        yield Column(described[:11].partition(b"\0")[0], chr(described[11]), start, start + width)
        start += width


def _records(body: Body, columns: list[Column], begin: int, size: int) -> Iterator[bytes]:
    """The names of the columns and the records, as lines in the encoding of the file."""
    yield b"\t".join(column.name for column in columns) + b"\n"
    at_once = max(1, (64 << 10) // size)
    for first in range(begin, len(body), size * at_once):
        block = body[first : first + size * at_once]
        records = (block[at : at + size] for at in range(0, len(block), size))
        yield b"".join(
            b"\t".join(_value(record, column) for column in columns) + b"\n" for record in records if record[:1] != END
        )


def _value(record: bytes, column: Column) -> bytes:
    held = record[column.start : column.end]
    if column.kind in INTEGERS:
        return b"%d" % int.from_bytes(held, "little", signed=True)
    return b"" if column.kind in ELSEWHERE else held.translate(LINE_ENDS).strip()
