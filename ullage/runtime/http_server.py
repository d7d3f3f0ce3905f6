"""Serve an ASGI application with bounded connections.

A client that dribbles its request (slowloris) or leaves its answer unread costs a descriptor for as
long as it likes. Here a request, head and body, is whole within `REQUEST_SECONDS` of the connection
or of the answer before, and its answer is taken within `ANSWER_SECONDS` after that, or the
connection is cut. Where there are too many, or few descriptors are left, the one that has been
without a whole request for longest goes, so that many slow clients keep nobody else out.

A socket that is closed with bytes unread is reset, and the client loses the answer that was on its
way (RFC 9112, 9.6). Who is refused while the request still comes therefore has his answer and its
end first, and `LINGER_SECONDS` to close his side.

uvicorn has the main thread, but signals stay with `ullage.runtime.service`: a thread waits for its
stop and tells the server to drain. Neither requests nor uvicorn's own messages are logged, for a
URL can hold what somebody typed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ullage import log
from ullage.errors import ConfigError
from ullage.files.descriptors import PAUSE_SECONDS, RESERVED, are_scarce, is_out_of_resources
from ullage.security.tls import ListenerCertificate

REQUEST_SECONDS = 10.0
ANSWER_SECONDS = 120.0
"""The largest export, read over a slow tunnel."""
LINGER_SECONDS = 2.0
MOST_CONNECTIONS = 100
MOST_REQUESTS = 200
"""On one connection; the last answer says that it closes."""
MAX_HEAD = 16 * 1024
ANSWERED = "answered"
"""In a request's `state`: how many were answered on its connection before."""
MORE_TIME = "more_time"
"""In a request's `state`: what gives this one request so many seconds to come, and as many for
its answer to be taken.
"""


class _Lingering:
    """A transport that closes in two steps where `lingers` says so: it takes no more to send, and
    ends when the client does.

    Our end is sent at once over TCP. TLS has no half of a connection: there the answer says how
    long it is, or the client waits. An answer's head and body are sent together.
    """

    def __init__(self, transport: asyncio.Transport, lingers: Callable[[], bool]) -> None:
        self._transport, self._lingers = transport, lingers
        self.is_ending = False
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether nothing is sent any more."""
        return self.is_ending or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send with what comes before the loop's next turn: a head and its body are one packet,
        and wake the client once.
        """
        if self._held:
            data, self._held = self._held + data, b""
            self._transport.write(data)
        elif data:
            self._held = data
            asyncio.get_running_loop().call_soon(self._send_held)

    def _send_held(self) -> None:
        if self._held:
            self.write(b"")

    def close(self) -> None:
        """Send what is left and our end."""
        self._send_held()
        if self.is_closing() or not self._lingers():
            self._transport.close()
            return
        self.is_ending = True
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()


class BoundedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with these bounds."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        # of this connection alone
        self.app_state = {**self.app_state, ANSWERED: 0, MORE_TIME: self.give}
        self._deadline: asyncio.TimerHandle | None = None
        self._extra_seconds = 0.0
        self._since = self.loop.time()

    @property
    def is_waiting(self) -> bool:
        """Whether the client still owes (the rest of) a request, or its end."""
        return self._lingering.is_ending or self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request, and make room if there are too many connections."""
        self._lingering = _Lingering(transport, self._linger)
        super().connection_made(self._lingering)  # type: ignore[arg-type]  # all that uvicorn uses of a transport
        self._expect()
        if len(self.connections) > MOST_CONNECTIONS or are_scarce():
            others = [
                one
                for one in self.connections
                if isinstance(one, BoundedProtocol) and one.is_waiting and one is not self
            ]
            longest = min(others, key=lambda one: one._since, default=self)  # noqa: SLF001 - another of this class
            # now: those that are cut in this turn of the loop are not counted again
            self.connections.discard(longest)
            longest.cut()

    def data_received(self, data: bytes) -> None:
        """Take what came; what is whole now waits for its answer. After our end it is dropped."""
        if self._lingering.is_ending:
            return
        was_waiting = self.is_waiting
        super().data_received(data)
        if was_waiting and not self.is_waiting:
            self._expect()

    def on_response_complete(self) -> None:
        """Wait for the next request; uvicorn has handled one that was sent ahead."""
        self.app_state[ANSWERED] += 1
        self._extra_seconds = 0.0
        super().on_response_complete()
        if not self._lingering.is_ending:
            self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """No bound is left to keep."""
        super().connection_lost(exc)
        self._disarm()

    def cut(self) -> None:
        """End the connection at once; what was not sent yet is not."""
        if self._lingering.is_ending and not self.transport.can_write_eof():
            # says that it ends, which TLS wants to hear, and gives up by itself
            self.transport.close()
        elif (
            self._lingering.is_ending
            or not self.transport.is_closing()
            or self.transport.get_write_buffer_size()
        ):
            self.transport.abort()

    def _linger(self) -> bool:
        """Whether more may come than was read; if so its sender has a little time to take our
        answer.
        """
        if self.conn.their_state not in (h11.SEND_BODY, h11.ERROR):
            return False
        self._expect(ANSWER_SECONDS if self._lingering.get_write_buffer_size() else LINGER_SECONDS)
        return True

    def _expect(self, seconds: float = 0.0) -> None:
        """Give the client its time for what it owes now, or so many seconds."""
        self._disarm()
        self._since = self.loop.time()
        seconds = (
            seconds
            or self._extra_seconds
            or (self.request_seconds() if self.is_waiting else ANSWER_SECONDS)
        )
        self._deadline = self.loop.call_later(seconds, self.cut)

    def give(self, seconds: float) -> None:
        """Let the request that is under way take so long."""
        self._extra_seconds = seconds
        self._expect()

    def request_seconds(self) -> float:
        """How long a request may take to come."""
        return REQUEST_SECONDS

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _close_if_ambiguous(app: Any) -> Any:
    """Wrap an application so that a request with two statements of its length ends its connection
    (RFC 9112, 6.1).

    Where a proxy believes the other one, what follows on the connection may be somebody else's.
    """

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        names = {name for name, _ in scope.get("headers", ())}
        if not names.issuperset((b"content-length", b"transfer-encoding")):
            await app(scope, receive, send)
            return

        async def closing(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [pair for pair in message["headers"] if pair[0].lower() != b"connection"]
                message = {**message, "headers": [*headers, (b"connection", b"close")]}
            await send(message)

        await app(scope, receive, closing)

    return wrapped


SILENT: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"none": {"class": "logging.NullHandler"}},
    "loggers": {
        name: {"handlers": ["none"], "propagate": False}
        for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "python_multipart")
    },
}
DRAIN_SECONDS = 10


class _PatientListener(socket.socket):
    """Accepts while descriptors are left, one connection a turn of the loop once they are scarce.

    asyncio accepts all that wait before the first of them can be cut, and has a fault where none
    is left: each failure schedules many others (CPython, `_accept_connection`).
    """

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection; BlockingIOError where the loop is to have a turn first."""
        try:
            accepted = super().accept()
        except OSError as error:
            if not is_out_of_resources(error) or isinstance(error, BlockingIOError):
                raise
            log.get("http").warning("connection_not_accepted", error=type(error).__name__)
            time.sleep(PAUSE_SECONDS)  # else the loop would try again without end
            raise BlockingIOError from None
        if are_scarce(RESERVED // 2):
            accepted[0].close()
            log.get("http").warning("connection_not_accepted", reason="descriptors")
            raise ConnectionAbortedError
        return accepted


class _QuietServer(uvicorn.Server):
    """Leaves signals to `ullage.runtime.service`; faults of connections are a line each, without
    a traceback.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_report)
        if self.config.ssl:  # who does not finish the handshake is not counted as a connection yet
            limited = partial(loop.create_server, ssl_handshake_timeout=REQUEST_SECONDS)
            loop.create_server = limited  # type: ignore[method-assign]
        await super().startup(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(
    app: Any,
    listener: socket.socket,
    stop: threading.Event,
    protocol: type[BoundedProtocol] = BoundedProtocol,
    tls: ListenerCertificate | None = None,
    *,
    lifespan: bool = False,
) -> None:
    """Serve until `stop`, then finish what is being answered; with `tls` over TLS, whose files may
    be renewed meanwhile.

    With `lifespan` the application is told of the server's start and end, as ASGI has it.
    """
    config = uvicorn.Config(
        _close_if_ambiguous(app),
        http=protocol,
        ws="none",
        h11_max_incomplete_event_size=MAX_HEAD,
        log_config=SILENT,
        access_log=False,
        server_header=False,
        # uvicorn would believe every process of this machine who it says that it asks for
        proxy_headers=False,
        lifespan="on" if lifespan else "off",
        loop="asyncio",
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    config.load()
    config.ssl = tls.context() if tls else None
    server = _QuietServer(config)

    def drain() -> None:
        stop.wait()
        server.should_exit = True
        listener.close()  # uvicorn closes its own: who comes now is refused

    threading.Thread(target=drain, name="drain", daemon=True).start()
    server.run(sockets=[_PatientListener(fileno=os.dup(listener.fileno()))])


def _report(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log a fault that asyncio would print with a traceback, which may hold values."""
    log.get("http").warning("connection_failed", error=type(context.get("exception")).__name__)


@contextlib.contextmanager
def listening_at(role: str, path: Path) -> Iterator[socket.socket]:
    """A listening socket file of `role`, for its owner and group; ConfigError when something
    else is there, or listens.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        if path.is_socket():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                if probe.connect_ex(str(path)) == 0:
                    raise ConfigError(f"{path} is served by another process: end that one")
            path.unlink()
        try:
            listener.bind(str(path))
            path.chmod(0o660)
            listener.listen()
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be the socket of {role} ({error.strerror}): set {role}.socket"
            ) from None
        yield listener
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def listening(role: str, host: str, port: int) -> Iterator[tuple[socket.socket, int]]:
    """A listening socket of `role` and its port; ConfigError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # A large answer is several writes: without this the second waits for a delayed ACK, 40 ms
        # on Linux.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            listener.bind((host, port))
            listener.listen()  # before the address is printed: whoever reads it may come at once
        except OSError as error:
            message = (
                f"port {port} of {role} is taken ({error.strerror}): set {role}.port, 0 for any"
            )
            raise ConfigError(message) from None
        yield listener, int(listener.getsockname()[1])
