"""Standard output and standard error that no longer end a service when nobody takes what is written
to them.

The disk below a log fills up, a pipe closes, a terminal hangs up, a reader stops reading: none of
that is a reason to stop looking for leaks. A service goes on, and counts the lines that are lost
(`ullage_output_lost_lines_total`).
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
import threading
from collections.abc import Iterator
from typing import Any

PIECE_BYTES = select.PIPE_BUF
"""So much a pipe takes at once without blocking, where `poll` says that it takes anything."""
WAIT_MILLISECONDS = 1000
"""How long a reader that is slow is waited for; one that kept us waiting is not waited for again
before it has read.
"""
STANDARD = range(3)
"""Descriptors of standard input, output and error."""


class Output(io.TextIOBase):
    """Writes to an open descriptor, unbuffered; the lines that cannot be written are lost and
    counted in `lost`.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._is_torn, self._waits = False, WAIT_MILLISECONDS
        self.lost = 0

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """UTF-8, whatever the locale: what is written is JSON and addresses."""
        return "utf-8"

    def write(self, text: str) -> int:
        """Write `text`, or lose it."""
        left = text.encode("utf-8", "backslashreplace")
        with self._lock:
            if self._is_torn:
                left = b"\n" + left  # a line of which only the first half was written stands alone
            try:
                while left:
                    left = left[self._put(left[:PIECE_BYTES]) :]
                    self._is_torn = True
            except OSError:
                self.lost += max(1, text.count("\n"))
            else:
                self._is_torn = False
        return len(text)

    def _put(self, piece: bytes) -> int:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        if not poll.poll(self._waits):
            self._waits = 0
            raise TimeoutError
        self._waits = WAIT_MILLISECONDS
        return os.write(self._descriptor, piece)

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether a person reads it."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """It can be written to."""
        return True


def lossy(stream: Any, descriptor: int) -> Any:
    """`stream` as an `Output`; as it is where it has no descriptor, as in a test, or is one
    already. None is `descriptor`.
    """
    if isinstance(stream, Output):
        return stream
    try:
        return Output(stream.fileno() if stream is not None else descriptor)
    except (OSError, ValueError):
        return stream


def guard_errors() -> None:
    """For the whole process: no message is worth ending it for.

    Descriptors 0 to 2 that are closed lead nowhere instead.

    A file that is opened later would otherwise get such a number, and what a library prints would
    be written into it.
    """
    for descriptor in STANDARD:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stderr = lossy(sys.stderr, 2)  # None where it was closed


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Meanwhile neither standard output nor standard error ends the process.

    Only for services: they print no results.
    """
    former = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = lossy(sys.stdout, 1), lossy(sys.stderr, 2)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = former


def lost_lines() -> int:
    """How many lines of this process were lost so far."""
    return sum(stream.lost for stream in (sys.stdout, sys.stderr) if isinstance(stream, Output))
