"""Tars, read as they come."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from functools import partial

from matcher.unpack.kinds import decoded_name
from matcher.unpack.protocol import SEPARATOR
from matcher.unpack.registry import Format
from matcher.unpack.streams import CHUNK, Counted
from matcher.unpack.walk import Walk


def untar(walk: Walk, chunks: Iterable[bytes], path: str, depth: int) -> None:
    """A tar, read as it comes."""
    source, names = Counted(chunks), list[str]()
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


def _untar(walk: Walk, source: Counted, names: list[str], path: str, depth: int) -> None:
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


FORMATS = (Format("tar", untar, is_binary=is_tar, streams=True),)
