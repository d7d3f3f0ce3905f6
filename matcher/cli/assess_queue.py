"""Whose dropped file is judged next, and how many bytes of those that wait are in memory: fair to each tenant.

A file is received whole before it waits for its turn, so that a slow upload holds nobody up but itself; what comes too slowly is
cut. Of those who wait the one goes first whose tenants were served longest ago, and of theirs the one that came first. Whoever
sees the same tenants shares one number of files and one of bytes: others neither use these up nor are counted in what is said.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ullage.clock import Clock
from ullage.errors import RecordError, UllageError, UnavailableError
from ullage.runtime import assessing

MOST_OF_ONE, MOST_OF_ALL = 8, 64
"""Files that come, wait or are judged, of those who see the same tenants and of all."""
MOST_HELD, RESERVED = 2 << 30, 32 << 20
"""Bytes of all files in memory; but so many everybody may have, whatever others hold."""
TURN_SECONDS = 60.0
SILENT_SECONDS, GRACE_SECONDS, SLOWEST = 30.0, 60.0, 4 << 10
"""Without a byte for so long, or after a while slower than so many bytes a second, a file does not come any more."""
PIECE = 1 << 20
SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


class FullError(UllageError):
    """There is no room, or no turn, for one more file now."""


@dataclass(slots=True, eq=False)
class QueuePlace:
    """A file that comes, waits or is judged, of whoever sees `tenants`."""

    tenants: str
    held: int = 0
    is_whole: bool = False


@dataclass(slots=True)
class AssessmentQueue:
    """Who is there, in the order of coming. Threads share it."""

    _places: list[QueuePlace] = field(default_factory=list)
    _served: dict[str, int] = field(default_factory=dict)
    """When each was served last, counted."""
    _now: QueuePlace | None = None
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def waiting(self, tenants: str) -> int:
        """How many files there are of whoever sees `tenants`."""
        with self._changed:
            return sum(one.tenants == tenants for one in self._places)

    @contextlib.contextmanager
    def place(self, tenants: str) -> Iterator[QueuePlace]:
        """A place for a file that is to come; FullError where there is none."""
        mine = QueuePlace(tenants)
        with self._changed:
            if len(self._places) >= MOST_OF_ALL or sum(one.tenants == tenants for one in self._places) >= MOST_OF_ONE:
                raise FullError("too many files wait")
            self._places.append(mine)
        try:
            yield mine
        finally:
            with self._changed:
                self._places.remove(mine)
                self._changed.notify_all()

    def hold(self, mine: QueuePlace, size: int) -> None:
        """So many bytes more are held of a file; FullError where there is no room for them."""
        with self._changed:
            ours = size + sum(one.held for one in self._places if one.tenants == mine.tenants)
            everything = size + sum(one.held for one in self._places)
            if ours > RESERVED and (ours > assessing.MOST_BYTES or everything > MOST_HELD):
                raise FullError("files that wait fill the memory")
            mine.held += size

    @contextlib.contextmanager
    def turn(self, mine: QueuePlace, say: Callable[[int], None], clock: Clock, seconds: float = 0.5) -> Iterator[None]:
        """Wait until it is this file's turn, and be the one meanwhile; FullError where that takes too long.

        `say` is told every `seconds` how many of theirs are before it, the one that is judged among them; it raises where nobody
        waits any more.
        """
        until = clock.monotonic() + TURN_SECONDS
        with self._changed:
            mine.is_whole = True
        while not self._began(mine, 0.0):
            say(self._before(mine))
            if self._began(mine, seconds):
                break
            if clock.monotonic() > until:
                raise FullError("others take too long")
        try:
            yield
        finally:
            with self._changed:
                self._now = None
                self._changed.notify_all()

    def _began(self, mine: QueuePlace, seconds: float) -> bool:
        """Whether it is its turn now, or within so many seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._now is None and self._next() is mine, seconds):
                return False
            self._now = mine
            present = {one.tenants for one in self._places}
            self._served = {one: at for one, at in self._served.items() if one in present}
            self._served[mine.tenants] = max(self._served.values(), default=0) + 1
            return True

    def _next(self) -> QueuePlace | None:
        whole = [one for one in self._places if one.is_whole and one is not self._now]
        return min(whole, key=lambda one: self._served.get(one.tenants, 0), default=None)  # of equals the first that came

    def _before(self, mine: QueuePlace) -> int:
        with self._changed:
            whole = [one for one in self._places if one.tenants == mine.tenants and one.is_whole]
            return max(1, whole.index(mine))


@contextlib.contextmanager
def received(
    connection: socket.socket, queue: AssessmentQueue, mine: QueuePlace, clock: Clock, began: float, *, framed: bool = False
) -> Iterator[int]:
    """What comes in frames, as the descriptor of a file in memory that nobody can change; with the frames where they are wanted.

    `began` is when the sender was told to go, in seconds of `clock.monotonic`: what is slow is measured from there.
    RecordError for what is larger than a file may be, or comes too slowly; FullError where there is no room for it.
    """
    held = os.memfd_create("dropped", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        try:
            connection.settimeout(SILENT_SECONDS)
            _pour(_Pieces(connection, clock, began), held, queue, mine, framed=framed)
            connection.settimeout(None)
        except TimeoutError:
            raise RecordError("slow", f"nothing of the file came for {SILENT_SECONDS:.0f} s") from None
        fcntl.fcntl(held, fcntl.F_ADD_SEALS, SEALS)
        os.lseek(held, 0, os.SEEK_SET)
        yield held
    finally:
        os.close(held)


def _pour(pieces: _Pieces, held: int, queue: AssessmentQueue, mine: QueuePlace, *, framed: bool) -> None:
    """Write frames up to the empty one into `held`, as they come."""
    while left := assessing.LENGTH.unpack(head := pieces.exactly(assessing.LENGTH.size))[0]:
        if left > assessing.MOST_FRAME:
            raise RecordError("too_large", "a frame is longer than any may be")
        _write(held, head if framed else b"")
        while left:
            some = pieces.some(left)
            left -= len(some)
            if mine.held + len(some) > assessing.MOST_BYTES:
                raise RecordError("too_large", "the file is larger than 1 GiB, which is the most that is taken")
            queue.hold(mine, len(some))
            _write(held, some)
    _write(held, assessing.framed(b"") if framed else b"")


@dataclass(slots=True)
class _Pieces:
    """What comes on a connection, unless it comes too slowly."""

    connection: socket.socket
    clock: Clock
    began: float
    size: int = 0

    def exactly(self, size: int) -> bytes:
        held = bytearray()
        while len(held) < size:
            held += self.some(size - len(held))
        return bytes(held)

    def some(self, most: int) -> bytes:
        """At least one byte; UnavailableError where the other side hung up."""
        got = self.connection.recv(min(most, PIECE))
        if not got:
            raise UnavailableError("the other side hung up")
        self.size += len(got)
        if self.size < SLOWEST * (self.clock.monotonic() - self.began - GRACE_SECONDS):
            raise RecordError("slow", f"the file comes more slowly than {SLOWEST >> 10} KiB a second")
        return got


def _write(held: int, some: bytes) -> None:
    view = memoryview(some)
    while view:
        view = view[os.write(held, view) :]
