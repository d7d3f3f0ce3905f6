"""Local files as captures, for `scan` and `assess`: read, never copied, never kept."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from matcher.parts import Piece, numbered, pieces_of_member
from matcher.unpack.kinds import media_of
from matcher.unpack.limits import LOCAL
from matcher.unpack.outcome import Outcome
from matcher.unpack.spawn import ForkServer
from matcher.unpack.unpacked import unpack
from ullage.errors import ConfigError
from ullage.records import Capture


def capture_of(path: Path, body: bytes, now: datetime) -> Capture:
    """A capture of a file's bytes."""
    return Capture(id="local", site="local", post_id="", url="", fetched_at=now, media_type=media_of(path.name),
                   kind="attachment", body=body)  # fmt: skip


def pieces_in(path: Path, source: int, told: Callable[[Outcome], None], server: ForkServer | None = None) -> Iterator[Piece]:
    """What a file holds, in windows: itself, or the members of a container; `told` hears what is not read.

    Children that unpack come from `server`.
    """
    with _opened(path) as body, unpack(body, shown(path), LOCAL, server=server) as unpacked:
        empty = True
        for number, item in numbered(unpacked, shown(path)):
            if isinstance(item, Outcome):
                told(item)
                continue
            for piece in pieces_of_member(source, item, number=number):
                empty = False
                yield piece
        if empty:
            yield Piece(source, shown(path), "", 0)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO | bytes]:
    """A file open for reading; of what can only be read once, its bytes."""
    if str(path) == "-":
        yield body_of(path)
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})") from None
    with file:
        yield file


def files_under(paths: list[Path]) -> Iterator[Path]:
    """The files that `paths` name, folders walked in order; `-` is standard input."""
    for path in paths:
        if str(path) == "-" or path.is_file():
            yield path
        elif path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.is_file() and not p.is_symlink())
        else:
            raise ConfigError(f"{path} is neither a file nor a folder")


def shown(path: Path) -> str:
    """The path as it may be printed: a name in no encoding has its odd bytes replaced."""
    return os.fsencode(path).decode("utf-8", "replace")


def body_of(path: Path) -> bytes:
    """The bytes of a file or of standard input."""
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})") from None
