"""Read tables as lines: SQLite, dBASE, FoxPro, MessagePack, Parquet, ORC, Arrow (Feather) and Avro.

SQLite databases are read in memory. MessagePack is a sequence of values, as programs write records
for each other (https://github.com/msgpack/msgpack). pyarrow takes 0.1 s and 210 MB of address space
to load, so only a second server loads it (`child.Server`); it reads without a thread, since the
child may start none.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import sqlite3
import struct
import sys
from collections.abc import Iterator
from functools import cache, partial
from importlib import import_module
from itertools import chain, islice
from types import ModuleType
from typing import Any, NamedTuple, cast

from matcher.unpack.deleted_rows import DeletedRows
from matcher.unpack.formats import FileFormat
from matcher.unpack.protocol import BYTES, SEPARATOR, Halt
from matcher.unpack.walk import DAMAGED, Body, BodyFile, Walk, lines, load_package, slices

COPIES = 3
"""How often a SQLite database is in memory while it is read."""
NO_LOG = slice(18, 20), b"\1\1"
"""The bytes of the head that declare a write-ahead log, and their value for none."""
PAGE_SIZE = slice(16, 18)
"""Bytes of the head with the size of a page; 1 stands for MOST_PAGE."""
MOST_PAGE = 65_536
ALLOWED = frozenset((sqlite3.SQLITE_READ, sqlite3.SQLITE_SELECT))
TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY rootpage"
"""Tables with data of their own: virtual ones have no page."""
DELETED = "deleted rows"
ROWS = 256
"""Rows that are fetched at a time."""


def database(walk: Walk, body: Body, path: str, _depth: int) -> None:
    """Write each table of a SQLite database as a member, with the rows that were deleted.

    A database that is too large for memory is written as plain bytes. Raises Halt `database` if
    cells or all of it remain unread, and ValueError if it is damaged.
    """
    if COPIES * len(body) > walk.budget.memory or not hasattr(sqlite3.Connection, "deserialize"):
        walk.text(path, slices(body), BYTES)
        raise Halt("database")
    buffer = body if isinstance(body, mmap.mmap) else bytearray(body)
    buffer[NO_LOG[0]] = NO_LOG[1]
    connection = sqlite3.connect(":memory:")
    unread: list[str] = []
    damaged = False
    try:
        connection.deserialize(buffer)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.set_authorizer(
            lambda action, *_: sqlite3.SQLITE_OK if action in ALLOWED else sqlite3.SQLITE_DENY
        )
        tables = connection.execute(TABLES).fetchall()
        page = int.from_bytes(buffer[PAGE_SIZE], "big")
        if not tables and len(body) > (page if page > 1 else MOST_PAGE):
            # a page besides the list of tables, which names none
            raise ValueError("damaged database")
        for (name,) in tables:
            lines = walk.budget.measure(_lines(connection, str(name), unread), lambda: len(body))
            damaged |= walk.run_guarded(
                f"{path}{SEPARATOR}{name}", partial(walk.text, f"{path}{SEPARATOR}{name}", lines)
            )
        _write_deleted_rows(walk, body, path, _count_columns(connection, tables))
    except sqlite3.Error as error:
        raise ValueError("damaged database") from error
    finally:
        connection.close()
    if unread and not damaged:
        raise Halt("database")


def _count_columns(connection: sqlite3.Connection, tables: list[tuple[str]]) -> list[int]:
    """Return how many columns each table has, as far as it can be opened."""
    counts = list[int]()
    for (name,) in tables:
        with contextlib.suppress(sqlite3.Error):
            counts.append(len(connection.execute(f"{_select(str(name))} LIMIT 0").description))
    return counts


def _write_deleted_rows(walk: Walk, body: Body, path: str, counts: list[int]) -> None:
    """Write the deleted rows of a database as one text, if there are any.

    Free room with text that is no row is reported as a database that was read in part.
    """
    deleted = DeletedRows(body, counts)
    rows = lines(deleted.rows())
    if first := next(rows, b""):
        place = f"{path}{SEPARATOR}{DELETED}"
        whole = walk.budget.measure(chain((first,), rows), lambda: len(body))
        walk.run_guarded(place, partial(walk.text, place, whole))
        if not deleted.is_complete:
            walk.out.outcome("database", place)


def _lines(connection: sqlite3.Connection, table: str, unread: list[str]) -> Iterator[bytes]:
    """Yield the names of a table's columns and its rows, as lines of UTF-8.

    A table with a cell that is not text is added to `unread`. Raises ValueError if the table is
    damaged.
    """
    try:
        cursor = connection.execute(_select(table))
        yield from lines([[column[0] for column in cursor.description]])
        while rows := cursor.fetchmany(ROWS):
            yield b"".join(lines(rows, unread, table))
    except sqlite3.Error as error:
        raise ValueError("damaged table") from error


def _select(table: str) -> str:
    """Return the statement that reads a table; the authorizer allows nothing but reading."""
    quoted = table.replace('"', '""')
    return f'SELECT * FROM "{quoted}"'  # noqa: S608  the name is quoted


class DbaseColumn(NamedTuple):
    """A column of a dBASE table: its name, its type, and its bytes [start, end) in a record."""

    name: bytes
    kind: str
    start: int
    end: int


END = b"\x1a"
"""The byte behind the last record."""
LINE_ENDS = bytes.maketrans(b"\t\r\n\0", b"    ")
ELSEWHERE = frozenset("MGPW")
"""Types of columns whose values are in another file."""
INTEGERS = frozenset("I+")
TEXTS = frozenset("CNFDLV")


def dbase(walk: Walk, body: Body, path: str, _depth: int) -> None:
    """Write the records of a dBASE or FoxPro table as a member, including those marked as deleted.

    Raises ValueError if it is damaged, EOFError if it ends early, and Halt `database` if it has
    columns that are not text.
    """
    begin, size = int.from_bytes(body[8:10], "little"), int.from_bytes(body[10:12], "little")
    columns = list(_columns(body, begin))
    if not columns or columns[-1].end > size:
        raise ValueError("damaged table")
    count = int.from_bytes(body[4:8], "little")
    walk.text(
        f"{path}{SEPARATOR}records",
        walk.budget.measure(_records(body, columns, begin, size), lambda: len(body)),
    )
    if begin + count * size > len(body):
        raise EOFError("the table ends early")
    if any(column.kind not in TEXTS | INTEGERS for column in columns):
        raise Halt("database")


def _columns(body: Body, begin: int) -> Iterator[DbaseColumn]:
    """Yield the columns that the head of a table declares, up to its end mark."""
    start = 1  # behind the mark for deleted records
    for at in range(32, min(begin, len(body)) - 31, 32):
        described = body[at : at + 32]
        if described[0] in b"\r\0":
            return
        width = described[16]
        yield DbaseColumn(
            described[:11].partition(b"\0")[0], chr(described[11]), start, start + width
        )
        start += width


def _records(body: Body, columns: list[DbaseColumn], begin: int, size: int) -> Iterator[bytes]:
    """Yield the names of the columns and the records, as lines in the encoding of the file."""
    yield b"\t".join(column.name for column in columns) + b"\n"
    at_once = max(1, (64 << 10) // size)
    for first in range(begin, len(body), size * at_once):
        block = body[first : first + size * at_once]
        records = (block[at : at + size] for at in range(0, len(block), size))
        yield b"".join(
            b"\t".join(_value(record, column) for column in columns) + b"\n"
            for record in records
            if record[:1] != END
        )


def _value(record: bytes, column: DbaseColumn) -> bytes:
    field = record[column.start : column.end]
    if column.kind in INTEGERS:
        return b"%d" % int.from_bytes(field, "little", signed=True)
    return b"" if column.kind in ELSEWHERE else field.translate(LINE_ENDS).strip()


VERSIONS = frozenset(
    (
        0x02,
        0x03,
        0x04,
        0x05,
        0x30,
        0x31,
        0x32,
        0x43,
        0x63,
        0x83,
        0x8B,
        0x8C,
        0x8E,
        0xCB,
        0xE5,
        0xF5,
        0xFB,
    )
)
"""First bytes of dBASE and FoxPro tables: their version."""
FIRST_COLUMN = re.compile(rb"(?=.{11}[A-Z@+0])[A-Za-z_\x81-\xfe][\w\x40-\xfe]{0,9}\0", re.DOTALL)


def is_dbase(head: bytes, _name: str = "") -> bool:
    """Return whether a file begins with the header of a dBASE or FoxPro table.

    The header has a date, the sizes of head and record, and a first column.
    """
    if len(head) < 64 or head[0] not in VERSIONS or not (1 <= head[2] <= 12 and 1 <= head[3] <= 31):
        return False
    size, record = int.from_bytes(head[8:10], "little"), int.from_bytes(head[10:12], "little")
    return size >= 65 and record > 1 and FIRST_COLUMN.match(head, 32) is not None


NUMBERS = {
    0xCA: ">f",
    0xCB: ">d",
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}
SIZED = {0xC4: (1, "bytes"), 0xC5: (2, "bytes"), 0xC6: (4, "bytes"), 0xC7: (1, "other"),
    0xC8: (2, "other"), 0xC9: (4, "other"),
         0xD9: (1, "text"), 0xDA: (2, "text"), 0xDB: (4, "text"), 0xDC: (2, "list"),
         0xDD: (4, "list"), 0xDE: (2, "map"),
         0xDF: (4, "map")}  # fmt: skip
"""Octets of the length that follows, and the kind of value."""
SINGLE: dict[int, object] = {0xC0: None, 0xC2: False, 0xC3: True}
DEEPEST = 64
PROVEN = 2
"""Texts that a head must have, with a quarter of its values, to count as MessagePack.

The format has no mark.
"""
Token = tuple[str, object]
"""The kind of a value, and the value; of a list or map, the number of its values."""


def tokens(body: Body, at: int = 0) -> Iterator[Token]:
    """Yield each value of MessagePack from the position `at` on; a list or map with its size.

    Raises ValueError for bytes that are no MessagePack, and EOFError or struct.error if a value
    ends early.
    """
    while at < len(body):
        byte = body[at]
        at += 1
        if byte in NUMBERS:
            form = NUMBERS[byte]
            yield "value", struct.unpack_from(form, body, at)[0]
            at += struct.calcsize(form)
            continue
        if byte in SINGLE or byte < 0x80 or byte >= 0xE0:
            yield "value", SINGLE[byte] if byte in SINGLE else byte - (256 if byte >= 0xE0 else 0)
            continue
        kind, size, at = _parse_length(body, byte, at)
        if kind in ("list", "map"):
            yield kind, size
            continue
        if at + size > len(body):
            raise EOFError("a value ends early")
        content = bytes(body[at : at + size])
        at += size
        yield (
            ("value", content.decode() if kind == "text" else content)
            if kind != "other"
            else ("other", content)
        )


def _parse_length(body: Body, byte: int, at: int) -> tuple[str, int, int]:
    """Return kind, size and place of the value that a byte begins.

    Raises ValueError if it begins none.
    """
    if byte < 0x90:
        return "map", byte & 15, at
    if byte < 0xA0:
        return "list", byte & 15, at
    if byte < 0xC0:
        return "text", byte & 31, at
    if 0xD4 <= byte <= 0xD8:  # an extension of 1 to 16 bytes, behind its type
        return "other", (1 << byte - 0xD4) + 1, at
    if byte not in SIZED:
        raise ValueError("no value begins so")
    octets, kind = SIZED[byte]
    return kind, int.from_bytes(body[at : at + octets], "big") + (kind == "other"), at + octets


class Open(NamedTuple):
    """A list or map that is being read.

    It has its kind, the number of its values, and those read so far; "" stands for inner ones.
    """

    kind: str
    size: int
    values: list[object]


def records(body: Body, unread: list[str]) -> Iterator[list[object]]:
    """Yield a row for each list or map, inner ones first.

    The names of a map's values are yielded before it if they differ from the last ones. `unread` is
    added to. Raises ValueError if the body nests too deeply, EOFError if it ends early.
    """
    stack: list[Open] = []
    header: list[object] = []
    for kind, value in tokens(body):
        if stack:
            stack[-1].values.append(value if kind == "value" else "")
        elif kind == "value":
            yield [value]
        if kind in ("list", "map"):
            assert isinstance(value, int)
            stack.append(Open(kind, value * (2 if kind == "map" else 1), []))
        elif kind == "other":
            unread.append(kind)
        if len(stack) > DEEPEST:
            raise ValueError("nested too deep")
        while stack and len(stack[-1].values) >= stack[-1].size:
            yield from _list_rows(stack.pop(), header)
    if stack:
        raise EOFError("a list ends early")


def _list_rows(whole: Open, header: list[object]) -> Iterator[list[object]]:
    """Yield the values of a map, if any, after their names.

    The names are left out if they equal the last `header`.
    """
    names, values = (
        (whole.values[::2], whole.values[1::2]) if whole.kind == "map" else (header, whole.values)
    )
    if names != header:
        header[:] = names
        yield names
    if any(value not in ("", None) for value in values):
        yield values


def msgpack(walk: Walk, body: Body, path: str, _depth: int) -> None:
    """Read the records of a MessagePack file, one a line."""
    unread: list[str] = []
    write_rows(walk, body, path, lines(records(body, unread), unread, "bytes"), unread)


def write_rows(walk: Walk, body: Body, path: str, rows: Iterator[bytes], unread: list[str]) -> None:
    """Write lines of rows as one text member.

    Raises Halt `database` if `unread` is not empty afterwards: it names cells that are not text.
    """
    walk.text(f"{path}{SEPARATOR}rows", walk.budget.measure(rows, lambda: len(body)))
    if unread:
        raise Halt("database")


def is_msgpack(head: bytes, _name: str = "") -> bool:
    """Return whether a file begins with a list or map of MessagePack that contains text.

    Everything in `head` must be valid, and enough of it text.
    """
    if not head or not (0x81 <= head[0] <= 0x9F or 0xDC <= head[0] <= 0xDF) or head[0] == 0x90:
        return False
    head_tokens: list[Token] = []
    try:
        head_tokens.extend(islice(tokens(head), 200))
    except (struct.error, EOFError):
        pass  # the head ends within a value
    except ValueError:
        return False
    texts = sum(isinstance(value, str) and len(value) > 1 for _, value in head_tokens)
    return texts >= PROVEN and texts * 4 >= len(head_tokens)


ARROW_ROWS = 4096
"""Rows that are converted to Python's values at a time."""


class Arrow(NamedTuple):
    """pyarrow, and its readers of Parquet and ORC."""

    core: ModuleType
    parquet: ModuleType
    orc: ModuleType


@cache
def pyarrow() -> Arrow | None:
    """Load pyarrow; None if it is not installed.

    It is loaded without numpy, which takes as long again and starts threads.
    """
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # the others have threads of their own
    # one of them has it even where it is not used
    os.environ["JE_ARROW_MALLOC_CONF"] = "background_thread:false"
    is_numpy_loaded = sys.modules.setdefault("numpy", cast("ModuleType", None)) is not None
    try:
        core, parquet, orc, _ = (
            import_module(f"pyarrow{name}") for name in ("", ".parquet", ".orc", ".compute")
        )
    except ImportError:
        return None
    finally:
        if not is_numpy_loaded:
            del sys.modules["numpy"]
    core.set_cpu_count(1)
    # ORC opens the files of time zones, and keeps the one that nearly all are written in
    written = core.BufferOutputStream()
    orc.write_table(core.table({"at": core.array([0], core.timestamp("ns"))}), written)
    orc.ORCFile(core.BufferReader(written.getvalue())).read()
    return Arrow(core, parquet, orc)


def columnar(walk: Walk, body: Body, path: str, _depth: int) -> None:
    """Read the rows of a columnar file; report cells that are not text."""
    arrow = pyarrow()
    if arrow is None:
        walk.needs("pyarrow", body, path)
        return
    unread: list[str] = []
    write_rows(walk, body, path, _column_lines(arrow, walk.container, body, unread), unread)


def _column_lines(arrow: Arrow, kind: str, body: Body, unread: list[str]) -> Iterator[bytes]:
    source = arrow.core.BufferReader(arrow.core.py_buffer(body))
    try:
        names, batches = _OPEN[kind](arrow, source)
        yield from lines([names])
        yield from lines(_column_rows(arrow.core, batches), unread, "rows")
    except MemoryError:
        raise
    except arrow.core.ArrowException as error:
        raise ValueError("damaged table") from error


def _column_rows(core: ModuleType, batches: Iterator[Any]) -> Iterator[tuple[object, ...]]:
    for batch in batches:
        for start in range(0, batch.num_rows, ARROW_ROWS):
            yield from zip(
                *(
                    _column_values(core, column.slice(start, ARROW_ROWS))
                    for column in batch.columns
                ),
                strict=True,
            )


def _column_values(core: ModuleType, column: Any) -> list[object]:
    """Return the values of a column.

    Points in time are returned as text, since Python's own have neither nanoseconds nor zones
    without files.
    """
    if core.types.is_timestamp(column.type):
        column = column.cast(core.timestamp(column.type.unit)).cast(core.string())
    values: list[object] = column.to_pylist()
    return values


def _parquet(arrow: Arrow, source: object) -> tuple[list[str], Iterator[Any]]:
    file = arrow.parquet.ParquetFile(source, pre_buffer=False)
    return file.schema_arrow.names, file.iter_batches(batch_size=ARROW_ROWS, use_threads=False)


def _orc(arrow: Arrow, source: object) -> tuple[list[str], Iterator[Any]]:
    file = arrow.orc.ORCFile(source)
    return file.schema.names, (_stripe(arrow.core, file, number) for number in range(file.nstripes))


def _stripe(core: ModuleType, file: Any, number: int) -> Any:
    """Return a stripe.

    If its time zone would have to be read from a file, it lacks the points in time: these columns
    are empty. Raises the reader's error if it cannot be read without them either.
    """
    try:
        return file.read_stripe(number)
    except (core.ArrowException, OSError):
        timeless = [field.name for field in file.schema if not core.types.is_timestamp(field.type)]
        if len(timeless) in (0, len(file.schema)):
            raise
        read = file.read_stripe(number, columns=timeless)
        columns = {name: read.column(name) for name in timeless}
        return core.RecordBatch.from_arrays(
            [columns.get(name, core.nulls(read.num_rows)) for name in file.schema.names],
            file.schema.names,
        )


def _file(arrow: Arrow, source: object) -> tuple[list[str], Iterator[Any]]:
    file = arrow.core.ipc.open_file(
        source, options=arrow.core.ipc.IpcReadOptions(use_threads=False)
    )
    return file.schema.names, (file.get_batch(number) for number in range(file.num_record_batches))


def _stream(arrow: Arrow, source: object) -> tuple[list[str], Iterator[Any]]:
    stream = arrow.core.ipc.open_stream(
        source, options=arrow.core.ipc.IpcReadOptions(use_threads=False)
    )
    return stream.schema.names, iter(stream)


def is_stream(head: bytes, _name: str = "") -> bool:
    """Return whether a file begins as an Arrow stream.

    It begins with a mark, then the length of the schema's message.
    """
    size, root = int.from_bytes(head[4:8], "little"), int.from_bytes(head[8:12], "little")
    return (
        head.startswith(b"\xff\xff\xff\xff")
        and 0 < size < 1 << 24
        and size % 8 == 0
        and 4 <= root < 64
    )


_OPEN = {"parquet": _parquet, "orc": _orc, "arrow": _file, "arrows": _stream}


fastavro = partial(load_package, "fastavro")


def avro(walk: Walk, body: Body, path: str, _depth: int) -> None:
    """Write the records of an Avro file, and report cells that are not text.

    Raises ValueError for a damaged schema, Halt `unsupported` for an unknown compression.
    """
    library = fastavro()
    if library is None:
        walk.needs("fastavro", body, path)
        return
    unread: list[str] = []
    try:
        records = library.reader(BodyFile(body))
    except (library.schema.SchemaParseException, library.schema.UnknownType) as error:
        raise ValueError("damaged schema") from error
    if records.codec not in ("null", "deflate", "bzip2", "xz"):
        raise Halt("unsupported")
    write_rows(walk, body, path, _record_lines(records, unread), unread)


def _record_lines(records: Any, unread: list[str]) -> Iterator[bytes]:
    names = [field["name"] for field in records.writer_schema.get("fields", ())]
    if names:
        yield from lines([names])
    yield from lines(_record_rows(records, names), unread, "rows")


def _record_rows(records: Any, names: list[str]) -> Iterator[list[object]]:
    try:
        for record in records:
            yield [record.get(name) for name in names] if isinstance(record, dict) else [record]
    except (*DAMAGED, StopIteration) as error:
        raise ValueError("damaged records") from error


FORMATS = (
    FileFormat(
        "parquet", columnar, faint=(b"PAR1",), packages=("pyarrow",), load=pyarrow, is_heavy=True
    ),
    FileFormat(
        "orc", columnar, faint=(b"ORC",), packages=("pyarrow",), load=pyarrow, is_heavy=True
    ),
    FileFormat(
        "arrow",
        columnar,
        starts=(b"ARROW1\0\0",),
        packages=("pyarrow",),
        load=pyarrow,
        is_heavy=True,
    ),
    FileFormat(
        "arrows",
        columnar,
        is_binary=is_stream,
        containers=("arrow",),
        packages=("pyarrow",),
        load=pyarrow,
        is_heavy=True,
    ),
    FileFormat(
        "avro", avro, starts=(b"Obj\1",), packages=("fastavro",), load=fastavro, is_heavy=True
    ),
    FileFormat("sqlite", database, starts=(b"SQLite format 3\0",)),
    FileFormat("dbase", dbase, is_binary=is_dbase),
    FileFormat("msgpack", msgpack, is_binary=is_msgpack, is_text=is_msgpack),
)
