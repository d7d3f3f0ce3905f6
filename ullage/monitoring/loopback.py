"""Run a small web server on loopback in threads: for metrics, and for the canary site."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

from ullage import log
from ullage.files.descriptors import PAUSE_SECONDS, are_scarce, is_out_of_resources

HOST = "127.0.0.1"
CLIENT_SECONDS = 10
"""A client that is silent for so long is disconnected."""
MOST_CONNECTIONS = 32
"""Concurrent connections; one more closes the oldest."""


class LoopbackResponse(NamedTuple):
    """A response to a request."""

    body: bytes
    content_type: str = "text/plain"
    status: int = 200


NOTHING = LoopbackResponse(b"not here\n", status=404)


class LoopbackServer:
    """Responds to GET by path (without the query) and headers; logs nothing about requests.

    Use as a context manager. Raises OSError if `port` is taken; 0 takes a free one.
    """

    def __init__(
        self, name: str, port: int, answer: Callable[[str, Message], LoopbackResponse]
    ) -> None:
        self._server = _LoopbackServer(name, port, answer)
        self._thread = threading.Thread(target=self._server.serve_forever, name=name, daemon=True)

    @property
    def port(self) -> int:
        """The listening port."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _LoopbackServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self, name: str, port: int, answer: Callable[[str, Message], LoopbackResponse]
    ) -> None:
        self.name, self.answer = name, answer
        self._open: list[socket.socket] = []
        super().__init__((HOST, port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; close the oldest if there are too many or descriptors are scarce.

        Raises OSError if none can be accepted, after a pause of PAUSE_SECONDS where descriptors or
        memory ran out.
        """
        try:
            accepted, address = super().get_request()
        except OSError as error:
            if is_out_of_resources(error):
                self._cut_oldest()
                time.sleep(PAUSE_SECONDS)  # else it would be tried again without end
            raise
        self._open.append(accepted)
        if len(self._open) > MOST_CONNECTIONS or are_scarce():
            self._cut_oldest()
        return accepted, address

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with contextlib.suppress(ValueError):
            self._open.remove(request)
        super().shutdown_request(request)

    def _cut_oldest(self) -> None:
        with contextlib.suppress(IndexError, OSError):
            self._open.pop(0).shutdown(socket.SHUT_RDWR)  # its thread sees the end and closes it

    def handle_error(self, *_: object) -> None:
        """Log one line without content, never a traceback.

        The client hung up, or `answer` failed.
        """
        log.get(self.name).warning("request_failed", error=type(sys.exception()).__name__)


class _Handler(BaseHTTPRequestHandler):
    server: _LoopbackServer
    server_version = "ullage"
    sys_version = ""
    timeout = CLIENT_SECONDS

    def do_GET(self) -> None:
        answer = self.server.answer(self.path.partition("?")[0], self.headers)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: object) -> None:
        """Log nothing about requests."""
