"""Receive webhooks on loopback, for the demo, tests and benchmark.

The receiver keeps every request and answers as configured. It checks signatures by its own code,
written from the Standard Webhooks specification 1.0, and shares none with the sender.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from deploy.local.server import serving

MARK = "whsec_"


@dataclass(frozen=True, slots=True)
class Received:
    """One request, and when it arrived (Unix seconds)."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    def signed_with(self, key: str) -> bool:
        """Return whether this request has a valid signature by `key`.

        `key` is in the form in which its owner stores it.
        """
        named = (self.headers.get(name, "") for name in ("webhook-id", "webhook-timestamp"))
        text = b".".join((*(value.encode() for value in named), self.body))
        digest = hmac.new(base64.b64decode(key.removeprefix(MARK)), text, hashlib.sha256).digest()
        proofs = self.headers.get("webhook-signature", "").split(" ")
        return any(
            hmac.compare_digest(f"v1,{base64.b64encode(digest).decode()}", proof)
            for proof in proofs
        )

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


Answer = tuple[int, Mapping[str, str], bytes]


@dataclass(slots=True)
class Receiver:
    """A receiver: its address, its requests, and its answer, which may be replaced at any time."""

    url: str
    received: list[Received] = field(default_factory=list)
    answer: Callable[[Received], Answer] = lambda _: (200, {}, b'{"ok": true}')
    came: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, true: Callable[[list[Received]], bool], seconds: float) -> bool:
        """Wait until `true` holds for the requests; return whether it did within `seconds`."""
        with self.came:
            return self.came.wait_for(lambda: true(self.received), seconds)


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            got = Received(
                self.path,
                {name.lower(): value for name, value in self.headers.items()},
                body,
                time.time(),
            )
            status, headers, answer = receiver.answer(got)
            with receiver.came:
                receiver.received.append(got)
                receiver.came.notify_all()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Log nothing: requests are kept instead."""

    return Handler


@contextlib.contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """Run a receiver on a free port of loopback, or on `port`, and yield it."""
    receiver = Receiver("")
    with serving(_handler(receiver), port) as address:
        receiver.url = f"{address}/hook"
        yield receiver


def new_key() -> str:
    """Return a new random key."""
    return MARK + base64.b64encode(secrets.token_bytes(32)).decode()
