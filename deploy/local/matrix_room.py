"""Serve one room of a Matrix server on loopback, for the demo, from memory.

It replaces a homeserver where none is installed; `harness.servers.chats` starts a real one for
the live tests. It answers the requests of `ullage collect matrix`: join, join rules, `/sync`
with the end of the timeline, and `/messages` for earlier messages.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from deploy.local.server import serving

PATH = re.compile(r"/_matrix/client/(?:r0|v3)/(?P<what>join|sync|rooms)(?:/(?P<rest>.*))?")
FIRST = 10
"""The number of messages in the first `/sync`; earlier ones are history."""
LONGEST_WAIT = 1.0
"""How many seconds `/sync` waits when nothing is new."""
Answer = tuple[int, dict[str, Any]]
UNKNOWN: Answer = (404, {"errcode": "M_NOT_FOUND", "error": "unknown"})


@dataclass(frozen=True, slots=True)
class Said:
    """One message.

    `sender` is the name without its server; `at` is when it was sent, in Unix seconds.
    """

    sender: str
    text: str
    at: float


@dataclass(slots=True)
class Room:
    """A public room without new messages, and the access token for reading it."""

    said: Sequence[Said]
    address: str = "#loans:localhost"
    token: str = ""
    url: str = ""

    def answer(self, url: str, token: str) -> Answer:
        """Return status and JSON for one request.

        401 for another token, and UNKNOWN (404) for another room or path.
        """
        match = PATH.fullmatch(urlsplit(url).path)
        if not secrets.compare_digest(token.encode(), self.token.encode()):
            return 401, {"errcode": "M_UNKNOWN_TOKEN", "error": "unknown token"}
        if match is None:
            return UNKNOWN
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        what, argument = match["what"], unquote(match["rest"] or "")
        if what == "join":
            return (200, {"room_id": self._id}) if argument == self.address else UNKNOWN
        if what == "sync":
            return 200, self._sync(query.get("since", ""))
        if argument == f"{self._id}/state/m.room.join_rules":
            return 200, {"join_rule": "public"}
        return (200, self._back(query)) if argument == f"{self._id}/messages" else UNKNOWN

    @property
    def _id(self) -> str:
        return "!room:localhost"

    def _sync(self, since: str) -> dict[str, Any]:
        end = f"t{len(self.said)}"
        if since == end:
            time.sleep(LONGEST_WAIT)
            return {"next_batch": end}
        first = max(0, len(self.said) - FIRST)
        timeline = {
            "events": self._events(first, len(self.said)),
            "limited": first > 0,
            "prev_batch": f"t{first}",
        }
        return {"next_batch": end, "rooms": {"join": {self._id: {"timeline": timeline}}}}

    def _back(self, asked: dict[str, str]) -> dict[str, Any]:
        until = int(asked.get("from", f"t{len(self.said)}").removeprefix("t"))
        since = max(0, until - int(asked.get("limit", "10")))
        page: dict[str, Any] = {"start": f"t{until}", "chunk": self._events(since, until)[::-1]}
        return page | ({"end": f"t{since}"} if since else {})

    def _events(self, since: int, until: int) -> list[dict[str, Any]]:
        return [
            {
                "type": "m.room.message",
                "event_id": f"$event{number}:localhost",
                "sender": f"@{message.sender}:localhost",
                "origin_server_ts": int(message.at * 1000),
                "content": {"msgtype": "m.text", "body": message.text},
            }
            for number, message in enumerate(self.said[since:until], since)
        ]


def _handler(room: Room) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self._answer()

        def _answer(self) -> None:
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            token = token or parse_qs(urlsplit(self.path).query).get("access_token", [""])[0]
            status, content = room.answer(self.path, token)
            body = json.dumps(content).encode()
            with contextlib.suppress(ConnectionError):  # the client was stopped
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    return Handler


@contextlib.contextmanager
def matrix_room(said: Sequence[Said]) -> Iterator[Room]:
    """Serve a room with these messages on a free port of loopback, and yield it."""
    room = Room(said, token=secrets.token_hex(16))
    with serving(_handler(room)) as room.url:
        yield room
