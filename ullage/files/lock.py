"""One process at a time: an exclusive `flock`, which the kernel frees with the process, whatever ended it.

`hold` is for a place that somebody has for as long as he lives, `turn` for a moment's work that others wait for.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from ullage.errors import ConfigError


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
    """Wait for the lock on `path`, a folder that is there or a file that is made, and hold it meanwhile."""
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    handle = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
