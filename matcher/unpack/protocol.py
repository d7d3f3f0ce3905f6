"""The words that the child says to its parent: `kind u8, length u32, payload`, big-endian. Nothing in them to interpret.

HELLO flags · (MEMBER container and media u8, charset, NUL, path · DATA… · END | OUTCOME reason u8, path)… · DONE
"""

from __future__ import annotations

import os
import struct
from functools import cache

from matcher.unpack.kinds import formats
from matcher.unpack.outcome import REASONS

HELLO, MEMBER, DATA, END, OUTCOME, DONE = b"HMDEOZ"
HEADER = struct.Struct(">BI")
MAX_DATA = 256 << 10
MAX_OTHER = 8 << 10
MAX_PATH = 4 << 10
OUT_OF_MEMORY = 3
"""Exit code of a child that cannot even say so."""
NETNS, SECCOMP = 1, 2
"""Flags of HELLO: a network namespace of its own; system calls given up."""
REASON = tuple(REASONS)
LONGEST_REQUEST = 4 << 10
ENDED = struct.Struct("@i")
"""What the server says of a child at its end: its exit code, negative for a signal."""
TEXTS = ("text/plain", "text/html")
BYTES = "application/octet-stream"
"""Media type of what is read as it stands though it is no text: an outcome says so."""
ABOUT = "text/x-about"
"""Media type of what a file or mail says of itself (its author, when it was made or sent), which is read as plain text."""
HEAVY = "application/x-heavy"
"""Media type of a container inside of another that needs a child of its own: the parent starts it."""
MEDIA = (*TEXTS, BYTES, ABOUT, HEAVY)
SEPARATOR = "!/"
CONTENT = "\0"
"""Name of what is in the outermost container where that is a stream: its own name is not for the child to know."""


@cache
def containers() -> tuple[str, ...]:
    """What a text can come out of: stands for the name, which never leaves match; "" is no container."""
    return "", "other", *sorted({name for one in formats().values() for name in one.containers or (one.kind,)} - {"other"})


class Writer:
    """The child's end. What is said is out before anything else is parsed, so that a crash loses only what crashed."""

    def __init__(self, fd: int) -> None:
        self._fd, self._waiting, self._open = fd, bytearray(), False
        self.members = 0

    def hello(self, flags: int) -> None:
        """First: what holds."""
        self._say(HELLO, bytes((flags,)))

    def member(self, path: str, media_type: str, charset: str, container: str = "") -> None:
        """A member begins, and one that is open ends; `container` is the kind of what it came out of."""
        self.end()
        self.members += 1
        self._open = True
        self._add(MEMBER, bytes((_member(container, media_type),)) + charset.encode("ascii", "ignore")[:40] + b"\0" + _path(path))

    def data(self, chunk: bytes) -> None:
        """Bytes of the member."""
        for start in range(0, len(chunk), MAX_DATA):
            self._say(DATA, chunk[start : start + MAX_DATA])

    def end(self) -> None:
        """The member ends, if one is open."""
        if self._open:
            self._open = False
            self._say(END, b"")

    def outcome(self, reason: str, path: str) -> None:
        """Something was not read."""
        self.end()
        self._say(OUTCOME, bytes((REASON.index(reason),)) + _path(path))

    def done(self) -> None:
        """Last."""
        self.end()
        self._say(DONE, b"")

    def _add(self, kind: int, payload: bytes) -> None:
        self._waiting += HEADER.pack(kind, len(payload))
        self._waiting += payload

    def _say(self, kind: int, payload: bytes) -> None:
        self._add(kind, payload)
        view = memoryview(self._waiting)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:  # nobody listens any more
            os._exit(1)
        view.release()
        self._waiting = bytearray()


def _member(container: str, media_type: str) -> int:
    known = formats()[container].containers if container in formats() else ()
    return containers().index(known[0] if known else container) * len(MEDIA) + MEDIA.index(media_type)


def _path(path: str) -> bytes:
    return path.encode("utf-8", "replace")[-MAX_PATH:]
