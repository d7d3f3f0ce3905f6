"""Search in a child process: a native crash or an endless loop costs one result for one text.

`scan` and `assess` fork before they read anything. The child does all the work and records its
position in shared memory: the pieces of text that it searches, the part of matching at work
(`ullage.guard`), and how much of its output is written. If a signal ends the child, the parent
forks another, which reads the same files again. It searches the pieces in question one at a time,
skips the part in which a process died at that piece, and does not repeat output. A part that takes
`HANG_SECONDS` of processor time ends its process too.

    parent:  fork ── wait ── SIGSEGV in (piece 7, "labels") ── fork ── wait ── exit
    child 1: pieces 0 … 7 ✗                      child 2: pieces 0 … 6, 7 without "labels", 8 …

The parent exits with the last child's code.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import struct
import sys
from collections.abc import Callable
from typing import NamedTuple

import typer

from matcher.unpack.child import end_with
from ullage.errors import Exit
from ullage.guard import SearchTrace

HANG_SECONDS = 120.0
"""Processor time of one batch from which it counts as an endless loop.

It is a hundred times that of the slowest text.
"""
MOST_DEATHS = 16
"""Processes that may die in one run: a file made to kill them must not occupy a machine."""
LAYOUT = struct.Struct("<QQQQQ24s")
READING = "unpack"
MOST_TRIES = 2


class Place(NamedTuple):
    """The position of a process.

    It is in the `file`-th file, with `size` pieces from number `first` on, and the part at work.
    """

    file: int
    first: int
    size: int
    part: str


class OutputProgress(NamedTuple):
    """The output written so far: its numbers of pieces and messages."""

    pieces: int = 0
    messages: int = 0


class SearchNote:
    """The memory that child and parent share.

    In the child it is the trace that the search gets.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, LAYOUT.size)
        self.deaths: list[Place] = []
        self.resumed = OutputProgress()
        """What earlier children wrote."""
        self._write(Place(0, 0, 0, READING), self.resumed)

    def begin_file(self) -> bool:
        """Record that another file is read.

        Returns False if two processes died reading it, so that it is left out.
        """
        place = self._place()
        self._write(place._replace(file=place.file + 1, part=READING), self.written())
        return (
            sum(death.file == place.file + 1 and death.part == READING for death in self.deaths)
            < MOST_TRIES
        )

    def of(self, first: int, count: int) -> SearchTrace:
        """Return the trace of a search of these pieces, and begin to count its processor time."""
        signal.setitimer(signal.ITIMER_PROF, HANG_SECONDS)
        self._write(self._place()._replace(first=first, size=count, part="search"), self.written())
        skipped = {
            death.part for death in self.deaths if death.first == first and death.size == count == 1
        }
        return _NotedSearch(self._memory, skipped)

    def is_suspect(self, first: int, count: int) -> bool:
        """Return whether a process died while it searched one of these pieces."""
        return any(
            death.first < first + count and first < death.first + death.size
            for death in self.deaths
        )

    def rest(self) -> None:
        """Record that no piece is being searched: the next ones are read."""
        place = self._place()
        self._write(
            place._replace(first=place.first + place.size, size=0, part=READING), self.written()
        )

    def record_output(self, written: OutputProgress) -> None:
        """Record the output written so far."""
        self._write(self._place(), written)

    def written(self) -> OutputProgress:
        """Return the output written so far."""
        return OutputProgress(*LAYOUT.unpack(self._memory[:])[3:5])

    def bury(self) -> bool:
        """Record, in the parent, where a child died; return whether another may try."""
        self.deaths.append(self._place())
        self.resumed = self.written()
        self._write(Place(0, 0, 0, READING), self.resumed)
        return len(self.deaths) < MOST_DEATHS

    def _place(self) -> Place:
        file, first, count, _, _, part = LAYOUT.unpack(self._memory[:])
        return Place(file, first, count, part.rstrip(b"\0").decode())

    def _write(self, place: Place, written: OutputProgress) -> None:
        self._memory[:] = LAYOUT.pack(*place[:3], *written, place.part.encode())


class _NotedSearch:
    """A trace that records each part as it begins, unless a process died in it at that piece."""

    def __init__(self, memory: mmap.mmap, skipped: set[str]) -> None:
        self._memory, self._skipped = memory, skipped

    def enters(self, part: str) -> bool:
        """Record that `part` begins; return False where it must be skipped."""
        if part in self._skipped:
            return False
        self._memory[LAYOUT.size - 24 :] = part.encode().ljust(24, b"\0")
        return True


def supervise(fork: Callable[[], int] = os.fork) -> SearchNote | None:
    """Fork a child that searches, and return its note there.

    The parent does not return: it waits, starts another child if one dies by a signal, and exits
    with the last child's exit code, or with 3 if children die several times in the same part.
    Returns None, without a fork, if output does not go to this process's own standard output: then
    another program called this as a function, and a second process would continue that program's
    work.
    """
    if sys.__stdout__ is None or sys.stdout is not sys.__stdout__:
        return None
    note = SearchNote()
    sys.stdout.flush()
    parent = os.getpid()
    while (child := fork()) != 0:
        code = _wait(child)
        if code >= 0 or code in (-signal.SIGINT, -signal.SIGTERM, -signal.SIGPIPE, -signal.SIGHUP):
            # this process has nothing left to flush or close
            os._exit(code if code >= 0 else 128 - code)
        if not note.bury():
            reason = (
                f"signal {-code} ended the search in {note.deaths[-1].part!r} several"
                " times; the rest was not examined"
            )
            typer.echo(f"ullage: {reason}", err=True)
            os._exit(Exit.NO_VERDICT)
    end_with(ctypes.CDLL(None, use_errno=True), parent)
    return note


def _wait(child: int) -> int:
    """Wait for a child, and forward signals that ask this process to end.

    Returns the exit code, negative for a signal.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _frame: os.kill(child, got))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal signals the child too
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    signal.signal(signal.SIGINT, before)
    return code
