"""Read archives and compressed streams.

The standard library reads zips and tars; of zips, also the parts that the directory does not list.
Office files are zips with another reader. Tars and streams (gz, bz2, xz, the older LZMA format,
Brotli) are read as they arrive.

The system's libarchive reads 7z, RAR, cabinet, LHA, cpio, ar, four compressions, and zips without a
directory. It is bound here: a dozen functions are enough, and the packages that bind it run
`ldconfig`, which a child that may execute nothing must not need. See `archive.h` and
`archive_entry.h`; the interface has been stable since version 3.
"""

from __future__ import annotations

import bz2
import contextlib
import ctypes
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import cache, partial
from typing import Protocol, cast

from matcher.unpack import formats
from matcher.unpack.formats import FileFormat, decode_name, find_formats
from matcher.unpack.protocol import CONTENT, SEPARATOR, Halt
from matcher.unpack.walk import (
    CHUNK,
    DAMAGED,
    Body,
    BodyFile,
    SizedChunks,
    Walk,
    load_package,
    peek,
    slices,
)

UTF8_NAME, ENCRYPTED, WINZIP_AES = 0x800, 0x1, 99
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
ENTRY, DIRECTORY_ENTRY = b"PK\x03\x04", b"PK\x01\x02"
UNLISTED = "unlisted"
"""The name of entries that the directory does not list."""
LOCAL_HEADER, DESCRIBED, DESCRIPTOR = 30, 0x8, 26
END, END_SIZE = b"PK\5\6", 22
PADDING = 64
"""Bytes between entries that hold nothing: padding and marks."""
FLOOD = 8
"""A zip whose directory is this many times longer than the limit is not read at all.

Listing it would take minutes.
"""


def unzip(walk: Walk, body: Body, path: str, depth: int) -> None:
    """Pass the entries of a zip on, or have an office file, which is a zip inside, read.

    If the directory is lost, libarchive reads it entry by entry. Raises Halt `too_many` for a flood
    of entries.
    """
    if _count(body, DIRECTORY_ENTRY) > FLOOD * max(walk.budget.entries, 1):
        raise Halt("too_many", whole=True)
    try:
        archive = zipfile.ZipFile(BodyFile(body))
        if body[:4] == ENTRY and not archive.infolist():
            raise zipfile.BadZipFile("entries and no directory")
    except DAMAGED:
        if libarchive() is not None:
            unarchive(walk, body, path, depth)
        raise
    with archive:
        infos = archive.infolist()
        parts = frozenset(info.filename for info in infos)
        if inner := next(
            (
                candidate
                for candidate in find_formats().values()
                if candidate.in_zip and candidate.in_zip(parts)
            ),
            None,
        ):
            inner.read(walk, body, path, depth, archive)
        else:
            names = [_name(info) for info in infos]
            # sellers put their address there
            comments = (archive.comment, *(info.comment for info in infos))
            walk.names(path, names + [decode_name(comment) for comment in comments if comment])
            for name, info in zip(names, infos, strict=True):
                if not info.is_dir() and not _is_locked(info):
                    packed = partial(getattr, info, "compress_size")
                    walk.entry(
                        path + SEPARATOR + name, read_zip_entry(archive, info), packed, depth
                    )
            if any(map(_is_locked, infos)):
                walk.read_later(path, body, partial(_read_locked, walk, body, path, depth))
        for start, end in find_unlisted(body, infos, archive.start_dir):
            content = body[start:end]
            walk.entry(path + SEPARATOR + UNLISTED, slices(content), partial(len, content), depth)


def find_unlisted(
    body: Body, infos: Sequence[zipfile.ZipInfo], directory: int
) -> Iterator[tuple[int, int]]:
    """Yield the ranges of a zip that its directory, which begins at `directory`, does not list.

    They are another zip in front, entries that were removed from the directory alone, or data
    behind the end: a program that opens the zip shows none of it.
    """
    at = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        start = info.header_offset
        yield from _find_data(body, at, start)
        lengths = body[start + 26 : start + 30]
        inner = (
            LOCAL_HEADER
            + int.from_bytes(lengths[:2], "little")
            + int.from_bytes(lengths[2:], "little")
        )
        end = start + inner + info.compress_size
        at = max(
            at,
            end + (_descriptor(body[end : end + DESCRIPTOR]) if info.flag_bits & DESCRIBED else 0),
        )
    yield from _find_data(body, at, directory)
    last = body.rfind(END)
    yield from _find_data(
        body,
        last + END_SIZE + int.from_bytes(body[last + END_SIZE - 2 : last + END_SIZE], "little"),
        len(body),
    )


def _descriptor(behind: bytes) -> int:
    """Return the size of the descriptor behind an entry that was written as a stream.

    It has a mark or not, and sizes of 32 or 64 bits.
    """
    marked = 4 * behind.startswith(b"PK\7\x08")
    return next((size for size in (12, 20) if behind[marked + size :][:2] == b"PK"), 12) + marked


def _find_data(body: Body, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the range, from the first entry in it if there is one.

    Yields nothing if the range is empty, padding or a mark.
    """
    entry = body.find(ENTRY, start, end) if start < end else -1
    if entry >= 0:
        yield entry, end
    elif end - start > PADDING and body[start:end].strip(b"\0"):
        yield start, end


def read_zip_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the bytes of a zip's entry, decompressed.

    Raises Halt `encrypted` or `unsupported` if it cannot be read.
    """
    if info.flag_bits & ENCRYPTED:
        raise Halt("encrypted")
    if info.compress_type not in METHODS:
        raise Halt("encrypted" if info.compress_type == WINZIP_AES else "unsupported")
    with archive.open(info) as entry:
        file = cast("zipfile.ZipExtFile", entry)  # typeshed declares IO[bytes]
        while chunk := file.read1(CHUNK):
            yield chunk


def _is_locked(info: zipfile.ZipInfo) -> bool:
    """Return whether an entry is encrypted, by the mark of the format or of WinZip."""
    return bool(info.flag_bits & ENCRYPTED) or info.compress_type == WINZIP_AES


def _read_locked(walk: Walk, body: Body, path: str, depth: int) -> None:
    """Pass the encrypted entries of a zip on, decrypted if a note tells the password.

    Otherwise each entry fails as encrypted when it is read.
    """
    with zipfile.ZipFile(BodyFile(body)) as archive:
        infos = [info for info in archive.infolist() if _is_locked(info) and not info.is_dir()]
        archives, password = libarchive(), find_password(walk, body, path)
        if archives is None or not password:
            for info in infos:
                place = f"{path}{SEPARATOR}{_name(info)}"
                walk.entry(place, read_zip_entry(archive, info), lambda: len(body), depth)
            return
    for raw, chunks in archives.entries("zip", body, password):
        place = f"{path}{SEPARATOR}{decode_name(raw)}"
        walk.entry(place, chunks, lambda: len(body), depth)


def find_password(walk: Walk, body: Body, path: str) -> str:
    """Return the stated password by which the first encrypted entry of a zip can be read.

    Returns "" if none does, or without libarchive.
    """
    archives = libarchive()
    if archives is None:
        return ""
    for password in walk.notes.list_for(path):
        with (
            contextlib.suppress(Halt, *DAMAGED),
            contextlib.closing(archives.entries("zip", body, password)) as entries,
        ):
            _, chunks = next(entries)
            for _ in walk.budget.measure(chunks, lambda: len(body)):
                pass
            return password
    return ""


def _name(info: zipfile.ZipInfo) -> str:
    """Return an entry's name.

    Names that are not marked as UTF-8 are decoded anew: zipfile reads them as DOS would, which is
    wrong for Chinese names.
    """
    if info.flag_bits & UTF8_NAME:
        return info.orig_filename
    try:
        return decode_name(info.orig_filename.encode("cp437"))
    except UnicodeEncodeError:
        return info.orig_filename


def _count(body: Body, what: bytes) -> int:
    """Return how often `what` occurs in a body; pieces overlap so that none is missed."""
    size = 16 << 20
    return sum(body[at : at + size + len(what) - 1].count(what) for at in range(0, len(body), size))


def untar(walk: Walk, chunks: Iterable[bytes], path: str, depth: int) -> None:
    """Read the entries of a tar as they arrive, then write the list of their names as a member.

    Raises EOFError if the archive ends early.
    """
    source, names = SizedChunks(chunks), list[str]()
    try:
        _untar(walk, source, names, path, depth)
    finally:
        walk.names(path, names)
    if not names or source.tail.strip(b"\0"):  # two blocks of zeros end a tar
        raise EOFError("the archive ends early")


class _Header(tarfile.TarInfo):
    """A tar header that raises an error if it is neither a header nor zeros.

    Tarfile would skip it silently.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        """Return the header in `buf`; see `tarfile.TarInfo.frombuf`.

        Raises ValueError, which counts as damage, for an invalid header, and HeaderError for zeros.
        """
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if bytes(buf).strip(b"\0"):
                raise ValueError("damaged archive") from error
            raise


def _untar(walk: Walk, source: SizedChunks, names: list[str], path: str, depth: int) -> None:
    """Read the entries of a tar, and add all their names to `names`.

    Only plain files are read. Zeros end a tar, and another may follow (`cat a.tar b.tar`), so they
    are skipped.
    """
    options = {
        "encoding": "utf-8",
        "errors": "surrogateescape",
        "ignore_zeros": True,
        "tarinfo": _Header,
    }
    with tarfile.open(  # type: ignore[call-overload]
        fileobj=source, mode="r|", bufsize=CHUNK, **options
    ) as archive:
        for info in archive:
            archive.members = []  # tarfile keeps every header
            name = decode_name(info.name.encode("utf-8", "surrogateescape"))
            names.append(name)
            file = archive.extractfile(info) if info.isreg() else None
            if file is not None:
                walk.entry(
                    path + SEPARATOR + name,
                    iter(partial(file.read, CHUNK), b""),
                    lambda: source.count,
                    depth,
                )


def is_tar(head: bytes, _name: str = "") -> bool:
    """Return whether a file begins with a tar header.

    It is marked or, if old, recognised by its checksum: octal, over the header with blanks in the
    place of the checksum.
    """
    field = head[148:156].strip(b" \0")
    if head[257:262] == b"ustar":
        return True
    if len(head) < 512 or not field.isdigit() or b"8" in field or b"9" in field:
        return False
    return int(field, 8) == sum(head[:148]) + 8 * 32 + sum(head[156:512])


FIRST_STEP = 256
"""Bytes that a new stream is given at first.

The bytes that remain when it ends are copied, and there may be many tiny streams.
"""


class Decoder(Protocol):
    """The interface that the decoders of bz2 and lzma share."""

    @property
    def eof(self) -> bool:
        """Return whether the stream has ended."""

    @property
    def unused_data(self) -> bytes:
        """Return the bytes behind the end of the stream."""

    @property
    def needs_input(self) -> bool:
        """Return whether all input has been used."""

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        """Decompress `data` and return at most `max_length` bytes."""


def decompress_streams(kind: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the decompressed bytes of all streams in a file, one after the other.

    `kind` is the format, such as gzip. Zeros between streams are padding. Raises EOFError if the
    last stream ends early.
    """
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
    """zlib's decoder with the interface of `Decoder`."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        """Return whether the stream has ended."""
        return self._decoder.eof

    @property
    def unused_data(self) -> bytes:
        """Return the bytes behind the end of the stream."""
        return self._decoder.unused_data

    @property
    def needs_input(self) -> bool:
        """Return whether all input has been used."""
        return not self._decoder.unconsumed_tail

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        """Decompress `data` and return at most `max_length` bytes."""
        return self._decoder.decompress(self._decoder.unconsumed_tail + data, max_length)


def inflate(walk: Walk, chunks: Iterable[bytes], path: str, depth: int) -> None:
    """Read a compressed stream.

    If it holds a tar, the tar takes its place in paths: `a.tar.gz!/b.csv`.
    """
    source = SizedChunks(chunks)
    head, whole = peek(decompress_streams(walk.container, source), formats.HEAD)
    if formats.sniff(head) == "tar":
        walk.read_as("tar", walk.budget.measure(whole, lambda: source.count), path, depth)
    else:
        walk.entry(
            path + SEPARATOR + (formats.stem(path) or CONTENT), whole, lambda: source.count, depth
        )


def is_lzma(head: bytes, _name: str = "") -> bool:
    """Return whether a file begins with a header of LZMA, the format before xz.

    The header has properties, a dictionary of 2^n or 3 * 2^n bytes, and the size or all ones.
    """
    dictionary, size = int.from_bytes(head[1:5], "little"), head[5:13]
    is_round = (
        dictionary >= 1 << 12
        and dictionary.bit_count() <= 2
        and dictionary >> dictionary.bit_length() - 2 in (2, 3)
    )
    return (
        len(head) > 13
        and head[0] < 225
        and is_round
        and (size == b"\xff" * 8 or size[5:] == bytes(3))
        and head[13] == 0
    )


brotli = partial(load_package, "brotli")


class _Brotli:
    """Brotli's decoder with the interface of `Decoder`; bytes behind a stream are damage."""

    def __init__(self) -> None:
        self._decoder = brotli().Decompressor()
        self.unused_data, self._is_full = b"", False

    @property
    def eof(self) -> bool:
        """Return whether the stream has ended."""
        return bool(self._decoder.is_finished())

    @property
    def needs_input(self) -> bool:
        """Return whether all input has been used."""
        return not self._is_full and bool(self._decoder.can_accept_more_data())

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        """Return about `max_length` decompressed bytes. Raises ValueError for a damaged stream."""
        try:
            plain = bytes(self._decoder.process(data, output_buffer_limit=max_length))
        except brotli().error as error:
            raise ValueError("damaged stream") from error
        # there may be more output although all input is used
        self._is_full = len(plain) >= max_length
        return plain


def unbrotli(walk: Walk, chunks: Iterable[bytes], path: str, depth: int) -> None:
    """Read a Brotli file, which has no mark and is recognised by its name.

    Without the package `brotli`, the file is reported as unread.
    """
    if brotli() is None:
        walk.needs("brotli", b"".join(chunks), path)
        return
    inflate(walk, chunks, path, depth)


DECODERS: dict[str, Callable[[], Decoder]] = {
    "gz": _Gzip,
    "bz2": bz2.BZ2Decompressor,
    "xz": lzma.LZMADecompressor,
    "br": _Brotli,
}
BZ2 = tuple(
    b"BZh%d%b" % (level, mark)
    for level in range(1, 10)
    for mark in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")
)
"""How the first block of bzip2 begins, or an empty stream."""
NAME = "libarchive.so.13"
OK, EOF, WARN = 0, 1, -20
REGULAR, TYPE_MASK = 0o100000, 0o170000
BLOCK = 64 << 10
HANDLERS = {
    "7z": ("7zip",),
    "rar": ("rar", "rar5"),
    "cab": ("cab",),
    "zip": ("zip",),
    "cpio": ("cpio",),
    "ar": ("ar",),
    "lha": ("lha",),
    "zst": ("tar", "raw"),
    "lz4": ("tar", "raw"),
    "Z": ("tar", "raw"),
    "lz": ("tar", "raw"),
}
FILTERS = {"zst": "zstd", "lz4": "lz4", "Z": "compress", "lz": "lzip"}

Handle = ctypes.c_void_p
SIGNATURES = {
    "archive_read_new": (Handle, ()),
    "archive_read_open_memory": (ctypes.c_int, (Handle, ctypes.c_void_p, ctypes.c_size_t)),
    "archive_read_next_header": (ctypes.c_int, (Handle, ctypes.POINTER(Handle))),
    "archive_read_data": (ctypes.c_ssize_t, (Handle, ctypes.c_void_p, ctypes.c_size_t)),
    "archive_read_free": (ctypes.c_int, (Handle,)),
    "archive_read_add_passphrase": (ctypes.c_int, (Handle, ctypes.c_char_p)),
    "archive_read_set_options": (ctypes.c_int, (Handle, ctypes.c_char_p)),
    "archive_error_string": (ctypes.c_char_p, (Handle,)),
    "archive_entry_pathname": (ctypes.c_char_p, (Handle,)),
    "archive_entry_pathname_utf8": (ctypes.c_char_p, (Handle,)),
    "archive_entry_filetype": (ctypes.c_uint, (Handle,)),
    "archive_entry_is_encrypted": (ctypes.c_int, (Handle,)),
    **{
        f"archive_read_support_format_{name}": (ctypes.c_int, (Handle,))
        for names in HANDLERS.values()
        for name in names
    },
    **{
        f"archive_read_support_filter_{name}": (ctypes.c_int, (Handle,))
        for name in FILTERS.values()
    },
}


class Archives:
    """The loaded library."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        for name, (result, arguments) in SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments

    def entries(
        self, kind: str, body: Body, password: str = ""
    ) -> Generator[tuple[bytes, Iterator[bytes]]]:
        """Yield the name and the bytes of each file in `body`; read the bytes before the next file.

        With a `password`, only files that are encrypted are yielded.

        Raises `Halt` if it is encrypted, `ValueError` if it is damaged.
        """
        library, handle = self._library, Handle(self._library.archive_read_new())
        buffer = body if isinstance(body, bytes) else (ctypes.c_char * len(body)).from_buffer(body)
        try:
            if kind in FILTERS:
                getattr(library, f"archive_read_support_filter_{FILTERS[kind]}")(handle)
            for name in HANDLERS[kind]:
                getattr(library, f"archive_read_support_format_{name}")(handle)
            if "tar" in HANDLERS[kind]:  # it would read only the first tar of `cat a.tar b.tar`
                library.archive_read_set_options(handle, b"tar:read_concatenated_archives")
            if password:
                library.archive_read_add_passphrase(handle, password.encode("utf-8", "replace"))
            self._check(handle, library.archive_read_open_memory(handle, buffer, len(body)))
            entry, count = Handle(), 0
            while (
                self._check(
                    handle, library.archive_read_next_header(handle, ctypes.byref(entry)), WARN
                )
                != EOF
            ):
                count += 1
                is_locked = library.archive_entry_is_encrypted(entry) == 1
                if library.archive_entry_filetype(entry) & TYPE_MASK not in (REGULAR, 0) or (
                    password and not is_locked
                ):
                    continue
                yield self._name(entry), self._data(handle, locked=is_locked and not password)
            if not count:  # it treats a file cut off in its first header as empty
                raise ValueError("empty archive")
        finally:
            library.archive_read_free(handle)

    def _name(self, entry: Handle) -> bytes:
        return bytes(
            self._library.archive_entry_pathname_utf8(entry)
            or self._library.archive_entry_pathname(entry)
            or b""
        )

    def _data(self, handle: Handle, *, locked: bool) -> Iterator[bytes]:
        if locked:
            raise Halt("encrypted")
        block = ctypes.create_string_buffer(BLOCK)
        while count := self._library.archive_read_data(handle, block, BLOCK):
            self._check(handle, min(count, OK))
            yield block.raw[:count]

    def _check(self, handle: Handle, result: int, most: int = OK) -> int:
        """Return `result` unless it is an error, else raise.

        Results below `most` are warnings, then errors. That is `Halt` for encryption and
        unsupported formats, otherwise ValueError.
        """
        if result >= most:
            return result
        message = (self._library.archive_error_string(handle) or b"").lower()
        if b"encrypt" in message or b"password" in message:
            raise Halt("encrypted")
        if b"unsupported" in message or b"not supported" in message:
            raise Halt("unsupported")
        raise ValueError("damaged archive")


@cache
def libarchive() -> Archives | None:
    """Load libarchive; None if the system does not have it."""
    try:
        return Archives(ctypes.CDLL(NAME))
    except (OSError, AttributeError):
        return None


def unarchive(walk: Walk, body: Body, path: str, depth: int) -> None:
    """Read the entries of an archive by libarchive, such as 7z or RAR, and write their names.

    Raises Halt `unsupported` without the library, `encrypted` if the archive has a password.
    """
    archives, kind, names = libarchive(), walk.container, list[str]()
    if archives is None:
        raise Halt("unsupported")
    try:
        for raw, chunks in archives.entries(kind, body):
            name = decode_name(raw)
            if kind in FILTERS and name == "data":  # a stream without a name, and not a tar
                name = formats.stem(path) or CONTENT
            else:
                names.append(name)
            walk.entry(path + SEPARATOR + name, chunks, lambda: len(body), depth)
    finally:
        walk.names(path, names)


FORMATS = (
    FileFormat("zip", unzip, starts=(ENTRY, END, b"PK\x07\x08PK", b"PK00PK")),
    FileFormat("tar", untar, is_binary=is_tar, streams=True),
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
    FileFormat("7z", unarchive, starts=(b"7z\xbc\xaf\x27\x1c",), load=libarchive),
    FileFormat("rar", unarchive, starts=(b"Rar!\x1a\x07",)),
    FileFormat("cab", unarchive, starts=(b"MSCF\0\0\0\0",)),
    FileFormat("zst", unarchive, starts=(b"\x28\xb5\x2f\xfd",), containers=("zstd",)),
    FileFormat("lz4", unarchive, starts=(b"\x04\x22\x4d\x18",)),
    FileFormat("Z", unarchive, starts=(b"\x1f\x9d\x90",), containers=("other",)),
    FileFormat("lz", unarchive, starts=(b"LZIP\1",), containers=("other",)),
    FileFormat("ar", unarchive, faint=(b"!<arch>\n",), containers=("other",)),
    FileFormat("cpio", unarchive, faint=(b"0707", b"\xc7\x71"), containers=("other",)),
    FileFormat("lha", unarchive, inside=((2, b"-lh"),), containers=("other",)),
)
