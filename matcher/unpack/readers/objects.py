r"""Read the objects of programs as JSON, one a line: MongoDB's BSON, Apple's property lists.

`mongodump` writes a collection as BSON documents one behind the other (https://bsonspec.org). Its
numbers are binary, so that no search for text finds a telephone number in it:

    \x2a\0\0\0 \x02 name\0 \x07\0\0\0 张三\0 \x12 phone\0 \x40\xb2\x6a\x36\3\0\0\0 \0
    {"name": "张三", "phone": 13800092224}

Address books, settings and backups of Apple's systems are property lists.
"""

from __future__ import annotations

import json
import plistlib
import struct
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from matcher.unpack.formats import FileFormat
from matcher.unpack.readers.tables import write_rows
from matcher.unpack.walk import AT_ONCE, FAULTS, Body, Walk, cell

SHORTEST, DEEPEST = 5, 64
"""Bytes of an empty document, and depth of nested ones."""
STRUCTS = {0x01: "<d", 0x08: "<?", 0x09: "<q", 0x10: "<i", 0x11: "<Q", 0x12: "<q"}
"""Types of BSON whose values have a fixed form."""
CONSTANTS = frozenset((0x06, 0x0A, 0x7F, 0xFF))
TEXTS, EMBEDDED, LIST, BINARY, OBJECT_ID, REGEX, POINTER, SCOPED, DECIMAL = (
    frozenset((0x02, 0x0D, 0x0E)),
    frozenset((0x03, 0x04)),
    0x04,
    0x05,
    0x07,
    0x0B,
    0x0C,
    0x0F,
    0x13,
)
TYPES = frozenset(
    (*STRUCTS, *CONSTANTS, *TEXTS, *EMBEDDED, BINARY, OBJECT_ID, REGEX, POINTER, SCOPED, DECIMAL)
)
DECIMAL_BIAS, WITHOUT_EXPONENT = 6176, (1 << 49) - 1
"""Of a decimal number of 128 bits (IEEE 754, binary integer form): the bias of its exponent, and
the bits of the higher half that are not exponent.
"""
LARGEST = 1 << 24
"""Bytes of a document; MongoDB allows 16 MiB."""


def read_bson(walk: Walk, body: Body, path: str, _depth: int) -> None:
    """Write the documents of a BSON file, one a line; report values that are not text."""
    unread: list[str] = []
    write_rows(walk, body, path, _to_lines(parse_documents(body), unread), unread)


def read_property_list(walk: Walk, body: Body, path: str, _depth: int) -> None:
    """Write the objects of a property list, one a line; report values that are not text."""
    unread: list[str] = []
    whole = plistlib.loads(bytes(body))
    objects = whole if isinstance(whole, list) else [whole]
    write_rows(walk, body, path, _to_lines(objects, unread), unread)


def _to_lines(objects: Iterable[object], unread: list[str]) -> Iterator[bytes]:
    """Yield objects as lines of JSON in pieces; those before an error are yielded before it.

    An object that refers to itself raises ValueError.
    """

    def as_text(value: object) -> str:
        text = cell(value)
        if text is None and "bytes" not in unread:
            unread.append("bytes")
        return text or ""

    encoder = json.JSONEncoder(ensure_ascii=False, default=as_text, skipkeys=True)
    waiting, size = list[str](), 0
    try:
        for each in objects:
            for piece in encoder.iterencode(each):
                waiting.append(piece)
                size += len(piece)
                if size > AT_ONCE:
                    yield "".join(waiting).encode("utf-8", "replace")
                    waiting, size = [], 0
            waiting.append("\n")
    except FAULTS:
        yield "".join(waiting).encode("utf-8", "replace")
        raise
    yield "".join(waiting).encode("utf-8", "replace")


class Open(NamedTuple):
    """A document or list that is being read: its name, where it ends, and its values by name."""

    name: str
    end: int
    is_list: bool
    values: dict[str, object]


def parse_documents(body: Body) -> Iterator[dict[str, object]]:
    """Yield the documents.

    Raises ValueError where bytes are no document or it is nested more than DEEPEST (64) deep,
    EOFError if the last one ends early.
    """
    at = 0
    while at < len(body):
        whole = _begin(body, at, len(body))
        at, stack = at + 4, [whole]
        while stack:
            kind = body[at]
            if kind == 0:
                at += 1
                _close(stack, at)
                continue
            name_end = body.find(b"\0", at + 1, stack[-1].end)
            if name_end < 0 or kind not in TYPES:
                raise ValueError("no value begins so")
            name, at = bytes(body[at + 1 : name_end]).decode(), name_end + 1
            if kind not in EMBEDDED:
                stack[-1].values[name], at = _read_value(body, kind, at)
                continue
            stack.append(_begin(body, at, stack[-1].end, name, is_list=kind == LIST))
            at += 4
            if len(stack) > DEEPEST:
                raise ValueError("nested too deep")
        yield whole.values


def _begin(body: Body, at: int, most: int, name: str = "", *, is_list: bool = False) -> Open:
    """Return the document that begins at a place and has to end at `most`.

    Raises ValueError for an impossible size, and EOFError if it ends after `most`.
    """
    size = int.from_bytes(body[at : at + 4], "little")
    if not SHORTEST <= size <= LARGEST:
        raise ValueError("no document begins so")
    if at + size > most:
        raise EOFError("a document ends early")
    return Open(name, at + size, is_list, {})


def _close(stack: list[Open], end: int) -> None:
    """Add the innermost document, which ends here, to the values of the one around it.

    Raises ValueError if it should have ended elsewhere.
    """
    inner = stack.pop()
    if inner.end != end:
        raise ValueError("a document ends elsewhere")
    if stack:
        values = inner.values
        stack[-1].values[inner.name] = [*values.values()] if inner.is_list else values


def _read_value(body: Body, kind: int, at: int) -> tuple[object, int]:
    """Return the value of a type that begins at a place, and where the next element begins.

    Raises EOFError if the body ends before the value does.
    """
    if kind in STRUCTS:
        value = struct.unpack_from(STRUCTS[kind], body, at)[0]
        size = struct.calcsize(STRUCTS[kind])
        return (cell(value) if kind == 0x01 else value), at + size
    if kind in CONSTANTS:
        return None, at
    if kind == OBJECT_ID:
        return bytes(body[at : at + 12]).hex(), at + 12
    if kind == DECIMAL:
        return _read_decimal(body[at : at + 16]), at + 16
    if kind == REGEX:
        first = body.find(b"\0", at)
        end = body.find(b"\0", first + 1)
        if first < 0 or end < 0:
            raise EOFError("a value ends early")
        return bytes(body[at:first]).decode("utf-8", "replace"), end + 1
    size = int.from_bytes(body[at : at + 4], "little")
    if at + 4 + size > len(body):
        raise EOFError("a value ends early")
    if kind in (BINARY, SCOPED):
        at += 5 * (kind == BINARY)
        return bytes(body[at : at + size]), at + size
    text = bytes(body[at + 4 : at + 3 + size]).decode("utf-8", "replace")
    return text, at + 4 + size + 12 * (kind == POINTER)


def _read_decimal(raw: bytes) -> str:
    """Return a decimal number of 128 bits that is whole, else an empty text."""
    low, high = struct.unpack("<QQ", raw)
    exponent = (high >> 49 & 0x3FFF) - DECIMAL_BIAS
    digits = str((high & WITHOUT_EXPONENT) << 64 | low)
    return digits + "0" * exponent if 0 <= exponent <= len(digits) else ""


def is_bson(head: bytes, _name: str = "") -> bool:
    """Return whether a file begins with a valid BSON document, as far as `head` shows."""
    size = int.from_bytes(head[:4], "little")
    if not SHORTEST < size <= LARGEST or len(head) < SHORTEST + 3 or head[4] not in TYPES:
        return False
    name_end = head.find(b"\0", 5)
    if (
        name_end < 6
        or not head[5:name_end].isascii()
        or not head[5:name_end].decode().isprintable()
    ):
        return False
    try:
        return any(True for _ in islice(parse_documents(head), 1))
    except EOFError:
        return size > len(head)
    except (ValueError, struct.error, IndexError):
        return False


FORMATS = (
    FileFormat("bson", read_bson, is_binary=is_bson),
    FileFormat("plist", read_property_list, faint=(b"bplist0",)),
)
