"""Local files as captures, for `scan` and `assess`: read, never copied, never kept."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from matcher.match.parts import Piece, numbered, pieces_of_member
from matcher.unpack.kinds import media_of
from matcher.unpack.limits import LOCAL
from matcher.unpack.outcome import Outcome
from matcher.unpack.parent import ForkServer, unpack
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
    try:
        stack = contextlib.ExitStack()
        body = stack.enter_context(_opened(path))
    except OSError:
        told(Outcome(shown(path), "denied"))
        yield Piece(source, shown(path), "", 0)
        return
    with stack, unpack(body, shown(path), LOCAL, server=server) as unpacked:
        empty = True
        if is_empty(body):
            told(Outcome(shown(path), "empty"))
        for number, item in numbered(unpacked, shown(path)):
            if isinstance(item, Outcome):
                told(item)
                continue
            for piece in pieces_of_member(source, item, told, number=number):
                empty = False
                yield piece
        if empty:
            yield Piece(source, shown(path), "", 0)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO | bytes]:
    """A file open for reading; of what can only be read once, its bytes."""
    if str(path) == "-":
        yield sys.stdin.buffer.read()
        return
    with path.open("rb") as file:
        yield file


def is_empty(body: BinaryIO | bytes) -> bool:
    """Whether there is nothing in it."""
    return not body if isinstance(body, bytes) else os.fstat(body.fileno()).st_size == 0


def files_under(paths: Iterable[Path], told: Callable[[Outcome], None]) -> Iterator[Path]:
    """The files that `paths` name, folders walked in order; `-` is standard input. ConfigError where there is none.

    Links are not followed: what they lead to is elsewhere. `told` hears of folders that cannot be read, and of what is no file.
    """
    for path in paths:
        try:
            is_file, is_folder = str(path) == "-" or path.is_file(), path.is_dir()
        except OSError as error:
            raise ConfigError(f"{path} cannot be looked at ({error.strerror})") from None
        if is_file:
            yield path
        elif is_folder:
            yield from sorted(_walked(path, told))
        else:
            raise ConfigError(f"{path} is neither a file nor a folder")


def _walked(folder: Path, told: Callable[[Outcome], None]) -> Iterator[Path]:
    """The files below a folder."""

    def denied(error: OSError) -> None:
        told(Outcome(shown(Path(error.filename)), "denied"))

    for place, _, names in os.walk(folder, onerror=denied):
        for name in names:
            path = Path(place, name)
            if path.is_file():
                if not path.is_symlink():
                    yield path
            elif not path.is_symlink():  # a pipe, a socket, a device
                told(Outcome(shown(path), "unsupported"))


def shown(path: Path) -> str:
    """The path as it may be printed: a name in no encoding has its odd bytes replaced."""
    return os.fsencode(path).decode("utf-8", "replace")


def body_of(path: Path) -> bytes:
    """The bytes of a file or of standard input."""
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})") from None


def check_file(path: Path) -> None:
    """ConfigError where `path` is no file that can be read."""
    if str(path) == "-":
        return
    try:
        path.open("rb").close()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})") from None
