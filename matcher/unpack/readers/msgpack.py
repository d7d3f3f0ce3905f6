"""MessagePack: values one behind another, as programs write records for each other (https://github.com/msgpack/msgpack)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from matcher.unpack.cells import lines
from matcher.unpack.limits import Halt
from matcher.unpack.protocol import SEPARATOR
from matcher.unpack.registry import Format
from matcher.unpack.walk import Body, Walk

NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
SIZED = {0xC4: (1, "bytes"), 0xC5: (2, "bytes"), 0xC6: (4, "bytes"), 0xC7: (1, "other"), 0xC8: (2, "other"), 0xC9: (4, "other"),
         0xD9: (1, "text"), 0xDA: (2, "text"), 0xDB: (4, "text"), 0xDC: (2, "list"), 0xDD: (4, "list"), 0xDE: (2, "map"),
         0xDF: (4, "map")}  # fmt: skip
"""Octets of the length that follows, and of what."""
SINGLE: dict[int, object] = {0xC0: None, 0xC2: False, 0xC3: True}
DEEPEST = 64
PROVEN = 2
"""Texts that stand in a head at least, a quarter of its values, for it to be MessagePack, which has no mark."""
Token = tuple[str, object]
"""Kind of a value, and the value; of a list or a map how many values follow."""


def tokens(body: Body, at: int = 0) -> Iterator[Token]:
    """Each value; ValueError where there is none."""
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
        kind, size, at = _sized(body, byte, at)
        if kind in ("list", "map"):
            yield kind, size
            continue
        if at + size > len(body):
            raise EOFError("a value ends early")
        held = bytes(body[at : at + size])
        at += size
        yield ("value", held.decode() if kind == "text" else held) if kind != "other" else ("other", held)


def _sized(body: Body, byte: int, at: int) -> tuple[str, int, int]:
    """Kind and size of what a byte begins, and where it stands."""
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
    """A list or map that is read: what it is, how many values it has in all, and those that came; "" stands for inner ones."""

    kind: str
    size: int
    values: list[object]


def records(body: Body, unread: list[str]) -> Iterator[list[object]]:
    """A row for each list or map, inner ones first; above it the names of a map's values, where they are others than before."""
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
            yield from _rows(stack.pop(), header)
    if stack:
        raise EOFError("a list ends early")


def _rows(whole: Open, header: list[object]) -> Iterator[list[object]]:
    """The names of a map's values, unless they are the `header` of before, and the values of a list or map, if there are any."""
    names, values = (whole.values[::2], whole.values[1::2]) if whole.kind == "map" else (header, whole.values)
    if names != header:
        header[:] = names
        yield names
    if any(value not in ("", None) for value in values):
        yield values


def msgpack(walk: Walk, body: Body, path: str, _depth: int) -> None:
    """The records of a file, one a line."""
    unread: list[str] = []
    rows = lines(records(body, unread), unread, "bytes")
    walk.text(f"{path}{SEPARATOR}rows", walk.budget.measured(rows, lambda: len(body)))
    if unread:
        raise Halt("database")


def is_msgpack(head: bytes, _name: str = "") -> bool:
    """Whether a file begins with a list or map in which text stands, and all that is seen of it is sound."""
    if not head or not (0x81 <= head[0] <= 0x9F or 0xDC <= head[0] <= 0xDF) or head[0] == 0x90:
        return False
    seen: list[Token] = []
    try:
        seen.extend(islice(tokens(head), 200))
    except (struct.error, EOFError):
        pass  # the head ends within a value
    except ValueError:
        return False
    texts = sum(isinstance(value, str) and len(value) > 1 for _, value in seen)
    return texts >= PROVEN and texts * 4 >= len(seen)


FORMATS = (Format("msgpack", msgpack, is_binary=is_msgpack, is_text=is_msgpack),)
