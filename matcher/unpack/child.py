"""The server that `parent.ForkServer` executes with an empty environment, and its children.

The server forks a child for each container. The child gives up system calls for good: reading,
writing, memory and exit remain. The allow-list is a classic BPF program (`man 2 seccomp`),
installed by prctl, which needs no privilege after no_new_privs. Any other call returns EPERM, so
that a library's optional call does no harm: no file can be opened, no socket made, nothing executed
or forked, no other process signalled or traced. Executable memory is refused too, so that code
cannot be injected. Numbers are from the kernel's tables (`asm/unistd_64.h`,
`asm-generic/unistd.h`).

The server's descriptor 0 is the control socket. A request is one packet: the kind of a container,
the numbers of the limits, passwords that were stated beside it, and three descriptors: the
container, the pipe to the parent, and a leash. When the other end of the leash is closed, the child
is killed; when the child has ended, its exit code is written to the leash. The server itself never
looks at a container.

A slow library is loaded one time, by a second server: a fork of the first, which passes requests
for that library on to it. Every child therefore begins as one thread, whatever threads a library
started while loading, and what the child gives up is given up for the whole process. Second servers
end when they have been idle for a while.

The child's descriptors are 0 the container, 1 the pipe to the parent, 2 nowhere. The order matters:
the server imports everything that a parser may need (nothing can be opened later), the child gives
up its rights, and only then reads the first byte.
"""

from __future__ import annotations

import codecs
import contextlib
import ctypes

# calamine wants it at the first date, when no file can be opened any more
import datetime  # noqa: F401, ICN001
import gc
import mmap
import os
import resource
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from functools import cache, partial

from matcher.unpack import formats, protocol
from matcher.unpack.protocol import ENDED, LONGEST_REQUEST, UnpackBudget
from matcher.unpack.walk import Walk

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000


def isolate(libc: ctypes.CDLL) -> bool:
    """Cut this process and its future children off the network; return whether that succeeded.

    It needs CAP_SYS_ADMIN, or user namespaces open to all, which some systems and container
    runtimes refuse; `seal` then still forbids sockets on x86-64 and ARM64. From now on no
    process without CAP_SYS_PTRACE can inspect this one, and it leaves no core dump.
    """
    has_namespace = any(
        libc.unshare(flags) == 0 for flags in (CLONE_NEWNET, CLONE_NEWUSER | CLONE_NEWNET)
    )
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    _limit(resource.RLIMIT_CORE, 0)
    return has_namespace


def confine(libc: ctypes.CDLL, parent: int, cpu_seconds: int, memory_bytes: int) -> None:
    """Limit this process's memory (bytes) and processor time, and forbid it to write files.

    The kernel kills it when the process `parent`, which must be its parent, ends.
    """
    end_with(libc, parent)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_AS, memory_bytes)
    _limit(resource.RLIMIT_CPU, cpu_seconds, 1)  # SIGXCPU first, which says why


def end_with(libc: ctypes.CDLL, parent: int) -> None:
    """Have the kernel kill this process when its parent ends; exit at once if that happened.

    `parent` is the process id that the parent should have.
    """
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # the parent died before the call above
        os._exit(1)


def _limit(what: int, most: int, spare: int = 0) -> None:
    """Lower a resource limit for good; a limit that is lower already stays."""
    hard = resource.getrlimit(what)[1]
    bounds = (
        (most, most + spare)
        if hard == resource.RLIM_INFINITY
        else (min(most, hard), min(most + spare, hard))
    )
    resource.setrlimit(what, bounds)


X86_64 = (0xC000003E, 9, 10, {
    "read": 0, "write": 1, "close": 3, "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11,
    "brk": 12, "rt_sigaction": 13,
    "rt_sigprocmask": 14, "rt_sigreturn": 15, "pread64": 17, "writev": 20, "sched_yield": 24,
    "mremap": 25, "madvise": 28,
    "exit": 60, "gettimeofday": 96, "sigaltstack": 131, "futex": 202, "clock_gettime": 228,
    "exit_group": 231, "getrandom": 318,
})  # fmt: skip
AARCH64 = (0xC00000B7, 222, 226, {
    "read": 63, "write": 64, "close": 57, "lseek": 62, "mmap": 222, "mprotect": 226, "munmap": 215,
    "brk": 214,
    "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "pread64": 67, "writev": 66,
    "sched_yield": 124,
    "mremap": 216, "madvise": 233, "exit": 93, "gettimeofday": 169, "sigaltstack": 132, "futex": 98,
    "clock_gettime": 113,
    "exit_group": 94, "getrandom": 278,
})  # fmt: skip
MACHINES = {"x86_64": X86_64, "aarch64": AARCH64}
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 1
NUMBER, ARCHITECTURE, THIRD_ARGUMENT = 0, 4, 16 + 2 * 8
PROT_EXEC = 4
PR_SET_SECCOMP, MODE_FILTER = 22, 2


@cache
def program(machine: str) -> bytes:
    """Return the seccomp filter (BPF code) for a machine type of `os.uname`; b"" if unsupported.

    Each instruction has eight bytes: code u16, jump if true u8, jump if false u8, operand u32.
    """
    if machine not in MACHINES:
        return b""
    audit, mmap, mprotect, numbers = MACHINES[machine]
    plain = [number for number in numbers.values() if number not in (mmap, mprotect)]
    code = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, audit),
        (RETURN, 0, 0, REFUSE),
        (LOAD, 0, 0, NUMBER),
    ]
    for n, number in enumerate((*plain, mmap, mprotect)):
        remaining = len(plain) + 1 - n  # comparisons still to come
        code.append((EQUAL, remaining + (2 if number in (mmap, mprotect) else 1), 0, number))
    code += [(RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]
    code += [
        (LOAD, 0, 0, THIRD_ARGUMENT),
        (ANY_BIT, 0, 1, PROT_EXEC),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in code)


def seal(libc: ctypes.CDLL) -> bool:
    """Give up all system calls that the filter does not allow, for good.

    Returns False if the kernel or the machine does not support it.
    """
    steps = program(os.uname().machine)
    if not steps:
        return False
    buffer = ctypes.create_string_buffer(steps, len(steps))
    filter_ = struct.pack("@HP", len(steps) // 8, ctypes.addressof(buffer))
    return bool(libc.prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.c_char_p(filter_), 0, 0) == 0)


MOST_FILES = 256
"""Descriptors of a server: two for each child at work, and mostly there is one child."""
IDLE_SECONDS = 60
"""Seconds for which an idle second server is kept; that for pictures holds 0.4 GB."""
Load = Callable[[], object]
Work = Callable[[int, list[str]], None]
"""Reads the container at descriptor 0.

The arguments are the process that the child must end with, and the words of the request.
"""


def main() -> None:
    """Run the server; the arguments are folders of optional packages."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST_FILES, MOST_FILES))
    load(sys.argv[1:])
    libc = ctypes.CDLL(None, use_errno=True)
    has_namespace = isolate(libc)
    Server(partial(work, libc, has_namespace=has_namespace), libc).serve()


class Server:
    """The server: forks a child for each request that arrives on descriptor 0.

    `loaded` is the load that a second server has imported.
    """

    def __init__(self, work: Work, libc: ctypes.CDLL, loaded: Load | None = None) -> None:
        gc.freeze()  # a child that collects would copy all that is loaded
        self._control, self._work, self._libc, self._loaded = (
            socket.socket(fileno=0),
            work,
            libc,
            loaded,
        )
        self._poll, self._watched = select.poll(), dict[int, Callable[[], None]]()
        self._seconds = dict[Load, socket.socket]()
        self._watch(0, self._accept_request)

    def serve(self) -> None:
        """Serve until the control socket is closed and all children have ended."""
        while self._watched:
            ready = self._poll.poll(IDLE_SECONDS * 1000 if self._seconds else None)
            if not ready:
                self._end_seconds()
            for descriptor, _ in ready:
                if act := self._watched.get(descriptor):  # its process may have ended just now
                    act()

    def _watch(self, descriptor: int, act: Callable[[], None]) -> None:
        self._watched[descriptor] = act
        self._poll.register(descriptor, select.POLLIN)

    def _unwatch(self, descriptor: int) -> None:
        if self._watched.pop(descriptor, None):
            self._poll.unregister(descriptor)

    def _accept_request(self) -> None:
        """Read a request, and start a child for it here or in a second server.

        When the control socket is closed, no more is accepted, and second servers are ended.
        """
        words, descriptors, *_ = socket.recv_fds(self._control, LONGEST_REQUEST, 3)
        if not words:  # no more requests can arrive
            self._unwatch(0)
            self._end_seconds()
            return
        kind = words.decode().partition("\0")[0]
        reader = formats.find_formats().get(kind)
        if reader is not None and reader.is_heavy and reader.load not in (None, self._loaded):
            self._pass_on(reader.load, words, descriptors)
        else:
            self._start(words.decode().split("\0"), *descriptors)

    def _start(self, words: list[str], source: int, pipe: int, leash: int) -> None:
        """Start a child, and report on the leash how it ended.

        The child is killed when the other end of the leash is closed.
        """
        server, pid = os.getpid(), os.fork()
        if pid == 0:
            _become((source, pipe), lambda: self._work(server, words))
        os.close(source)
        os.close(pipe)
        ended = os.pidfd_open(pid)

        def kill() -> None:
            self._unwatch(leash)
            os.kill(pid, signal.SIGKILL)

        def report_end() -> None:
            self._unwatch(leash)
            self._unwatch(ended)
            os.close(ended)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            # the parent may have closed the leash
            with socket.socket(fileno=leash) as end, contextlib.suppress(OSError):
                end.send(ENDED.pack(code))

        self._watch(ended, report_end)
        self._watch(leash, kill)

    def _pass_on(self, load: Load, words: bytes, descriptors: list[int]) -> None:
        """Pass a request to the server that has imported what it needs.

        If that server is dead, the leash is closed without a report.
        """
        for _ in range(2):
            if load not in self._seconds:
                self._seconds[load] = self._start_second(load)
            try:
                socket.send_fds(self._seconds[load], [words], descriptors)
                break
            except (BrokenPipeError, ConnectionResetError):  # the server has died meanwhile
                self._seconds.pop(load).close()
        for descriptor in descriptors:
            os.close(descriptor)

    def _start_second(self, load: Load) -> socket.socket:
        """Start a server that imports `load` first, and return its control socket.

        The new server is a fork, which ends with this one.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        first, pid = os.getpid(), os.fork()
        if pid == 0:

            def serve() -> None:
                end_with(self._libc, first)
                with _importing(sys.argv[1:]):
                    load()
                Server(self._work, self._libc, load).serve()

            _become((theirs.fileno(),), serve)
        theirs.close()
        ended = os.pidfd_open(pid)

        def reap() -> None:
            self._unwatch(ended)
            os.close(ended)
            os.waitpid(pid, 0)

        self._watch(ended, reap)
        return ours

    def _end_seconds(self) -> None:
        """End the second servers, each after its last child."""
        for control in self._seconds.values():
            control.close()
        self._seconds.clear()


def _become(descriptors: tuple[int, ...], act: Callable[[], None]) -> None:
    """Turn a forked process into a clean one and run `act` in it.

    It keeps only these descriptors, numbered from 0, and nothing that leads elsewhere.
    """
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
"""A file that is sealed, or open for reading only, maps so; and one larger than memory too (`man
2 mmap`).
"""
ENCODINGS = (
    "ascii latin-1 cp437 cp1252 utf-8 utf-16 utf-16-le utf-16-be gb18030 big5 raw-unicode-escape"
).split()
"""Encodings of names and headers; Python reads each from a file at first use."""


def load(folders: list[str]) -> None:
    """Import everything that a parser may need, since no file can be opened later.

    `folders` hold the optional packages.
    """
    for encoding in ENCODINGS:
        codecs.lookup(encoding)
    program(os.uname().machine)  # made once
    with _importing(folders):
        formats.load_readers()


@contextlib.contextmanager
def _importing(folders: list[str]) -> Iterator[None]:
    """Allow imports from `folders` within this context."""
    before = sys.path[:]
    sys.path += folders
    yield
    sys.path[:] = before


def work(libc: ctypes.CDLL, server: int, words: list[str], *, has_namespace: bool) -> None:
    """Confine this process, read the container at descriptor 0, and write frames to descriptor 1.

    `matcher.unpack.protocol` explains frames. `words` are the container's kind, then the numbers
    of the limits, and passwords that were stated beside it; `server` is the parent's process id,
    with which this process ends. With neither a network namespace (`has_namespace`) nor seccomp,
    nothing is read and the outcome is `unsupported`. If memory runs out while the container is
    read, the process exits with `OUT_OF_MEMORY`. Raises ValueError for an empty file.
    """
    kind, *remaining = words
    limits = [word for word in remaining if not word.startswith(protocol.PASSWORD)]
    passwords = [
        word.removeprefix(protocol.PASSWORD)
        for word in remaining
        if word.startswith(protocol.PASSWORD)
    ]
    size = os.fstat(0).st_size
    budget = UnpackBudget(limits, size)
    body = mmap.mmap(
        0, size, PRIVATE | NO_RESERVE, mmap.PROT_READ | mmap.PROT_WRITE
    )  # writable for ctypes' sake; copied if written
    confine(libc, server, budget.cpu_seconds, budget.memory + size)
    flags = (protocol.NETNS if has_namespace else 0) | (protocol.SECCOMP if seal(libc) else 0)
    if not flags & protocol.SECCOMP:
        # no descriptor beyond the three: a further obstacle only
        _limit(resource.RLIMIT_NOFILE, 3)
    writer = protocol.ChildWriter(1, budget.crashed)
    writer.hello(flags)
    if not flags:  # a parser with a network is worse than none
        writer.outcome("unsupported", "")
    else:
        try:
            Walk(budget, writer, kind, passwords).everything(kind, body)
        except MemoryError:
            os._exit(protocol.OUT_OF_MEMORY)
    writer.done()
