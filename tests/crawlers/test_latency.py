"""How long a site takes is the site's time: what our own loop does meanwhile does not make a
quick site pass for a slow one.
"""

import asyncio
import contextlib
import json
import selectors
import socket
import subprocess
import sys

from crawlers.fetching.scrapy_setup import Looks, TimedLoop
from tests.conftest import HeldClock

HELD = 0.5
CRAWL = """
import asyncio, ipaddress, json, sys, threading, time
from types import SimpleNamespace
from scrapy import Request, Spider, signals
from scrapy.crawler import AsyncCrawlerRunner
from scrapy.extensions.throttle import AutoThrottle
from crawlers.fetching.scrapy_setup import run_on_reactor
from crawlers.fetching.scrapy_setup import HANDLER
from tests.crawlers.support import serving

asked, may, sent = threading.Event(), threading.Event(), threading.Event()
told, held = {}, float(sys.argv[1])

def page(handler):
    asked.set()
    assert may.wait(60)
    handler.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    sent.set()

def begun():
    told["began"] = time.monotonic()
    hold()

def hold():
    if not asked.is_set():
        asyncio.get_running_loop().call_later(0.001, hold)
        return
    may.set()
    assert sent.wait(60)
    time.sleep(held)  # stands for the work that keeps the loop from its sockets

class Asks(Spider):
    name = "asks"
    addresses = (ipaddress.ip_address("127.0.0.1"),)
    visit = SimpleNamespace(resolved={"127.0.0.1": addresses}, proxy=None)
    url = ""

    async def start(self):
        self.crawler.signals.connect(self.reached, signal=signals.request_reached_downloader)
        self.crawler.signals.connect(self.headers, signal=signals.headers_received)
        yield Request(self.url)

    def reached(self, request):
        asyncio.get_running_loop().call_soon(begun)

    def headers(self, request):
        told["total"] = time.monotonic() - told["began"]

    def parse(self, response):
        told["latency"] = response.meta["download_latency"]
        [slot] = self.crawler.engine.downloader.slots.values()
        told["delay"] = slot.delay

async def main(stopped):
    settings = {
        "DOWNLOAD_HANDLERS": {"http": HANDLER},
        "AUTOTHROTTLE_ENABLED": True, "AUTOTHROTTLE_START_DELAY": 0,
        "DOWNLOAD_DELAY": 0, "LOG_ENABLED": False, "TELNETCONSOLE_ENABLED": False,
    }
    await AsyncCrawlerRunner(settings).crawl(Asks, url=f"{server.url}/page")

with serving() as server:
    server.pages["/page"] = page
    run_on_reactor(main, threading.Event())
print(json.dumps(told))
"""


def test_busy_event_loop_does_not_inflate_site_latency() -> None:
    result = subprocess.run(
        [sys.executable, "-c", CRAWL, str(HELD)], capture_output=True, text=True, check=True
    )
    measured = json.loads(result.stdout)
    assert measured["total"] >= HELD
    assert measured["latency"] <= measured["total"] - HELD
    assert measured["delay"] <= measured["total"] - HELD


def test_answer_received_while_the_loop_was_busy_is_dated_earlier(
    clock: HeldClock,
) -> None:
    looks = Looks(clock.wall)
    loop = TimedLoop(looks)
    ours, theirs = socket.socketpair()

    async def ask() -> float:
        arrival: asyncio.Future[float] = loop.create_future()
        loop.add_reader(
            ours, lambda: arrival.done() or arrival.set_result(clock.wall() - looks.since)
        )
        theirs.send(b"x")
        clock.advance(5)
        return await arrival

    with ours, theirs, contextlib.closing(loop):
        assert loop.run_until_complete(ask()) == 5


def test_awaited_answer_is_dated_at_the_end_of_the_wait(clock: HeldClock) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, Looks(clock.wall) as looks:
        looks.register(ours, selectors.EVENT_READ)
        clock.advance(5)
        assert (looks.select(0.001), looks.since) == ([], clock.wall())
        theirs.send(b"x")
        clock.advance(5)
        assert [key.fileobj for key, _ in looks.select()] == [ours]
        assert looks.since == clock.wall() - 5
