"""Files that are written whole or not at all, by default for their owner alone.

`hold` is for a place that somebody has for as long as he lives, `turn` for a moment's work that
others wait for.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from ullage.errors import ConfigError, UnavailableError


class HeldError(ConfigError):
    """Another process holds it."""


def hold(path: Path, what: str) -> int:
    """Take the lock on `path` and return its file descriptor, to be closed to free it.

    HeldError says that `what` is held, and by which process.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(handle)
        raise HeldError(f"{what} by process {holder} already: stop it first") from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle


@contextlib.contextmanager
def turn(path: Path) -> Iterator[None]:
    """Wait for the lock on `path`, a folder that is there or a file that is made, and hold it
    meanwhile.
    """
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    handle = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


OF_A_DISK = frozenset({errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""Errors that a disk gives, whatever is written to it."""


@contextlib.contextmanager
def disk_errors(what: str = "", only: Collection[int] = ()) -> Iterator[None]:
    """A full or failing disk may get well: try again later.

    `what` is by default the error's file; `only` are errnos, () all.
    """
    try:
        yield
    except OSError as error:
        if only and error.errno not in only:
            raise
        named = what or error.filename or "the disk"
        raise UnavailableError(
            f"{named} cannot be read or written ({error.strerror or type(error).__name__})"
        ) from error


def write_whole(content: bytes, file: Path, mode: int = 0o600, *, lasts: bool = True) -> None:
    """Put `content` in the place of `file`, durably; a reader sees what was there before or all of
    it.

    With `lasts` off what was there before may be there again after a loss of power. OSError, which
    names `file`, when it cannot be written; what was there then stands as it was. A device or a
    pipe is written into, and no file takes its place.
    """
    if file.exists() and not file.is_file() and not file.is_dir():
        file.write_bytes(content)
        return
    try:
        handle, name = tempfile.mkstemp(".partial", f".{file.name}.", file.parent)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(file)) from None
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as fresh:
            os.fchmod(fresh.fileno(), mode)
            write_through(fresh, content)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    if lasts:
        sync_folder(file.parent)


def write_new(content: bytes, file: Path, mode: int = 0o600) -> None:
    """Make `file` with that mode, whatever the umask, durably; FileExistsError when it is there,
    which then stands as it was.
    """
    with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as fresh:
        os.fchmod(fresh.fileno(), mode)
        write_through(fresh, content)
    sync_folder(file.parent)


def write_through(file: BinaryIO, content: bytes) -> None:
    """Write to the disk; a new file's name is not durable before its folder is."""
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def put_in_place(draft: Path, file: Path) -> None:
    """Have `draft`, which is synced, stand in the place of `file`, and stand there after a loss
    of power too.
    """
    draft.replace(file)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_standard_output(file: Path | None) -> bool:
    """Whether `file` means standard output: None or `-`."""
    return file is None or file == Path("-")


def write_out(content: bytes, file: Path | None) -> None:
    """Write to `file`, or to standard output for None and `-`."""
    if file is not None and not is_standard_output(file):
        write_whole(content, file)
        return
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
