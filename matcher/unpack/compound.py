"""Compound files ([MS-CFB]): office files under a password, and those of before 2007 (doc, xls, ppt, msg).

Of the old ones only their strings are read: what stands in them in clear, as UTF-16 or in bytes, is a name, an address or a
number typed as text. The binary numbers of a sheet are not, so the outcome says that the file was not wholly read.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from matcher.unpack.budget import Halt
from matcher.unpack.frames import SEPARATOR

if TYPE_CHECKING:
    from matcher.unpack.walk import Walk

ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
STRINGS = re.compile(
    rb"((?:[\t\x20-\x7e]\0|[\0-\xff][\x4e-\x9f]|[\0-\x3f]\x30|[\x01-\x5e]\xff){4,}+)"  # UTF-16: ASCII, Han, its signs, full width
    rb"|((?:[\t\x20-\x7e]|[\x81-\xfe][\x40-\xfe]){6,}+)"  # bytes: ASCII and GBK
)
LINES = 1000


def compound(walk: Walk, body: bytes | mmap.mmap, path: str, _depth: int) -> None:
    """The strings of a compound file, one a line."""
    if body.find(ENCRYPTED) >= 0:
        raise Halt("encrypted")
    walk.text(f"{path}{SEPARATOR}strings", walk.budget.measured(strings(body), lambda: len(body)))
    raise Halt("unsupported")


def strings(body: bytes | mmap.mmap) -> Iterator[bytes]:
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
