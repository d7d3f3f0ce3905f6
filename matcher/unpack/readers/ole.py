"""Compound files ([MS-CFB]): office files under a password, and those of before 2007 (doc, xls, ppt, msg).

Workbooks are read by calamine. Of the others only the strings are: what stands in them in clear, as UTF-16 or in bytes. So the
outcome says that they were not wholly read.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from types import ModuleType

from matcher.unpack.kinds import FileFormat
from matcher.unpack.protocol import SEPARATOR, Halt
from matcher.unpack.walk import Body, Walk, lines

ENCRYPTED = tuple(name.encode("utf-16-le") for name in ("EncryptedPackage", "EncryptedSummary"))
"""Names of streams in files under a password: of Office since 2007, and of PowerPoint before."""
WORD, FLAGS, LOCKED = b"\xec\xa5", 10, 1
"""What the main stream of a Word document begins with, and where the flag for a password stands in it ([MS-DOC] 2.5.2)."""
SECTOR = 512
WORKBOOKS = tuple(f"{name}\0".encode("utf-16-le") for name in ("Workbook", "Book"))
"""Names of the stream that makes a compound file a workbook, of Excel 97 and of 95."""
STRINGS = re.compile(
    rb"((?:[\t\x20-\x7e]\0|[\0-\xff][\x4e-\x9f]|[\0-\x3f]\x30|[\x01-\x5e]\xff){4,}+)"  # UTF-16: ASCII, Han, its signs, full width
    rb"|((?:[\t\x20-\x7e]|[\x81-\xfe][\x40-\xfe]){6,}+)"  # bytes: ASCII and GBK
)
LINES = 1000


def compound(walk: Walk, body: Body, path: str, _depth: int) -> None:
    """The strings of a compound file, one a line."""
    if any(body.find(name) >= 0 for name in ENCRYPTED) or _is_locked(body):
        raise Halt("encrypted")
    if library() is not None and any(body.find(name) >= 0 for name in WORKBOOKS):
        walk.container = "xls"
        sheets(walk, body, path)
        return
    walk.text(f"{path}{SEPARATOR}strings", walk.budget.measured(strings(body), lambda: len(body)))
    raise Halt("unsupported")


def _is_locked(body: Body) -> bool:
    """Whether a Word document is under a password."""
    at = body.find(WORD, SECTOR)
    while at >= 0 and at % SECTOR:
        at = body.find(WORD, at + 1)
    return at >= 0 and at + FLAGS + 1 < len(body) and bool(body[at + FLAGS + 1] & LOCKED)


@cache
def library() -> ModuleType | None:
    """The reader of workbooks that are no XML, None where it is not installed."""
    try:
        return import_module("python_calamine")
    except ImportError:
        return None


def sheets(walk: Walk, body: Body, path: str) -> None:
    """Each sheet of an old workbook, as of a new one."""
    calamine = library()
    if calamine is None:
        raise Halt("unsupported")
    try:
        book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(body))
        for title in book.sheet_names:
            rows = book.get_sheet_by_name(title).iter_rows()
            walk.text(f"{path}{SEPARATOR}{title}", walk.budget.measured(lines(rows), lambda: len(body)))
    except calamine.PasswordError:
        raise Halt("encrypted") from None
    except calamine.CalamineError as error:
        raise ValueError("damaged workbook") from error


def strings(body: Body) -> Iterator[bytes]:
    r"""Strings of at least four characters in UTF-16, or six bytes, as lines of UTF-8; `LINES` of them at a time.

    >>> b"".join(strings(b"\0\1" + "手机15400000001".encode("utf-16-le"))).decode()
    '手机15400000001\n'
    """
    held: list[str] = []
    for match in STRINGS.finditer(body):
        wide, narrow = match.groups()
        held.append(wide.decode("utf-16-le", "replace") if wide else narrow.decode("gb18030", "replace"))
        if len(held) == LINES:
            yield ("\n".join(held) + "\n").encode()
            held.clear()
    if held:
        yield ("\n".join(held) + "\n").encode()


FORMATS = (
    FileFormat(
        "ole",
        compound,
        starts=(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",),
        containers=("ole", "xls"),
        packages=("python_calamine",),
        load=library,
    ),
)
