"""The rounds of a crawl process while what it stands on is down: they go on, and nothing is
begun meanwhile.
"""

import asyncio
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from crawlers.frontier.database import Visits
from crawlers.metrics import CrawlMetrics
from crawlers.publishing.outbox import BusThread
from crawlers.scheduling.scheduler import BEGIN_TOGETHER, FIRST_STATE_SECONDS, Scheduler
from crawlers.sites.pages import PageAddress, PageContent
from crawlers.visiting.visit import Visit
from tests.conftest import NOON, HeldClock
from tests.crawlers.support import item, make_site, post
from ullage.errors import UnavailableError
from ullage.settings import Context

SITE = """\
platform = "raw_paste"
start = ["http://127.0.0.1:1/archive"]
allow_private = true
legal_basis = "test"
owner = "test"
"""


@pytest.fixture
def scheduler(context: Context, data: Path) -> Scheduler:
    (data / "sites.d" / "paste.toml").write_text(SITE)
    return Scheduler(context, [], CrawlMetrics(CollectorRegistry(), context.clock))


def down(*_: object) -> None:
    raise UnavailableError("the disk is full")


@pytest.mark.parametrize("part", ["places", "expire"])
def test_unavailable_bus_does_not_end_the_scheduler(
    scheduler: Scheduler, part: str, monkeypatch: pytest.MonkeyPatch, clock: HeldClock
) -> None:
    rounds, began = [], []
    monkeypatch.setattr(scheduler._backlog.bus, part, down)
    monkeypatch.setattr(scheduler, "_begin", lambda site: began.append(site.name))

    async def wait(stop: asyncio.Task[bool], seconds: float) -> None:
        rounds.append(seconds)
        clock.advance(seconds)
        if len(rounds) == 5:
            stopped.set()
            await stop

    monkeypatch.setattr(scheduler, "_wait", wait)
    stopped = asyncio.Event()
    with capture_logs() as logs:
        asyncio.run(scheduler.run(stopped, once=False))
    assert len(rounds) == 5
    assert max(rounds) <= 5.0
    assert "the disk is full" in {line["error"] for line in logs if line["event"] == "waiting"}
    assert bool(began) == (part == "expire")


def test_longest_due_visits_begin_first_up_to_the_limit(
    scheduler: Scheduler, data: Path, monkeypatch: pytest.MonkeyPatch, clock: HeldClock
) -> None:
    began: list[str] = []
    monkeypatch.setattr("crawlers.scheduling.scheduler.MOST_VISITS", 3)
    monkeypatch.setattr(
        scheduler,
        "_begin",
        lambda site: began.append(site.name) or scheduler._visits.update({site.name: (None, None)}),
    )
    for number in range(1, 6):
        (data / "sites.d" / f"s{number}.toml").write_text(SITE)
        scheduler._frontier.end_visit(f"s{number}", clock.wall() - number, succeeded=True)
    scheduler._read_sites(strict=True)
    scheduler._begin_due()
    assert began == ["paste", "s5", "s4"], (
        "one that was never visited, then by how long they are due"
    )
    scheduler._next["s5"] = Visits(clock.wall() + 300)
    del scheduler._visits["s5"]
    scheduler._begin_due()
    assert began[3:] == ["s3"]


def test_running_pages_get_their_turn_between_many_new_visits(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch, clock: HeldClock
) -> None:
    sites = {
        f"s{number}": make_site(name=f"s{number}", watch=False)
        for number in range(BEGIN_TOGETHER + 1)
    }
    scheduler._sites.crawled = sites
    monkeypatch.setattr(
        scheduler, "_begin", lambda site: scheduler._visits.update({site.name: (None, None)})
    )
    assert scheduler._begin_due() == 0.0
    assert len(scheduler._visits) == BEGIN_TOGETHER
    assert scheduler._begin_due() > 0.0
    assert scheduler._visits.keys() == sites.keys()


def test_new_site_has_a_state_before_its_first_visit_ends(
    context: Context, data: Path, clock: HeldClock
) -> None:
    (data / "sites.d" / "paste.toml").write_text(SITE)

    async def visits() -> tuple[str | None, str]:
        read, over = asyncio.Event(), asyncio.Event()

        async def reader(_: object, visit: Visit) -> None:
            older = PageAddress("http://127.0.0.1:1/archive?2", "list", number=2)
            visit.finished(await visit.next_page(), PageContent(pages=(older,)), 0)
            read.set()
            await over.wait()

        scheduler = Scheduler(
            context, [], CrawlMetrics(CollectorRegistry(), context.clock), read=reader
        )
        scheduler._read_sites(strict=True)
        scheduler._begin(scheduler._sites.crawled["paste"])
        await read.wait()
        clock.advance(FIRST_STATE_SECONDS)
        stop = asyncio.get_running_loop().create_future()
        await scheduler._wait(stop, 0.0)
        standing = scheduler._frontier.history.load("paste")
        over.set()
        await asyncio.gather(*(task for _, task in scheduler._visits.values()))
        return standing.state, standing.reason

    assert asyncio.run(visits()) == ("incomplete", "waiting")


def test_stopped_crawl_writes_the_pages_that_wait(
    context: Context, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "sites.d" / "paste.toml").write_text(SITE + "concurrency = 3\n")

    async def visit_pages() -> tuple[int, int]:
        stopped, finished = asyncio.Event(), []

        async def reader(_: object, visit: Visit) -> None:
            items = tuple(item(number) for number in range(3))
            visit.finished(await visit.next_page(), PageContent(pages=items), 0)
            leased = [await visit.next_page() for _ in range(3)]
            visit._changed.clear()
            stopped.set()
            await visit._changed.wait()
            for number, page in enumerate(leased):
                visit.finished(page, PageContent((post(number),)), 1)
            finished.append(visit.frontier.waiting)
            await asyncio.Event().wait()

        scheduler = Scheduler(
            context, ["paste"], CrawlMetrics(CollectorRegistry(), context.clock), read=reader
        )
        await scheduler.run(stopped, once=False)
        return finished[0], scheduler._frontier.waiting

    monkeypatch.setattr("crawlers.scheduling.scheduler.DRAIN_SECONDS", 0.05)
    waiting_before, waiting_after = asyncio.run(visit_pages())
    assert waiting_before > 0
    assert waiting_after == 0


def test_ten_thousand_sites_are_scheduled_within_a_millisecond_each(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch, clock: HeldClock
) -> None:
    began: list[str] = []
    monkeypatch.setattr(
        scheduler,
        "_begin",
        lambda site: began.append(site.name) or scheduler._visits.update({site.name: (None, None)}),
    )
    sites = {f"s{number}": make_site(name=f"s{number}", watch=False) for number in range(10_000)}
    scheduler._sites.crawled, scheduler._sites.watched = sites, tuple(sites.values())
    scheduler._next = {
        name: Visits(clock.wall() + number * 0.01) for number, name in enumerate(sites)
    }
    read = replace(scheduler._site_states.frontier.history.load("s0"), state="ok")
    monkeypatch.setattr(scheduler._site_states, "_standings", dict.fromkeys(sites, read))
    started = time.process_time()
    while clock.wall() < NOON + 10_000 * 0.01:
        clock.advance(0.1)
        while not scheduler._begin_due():  # there are more to begin
            pass
        for name in list(scheduler._visits):  # each visit ends at once
            del scheduler._visits[name]
            scheduler._next[name] = Visits(clock.wall() + 300)
            scheduler._requeue(name)
            scheduler._beats.show(scheduler._sites.watched)
    assert set(began) == set(sites)
    assert time.process_time() - started < 0.001 * len(began)


def test_frozen_bus_blocks_nothing_else() -> None:
    entered, let_go, on_bus = threading.Event(), threading.Event(), BusThread()

    def frozen() -> str:
        entered.set()
        assert let_go.wait(60), "the loop stood still as well"
        return "gone through"

    async def both() -> str:
        waiting = asyncio.ensure_future(on_bus(frozen))
        await asyncio.to_thread(entered.wait, 30)
        let_go.set()
        return await waiting

    assert asyncio.run(both()) == "gone through"
    on_bus.close()
