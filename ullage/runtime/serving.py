"""Serves an application over HTTP, with bounded connections.

uvicorn has the main thread, but signals stay with `ullage.runtime.role`: a thread waits for its stop and tells the server to
drain. Neither requests nor uvicorn's own messages are logged, for a URL can hold what somebody typed.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

from ullage.errors import ConfigError
from ullage.runtime.connections import MAX_HEAD, BoundedProtocol
from ullage.security.tls import ListenerCertificate

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


class _QuietServer(uvicorn.Server):
    """Leaves signals to `ullage.runtime.role`."""

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
    """Serve until `stop`, then finish what is being answered; with `tls` over TLS, whose files may be renewed meanwhile.

    With `lifespan` the application is told of the server's start and end, as ASGI has it.
    """
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        h11_max_incomplete_event_size=MAX_HEAD,
        log_config=SILENT,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # uvicorn would believe every process of this machine who it says that it asks for
        lifespan="on" if lifespan else "off",
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    config.load()
    config.ssl = tls.context() if tls else None
    server = _QuietServer(config)

    def drain() -> None:
        stop.wait()
        server.should_exit = True

    threading.Thread(target=drain, name="drain", daemon=True).start()
    server.run(sockets=[listener])


@contextlib.contextmanager
def listening_at(role: str, path: Path) -> Iterator[socket.socket]:
    """A listening socket file of `role`, for its owner and group; ConfigError when something else is there, or listens."""
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
            raise ConfigError(f"{path} cannot be the socket of {role} ({error.strerror}): set {role}.socket") from None
        yield listener
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def listening(role: str, host: str, port: int) -> Iterator[tuple[socket.socket, int]]:
    """A listening socket of `role` and its port; ConfigError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # A large answer is several writes: without this the second waits for a delayed ACK, 40 ms on Linux.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            listener.bind((host, port))
            listener.listen()  # before the address is printed: whoever reads it may come at once
        except OSError as error:
            message = f"port {port} of {role} is taken ({error.strerror}): set {role}.port, 0 for any"
            raise ConfigError(message) from None
        yield listener, int(listener.getsockname()[1])
