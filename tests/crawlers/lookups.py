"""Look-ups of names that a test can answer: imported before whatever keeps `socket.getaddrinfo`, it
stands in its place.

A process that is forked from one which has loaded everything (`tests.warm`) replaces `answer`.
"""

import socket
from collections.abc import Callable
from typing import Any

answer: Callable[..., Any] = socket.getaddrinfo


def _look_up(*words: Any, **more: Any) -> Any:
    return answer(*words, **more)


socket.getaddrinfo = _look_up
