"""The canary site: a small web server on loopback in the crawl process, which puts up a post of our own at an interval.

It is crawled like any site, over HTTP, by the same visit and pipelines; so a canary post that comes through says that all of it
works. What it does not say is that the way out works: see `crawlers.egress`.
"""

from __future__ import annotations

import json
import secrets
import string
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from crawlers.site import Site
from ullage.canary import SITE, text
from ullage.clock import Clock
from ullage.errors import ConfigError
from ullage.settings import CanarySettings

HOST = "127.0.0.1"
KEPT = 20
"""Posts on the list, the newest first."""
REVISIT_SECONDS = 60.0
CLIENT_SECONDS = 10


def canary_site(settings: CanarySettings) -> Site:
    """The site as a site file would describe it; visited twice an interval, and at least once a minute."""
    return Site(
        name=SITE,
        platform="canary",
        start=(f"http://{HOST}:{settings.port}/",),
        revisit_seconds=min(REVISIT_SECONDS, settings.interval_seconds / 2),
        delay_seconds=0.0,
        allow_private=True,
        legal_basis="synthetic posts of our own",
        owner="ullage",
    )


@dataclass(slots=True)
class CanarySite:
    """Serves while it is open; `turn` puts up the next post when it is due."""

    settings: CanarySettings
    clock: Clock
    _posts: deque[dict[str, object]] = field(default_factory=lambda: deque(maxlen=KEPT))
    _due: float = float("-inf")
    _server: ThreadingHTTPServer | None = None

    def open(self) -> None:
        """Begin to serve; ConfigError when the port is taken."""
        try:
            self._server = _Server((HOST, self.settings.port), _handler(self))
        except OSError as error:
            raise ConfigError(
                f"port {self.settings.port} of the canary site is taken ({error.strerror}): set canary.port"
            ) from None
        threading.Thread(target=self._server.serve_forever, name="canary", daemon=True).start()

    def close(self) -> None:
        """Serve no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def turn(self) -> float:
        """Put up a post if one is due; returns the seconds until the next is."""
        now = self.clock.monotonic()
        if now >= self._due:
            self._due = now + self.settings.interval_seconds
            name = "".join(secrets.choice(string.ascii_lowercase) for _ in range(12))
            self._posts.appendleft({"id": name, "published": self.clock.wall(), "text": text(name)})
        return self._due - now

    def page(self, path: str) -> tuple[str, bytes] | None:
        """Content type and body of `path`; None where there is nothing."""
        posts = list(self._posts)
        if path == "/":
            return "application/json", json.dumps([{"id": p["id"], "published": p["published"]} for p in posts]).encode()
        found = next((post for post in posts if path == f"/raw/{post['id']}"), None)
        return ("text/plain; charset=utf-8", str(found["text"]).encode()) if found else None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_: object) -> None:
        """A client that hung up is none of our business."""


def _handler(site: CanarySite) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "ullage"
        sys_version = ""
        timeout = CLIENT_SECONDS

        def do_GET(self) -> None:
            found = site.page(self.path)
            self.send_response(200 if found else 404)
            kind, body = found or ("text/plain", b"not here\n")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Requests are not logged."""

    return Handler
