"""The server, executed with an empty environment by `parent.ForkServer`, and the child that it forks for each container.

The server's descriptor 0 is the control socket. A request is one packet: the kind of a container and the limits' numbers, and
three descriptors: the container, the pipe to the parent, and a leash. When nobody holds the other end of the leash any more, the
child is killed; when it has ended, its exit code is said there. The server itself never looks at a container.

A library that is slow to load is loaded once, by a second server: a fork of the first that loads it and serves the requests for
it which the first passes on. So every child begins as one thread, whatever threads a library started as it was loaded: what the
child gives up, it gives up for all that it is. Where none of them has been wanted for a while, second servers end.

The child's descriptors: 0 the container, 1 the pipe to the parent, 2 nowhere. The order matters: the server loads all that any
parser may need (nothing can be opened later); the child gives up what can be given up; and only then looks at the first byte.
"""

from __future__ import annotations

import codecs
import contextlib
import ctypes
import datetime  # noqa: F401, ICN001  calamine wants it at the first date, when no file can be opened any more
import gc
import mmap
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from functools import partial

from matcher.unpack import kinds, protocol, sandbox
from matcher.unpack.limits import UnpackBudget
from matcher.unpack.protocol import ENDED, LONGEST_REQUEST
from matcher.unpack.walk import Walk

MOST_FILES = 256
"""Descriptors of a server: two for each child at work, and there is mostly one."""
IDLE_SECONDS = 60
"""Second servers are kept so long: that for pictures holds 0.4 GB."""
Load = Callable[[], object]
Work = Callable[[int, list[str]], None]
"""Read the container at descriptor 0; given the process that the child must end with, and the words of the request."""


def main() -> None:
    """Words: folders of optional packages."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST_FILES, MOST_FILES))
    load(sys.argv[1:])
    libc = ctypes.CDLL(None, use_errno=True)
    has_namespace = sandbox.alone(libc)
    Server(partial(work, libc, has_namespace=has_namespace), libc).serve()


class Server:
    """Forks a child for each request at descriptor 0; `own` is what a second server has loaded."""

    def __init__(self, work: Work, libc: ctypes.CDLL, own: Load | None = None) -> None:
        gc.freeze()  # a child that collects would copy all that is loaded
        self._control, self._work, self._libc, self._own = socket.socket(fileno=0), work, libc, own
        self._poll, self._watched = select.poll(), dict[int, Callable[[], None]]()
        self._seconds = dict[Load, socket.socket]()
        self._watch(0, self._take)

    def serve(self) -> None:
        """Until the other end of the control socket is closed and all children have ended."""
        while self._watched:
            ready = self._poll.poll(IDLE_SECONDS * 1000 if self._seconds else None)
            if not ready:
                self._end_seconds()
            for descriptor, _ in ready:
                if act := self._watched.get(descriptor):  # what it is about may have ended just now
                    act()

    def _watch(self, descriptor: int, act: Callable[[], None]) -> None:
        self._watched[descriptor] = act
        self._poll.register(descriptor, select.POLLIN)

    def _unwatch(self, descriptor: int) -> None:
        if self._watched.pop(descriptor, None):
            self._poll.unregister(descriptor)

    def _take(self) -> None:
        """Read a request, and start a child for it or have another server do so."""
        words, descriptors, *_ = socket.recv_fds(self._control, LONGEST_REQUEST, 3)
        if not words:  # nobody can ask any more
            self._unwatch(0)
            self._end_seconds()
            return
        kind = words.decode().partition("\0")[0]
        reader = kinds.formats().get(kind)
        if reader is not None and reader.is_heavy and reader.load not in (None, self._own):
            self._pass_on(reader.load, words, descriptors)
        else:
            self._start(words.decode().split("\0"), *descriptors)

    def _start(self, words: list[str], source: int, pipe: int, leash: int) -> None:
        """Start a child, which is killed when the leash is let go of, and say on the leash how it ended."""
        server, pid = os.getpid(), os.fork()
        if pid == 0:
            _become((source, pipe), lambda: self._work(server, words))
        os.close(source)
        os.close(pipe)
        ended = os.pidfd_open(pid)

        def kill() -> None:
            self._unwatch(leash)
            os.kill(pid, signal.SIGKILL)

        def say_end() -> None:
            self._unwatch(leash)
            self._unwatch(ended)
            os.close(ended)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            with socket.socket(fileno=leash) as end, contextlib.suppress(OSError):  # nobody listens any more
                end.send(ENDED.pack(code))

        self._watch(ended, say_end)
        self._watch(leash, kill)

    def _pass_on(self, load: Load, words: bytes, descriptors: list[int]) -> None:
        """Give a request to the server that has loaded what it needs; where it dies, the leash is let go of without a word."""
        for _ in range(2):
            if load not in self._seconds:
                self._seconds[load] = self._second(load)
            try:
                socket.send_fds(self._seconds[load], [words], descriptors)
                break
            except (BrokenPipeError, ConnectionResetError):  # it has died since
                self._seconds.pop(load).close()
        for descriptor in descriptors:
            os.close(descriptor)

    def _second(self, load: Load) -> socket.socket:
        """The control socket of a new server, which loads something first, and ends with this one."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        first, pid = os.getpid(), os.fork()
        if pid == 0:

            def serve() -> None:
                sandbox.end_with(self._libc, first)
                with _importing(sys.argv[1:]):
                    load()
                Server(self._work, self._libc, load).serve()

            _become((theirs.fileno(),), serve)
        theirs.close()
        ended = os.pidfd_open(pid)

        def bury() -> None:
            self._unwatch(ended)
            os.close(ended)
            os.waitpid(pid, 0)

        self._watch(ended, bury)
        return ours

    def _end_seconds(self) -> None:
        """End the second servers, each when its last child has ended."""
        for control in self._seconds.values():
            control.close()
        self._seconds.clear()


def _become(descriptors: tuple[int, ...], act: Callable[[], None]) -> None:
    """Be another process: with no descriptors but these, from 0 on, and what leads nowhere."""
    code = 1
    try:
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        os.closerange(3, MOST_FILES)
        act()
        code = 0
    finally:
        os._exit(code)  # never back into the server


PRIVATE, NO_RESERVE = mmap.MAP_PRIVATE, 0x4000
"""A file that is sealed, or open for reading only, maps so; and one larger than memory too (`man 2 mmap`)."""
ENCODINGS = "ascii latin-1 cp437 cp1252 utf-8 utf-16 utf-16-le utf-16-be gb18030 big5 raw-unicode-escape".split()
"""What names and headers are decoded from: Python reads each from a file at first use."""


def load(folders: list[str]) -> None:
    """Load all that a parser may need, which cannot be opened later; optional packages lie in `folders`."""
    for encoding in ENCODINGS:
        codecs.lookup(encoding)
    sandbox.program(os.uname().machine)  # made once
    with _importing(folders):
        kinds.load()


@contextlib.contextmanager
def _importing(folders: list[str]) -> Iterator[None]:
    """While packages in `folders` can be imported."""
    before = sys.path[:]
    sys.path += folders
    yield
    sys.path[:] = before


def work(libc: ctypes.CDLL, server: int, words: list[str], *, has_namespace: bool) -> None:
    """Read the container at descriptor 0. Words: its kind, and the limits' numbers."""
    kind, *limits = words
    size = os.fstat(0).st_size
    budget = UnpackBudget(limits, size)
    body = mmap.mmap(
        0, size, PRIVATE | NO_RESERVE, mmap.PROT_READ | mmap.PROT_WRITE
    )  # writable for ctypes' sake; copied if written
    sandbox.confine(libc, server, budget.cpu_seconds, budget.memory + size)
    flags = (protocol.NETNS if has_namespace else 0) | (protocol.SECCOMP if sandbox.seal(libc) else 0)
    if not flags & protocol.SECCOMP:
        sandbox.no_more_files()
    writer = protocol.ChildWriter(1)
    writer.hello(flags)
    if not flags:  # a parser with a network is worse than none
        writer.outcome("unsupported", "")
    else:
        try:
            Walk(budget, writer, kind).everything(kind, body)
        except MemoryError:
            os._exit(protocol.OUT_OF_MEMORY)
    writer.done()
