"""Hosts that never answer, drip or break the rules: what they cost, and that no other site pays;
kills at any moment.
"""

import json
import random
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

import pytest

from tests.crawlers.conftest import Station
from tests.crawlers.proxies import Socks, proxying
from tests.crawlers.resolving import HANG
from tests.crawlers.support import Answers, serving
from tests.crawlers.test_crawl import states, wait_for

Pastes = Callable[[int], dict[str, str]]
HEALTHY = 20
DIRECT, PROXIED = "direct", "proxied"
SEED = 20_261_126


def silent(_: BaseHTTPRequestHandler, released: threading.Event) -> None:
    """Accept, and say nothing."""
    released.wait(120)


def dripping(handler: BaseHTTPRequestHandler, released: threading.Event) -> None:
    """Send a header that never ends, one byte at a time."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not released.wait(0.2):
        handler.wfile.write(b"a")


def is_read_first(station: Station, texts: dict[str, str], released: threading.Event) -> None:
    """Site `paste` is read to its end before any of the others comes to one, which would take
    longer than the test may.
    """
    with station.start(
        "crawl", metrics="false", crawl__concurrency="4", crawl__download_seconds="90"
    ) as process:
        assert wait_for(process, "visited")["site"] == "paste"
        released.set()
        process.terminate()
        process.wait(60)
    assert {capture.post_id for capture in station.captures()} == set(texts)


@pytest.mark.parametrize(("how", "way"), [(silent, DIRECT), (dripping, PROXIED)])
def test_healthy_sites_are_read_while_many_hosts_hang(
    station: Station, server: Answers, pastes: Pastes, how: Callable[..., None], way: str
) -> None:
    """The hosts that hang are let go only when the healthy site is read: one of them alone would
    hold it up for a minute.
    """
    texts, released = pastes(HEALTHY), threading.Event()
    with serving() as bad, proxying(Socks) as socks:
        bad.pages["/archive"] = lambda handler: how(handler, released)
        more = "robots = false"
        if way == PROXIED:
            socks.names = {f"bad{number}.example": ("127.0.0.1", bad.port) for number in range(6)}
            socks.names |= {"good.example": ("127.0.0.1", server.port)}
            config = station.data / "ullage.toml"
            config.write_text(
                f"{config.read_text()}\n[crawl.proxies.out]\n"
                f'address = "socks5h://127.0.0.1:{socks.port}"\n'
            )
            more += '\nproxy = "out"'
        for number in range(6):
            url = f"http://bad{number}.example" if way == PROXIED else bad.url
            station.site(f"bad{number}", f"{url}/archive", more=more)
        good = "http://good.example" if way == PROXIED else server.url
        station.site("paste", f"{good}/archive", more=f"{more}\nconcurrency = 4")
        is_read_first(station, texts, released)


def test_endless_name_lookups_delay_no_other_site(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    """More of them than asyncio has threads for look-ups."""
    texts = pastes(HEALTHY)
    station.names = [
        "good.example=127.0.0.1",
        *(f"bad{number}.example={HANG}" for number in range(40)),
    ]
    for number in range(40):
        station.site(f"bad{number}", f"http://bad{number}.example/archive")
    station.site("paste", f"http://good.example:{server.port}/archive", more="concurrency = 4")
    is_read_first(station, texts, threading.Event())


def test_endless_name_lookup_is_aborted(station: Station) -> None:
    station.names = [f"bad.example={HANG}"]
    station.site("bad", "http://bad.example/archive")
    station.run("crawl", "--once", exits=1, crawl__download_seconds="1")
    row = json.loads(station.run("sites", "--json"))
    assert (row["state"], row["reason"]) == ("unreachable", "dns")


class RequestLog(list[str]):
    """Paths that were asked for; `reached` is set when there are `mark` of them."""

    def __init__(self) -> None:
        super().__init__()
        self.mark, self.reached = 0, threading.Event()

    def append(self, path: str) -> None:
        super().append(path)
        if len(self) >= self.mark:
            self.reached.set()


@pytest.mark.faults  # `test_crawl.py` has a short form for every run
@pytest.mark.timeout(1800)
def test_kill_9_at_any_moment_loses_nothing(
    station: Station, server: Answers, pastes: Pastes
) -> None:
    kills, pages = 50, 2000
    texts, rng, requests = pastes(pages), random.Random(SEED), RequestLog()
    server.requested_paths = requests
    station.site(
        "paste",
        f"{server.url}/archive",
        more="concurrency = 4\nrevisit_seconds = 1\nmax_pages = 100000",
    )
    for _ in range(kills):
        requests.reached.clear()
        requests.mark = len(requests) + rng.randint(1, max(2, 2 * pages // (3 * kills)))
        with station.start("crawl", metrics="false") as process:
            assert requests.reached.wait(120)
            process.kill()
    station.run("crawl", "--once")
    captured = [capture.post_id for capture in station.captures()]
    assert set(captured) == set(texts)
    assert len(captured) - len(texts) <= 5 * kills, "no more than what was in hand comes twice"
    assert states(station) == {"due": 0, "leased": 0, "done": 1 + pages, "parked": 0}
