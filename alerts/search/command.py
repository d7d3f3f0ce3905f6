"""`ullage search`: serves the page on loopback.

uvicorn has the main thread, but signals stay with `ullage.runtime.role`: a thread waits for its stop and tells the server to
drain. Neither requests nor uvicorn's own messages are logged, for a URL can hold what somebody typed.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import typer
import uvicorn

from alerts.search.app import create_app
from alerts.search.connections import MAX_HEAD, BoundedProtocol
from alerts.search.door import TOKEN
from alerts.store import configured_store
from ullage.errors import ConfigError
from ullage.monitoring.metrics import new_registry
from ullage.runtime.role import running
from ullage.settings import LOOPBACK, Context, SearchSettings

SILENT: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"none": {"class": "logging.NullHandler"}},
    "loggers": {name: {"handlers": ["none"], "propagate": False} for name in ("uvicorn", "uvicorn.error", "uvicorn.access")},
}
DRAIN_SECONDS = 10


class _Server(uvicorn.Server):
    """Leaves signals to `ullage.runtime.role`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def search(ctx: typer.Context) -> None:
    """Serve the fraud team's page and its API on loopback."""
    context: Context = ctx.obj
    registry = new_registry("search")
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(contextlib.closing(configured_store(context)))
        listener, port = stack.enter_context(_listening(context.settings.search))
        stop = stack.enter_context(running("search", registry, None))
        hosts = frozenset(f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name in LOOPBACK)
        app = create_app(context, store, registry, hosts)
        typer.echo(f"search page: http://{context.settings.search.host}:{port}/")
        typer.echo(f"log in with the token in {context.keys.root / TOKEN}", err=True)
        _serve(app, listener, stop)


def _serve(app: Any, listener: socket.socket, stop: threading.Event) -> None:
    """Serve until `stop`, then finish what is being answered."""
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        h11_max_incomplete_event_size=MAX_HEAD,
        log_config=SILENT,
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    server = _Server(config)

    def drain() -> None:
        stop.wait()
        server.should_exit = True

    threading.Thread(target=drain, name="drain", daemon=True).start()
    server.run(sockets=[listener])


@contextlib.contextmanager
def _listening(settings: SearchSettings) -> Iterator[tuple[socket.socket, int]]:
    """A listening socket and its port; ConfigError when the port is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
            listener.listen()  # before the address is printed: whoever reads it may come at once
        except OSError as error:
            message = f"port {settings.port} of search is taken ({error.strerror}): set search.port, 0 for any"
            raise ConfigError(message) from None
        yield listener, int(listener.getsockname()[1])
