"""A server that is gone, stands still or refuses: the daemon waits, keeps its memory, loses
nothing, and goes on by itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from alerts.records import CLASSES
from alerts.store.elasticsearch_cluster import index_name
from deploy.local.elasticsearch import Server
from deploy.local.kafka import Broker
from tests.crawlers.support import Answers
from tests.faults.rig import DRAIN_SECONDS, Rig, Role, grown
from tests.flow.daemon import until
from ullage.bus import CAPTURES

# the measured values: pytest -o log_cli=true -o log_cli_level=INFO
log = logging.getLogger("faults")
MIB = 2**20
GROWTH = 64 * MIB
POSTS = 20
FRESH_SECONDS = 120.0
"""By when a fresh page must have passed after an outage, on a machine that may be busy; how long
it took is logged.
"""
Make = Callable[..., Rig]


@dataclass(frozen=True)
class Length:
    """Seconds that a broker and a store are away."""

    broker: float
    store: float


SHORT, WHOLE = Length(8.0, 8.0), Length(60.0, 120.0)
LENGTHS = [
    pytest.param(SHORT, marks=pytest.mark.servers),
    pytest.param(WHOLE, marks=pytest.mark.faults),
]
"""The short form is for every run, on machines that may be busy; the whole is for `make
test-faults`.
"""


@pytest.fixture
def running(make_rig: Make, server: Answers) -> tuple[Rig, list[Role]]:
    """Run crawl, match and alert, and wait until what was planted has been found."""
    return at_work(make_rig(), server)


def at_work(rig: Rig, server: Answers) -> tuple[Rig, list[Role]]:
    rig.watch(server)
    roles = rig.start("crawl", "match", "alert")
    rig.publish(POSTS)
    until(rig.is_everything_stored, "the first posts are found", DRAIN_SECONDS)
    return rig, roles


def go_through(
    running: tuple[Rig, list[Role]],
    away: Callable[[], object],
    back: Callable[[], object],
    seconds: float,
) -> None:
    """Go through an outage of `seconds` between `away` and `back`.

    Posts are published in its midst.
    """
    rig, roles = running
    before = [role.resident() for role in roles]
    away()
    rig.publish(POSTS)
    threading.Event().wait(seconds)  # the outage itself, of a length that is asked for
    after = [role.resident() for role in roles]
    back()
    returned = time.time()
    rig.publish(1)
    took = until(rig.is_everything_stored, "a fresh page passes after the outage", FRESH_SECONDS)
    until(
        lambda: roles[-1].value("ullage_heartbeat_timestamp_seconds") > returned,
        "a heartbeat passes as well",
        FRESH_SECONDS,
    )
    log.info(
        "a fresh page passed %.1f s after recovery; memory grew %.1f MiB",
        took,
        grown(before, after) / MIB,
    )
    assert [role.process.poll() for role in roles] == [None] * 3
    assert grown(before, after) < GROWTH
    rig.assert_found()
    assert not any("Traceback" in role.log.read_text() for role in roles)


@pytest.mark.parametrize("length", LENGTHS)
def test_killed_broker_loses_nothing(
    running: tuple[Rig, list[Role]], broker: Broker, length: Length
) -> None:
    go_through(running, broker.kill, broker.start, length.broker)


@pytest.mark.parametrize("length", LENGTHS)
def test_frozen_broker_loses_nothing(
    running: tuple[Rig, list[Role]], broker: Broker, length: Length
) -> None:
    go_through(running, broker.freeze, broker.thaw, length.broker)


@pytest.mark.parametrize("length", LENGTHS)
def test_killed_store_loses_nothing(
    running: tuple[Rig, list[Role]], node: Server, length: Length
) -> None:
    go_through(running, node.kill, node.start, length.store)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("block", ["read_only_allow_delete", "read_only"])
def test_store_that_rejects_writes_loses_nothing(
    running: tuple[Rig, list[Role]], node: Server, length: Length, block: str
) -> None:
    prefix = running[0].store_url.partition("prefix=")[2].partition("&")[0]
    indexes = [index_name(prefix, kind) for kind in CLASSES]
    admin = node.client()

    def refuse(yes: bool | None) -> None:
        admin.indices.put_settings(index=indexes, settings={f"index.blocks.{block}": yes})

    go_through(running, lambda: refuse(True), lambda: refuse(None), length.broker)
    admin.close()


@pytest.mark.servers
def test_posts_expiring_while_match_is_away_are_read_again(make_rig: Make, server: Answers) -> None:
    rig = make_rig("captures_hours = 0.004", heartbeats=0)
    rig.watch(server)
    crawl, _ = rig.start("crawl", "alert")
    rig.publish(6)
    until(
        lambda: sum(place.end for place in rig.places(CAPTURES)) >= 6,
        "the posts are captured",
        DRAIN_SECONDS,
    )
    until(
        lambda: all(place.first >= place.end for place in rig.places(CAPTURES)),
        "the captures expire",
        DRAIN_SECONDS,
    )
    (match,) = rig.start("match")
    until(rig.is_everything_stored, "what expired unread is fetched again and found", DRAIN_SECONDS)
    rig.assert_found()
    assert match.value("ullage_match_expired_unread_total") >= 6
    assert crawl.value("ullage_crawl_expired_unread_total") >= 6


@pytest.mark.parametrize(
    "rebalances",
    [pytest.param(2, marks=pytest.mark.servers), pytest.param(12, marks=pytest.mark.faults)],
)
def test_frequent_rebalances_of_three_matchers_lose_nothing(
    make_rig: Make, rebalances: int
) -> None:
    rig = make_rig()
    rig.start("match", "match", "alert")
    third: Role | None = None
    for _ in range(rebalances):
        if third is None:
            (third,) = rig.start("match")
        else:
            third.end()
            third = None
        rig.ingest(30)
        threading.Event().wait(5.0)  # the time between two rebalances, which is asked for
    until(rig.is_everything_stored, "everything is found", DRAIN_SECONDS)
    rig.assert_found()
    assert not any("Traceback" in role.log.read_text() for role in rig.roles)


@pytest.mark.servers
def test_counters_reconcile_from_page_to_sighting(make_rig: Make, server: Answers) -> None:
    rig, (crawl, match, alert) = at_work(make_rig(heartbeats=0), server)
    captures = crawl.value("ullage_crawl_captures_total")
    assert captures == sum(place.end for place in rig.places(CAPTURES)) == rig.posts
    until(
        lambda: sum(place.waiting for place in rig.places(CAPTURES)) == 0,
        "all is committed",
        DRAIN_SECONDS,
    )
    assert (
        match.value("ullage_match_captures_total") + match.value("ullage_match_dropped_total")
        == captures
    )
    assert match.value("ullage_match_findings_total") == rig.sightings() == rig.posts
    assert (
        alert.value("ullage_alert_findings_total") + alert.value("ullage_alert_dropped_total")
        == rig.posts
    )
