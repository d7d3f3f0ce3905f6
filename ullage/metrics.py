"""/metrics, /healthz and /readyz of one role, on loopback.

Names are `ullage_<stage>_<noun>_<unit>_total`; labels come from configuration alone (site, tenant, kind, stage, reason): never a
tag, handle, URL or author. Each role makes its metrics in a registry of its own; there is no multi-process mode.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry, GCCollector, Info, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from ullage import __version__, log

HOST = "127.0.0.1"
CLIENT_SECONDS = 10
BUCKETS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0)
"""Seconds; publish to incident runs from seconds to a day."""


def new_registry(role: str) -> CollectorRegistry:
    """A registry with the process's own metrics and one that names version and role."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    Info("ullage_build", "Version and role of this process.", registry=registry).info({"version": __version__, "role": role})
    return registry


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
