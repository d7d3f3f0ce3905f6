"""Avro's container files by fastavro: records become lines."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from matcher.unpack.cells import lines
from matcher.unpack.limits import Halt
from matcher.unpack.protocol import SEPARATOR
from matcher.unpack.registry import Format
from matcher.unpack.streams import DAMAGED, View
from matcher.unpack.walk import Body, Walk


@cache
def library() -> ModuleType | None:
    """None where fastavro is not installed."""
    try:
        return import_module("fastavro")
    except ImportError:
        return None


def avro(walk: Walk, body: Body, path: str, _depth: int) -> None:
    """The records of a file; cells that are no text, and a compression that is not installed, are said."""
    fastavro = library()
    if fastavro is None:
        walk.needs("fastavro", body, path)
        return
    unread: list[str] = []
    try:
        records = fastavro.reader(View(body))
    except (fastavro.schema.SchemaParseException, fastavro.schema.UnknownType) as error:
        raise ValueError("damaged schema") from error
    if records.codec not in ("null", "deflate", "bzip2", "xz"):
        raise Halt("unsupported")
    place = f"{path}{SEPARATOR}rows"
    walk.text(place, walk.budget.measured(_lines(records, unread), lambda: len(body)))
    if unread:
        raise Halt("database")


def _lines(records: Any, unread: list[str]) -> Iterator[bytes]:
    names = [field["name"] for field in records.writer_schema.get("fields", ())]
    if names:
        yield from lines([names])
    yield from lines(_rows(records, names), unread, "rows")


def _rows(records: Any, names: list[str]) -> Iterator[list[object]]:
    try:
        for record in records:
            yield [record.get(name) for name in names] if isinstance(record, dict) else [record]
    except (*DAMAGED, StopIteration) as error:
        raise ValueError("damaged records") from error


FORMATS = (Format("avro", avro, starts=(b"Obj\1",), packages=("fastavro",), load=library, is_heavy=True),)
