"""The ledger of coverage over the embedded flow: heartbeats through bus, match and alert, of a
crawl that is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from alerts.cli.coverage import coverage_app
from alerts.coverage.hours import CoverageWindow, SiteCoverage, read_coverage
from alerts.service.process import run_alert
from alerts.store import open_configured_store
from crawlers.collectors.channel import ChannelFolder
from crawlers.collectors.channel_log import ChannelLedger
from crawlers.collectors.collector import Runner
from crawlers.collectors.metrics import CollectMetrics
from crawlers.collectors.session import ChatMessage, DeliveryBatch
from crawlers.frontier.database import open_frontier
from crawlers.intake.feed import IntakeWriter
from crawlers.intake.submission import CaptureLine
from crawlers.metrics import CrawlMetrics
from crawlers.publishing.batching import PatientAppends
from crawlers.scheduling.egress import Egress
from crawlers.scheduling.heartbeats import Heartbeats, HoursSeen
from crawlers.scheduling.site_status import SiteStates
from crawlers.sites.site import Site
from crawlers.sites.visit_verdict import UNKNOWN, Evidence
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
    """A crawl process as far as heartbeats go: what is in the data folder it finds again after a
    kill.
    """

    def __init__(self, context: Context, clock: HeldClock) -> None:
        self.clock, self.frontier, bus = clock, open_frontier(context), context.bus()
        self.states = SiteStates(self.frontier, Egress(), clock.as_clock())
        metrics = CrawlMetrics(CollectorRegistry(), clock.as_clock())
        publisher, signer = bus.publisher(CAPTURES), keys.load_signer(context.keys, "crawl")
        hours, sealer = (
            HoursSeen(self.frontier.history.names()),
            partial(keys.load_sealer, context.keys),
        )
        self.beats = Heartbeats(
            CrawlSettings(heartbeat_seconds=300),
            self.states,
            publisher,
            metrics,
            sealer,
            signer,
            at_once,
            hours,
        )

    def runs(self, until: float, sites: list[Site] = SITES, word: str = "") -> None:
        """Visits that give `word`, and heartbeats, until that time of the day; at the end it is
        killed.
        """
        self.beats.hours.files([site.name for site in sites])
        while self.clock.seconds < EIGHT + (until - 8) * 3600:
            for site in sites:
                if self.clock.seconds >= self.frontier.visits(site.name).due_at:
                    self.visit(site, word)
            asyncio.run(self.beats.turn(sites))
            self.clock.advance(300)
        self.frontier.close()

    def visit(self, site: Site, word: str) -> None:
        evidence = Evidence()
        evidence.note(word or "ok", head=True)
        self.states.settle(site, evidence, UNKNOWN)
        self.frontier.end_visit(site.name, self.clock.seconds + site.revisit_seconds, not word)


class Collector:
    """A collector's process as far as its ledger and heartbeats go."""

    def __init__(self, context: Context, clock: HeldClock) -> None:
        crawl = context.settings.crawl.model_copy(update={"heartbeat_seconds": 300.0})
        context.settings = context.settings.model_copy(update={"crawl": crawl})
        self.clock, self.ledger, self.bus = (
            clock,
            ChannelLedger.of(context, "matrix"),
            context.bus(),
        )
        feed, metrics = IntakeWriter.of(context), CollectMetrics(CollectorRegistry(), context.clock)
        self.appends = PatientAppends(
            self.bus, feed.outbox, context.clock, metrics.loop, metrics.captures, 3600.0
        )
        folder = ChannelFolder(context.data, "sites.d")
        self.runner = Runner(
            context, "matrix", folder, self.ledger, feed, self.appends, metrics, self
        )

    def __call__(self, *_: object) -> Collector:
        return self

    async def batches(self) -> AsyncIterator[DeliveryBatch]:
        await asyncio.Event().wait()
        yield DeliveryBatch()

    async def close(self) -> None: ...

    def runs(
        self, until: float, *batches: DeliveryBatch, answered: tuple[str, ...] = ("loans", "pawn")
    ) -> None:
        """Take in the batches, then go on until the hour `until` of the day.

        Meanwhile the service answers for the channels `answered`.
        """
        while self.clock.seconds < EIGHT + (until - 8) * 3600:
            asyncio.run(self.turn((*batches, DeliveryBatch(answered=answered))))
            batches = ()
            self.clock.advance(300)

    async def turn(self, said: tuple[DeliveryBatch, ...]) -> None:
        self.runner._read_files()
        for batch in said:
            await self.runner._take(batch)
        await self.runner._tell()
        for task in self.runner._tasks.values():
            task.cancel()

    def kill(self) -> None:
        self.appends.on_bus.close()
        self.ledger.close()
        self.bus.close()


@pytest.fixture
def bank(context: Context, clock: HeldClock) -> Context:
    clock.seconds = EIGHT
    for key in (context.keys.root / "seal").iterdir():  # made by the real clock
        context.keys.destroy(f"seal/{key.name}")
    keys.make_seal_pair(context.keys, "20260921")
    enrol(context, "bank", [customer(1)])
    return context


def match_and_alert(context: Context) -> None:
    """Let match and alert process what is on the bus."""
    match(SimpleNamespace(obj=context), once=True)
    run_alert(context, once=True)


@contextlib.contextmanager
def read_window(context: Context, hours: float = 6) -> Iterator[CoverageWindow]:
    now = context.clock.now()
    with contextlib.closing(open_configured_store(context)) as store:
        yield read_coverage(store, datetime.fromtimestamp(EIGHT, UTC), now, now)


def states(found: CoverageWindow, site: str) -> dict[int, str]:
    (row,) = [row for row in found.rows if row.site == site]
    return {cell.at.hour: cell.state for cell in row.cells}


def test_two_hours_of_a_killed_crawl_are_a_gap(bank: Context, clock: HeldClock) -> None:
    Crawl(bank, clock).runs(10)
    match_and_alert(bank)
    clock.advance(2 * 3600)
    Crawl(bank, clock).runs(14.5)
    match_and_alert(bank)
    with read_window(bank) as window:
        expected = {
            8: "seen",
            9: "seen",
            10: "blind",
            11: "blind",
            12: "seen",
            13: "seen",
            14: "open",
        }
        assert states(window, "board") == states(window, "pastes") == expected
        gaps = window.find_unexplained()
    ten = datetime.fromtimestamp(EIGHT, UTC) + timedelta(hours=2)
    assert {(gap.since, gap.until, gap.why) for gap in gaps} == {
        (ten, ten + timedelta(hours=2), ".")
    }


def test_heartbeats_sent_while_alert_was_away_count_later(bank: Context, clock: HeldClock) -> None:
    Crawl(bank, clock).runs(9)
    match_and_alert(bank)
    Crawl(bank, clock).runs(12)
    with read_window(bank) as window:
        assert states(window, "board") == {8: "seen", 9: "blind", 10: "blind", 11: "blind"}
    match_and_alert(bank)
    match_and_alert(bank)
    with read_window(bank) as window:
        assert states(window, "board") == {8: "seen", 9: "seen", 10: "seen", 11: "open"}
        assert window.find_unexplained() == []


def test_hour_in_which_a_site_blocked_us_is_a_gap_with_its_reason(
    bank: Context, clock: HeldClock
) -> None:
    Crawl(bank, clock).runs(9)
    Crawl(bank, clock).runs(10, word="blocked")
    Crawl(bank, clock).runs(11.5)
    match_and_alert(bank)
    with read_window(bank) as window:
        assert states(window, "board") == {8: "seen", 9: "blind", 10: "seen", 11: "open"}
        assert [(gap.why, gap.since.hour) for gap in window.find_unexplained()] == [("b", 9)] * 2


def test_removed_site_is_not_expected_and_a_new_one_only_from_its_start(
    bank: Context, clock: HeldClock
) -> None:
    Crawl(bank, clock).runs(9)
    Crawl(bank, clock).runs(12.5, [SITES[0], make_site(name="new")])
    match_and_alert(bank)
    with read_window(bank) as window:
        assert states(window, "pastes") == {8: "seen", 9: "off", 10: "off", 11: "off", 12: "open"}
        assert states(window, "new") == {8: "off", 9: "seen", 10: "seen", 11: "seen", 12: "open"}
        assert window.find_unexplained() == []


CHANNEL = """service = "matrix"
address = "#room:localhost"
account = "reader"
access = "open"
legal_basis = "test"
owner = "test"
expires = {}
"""


def print_coverage(
    context: Context,
) -> tuple[int, dict[str, dict[int, str]], list[tuple[str, str, str, list[str]]]]:
    """Return what `ullage coverage --json` prints since eight.

    It is the exit code, the states by channel and hour, and the gaps.
    """
    # Shanghai's eight in UTC
    result = CliRunner().invoke(
        coverage_app, ["--since", "2026-09-21T16:00", "--json"], obj=context
    )
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    sites = {row["site"]: row for row in rows if row["type"] == "site"}
    hours = {
        site: {int(c["hour"][11:13]): c["state"] for c in row["cells"]}
        for site, row in sites.items()
    }
    return (
        result.exit_code,
        hours,
        [
            (r["site"], r["since"][11:16], r["until"][11:16], r["why"])
            for r in rows
            if r["type"] == "gap"
        ],
    )


def test_every_channel_has_cells_and_gaps_with_a_reason(bank: Context, clock: HeldClock) -> None:
    folder = bank.data / "channels.d"
    folder.mkdir()
    files = {
        "loans": CHANNEL,
        "pawn": CHANNEL,
        "old": CHANNEL,
        "bad": CHANNEL.replace("open", "closed"),
    }
    for name, text in (files | {"off": CHANNEL + "enabled = false\n"}).items():
        (folder / f"{name}.toml").write_text(
            text.format("2026-09-01" if name == "old" else "2099-01-01")
        )
    message = ChatMessage(
        "e1", CaptureLine.model_validate({"site": "loans", "message_id": "1", "text": "text"})
    )
    collector = Collector(bank, clock)
    collector.runs(9, DeliveryBatch("loans", (message,)))
    collector.runs(10, DeliveryBatch("loans", gap="seen"), answered=("pawn",))
    collector.runs(
        11,
        DeliveryBatch("loans", gap="filled"),
        DeliveryBatch("pawn", blind="banned"),
        answered=("loans",),
    )
    collector.kill()
    clock.advance(3600)
    collector = Collector(bank, clock)
    collector.runs(13.5)
    collector.kill()
    match_and_alert(bank)
    code, hours, gaps = print_coverage(bank)
    seen_hours = dict.fromkeys(range(8, 13), "seen") | {13: "open"}
    dark = dict.fromkeys(range(8, 14), "blind")
    assert hours["loans"] == seen_hours | {9: "blind", 11: "blind"}
    assert hours["pawn"] == seen_hours | {10: "blind", 11: "blind"}
    assert hours["old"] == hours["bad"] == dark
    assert set(hours["off"].values()) <= {"off", "open", "blind"}
    assert code == 5
    passed = ["posts or messages were skipped, are waiting, or cannot be read"]
    expired = "the expiry date in its file has passed"
    assert ("loans", "09:00", "10:00", passed) in gaps
    assert ("loans", "11:00", "12:00", ["no heartbeat"]) in gaps
    assert ("pawn", "10:00", "12:00", ["blocked", "no heartbeat"]) in gaps
    assert [why for site, *_, why in gaps if site == "old"] == [[expired, "no heartbeat"]]
    assert [why for site, *_, why in gaps if site == "bad"] == [
        ["its file cannot be read", "no heartbeat"]
    ]
    with read_rows(bank) as rows:
        assert {row.site: row.unwatched for row in rows}["off"] == "switched off in its file"


@contextlib.contextmanager
def read_rows(context: Context) -> Iterator[tuple[SiteCoverage, ...]]:
    with read_window(context) as window:
        yield window.rows
