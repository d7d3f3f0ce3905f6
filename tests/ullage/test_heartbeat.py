"""Heartbeats as records and as metrics: what arrives twice, late, from too many places, or
broken.
"""

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tests.conftest import NOON, HeldClock
from ullage.errors import RecordError
from ullage.monitoring.heartbeat import MAX_ORIGINS, CoverageMetrics, FarCounts, HeartbeatMetrics
from ullage.records.heartbeat import (
    STATES,
    Coverage,
    Heartbeat,
    SiteCounter,
    SiteReport,
    is_heartbeat,
)

WHEN = datetime.fromtimestamp(NOON, UTC)


def beat(seconds: float = 0.0, origin: str = "crawl-1", **more: object) -> Heartbeat:
    return Heartbeat(
        id="0" * 32, origin=origin, inserted_at=WHEN + timedelta(seconds=seconds), **more
    )


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_heartbeat_survives_the_bus_and_is_recognised_by_its_header() -> None:
    report = SiteReport(site="board", state="blocked", since=1.0, last_new=2.0, expected_by=3.0)
    sent = beat(
        coverage=Coverage(watched=(report,), sites={"blocked": 1}, egress_up=False), counts=()
    )
    assert Heartbeat.decode(sent.encode(), sent.headers()["schema"]) == sent
    assert is_heartbeat(sent.headers())
    assert not is_heartbeat({"site": "board", "schema": "1"})
    assert set(sent.headers()) == {"record", "id", "schema"}
    bare_coverage = Coverage(sites={"blocked": 1}, egress_up=False)
    bare = beat(coverage=bare_coverage, enrolled=7, customers={"bank": 7})
    assert sent.without_crawl_details({"bank": 7}) == bare, (
        "no state of a site is named beyond match"
    )


@pytest.mark.parametrize(
    ("data", "schema", "reason"),
    [
        (beat().encode(), "4", "schema"),
        (beat().encode(), "", "schema"),
        (b"{}", "1", "malformed"),
        (b"\xff", "1", "malformed"),
        (beat().encode().replace(b"crawl-1", b"13800138000 <x>"), "1", "malformed"),
        (beat().encode()[:-1] + b',"text":"x"}', "1", "malformed"),
    ],
)
def test_invalid_heartbeat_is_rejected_with_its_reason(
    data: bytes, schema: str, reason: str
) -> None:
    with pytest.raises(RecordError) as caught:
        Heartbeat.decode(data, schema)
    assert caught.value.reason == reason


def test_clock_that_was_far_ahead_hides_no_later_heartbeat(
    registry: CollectorRegistry, clock: HeldClock
) -> None:
    pulse, year = HeartbeatMetrics(registry, "match", clock.as_clock()), 365 * 86400.0
    labels = {"stage": "match", "origin": "crawl-1"}
    assert pulse.record(beat(year))
    assert registry.get_sample_value("ullage_heartbeat_timestamp_seconds", labels) == NOON
    clock.advance(60)
    assert [pulse.record(beat(60)), pulse.record(beat(60))] == [True, False]
    assert registry.get_sample_value("ullage_heartbeat_timestamp_seconds", labels) == NOON + 60
    assert [pulse.record(beat(65)), pulse.record(beat(65))] == [True, False], "a few seconds ahead"


def test_newest_heartbeat_counts_and_a_repeated_one_does_not(
    registry: CollectorRegistry, clock: HeldClock
) -> None:
    pulse = HeartbeatMetrics(registry, "match", clock.as_clock())
    clock.advance(7)
    assert [pulse.record(beat(n)) for n in (0, 5, 5, 2)] == [True, True, False, False]
    labels = {"stage": "match", "origin": "crawl-1"}
    assert registry.get_sample_value("ullage_heartbeat_timestamp_seconds", labels) == NOON + 5
    assert registry.get_sample_value("ullage_pipe_seconds_count", {"stage": "match"}) == 2
    assert registry.get_sample_value("ullage_pipe_seconds_sum", {"stage": "match"}) == 7 + 2


def test_number_of_series_is_limited(registry: CollectorRegistry, clock: HeldClock) -> None:
    pulse, coverage, counts = (
        HeartbeatMetrics(registry, "match", clock.as_clock()),
        CoverageMetrics(registry),
        FarCounts(registry),
    )
    for number in range(3 * MAX_ORIGINS):
        origin = f"crawl-{number}"
        pulse.record(beat(number, origin))
        coverage.show(
            origin,
            Coverage(watched=(SiteReport(site=f"site-{number}", state="ok"),), sites={"ok": 1}),
        )
        counts.show(origin, [SiteCounter(name="ullage_crawl_captures_total", value=1)])
    text = generate_latest(registry).decode()
    assert text.count("ullage_heartbeat_timestamp_seconds{") == MAX_ORIGINS + 1
    assert text.count("ullage_crawl_captures_total{") == MAX_ORIGINS
    assert registry.get_sample_value("ullage_crawl_sites", {"state": "ok"}) == MAX_ORIGINS


def state(registry: CollectorRegistry, site: str) -> list[str]:
    """States whose series is 1; all seven are there, or none."""
    values = {
        s: registry.get_sample_value("ullage_crawl_site_state", {"site": site, "state": s})
        for s in STATES
    }
    assert None not in values.values() or set(values.values()) == {None}
    return [name for name, value in values.items() if value]


def test_site_is_in_one_state_and_its_series_are_removed_with_it(
    registry: CollectorRegistry,
) -> None:
    metrics = CoverageMetrics(registry)
    assert registry.get_sample_value("ullage_crawl_sites", {"state": "quiet"}) == 0
    report = SiteReport(
        site="board", state="quiet", last_new=NOON, last_success=NOON, expected_by=NOON + 9
    )
    second_report = SiteReport(site="new")
    metrics.show("c", Coverage(watched=(report, second_report), sites={"quiet": 1}))
    assert (state(registry, "board"), state(registry, "new")) == (["quiet"], [])
    assert (
        registry.get_sample_value(
            "ullage_crawl_site_expected_by_timestamp_seconds", {"site": "board"}
        )
        == NOON + 9
    )
    assert (
        registry.get_sample_value("ullage_crawl_site_last_new_timestamp_seconds", {"site": "new"})
        is None
    )
    metrics.show(
        "c",
        Coverage(
            watched=(report.model_copy(update={"state": "ok", "expected_by": 0.0}),),
            sites={"ok": 1},
        ),
    )
    assert state(registry, "board") == ["ok"]
    assert (
        registry.get_sample_value(
            "ullage_crawl_site_expected_by_timestamp_seconds", {"site": "board"}
        )
        is None
    )
    assert (
        registry.get_sample_value("ullage_crawl_site_state", {"site": "new", "state": "ok"}) is None
    )
    assert registry.get_sample_value("ullage_crawl_sites", {"state": "quiet"}) == 0


def test_crawl_hosts_add_up_and_one_failing_egress_is_shown(registry: CollectorRegistry) -> None:
    metrics = CoverageMetrics(registry)
    assert registry.get_sample_value("ullage_crawl_egress_up") == 1
    metrics.show("one", Coverage(sites={"ok": 3, "blocked": 1}))
    metrics.show("two", Coverage(sites={"ok": 2}, egress_up=False))
    assert registry.get_sample_value("ullage_crawl_sites", {"state": "ok"}) == 5
    assert registry.get_sample_value("ullage_crawl_egress_up") == 0


def test_remote_counters_keep_their_names_and_labels(registry: CollectorRegistry) -> None:
    FarCounts(registry).show(
        "c", [SiteCounter(name="ullage_crawl_pages_total", labels={"outcome": "ok"}, value=7)]
    )
    labels = {"site": "other", "origin": "c", "outcome": "ok"}
    assert registry.get_sample_value("ullage_crawl_pages_total", labels) == 7
