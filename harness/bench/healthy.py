"""What hostile hosts cost others: the rate at which healthy sites are read beside them, as a share
of their rate alone.

Healthy sites are read at a polite pace by one process, then the same again beside hosts that accept
and say nothing, drip, send without end, redirect in circles or answer 429, and names that are never
resolved. Timed from the moment at which the crawl starts to the last request for a page of a
healthy site, with all hostile hosts first in turn: what they cost at the start counts. That is some
five seconds, once, so there are pages for a minute and a half. The best of two rounds each, in
turns.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from harness.bench.crawl import run_act, serving
from harness.bench.table import row
from ullage import setup
from ullage.settings import Context

SITES, PASTES, DELAY = 10, 300, 0.25
TURNS = 2
HOSTILE = 20
"""Of each kind."""
LEAST = 0.9
SITE = """platform = "raw_paste"
start = ["{url}"]
allow_private = true
delay_seconds = {delay}
robots = false
legal_basis = "bench"
owner = "bench"
"""
KINDS = ("silent", "drip", "endless", "circle", "busy")
LIST = "".join(f'<a href="{{}}/paste{number:03}">{number}</a>\n' for number in range(PASTES))
OPEN = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"


class Server(asyncio.Protocol):
    """Healthy for `/good…`; each kind of hostility has a path of its own."""

    asked: list[float] = []  # noqa: RUF012 - shared by all connections

    def connection_made(self, transport: Any) -> None:
        """Accept a client."""
        self._transport, self._asked = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer, or do not."""
        self._asked += data
        while b"\r\n\r\n" in self._asked:
            head, _, self._asked = self._asked.partition(b"\r\n\r\n")
            self._answer(head.split(b" ", 2)[1].decode())

    def _answer(self, path: str) -> None:
        if path == "/times":
            self._send("200 OK", f"{max(self.asked)} {len(self.asked)}")
        elif path.startswith(("/good", "/raw/")):
            self.asked.append(time.monotonic())
            self._send(
                "200 OK",
                LIST.format(*[""] * PASTES) if path.startswith("/good") else "made-up text\n" * 200,
            )
        elif path == "/circle":
            self._send("302 Found", "", "Location: /circle\r\n")
        elif path == "/busy":
            self._send("429 No", "", "Retry-After: 60\r\n")
        elif path in {"/drip", "/endless"}:
            self._transport.write(OPEN)
            self._go_on(b"." if path == "/drip" else b"x" * 65536, 0.5 if path == "/drip" else 0.02)

    def _send(self, status: str, body: str, more: str = "") -> None:
        kind = "text/html" if body.startswith("<") else "text/plain"
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{more}Content-Length:"
            f" {len(body)}\r\n\r\n"
        )
        self._transport.write((head + body).encode())

    def _go_on(self, data: bytes, seconds: float) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)
            asyncio.get_running_loop().call_later(seconds, self._go_on, data, seconds)


async def serve() -> None:
    """Serve on a free port, which is printed, until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def ours(url: str, hostile: str) -> None:
    """Crawl healthy sites, beside others where that is asked, until each healthy one was
    visited; prints when that began.
    """
    from crawlers.fetching.scrapy_setup import run_on_reactor, silence_libraries
    from crawlers.metrics import CrawlMetrics
    from crawlers.scheduling.scheduler import Scheduler

    look_up = socket.getaddrinfo
    socket.getaddrinfo = lambda host, *rest, **more: (  # type: ignore[assignment]
        threading.Event().wait() if str(host).startswith("hang") else look_up(host, *rest, **more)
    )
    with tempfile.TemporaryDirectory() as name:
        context = Context(Path(name))
        list(setup.initialise(context))
        starts = {f"z{number}": f"{url}/good{number}" for number in range(SITES)}
        good = {*starts}
        if hostile == "hostile":
            starts |= {
                f"{kind}{number}": f"{url}/{kind}" for kind in KINDS for number in range(HOSTILE)
            }
            starts |= {
                f"hang{number}": f"http://hang{number}.example/" for number in range(HOSTILE)
            }
        for site, start in starts.items():
            (context.data / "sites.d" / f"{site}.toml").write_text(
                SITE.format(url=start, delay=DELAY)
            )
        silence_libraries()
        scheduler = Scheduler(context, [], CrawlMetrics(CollectorRegistry(), context.clock))

        async def until_read(stopped: asyncio.Event) -> None:
            rounds = asyncio.ensure_future(scheduler.run(stopped, once=True))
            while not rounds.done() and (not scheduler.unread or scheduler.unread & good):
                await asyncio.wait([rounds], timeout=0.2)
            stopped.set()
            await rounds

        started = time.monotonic()
        run_on_reactor(until_read, threading.Event())
        print(started)


def healthy() -> list[str]:
    """Return a line of the table, naming what was missed."""
    rounds = [(_rate("alone"), _rate("hostile")) for _ in range(TURNS)]
    alone, beside = (max(round_[side] for round_ in rounds) for side in (0, 1))
    what = f"healthy sites beside {HOSTILE * (len(KINDS) + 1)} hostile, pages/s"
    row(what, f"{beside:.1f}", f"alone {alone:.1f}", beside / alone)
    return (
        []
        if beside >= LEAST * alone
        else [f"healthy sites below {LEAST} of their rate beside hostile ones"]
    )


def _rate(beside: str) -> float:
    """Pages of healthy sites a second, from the start of the crawl: the clock is the same in all
    processes of a machine.
    """
    with serving("harness.bench.healthy") as url:
        [started] = run_act("harness.bench.healthy", "ours", url, beside)
        last, count = map(float, asyncio.run(_times(url)).split())
    if count < SITES * (PASTES + 1):
        raise SystemExit("not all was read")
    return count / (last - started)


async def _times(url: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(b"GET /times HTTP/1.1\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    received = await reader.read(100)
    writer.close()
    return received.decode()


if __name__ == "__main__":
    act, *rest = sys.argv[1:]
    asyncio.run(serve()) if act == "serve" else ours(*rest)
