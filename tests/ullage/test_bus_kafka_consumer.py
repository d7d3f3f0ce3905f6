"""A member of a Kafka group keeps its place through rebalances, refusals and expiry; the client
here is a fake.

`FakeConsumer` has the calls of kafka-python's `KafkaConsumer` that a subscription makes. The same
on a real broker: `tests/contracts/test_bus.py` and `tests/servers/test_kafka.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition, errors

from tests.conftest import HeldClock
from ullage.bus import Lag, PartitionPosition
from ullage.bus.kafka import consumer
from ullage.bus.kafka.address import parse
from ullage.bus.kafka.client import DELIVERY_SECONDS, POLL_BYTES, REQUEST_SECONDS
from ullage.bus.kafka.consumer import KafkaSubscription, Onlooker
from ullage.errors import UnavailableError

FIRST, SECOND = TopicPartition("u.captures", 0), TopicPartition("u.captures", 1)


class FakeConsumer:
    """A client whose partitions, offsets and refusals a test decides."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.beginnings: dict[TopicPartition, int] = {}
        self.offsets: dict[TopicPartition, int | None] = {}
        self.rows: dict[TopicPartition, list[SimpleNamespace]] = {}
        self.commits: list[tuple[TopicPartition, int]] = []
        self.seeks: list[tuple[TopicPartition, int]] = []
        self.ends: dict[TopicPartition, int] = {}
        self.assigned: set[TopicPartition] = set()
        self.paused: set[TopicPartition] = set()
        self.rejoins = 0
        self.closed_with: list[bool] = []
        self.before_poll: Callable[[], None] = lambda: None
        self.refused: dict[TopicPartition, Exception] = {}
        self._coordinator = SimpleNamespace(request_rejoin=self._rejoin)

    def subscribe(self, topics: list[str], listener: Any) -> None:
        self.topics, self.listener = topics, listener

    def poll(
        self, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[SimpleNamespace]]:
        self.asked = timeout_ms, max_records
        self.before_poll()
        rows, self.rows = self.rows, {}
        return rows

    def beginning_offsets(
        self, partitions: Iterable[TopicPartition], timeout_ms: int
    ) -> Mapping[TopicPartition, int]:
        return {partition: self.beginnings.get(partition, 0) for partition in partitions}

    def committed(self, partition: TopicPartition, timeout_ms: int) -> int | None:
        if error := self.refused.get(partition):
            raise error
        return self.offsets.get(partition)

    def commit(self, offsets: Mapping[TopicPartition, Any], timeout_ms: int) -> None:
        [(partition, place)] = offsets.items()
        assert timeout_ms in {
            DELIVERY_SECONDS * 1000,
            REQUEST_SECONDS * 1000,
        }, "a commit does not wait for ever"
        assert (place.metadata, place.leader_epoch) == ("", -1), "-1: the epoch is not known"
        if error := self.refused.get(partition):
            raise error
        self.commits.append((partition, place.offset))

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return {partition.partition for partition in self.ends if partition.topic == topic} or None

    def end_offsets(
        self, partitions: Iterable[TopicPartition], timeout_ms: int
    ) -> Mapping[TopicPartition, int]:
        return {partition: self.ends[partition] for partition in partitions}

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        self.assigned = set(partitions)

    def assignment(self) -> set[TopicPartition]:
        return self.assigned

    def pause(self, *partitions: TopicPartition) -> None:
        self.paused |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self.paused -= set(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.seeks.append((partition, offset))

    def close(self, autocommit: bool, timeout_ms: int) -> None:
        self.closed_with.append(autocommit)

    def _rejoin(self) -> None:
        self.rejoins += 1


class Member:
    """A subscription with its fake client."""

    def __init__(self, clock: HeldClock) -> None:
        self.lag = Lag(5, 1.0)
        self.lags_read = 0
        address = parse("broker:9092?prefix=u.", Path())
        self.subscription = KafkaSubscription(
            address, "captures", "match", clock.as_clock(), self._read_lag
        )
        client = self.subscription._consumer
        assert isinstance(client, FakeConsumer)
        self.client = client

    def _read_lag(self) -> Lag:
        self.lags_read += 1
        return self.lag

    def assign(self, *partitions: TopicPartition) -> None:
        """Let the next poll give these partitions to this member."""
        self.client.before_poll = lambda: self.client.listener.on_partitions_assigned(
            set(partitions)
        )

    def rebalance(self, revoked: TopicPartition) -> None:
        """Let the next poll take a partition away from this member."""
        self.client.before_poll = lambda: self.client.listener.on_partitions_revoked({revoked})

    def poll(self, max_records: int = 10) -> list[tuple[int, int]]:
        """Return partition and offset of each record that is handed out."""
        records = self.subscription.poll(max_records, 0.5)
        self.client.before_poll = lambda: None
        return [(record.partition, record.offset) for record in records]


def make_row(partition: TopicPartition, offset: int, value: bytes | None = b"x") -> SimpleNamespace:
    return SimpleNamespace(
        partition=partition.partition, offset=offset, timestamp=1_500, key=b"paste",
        headers=[("id", b"a")], value=value
    )  # fmt: skip


@pytest.fixture
def member(monkeypatch: pytest.MonkeyPatch, clock: HeldClock) -> Member:
    monkeypatch.setattr(consumer, "KafkaConsumer", FakeConsumer)
    return Member(clock)


def test_partition_revoked_before_its_position_is_read_is_not_committed(member: Member) -> None:
    member.client.beginnings = {FIRST: 3, SECOND: 7}
    member.client.refused = {FIRST: errors.KafkaTimeoutError(), SECOND: errors.KafkaTimeoutError()}
    member.assign(FIRST, SECOND)
    with pytest.raises(UnavailableError):
        member.poll()
    member.client.refused = {}
    member.rebalance(revoked=SECOND)
    assert member.poll() == []
    assert member.client.commits == [(FIRST, 3)]
    assert member.subscription.expired == 3
    assert member.client.rejoins == 1


def test_positions_of_successively_assigned_partitions_are_read(member: Member) -> None:
    member.client.beginnings = {FIRST: 3, SECOND: 7}
    member.client.before_poll = lambda: [
        member.client.listener.on_partitions_assigned({each}) for each in (FIRST, SECOND)
    ]
    assert member.poll() == []
    assert sorted(member.client.commits) == [(FIRST, 3), (SECOND, 7)]


def test_records_of_a_revoked_partition_are_not_returned(member: Member) -> None:
    member.client.rows = {
        FIRST: [make_row(FIRST, 0)],
        SECOND: [make_row(SECOND, 0), make_row(SECOND, 1)],
    }
    member.assign(FIRST, SECOND)
    assert member.poll(max_records=2) == [(0, 0), (1, 0)]
    member.client.listener.on_partitions_revoked({SECOND})
    member.client.rows = {FIRST: [make_row(FIRST, 1)]}
    assert member.poll() == [(0, 1)]


def test_commit_for_a_revoked_partition_is_ignored(member: Member) -> None:
    member.client.rows = {FIRST: [make_row(FIRST, 0)], SECOND: [make_row(SECOND, 0)]}
    member.assign(FIRST, SECOND)
    of_first, of_second = member.subscription.poll(10, 0.0)
    member.client.listener.on_partitions_revoked({SECOND})
    member.subscription.commit(of_second)
    member.subscription.commit(of_first)
    assert member.client.commits == [(FIRST, 1)]


def test_returning_partition_starts_at_the_position_of_the_group(member: Member) -> None:
    member.client.rows = {FIRST: [make_row(FIRST, 0)]}
    member.assign(FIRST)
    [record] = member.subscription.poll(10, 0.0)
    member.client.listener.on_partitions_revoked({FIRST})
    member.client.offsets = {FIRST: 9}
    member.client.rows = {FIRST: [make_row(FIRST, 9)]}
    member.assign(FIRST)
    assert member.poll() == [(0, 9)]
    assert member.subscription.expired == 0
    member.subscription.commit(record)
    assert member.client.commits == [], "another member has committed beyond it"


def test_records_are_returned_again_if_the_position_cannot_be_read(member: Member) -> None:
    member.client.rows = {FIRST: [make_row(FIRST, 4), make_row(FIRST, 5)]}
    member.client.refused = {FIRST: errors.KafkaTimeoutError()}
    member.assign(FIRST)
    with pytest.raises(UnavailableError):
        member.poll()
    assert member.client.seeks == [(FIRST, 4)]
    member.client.refused, member.client.offsets = {}, {FIRST: 4}
    member.client.rows = {FIRST: [make_row(FIRST, 4)]}
    assert member.poll() == [(0, 4)]
    assert member.client.seeks == [(FIRST, 4)]


def test_expired_records_are_counted_once(member: Member) -> None:
    member.client.beginnings, member.client.offsets = {FIRST: 10}, {FIRST: 4}
    member.assign(FIRST)
    assert member.poll() == []
    assert (member.client.commits, member.subscription.expired) == ([(FIRST, 10)], 6)
    member.client.rows = {FIRST: [make_row(FIRST, 12), make_row(FIRST, 13)]}
    assert member.poll() == [(0, 12), (0, 13)]
    assert member.subscription.expired == 8
    member.client.rows = {FIRST: [make_row(FIRST, 14)]}
    assert member.poll() == [(0, 14)]
    assert member.subscription.expired == 8


def test_commit_never_moves_the_group_back(member: Member) -> None:
    member.client.offsets = {FIRST: 0}
    member.client.rows = {FIRST: [make_row(FIRST, 0), make_row(FIRST, 1)]}
    member.assign(FIRST)
    earlier, later = member.subscription.poll(10, 0.0)
    for record in (later, earlier, later):
        member.subscription.commit(record)
    assert member.client.commits == [(FIRST, 2)]


@pytest.mark.parametrize("error", consumer.LOST)
def test_commit_lost_in_a_rebalance_may_be_repeated(member: Member, error: type[Exception]) -> None:
    member.client.rows = {FIRST: [make_row(FIRST, 0)]}
    member.assign(FIRST)
    [record] = member.subscription.poll(10, 0.0)
    member.client.refused = {FIRST: error()}
    member.subscription.commit(record)
    member.client.refused = {}
    member.subscription.commit(record)
    assert member.client.commits == [(FIRST, 1)]


def test_commit_to_an_unavailable_broker_is_an_error(member: Member) -> None:
    member.client.rows = {FIRST: [make_row(FIRST, 0)]}
    member.assign(FIRST)
    [record] = member.subscription.poll(10, 0.0)
    member.client.refused = {FIRST: errors.KafkaTimeoutError()}
    with pytest.raises(UnavailableError, match=r"topic u\.captures: Kafka does not respond"):
        member.subscription.commit(record)


def test_poll_returns_fetched_records_before_fetching_more(member: Member) -> None:
    member.client.rows = {FIRST: [make_row(FIRST, offset) for offset in range(3)]}
    member.assign(FIRST)
    assert member.poll(max_records=2) == [(0, 0), (0, 1)]
    assert member.client.asked == (500, 2)
    member.client.rows = {FIRST: [make_row(FIRST, 3)]}
    assert member.poll() == [(0, 2)]
    assert member.poll() == [(0, 3)]


def test_poll_ends_once_its_records_are_large(member: Member) -> None:
    half = b"x" * (POLL_BYTES // 2)
    member.client.rows = {FIRST: [make_row(FIRST, offset, half) for offset in range(3)]}
    member.assign(FIRST)
    assert member.poll() == [(0, 0), (0, 1)]
    assert member.poll() == [(0, 2)]


def test_record_has_the_fields_of_its_row(member: Member) -> None:
    member.client.rows = {SECOND: [make_row(SECOND, 0), make_row(SECOND, 1, None)]}
    member.client.rows[SECOND][1].key = None
    member.assign(SECOND)
    [record, tombstone] = member.subscription.poll(10, 0.0)
    assert (record.topic, record.partition, record.offset) == ("captures", 1, 0)
    assert (record.timestamp, record.key, dict(record.headers), record.value) == (
        1.5,
        "paste",
        {"id": "a"},
        b"x",
    )
    assert (tombstone.key, tombstone.value) == ("", b"")


def test_lag_is_read_at_most_once_a_second_and_after_a_commit(
    member: Member, clock: HeldClock
) -> None:
    member.client.rows = {FIRST: [make_row(FIRST, 0)]}
    member.assign(FIRST)
    [record] = member.subscription.poll(10, 0.0)
    assert member.subscription.lag() == member.subscription.lag() == Lag(5, 1.0)
    assert member.lags_read == 1
    clock.advance(consumer.LAG_SECONDS)
    assert member.subscription.lag() == Lag(5, 1.0)
    assert member.lags_read == 2
    member.lag = Lag(4, 1.0)
    member.subscription.commit(record)
    assert member.subscription.lag() == Lag(4, 1.0)


def test_member_subscribes_to_its_topic_and_leaves_without_a_commit(member: Member) -> None:
    assert member.client.topics == ["u.captures"]
    assert member.client.settings["group_id"] == "u.match"
    member.subscription.close()
    assert member.client.closed_with == [False]


def test_onlooker_reads_the_group_position_and_the_age_of_the_next_record(
    member: Member,
) -> None:
    onlooker = Onlooker(parse("broker:9092?prefix=u.", Path()), "captures", "match")
    client = onlooker._consumer
    assert isinstance(client, FakeConsumer)
    client.ends, client.beginnings, client.offsets = {FIRST: 9, SECOND: 4}, {FIRST: 3}, {SECOND: 4}
    client.rows = {FIRST: [make_row(FIRST, 3)]}
    expected = {0: PartitionPosition(3, 0, 9, 1.5), 1: PartitionPosition(0, 4, 4, None)}
    with onlooker.lock:
        assert onlooker.places() == expected
    assert (client.asked, client.seeks, client.paused) == (
        (REQUEST_SECONDS * 1000, 1),
        [(FIRST, 3)],
        {SECOND},
    )
    assert onlooker.places() == expected, "the same record is not read twice"
    client.offsets[FIRST] = 5
    assert onlooker.places()[0] == PartitionPosition(3, 5, 9, None), "its record is gone by now"
    assert client.seeks == [(FIRST, 3), (FIRST, 5)]
    onlooker.close()
    assert client.closed_with == [False]


def test_onlooker_of_an_unknown_topic_fails(member: Member) -> None:
    with pytest.raises(errors.UnknownTopicOrPartitionError):
        Onlooker(parse("broker:9092?prefix=u.", Path()), "captures", "match").places()
