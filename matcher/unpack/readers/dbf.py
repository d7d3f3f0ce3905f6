"""Tables of dBASE, FoxPro and their kin: records become lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from matcher.unpack.limits import Halt
from matcher.unpack.protocol import SEPARATOR
from matcher.unpack.registry import Format
from matcher.unpack.walk import Body, Walk


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


VERSIONS = frozenset((0x02, 0x03, 0x04, 0x05, 0x30, 0x31, 0x32, 0x43, 0x63, 0x83, 0x8B, 0x8C, 0x8E, 0xCB, 0xE5, 0xF5, 0xFB))
"""First bytes of dBASE and FoxPro tables: their version."""
FIRST_COLUMN = re.compile(rb"(?=.{11}[A-Z@+0])[A-Za-z_\x81-\xfe][\w\x40-\xfe]{0,9}\0", re.DOTALL)


def is_dbase(head: bytes, _name: str = "") -> bool:
    """Whether a file begins as a table of dBASE or FoxPro: a date, the sizes of head and record, and the first column."""
    if len(head) < 64 or head[0] not in VERSIONS or not (1 <= head[2] <= 12 and 1 <= head[3] <= 31):
        return False
    size, record = int.from_bytes(head[8:10], "little"), int.from_bytes(head[10:12], "little")
    return size >= 65 and record > 1 and FIRST_COLUMN.match(head, 32) is not None


FORMATS = (Format("dbase", dbase, is_binary=is_dbase),)
