"""Serve the socket on which dropped files are assessed (`ullage.runtime.assessing`), in match.

Match receives each file completely before it queues, so that a slow upload delays nobody else;
uploads that are too slow are cut off. The next file is one of the tenants that were served longest
ago, and of theirs the oldest. Callers who see the same tenants share one limit of files and one of
bytes. Each file is assessed in a process of its own (`matcher.cli.examine`), one at a time; a
waiting client receives its place. That process is killed when its client hangs up, when its time is
over, and with match.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import select
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from prometheus_client import Counter

from matcher.cli.erasing import resolvable
from matcher.unpack.parent import SEALS
from matcher.unpack.protocol import write_all
from ullage import log
from ullage.clock import Clock
from ullage.errors import ConfigError, RecordError, UllageError, UnavailableError
from ullage.files.atomic_write import HeldError, take_lock
from ullage.files.descriptors import PAUSE_SECONDS, are_scarce, is_out_of_resources
from ullage.runtime import assessing
from ullage.runtime.service import SUPERVISOR
from ullage.runtime.supervisor import command
from ullage.settings import Context

MOST_OF_ONE, MOST_OF_ALL = 8, 64
"""Files that are received, waiting or assessed, of callers with the same tenants and of all."""
MOST_HELD, RESERVED = 2 << 30, 32 << 20
"""Bytes of all files in memory, and bytes that every caller may have in any case."""
TURN_SECONDS = 60.0
SILENT_SECONDS, GRACE_SECONDS, SLOWEST = 30.0, 60.0, 4 << 10
"""Limits of a slow upload.

It fails after that long without a byte or, after the grace period, below that many bytes a second.
"""
PIECE = 1 << 20


class FullError(UllageError):
    """There is no room, or no turn, for one more file now."""


@dataclass(slots=True, eq=False)
class QueuePlace:
    """A file that is received, waiting or assessed, of callers who see `tenants`."""

    tenants: str
    held: int = 0
    is_whole: bool = False


@dataclass(slots=True)
class AssessmentQueue:
    """The files in order of arrival. Threads share it."""

    _places: list[QueuePlace] = field(default_factory=list)
    _served: dict[str, int] = field(default_factory=dict)
    """When each was served last, counted."""
    _now: QueuePlace | None = None
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def waiting(self, tenants: str) -> int:
        """Return the number of files of callers who see `tenants`."""
        with self._changed:
            return sum(one.tenants == tenants for one in self._places)

    @contextlib.contextmanager
    def place(self, tenants: str) -> Iterator[QueuePlace]:
        """Yield a place for a file that will be received, and give it up afterwards.

        `tenants` names the sender. Raises `FullError` if MOST_OF_ALL (64) files wait, or
        MOST_OF_ONE (8) of this sender.
        """
        mine = QueuePlace(tenants)
        with self._changed:
            if (
                len(self._places) >= MOST_OF_ALL
                or sum(one.tenants == tenants for one in self._places) >= MOST_OF_ONE
            ):
                raise FullError("too many files are waiting")
            self._places.append(mine)
        try:
            yield mine
        finally:
            with self._changed:
                self._places.remove(mine)
                self._changed.notify_all()

    def hold(self, mine: QueuePlace, size: int) -> None:
        """Add `size` bytes to the memory that a file holds.

        Raises `FullError` if there is no room for them.
        """
        with self._changed:
            ours = size + sum(one.held for one in self._places if one.tenants == mine.tenants)
            everything = size + sum(one.held for one in self._places)
            if ours > RESERVED and (ours > assessing.MOST_BYTES or everything > MOST_HELD):
                raise FullError("the waiting files use all memory")
            mine.held += size

    @contextlib.contextmanager
    def turn(
        self, mine: QueuePlace, say: Callable[[int], None], clock: Clock, seconds: float = 0.5
    ) -> Iterator[None]:
        """Wait for this file's turn, and keep it within this context.

        Every `seconds`, `say` is called with the number of the caller's files before it, the
        current one included; it raises if the client is gone. Raises `FullError` if the turn has
        not come within TURN_SECONDS (60 s).
        """
        until = clock.monotonic() + TURN_SECONDS
        with self._changed:
            mine.is_whole = True
        while not self._began(mine, 0.0):
            say(self._before(mine))
            if self._began(mine, seconds):
                break
            if clock.monotonic() > until:
                raise FullError("earlier files take too long")
        try:
            yield
        finally:
            with self._changed:
                self._now = None
                self._changed.notify_all()

    def _began(self, mine: QueuePlace, seconds: float) -> bool:
        """Return whether this file's turn comes within that many seconds; if so, take it.

        Senders take turns: the one that was served the longest ago goes first.
        """
        with self._changed:
            if not self._changed.wait_for(
                lambda: self._now is None and self._next() is mine, seconds
            ):
                return False
            self._now = mine
            present = {one.tenants for one in self._places}
            self._served = {one: at for one, at in self._served.items() if one in present}
            self._served[mine.tenants] = max(self._served.values(), default=0) + 1
            return True

    def _next(self) -> QueuePlace | None:
        whole = [one for one in self._places if one.is_whole and one is not self._now]
        # the first to arrive, if several are equal
        return min(whole, key=lambda one: self._served.get(one.tenants, 0), default=None)

    def _before(self, mine: QueuePlace) -> int:
        with self._changed:
            whole = [one for one in self._places if one.tenants == mine.tenants and one.is_whole]
            return max(1, whole.index(mine))


@contextlib.contextmanager
def received(
    connection: socket.socket,
    queue: AssessmentQueue,
    mine: QueuePlace,
    clock: Clock,
    began: float,
    *,
    framed: bool = False,
) -> Iterator[int]:
    """Yield the descriptor of a sealed file in memory with the content of the frames.

    It is closed afterwards. With `framed`, the lengths of the frames are kept in it. `began` is
    when the sender was told to begin, in seconds of `clock.monotonic`; its speed is measured from
    there. Raises `RecordError` for a file that is too large or too slow (nothing for
    SILENT_SECONDS, 30 s), `FullError` if there is no room for it, UnavailableError if the sender
    disconnects.
    """
    held = os.memfd_create("dropped", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        try:
            connection.settimeout(SILENT_SECONDS)
            _pour(_Pieces(connection, clock, began), held, queue, mine, framed=framed)
            connection.settimeout(None)
        except TimeoutError:
            raise RecordError(
                "slow", (f"no data of the file arrived for {SILENT_SECONDS:.0f} s: send it again")
            ) from None
        fcntl.fcntl(held, fcntl.F_ADD_SEALS, SEALS)
        os.lseek(held, 0, os.SEEK_SET)
        yield held
    finally:
        os.close(held)


def _pour(
    pieces: _Pieces, held: int, queue: AssessmentQueue, mine: QueuePlace, *, framed: bool
) -> None:
    """Write frames into `held` as they arrive, up to the empty one.

    Each piece counts against the room of the queue. Raises RecordError if a frame exceeds its limit
    or the file 1 GiB.
    """
    while left := assessing.LENGTH.unpack(head := pieces.exactly(assessing.LENGTH.size))[0]:
        if left > assessing.MOST_FRAME:
            raise RecordError(
                "too_large", "a frame of the request exceeds the size limit: send the file again"
            )
        write_all(held, head if framed else b"")
        while left:
            some = pieces.some(left)
            left -= len(some)
            if mine.held + len(some) > assessing.MOST_BYTES:
                raise RecordError(
                    "too_large", "the file is larger than the limit of 1 GiB: send it in parts"
                )
            queue.hold(mine, len(some))
            write_all(held, some)
    write_all(held, assessing.to_frame(b"") if framed else b"")


@dataclass(slots=True)
class _Pieces:
    """The bytes that arrive on a connection, unless they are too slow."""

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
        """Return at least one byte and at most `most`.

        Raises `UnavailableError` if the other side closes, `RecordError` if, after GRACE_SECONDS
        (60 s), the file arrives at less than SLOWEST (4 KiB) per second on average.
        """
        got = self.connection.recv(min(most, PIECE))
        if not got:
            raise UnavailableError(
                "the other side disconnected before its request was complete: send it again"
            )
        self.size += len(got)
        if self.size < SLOWEST * (self.clock.monotonic() - self.began - GRACE_SECONDS):
            raise RecordError(
                "slow",
                (
                    f"the file arrives at less than {SLOWEST >> 10} KiB per second:"
                    " send it over a faster connection"
                ),
            )
        return got


RETRY_AFTER = 20
ASSESS_SECONDS = 600.0
"""Seconds for the assessment of a dropped file."""
EVERYBODY = "*"
"""Replaces the tenants of callers who see all."""
QUESTION_SECONDS = 5.0
CREDENTIALS = struct.Struct("3i")
HUNG_UP = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class _GoneError(UllageError):
    """The client hung up."""


def peer_of(connection: socket.socket) -> int:
    """Return the user id at the other end, from the kernel."""
    _, user, _ = CREDENTIALS.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    )
    return int(user)


@dataclass(slots=True)
class AssessmentService:
    """The server of connections.

    `users` may connect; `program` assesses one file, given the descriptors of connection and file.
    """

    users: frozenset[int]
    seconds: float
    clock: Clock
    outcomes: Counter
    program: Callable[[int, int], Sequence[str]]
    resolvable: Callable[[], frozenset[str]] = frozenset
    """The tenants whose pseudonyms can be resolved here."""
    queue: AssessmentQueue = field(default_factory=AssessmentQueue)

    def accept(self, connection: socket.socket) -> None:
        """Serve a connection in a thread of its own, or refuse it by closing it.

        It is refused if its user is not permitted, or if descriptors are scarce; that is logged and
        counted.
        """
        is_known = peer_of(connection) in self.users
        if not is_known or are_scarce():
            log.get("match").warning(
                "assess_peer_refused" if not is_known else "assess_not_accepted"
            )
            self.outcomes.labels("refused").inc()
            connection.close()
            return
        thread = threading.Thread(
            target=self._serve, args=(connection,), name="assess", daemon=True
        )
        thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                question = _question(connection)
                outcome = self._answer(connection, question, _name_share(question))
            except RecordError:
                outcome = "refused"
            except (_GoneError, UnavailableError, OSError):
                outcome = "gone"
            if outcome:
                self.outcomes.labels(outcome).inc()

    def _answer(
        self, connection: socket.socket, question: assessing.AssessmentRequest, whose: str
    ) -> str:
        """Answer a request; return its outcome, "" for a question about the service itself.

        A file that is refused (too large, too slow, no room) gets an answer that says why, and the
        outcome is "refused". Otherwise the outcome is that of `_judge`. UnavailableError is raised
        if the client disconnects.
        """
        if question.verb == "status":
            known = sorted(self.resolvable().intersection(question.tenants or ()))
            _say(
                connection,
                waiting=self.queue.waiting(whose),
                **{"resolves": known} if known else {},
            )
            return ""
        try:
            with contextlib.ExitStack() as stack:
                mine = stack.enter_context(self.queue.place(whose))
                began = self.clock.monotonic()
                _say(connection, go=True)
                file = stack.enter_context(
                    received(
                        connection,
                        self.queue,
                        mine,
                        self.clock,
                        began,
                        framed=question.verb == "open",
                    )
                )
                if question.verb != "resolve":  # a person waits, and it takes seconds
                    stack.enter_context(
                        self.queue.turn(
                            mine, lambda before: _send_place(connection, before), self.clock
                        )
                    )
                return self._judge(connection, question, file)
        except FullError:
            _say(
                connection, busy={"waiting": self.queue.waiting(whose), "retry_after": RETRY_AFTER}
            )
            return "refused"
        except RecordError as error:
            _say(connection, error=str(error))
            return "refused"

    def _judge(
        self, connection: socket.socket, question: assessing.AssessmentRequest, file: int
    ) -> str:
        """Have a file assessed by a process of its own; return the outcome.

        It is "judged", "failed" (also if it takes longer than `seconds` or dies, which the client
        is told) or "gone" if the client disconnects. The process answers the client itself, and is
        killed at the end.
        """
        environment = {**os.environ, SUPERVISOR: str(os.getpid())}
        process = subprocess.Popen(
            self.program(connection.fileno(), file), stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, env=environment,
            pass_fds=[connection.fileno(), file], start_new_session=True,
        )  # fmt: skip
        with process:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(question.model_dump_json().encode())
                process.stdin.close()
            ended = _wait_for_end(process, connection, self.clock, self.seconds)
            process.kill()
        if ended == "late":
            _say(
                connection,
                error=(f"it took longer than {self.seconds:.0f} s, the limit for one file"),
            )
        elif ended == "ended" and process.returncode < 0:
            log.get("match").error("assess_died", exit_code=process.returncode)
            _say(
                connection,
                error="the process that examined it died, possibly for lack of memory",
            )
        return (
            "gone"
            if ended == "gone"
            else "judged"
            if ended == "ended" and process.returncode == 0
            else "failed"
        )


def _wait_for_end(
    process: subprocess.Popen[bytes], connection: socket.socket, clock: Clock, seconds: float
) -> str:
    """Wait until the process has `ended`, its client is `gone`, or it is `late`.

    It is late after `seconds`. The process is not killed here.
    """
    child = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(child, select.POLLIN)
        poll.register(connection, select.POLLRDHUP)
        deadline = clock.monotonic() + seconds
        while (left := deadline - clock.monotonic()) > 0:
            events = dict(poll.poll(left * 1000))
            if child in events:
                process.wait()
                return "ended"
            if events.get(connection.fileno(), 0) & HUNG_UP:
                return "gone"
        return "late"
    finally:
        os.close(child)


def _name_share(question: assessing.AssessmentRequest) -> str:
    """Return the caller's share of the queue: all who see the same tenants have one."""
    return EVERYBODY if question.tenants is None else " ".join(sorted(question.tenants))


def _question(connection: socket.socket) -> assessing.AssessmentRequest:
    """Return the request, which a client sends first."""
    connection.settimeout(QUESTION_SECONDS)
    with connection.makefile("rb", buffering=0) as file:
        asked = assessing.question_in(assessing.frame(file, assessing.QUESTION_BYTES))
    connection.settimeout(None)
    return asked


def _send_place(connection: socket.socket, before: int) -> None:
    """Send a client the number of files before its own.

    Raises `_GoneError` if it hung up.
    """
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    if any(event & HUNG_UP for _, event in poll.poll(0)):
        raise _GoneError("the client disconnected before its request was answered")
    _say(connection, place=before)


def _say(connection: socket.socket, **what: object) -> None:
    """Send a line of the answer; raise `_GoneError` if the client hung up."""
    try:
        connection.sendall(json.dumps(what).encode() + b"\n")
    except OSError:
        raise _GoneError("the client disconnected before its request was answered") from None


@contextlib.contextmanager
def listening(context: Context, outcomes: Counter) -> Iterator[None]:
    """Serve dropped files of this data folder within this context.

    If another match does so already, nothing is served, which is logged. The socket is removed at
    the end.
    """
    settings = context.settings.match
    with contextlib.ExitStack() as stack:
        try:
            stack.callback(
                os.close,
                take_lock(context.data / "assess.lock", "dropped files are being assessed"),
            )
        except HeldError:
            log.get("match").info("assess_served_elsewhere")
            yield
            return
        folder = assessing.folder_of(context)
        listener = stack.enter_context(_bound(folder, shared=bool(settings.assess_users)))

        def program(connection: int, file: int) -> Sequence[str]:
            return command(
                context.data, "assess", "-", "--socket", str(connection), "--file", str(file)
            )

        users, known = _users(settings.assess_users), partial(resolvable, context)
        service = AssessmentService(users, ASSESS_SECONDS, context.clock, outcomes, program, known)
        accepting = threading.Thread(
            target=_accept, args=(listener, service), name="assess", daemon=True
        )
        accepting.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            (folder / assessing.NAME).unlink(missing_ok=True)


def _accept(listener: socket.socket, service: AssessmentService) -> None:
    """Accept connections until the listener is shut down.

    While descriptors or memory run out, it is logged and tried again after PAUSE_SECONDS.
    """
    while True:
        try:
            connection, _ = listener.accept()
        except OSError as error:
            if not is_out_of_resources(error):
                return
            log.get("match").warning("assess_not_accepted", error=type(error).__name__)
            time.sleep(PAUSE_SECONDS)
            continue
        service.accept(connection)


@contextlib.contextmanager
def _bound(folder: Path, *, shared: bool) -> Iterator[socket.socket]:
    """Yield the listening socket, after removing one that a dead process left."""
    (folder / assessing.NAME).unlink(missing_ok=True)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener,
        assessing.address(folder) as address,
    ):
        listener.bind(address)  # a client that connects before the next line is refused by its user
        (folder / assessing.NAME).chmod(0o660 if shared else 0o600)
        listener.listen(MOST_OF_ALL)
        yield listener


def _users(names: Iterable[str]) -> frozenset[int]:
    """Return the ids of our own user and the named ones.

    Containers know users by number alone. Raises `ConfigError` for an unknown name.
    """
    try:
        return frozenset(
            {
                os.getuid(),
                *(int(one) if one.isdecimal() else pwd.getpwnam(one).pw_uid for one in names),
            }
        )
    except KeyError as error:
        raise ConfigError(
            f"match.assess_users: user {error.args[0]} does not exist on this host: create"
            " or remove the user"
        ) from None
