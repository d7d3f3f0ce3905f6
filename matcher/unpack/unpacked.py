"""The parent's side: `unpack` a body, and believe nothing that the child says."""

from __future__ import annotations

import contextlib
import select
import signal
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import BinaryIO, Self

from matcher.unpack import frames, kinds
from matcher.unpack.frames import CONTENT, SEPARATOR
from matcher.unpack.limits import Limits
from matcher.unpack.magic import IN_PART, TEXT, UNREADABLE
from matcher.unpack.outcome import Member, Outcome
from matcher.unpack.spawn import Child, ForkServer
from ullage.errors import UnavailableError

LONGEST_PATH = 1000
CAUSES = {-signal.SIGXCPU: "timeout", -signal.SIGKILL: "memory", frames.OUT_OF_MEMORY: "memory"}
"""Exit codes that have a meaning of their own. Nobody but the kernel, out of memory, kills a child, or its server, while we wait
for it."""


class Broken(Exception):  # noqa: N818  an outcome on its way, not a fault of ours
    """The child died, overstepped a limit, or said what it may not."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def unpack(
    body: bytes | BinaryIO, name: str, limits: Limits | None = None, media_type: str = "", server: ForkServer | None = None
) -> Unpacked:
    """Members and outcomes of `body`, a container or not, called `name`; a context manager to iterate over once.

    A body that is text is itself the one member, and no child is started for it. `body` may be a file that is open for reading,
    which is then mapped by the child and never held here. Of a member that is cut off, what there is comes before its outcome.
    Whoever has many containers gives a `server` for all of their children, which costs a fiftieth of one for each.

    with unpack(body, "a.zip") as unpacked:
        for item in unpacked:
            ...  # a Member (read it before the next) or an Outcome
    """
    return Unpacked(body, name, limits or Limits(), media_type, server)


class Unpacked:
    """One run. Its memory is one frame, and what the caller makes of `Member.read`."""

    def __init__(
        self,
        body: bytes | BinaryIO,
        name: str,
        limits: Limits,
        media_type: str,
        server: ForkServer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._body, self._name, self._limits, self._media_type = body, name, limits, media_type
        self._stack, self._server = contextlib.ExitStack(), server
        self._clock, self._waited = clock, 0.0
        self._held, self._frames = bytearray(), _Checked(limits)
        self._child: Child | None = None
        self.flags = 0
        """What held in the child, `frames.NETNS` and `frames.SECCOMP`; 0 until it has said so, or where none was needed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def __iter__(self) -> Iterator[Member | Outcome]:
        head = self._body[: kinds.HEAD] if isinstance(self._body, bytes) else _head(self._body)
        kind = kinds.sniff(head, self._name)
        if kind == TEXT:
            yield Member(self._name, self._media_type or kinds.media_of(self._name), "", self._plain())
        elif kind in UNREADABLE:
            yield Outcome(self._name, kind)
        elif kind in IN_PART:
            yield Member(self._name, frames.BYTES, "", self._plain())
            yield Outcome(self._name, IN_PART[kind])
        else:
            yield from self._from_child(kind)

    def _plain(self) -> Callable[[], bytes]:
        """Pieces of a body that is text."""
        if isinstance(self._body, bytes):
            return iter((self._body, b"")).__next__
        file = self._body
        return lambda: file.read(frames.MAX_DATA)

    def _from_child(self, kind: str) -> Iterator[Member | Outcome]:
        server = self._server or self._stack.enter_context(ForkServer())
        self._child = self._stack.enter_context(server.child(kind, self._limits, self._body))
        alias = kinds.stem(self._name)
        try:
            while (frame := self._next())[0] != frames.DONE:
                if frame[0] == frames.HELLO:
                    self.flags = frame[1][0]
                elif frame[0] == frames.MEMBER:
                    charset, _, path = frame[1][1:].partition(b"\0")
                    container, media = divmod(frame[1][0], len(frames.MEDIA))
                    known = (frames.MEDIA[media], charset.decode("ascii", "ignore"), self._piece, frames.CONTAINERS[container])
                    yield Member(self._path(path, alias), *known)
                elif frame[0] == frames.OUTCOME:
                    yield Outcome(self._path(frame[1][1:], alias), frames.REASON[frame[1][0]])
        except Broken as broken:
            yield Outcome(self._name, broken.reason)
        finally:
            self._stack.close()
            if not self.flags & frames.SECCOMP:  # the child could have reached the server
                server.close()

    def _path(self, said: bytes, alias: str) -> str:
        """Path of a member as it may be shown; what the caller called the container is the caller's."""
        inner, outer = said.decode("utf-8", "replace"), ""
        while inner.startswith(SEPARATOR + CONTENT):
            outer, alias, inner = outer + SEPARATOR + alias, kinds.stem(alias), inner.removeprefix(SEPARATOR + CONTENT)
        return self._name + shown(outer + inner)

    def _piece(self) -> bytes:
        """The next bytes of the open member, or none at its end; also where the child breaks down, and the iteration says so."""
        if not self._frames.member_open:
            return b""
        try:
            kind, payload = self._next()
        except Broken as broken:
            self._frames.broken = broken
            return b""
        return payload if kind == frames.DATA else b""

    def _next(self) -> tuple[int, bytes]:
        """The next frame, checked."""
        if self._frames.broken:
            raise self._frames.broken
        head = self._take(frames.HEADER.size)
        kind, size = frames.HEADER.unpack(head)
        self._frames.expect(kind, size)
        payload = self._take(size)
        self._frames.check(kind, payload)
        return kind, payload

    def _take(self, size: int) -> bytes:
        """Bytes from the child, within its time."""
        while len(self._held) < size:
            self._held += self._some()
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken

    def _some(self) -> bytes:
        child = self._child
        if child is None:
            raise Broken("damaged")
        began = self._clock()
        left = self._limits.wall_seconds - self._waited
        poll = select.poll()  # select itself knows no descriptor beyond 1,023
        poll.register(child.stdout, select.POLLIN)
        ready = left > 0 and poll.poll(left * 1000)
        self._waited += self._clock() - began
        if not ready:
            raise Broken("timeout")
        got: bytes | None = child.stdout.read(frames.MAX_DATA)
        if not got:
            raise Broken(self._cause(child))
        return got

    def _cause(self, child: Child) -> str:
        """Why a child fell silent: a limit, or it crashed."""
        try:
            code = child.wait(1)
        except TimeoutError:  # it lives, and has closed its pipe
            return "damaged"
        if code is None and self._frames.is_first:
            raise UnavailableError("the process to unpack with ended before it began") from None
        return "memory" if code is None else CAUSES.get(code, "damaged")


class _Checked:
    """What the child may say next, and how much of it."""

    AFTER = {  # noqa: RUF012  a constant
        0: {frames.HELLO},
        frames.MEMBER: {frames.DATA, frames.END},
        frames.DATA: {frames.DATA, frames.END},
    }
    BETWEEN = frozenset((frames.MEMBER, frames.OUTCOME, frames.DONE))

    def __init__(self, limits: Limits) -> None:
        self._before = 0
        self._said_left = 4 * limits.entries + 64  # an entry may give a member and an outcome, a container its names
        self._bytes_left = limits.total_bytes + limits.entries * LONGEST_PATH
        self.broken: Broken | None = None

    @property
    def is_first(self) -> bool:
        """Whether nothing has been said."""
        return self._before == 0

    @property
    def member_open(self) -> bool:
        """Whether bytes of a member may follow."""
        return self._before in {frames.MEMBER, frames.DATA}

    def expect(self, kind: int, size: int) -> None:
        """Check a frame by its head, before its payload is taken."""
        if kind not in self.AFTER.get(self._before, self.BETWEEN) or size > (
            frames.MAX_DATA if kind == frames.DATA else frames.MAX_OTHER
        ):
            raise Broken("damaged")
        self._before = kind
        self._bytes_left -= size
        self._said_left -= kind in {frames.MEMBER, frames.OUTCOME}
        if self._bytes_left < 0:
            raise Broken("too_large")
        if self._said_left < 0:
            raise Broken("too_many")

    def check(self, kind: int, payload: bytes) -> None:
        """Check a payload as far as its first byte and its length go."""
        most = {frames.MEMBER: len(frames.MEDIA) * len(frames.CONTAINERS), frames.OUTCOME: len(frames.REASON), frames.HELLO: 4}
        if kind in most and (not payload or payload[0] >= most[kind]):
            raise Broken("damaged")
        if kind == frames.DATA and not payload:
            raise Broken("damaged")


def _head(file: BinaryIO) -> bytes:
    at = file.tell()
    head = file.read(kinds.HEAD)
    file.seek(at)
    return head


def shown(path: str) -> str:
    r"""A path that may be printed: nothing that moves a terminal, and not without end.

    >>> shown("!/\x1b[2J.csv")
    '!/�[2J.csv'
    """
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in path[-LONGEST_PATH:])
