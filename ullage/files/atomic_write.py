"""Write files completely or not at all, and take locks between processes.

`write_whole` replaces a file: it writes a draft beside it, syncs the draft to the disk, and renames
it, so that a reader or a crash sees the old content or all of the new. `write_new` creates a file
and never overwrites one. Files are readable by their owner only unless a mode is given. A lock is
an `flock` on a file or folder, which the kernel releases when its process ends: `take_lock` fails
at once if it is held, for a lock that a process keeps for its lifetime; `wait_for_lock` waits, for
a short task. A disk that fails raises OSError; `disk_errors` makes it an error that is retried.
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
    """Another process holds the lock; the message has its process id."""


def take_lock(path: Path, what: str) -> int:
    """Take the lock on the file `path`, created if missing, and return its file descriptor.

    The file's content becomes our process id. Closing the descriptor releases the lock; the file
    stays. Raises HeldError at once if another process holds it; its message begins with `what`,
    such as `the audit log is being sent`, then names the holder.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(handle)
        raise HeldError(f"{what} by another process ({holder}): stop it first") from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle


@contextlib.contextmanager
def wait_for_lock(path: Path) -> Iterator[None]:
    """Hold the lock on `path` inside the context, waiting for it if necessary, however long.

    `path` is an existing folder, or a file that is created. Raises OSError if it cannot be opened.
    """
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    handle = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


OF_A_DISK = frozenset({errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""Errors of a disk, whatever is written to it."""


@contextlib.contextmanager
def disk_errors(what: str = "", only: Collection[int] = ()) -> Iterator[None]:
    """Return a context that turns OSError into UnavailableError, so that the work is retried.

    The message names `what`, by default the file of the error, else "the disk". `only` are the
    errnos to convert, () for all; an OSError with another errno is raised as it is.
    """
    try:
        yield
    except OSError as error:
        if only and error.errno not in only:
            raise
        named = what or error.filename or "the disk"
        raise UnavailableError(
            f"{named} cannot be read or written ({error.strerror or type(error).__name__}):"
            " check the disk and its room"
        ) from error


def write_whole(content: bytes, file: Path, mode: int = 0o600, *, lasts: bool = True) -> None:
    """Replace `file` by `content`; readers see the old content or all of the new.

    The new file has exactly this `mode`, whatever the umask. It is durable on return, unless
    `lasts` is off: then a loss of power may bring the old content back. Raises OSError if it cannot
    be written; the old content then stays. A device or a pipe is written to directly, without
    `mode`.
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
    """Create `file` with exactly this `mode`, whatever the umask; durable on return.

    Raises FileExistsError if it exists, and leaves it unchanged.
    """
    with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as fresh:
        os.fchmod(fresh.fileno(), mode)
        write_through(fresh, content)
    sync_folder(file.parent)


def write_through(file: BinaryIO, content: bytes) -> None:
    """Write `content` to an open file and sync it to the disk.

    The name of a new file is durable only after `sync_folder` of its folder.
    """
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def put_in_place(draft: Path, file: Path) -> None:
    """Rename `draft` to `file`, replacing an existing file; the name is durable on return.

    The content of `draft` must be synced already.
    """
    draft.replace(file)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make created, renamed and removed names in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_standard_output(file: Path | None) -> bool:
    """Return whether `file` means standard output: None or `-`."""
    return file is None or file == Path("-")


def write_out(content: bytes, file: Path | None) -> None:
    """Write `content` to standard output if `file` is None or `-`, else durably to `file`.

    An existing file is replaced. The file gets mode 0600; see `write_whole` for errors.
    """
    if file is not None and not is_standard_output(file):
        write_whole(content, file)
        return
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
