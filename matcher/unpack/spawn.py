"""Starting a child for a container: forked from a server that was executed afresh, holds nothing of ours and has read nothing.

The server loads what parsers need, once, which takes 60 ms; a fork takes 2. All that ever reaches it are descriptors, the kind of
a container and the limits' numbers, and it hears nothing from a child but how it ended. So a container that takes its child over
has no way to the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from matcher.unpack.frames import ENDED
from matcher.unpack.limits import Limits
from ullage.errors import UnavailableError

PROGRAM = "import sys; sys.path.append(sys.argv.pop(1)); from matcher.unpack.server import main; main()"
"""Without `site`: it costs more than half of the start, and all that is needed is this folder and the standard library."""
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


def command() -> list[str]:
    """The words that start the server."""
    without_cache = ["-B"] if sys.dont_write_bytecode else []
    return [sys.executable, "-I", "-S", *without_cache, "-c", PROGRAM, str(ROOT), _pdfium(), _calamine()]


class Child:
    """A child at work: its output in `stdout`, and a leash, at whose end the server kills it and says how it ended."""

    def __init__(self, stdout: BinaryIO, leash: socket.socket) -> None:
        self.stdout, self._leash = stdout, leash

    def wait(self, seconds: float | None = None) -> int | None:
        """How it ended, as `subprocess.Popen.returncode`; None where the server has ended, and with it all of its children.

        To be asked once. TimeoutError if it lives on.
        """
        self._leash.settimeout(seconds)
        said = self._leash.recv(ENDED.size)
        return int(ENDED.unpack(said)[0]) if len(said) == ENDED.size else None

    def end(self) -> None:
        """Kill it, unless it has ended; it is gone on return."""
        with contextlib.suppress(OSError):  # the server has gone, and taken it along
            self._leash.shutdown(socket.SHUT_WR)
            self.wait()
        self._leash.close()
        self.stdout.close()


class ForkServer:
    """Where children come from; a context manager. Started at the first child, and again if it died.

    It ends when its control socket closes, so with this process, however that ends.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The server's process, 0 while there is none."""
        return self._process.pid if self._process else 0

    def close(self) -> None:
        """End the server and its children, if it was started; the next child gets another."""
        if self._control:
            self._control.close()
        if self._process:
            self._process.kill()
            self._process.wait()
        self._process = self._control = None

    @contextlib.contextmanager
    def child(self, kind: str, limits: Limits, body: bytes | BinaryIO) -> Iterator[Child]:
        """A child at work on `body`, a container of that kind; killed and gone at the end, whatever happened.

        Bytes go in as a sealed file in memory; a file goes in as itself (open it for reading only). `UnavailableError` where the
        system is full.
        """
        with contextlib.ExitStack() as stack:
            try:
                source = _sealed(body) if isinstance(body, bytes) else os.dup(body.fileno())
                stack.callback(os.close, source)
                child = self._forked("\0".join((kind, *limits.words())).encode(), source)
            except OSError as error:  # no process, no descriptor or no memory left
                raise UnavailableError(f"a process to unpack with cannot be started ({error.strerror})") from None
            stack.callback(child.end)
            yield child

    def _forked(self, words: bytes, source: int) -> Child:
        """Have a child forked that reads `source`."""
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            stdout, pipe = os.pipe()
            file = ours.enter_context(open(stdout, "rb", buffering=0))  # noqa: PTH123  a descriptor
            theirs.callback(os.close, pipe)
            with contextlib.suppress(OSError):  # a wider pipe is faster, no more; users have a quota of it
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            leash, other = socket.socketpair()
            ours.enter_context(leash)
            theirs.enter_context(other)
            self._ask(words, [source, pipe, other.fileno()])
            ours.pop_all()
            return Child(file, leash)

    def _ask(self, words: bytes, descriptors: list[int]) -> None:
        """Send a request, to a new server if the one that there was has died."""
        if self._control:
            try:
                socket.send_fds(self._control, [words], descriptors)
            except (BrokenPipeError, ConnectionResetError):
                self.close()
            else:
                return
        socket.send_fds(self._start(), [words], descriptors)

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        with theirs:
            self._process = subprocess.Popen(
                command(), stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={}, cwd="/"
            )
        return ours


def _sealed(body: bytes) -> int:
    """A file in memory that nobody can change any more."""
    held = os.memfd_create("container", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(body)
    while view:
        view = view[os.write(held, view) :]
    fcntl.fcntl(held, fcntl.F_ADD_SEALS, SEALS)
    return held
