"""Unpack a body in a child of a `ForkServer`, and trust nothing that the child returns.

The server is executed afresh; it holds no secret and has read no file. It loads what the parsers
need one time, in 60 ms, and loads slow libraries in a second server; a fork takes 3 ms. It receives
only descriptors, the kind of a container, the numbers of the limits, and passwords that were stated
beside the container, and learns nothing from a child but how it ended. A container that takes over
its child therefore cannot reach the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from matcher.unpack import formats, protocol
from matcher.unpack.formats import find_formats
from matcher.unpack.passwords import list_passwords
from matcher.unpack.protocol import CONTENT, ENDED, SEPARATOR, Halt, Limits, Member, UnreadPart
from matcher.unpack.readers.picture import OCR, PICTURE
from ullage.errors import UnavailableError

PROGRAM = (
    "import sys; sys.path.append(sys.argv.pop(1)); from matcher.unpack.child import main; main()"
)
"""The server's program.

It runs without `site`, which takes more than half of the start-up time; it needs only this folder
and the standard library.
"""
ROOT = Path(__file__).parents[2]
LONGEST_LOAD = 30.0
"""Seconds that a second server may take to load while a caller waits for its child to end."""
SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
"""With these seals, nobody can change a file in memory."""
PIPE_BYTES, AT_ONCE = 1 << 20, 2 << 20
"""Capacity of a pipe, and bytes of a text that are read at a time."""


@cache
def _folders() -> list[str]:
    """Return the folders of the optional packages that readers import."""
    specs = [
        find_spec(package) for reader in find_formats().values() for package in reader.packages
    ]
    return sorted({str(Path(spec.origin).parents[1]) for spec in specs if spec and spec.origin})


def command() -> list[str]:
    """Return the command line that starts the server."""
    without_cache = ["-B"] if sys.dont_write_bytecode else []
    return [sys.executable, "-I", "-S", *without_cache, "-c", PROGRAM, str(ROOT), *_folders()]


class Child:
    """A child at work: its output in `stdout`, and a leash.

    The server kills the child when the leash is closed, and reports on it how the child ended.
    """

    def __init__(self, stdout: BinaryIO, leash: socket.socket) -> None:
        self.stdout, self._leash = stdout, leash

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait until the child ends, and return its exit code, negative for a signal.

        Call it one time only. Returns None if the server that forked the child has ended, and the
        child with it. Raises TimeoutError if the child is still alive after `seconds`.
        """
        self._leash.settimeout(seconds)
        report = self._leash.recv(ENDED.size)
        return int(ENDED.unpack(report)[0]) if len(report) == ENDED.size else None

    def end(self) -> None:
        """Kill the child, unless it has ended.

        The child is gone on return, or its server takes so long to load that it never began.
        """
        with contextlib.suppress(OSError):  # the server has ended, and with it the child
            self._leash.shutdown(socket.SHUT_WR)
            self.wait(LONGEST_LOAD)
        self._leash.close()
        self.stdout.close()


class ForkServer:
    """The server that forks the children; a context manager.

    It is started with the first child, and again if it died. It ends when its control socket
    closes, so it ends with this process, however that ends.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process id of the server, 0 if it does not run."""
        return self._process.pid if self._process else 0

    def has_ended(self) -> bool:
        """Return whether no server is running; waits up to a second for it to end."""
        try:
            # a moment after its control socket closes
            return self._process is None or self._process.wait(1) is not None
        except subprocess.TimeoutExpired:
            return False

    def close(self) -> None:
        """End the server and all its children; the next child starts a new server.

        Does nothing if no server was started.
        """
        if self._control:
            self._control.close()
        if self._process and not self.has_ended():
            self._process.kill()
            self._process.wait()
        self._process = self._control = None

    @contextlib.contextmanager
    def child(
        self,
        kind: str,
        limits: Limits,
        body: bytes | BinaryIO,
        crashed: Sequence[int] = (),
        passwords: Sequence[str] = (),
    ) -> Iterator[Child]:
        """Yield a child that parses `body`, a container of that kind, and kill it at the end.

        Bytes are passed as a sealed file in memory, a file as its descriptor (open it for reading
        only). `crashed` are the numbers of entries at which earlier children crashed; `passwords`
        are tried on encrypted archives. Raises `UnavailableError` if the system has no room for a
        child.
        """
        with contextlib.ExitStack() as stack:
            try:
                source = (
                    _create_sealed_file(body) if isinstance(body, bytes) else os.dup(body.fileno())
                )
                stack.callback(os.close, source)
                stated = (f"{protocol.PASSWORD}{password}" for password in passwords)
                words = "\0".join((kind, *limits.words(), *map(str, crashed), *stated))
                child = self._fork_child(words.encode("utf-8", "replace"), source)
            except OSError as error:  # no process, no descriptor or no memory left
                raise UnavailableError(
                    f"the unpacking process cannot be started ({error.strerror})"
                ) from None
            stack.callback(child.end)
            yield child

    def _fork_child(self, words: bytes, source: int) -> Child:
        """Have the server fork a child that reads `source`, and return it.

        A server that has died is replaced first. The caller closes the child's output and socket.
        Raises OSError if descriptors are scarce.
        """
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            stdout, pipe = os.pipe()
            file = ours.enter_context(open(stdout, "rb", buffering=0))  # noqa: PTH123  a descriptor
            theirs.callback(os.close, pipe)
            # a larger pipe is only faster, and users have a quota
            with contextlib.suppress(OSError):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            leash, child_end = socket.socketpair()
            ours.enter_context(leash)
            theirs.enter_context(child_end)
            self._ask(words, [source, pipe, child_end.fileno()])
            ours.pop_all()
            return Child(file, leash)

    def _ask(self, words: bytes, descriptors: list[int]) -> None:
        """Send a request, to a new server if the last one has died."""
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
                command(),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
            )
        return ours


def _create_sealed_file(body: bytes) -> int:
    """Return the descriptor of a file in memory that holds `body` and that nobody can change."""
    descriptor = os.memfd_create("container", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    protocol.write_all(descriptor, body)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
    return descriptor


LONGEST_PATH, MOST_CRASHES = 1000, 16
CAUSES = {
    0: "damaged",
    -signal.SIGXCPU: "timeout",
    -signal.SIGKILL: "memory",
    protocol.OUT_OF_MEMORY: "memory",
}
"""Exit codes with a meaning of their own.

Any other is the fault of a reader that crashed or raised an unexpected error. While we wait for a
child, only the kernel kills it or its server, when memory runs out.
"""


def unpack(
    body: bytes | BinaryIO,
    name: str,
    limits: Limits | None = None,
    media_type: str = "",
    server: ForkServer | None = None,
    notes: Callable[[], Iterable[str]] = tuple,
) -> UnpackRun:
    """Return the run that unpacks `body`; iterate over it one time, inside its context.

    `body` need not be a container: a text is itself the one member, and no child is started for it.
    It may be a file that is open for reading; the child maps it, so it is never held here. If a
    member is cut off, the bytes that were read come before its UnreadPart. A caller with many
    containers passes one `server` for all children, which costs a fiftieth of a server for each.
    `notes` returns texts that may state the password of an archive; it is called only for a
    container.

        with unpack(body, "a.zip") as unpacked:
            for item in unpacked:
                ...  # a Member (read it before the next) or an UnreadPart
    """
    limits = limits or Limits()
    if limits.ocr_seconds and not has_ocr():
        limits = limits._replace(ocr_seconds=0)
    return UnpackRun(body, name, limits, media_type, server, notes=notes)


@cache
def has_ocr() -> bool:
    """Return whether the packages that read pictures are installed: the extra `ocr`."""
    return all(find_spec(package) for package in find_formats()[OCR].packages)


def is_container(body: bytes, name: str = "", *, lettered: bool = True) -> bool:
    """Return whether `body` is more than text: a container, a text that holds one, or binary data.

    Takes a few microseconds for a short text. `name` is needed only to recognise mail, whose first
    bytes prove little; `lettered` is that of `formats.can_hold_file`.
    """
    return formats.sniff(body[: formats.HEAD], name) != formats.TEXT or formats.can_hold_file(
        body, lettered=lettered
    )


class UnpackRun:
    """The unpacking of one body.

    It holds one frame in memory, apart from what the caller keeps of `Member.read`.
    """

    def __init__(
        self,
        body: bytes | BinaryIO,
        name: str,
        limits: Limits,
        media_type: str,
        server: ForkServer | None = None,
        clock: Callable[[], float] = time.monotonic,
        notes: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._body, self._name, self._limits, self._media_type = body, name, limits, media_type
        self._stack, self._server = contextlib.ExitStack(), server
        self._clock, self._waited = clock, 0.0
        self._buffer, self._consumed, self._frames = bytearray(), 0, _ChildProtocol(limits)
        self._child: Child | None = None
        self._is_inner = False
        self._notes = notes
        self._ocr_left = float(limits.ocr_seconds)
        self.flags = 0
        """The child's protections, `protocol.NETNS` and `protocol.SECCOMP`.

        0 until the child reports them, and if no child was needed.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def __iter__(self) -> Iterator[Member | UnreadPart]:
        head = self._body[: formats.HEAD] if isinstance(self._body, bytes) else _head(self._body)
        kind = formats.sniff(head, self._name)
        if kind == formats.TEXT:
            watch = formats.EnvelopeWatch()
            media_type, pieces = (
                self._media_type or formats.media_of(self._name),
                watch.through(self._pieces()),
            )
            yield Member(
                self._name,
                media_type,
                "",
                partial(next, pieces, b""),
                lettered=lambda: watch.has_line,
            )
            if watch.has_any:
                yield from self._from_child(formats.ENVELOPE)
        elif kind in formats.UNREADABLE:
            yield UnreadPart(self._name, kind)
        elif kind in formats.IN_PART:
            yield Member(self._name, protocol.BYTES, "", partial(next, self._pieces(), b""))
            yield UnreadPart(self._name, formats.IN_PART[kind])
        else:
            yield from self._from_child(OCR if self._is_inner and kind == PICTURE else kind)

    def _pieces(self) -> Iterator[bytes]:
        """Return the body in pieces, as it is."""
        return (
            iter((self._body,))
            if isinstance(self._body, bytes)
            else iter(partial(self._body.read, AT_ONCE), b"")
        )

    def _from_child(self, kind: str) -> Iterator[Member | UnreadPart]:
        """Yield the members and outcomes of the children.

        After a crash another child continues behind the entry that caused it.
        """
        server = self._server = self._server or self._stack.enter_context(ForkServer())
        crashed = list[int]()
        passwords = list_passwords(self._notes(), [os.path.basename(self._name)])  # noqa: PTH119
        try:
            while entry := (yield from self._from_one_child(kind, server, crashed, passwords)):
                crashed.append(entry)
                bytes_left = self._frames.bytes_left
                self._buffer, self._consumed, self._frames = (
                    bytearray(),
                    0,
                    _ChildProtocol(self._limits),
                )
                self._frames.bytes_left = bytes_left
        finally:
            self._stack.close()
            if not self.flags & protocol.SECCOMP:  # the child could have reached the server
                server.close()

    def _from_one_child(
        self, kind: str, server: ForkServer, crashed: Sequence[int], passwords: Sequence[str]
    ) -> Generator[Member | UnreadPart, None, int]:
        """Yield the members and outcomes of one child.

        Returns the number of the entry at which it crashed, or 0 if no entry has to be left out.
        """
        alias = formats.stem(self._name)
        # the child must end with the run in any case
        stack = self._stack.enter_context(contextlib.ExitStack())
        self._child = stack.enter_context(
            server.child(kind, self._limits, self._body, crashed, passwords)
        )
        try:
            while (frame := self._next())[0] != protocol.DONE:
                yield from self._handle_frame(*frame, alias, server)
        except Halt as broken:
            last = self._frames.entry
            if (
                broken.reason == "fault"
                and last > max(crashed, default=0)
                and len(crashed) < MOST_CRASHES
            ):
                return last
            yield UnreadPart(self._name, broken.reason)
        finally:
            stack.close()
        return 0

    def _handle_frame(
        self, kind: int, payload: bytes, alias: str, server: ForkServer
    ) -> Iterator[Member | UnreadPart]:
        """Yield the member or outcome that one frame reports; nothing for any other frame."""
        if kind == protocol.HELLO:
            self.flags = payload[0]
        elif kind == protocol.MEMBER:
            charset, _, path = payload[1:].partition(b"\0")
            container, media = divmod(payload[0], len(protocol.MEDIA))
            if protocol.MEDIA[media] == protocol.HEAVY:
                yield from self._heavy(self._path(path, alias), server)
            else:
                type_and_charset = (protocol.MEDIA[media], charset.decode("ascii", "ignore"))
                yield Member(
                    self._path(path, alias),
                    *type_and_charset,
                    self._piece,
                    protocol.containers()[container],
                )
        elif kind == protocol.OUTCOME:
            yield UnreadPart(self._path(payload[1:], alias), protocol.REASON[payload[0]])

    def _heavy(self, name: str, server: ForkServer) -> Iterator[Member | UnreadPart]:
        """Read a nested container in a child of its own, which starts no further children.

        It shares the limits. A picture has limits of its own, so that many pictures leave time for
        the remaining members.
        """
        body = bytearray()
        while piece := self._piece():
            body += piece
            if len(body) > self._limits.nested_bytes:
                raise Halt("too_large")
        if self._frames.broken or self._is_inner:
            raise self._frames.broken or Halt("damaged")
        is_picture = formats.sniff(bytes(body[: formats.HEAD])) == PICTURE
        if is_picture and self._ocr_left <= 0:
            yield UnreadPart(name, "timeout")
            return
        seconds_left, paths = (
            self._limits.wall_seconds - self._waited,
            self._limits.entries * LONGEST_PATH,
        )
        shared = self._limits._replace(
            wall_seconds=seconds_left, total_bytes=max(self._frames.bytes_left - paths, 0)
        )
        limits = (
            shared.for_picture(self._ocr_left) if is_picture else shared._replace(ocr_seconds=0)
        )
        inner = UnpackRun(bytes(body), name, limits, "", server, self._clock)
        inner._is_inner = True
        with inner:
            yield from inner
        if is_picture:
            self._ocr_left -= inner._waited
        else:
            self._waited += inner._waited
        self._frames.bytes_left -= limits.total_bytes + paths - inner._frames.bytes_left

    def _path(self, raw: bytes, alias: str) -> str:
        """Return a member's path as it may be shown, with the caller's name for the container."""
        inner, outer = raw.decode("utf-8", "replace"), ""
        while inner.startswith(SEPARATOR + CONTENT):
            outer, alias, inner = (
                outer + SEPARATOR + alias,
                formats.stem(alias),
                inner.removeprefix(SEPARATOR + CONTENT),
            )
        return self._name + to_printable(outer + inner)

    def _piece(self) -> bytes:
        """Return the next bytes of the open member.

        B"" at its end or if the child broke down, which is noted.
        """
        if not self._frames.member_open:
            return b""
        try:
            kind, payload = self._next()
        except Halt as broken:
            self._frames.broken = broken
            return b""
        return payload if kind == protocol.DATA else b""

    def _next(self) -> tuple[int, bytes]:
        """Return kind and payload of the next frame, checked.

        Raises Halt if the child broke down, also once more if it did before.
        """
        if self._frames.broken:
            raise self._frames.broken
        at = self._wait_for(protocol.HEADER.size)
        kind, size = protocol.HEADER.unpack_from(self._buffer, at)
        self._frames.expect(kind, size)
        at = self._wait_for(size)
        payload = bytes(self._buffer[at : at + size])
        self._frames.check(kind, payload)
        return kind, payload

    def _wait_for(self, size: int) -> int:
        """Wait for `size` bytes of the child, take them, and return where they begin.

        The bytes lie in the buffer of this run; waiting ends with the child's time.
        """
        if len(self._buffer) - self._consumed < size:
            del self._buffer[: self._consumed]
            self._consumed = 0
            while len(self._buffer) < size:
                self._buffer += self._receive()
        self._consumed += size
        return self._consumed - size

    def _receive(self) -> bytes:
        """Return the child's next bytes.

        Raises `Halt`: `timeout` at its time limit, `damaged` without a child, otherwise the cause
        of its end.
        """
        child = self._child
        if child is None:
            raise Halt("damaged")
        began = self._clock()
        seconds_left = self._limits.wall_seconds - self._waited
        poll = select.poll()  # select cannot take a descriptor beyond 1,023
        poll.register(child.stdout, select.POLLIN)
        ready = seconds_left > 0 and poll.poll(seconds_left * 1000)
        self._waited += self._clock() - began
        if not ready:
            raise Halt("timeout")
        data: bytes | None = child.stdout.read(protocol.MAX_DATA)
        if not data:
            raise Halt(self._cause(child))
        return data

    def _cause(self, child: Child) -> str:
        """Return why a child fell silent: it reached a limit, or it crashed.

        Raises UnavailableError if the process that starts the children has ended.
        """
        try:
            code = child.wait(1)
        except TimeoutError:  # the child is alive but has closed its pipe
            return "damaged"
        if code is None and self._frames.is_first:
            if self._server is None or self._server.has_ended():
                raise UnavailableError(
                    "the process that reads the file exited during startup: try again"
                ) from None
            return "unsupported"  # a second server, as it loaded what is needed
        return "memory" if code is None else CAUSES.get(code, "fault")


class _ChildProtocol:
    """The rules of the protocol: which frames the child may send next, and how large."""

    AFTER = {  # noqa: RUF012  a constant
        0: {protocol.HELLO},
        protocol.MEMBER: {protocol.DATA, protocol.END},
        protocol.DATA: {protocol.DATA, protocol.END},
    }
    BETWEEN = frozenset((protocol.ENTRY, protocol.MEMBER, protocol.OUTCOME, protocol.DONE))

    def __init__(self, limits: Limits) -> None:
        self._before = 0
        members = len(protocol.MEDIA) * len(protocol.containers())
        reasons = len(protocol.REASON)
        self._first_bytes = {
            protocol.HELLO: 4,
            protocol.MEMBER: members,
            protocol.OUTCOME: reasons,
            protocol.DATA: 256,
        }
        """How many values the first byte has of a payload that has one."""
        # an entry may give a member and an outcome, a container its names
        self._reports_left = 5 * limits.entries + 64
        self.bytes_left = limits.total_bytes + limits.entries * LONGEST_PATH
        self.broken: Halt | None = None
        self.entry = 0
        """The number of the entry that a parser began to read last."""

    @property
    def is_first(self) -> bool:
        """Return whether nothing has been received yet."""
        return self._before == 0

    @property
    def member_open(self) -> bool:
        """Return whether bytes of a member may follow."""
        return self._before in {protocol.MEMBER, protocol.DATA}

    def expect(self, kind: int, size: int) -> None:
        """Check the kind and size of a frame that the child announces, before its payload is read.

        Raises Halt `damaged` for a frame that may not come now or is too large, `too_large` or
        `too_many` if the child has sent more than its budget.
        """
        if kind not in self.AFTER.get(self._before, self.BETWEEN) or size > (
            protocol.MAX_DATA if kind == protocol.DATA else protocol.MAX_OTHER
        ):
            raise Halt("damaged")
        self._before = kind
        self.bytes_left -= size
        self._reports_left -= kind in {protocol.ENTRY, protocol.MEMBER, protocol.OUTCOME}
        if self.bytes_left < 0:
            raise Halt("too_large")
        if self._reports_left < 0:
            raise Halt("too_many")

    def check(self, kind: int, payload: bytes) -> None:
        """Check the length and first byte of a received payload.

        Raises Halt `damaged` if they are invalid.
        """
        if kind == protocol.ENTRY:
            if len(payload) != protocol.ENTRY_NUMBER.size:
                raise Halt("damaged")
            [self.entry] = protocol.ENTRY_NUMBER.unpack(payload)
        most = self._first_bytes.get(kind)
        if most and (not payload or payload[0] >= most):
            raise Halt("damaged")


def _head(file: BinaryIO) -> bytes:
    at = file.tell()
    head = file.read(formats.HEAD)
    file.seek(at)
    return head


def to_printable(path: str) -> str:
    r"""Return a path that is safe to print: shortened, and without control characters.

    >>> to_printable("!/\x1b[2J.csv")
    '!/�[2J.csv'
    """
    last = path[-LONGEST_PATH:]
    if last.isprintable():
        return last
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in last)
