"""The system's libarchive, as far as it is needed: 7z, RAR, cabinet, LHA, cpio, ar, four compressions, zips without directory.

Bound by hand, since a dozen functions are enough and the packages that bind it run `ldconfig` to find it, which a child that may
run nothing must not need. Declared in `archive.h` and `archive_entry.h`; the interface has been stable since version 3.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from functools import cache

from matcher.unpack import kinds
from matcher.unpack.kinds import FileFormat, decoded_name
from matcher.unpack.protocol import CONTENT, SEPARATOR, Halt
from matcher.unpack.walk import Body, Walk

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
    "archive_read_set_options": (ctypes.c_int, (Handle, ctypes.c_char_p)),
    "archive_error_string": (ctypes.c_char_p, (Handle,)),
    "archive_entry_pathname": (ctypes.c_char_p, (Handle,)),
    "archive_entry_pathname_utf8": (ctypes.c_char_p, (Handle,)),
    "archive_entry_filetype": (ctypes.c_uint, (Handle,)),
    "archive_entry_is_encrypted": (ctypes.c_int, (Handle,)),
    **{f"archive_read_support_format_{name}": (ctypes.c_int, (Handle,)) for names in HANDLERS.values() for name in names},
    **{f"archive_read_support_filter_{name}": (ctypes.c_int, (Handle,)) for name in FILTERS.values()},
}


class Archives:
    """The library, loaded."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        for name, (result, arguments) in SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments

    def entries(self, kind: str, body: Body) -> Iterator[tuple[bytes, Iterator[bytes]]]:
        """Name and bytes of each file in `body`; the bytes are to be read before the next is asked for.

        `Halt` where it is encrypted, `ValueError` where it is damaged.
        """
        library, handle = self._library, Handle(self._library.archive_read_new())
        held = body if isinstance(body, bytes) else (ctypes.c_char * len(body)).from_buffer(body)
        try:
            if kind in FILTERS:
                getattr(library, f"archive_read_support_filter_{FILTERS[kind]}")(handle)
            for name in HANDLERS[kind]:
                getattr(library, f"archive_read_support_format_{name}")(handle)
            if "tar" in HANDLERS[kind]:  # of `cat a.tar b.tar` it would read the first alone
                library.archive_read_set_options(handle, b"tar:read_concatenated_archives")
            self._check(handle, library.archive_read_open_memory(handle, held, len(body)))
            entry, count = Handle(), 0
            while self._check(handle, library.archive_read_next_header(handle, ctypes.byref(entry)), WARN) != EOF:
                count += 1
                if library.archive_entry_filetype(entry) & TYPE_MASK in (REGULAR, 0):
                    yield self._name(entry), self._data(handle, locked=library.archive_entry_is_encrypted(entry) == 1)
            if not count:  # what is cut off in its first header counts as empty there
                raise ValueError("empty archive")
        finally:
            library.archive_read_free(handle)

    def _name(self, entry: Handle) -> bytes:
        return bytes(self._library.archive_entry_pathname_utf8(entry) or self._library.archive_entry_pathname(entry) or b"")

    def _data(self, handle: Handle, *, locked: bool) -> Iterator[bytes]:
        if locked:
            raise Halt("encrypted")
        block = ctypes.create_string_buffer(BLOCK)
        while count := self._library.archive_read_data(handle, block, BLOCK):
            self._check(handle, min(count, OK))
            yield block.raw[:count]

    def _check(self, handle: Handle, result: int, most: int = OK) -> int:
        """The result, unless it is a fault: below `most` there are warnings, then faults."""
        if result >= most:
            return result
        said = (self._library.archive_error_string(handle) or b"").lower()
        if b"encrypt" in said or b"password" in said:
            raise Halt("encrypted")
        if b"unsupported" in said or b"not supported" in said:
            raise Halt("unsupported")
        raise ValueError("damaged archive")


@cache
def library() -> Archives | None:
    """None where the system has no libarchive."""
    try:
        return Archives(ctypes.CDLL(NAME))
    except (OSError, AttributeError):
        return None


def unarchive(walk: Walk, body: Body, path: str, depth: int) -> None:
    """An archive of a kind that libarchive reads."""
    archives, kind, names = library(), walk.container, list[str]()
    if archives is None:
        raise Halt("unsupported")
    try:
        for raw, chunks in archives.entries(kind, body):
            name = decoded_name(raw)
            if kind in FILTERS and name == "data":  # a stream without a name, and not a tar
                name = kinds.stem(path) or CONTENT
            else:
                names.append(name)
            walk.entry(path + SEPARATOR + name, chunks, lambda: len(body), depth)
    finally:
        walk.names(path, names)


FORMATS = (
    FileFormat("7z", unarchive, starts=(b"7z\xbc\xaf\x27\x1c",), load=library),
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
