"""What stands before a real site: it passes everything on, until it is told to behave like a
guard, or to be gone.
"""

import contextlib
import http.client
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from deploy.local.server import HOST, free_ports
from tests.crawlers.support import QuietServer

CHALLENGE = (
    b"<html><title>Just a moment...</title><script"
    b" src='/cdn-cgi/challenge-platform/x'></script></html>"
)
DENIED = b"User-agent: *\nDisallow: /\n"
KEPT = ("Content-Type", "Location")


@dataclass
class Front:
    """One door on a fixed port; `upstream` is the program behind it, `mood` is `open`, `guarded`
    or `denied`.
    """

    upstream: str
    mood: str = "open"
    port: int = field(default_factory=lambda: free_ports(1)[0])
    remade: Mapping[bytes, bytes] = field(default_factory=dict)
    """What stands in pages instead of what the program writes, as a new theme would have it."""
    _server: QuietServer | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def open(self) -> None:
        self._server = QuietServer((HOST, self.port), _handler(self))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Nobody answers any more."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if self.mood == "guarded":
            return 403, {"Content-Type": "text/html"}, CHALLENGE
        if self.mood == "denied" and path == "/robots.txt":
            return 200, {"Content-Type": "text/plain"}, DENIED
        behind = urllib.parse.urlsplit(self.upstream)
        with contextlib.closing(
            http.client.HTTPConnection(HOST, behind.port, timeout=20)
        ) as connection:
            connection.request("GET", path, headers={"Host": f"{HOST}:{self.port}"})
            got = connection.getresponse()
            body = got.read()
            for old, new in self.remade.items():
                body = body.replace(old, new)
            return got.status, {name: got.headers[name] for name in KEPT if got.headers[name]}, body


def _handler(front: Front) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = front.answer(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    return Handler


@contextlib.contextmanager
def fronts(upstreams: Mapping[str, str]) -> Iterator[dict[str, Front]]:
    """Run an open front for each site."""
    running = {name: Front(upstream) for name, upstream in upstreams.items()}
    for front in running.values():
        front.open()
    try:
        yield running
    finally:
        for front in running.values():
            front.close()
