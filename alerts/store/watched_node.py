"""Tell a server that has stopped answering from a slow one, before a request's time is over.

A request that takes longer than `patience` is not given up: the server is asked for something that
costs it nothing, on a connection of its own, and only where that is not answered either the
request ends. It is left to a thread that ends with the request's own time limit. For a moment
afterwards every request fails at once, and the next asks first whether the server is back: so what
waits is not multiplied by the requests of a page, nor the threads by those of an hour.
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
    """One server of the store, whose silence ends a request within one and a half times
    `patience` seconds.
    """

    patience: ClassVar[float]

    def __init__(self, config: NodeConfig) -> None:
        super().__init__(config)
        self._asking = threading.Lock()
        self._is_silent, self._asked_at = False, 0.0

    def perform_request(self, *args: Any, **options: Any) -> Any:
        """Return the answer; ConnectionTimeout where the server is silent, other errors are
        those of the parent class.
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
        """Raise ConnectionTimeout unless the server answers anything at all; one thread asks,
        for all that wait.
        """
        with self._asking:
            if not self._is_silent or time.monotonic() - self._asked_at > PAUSE_SECONDS:
                self._is_silent = not self._answers()
                self._asked_at = time.monotonic()
            if self._is_silent:
                raise ConnectionTimeout("the server does not answer")

    def _answers(self) -> bool:
        """Ask on connections of its own: requests that are given up hold the others until their
        time is over.
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


def watched_node(patience: float) -> type[WatchedNode]:
    """Return the class of a node with this patience, in seconds, for the client to make."""
    return type("PatientNode", (WatchedNode,), {"patience": patience})


def _start(request: partial[Any]) -> Future[Any]:
    """Send a request from a thread of its own, which may be left behind."""
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
