"""Distinguish a server that has stopped answering from a slow one, before a request times out.

A request that takes longer than `patience` is not abandoned at once: a trivial request is sent to
the server on a separate connection, and only if that is not answered either, the request fails. Its
thread ends with the request's own time limit. For a moment afterwards every request fails at once,
and the next one first checks whether the server is back, so neither the waiting time of a page nor
the number of threads grows with the number of requests.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from functools import partial
from typing import Any, ClassVar

from elastic_transport import ConnectionTimeout, NodeConfig, TransportError, Urllib3HttpNode

PAUSE_SECONDS = 1.0


class WatchedNode(Urllib3HttpNode):
    """A server of the store; if it is silent, a request fails within 1.5 × `patience` seconds."""

    patience: ClassVar[float]

    def __init__(self, config: NodeConfig) -> None:
        super().__init__(config)
        self._asking = threading.Lock()
        self._is_silent, self._asked_at = False, 0.0

    def perform_request(self, *args: Any, **options: Any) -> Any:
        """Send a request and return the answer.

        While the answer takes long, the server is checked every `patience` seconds. Raises
        ConnectionTimeout where the server is silent, and the errors of the parent class. A request
        that is given up on goes on in a thread of its own.
        """
        if self._is_silent:
            self._require_alive()
        answer = _start(partial(super().perform_request, *args, **options))
        while True:
            try:
                return answer.result(self.patience)
            except TimeoutError:
                self._require_alive()

    def _require_alive(self) -> None:
        """Raise ConnectionTimeout unless the server answers a trivial request.

        One thread checks for all threads that wait.
        """
        with self._asking:
            if not self._is_silent or time.monotonic() - self._asked_at > PAUSE_SECONDS:
                self._is_silent = not self._is_alive()
                self._asked_at = time.monotonic()
            if self._is_silent:
                raise ConnectionTimeout("the server does not answer")

    def _is_alive(self) -> bool:
        """Return whether the server answers a HEAD request within half of `patience`.

        It is sent on separate connections, because abandoned requests occupy the usual ones until
        they time out; if there is no answer, the separate ones replace these.
        """
        node = Urllib3HttpNode(self.config)
        seconds = self.patience / 2
        try:
            _start(partial(node.perform_request, "HEAD", "/", request_timeout=seconds)).result(
                seconds
            )
        except (TimeoutError, TransportError):
            self.pool = node.pool
            return False
        node.close()
        return True


def make_node_class(patience: float) -> type[WatchedNode]:
    """Return a node class with this patience in seconds, for the client to instantiate."""
    return type("PatientNode", (WatchedNode,), {"patience": patience})


def _start(request: partial[Any]) -> Future[Any]:
    """Send a request from a thread of its own, which may outlive the caller; return its future.

    The future gets the answer or the error of the request.
    """
    answer = Future[Any]()

    def run() -> None:
        try:
            answer.set_result(request())
        except (TransportError, ValueError) as error:
            answer.set_exception(error)
        finally:
            if not answer.done():
                answer.cancel()

    threading.Thread(target=run, name="incident store", daemon=True).start()
    return answer
