"""What expired before match read it is fetched again, and nothing else is."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest
from prometheus_client import CollectorRegistry

from crawlers.frontier.database import Frontier
from crawlers.metrics import CrawlMetrics
from crawlers.publishing.backlog import MARGIN_SECONDS, Backlog
from crawlers.sites.pages import PageContent
from tests.conftest import KEEP, NOON, HeldClock
from tests.crawlers.conftest import Station
from tests.crawlers.support import Answers, at_once, item, post
from tests.factories import outgoing
from ullage import clock as time
from ullage.bus import CAPTURES, Bus, open_bus
from ullage.errors import UnavailableError
from ullage.settings import Context

SITE = "board"
DAY = 24 * 3600.0


@dataclass
class Crawl:
    """What crawl does with a page, without fetching."""

    bus: Bus
    frontier: Frontier
    clock: HeldClock
    backlog: Backlog

    def read(self, *numbers: int) -> None:
        """Read one page per number, with one post each, captured now."""
        for number in numbers:
            began = self.frontier.begin_visit(SITE, [item(number)])
            leased = self.frontier.lease(SITE)
            assert leased.page == item(number)
            publisher = self.bus.publisher(CAPTURES)
            publisher.append([outgoing(str(number))])
            publisher.close()
            self.frontier.finish(leased, PageContent(posts=(post(number),)), began)

    def due(self) -> list[int]:
        """Numbers of the pages that are due, which are then in hand."""
        pages = []
        while leased := self.frontier.lease(SITE):
            pages.append(int(leased.page.name.rpartition("/")[2]))
        return sorted(pages)

    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.bus.expire()

    def match_reads(self, count: int) -> None:
        subscription = self.bus.subscribe(CAPTURES, "match")
        subscription.commit(subscription.poll(count, 0.0)[-1])
        subscription.close()


@pytest.fixture(params=["sqlite:///bus", "spool:///bus"])
def crawl(
    request: pytest.FixtureRequest, tmp_path: Path, clock: HeldClock, frontier: Frontier
) -> Crawl:
    bus = open_bus(
        request.param,
        tmp_path,
        KEEP,
        time.Clock(wall=clock.wall, uptime=clock.running, boot=clock.boot),
    )
    metrics = CrawlMetrics(CollectorRegistry(), clock.as_clock())
    return Crawl(
        bus, frontier, clock, Backlog(bus, frontier, clock.as_clock(), 6 * 3600.0, metrics, at_once)
    )


def look(crawl: Crawl) -> None:
    asyncio.run(crawl.backlog.look())


def test_unavailable_bus_is_retried_once_for_all_sites(crawl: Crawl, clock: HeldClock) -> None:
    attempts: list[float] = []

    def down(*_: object) -> NoReturn:
        attempts.append(clock.wall() - NOON)
        raise UnavailableError("no broker answers")

    crawl.backlog.bus = SimpleNamespace(places=down)
    for _ in range(4):
        for _ in range(3):
            asyncio.run(crawl.backlog.turn())
            with pytest.raises(UnavailableError, match="no broker answers"):
                crawl.backlog.is_too_long()
        clock.advance(1.0)
    assert attempts == [0.0, 2.0]
    crawl.backlog.bus = crawl.bus
    clock.advance(1.0)
    asyncio.run(crawl.backlog.turn())
    assert crawl.backlog.is_too_long() is False


def test_pages_whose_captures_expired_unread_become_due_once(crawl: Crawl) -> None:
    look(crawl)
    crawl.read(1, 2)
    crawl.later(2 * MARGIN_SECONDS)
    look(crawl)
    crawl.later(2 * KEEP[CAPTURES].seconds)
    look(crawl)
    assert crawl.backlog.metrics.expired._value.get() == 2
    assert crawl.frontier.unseen(SITE, (post(1), post(2))) == (post(1), post(2))
    assert crawl.due() == [1, 2]
    look(crawl)
    assert (crawl.due(), crawl.backlog.metrics.expired._value.get()) == ([], 2)


def test_captures_read_before_they_expired_stay_done(crawl: Crawl) -> None:
    crawl.read(1, 2)
    crawl.later(3 * MARGIN_SECONDS)
    crawl.match_reads(1)
    crawl.match_reads(1)
    look(crawl)
    crawl.later(2 * KEEP[CAPTURES].seconds)
    look(crawl)
    assert (crawl.due(), crawl.backlog.metrics.expired._value.get()) == ([], 0)


def test_pages_captured_before_and_after_the_gap_stay_done(crawl: Crawl) -> None:
    crawl.read(1)
    crawl.match_reads(1)
    crawl.later(3 * MARGIN_SECONDS)
    crawl.read(2)
    look(crawl)
    crawl.later(KEEP[CAPTURES].seconds - 4 * MARGIN_SECONDS)
    crawl.read(3)  # the oldest that is left: its neighbours within the margin are read again
    crawl.later(2 * MARGIN_SECONDS)
    crawl.read(4)
    crawl.later(3 * MARGIN_SECONDS)
    look(crawl)
    assert crawl.due() == [2, 3]


def test_gap_is_found_after_match_has_moved_past_it(crawl: Crawl) -> None:
    crawl.read(1)
    look(crawl)
    crawl.later(2 * KEEP[CAPTURES].seconds)
    crawl.read(2)
    crawl.match_reads(10)
    assert crawl.bus.lag(CAPTURES, "match").records == 0
    look(crawl)
    assert 1 in crawl.due()


def test_page_read_again_later_is_still_due_for_the_lost_post(
    crawl: Crawl,
) -> None:
    crawl.read(1)
    look(crawl)
    crawl.later(DAY)
    began = crawl.frontier.begin_visit(SITE, [])
    crawl.frontier.progress.read_again(0, crawl.clock.wall())
    leased = crawl.frontier.lease(SITE)
    crawl.frontier.finish(leased, PageContent(posts=(post(1), post(7, "a new comment"))), began)
    assert crawl.frontier.progress.read_again(crawl.clock.wall() - 1, crawl.clock.wall()) == 1
    assert crawl.due() == [1]


def test_crawl_pauses_while_the_oldest_unread_capture_is_too_old(crawl: Crawl) -> None:
    def too_long() -> bool:
        asyncio.run(crawl.backlog.turn())
        return crawl.backlog.is_too_long()

    crawl.read(1)
    assert not too_long()
    crawl.clock.advance(6 * 3600.0 + 1)
    assert too_long()
    crawl.match_reads(1)
    assert too_long()  # as it was a moment ago
    crawl.clock.advance(60.0)
    assert not too_long()


def test_process_captures_again_what_expired_unread(
    station: Station,
    server: Answers,
    pastes: Callable[[int], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = pastes(3)
    station.site("paste", f"{server.url}/archive")
    station.run("crawl", "--once")
    station.run("crawl", "--once")  # nothing is new, and the backlog is looked at once more
    monkeypatch.setenv("ULLAGE_BUS__CAPTURES_HOURS", "0.0000001")
    assert Context(station.data).bus().expire() == 3
    monkeypatch.delenv("ULLAGE_BUS__CAPTURES_HOURS")
    assert "expired_unread" in station.run("crawl", "--once")
    assert sorted(capture.body.decode() for capture in station.captures()) == sorted(texts.values())


def test_unresponsive_bus_is_reported(crawl: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object) -> None:
        raise UnavailableError("down")

    up = crawl.backlog.metrics.loop._up.labels("bus")._value
    look(crawl)
    assert up.get() == 1
    monkeypatch.setattr(crawl.bus, "places", down)
    with pytest.raises(UnavailableError):
        look(crawl)
    assert up.get() == 0


def test_expired_heartbeats_are_not_counted_as_captures(crawl: Crawl) -> None:
    crawl.read(1)
    look(crawl)
    publisher = crawl.bus.publisher(CAPTURES)
    for _ in range(5):
        crawl.later(60)
        publisher.spread(outgoing("beat"))
        crawl.frontier.history.record_heartbeat(crawl.clock.wall(), 86_400.0)
    crawl.read(2)
    crawl.later(2 * KEEP[CAPTURES].seconds)
    publisher.spread(outgoing("beat"))
    crawl.frontier.history.record_heartbeat(crawl.clock.wall(), 86_400.0)
    publisher.close()
    look(crawl)
    assert crawl.backlog.metrics.expired._value.get() == 2
    assert crawl.due() == [1, 2]
