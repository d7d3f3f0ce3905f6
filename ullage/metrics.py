"""/metrics, /healthz and /readyz of one role, on loopback.

Names are `ullage_<stage>_<noun>_<unit>_total`; labels come from configuration alone (site, tenant, kind, stage, reason): never a
tag, handle, URL or author. Each role makes its metrics in a registry of its own; there is no multi-process mode.
`docs/metrics.md` is the specification, and a test holds the roles to it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from ullage import __version__, log
from ullage.clock import Clock

HOST = "127.0.0.1"
CLIENT_SECONDS = 10
BUCKETS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0)
"""Seconds; publish to incident runs from seconds to a day."""
BUS, STORE = "bus", "store"
"""What a role works on and may have to wait for."""
OTHER = "other"
"""The value of a label that stands for everything that configuration does not name."""


def bounded(value: str, known: Collection[str]) -> str:
    """`value` as a label: itself where it is `known`, else `other`, so that no record can make a new series."""
    return value if value in known else OTHER


def new_registry(role: str) -> CollectorRegistry:
    """A registry with the process's own metrics and one that names version and role."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # birth dates that nobody reads would double the series
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    Info("ullage_build", "Version and role of this process.", registry=registry).info({"version": __version__, "role": role})
    return registry


class LoopMetrics:
    """Whether a role's loop turns, and whether it reaches what it cannot work without. `parts` are `BUS`, `STORE`."""

    def __init__(self, registry: CollectorRegistry, clock: Clock, parts: Collection[str]) -> None:
        self._clock = clock
        self._turned = Gauge("ullage_loop_turned_timestamp_seconds", "When the role's loop last turned.", registry=registry)
        self._up = Gauge(
            "ullage_dependency_up",
            "1 while what the role works on answers it, 0 while it waits.",
            ["dependency"],
            registry=registry,
        )
        self.turned()  # a role that never comes to its first turn is missed from now on
        for part in parts:
            self.reached(part, True)

    def turned(self) -> None:
        """The loop turned."""
        self._turned.set(self._clock.wall())

    def reached(self, part: str, answers: bool) -> None:
        """A call to `part` came back, or failed because it is down."""
        self._up.labels(part).set(answers)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that hung up, or a fault of `ready`: one line without content, never a traceback."""
        log.get("metrics").warning("request_failed", error=type(sys.exception()).__name__)


class MetricsServer:
    """Serves one registry; `ready` says whether the role can work now. Use as a context."""

    def __init__(self, registry: CollectorRegistry, port: int, ready: Callable[[], bool]) -> None:
        self._server = _Server((HOST, port), _handler(registry, ready))
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(registry: CollectorRegistry, ready: Callable[[], bool]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "ullage"
        sys_version = ""
        timeout = CLIENT_SECONDS

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                self._answer(200, encode(registry), content_type)
            elif path == "/healthz":
                self._answer(200, b"alive\n", "text/plain")
            elif path == "/readyz":
                is_ready = ready()
                self._answer(200 if is_ready else 503, b"ready\n" if is_ready else b"not ready\n", "text/plain")
            else:
                self._answer(404, b"not here\n", "text/plain")

        def _answer(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Requests are not logged."""

    return Handler
