"""Sites, pages and posts to hand, and a small local server whose answers a test decides.

All content is made up.
"""

import contextlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from scrapy.http import HtmlResponse, Request, Response, TextResponse

from crawlers.sites.pages import PageAddress, Post
from crawlers.sites.site import Site

KEY = bytes(range(32))
PAGES = Path(__file__).parent / "pages"
KINDS = {
    ".html": (HtmlResponse, "text/html; charset=utf-8"),
    ".json": (TextResponse, "application/json"),
    ".txt": (Response, "text/plain"),
}


async def at_once(act):
    """Stands for the thread of the bus where nothing has to wait for it."""
    return act()


def make_site(**fields: object) -> Site:
    fields_ = {
        "name": "board",
        "platform": "spirit",
        "start": ["http://board.example/"],
        "legal_basis": "test",
        "owner": "test",
        "watch": True,
    }
    return Site.model_validate({**fields_, **fields})


def load_page(file: str, url: str, content_type: str | None = None) -> Response:
    """Return a page of `pages/` as a response from `url`."""
    path = PAGES / file
    kind, declared = KINDS[path.suffix]
    return kind(
        url,
        body=path.read_bytes(),
        headers={"Content-Type": content_type or declared},
        request=Request(url),
    )


def post(number: int = 1, text: str = "hello") -> Post:
    return Post(str(number), f"http://board.example/{number}", text.encode())


def item(number: int, stamp: str = "") -> PageAddress:
    return PageAddress(
        f"http://board.example/{number}/raw",
        "item",
        identity=f"http://board.example/{number}",
        stamp=stamp,
    )


@dataclass
class Answers:
    """What the local server says to each path, and which paths were requested.

    A function may stand for an answer: it gets the handler.
    """

    url: str = ""
    port: int = 0
    pages: dict[str, object] = field(default_factory=dict)
    requested_paths: list[str] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)

    def says(self, path: str, body: bytes | str = b"", status: int = 200, **headers: str) -> None:
        self.pages[path] = (
            status,
            body.encode() if isinstance(body, str) else body,
            {"Content-Type": "text/html", **{k.replace("_", "-"): v for k, v in headers.items()}},
        )


def _handler(answers: Answers) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answers.requested_paths.append(self.path)
            answers.agents.add(self.headers.get("User-Agent", ""))
            answers.hosts.add(self.headers.get("Host", ""))
            answer = answers.pages.get(self.path, (404, b"", {}))
            if callable(answer):
                answer(self)
                return
            status, body, headers = answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    return Handler


class QuietServer(ThreadingHTTPServer):
    """Ends at once, whoever still waits for an answer, and says nothing."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """Ignore the error: some tests disconnect midway."""


@contextlib.contextmanager
def serving(
    host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[Answers]:
    """Run a server on a loopback address, with TLS where `tls` is given."""
    answers = Answers()
    with QuietServer((host, port), _handler(answers)) as listening:
        if tls:
            listening.socket = tls.wrap_socket(listening.socket, server_side=True)
        answers.port = int(listening.server_address[1])
        answers.url = f"{'https' if tls else 'http'}://{host}:{answers.port}"
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        try:
            yield answers
        # a server whose socket is closed while it serves turns in a circle to the end of the run
        finally:
            listening.shutdown()
            thread.join()
