"""Archives and compressed streams: zip, tar, gz, bz2 and xz by the standard library, the rest by the system's libarchive."""

from __future__ import annotations

import mmap
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, cast

from matcher.unpack import kinds, office
from matcher.unpack.budget import Halt
from matcher.unpack.frames import CONTENT, SEPARATOR
from matcher.unpack.libarchive import FILTERS
from matcher.unpack.streams import CHUNK, DAMAGED, Counted, View, inflated, peeked

if TYPE_CHECKING:
    from matcher.unpack.walk import Walk

UTF8_NAME, ENCRYPTED = 0x800, 0x1
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
ENTRY, DIRECTORY_ENTRY = b"PK\x03\x04", b"PK\x01\x02"
FLOOD = 8
"""A zip whose directory is this many times longer than may be read is not read at all: only listing it would take minutes."""


def unzip(walk: Walk, body: bytes | mmap.mmap, path: str, depth: int) -> None:
    """A zip, or an office file, which is one inside. One whose directory is lost is read entry by entry, by libarchive."""
    if _count(body, DIRECTORY_ENTRY) > FLOOD * max(walk.budget.entries, 1):
        raise Halt("too_many", whole=True)
    try:
        archive = zipfile.ZipFile(View(body))
        if body[:4] == ENTRY and not archive.infolist():
            raise zipfile.BadZipFile("entries and no directory")
    except DAMAGED:
        if walk.library is None:
            raise
        unarchive(walk, "zip", body, path, depth)
        raise
    with archive:
        infos = archive.infolist()
        if office.is_office(infos):
            office.read(walk, archive, body, path, depth)
            return
        names = [_name(info) for info in infos]
        walk.names(path, names)
        for name, info in zip(names, infos, strict=True):
            if not info.is_dir():
                packed = partial(getattr, info, "compress_size")
                walk.entry(path + SEPARATOR + name, zipped(archive, info), packed, depth)


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


def decoded_name(raw: bytes) -> str:
    """A name that nothing says the encoding of: UTF-8 or GB18030 where it holds, else as DOS had it.

    >>> decoded_name("客户名单.csv".encode("gbk"))
    '客户名单.csv'
    """
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("cp437")


def _count(body: bytes | mmap.mmap, what: bytes) -> int:
    """How often `what` stands in a body, pieces overlapping so that none is missed."""
    size = 16 << 20
    return sum(body[at : at + size + len(what) - 1].count(what) for at in range(0, len(body), size))


def untar(walk: Walk, _kind: str, chunks: Iterable[bytes], path: str, depth: int) -> None:
    """A tar, read as it comes."""
    source, names = Counted(chunks), list[str]()
    walk.container = "tar"
    try:
        _untar(walk, source, names, path, depth)
    finally:
        walk.names(path, names)
    if not names or source.tail.strip(b"\0"):  # two blocks of zeros end a tar
        raise EOFError("the archive ends early")


def _untar(walk: Walk, source: Counted, names: list[str], path: str, depth: int) -> None:
    with tarfile.open(fileobj=source, mode="r|", bufsize=CHUNK, encoding="utf-8", errors="surrogateescape") as archive:  # type: ignore[call-overload]
        for info in archive:
            archive.members = []  # tarfile keeps all that it has seen
            name = decoded_name(info.name.encode("utf-8", "surrogateescape"))
            names.append(name)
            file = archive.extractfile(info) if info.isreg() else None
            if file is not None:
                walk.entry(path + SEPARATOR + name, iter(partial(file.read, CHUNK), b""), lambda: source.count, depth)


def inflate(walk: Walk, kind: str, chunks: Iterable[bytes], path: str, depth: int) -> None:
    """A compressed stream. A tar in it stands in its place: `a.tar.gz!/b.csv`."""
    source = Counted(chunks)
    head, whole = peeked(inflated(kind, source), kinds.HEAD)
    if kinds.sniff(head) == "tar":
        untar(walk, "tar", walk.budget.measured(whole, lambda: source.count), path, depth)
    else:
        walk.entry(path + SEPARATOR + (kinds.stem(path) or CONTENT), whole, lambda: source.count, depth)


def unarchive(walk: Walk, kind: str, body: bytes | mmap.mmap, path: str, depth: int) -> None:
    """An archive of a kind that libarchive reads."""
    if walk.library is None:
        raise Halt("unsupported")
    names: list[str] = []
    try:
        for raw, chunks in walk.library.entries(kind, body):
            name = decoded_name(raw)
            if kind in FILTERS and name == "data":  # a stream without a name, and not a tar
                name = kinds.stem(path) or CONTENT
            else:
                names.append(name)
            walk.entry(path + SEPARATOR + name, chunks, lambda: len(body), depth)
    finally:
        walk.names(path, names)
