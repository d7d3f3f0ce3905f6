"""Crawl beside a plain Scrapy spider that reads the same pages of the same local server: pages a
second, and their ratio.

Both ask for a list and every paste on it, 16 at a time and without pauses, in a process of their
own, and are timed from the start of the reactor to its end, in turn, the best of three rounds each.
The plain spider keeps nothing; ours seals each paste, has it durable on the bus and remembers it.
CPU time stands below: it says more on a machine that does other things as well.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import scrapy
from prometheus_client import CollectorRegistry
from scrapy.http import Response

from harness.bench.table import ROUNDS, row
from ullage import setup
from ullage.settings import Context

PASTES, SIDE_BY_SIDE = 1500, 16
TEXT = "made-up line of a paste, 48 characters of it ...\n" * 64
LEAST = 0.8
SITE = """platform = "raw_paste"
start = ["{url}/list"]
allow_private = true
delay_seconds = 0
concurrency = {side_by_side}
max_pages = 1000000
robots = false
legal_basis = "bench"
owner = "bench"
"""


def build_response(kind: str, body: str) -> bytes:
    """Return a response as sent over the wire."""
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length:"
        f" {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


class Server(asyncio.Protocol):
    """As quick as Python is."""

    def connection_made(self, transport: Any) -> None:
        """Accept a client."""
        self._transport, self._asked = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self._asked += data
        while b"\r\n\r\n" in self._asked:
            head, _, self._asked = self._asked.partition(b"\r\n\r\n")
            self._transport.write(self.answer(head.split(b" ", 2)[1].decode()))

    def answer(self, path: str) -> bytes:
        """Return the list, or a paste."""
        return LIST if path == "/list" else PASTE


LIST = build_response(
    "text/html", "".join(f'<a href="/paste{number:06}">{number}</a>\n' for number in range(PASTES))
)
PASTE = build_response("text/plain", TEXT)


async def serve(protocol: type[Server] = Server) -> None:
    """Serve on a free port, which is printed, until the process is ended."""
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Plain(scrapy.Spider):
    """Reads the list and what it leads to."""

    name = "plain"
    url = ""
    read = 0

    async def start(self) -> AsyncIterator[scrapy.Request]:
        """Request the list."""
        yield scrapy.Request(f"{self.url}/list")

    def parse(self, response: Response) -> Iterator[scrapy.Request]:
        """Request every paste."""
        for link in response.css("a"):
            path = link.attrib["href"].lstrip("/")
            yield response.follow(f"/raw/{path}", self.paste)

    def paste(self, response: Response) -> Iterator[dict[str, object]]:
        """Read a paste's text."""
        Plain.read += 1
        yield {"url": response.url, "body": response.body}


def plain(url: str) -> None:
    """Run the plain spider; prints its seconds, and those of CPU."""
    from scrapy.crawler import CrawlerProcess

    settings = {
        "LOG_ENABLED": False, "TELNETCONSOLE_ENABLED": False, "ROBOTSTXT_OBEY": False,
        "COOKIES_ENABLED": False,
        "CONCURRENT_REQUESTS": SIDE_BY_SIDE, "CONCURRENT_REQUESTS_PER_DOMAIN": SIDE_BY_SIDE,
        "DOWNLOAD_DELAY": 0,
    }  # fmt: skip
    process = CrawlerProcess(settings)
    process.crawl(Plain, url=url)
    started, used = time.monotonic(), time.process_time()
    process.start()
    if Plain.read != PASTES:
        raise SystemExit("not all was read")
    print(time.monotonic() - started, time.process_time() - used)


def ours(url: str) -> None:
    """Crawl the same once; prints as `plain`."""
    from crawlers.fetching.scrapy_setup import run_on_reactor, silence_libraries
    from crawlers.metrics import CrawlMetrics
    from crawlers.scheduling.scheduler import Scheduler

    with tempfile.TemporaryDirectory() as name:
        made = Context(Path(name))
        list(setup.initialise(made))
        crawl = made.settings.crawl.model_copy(update={"concurrency": SIDE_BY_SIDE})
        context = Context(made.data, settings=made.settings.model_copy(update={"crawl": crawl}))
        (context.data / "sites.d" / "bench.toml").write_text(
            SITE.format(url=url, side_by_side=SIDE_BY_SIDE)
        )
        silence_libraries()
        scheduler = Scheduler(context, ["bench"], CrawlMetrics(CollectorRegistry(), context.clock))
        started, used = time.monotonic(), time.process_time()
        run_on_reactor(lambda stopped: scheduler.run(stopped, once=True), threading.Event())
        seconds, cpu = time.monotonic() - started, time.process_time() - used
        if scheduler.unread:
            raise SystemExit("the site was not read")
        print(seconds, cpu)


@contextmanager
def serving(module: str = "harness.bench.crawl") -> Iterator[str]:
    """Run a module's server and yield its address."""
    with subprocess.Popen(
        [sys.executable, "-m", module, "serve"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def run_act(module: str, *words: str) -> list[float]:
    """Run an act of a module in its own process and return the numbers of its last line."""
    result = subprocess.run(
        [sys.executable, "-m", module, *words], capture_output=True, text=True, check=True
    )
    return [float(word) for word in result.stdout.splitlines()[-1].split()]


def crawl() -> list[str]:
    """Return a line of the table, naming what was missed."""
    with serving() as url:
        rounds = [
            [run_act("harness.bench.crawl", side, url) for side in ("ours", "plain")]
            for _ in range(ROUNDS)
        ]
    ratios = []
    for place, what in enumerate(("pages/s", "pages/s of CPU")):
        rate, bare = (PASTES / min(round_[side][place] for round_ in rounds) for side in (0, 1))
        row(f"crawl one site, {what}", f"{rate:,.0f}", f"plain Scrapy {bare:,.0f}", rate / bare)
        ratios.append(rate / bare)
    return [] if ratios[0] >= LEAST else [f"crawl below {LEAST} of plain Scrapy"]


if __name__ == "__main__":
    act, *rest = sys.argv[1:]
    asyncio.run(serve()) if act == "serve" else {"plain": plain, "ours": ours}[act](rest[0])
