"""Keep a service running when its standard output or standard error cannot be written.

The disk below a log fills up, a pipe closes, a terminal hangs up, a reader stops reading: none of
these is a reason to stop looking for leaks. A service continues and counts the lost lines
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
"""Bytes that a pipe takes without blocking whenever `poll` reports it writable."""
WAIT_MILLISECONDS = 1000
"""Time limit for a slow reader.

A reader that exceeded it is not waited for again until it has read.
"""
STANDARD = range(3)
"""Descriptors of standard input, output and error."""


class Output(io.TextIOBase):
    """Writes to an open descriptor, unbuffered.

    Lines that cannot be written are dropped and counted in `lost`.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._is_torn, self._waits = False, WAIT_MILLISECONDS
        self.lost = 0

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """UTF-8, whatever the locale: the output is JSON and addresses."""
        return "utf-8"

    def write(self, text: str) -> int:
        """Write `text` as UTF-8 and return its length in characters, even if it is dropped.

        If the descriptor fails, or takes nothing within a second (or at once, after such a wait),
        what is not written yet is dropped, and all line breaks of `text`, at least 1, are added to
        `lost`. If part of it was written, the next text is separated by a line break.
        """
        pending = text.encode("utf-8", "backslashreplace")
        with self._lock:
            if self._is_torn:
                pending = b"\n" + pending  # separate it from a half-written line
            try:
                while pending:
                    pending = pending[self._put(pending[:PIECE_BYTES]) :]
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
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether the output is a terminal."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """Return True."""
        return True


def make_lossy(stream: Any, descriptor: int) -> Any:
    """Return an `Output` for the descriptor of `stream`; for None, one for `descriptor`.

    An `Output`, or a stream without a descriptor as in a test, is returned unchanged.
    """
    if isinstance(stream, Output):
        return stream
    try:
        return Output(stream.fileno() if stream is not None else descriptor)
    except (OSError, ValueError):
        return stream


def guard_errors() -> None:
    """Replace `sys.stderr` by an `Output`, which drops lines that cannot be written.

    Closed descriptors 0 to 2 are opened on /dev/null first: otherwise a file that is opened later
    would get such a number, and receive what a library prints.
    """
    for descriptor in STANDARD:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stderr = make_lossy(sys.stderr, 2)  # None where it was closed


@contextlib.contextmanager
def protect_output() -> Iterator[None]:
    """Replace standard output and standard error by `Output` inside the context, then restore them.

    So a write error drops lines instead of ending the process. Only for services, which print no
    results.
    """
    former = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = make_lossy(sys.stdout, 1), make_lossy(sys.stderr, 2)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = former


def count_lost_lines() -> int:
    """Return the number of lines lost so far by the current `sys.stdout` and `sys.stderr`.

    A stream that is no `Output` counts 0.
    """
    return sum(stream.lost for stream in (sys.stdout, sys.stderr) if isinstance(stream, Output))
