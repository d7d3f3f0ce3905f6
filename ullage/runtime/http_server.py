"""Serve an ASGI application with bounded connections.

A client that sends its request slowly (slowloris), or does not read its answer, would occupy a
descriptor for as long as it likes. Here a request, head and body, must be complete within
`REQUEST_SECONDS` of the connection or of the previous answer. Its answer must be read within
`ANSWER_SECONDS` after that, or the connection is cut. If there are too many connections, or few
descriptors are left, the connection that has been without a complete request for longest is cut,
so that many slow clients keep nobody else out.

A socket that is closed with unread bytes is reset, and the client loses the answer that was on
its way (RFC 9112, 9.6). So a client that is refused while still sending first gets the answer
and our end of stream, and then has `LINGER_SECONDS` to close its side.

uvicorn uses the main thread, but signals stay with `ullage.runtime.service`: a thread waits for
its stop and tells the server to drain. Neither requests nor uvicorn's own messages are logged,
because a URL may hold what somebody typed.
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
"""Enough for the largest export over a slow tunnel."""
LINGER_SECONDS = 2.0
MOST_CONNECTIONS = 100
MOST_REQUESTS = 200
"""Requests on one connection; the last answer announces that it closes."""
MAX_HEAD = 16 * 1024
ANSWERED = "answered"
"""Key in a request's `state`: how many requests its connection answered before."""
MORE_TIME = "more_time"
"""Key in a request's `state`: a function that extends the time of this request.

It gives so many seconds for the request to arrive, and as many for its answer to be read.
"""


class _Lingering:
    """A transport that closes in two steps where `lingers` says so.

    It stops sending at once, and ends when the client does. Over TCP our end of stream is sent at
    once. TLS cannot close one direction: there the answer states its length, or the client waits.
    Head and body of an answer are sent together.
    """

    def __init__(self, transport: asyncio.Transport, lingers: Callable[[], bool]) -> None:
        self._transport, self._lingers = transport, lingers
        self.is_ending = False
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Return whether nothing more is sent."""
        return self.is_ending or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send `data` together with the data written next in the same turn of the loop.

        So a head and its body are one packet and wake the client one time.
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
        """Send the remaining data and our end of stream."""
        self._send_held()
        if self.is_closing() or not self._lingers():
            self._transport.close()
            return
        self.is_ending = True
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 of uvicorn with the bounds of this module."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        # state of this connection only
        self.app_state = {**self.app_state, ANSWERED: 0, MORE_TIME: self.give}
        self._deadline: asyncio.TimerHandle | None = None
        self._extra_seconds = 0.0
        self._since = self.loop.time()

    @property
    def is_waiting(self) -> bool:
        """Whether the client must still complete a request, or close the connection."""
        return self._lingering.is_ending or self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection and wait for its first request.

        If there are too many connections, the one that has waited longest is cut.
        """
        self._lingering = _Lingering(transport, self._linger)
        # it has all that uvicorn uses of a transport
        super().connection_made(self._lingering)  # type: ignore[arg-type]
        self._expect()
        if len(self.connections) > MOST_CONNECTIONS or are_scarce():
            waiting = [
                connection
                for connection in self.connections
                if isinstance(connection, BoundedProtocol)
                and connection.is_waiting
                and connection is not self
            ]
            longest = min(waiting, key=lambda peer: peer._since, default=self)  # noqa: SLF001
            # at once, so that connections cut in this turn are not counted again
            self.connections.discard(longest)
            longest.cut()

    def data_received(self, data: bytes) -> None:
        """Process received data; data after our end of stream is dropped."""
        if self._lingering.is_ending:
            return
        was_waiting = self.is_waiting
        super().data_received(data)
        if was_waiting and not self.is_waiting:
            self._expect()

    def on_response_complete(self) -> None:
        """Count an answer, and start the time limit for the client's next request.

        No limit is started if the connection is ending.
        """
        self.app_state[ANSWERED] += 1
        self._extra_seconds = 0.0
        super().on_response_complete()
        if not self._lingering.is_ending:
            self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the time limit of a connection that ended."""
        super().connection_lost(exc)
        self._disarm()

    def cut(self) -> None:
        """End the connection at once; unsent data is lost."""
        if self._lingering.is_ending and not self.transport.can_write_eof():
            # sends the end of stream that TLS requires, and times out alone
            self.transport.close()
        elif (
            self._lingering.is_ending
            or not self.transport.is_closing()
            or self.transport.get_write_buffer_size()
        ):
            self.transport.abort()

    def _linger(self) -> bool:
        """Return whether the client may still be sending.

        If so, it gets a little time to read our answer.
        """
        if self.conn.their_state not in (h11.SEND_BODY, h11.ERROR):
            return False
        self._expect(ANSWER_SECONDS if self._lingering.get_write_buffer_size() else LINGER_SECONDS)
        return True

    def _expect(self, seconds: float = 0.0) -> None:
        """Start the client's time limit: the usual one, or so many seconds."""
        self._disarm()
        self._since = self.loop.time()
        seconds = (
            seconds
            or self._extra_seconds
            or (self.request_seconds() if self.is_waiting else ANSWER_SECONDS)
        )
        self._deadline = self.loop.call_later(seconds, self.cut)

    def give(self, seconds: float) -> None:
        """Allow the current request so many seconds."""
        self._extra_seconds = seconds
        self._expect()

    def request_seconds(self) -> float:
        """Return how long a request may take to arrive."""
        return REQUEST_SECONDS

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _close_if_ambiguous(app: Any) -> Any:
    """Wrap an application so that a request with two lengths ends its connection (RFC 9112, 6.1).

    If a proxy believes the other length, the rest of the connection may be somebody else's request.
    """

    async def handle_request(scope: Any, receive: Any, send: Any) -> None:
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

    return handle_request


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
    """A listener that accepts one connection per turn of the loop when descriptors are scarce.

    asyncio accepts all waiting connections before the first can be cut. It also has a fault when no
    descriptor is left: each failure schedules many more (CPython, `_accept_connection`).
    """

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection, and return its socket and the client's address.

        If the process lacks resources, raises BlockingIOError after a pause. If file descriptors
        are scarce, closes the connection and raises ConnectionAbortedError.
        """
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
    """A server that leaves signals to `ullage.runtime.service`.

    It reports faults of connections in one line each, without a traceback.
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
    """Serve until `stop`, then finish the answers in progress.

    With `tls`, serve over TLS; its files may be renewed meanwhile. With `lifespan`, the application
    is notified of the server's start and end, as ASGI defines it.
    """
    config = uvicorn.Config(
        _close_if_ambiguous(app),
        http=protocol,
        ws="none",
        h11_max_incomplete_event_size=MAX_HEAD,
        log_config=SILENT,
        access_log=False,
        server_header=False,
        # uvicorn would trust the client address that any local process claims
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
        listener.close()  # uvicorn closes its own: new connections are refused

    threading.Thread(target=drain, name="drain", daemon=True).start()
    server.run(sockets=[_PatientListener(fileno=os.dup(listener.fileno()))])


def _report(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log a fault that asyncio would print with a traceback, which may hold values."""
    log.get("http").warning("connection_failed", error=type(context.get("exception")).__name__)


@contextlib.contextmanager
def listening_at(role: str, path: Path) -> Iterator[socket.socket]:
    """Yield a Unix socket at `path` that listens, for its owner and group; remove it at the end.

    Raises ConfigError if another process listens there, or if the path cannot be used.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        if path.is_socket():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                if probe.connect_ex(str(path)) == 0:
                    raise ConfigError(f"{path} is served by another process: end that process")
            path.unlink()
        try:
            listener.bind(str(path))
            path.chmod(0o660)
            listener.listen()
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be used as the socket of {role} ({error.strerror}): set"
                f" {role}.socket to another path"
            ) from None
        yield listener
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def listening(role: str, host: str, port: int) -> Iterator[tuple[socket.socket, int]]:
    """Yield a TCP socket that listens, and its port (a free one for 0).

    Raises ConfigError, which names the setting of `role`, if the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # A large answer is several writes: without this the second waits for a delayed ACK, 40 ms
        # on Linux.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            listener.bind((host, port))
            listener.listen()  # before the address is printed: its reader may connect at once
        except OSError as error:
            message = (
                f"port {port} of {role} is in use ({error.strerror}): set {role}.port; 0"
                " takes a free port"
            )
            raise ConfigError(message) from None
        yield listener, int(listener.getsockname()[1])
