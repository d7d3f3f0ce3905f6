"""Starting the child: executed, with nothing of ours but three descriptors and a few numbers."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from matcher.unpack.limits import Limits
from ullage.errors import UnavailableError

PROGRAM = "import sys; sys.path.append(sys.argv.pop(1)); from matcher.unpack.child import main; main()"
"""Without `site`: it costs more than half of the start, and all that the child needs is this folder and the standard library."""
ROOT = Path(__file__).parents[2]
PIPE_BYTES = 1 << 20
SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


@cache
def _pdfium() -> str:
    """Path of PDFium's library in the wheel of pypdfium2, or nothing. Its own bindings would add 30 ms to each start."""
    spec = find_spec("pypdfium2_raw")
    found = sorted(Path(spec.origin).parent.glob("libpdfium.*")) if spec and spec.origin else []
    return str(found[0]) if found else ""


@cache
def _calamine() -> str:
    """Folder of python-calamine, or nothing."""
    spec = find_spec("python_calamine")
    return str(Path(spec.origin).parents[1]) if spec and spec.origin else ""


def command(kind: str, limits: Limits) -> list[str]:
    """The words that start the child. Nothing of the container is in them but its kind."""
    without_cache = ["-B"] if sys.dont_write_bytecode else []
    return [
        sys.executable,
        "-I",
        "-S",
        *without_cache,
        "-c",
        PROGRAM,
        str(ROOT),
        str(os.getpid()),
        _pdfium(),
        _calamine(),
        kind,
        *limits.words(),
    ]


@contextlib.contextmanager
def started(words: Sequence[str], body: bytes | BinaryIO) -> Iterator[subprocess.Popen[bytes]]:
    """The child at work on `body`, its output in `stdout`; killed and gone at the end, whatever happened.

    Bytes go in as a sealed file in memory; a file goes in as itself (open it for reading only). The kernel kills the child when
    the thread that started it ends, so that thread must do the reading too. `UnavailableError` where the system is full.
    """
    with contextlib.ExitStack() as stack:
        try:
            source = _sealed(body) if isinstance(body, bytes) else os.dup(body.fileno())
            stack.callback(os.close, source)
            child = subprocess.Popen(
                words, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}, cwd="/", close_fds=True, bufsize=0
            )
        except OSError as error:  # no process, no descriptor or no memory left
            raise UnavailableError(f"a process to unpack with cannot be started ({error.strerror})") from None
        try:
            with contextlib.suppress(OSError):  # a wider pipe is faster, no more; users have a quota of it
                fcntl.fcntl(child.stdout or 1, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            yield child
        finally:
            child.kill()
            child.wait()
            if child.stdout:
                child.stdout.close()


def _sealed(body: bytes) -> int:
    """A file in memory that nobody can change any more."""
    held = os.memfd_create("container", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(body)
    while view:
        view = view[os.write(held, view) :]
    fcntl.fcntl(held, fcntl.F_ADD_SEALS, SEALS)
    return held
