"""Heartbeats among findings: told apart, counted once, never folded."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from alerts.service.intake import Dispatch
from tests.alerts.builders import finding, record
from tests.conftest import NOON, HeldClock
from ullage.bus import FINDINGS, Record
from ullage.errors import RecordError, UnavailableError
from ullage.monitoring.heartbeat import HeartbeatMetrics
from ullage.records.heartbeat import Heartbeat


def beat(seconds: float = 0.0, schema: str = "1") -> Record:
    heartbeat = Heartbeat(
        id="0" * 32,
        origin="crawl",
        inserted_at=datetime.fromtimestamp(NOON, UTC) + timedelta(seconds=seconds),
    )
    return Record(
        FINDINGS,
        0,
        1,
        NOON,
        heartbeat.id,
        {**heartbeat.headers(), "schema": schema},
        heartbeat.encode(),
    )


class FakeGrouping:
    """Stands where findings are folded; down when told so."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.down = False

    def __call__(self, records: Sequence[Record]) -> None:
        if self.down:
            raise UnavailableError("down")
        self.records += records


@pytest.fixture
def grouping() -> FakeGrouping:
    return FakeGrouping()


@pytest.fixture
def canaries() -> FakeGrouping:
    return FakeGrouping()


@pytest.fixture
def handle(
    grouping: FakeGrouping, canaries: FakeGrouping, registry: CollectorRegistry, clock: HeldClock
) -> Dispatch:
    clock.advance(9)
    return Dispatch(
        grouping, canaries, HeartbeatMetrics(registry, "alert", clock.as_clock()), lambda _: None
    )


def read_metric(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value(
        "ullage_heartbeat_timestamp_seconds", {"stage": "alert", "origin": "crawl"}
    )


def test_findings_are_grouped_and_heartbeats_recorded(
    handle: Dispatch, grouping: FakeGrouping, registry: CollectorRegistry
) -> None:
    first, second = record(finding("f")), record(finding("g"))
    handle([first, beat(3), second])
    assert grouping.records == [first, second]
    assert read_metric(registry) == NOON + 3
    assert registry.get_sample_value("ullage_pipe_seconds_sum", {"stage": "alert"}) == 6


def test_heartbeats_group_nothing_and_replays_count_once(
    handle: Dispatch, grouping: FakeGrouping, registry: CollectorRegistry
) -> None:
    for _ in range(3):
        handle([beat(3), beat(1)])
    assert grouping.records == []
    assert registry.get_sample_value("ullage_pipe_seconds_count", {"stage": "alert"}) == 1


def test_heartbeat_waits_for_the_findings_before_it(
    handle: Dispatch, grouping: FakeGrouping, registry: CollectorRegistry
) -> None:
    grouping.down = True
    with pytest.raises(UnavailableError):
        handle([record(finding("f")), beat()])
    assert read_metric(registry) is None
    grouping.down = False
    handle([record(finding("f")), beat()])
    assert read_metric(registry) == NOON


def test_heartbeat_of_another_version_is_named(handle: Dispatch) -> None:
    with pytest.raises(RecordError) as caught:
        handle([beat(schema="9")])
    assert caught.value.reason == "schema"
