"""Requests over all sites are bounded, and sites that hang take no place of those that answer."""

import asyncio
import time
from itertools import pairwise
from types import SimpleNamespace

import pytest
from scrapy import Request
from scrapy.core.downloader import Slot
from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler

from crawlers.fetching import permits
from crawlers.fetching.permits import Permits
from crawlers.fetching.pinned import PinnedHandler


class Asked:
    """Requests that are answered when the test says so; `under_way` are those that have a permit or gave it back late."""

    def __init__(self, count: int) -> None:
        self.permits, self.under_way = Permits(count), list[str]()
        self._tasks, self._began = list[asyncio.Task[None]](), asyncio.Condition()

    def ask(self, site: str, answer: asyncio.Event) -> None:
        self._tasks.append(asyncio.ensure_future(self._ask(site, answer)))

    async def _ask(self, site: str, answer: asyncio.Event) -> None:
        async with self.permits.hold(site):
            self.under_way.append(site)
            async with self._began:
                self._began.notify_all()
            await answer.wait()

    async def is_under_way(self, site: str) -> None:
        async with self._began:
            await self._began.wait_for(lambda: site in self.under_way)

    async def settle(self) -> None:
        """Let everything go on that can."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def answered() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


async def known_as_quick(asked: Asked, *sites: str) -> None:
    for site in sites:
        asked.ask(site, answered())
        await asked.settle()
    asked.under_way.clear()


def test_so_many_requests_are_under_way_and_no_more() -> None:
    async def run() -> None:
        asked, answer = Asked(3), asyncio.Event()
        quick = [f"quick{number}" for number in range(5)]
        await known_as_quick(asked, *quick)
        for site in quick:
            asked.ask(site, answer)
        await asked.settle()
        assert asked.under_way == quick[:3]
        answer.set()
        await asked.settle()
        assert asked.under_way == quick
        await asked.end()

    asyncio.run(run())


def test_sites_that_hang_and_new_ones_leave_half_of_the_permits_to_those_that_answer() -> None:
    async def run() -> None:
        asked, never = Asked(4), asyncio.Event()
        await known_as_quick(asked, "healthy")
        for number in range(50):
            asked.ask(f"silent{number}", never)
        await asked.settle()
        assert asked.under_way == ["silent0", "silent1"]
        for _ in range(20):
            asked.ask("healthy", answered())
        await asked.settle()
        assert asked.under_way[2:] == ["healthy"] * 20
        await asked.end()

    asyncio.run(run())


def test_who_waits_for_a_site_that_hangs_gives_his_permit_back_and_goes_on() -> None:
    async def run() -> None:
        asked, answer, loop = Asked(1), asyncio.Event(), asyncio.get_running_loop()
        began = loop.time()
        asked.ask("silent", answer)
        await asked.settle()
        asked.ask("healthy", answered())
        await asked.is_under_way("healthy")
        assert loop.time() - began >= permits.SLOW_SECONDS, "not before its time"
        answer.set()
        await asked.settle()
        for site in ("silent", "healthy"):  # both permits are there again, each once
            asked.ask(site, asyncio.Event())
            await asked.settle()
        assert asked.under_way[2:] in (["silent"], ["healthy"])
        await asked.end()

    asyncio.run(run())


def test_a_request_that_is_given_up_while_it_waits_takes_no_permit_along() -> None:
    async def run() -> None:
        asked, answer = Asked(1), asyncio.Event()
        asked.ask("first", answer)
        await asked.settle()
        asked.ask("given up", answered())
        await asked.settle()
        asked._tasks[1].cancel()
        answer.set()
        await asked.settle()
        asked.ask("last", answered())
        await asked.settle()
        assert asked.under_way == ["first", "last"]
        await asked.end()

    asyncio.run(run())


def test_requests_that_waited_for_a_permit_keep_their_site_s_pause_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = list[float]()

    async def download(_handler: PinnedHandler, _request: Request) -> None:
        sent.append(time.monotonic())

    async def run() -> None:
        asked, answer = Asked(1), asyncio.Event()
        await known_as_quick(asked, "site", "another")
        asked.ask("another", answer)
        await asked.settle()
        handler = PinnedHandler.__new__(PinnedHandler)
        handler._crawler = SimpleNamespace(engine=SimpleNamespace(downloader=SimpleNamespace(slots={"host": Slot(3, 0.1, 0.5)})))
        handler._site, handler._permits, handler._turn, handler._sent = "site", asked.permits, asyncio.Lock(), {}
        requests = [Request(f"http://host/{number}", meta={"download_slot": "host"}) for number in range(3)]
        waiting = [asyncio.ensure_future(handler.download_request(request)) for request in requests]
        await asked.settle()
        assert sent == []
        answer.set()
        await asyncio.gather(*waiting)
        await asked.end()

    monkeypatch.setattr(HTTP11DownloadHandler, "download_request", download)
    asyncio.run(run())
    assert min(after - before for before, after in pairwise(sent)) >= 0.05 * 0.99
