"""MessagePack: values one behind another, as programs write records for each other (https://github.com/msgpack/msgpack)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice

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


def records(body: Body, unread: list[str]) -> Iterator[list[object]]:
    """A row for each innermost list or map, names and values in turn; and for what stands in none."""
    open_: list[tuple[int, list[object]]] = []
    """Of each list or map that is open how many values are still to come, and those that came."""
    for kind, value in tokens(body):
        if open_:
            open_[-1] = (open_[-1][0] - 1, open_[-1][1])
        if kind in ("list", "map"):
            assert isinstance(value, int)
            open_.append((value * (2 if kind == "map" else 1), []))
        elif kind == "other":
            unread.append(kind)
        elif open_:
            open_[-1][1].append(value)
        else:
            yield [value]
        if len(open_) > DEEPEST:
            raise ValueError("nested too deep")
        yield from _closed(open_)
    if open_:
        raise EOFError("a list ends early")


def _closed(open_: list[tuple[int, list[object]]]) -> Iterator[list[object]]:
    """The rows of lists and maps to which no value is to come any more."""
    while open_ and open_[-1][0] <= 0:
        row = open_.pop()[1]
        if row:
            yield row


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
