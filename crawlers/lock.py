"""One process at a time holds a site: an exclusive `flock`, which the kernel frees with the process, whatever ended it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ullage.errors import ConfigError


def hold(folder: Path, site: str) -> int:
    """Take the lock of `site` and return its file descriptor; ConfigError names the process that has it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(folder / f"{site}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(handle)
        raise ConfigError(f"site {site} is being crawled by process {holder} already: stop it first") from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle
