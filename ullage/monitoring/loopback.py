"""A small web server on loopback, in threads of its own: a role's metrics, and the site of
canary posts.
"""

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
"""A client that says nothing for so long is hung up on."""
MOST_CONNECTIONS = 32
"""At once; the oldest is cut for one more."""


class LoopbackResponse(NamedTuple):
    """What is said to a request."""

    body: bytes
    content_type: str = "text/plain"
    status: int = 200


NOTHING = LoopbackResponse(b"not here\n", status=404)


class LoopbackServer:
    """Answers GET by path (without the query) and headers; of a request nothing is logged.

    Use as a context.

    OSError when `port` is taken; 0 takes a free one.
    """

    def __init__(
        self, name: str, port: int, answer: Callable[[str, Message], LoopbackResponse]
    ) -> None:
        self._server = _LoopbackServer(name, port, answer)
        self._thread = threading.Thread(target=self._server.serve_forever, name=name, daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened on."""
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
        """Accept a connection; the oldest ones end where there are too many, or few descriptors
        are left.
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
        """End a connection."""
        with contextlib.suppress(ValueError):
            self._open.remove(request)
        super().shutdown_request(request)

    def _cut_oldest(self) -> None:
        with contextlib.suppress(IndexError, OSError):
            self._open.pop(0).shutdown(socket.SHUT_RDWR)  # its thread sees the end and closes it

    def handle_error(self, *_: object) -> None:
        """A client that hung up, or a fault of `answer`: one line without content, never a
        traceback.
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
        """Requests are not logged."""
