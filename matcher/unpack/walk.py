"""Walk through nested containers in the child: recognise each entry, read it, report what fails.

`Walk.everything` starts with the outermost container. A reader of a format calls `Walk.entry` for
each entry, which recognises its kind and calls the next reader, and `Walk.text` for each text,
which goes to the parent. `Walk.run_guarded` turns an exception of a reader into an outcome: damage,
a limit (`Halt`), or a fault of our own, which costs that entry alone. A body is bytes, a mapped
file or a stream (in pieces, counted, or as a file). Values of tables become lines as a person reads
them, with tabs between cells (`lines`).
"""

from __future__ import annotations

import io
import lzma
import mmap
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from email.errors import MessageError
from functools import cache, partial
from importlib import import_module
from pyexpat import ExpatError
from typing import Any

from matcher.unpack import formats
from matcher.unpack.formats import IN_PART, TEXT, UNREADABLE, find_formats
from matcher.unpack.passwords import NOTE_BYTES, Notes
from matcher.unpack.protocol import BYTES, HEAVY, SEPARATOR, ChildWriter, Halt, UnpackBudget
from ullage.guard import FaultGuard

Body = bytes | mmap.mmap
CHUNK, TAIL = 64 << 10, 1024
DAMAGED = (
    ArithmeticError, AssertionError, AttributeError, EOFError, ExpatError, LookupError,
    MessageError, OSError, RuntimeError,
    TypeError, ValueError, lzma.LZMAError, struct.error, tarfile.TarError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip
"""Errors that parsers raise on damaged input.

These are the libraries' own errors, and those that slip through their checks.
"""


@cache
def load_package(name: str) -> Any:
    """Return an optional Python package, imported; None if it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        return None


def slices(body: bytes | mmap.mmap) -> Iterator[bytes]:
    """Yield a body in pieces."""
    for start in range(0, len(body), CHUNK):
        yield body[start : start + CHUNK]


def peek(chunks: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """Return the first `size` bytes, or all there are, and an iterator over all chunks.

    An error before any byte is raised at once; a later one is raised by the iterator, at its place.
    """
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


class SizedChunks:
    """Chunks that count their bytes and can also be read by size.

    `tail` is the last chunk when they have ended.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks, self._left, self.count, self.tail, self._last = iter(chunks), b"", 0, b"", b""

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.count += len(chunk)
            yield chunk

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes; fewer at the end, then b""."""
        buffer = bytearray(self._left)
        while len(buffer) < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                self.tail = self._last
                break
            self.count += len(chunk)
            self._last = (self._last + chunk)[-TAIL:]
            buffer += chunk
        self._left = bytes(buffer[size:])
        return bytes(buffer[:size])


class BodyFile(io.RawIOBase):
    """A body as a readable, seekable file."""

    def __init__(self, body: bytes | mmap.mmap) -> None:
        self._body, self._at, self._size = body, 0, len(body)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position, as `io.IOBase.seek`; raises OSError before the start."""
        self._at = offset + (0, self._at, self._size)[whence]
        if self._at < 0:
            raise OSError("before the start")  # as a file does, which zipfile relies on
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes from the position on; all if negative."""
        piece = self._body[self._at : self._size if size < 0 else self._at + size]
        self._at += len(piece)
        return piece


class Walk:
    """One run over a container and everything in it.

    Paths are relative to the container and begin with the separator.
    """

    def __init__(
        self,
        budget: UnpackBudget,
        out: ChildWriter,
        outermost: str = "",
        passwords: Iterable[str] = (),
    ) -> None:
        self.budget, self.out, self._outermost = budget, out, outermost
        self.notes = Notes(passwords)
        self._locked, self._locked_bytes = list[tuple[str, Callable[[], None]]](), 0
        self.container, self._depth = "", 0
        """The kind of what is open: of what texts come out now."""

    def everything(self, kind: str, body: mmap.mmap) -> None:
        """Read the outermost container, whose kind the parent has recognised.

        Then what was put off (`read_later`) is read, since a note may tell its password. A Halt of
        the whole is written as the outcome.
        """
        try:
            if kind == formats.ENVELOPE:
                self.run_guarded("", partial(self._read_enclosed, "", body, 1))
            else:
                self._container(kind, body, "", 1)
            while self._locked:  # one may hold others
                self.run_guarded(*self._locked.pop(0))
        except Halt as halt:
            self.out.outcome(halt.reason, "")

    def read_later(self, path: str, body: Body, read: Callable[[], None]) -> None:
        """Have `read` called when all else is read, since a note may tell the password of `body`.

        Raises Halt `encrypted` where that takes too much memory.
        """
        if isinstance(body, bytes):
            self._locked_bytes += len(body)
            if self._locked_bytes > self.budget.nested:
                raise Halt("encrypted")
        container, depth = self.container, self._depth

        def read_in_place() -> None:
            self.container, self._depth = container, depth
            read()

        self._locked.append((path, read_in_place))

    def entry(
        self,
        path: str,
        chunks: Iterable[bytes],
        packed: Callable[[], int],
        depth: int,
        *,
        media_type: str = "",
        charset: str = "",
    ) -> None:
        """Read one entry of a container, whatever its format, and report it if that fails.

        `depth` is how deeply the entry is nested. `packed` returns how many packed bytes were read
        for it so far. Raises Halt if the budget of the whole container is used up.
        """
        self.budget.entry()
        with_limit = self.budget.measure(chunks, packed)
        self.run_guarded(path, partial(self._entry, path, with_limit, depth, media_type, charset))

    def text(
        self, path: str, chunks: Iterable[bytes], media_type: str = "text/plain", charset: str = ""
    ) -> None:
        """Write a text member as its chunks arrive, and read the files encoded in it.

        Its beginning is kept as a note that may hold a password, unless it is no text.
        """
        watch = formats.EnvelopeWatch(0 if media_type in (BYTES, HEAVY) else self.budget.nested)
        self.out.member(path, media_type, charset, self.container)
        note = b""
        for chunk in watch.through(chunks):
            self.out.data(chunk)
            note += chunk[: NOTE_BYTES + 1 - len(note)]
        self.out.end()
        if media_type not in (BYTES, HEAVY):
            self.notes.add(path, note)
        if watch.text:
            self.run_guarded(
                path, partial(self._read_enclosed, path, bytes(watch.text), self._depth + 1)
            )

    def names(self, path: str, names: list[str]) -> None:
        """Write the list of file names in an archive as a text member, if there are any.

        Names are searched too: scans of papers are named after the people on them.
        """
        if names:
            self.text(path + SEPARATOR, ["\n".join(names).encode("utf-8", "replace")])

    def _entry(
        self, path: str, chunks: Iterator[bytes], depth: int, media_type: str, charset: str
    ) -> None:
        head, whole = peek(chunks, formats.HEAD)
        kind = formats.sniff(head, path)
        if kind == TEXT:
            self.text(path, whole, media_type or formats.media_of(path), charset)
        elif kind in find_formats() and not self.out.enters(self.budget.taken):
            raise Halt("fault")
        elif kind in UNREADABLE:
            raise Halt(kind)
        elif kind in IN_PART:
            self.text(path, whole, BYTES)
            raise Halt(IN_PART[kind])
        elif depth >= self.budget.depth:
            raise Halt("too_deep")
        elif find_formats()[kind].streams:
            self.read_as(kind, whole, path, depth + 1)
        elif find_formats()[kind].is_heavy and kind != self._outermost:
            self.text(path, slices(self._collect(whole)), HEAVY)
        else:
            self._container(kind, self._collect(whole), path, depth + 1)

    def _read_enclosed(self, path: str, text: Body, depth: int) -> None:
        """Read the files that are encoded in a text, as entries below it.

        Raises Halt ("too_deep") if there is one beyond the budget's depth.
        """
        around = self.container, self._depth
        self.container, self._depth = "other", depth
        try:
            for name, body in formats.find_enclosed(text):
                if depth > self.budget.depth:
                    raise Halt("too_deep")
                self.entry(f"{path}{SEPARATOR}{name}", slices(body), partial(len, body), depth)
        finally:
            self.container, self._depth = around

    def needs(self, package: str, body: Body, path: str) -> None:
        """Report that a container was not read because a package is not installed.

        The strings in it that are in clear are written.
        """
        self.text(path, slices(body), BYTES)
        self.out.outcome("unsupported", f"{path}{SEPARATOR}{self.container} (needs {package})")

    def _collect(self, chunks: Iterable[bytes]) -> bytes:
        """Return the bytes of a nested container, completely in memory."""
        body = bytearray()
        for chunk in chunks:
            body += chunk
            if len(body) > self.budget.nested:
                raise Halt("too_large")
        return bytes(body)

    def _container(self, kind: str, body: Body, path: str, depth: int) -> None:
        """Read a container.

        If nothing comes out of a damaged one, it is read as it is: it may be no container at all.
        """
        before = self.out.members
        damaged = self.run_guarded(path, partial(self.read_as, kind, body, path, depth))
        if damaged and self.out.members == before:
            self.text(path, slices(body), BYTES)

    def read_as(self, kind: str, body: Body | Iterable[bytes], path: str, depth: int) -> None:
        """Read a container of the given kind with its reader.

        The reader gets the body in chunks if it reads streams, otherwise as a whole.
        """
        around = self.container, self._depth
        self.container, self._depth = kind, depth
        reader = find_formats()[kind]
        try:
            if isinstance(body, bytes | mmap.mmap):
                reader.read(self, slices(body) if reader.streams else body, path, depth)
            else:
                reader.read(self, body if reader.streams else self._collect(body), path, depth)
        finally:
            self.container, self._depth = around

    def run_guarded(self, path: str, read: Callable[[], None]) -> bool:
        """Call `read`, and report why if it ends early; return whether the cause was damage.

        A programming error in a reader is reported and costs this entry alone; the result is then
        False.
        """
        with FaultGuard(lambda _fault: self.out.outcome("fault", path)).step("unpack"):
            return self._run_and_report(path, read)
        return False

    def _run_and_report(self, path: str, read: Callable[[], None]) -> bool:
        try:
            read()
        except Halt as halt:
            if halt.whole:
                raise
            self.out.outcome(halt.reason, path)
        except MemoryError:
            self.out.outcome("memory", path)
        # a parser needed a file only now, when none can be opened
        except ImportError:
            self.out.outcome("unsupported", path)
        except DAMAGED:
            self.out.outcome("damaged", path)
            return True
        return False


DIGITS_KEPT, EXACT = 10**15, 2**53
"""Digits that Excel keeps, and the precision of a float, which other programs keep.

Excel turns the remaining digits into 0.
"""
CLEAN = str.maketrans("\t\r\n", "   ")
AT_ONCE = 1 << 16
"""Characters of lines that are written together.

A frame for each line would take a hundred times as long.
"""

FAULTS = (Halt, MemoryError, ImportError, *DAMAGED)
"""Errors that end a reader early and that the walk then reports (`Walk.run_guarded`)."""


def number(value: str) -> str:
    """Return a number as a person reads it.

    If digits may be lost, it stays `4.40301199001011E+17`, by which the matcher recognises it.

    >>> number("1.54E10"), number("3.50"), number("15400000001.0"), number("440301199001011230.0")
    ('15400000000', '3.50', '15400000001', '4.40301199001011E+17')
    """
    if "." not in value and "E" not in value and "e" not in value:
        return value
    read = float(value)
    if not read.is_integer():
        return value
    whole = int(read)
    if abs(whole) < DIGITS_KEPT or (abs(whole) < EXACT and whole % 10):
        return str(whole)
    return value if "e" in value.lower() else f"{read:.14E}"


def cell(value: object) -> str | None:
    """Return a value on one line: booleans as 1 or 0, dates as ISO 8601, nothing as "".

    Returns None for bytes that are not text.
    """
    if isinstance(value, str):  # first, as most values are strings
        return clean(value)
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return None
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return number(repr(value)) if isinstance(value, float) else clean(str(value))


def clean(text: str) -> str:
    """Return a text on one line, without tabs."""
    # which takes ten times as long for Chinese
    return text if text.isprintable() else text.translate(CLEAN)


def lines(
    rows: Iterable[Iterable[object]], unread: list[str] | None = None, name: str = ""
) -> Iterator[bytes]:
    """Yield rows as UTF-8 lines, many at a time; those before an error are yielded before it.

    `name` is added to `unread` if a cell is bytes that are not text.
    """
    waiting, size = list[str](), 0
    try:
        for row in rows:
            cells = [cell(value) for value in row]
            if unread is not None and None in cells and name not in unread:
                unread.append(name)
            waiting.append("\t".join(value or "" for value in cells))
            size += len(waiting[-1]) + 1
            if size > AT_ONCE:
                yield _join_lines(waiting)
                waiting, size = [], 0
    except FAULTS:
        if waiting:
            yield _join_lines(waiting)
        raise
    if waiting:
        yield _join_lines(waiting)


def _join_lines(texts: list[str]) -> bytes:
    return ("\n".join(texts) + "\n").encode("utf-8", "replace")
