"""Tables by libraries that are slow to load: Parquet, ORC and Arrow (Feather) by pyarrow, Avro by fastavro. Rows become lines.

pyarrow takes 0.1 s and 210 MB of address space to load, so only a second server loads it (`child.Server`), and reads the file
without a thread, since the child may start none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple, cast

from matcher.unpack.kinds import FileFormat
from matcher.unpack.protocol import SEPARATOR, Halt
from matcher.unpack.walk import DAMAGED, Body, BodyFile, Walk, lines

ROWS = 4096
"""Rows that are made into Python's values at once."""


class Arrow(NamedTuple):
    """pyarrow, and its readers of Parquet and ORC."""

    core: ModuleType
    parquet: ModuleType
    orc: ModuleType


@cache
def library() -> Arrow | None:
    """None where pyarrow is not installed. It is loaded without numpy, which takes as long again and starts threads."""
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # the others have threads of their own
    os.environ["JE_ARROW_MALLOC_CONF"] = "background_thread:false"  # one of them has it even where it is not used
    is_numpy_loaded = sys.modules.setdefault("numpy", cast("ModuleType", None)) is not None
    try:
        core, parquet, orc, _ = (import_module(f"pyarrow{name}") for name in ("", ".parquet", ".orc", ".compute"))
    except ImportError:
        return None
    finally:
        if not is_numpy_loaded:
            del sys.modules["numpy"]
    core.set_cpu_count(1)
    written = core.BufferOutputStream()  # ORC opens the files of time zones, and keeps the one that nearly all are written in
    orc.write_table(core.table({"at": core.array([0], core.timestamp("ns"))}), written)
    orc.ORCFile(core.BufferReader(written.getvalue())).read()
    return Arrow(core, parquet, orc)


def columnar(walk: Walk, body: Body, path: str, _depth: int) -> None:
    """The rows of a file; cells that are no text are said."""
    arrow = library()
    if arrow is None:
        walk.needs("pyarrow", body, path)
        return
    unread: list[str] = []
    place = f"{path}{SEPARATOR}rows"
    walk.text(place, walk.budget.measured(_lines(arrow, walk.container, body, unread), lambda: len(body)))
    if unread:
        raise Halt("database")


def _lines(arrow: Arrow, kind: str, body: Body, unread: list[str]) -> Iterator[bytes]:
    source = arrow.core.BufferReader(arrow.core.py_buffer(body))
    try:
        names, batches = _OPEN[kind](arrow, source)
        yield from lines([names])
        yield from lines(_rows(arrow.core, batches), unread, "rows")
    except MemoryError:
        raise
    except arrow.core.ArrowException as error:
        raise ValueError("damaged table") from error


def _rows(core: ModuleType, batches: Iterator[Any]) -> Iterator[tuple[object, ...]]:
    for batch in batches:
        for start in range(0, batch.num_rows, ROWS):
            yield from zip(*(_values(core, column.slice(start, ROWS)) for column in batch.columns), strict=True)


def _values(core: ModuleType, column: Any) -> list[object]:
    """The values of a column; points in time as text, since Python's own know neither nanoseconds nor zones without files."""
    if core.types.is_timestamp(column.type):
        column = column.cast(core.timestamp(column.type.unit)).cast(core.string())
    values: list[object] = column.to_pylist()
    return values


def _parquet(arrow: Arrow, source: object) -> tuple[list[str], Iterator[Any]]:
    file = arrow.parquet.ParquetFile(source, pre_buffer=False)
    return file.schema_arrow.names, file.iter_batches(batch_size=ROWS, use_threads=False)


def _orc(arrow: Arrow, source: object) -> tuple[list[str], Iterator[Any]]:
    file = arrow.orc.ORCFile(source)
    return file.schema.names, (_stripe(arrow.core, file, number) for number in range(file.nstripes))


def _stripe(core: ModuleType, file: Any, number: int) -> Any:
    """A stripe; where its time zone would have to be read from a file, without points in time."""
    try:
        return file.read_stripe(number)
    except (core.ArrowException, OSError):
        timeless = [field.name for field in file.schema if not core.types.is_timestamp(field.type)]
        if len(timeless) in (0, len(file.schema)):
            raise
        read = file.read_stripe(number, columns=timeless)
        columns = {name: read.column(name) for name in timeless}
        return core.RecordBatch.from_arrays(
            [columns.get(name, core.nulls(read.num_rows)) for name in file.schema.names], file.schema.names
        )


def _file(arrow: Arrow, source: object) -> tuple[list[str], Iterator[Any]]:
    file = arrow.core.ipc.open_file(source, options=arrow.core.ipc.IpcReadOptions(use_threads=False))
    return file.schema.names, (file.get_batch(number) for number in range(file.num_record_batches))


def _stream(arrow: Arrow, source: object) -> tuple[list[str], Iterator[Any]]:
    stream = arrow.core.ipc.open_stream(source, options=arrow.core.ipc.IpcReadOptions(use_threads=False))
    return stream.schema.names, iter(stream)


def is_stream(head: bytes, _name: str = "") -> bool:
    """Whether a file begins as a stream of Arrow: a mark, and the length of the schema's message, which is a flat buffer."""
    size, root = int.from_bytes(head[4:8], "little"), int.from_bytes(head[8:12], "little")
    return head.startswith(b"\xff\xff\xff\xff") and 0 < size < 1 << 24 and size % 8 == 0 and 4 <= root < 64


_OPEN = {"parquet": _parquet, "orc": _orc, "arrow": _file, "arrows": _stream}


@cache
def avro_library() -> ModuleType | None:
    """None where fastavro is not installed."""
    try:
        return import_module("fastavro")
    except ImportError:
        return None


def avro(walk: Walk, body: Body, path: str, _depth: int) -> None:
    """The records of a file; cells that are no text, and a compression that is not installed, are said."""
    fastavro = avro_library()
    if fastavro is None:
        walk.needs("fastavro", body, path)
        return
    unread: list[str] = []
    try:
        records = fastavro.reader(BodyFile(body))
    except (fastavro.schema.SchemaParseException, fastavro.schema.UnknownType) as error:
        raise ValueError("damaged schema") from error
    if records.codec not in ("null", "deflate", "bzip2", "xz"):
        raise Halt("unsupported")
    place = f"{path}{SEPARATOR}rows"
    walk.text(place, walk.budget.measured(_record_lines(records, unread), lambda: len(body)))
    if unread:
        raise Halt("database")


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
    FileFormat("parquet", columnar, faint=(b"PAR1",), packages=("pyarrow",), load=library, is_heavy=True),
    FileFormat("orc", columnar, faint=(b"ORC",), packages=("pyarrow",), load=library, is_heavy=True),
    FileFormat("arrow", columnar, starts=(b"ARROW1\0\0",), packages=("pyarrow",), load=library, is_heavy=True),
    FileFormat(
        "arrows", columnar, is_binary=is_stream, containers=("arrow",), packages=("pyarrow",), load=library, is_heavy=True
    ),
    FileFormat("avro", avro, starts=(b"Obj\1",), packages=("fastavro",), load=avro_library, is_heavy=True),
)
