"""One process at a time: an exclusive `flock` on a file, which the kernel frees with the process, whatever ended it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ullage.errors import ConfigError


def hold(path: Path, what: str) -> int:
    """Take the lock on `path` and return its file descriptor, to be closed to free it.

    ConfigError says that `what` is held, and by which process.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(handle)
        raise ConfigError(f"{what} by process {holder} already: stop it first") from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle
