"""Zips and tars by the standard library.

Of zips also what their directory does not account for; office files are zips with another reader. Tars are read as they come.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import cast

from matcher.unpack.kinds import FileFormat, decoded_name, formats
from matcher.unpack.protocol import SEPARATOR, Halt
from matcher.unpack.readers import libarchive
from matcher.unpack.walk import CHUNK, DAMAGED, Body, BodyFile, SizedChunks, Walk, slices

UTF8_NAME, ENCRYPTED = 0x800, 0x1
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
ENTRY, DIRECTORY_ENTRY = b"PK\x03\x04", b"PK\x01\x02"
UNLISTED = "unlisted"
"""The name that is given to what has none in the directory."""
LOCAL_HEADER, DESCRIBED, DESCRIPTOR = 30, 0x8, 26
END, END_SIZE = b"PK\5\6", 22
PADDING = 64
"""Bytes between entries that say nothing: padding and marks."""
FLOOD = 8
"""A zip whose directory is this many times longer than may be read is not read at all: only listing it would take minutes."""


def unzip(walk: Walk, body: Body, path: str, depth: int) -> None:
    """A zip, or an office file, which is one inside. One whose directory is lost is read entry by entry, by libarchive."""
    if _count(body, DIRECTORY_ENTRY) > FLOOD * max(walk.budget.entries, 1):
        raise Halt("too_many", whole=True)
    try:
        archive = zipfile.ZipFile(BodyFile(body))
        if body[:4] == ENTRY and not archive.infolist():
            raise zipfile.BadZipFile("entries and no directory")
    except DAMAGED:
        if libarchive.library() is not None:
            libarchive.unarchive(walk, body, path, depth)
        raise
    with archive:
        infos = archive.infolist()
        parts = frozenset(info.filename for info in infos)
        if inner := next((one for one in formats().values() if one.in_zip and one.in_zip(parts)), None):
            inner.read(walk, body, path, depth, archive)
        else:
            names = [_name(info) for info in infos]
            walk.names(path, names + _comments(archive, infos))
            for name, info in zip(names, infos, strict=True):
                if not info.is_dir():
                    packed = partial(getattr, info, "compress_size")
                    walk.entry(path + SEPARATOR + name, zipped(archive, info), packed, depth)
        for start, end in unlisted(body, infos, archive.start_dir):
            held = body[start:end]
            walk.entry(path + SEPARATOR + UNLISTED, slices(held), partial(len, held), depth)


def _comments(archive: zipfile.ZipFile, infos: Sequence[zipfile.ZipInfo]) -> list[str]:
    """What is written beside the entries, of the archive and of each: sellers put their address there."""
    return [decoded_name(said) for said in (archive.comment, *(info.comment for info in infos)) if said]


def unlisted(body: Body, infos: Sequence[zipfile.ZipInfo], directory: int) -> Iterator[tuple[int, int]]:
    """Ranges of a zip that its directory, which begins at `directory`, does not account for.

    Another zip before it, entries that were taken out of the directory alone, something behind the end: whoever opens the zip
    is shown none of it, and it is there.
    """
    at = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        start = info.header_offset
        yield from _held(body, at, start)
        lengths = body[start + 26 : start + 30]
        inner = LOCAL_HEADER + int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
        end = start + inner + info.compress_size
        at = max(at, end + (_descriptor(body[end : end + DESCRIPTOR]) if info.flag_bits & DESCRIBED else 0))
    yield from _held(body, at, directory)
    last = body.rfind(END)
    yield from _held(body, last + END_SIZE + int.from_bytes(body[last + END_SIZE - 2 : last + END_SIZE], "little"), len(body))


def _descriptor(behind: bytes) -> int:
    """The size of the descriptor that stands behind an entry written as a stream: marked or not, of 32 or of 64 bits."""
    marked = 4 * behind.startswith(b"PK\7\x08")
    return next((size for size in (12, 20) if behind[marked + size :][:2] == b"PK"), 12) + marked


def _held(body: Body, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The range, from the first entry in it if there is any; none where it is empty, padding or a mark."""
    found = body.find(ENTRY, start, end) if start < end else -1
    if found >= 0:
        yield found, end
    elif end - start > PADDING and body[start:end].strip(b"\0"):
        yield start, end


def zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """The bytes of an entry of a zip."""
    if info.flag_bits & ENCRYPTED:
        raise Halt("encrypted")
    if info.compress_type not in METHODS:
        raise Halt("encrypted" if info.compress_type == 99 else "unsupported")
    with archive.open(info) as opened:
        file = cast("zipfile.ZipExtFile", opened)  # typeshed has it as IO[bytes]
        while chunk := file.read1(CHUNK):
            yield chunk


def _name(info: zipfile.ZipInfo) -> str:
    """An entry's name; where nothing says that it is UTF-8, zipfile has read it as DOS would, which a Chinese one is not."""
    if info.flag_bits & UTF8_NAME:
        return info.orig_filename
    try:
        return decoded_name(info.orig_filename.encode("cp437"))
    except UnicodeEncodeError:
        return info.orig_filename


def _count(body: Body, what: bytes) -> int:
    """How often `what` stands in a body, pieces overlapping so that none is missed."""
    size = 16 << 20
    return sum(body[at : at + size + len(what) - 1].count(what) for at in range(0, len(body), size))


def untar(walk: Walk, chunks: Iterable[bytes], path: str, depth: int) -> None:
    """A tar, read as it comes."""
    source, names = SizedChunks(chunks), list[str]()
    try:
        _untar(walk, source, names, path, depth)
    finally:
        walk.names(path, names)
    if not names or source.tail.strip(b"\0"):  # two blocks of zeros end a tar
        raise EOFError("the archive ends early")


class _Header(tarfile.TarInfo):
    """A header that counts as damaged, not as none, where it is neither one nor zeros: tarfile would pass it by in silence."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        """As `TarInfo.frombuf`."""
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if bytes(buf).strip(b"\0"):
                raise ValueError("damaged archive") from error
            raise


def _untar(walk: Walk, source: SizedChunks, names: list[str], path: str, depth: int) -> None:
    """Zeros end a tar, and another may follow (`cat a.tar b.tar`): they are passed over."""
    how = {"encoding": "utf-8", "errors": "surrogateescape", "ignore_zeros": True, "tarinfo": _Header}
    with tarfile.open(fileobj=source, mode="r|", bufsize=CHUNK, **how) as archive:  # type: ignore[call-overload]
        for info in archive:
            archive.members = []  # tarfile keeps all that it has seen
            name = decoded_name(info.name.encode("utf-8", "surrogateescape"))
            names.append(name)
            file = archive.extractfile(info) if info.isreg() else None
            if file is not None:
                walk.entry(path + SEPARATOR + name, iter(partial(file.read, CHUNK), b""), lambda: source.count, depth)


def is_tar(head: bytes, _name: str = "") -> bool:
    """Whether a file begins with the header of a tar: marked, or, where it is old, by its checksum.

    That is octal, over the header with blanks in its own place.
    """
    field = head[148:156].strip(b" \0")
    if head[257:262] == b"ustar":
        return True
    if len(head) < 512 or not field.isdigit() or b"8" in field or b"9" in field:
        return False
    return int(field, 8) == sum(head[:148]) + 8 * 32 + sum(head[156:512])


FORMATS = (
    FileFormat("zip", unzip, starts=(ENTRY, END, b"PK\x07\x08PK", b"PK00PK")),
    FileFormat("tar", untar, is_binary=is_tar, streams=True),
)
