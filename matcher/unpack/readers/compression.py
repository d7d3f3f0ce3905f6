"""Compressed streams, read as they come: gz, bz2, xz, LZMA of before xz, and Brotli."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import import_module
from typing import Any, Protocol

from matcher.unpack import kinds
from matcher.unpack.kinds import FileFormat
from matcher.unpack.protocol import CONTENT, SEPARATOR
from matcher.unpack.walk import CHUNK, SizedChunks, Walk, peeked

FIRST_STEP = 256
"""Bytes that a new stream is fed at first: what is left over when it ends is copied, and there may be very many tiny ones."""


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


def inflated(kind: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of one stream after another, as gzip and its kin allow, with zeros as padding."""
    start = DECODERS[kind]
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


def inflate(walk: Walk, chunks: Iterable[bytes], path: str, depth: int) -> None:
    """A compressed stream. A tar in it stands in its place: `a.tar.gz!/b.csv`."""
    source = SizedChunks(chunks)
    head, whole = peeked(inflated(walk.container, source), kinds.HEAD)
    if kinds.sniff(head) == "tar":
        walk.opened("tar", walk.budget.measured(whole, lambda: source.count), path, depth)
    else:
        walk.entry(path + SEPARATOR + (kinds.stem(path) or CONTENT), whole, lambda: source.count, depth)


def is_lzma(head: bytes, _name: str = "") -> bool:
    """Whether a file begins as LZMA of before xz: properties, a dictionary of 2^n or 3 * 2^n bytes, and the size or all ones."""
    dictionary, size = int.from_bytes(head[1:5], "little"), head[5:13]
    is_round = dictionary >= 1 << 12 and dictionary.bit_count() <= 2 and dictionary >> dictionary.bit_length() - 2 in (2, 3)
    return len(head) > 13 and head[0] < 225 and is_round and (size == b"\xff" * 8 or size[5:] == bytes(3)) and head[13] == 0


@cache
def brotli() -> Any:
    """The library for Brotli, None where it is not installed."""
    try:
        return import_module("brotli")
    except ImportError:
        return None


class _Brotli:
    """Brotli's decoder with the manners of the others; what follows a stream is damage."""

    def __init__(self) -> None:
        self._decoder = brotli().Decompressor()
        self.unused_data, self._is_full = b"", False

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""
        return bool(self._decoder.is_finished())

    @property
    def needs_input(self) -> bool:
        """Whether all that was given has been used."""
        return not self._is_full and bool(self._decoder.can_accept_more_data())

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        """About `max_length` bytes more."""
        try:
            plain = bytes(self._decoder.process(data, output_buffer_limit=max_length))
        except brotli().error as error:
            raise ValueError("damaged stream") from error
        self._is_full = len(plain) >= max_length  # there may be more, though all that was given is used
        return plain


def unbrotli(walk: Walk, chunks: Iterable[bytes], path: str, depth: int) -> None:
    """A file of Brotli, which has no mark: it is known by its name."""
    if brotli() is None:
        walk.needs("brotli", b"".join(chunks), path)
        return
    inflate(walk, chunks, path, depth)


DECODERS: dict[str, Callable[[], Decoder]] = {"gz": _Gzip, "bz2": bz2.BZ2Decompressor, "xz": lzma.LZMADecompressor, "br": _Brotli}
BZ2 = tuple(b"BZh%d%b" % (level, mark) for level in range(1, 10) for mark in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"))
"""The first block of bzip2, or that there is none."""
FORMATS = (
    FileFormat("gz", inflate, starts=(b"\x1f\x8b\x08",), containers=("gzip",), streams=True),
    FileFormat("bz2", inflate, starts=BZ2, containers=("bzip2",), streams=True),
    FileFormat("xz", inflate, starts=(b"\xfd7zXZ\0",), is_binary=is_lzma, streams=True),
    FileFormat(
        "br",
        unbrotli,
        is_binary=lambda _head, name: name.lower().endswith(".br"),
        containers=("other",),
        streams=True,
        packages=("brotli",),
        load=brotli,
    ),
)
