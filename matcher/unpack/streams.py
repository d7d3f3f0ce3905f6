"""Compressed streams, and bodies as streams: gz, bz2 and xz by the standard library, a piece at a time."""

from __future__ import annotations

import bz2
import io
import lzma
import mmap
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from email.errors import MessageError
from pyexpat import ExpatError
from typing import Protocol

from matcher.unpack.budget import Halt

CHUNK, TAIL = 64 << 10, 1024
FIRST_STEP = 256
"""Bytes that a new stream is fed at first: what is left over when it ends is copied, and there may be very many tiny ones."""
DAMAGED = (
    ArithmeticError, AssertionError, AttributeError, EOFError, ExpatError, LookupError, MessageError, OSError, RuntimeError,
    TypeError, ValueError, lzma.LZMAError, struct.error, tarfile.TarError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What parsers raise on damaged input: the libraries' own errors, and those that slip through their checks."""


class Decoder(Protocol):
    """What bz2's and lzma's decoders have in common."""

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""

    @property
    def unused_data(self) -> bytes:
        """What follows it."""

    @property
    def needs_input(self) -> bool:
        """Whether all that was given has been used."""

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        """At most `max_length` bytes of what `data` holds."""


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


def inflated(kind: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of one stream after another, as gzip and its kin allow, with zeros as padding."""
    start = _decoders()[kind]
    decoder, fresh, step = start(), True, FIRST_STEP
    for chunk in chunks:
        at = 0
        while at < len(chunk) or not (decoder.needs_input or decoder.eof):
            if fresh and chunk[at] == 0:  # padding at the end
                at = len(chunk) - len(chunk[at:].lstrip(b"\0"))
                continue
            piece = chunk[at : at + step] if decoder.needs_input else b""
            plain = decoder.decompress(piece, CHUNK)
            at, step, fresh = at + len(piece), min(2 * step, CHUNK), False
            if plain:
                yield plain
            if decoder.eof:
                at -= len(decoder.unused_data)
                decoder, fresh, step = start(), True, FIRST_STEP
    if not fresh:
        raise EOFError("the stream ends early")


def _decoders() -> dict[str, Callable[[], Decoder]]:
    return {"gz": _Gzip, "bz2": bz2.BZ2Decompressor, "xz": lzma.LZMADecompressor}


class _Gzip:
    """zlib's decoder with the manners of the others."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""
        return self._decoder.eof

    @property
    def unused_data(self) -> bytes:
        """What follows it."""
        return self._decoder.unused_data

    @property
    def needs_input(self) -> bool:
        """Whether all that was given has been used."""
        return not self._decoder.unconsumed_tail

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        """At most `max_length` bytes more."""
        return self._decoder.decompress(self._decoder.unconsumed_tail + data, max_length)
