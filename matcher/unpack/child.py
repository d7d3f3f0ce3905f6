"""The server, executed with an empty environment by `parent.ForkServer`, and the child that it forks for each container.

The server's descriptor 0 is the control socket. A request is one packet: the kind of a container and the limits' numbers, and
three descriptors: the container, the pipe to the parent, and a leash. When nobody holds the other end of the leash any more, the
child is killed; when it has ended, its exit code is said there. The server itself never looks at a container.

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
from typing import NamedTuple

from matcher.unpack import protocol, registry, sandbox
from matcher.unpack.limits import Budget
from matcher.unpack.protocol import ENDED, LONGEST_REQUEST
from matcher.unpack.walk import Walk

MOST_FILES = 256
"""Descriptors of the server: two for each child at work, and there is mostly one."""
Work = Callable[[list[str]], None]


class Running(NamedTuple):
    """A child at work; `ended` is readable when it has ended."""

    pid: int
    ended: int
    leash: socket.socket


def main() -> None:
    """Words: folders of optional packages."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST_FILES, MOST_FILES))
    load(sys.argv[1:])
    libc = ctypes.CDLL(None, use_errno=True)
    has_namespace = sandbox.alone(libc)
    gc.freeze()  # a child that collects would copy all of that
    server = os.getpid()
    serve(socket.socket(fileno=0), lambda words: work(libc, server, words, has_namespace=has_namespace))


def serve(control: socket.socket, work: Work) -> None:
    """Fork a child for each request, until the other end of `control` closes."""
    poll, running = select.poll(), dict[int, Running]()
    poll.register(control, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == control.fileno():
                one = _take(control, work)
                if one is None:
                    return
                for waited in (one.ended, one.leash.fileno()):
                    running[waited] = one
                    poll.register(waited, select.POLLIN)
            elif (one := running.get(descriptor)) is None:
                continue  # it has ended just now
            elif descriptor == one.ended:
                for waited in (one.ended, one.leash.fileno()):
                    del running[waited]
                    with contextlib.suppress(KeyError):
                        poll.unregister(waited)
                _say_end(one)
            else:
                poll.unregister(descriptor)
                os.kill(one.pid, signal.SIGKILL)


def _take(control: socket.socket, work: Work) -> Running | None:
    """Read a request and start a child for it; None where nobody can ask any more."""
    words, descriptors, *_ = socket.recv_fds(control, LONGEST_REQUEST, 3)
    if not words:
        return None
    source, pipe, leash = descriptors
    pid = os.fork()
    if pid == 0:
        _become(source, pipe, words.decode().split("\0"), work)
    os.close(source)
    os.close(pipe)
    return Running(pid, os.pidfd_open(pid), socket.socket(fileno=leash))


def _become(source: int, pipe: int, words: list[str], work: Work) -> None:
    """Be the child: no descriptor but the container's, the pipe's, and one that leads nowhere."""
    code = 1
    try:
        os.dup2(source, 0)
        os.dup2(pipe, 1)
        os.closerange(3, MOST_FILES)
        work(words)
        code = 0
    finally:
        os._exit(code)  # never back into the server


def _say_end(one: Running) -> None:
    code = os.waitstatus_to_exitcode(os.waitpid(one.pid, 0)[1])
    with contextlib.suppress(OSError):  # nobody listens any more
        one.leash.send(ENDED.pack(code))
    one.leash.close()
    os.close(one.ended)


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
        registry.load()


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
    reader = registry.formats().get(kind)
    if reader is not None and reader.is_heavy and reader.load is not None:
        with _importing(sys.argv[1:]):
            reader.load()
    size = os.fstat(0).st_size
    budget = Budget(limits, size)
    body = mmap.mmap(
        0, size, PRIVATE | NO_RESERVE, mmap.PROT_READ | mmap.PROT_WRITE
    )  # writable for ctypes' sake; copied if written
    sandbox.confine(libc, server, budget.cpu_seconds, budget.memory + size)
    flags = (protocol.NETNS if has_namespace else 0) | (protocol.SECCOMP if sandbox.seal(libc) else 0)
    if not flags & protocol.SECCOMP:
        sandbox.no_more_files()
    writer = protocol.Writer(1)
    writer.hello(flags)
    if not flags:  # a parser with a network is worse than none
        writer.outcome("unsupported", "")
    else:
        try:
            Walk(budget, writer, kind).everything(kind, body)
        except MemoryError:
            os._exit(protocol.OUT_OF_MEMORY)
    writer.done()
