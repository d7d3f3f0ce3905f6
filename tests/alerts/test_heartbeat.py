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
    made = Heartbeat(
        id="0" * 32,
        origin="crawl",
        inserted_at=datetime.fromtimestamp(NOON, UTC) + timedelta(seconds=seconds),
    )
    return Record(
        FINDINGS, 0, 1, NOON, made.id, {**made.headers(), "schema": schema}, made.encode()
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
def folded() -> FakeGrouping:
    return FakeGrouping()


@pytest.fixture
def canaries() -> FakeGrouping:
    return FakeGrouping()


@pytest.fixture
def handle(
    folded: FakeGrouping, canaries: FakeGrouping, registry: CollectorRegistry, clock: HeldClock
) -> Dispatch:
    clock.advance(9)
    return Dispatch(
        folded, canaries, HeartbeatMetrics(registry, "alert", clock.as_clock()), lambda _: None
    )


def arrived(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value(
        "ullage_heartbeat_timestamp_seconds", {"stage": "alert", "origin": "crawl"}
    )


def test_findings_are_folded_and_heartbeats_noted(
    handle: Dispatch, folded: FakeGrouping, registry: CollectorRegistry
) -> None:
    first, second = record(finding("f")), record(finding("g"))
    handle([first, beat(3), second])
    assert folded.records == [first, second]
    assert arrived(registry) == NOON + 3
    assert registry.get_sample_value("ullage_pipe_seconds_sum", {"stage": "alert"}) == 6


def test_heartbeats_alone_fold_nothing_and_a_replay_counts_none_twice(
    handle: Dispatch, folded: FakeGrouping, registry: CollectorRegistry
) -> None:
    for _ in range(3):
        handle([beat(3), beat(1)])
    assert folded.records == []
    assert registry.get_sample_value("ullage_pipe_seconds_count", {"stage": "alert"}) == 1


def test_a_heartbeat_has_not_arrived_while_the_findings_before_it_wait(
    handle: Dispatch, folded: FakeGrouping, registry: CollectorRegistry
) -> None:
    folded.down = True
    with pytest.raises(UnavailableError):
        handle([record(finding("f")), beat()])
    assert arrived(registry) is None
    folded.down = False
    handle([record(finding("f")), beat()])
    assert arrived(registry) == NOON


def test_one_of_another_version_is_named(handle: Dispatch) -> None:
    with pytest.raises(RecordError) as caught:
        handle([beat(schema="9")])
    assert caught.value.reason == "schema"
