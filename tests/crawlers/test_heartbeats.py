"""Heartbeats as crawl sends them: when, with what, and what happens while the bus is down."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import pytest
from prometheus_client import CollectorRegistry

from crawlers.frontier.database import Frontier
from crawlers.frontier.file import PageWrites
from crawlers.metrics import CrawlMetrics
from crawlers.scheduling.egress import Egress
from crawlers.scheduling.heartbeats import Heartbeats
from crawlers.scheduling.site_status import SiteStates
from crawlers.sites.pages import PageAddress, PageContent, Post
from crawlers.sites.site import Site
from crawlers.sites.visit_verdict import UNKNOWN, Evidence
from tests.conftest import NOON, HeldClock
from tests.crawlers.support import at_once, make_site, post
from ullage.bus import CAPTURES, Outgoing
from ullage.errors import RecordError, UnavailableError
from ullage.records.heartbeat import (
    HEARTBEAT_SCHEMA,
    HOUR_SECONDS,
    PURPOSE,
    SLOTS,
    Heartbeat,
    to_slot,
)
from ullage.security import keys
from ullage.settings import Context, CrawlSettings

WATCHED, OTHER = make_site(name="board"), make_site(name="other", watch=False)


@dataclass
class Bus:
    """Keeps what is spread; down when told so."""

    records: list[Outgoing] = field(default_factory=list)
    down: bool = False

    def spread(self, record: Outgoing) -> None:
        if self.down:
            raise UnavailableError("down")
        self.records.append(record)

    def append(self, records: Sequence[Outgoing]) -> None:
        pytest.fail("a heartbeat goes to every partition")


@dataclass
class HeartbeatSender:
    """What sends, what it sends to, and how to read it."""

    beats: Heartbeats
    bus: Bus
    context: Context
    registry: CollectorRegistry

    def list_sent(self) -> list[Heartbeat]:
        opener, heartbeats = keys.load_opener(self.context.keys), []
        for record in self.bus.records:
            key_id = record.headers["key_id"]
            signed = opener.open(
                record.value,
                purpose=PURPOSE,
                topic=CAPTURES,
                schema=HEARTBEAT_SCHEMA,
                key_id=key_id,
            )
            plain, is_trusted = keys.load_verifier(self.context.keys, CAPTURES).disclose(
                signed, PURPOSE
            )
            assert is_trusted
            heartbeats.append(Heartbeat.decode(plain, record.headers["schema"]))
        return heartbeats


def record_posts(frontier: Frontier, site: str, posts: Sequence[Post]) -> None:
    """Record posts of a site that was visited before."""
    page_writes = PageWrites()
    frontier.history.note_posts(page_writes, site, posts, known=True)
    frontier._file.defer(page_writes)


@pytest.fixture
def sending(context: Context, frontier: Frontier, clock: HeldClock) -> HeartbeatSender:
    site_states = SiteStates(frontier, Egress(), clock.as_clock())
    metrics = CrawlMetrics(registry := CollectorRegistry(), clock.as_clock())
    settings, bus = CrawlSettings(origin="north", heartbeat_seconds=60), Bus()
    sealer, signer = (
        partial(keys.load_sealer, context.keys),
        keys.load_signer(context.keys, "crawl"),
    )
    return HeartbeatSender(
        Heartbeats(settings, site_states, bus, metrics, sealer, signer, at_once),
        bus,
        context,
        registry,
    )


def turn(sending: HeartbeatSender, sites: list[Site]) -> None:
    asyncio.run(sending.beats.turn(sites))


def test_one_heartbeat_is_sent_each_interval(sending: HeartbeatSender, clock: HeldClock) -> None:
    waits = []
    for _ in range(10):
        turn(sending, [WATCHED])
        waits.append(sending.beats.wait())
        clock.advance(20)
    assert [beat.inserted_at.timestamp() - NOON for beat in sending.list_sent()] == [
        0,
        60,
        120,
        180,
    ]
    assert waits[:4] == [60, 40, 20, 60]
    assert sending.beats.site_states.frontier.history.count_heartbeats(0, clock.wall()) == 4
    assert len({beat.id for beat in sending.list_sent()}) == 4


def test_interval_of_zero_sends_no_heartbeat(sending: HeartbeatSender) -> None:
    sending.beats.crawl = CrawlSettings(heartbeat_seconds=0)
    turn(sending, [WATCHED])
    assert (sending.bus.records, sending.beats.wait()) == ([], float("inf"))


def test_heartbeat_is_sealed_and_names_its_origin_inside(sending: HeartbeatSender) -> None:
    turn(sending, [WATCHED])
    (record,) = sending.bus.records
    assert b"board" not in record.value
    assert b"north" not in record.value
    assert set(record.headers) == {"record", "id", "schema", "key_id"}
    opener = keys.load_opener(sending.context.keys)
    with pytest.raises(RecordError):
        opener.open(
            record.value,
            purpose="capture",
            topic=CAPTURES,
            schema=HEARTBEAT_SCHEMA,
            key_id=record.headers["key_id"],
        )
    assert sending.list_sent()[0].origin == "north"


def test_heartbeat_carries_coverage_and_counters_without_site_names(
    sending: HeartbeatSender, clock: HeldClock
) -> None:
    evidence = Evidence()
    evidence.note("blocked", head=True)
    for site in (WATCHED, OTHER):
        sending.beats.site_states.settle(site, evidence, UNKNOWN)
    metrics = sending.beats.metrics
    metrics.watch([WATCHED, OTHER])
    for name, count in (("board", 3), ("other", 4)):
        metrics.captures.labels(metrics.site_label(name)).inc(count)
    metrics.pages.labels("blocked").inc()
    metrics.bytes.inc(70)
    turn(sending, [WATCHED, OTHER])
    (beat,) = sending.list_sent()
    assert [(r.site, r.state, r.since) for r in beat.coverage.watched] == [
        ("board", "blocked", NOON)
    ]
    assert beat.coverage.sites == {"blocked": 2}
    counts = {(count.name, *count.labels.items()): count.value for count in beat.counts}
    assert counts[("ullage_crawl_captures_total",)] == 7
    assert counts[("ullage_crawl_pages_total", ("outcome", "blocked"))] == 1
    assert counts[("ullage_crawl_body_bytes_total",)] == 70
    assert not any("site" in count.labels for count in beat.counts)


def test_outage_skips_a_heartbeat_and_keeps_the_schedule(
    sending: HeartbeatSender, clock: HeldClock
) -> None:
    sending.bus.down = True
    turn(sending, [WATCHED])
    assert sending.beats.site_states.frontier.history.count_heartbeats(0, clock.wall() + 1) == 0
    sending.bus.down = False
    clock.advance(60)
    turn(sending, [WATCHED])
    assert [beat.inserted_at.timestamp() for beat in sending.list_sent()] == [NOON + 60]


def test_process_metrics_show_what_is_sent(sending: HeartbeatSender) -> None:
    evidence = Evidence()
    evidence.note("ok", head=True)
    sending.beats.site_states.settle(WATCHED, evidence, UNKNOWN)
    sending.beats.show([WATCHED, OTHER])
    labels = {"site": "board", "state": "ok"}
    assert sending.registry.get_sample_value("ullage_crawl_site_state", labels) == 1
    assert (
        sending.registry.get_sample_value("ullage_crawl_site_state", {**labels, "site": "other"})
        is None
    )
    assert sending.registry.get_sample_value("ullage_crawl_sites", {"state": "ok"}) == 1


def test_heartbeat_reports_hours_of_each_site_and_unwatched_ones(
    sending: HeartbeatSender, clock: HeldClock
) -> None:
    beats = sending.beats
    beats.unwatched = lambda: {"old": "d", "broken": "f"}
    beats.hours.known = {"board", "removed"}
    beats.hours.files({"board", "other", "old", "broken"})
    frontier = beats.site_states.frontier
    for site, word in ((WATCHED, "ok"), (OTHER, "blocked")):
        evidence = Evidence()
        evidence.note(word, head=True)
        beats.site_states.settle(site, evidence, UNKNOWN)
        frontier.end_visit(site.name, clock.wall() + site.revisit_seconds, word == "ok")
    record_posts(frontier, "board", [post(1), post(2)])
    turn(sending, [WATCHED, OTHER])
    (heartbeat,) = sending.list_sent()
    now = {
        hour.site: hour
        for hour in heartbeat.hours
        if hour.hour == int(clock.wall() // HOUR_SECONDS)
    }
    slot = to_slot(clock.wall()) % SLOTS
    assert {site: hour.slots[slot] for site, hour in now.items()} == {
        "board": "o",
        "other": "b",
        "old": "d",
        "broken": "f",
    }
    assert (now["board"].posts, now["board"].revisit, heartbeat.gone) == (2, 300, ("removed",))
    clock.advance(1000)
    turn(sending, [WATCHED, OTHER])
    late = {hour.site: hour for hour in sending.list_sent()[1].hours}["board"]
    assert late.slots[to_slot(clock.wall()) % SLOTS] == "p", "nobody visited it any more"
    assert sending.list_sent()[1].gone == ()


def test_nothing_is_reported_as_covered_during_a_bus_outage(
    sending: HeartbeatSender, clock: HeldClock
) -> None:
    sending.bus.down = True
    for _ in range(10):
        turn(sending, [WATCHED])
        clock.advance(60)
    sending.bus.down = False
    turn(sending, [WATCHED])
    (heartbeat,) = sending.list_sent()
    assert {sum(letter != "." for letter in hour.slots) for hour in heartbeat.hours} == {1}


def test_post_lifetime_is_estimated_from_a_single_list_page(
    frontier: Frontier, clock: HeldClock
) -> None:
    head = PageAddress("http://board.example/", "list")
    frontier.begin_visit("board", [head])
    leased = frontier.lease("board")
    assert leased is not None
    posts = tuple(post(n) for n in range(20))
    frontier.finish(leased, PageContent(posts=posts), clock.wall())
    assert frontier.history.estimate_lifetime("board") == 0.0, "nobody knows when they came"
    record_posts(frontier, "board", posts * 2)
    assert frontier.history.estimate_lifetime("board") == 1800.0
    frontier.begin_visit(
        "board", [head, PageAddress("http://board.example/?p=2", "list", number=2)]
    )
    assert frontier.history.estimate_lifetime("board") == 0.0, "older posts are on further pages"
