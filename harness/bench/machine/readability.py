"""Decide without the matcher whether what it called unreadable can be read: by rules of `file`, and
by Python's own libraries.

    text       no control characters that text never has (those of file(1)), or UTF-16 or UTF-32
               behind their mark; what is mostly base64, hex or uuencode is not counted, as its
               letters say nothing
    container  zipfile, tarfile, gzip, bz2 or lzma read it to its end, and sqlite3 a database

A part inside of a container is judged by its own bytes, where these libraries get at them.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import sqlite3
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

from matcher.unpack.protocol import LOSES_NOTHING, SEPARATOR, UnreadPart

NOT_ABOUT_CONTENT = frozenset(
    ("denied", "link", "ocr", "masked", "spelt", "digests", "salted", "cookies")
)
"""Reasons that do not say that content cannot be read: who may, where it lies, or which values
in it cannot be looked up.
"""
LARGEST = 256 << 20
"""Bytes of a file or part that are judged; a larger one is not."""
TEXT_BYTES = bytes({*range(7, 14), 27, *range(32, 127), *range(128, 256)})
"""Bytes of text in ASCII and its extensions, UTF-8 among them: those that file(1) takes for
text.
"""
MARKS = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
LETTERED = re.compile(
    rb"(?:^[\t >#*\"']{0,8}[A-Za-z0-9+/=_\\-]{40,}[\"',;\\]?\r?(?:\n|\Z))+", re.MULTILINE
)
"""Lines of base64 or hex."""
MOST_LETTERED, LONGEST_LETTERED = 0.3, 4096
"""Share of a text from which such lines make it no text, and bytes of them that are a file of
their own within any text.
"""
UUENCODED = re.compile(rb"^begin [0-7]{3,4} ", re.MULTILINE)
WORD = re.compile(r"\w")
STREAMS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")
"""First bytes of streams that gzip, bz2 and lzma read."""
CONTAINER_ERRORS = (
    OSError, EOFError, ValueError, KeyError, RuntimeError, NotImplementedError, zlib.error,
    lzma.LZMAError, zipfile.BadZipFile,
    tarfile.TarError,
)  # fmt: skip
"""What these libraries raise for a file that they do not read."""


def find_wrong_outcomes(path: Path, outcomes: Sequence[UnreadPart]) -> list[UnreadPart]:
    """Return the outcomes that call something unreadable, or empty, that is neither."""
    return [
        outcome
        for outcome in outcomes
        if outcome.reason not in NOT_ABOUT_CONTENT and _is_wrong(path, outcome)
    ]


def _is_wrong(path: Path, outcome: UnreadPart) -> bool:
    names = outcome.path.removeprefix(str(path)).removeprefix(SEPARATOR)
    body = _read(path)
    for name in names.split(SEPARATOR) if names else ():
        body = _read_member(body, name) if body is not None else None
    if body is None:
        return False
    if outcome.reason in LOSES_NOTHING:
        return is_text(body) and WORD.search(_decode(body)) is not None
    return is_text(body) or is_container(body)


def _read(path: Path) -> bytes | None:
    """Return a file's bytes; None where it cannot be read, or is too large to be judged."""
    with suppress(OSError):
        if path.stat().st_size <= LARGEST:
            return path.read_bytes()
    return None


def is_text(body: bytes) -> bool:
    """Tell whether `body` is text that says something, by its bytes alone."""
    if any(body.startswith(mark) for mark in MARKS):
        text = _decode(body)
        return "\ufffd" not in text and not text.encode("utf-8", "replace").translate(
            None, TEXT_BYTES
        )
    if not body or body.translate(None, TEXT_BYTES) or UUENCODED.search(body):
        return False
    lettered = [len(lines) for lines in LETTERED.findall(body)]
    return (
        sum(lettered) <= MOST_LETTERED * len(body) and max(lettered, default=0) < LONGEST_LETTERED
    )


def _decode(body: bytes) -> str:
    encoding = next(
        (encoding for mark, encoding in MARKS.items() if body.startswith(mark)), "utf-8"
    )
    return body.decode(encoding, "replace")


def is_container(body: bytes) -> bool:
    """Tell whether Python's libraries read all that is in an archive, a compressed stream or a
    database.
    """
    if body.startswith(b"SQLite format 3\0"):
        return _is_database(body)
    with suppress(*CONTAINER_ERRORS):
        size = 0
        for member in _members(body):
            size += len(member)
            if size > LARGEST:
                return False
        return size > 0
    return False


def _members(body: bytes) -> Iterator[bytes]:
    """Yield the bytes of everything in a container; raises one of CONTAINER_ERRORS where that is
    none, or damaged.
    """
    if body.startswith(STREAMS):
        with _open_stream(body) as file:
            yield file.read(LARGEST + 1)
    elif body.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            yield from (archive.read(entry) for entry in archive.infolist() if not entry.is_dir())
    else:
        with tarfile.open(fileobj=io.BytesIO(body), mode="r:") as tar:
            files = (tar.extractfile(entry) for entry in tar if entry.isfile())
            yield from (file.read() for file in files if file)


def _open_stream(body: bytes) -> gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile:
    packed = io.BytesIO(body)
    if body.startswith(STREAMS[0]):
        return gzip.GzipFile(fileobj=packed)
    return bz2.BZ2File(packed) if body.startswith(STREAMS[1]) else lzma.LZMAFile(packed)


def _is_database(body: bytes) -> bool:
    with closing(sqlite3.connect(":memory:")) as database, suppress(sqlite3.Error):
        database.deserialize(body)
        return bool(database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    return False


def _read_member(body: bytes, name: str) -> bytes | None:
    """Return the bytes of one member of a container by its name; the one of a stream has any
    name.
    """
    with suppress(*CONTAINER_ERRORS):
        if body.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(body)) as archive:
                return archive.read(name) if archive.getinfo(name).file_size <= LARGEST else None
        if body.startswith(STREAMS):
            inside = next(_members(body))
            return _read_member(inside, name) or inside if len(inside) <= LARGEST else None
        with tarfile.open(fileobj=io.BytesIO(body), mode="r:") as tar:
            file = tar.extractfile(name)
            return file.read() if file else None
    return None
