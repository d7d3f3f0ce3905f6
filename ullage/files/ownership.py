"""Read configuration, rules and keys only from files that nobody else can have written.

Such files name programs to run and keys to trust, so whoever writes one controls the service.
`read_trusted` returns a file's content only if the file is regular, not a symbolic link, owned by
root or by the reading user, and neither it nor any folder above it, up to a given root folder, is
writable by anybody else; a secret must not be readable by anybody else either. Otherwise it raises
ConfigError with the path, the fault and the cure. The checks use the opened descriptor (`fstat`),
never a path, which may lead elsewhere a moment later (CWE-367). A folder may be a symbolic link:
its parent folder shows who could have made it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ullage.errors import ConfigError

MAX_BYTES = 1024 * 1024
"""No configuration file or key is larger."""
WRITABLE = stat.S_IWGRP | stat.S_IWOTH
_LINK = (errno.ELOOP, errno.EMLINK)


def read_trusted(path: Path, root: Path | None = None, *, secret: bool = False) -> bytes:
    """Return the content of `path`, at most 1 MiB, after the checks that the module describes.

    `root` is the topmost folder to check, by default the file's own; with `secret`, nobody else may
    read the file. Raises FileNotFoundError if the file or a folder is missing, and ConfigError,
    which names the path, the fault and the cure, if a check fails.
    """
    root = root or path.parent
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(_open_folder(root, root, None))
        for depth, part in enumerate(parts := path.relative_to(root).parts[:-1], 1):
            folder = stack.enter_context(
                _open_folder(Path(part), root.joinpath(*parts[:depth]), folder)
            )
        return _read_file(path, folder, secret=secret)


def check_folder(path: Path) -> None:
    """Raise ConfigError if somebody else can put files into this folder.

    Raises FileNotFoundError if it does not exist.
    """
    with _open_folder(path, path, None):
        pass


@contextlib.contextmanager
def _open_folder(name: Path, shown: Path, within: int | None) -> Iterator[int]:
    """Yield the descriptor of a folder that nobody else can write to.

    `name` is relative to the opened folder `within`, if any; `shown` is the path for messages.
    Raises ConfigError if it cannot be read, or others can write to it, FileNotFoundError if it does
    not exist.
    """
    try:
        handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=within)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"{shown} cannot be read as a folder ({error.strerror})") from None
    try:
        _check(os.fstat(handle), shown)
        yield handle
    finally:
        os.close(handle)


def _read_file(path: Path, folder: int, *, secret: bool) -> bytes:
    """Return the content of a file in an opened folder.

    Raises FileNotFoundError if it does not exist, ConfigError for a link, a device, a file larger
    than `MAX_BYTES` (1 MiB), a file that others can write to, or a `secret` that others can read.
    """
    try:  # without O_NONBLOCK a pipe that lies there would be waited for
        handle = os.open(
            path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder
        )
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in _LINK:
            raise ConfigError(
                f"{path} is a symbolic link, which is not followed: replace it by a copy"
                " of the file"
            ) from None
        raise ConfigError(f"{path} cannot be read ({error.strerror})") from None
    status = os.fstat(handle)
    # before `fdopen`, which refuses a folder under the number of its descriptor
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise ConfigError(f"{path} is not a file: move it away")
    with os.fdopen(handle, "rb") as file:
        if secret and (mode := stat.S_IMODE(status.st_mode)) & 0o077:
            raise ConfigError(f"key {path} has mode {mode:04o}; make it 0600")
        _check(status, path)
        if status.st_size > MAX_BYTES:
            raise ConfigError(
                f"{path} is larger than {MAX_BYTES} bytes, so ullage did not write it: move it away"
            )
        return file.read(MAX_BYTES)


def _check(status: os.stat_result, path: Path) -> None:
    """Raise ConfigError unless root or this user owns the file and nobody else can write it."""
    if status.st_uid not in (0, os.geteuid()):
        owner = f"uid {status.st_uid}, neither root nor this user"
        raise ConfigError(
            f"{path} belongs to {owner} (uid {os.geteuid()}): look at it, then `chown` it"
        )
    if (mode := stat.S_IMODE(status.st_mode)) & WRITABLE:
        raise ConfigError(
            f"{path} has mode {mode:04o}, so others may write it: look at it, then `chmod go-w"
            f" {path}`"
        )
