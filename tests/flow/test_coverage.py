"""The ledger of coverage over the embedded flow: heartbeats through bus, match and alert, of a crawl that is killed."""

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from alerts.command import run_alert
from alerts.coverage.hours import Seen, coverage
from alerts.store import configured_store
from crawlers.frontier.database import open_frontier
from crawlers.metrics import CrawlMetrics
from crawlers.scheduling.egress import Egress
from crawlers.scheduling.heartbeats import Heartbeats
from crawlers.scheduling.hours import HoursSeen
from crawlers.scheduling.site_state import SiteStates
from crawlers.sites.page_verdict import UNKNOWN, Evidence
from crawlers.sites.site import Site
from matcher.cli.match import match
from tests.conftest import HeldClock
from tests.crawlers.support import at_once, make_site
from tests.matcher.bank import customer, enrol
from ullage.bus import CAPTURES
from ullage.security import keys
from ullage.settings import Context, CrawlSettings

SITES = [make_site(name="board"), make_site(name="pastes", watch=False)]
EIGHT = datetime(2026, 9, 21, 8, tzinfo=UTC).timestamp()


class Crawl:
    """A crawl process as far as heartbeats go: what is in the data folder it finds again after a kill."""

    def __init__(self, context: Context, clock: HeldClock) -> None:
        self.clock, self.frontier, bus = clock, open_frontier(context), context.bus()
        self.states = SiteStates(self.frontier, Egress(), clock.as_clock(), 365.0)
        metrics = CrawlMetrics(CollectorRegistry(), clock.as_clock())
        publisher, signer = bus.publisher(CAPTURES), keys.signer(context.keys, "crawl")
        hours, sealer = HoursSeen(self.frontier.history.names()), partial(keys.sealer, context.keys)
        self.beats = Heartbeats(
            CrawlSettings(heartbeat_seconds=300), self.states, publisher, metrics, sealer, signer, at_once, hours
        )

    def runs(self, until: float, sites: list[Site] = SITES, word: str = "") -> None:
        """Visits that give `word`, and heartbeats, until that time of the day; at the end it is killed."""
        self.beats.hours.files([site.name for site in sites])
        while self.clock.seconds < EIGHT + (until - 8) * 3600:
            for site in sites:
                if self.clock.seconds >= self.frontier.visits(site.name).due_at:
                    self.visit(site, word)
            asyncio.run(self.beats.turn(sites))
            self.clock.advance(300)
        self.frontier.close()

    def visit(self, site: Site, word: str) -> None:
        seen = Evidence()
        seen.note(word or "ok", head=True)
        self.states.settle(site, seen, UNKNOWN)
        self.frontier.end_visit(site.name, self.clock.seconds + site.revisit_seconds, not word)


@pytest.fixture
def bank(context: Context, clock: HeldClock) -> Context:
    clock.seconds = EIGHT
    for key in (context.keys.root / "seal").iterdir():  # made by the real clock
        key.unlink()
    keys.make_seal_pair(context.keys, "20260921")
    enrol(context, "bank", [customer(1)])
    return context


def heard(context: Context) -> None:
    """Match and alert deal with what is on the bus."""
    match(SimpleNamespace(obj=context), once=True)
    run_alert(context, once=True)


@contextlib.contextmanager
def seen(context: Context, hours: float = 6) -> Iterator[Seen]:
    now = context.clock.now()
    with contextlib.closing(configured_store(context)) as store:
        yield coverage(store, datetime.fromtimestamp(EIGHT, UTC), now, now, 10.0)


def states(found: Seen, site: str) -> dict[int, str]:
    (row,) = [row for row in found.rows if row.site == site]
    return {cell.at.hour: cell.state for cell in row.cells}


def test_a_crawl_that_is_killed_for_two_hours_was_blind_in_exactly_these(bank: Context, clock: HeldClock) -> None:
    Crawl(bank, clock).runs(10)
    heard(bank)
    clock.advance(2 * 3600)
    Crawl(bank, clock).runs(14.5)
    heard(bank)
    with seen(bank) as found:
        expected = {8: "seen", 9: "seen", 10: "blind", 11: "blind", 12: "seen", 13: "seen", 14: "open"}
        assert states(found, "board") == states(found, "pastes") == expected
        gaps = found.unexplained()
    ten = datetime.fromtimestamp(EIGHT, UTC) + timedelta(hours=2)
    assert {(gap.since, gap.until, gap.why) for gap in gaps} == {(ten, ten + timedelta(hours=2), ".")}


def test_what_was_said_while_alert_was_away_counts_when_it_is_heard(bank: Context, clock: HeldClock) -> None:
    Crawl(bank, clock).runs(9)
    heard(bank)
    Crawl(bank, clock).runs(12)
    with seen(bank) as found:
        assert states(found, "board") == {8: "seen", 9: "blind", 10: "blind", 11: "blind"}
    heard(bank)
    heard(bank)
    with seen(bank) as found:
        assert states(found, "board") == {8: "seen", 9: "seen", 10: "seen", 11: "open"}
        assert found.unexplained() == []


def test_an_hour_in_which_the_site_refused_us_is_blind_and_says_so(bank: Context, clock: HeldClock) -> None:
    Crawl(bank, clock).runs(9)
    Crawl(bank, clock).runs(10, word="blocked")
    Crawl(bank, clock).runs(11.5)
    heard(bank)
    with seen(bank) as found:
        assert states(found, "board") == {8: "seen", 9: "blind", 10: "seen", 11: "open"}
        assert [(gap.why, gap.since.hour) for gap in found.unexplained()] == [("b", 9)] * 2


def test_a_site_whose_file_is_taken_away_is_missed_by_nobody_and_a_new_one_from_then_on(bank: Context, clock: HeldClock) -> None:
    Crawl(bank, clock).runs(9)
    Crawl(bank, clock).runs(12.5, [SITES[0], make_site(name="new")])
    heard(bank)
    with seen(bank) as found:
        assert states(found, "pastes") == {8: "seen", 9: "off", 10: "off", 11: "off", 12: "open"}
        assert states(found, "new") == {8: "off", 9: "seen", 10: "seen", 11: "seen", 12: "open"}
        assert found.unexplained() == []
