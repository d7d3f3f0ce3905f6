"""A receiver of webhooks on loopback, for the demo, tests and benchmark: it keeps what it got and
answers as it is told.

It checks signatures by itself, from the text of the Standard Webhooks specification 1.0, and shares
no code with what signs.
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
    """One request, and when it came (Unix seconds)."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    def signed_with(self, key: str) -> bool:
        """Whether the holder of `key` sent exactly this; `key` as its owner writes it down."""
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
    """Where it listens, what it got, and how it answers; `answer` may be replaced at any moment."""

    url: str
    received: list[Received] = field(default_factory=list)
    answer: Callable[[Received], Answer] = lambda _: (200, {}, b'{"ok": true}')
    came: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, true: Callable[[list[Received]], bool], seconds: float) -> bool:
        """Whether `true` of what came, within `seconds`."""
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
            """Requests are kept, not logged."""

    return Handler


@contextlib.contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """A receiver on a free port of loopback, or on `port`."""
    receiver = Receiver("")
    with serving(_handler(receiver), port) as address:
        receiver.url = f"{address}/hook"
        yield receiver


def new_key() -> str:
    """A key that nobody else has."""
    return MARK + base64.b64encode(secrets.token_bytes(32)).decode()
