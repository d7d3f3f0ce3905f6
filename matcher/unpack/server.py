"""The server that children are forked from: `spawn` executes it with an empty environment. Descriptors: 0 the control socket.

A request is one packet: the kind of a container and the limits' numbers, and three descriptors: the container, the pipe to the
parent, and a leash. When nobody holds the other end of the leash any more, the child is killed; when it has ended, its exit code
is said there. The server itself never looks at a container.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import NamedTuple

from matcher.unpack import child
from matcher.unpack.confine import alone
from matcher.unpack.frames import ENDED, LONGEST_REQUEST

MOST_FILES = 256
"""Descriptors of the server: two for each child at work, and there is mostly one."""
Work = Callable[[list[str]], None]


class Running(NamedTuple):
    """A child at work; `ended` is readable when it has ended."""

    pid: int
    ended: int
    leash: socket.socket


def main() -> None:
    """Words: path of PDFium, folder of calamine (or nothing)."""
    pdfium, calamine = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST_FILES, MOST_FILES))
    tools = child.load(pdfium, calamine)
    libc = ctypes.CDLL(None, use_errno=True)
    has_namespace = alone(libc)
    gc.freeze()  # a child that collects would copy all of that
    server = os.getpid()
    serve(socket.socket(fileno=0), lambda words: child.work(libc, server, tools, words, has_namespace=has_namespace))


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
