"""Takes Alertmanager's webhooks and remembers them, by the receiver that the path names."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """What came so far."""

    url: str = ""
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def alerts(self, alert: str, receiver: str | None = None, status: str = "firing") -> list[dict[str, str]]:
        """Labels of the alerts of that name that were delivered, with their summary, in the order in which they came."""
        return [
            {**one["labels"], **one["annotations"]}
            for name, message in list(self.messages)
            for one in message["alerts"]
            if one["labels"]["alertname"] == alert and one["status"] == status and receiver in (None, name)
        ]


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that listens on loopback."""
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.messages.append((self.path.rpartition("/")[2], json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield made
        server.shutdown()
        thread.join()
