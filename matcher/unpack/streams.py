"""Bodies as streams: in pieces, counted, or as a file; and what parsers raise on damaged ones."""

from __future__ import annotations

import io
import lzma
import mmap
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from email.errors import MessageError
from pyexpat import ExpatError

from matcher.unpack.limits import Halt

CHUNK, TAIL = 64 << 10, 1024
DAMAGED = (
    ArithmeticError, AssertionError, AttributeError, EOFError, ExpatError, LookupError, MessageError, OSError, RuntimeError,
    TypeError, ValueError, lzma.LZMAError, struct.error, tarfile.TarError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What parsers raise on damaged input: the libraries' own errors, and those that slip through their checks."""


def slices(body: bytes | mmap.mmap) -> Iterator[bytes]:
    """A body in pieces."""
    for start in range(0, len(body), CHUNK):
        yield body[start : start + CHUNK]


def peeked(chunks: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """The first `size` bytes, or all, and all the chunks again. A fault that is met so early comes in its place among them."""
    head, faults = b"", list[Exception]()
    try:
        while len(head) < size and (chunk := next(chunks, b"")):
            head += chunk
    except (Halt, *DAMAGED) as fault:
        if not head:
            raise
        faults.append(fault)

    def whole() -> Iterator[bytes]:
        if head:
            yield head
        for fault in faults:
            raise fault
        yield from chunks

    return head[:size], whole()


class Counted:
    """Chunks that count their bytes, to be read by size as well; `tail` is the last of them once they are at an end."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks, self._left, self.count, self.tail, self._last = iter(chunks), b"", 0, b"", b""

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.count += len(chunk)
            yield chunk

    def read(self, size: int) -> bytes:
        """`size` bytes, fewer at the end."""
        held = bytearray(self._left)
        while len(held) < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                self.tail = self._last
                break
            self.count += len(chunk)
            self._last = (self._last + chunk)[-TAIL:]
            held += chunk
        self._left = bytes(held[size:])
        return bytes(held[:size])


class View(io.RawIOBase):
    """A body as a file to be read."""

    def __init__(self, body: bytes | mmap.mmap) -> None:
        self._body, self._at, self._size = body, 0, len(body)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, as `io.IOBase.seek`."""
        self._at = offset + (0, self._at, self._size)[whence]
        if self._at < 0:
            raise OSError("before the start")  # as a file does: zipfile counts on it
        return self._at

    def tell(self) -> int:
        """Where it is."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Bytes from here on."""
        piece = self._body[self._at : self._size if size < 0 else self._at + size]
        self._at += len(piece)
        return piece
