"""What Kafka promises beyond the contract that every bus keeps, and what happens when its broker
fails: on a real one.
"""

import os
import resource
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from deploy.local.kafka import Broker
from tests.conftest import KEEP
from ullage.bus import CAPTURES, FINDINGS, Bus, Outgoing, Record, Subscription, open_bus
from ullage.bus.kafka.address import KafkaAddress
from ullage.bus.kafka.client import consumer_settings
from ullage.bus.kafka.topics import topic_settings
from ullage.clock import Clock
from ullage.errors import ConfigError, RecordError, UnavailableError

pytestmark = [
    pytest.mark.servers,
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]
OpenAgain = Callable[[], Bus]


@pytest.fixture
def prefix() -> str:
    return f"{secrets.token_hex(4)}."


@pytest.fixture
def url(kafka_broker: Broker, prefix: str) -> str:
    return f"{kafka_broker.url}/?create=1&prefix={prefix}"


@pytest.fixture
def open_again(url: str, tmp_path: Path) -> Iterator[OpenAgain]:
    buses: list[Bus] = []

    def open_new() -> Bus:
        buses.append(open_bus(url, tmp_path, KEEP, Clock()))
        return buses[-1]

    yield open_new
    for bus in buses:
        bus.close()


@pytest.fixture
def admin(kafka_broker: Broker) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=kafka_broker.url.removeprefix("kafka://"))
    yield client
    client.close()


def spread(*numbers: int, size: int = 0) -> list[Outgoing]:
    """Return records with their number as key, so over all partitions.

    Their value is the number, padded to `size`.
    """
    return [Outgoing(str(n), str(n).encode().ljust(size, b" "), {}) for n in numbers]


def drain(subscription: Subscription, count: int, seconds: float = 30.0) -> list[Record]:
    """Poll until `count` records came."""
    got: list[Record] = []
    deadline = time.monotonic() + seconds
    while len(got) < count and time.monotonic() < deadline:
        got += subscription.poll(1000, 0.5)
    return got


def numbers(records: list[Record]) -> list[int]:
    return sorted(int(record.value) for record in records)


def commit_all(subscription: Subscription, records: list[Record]) -> None:
    for record in {record.partition: record for record in records}.values():
        subscription.commit(record)


def test_append_to_a_frozen_broker_waits_in_bounded_memory(
    kafka_broker: Broker, open_again: OpenAgain
) -> None:
    publisher = open_again().publisher(CAPTURES)
    publisher.append(spread(0))
    appended = threading.Event()

    def append() -> None:
        publisher.append([record for n in range(1, 97) for record in spread(n, size=2**20)])
        appended.set()

    kafka_broker.freeze()
    try:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        thread = threading.Thread(target=append)
        thread.start()
        assert not appended.wait(4.0)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    finally:
        kafka_broker.thaw()
    thread.join(60.0)
    assert appended.is_set()
    assert grown < (96 + 64) * 1024  # the caller's own 96 MiB, and less than 64 of ours
    assert numbers(drain(open_again().subscribe(CAPTURES, "match"), 97)) == list(range(97))


def test_producer_and_consumer_continue_after_a_broker_kill(
    kafka_broker: Broker, open_again: OpenAgain
) -> None:
    bus = open_again()
    publisher, subscription = bus.publisher(CAPTURES), bus.subscribe(CAPTURES, "match")
    publisher.append(spread(*range(20)))
    before = drain(subscription, 20)
    commit_all(subscription, before)
    kafka_broker.kill()
    with pytest.raises(UnavailableError):
        open_again().subscribe(CAPTURES, "match")
    appended = threading.Event()
    thread = threading.Thread(
        target=lambda: (publisher.append(spread(*range(20, 40))), appended.set())
    )
    thread.start()
    assert not appended.wait(2.0)
    kafka_broker.start()
    thread.join(60.0)
    assert appended.is_set()
    assert numbers(before + drain(subscription, 20)) == list(range(40))


def test_three_consumers_share_partitions_and_a_rebalance_loses_nothing(
    open_again: OpenAgain,
) -> None:
    publisher = open_again().publisher(CAPTURES)
    received: dict[int, set[int]] = {n: set() for n in range(3)}
    stop = threading.Event()
    failed: list[BaseException] = []

    def consume(number: int) -> None:
        try:
            subscription = open_again().subscribe(CAPTURES, "match")
            while not stop.is_set():
                records = subscription.poll(50, 0.2)
                received[number].update(int(record.value) for record in records)
                commit_all(subscription, records)
        except Exception as error:  # noqa: BLE001  carried to the test's own thread
            failed.append(error)

    threads = [threading.Thread(target=consume, args=(n,)) for n in range(3)]
    for thread in threads[:2]:
        thread.start()
    sent = 0
    deadline = time.monotonic() + 120.0
    while time.monotonic() < deadline and not all(received.values()):
        publisher.append(spread(*range(sent, sent + 30)))
        sent += 30
        if sent == 300:
            threads[2].start()
        time.sleep(0.05)
    while time.monotonic() < deadline and len(set().union(*received.values())) < sent:
        time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join(60.0)
    assert failed == []
    assert all(received.values())
    assert set().union(*received.values()) == set(range(sent))


def test_short_polls_rejoin_the_group_after_the_topic_has_grown(
    prefix: str, open_again: OpenAgain, admin: KafkaAdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poll that ended between the two answers of a join would leave the member out for good,
    reading nothing.
    """

    def often(address: KafkaAddress, group: str) -> dict[str, Any]:
        return {**consumer_settings(address, group), "metadata_max_age_ms": 100}

    monkeypatch.setattr("ullage.bus.kafka.consumer.consumer_settings", often)
    bus, name = open_again(), f"{prefix}{CAPTURES}"
    reader = bus.subscribe(CAPTURES, "match")
    for partitions in range(8, 16, 2):
        admin.create_partitions({name: partitions})
        deadline = time.monotonic() + 60.0
        while (
            len(admin.describe_topics([name])[0]["partitions"]) < partitions
            and time.monotonic() < deadline
        ):
            reader.poll(100, 0.001)
        publisher, polled = bus.publisher(CAPTURES), set[int]()
        while max(polled, default=0) < partitions - 1 and time.monotonic() < deadline:
            publisher.spread(Outgoing("", b"1", {}))
            polled |= {record.partition for record in reader.poll(100, 0.001)}
        assert max(polled, default=0) == partitions - 1


HOLD = """
import sys, pathlib
from ullage.bus import CAPTURES, open_bus
from ullage.clock import Clock
held = open_bus(sys.argv[1], pathlib.Path(sys.argv[2]), {}, Clock()).subscribe(CAPTURES, "match")
print(len(held.poll(10, 30.0)), flush=True)
sys.stdin.read()
"""


def test_records_of_a_killed_consumer_go_to_the_next_one(
    url: str, tmp_path: Path, open_again: OpenAgain
) -> None:
    open_again().publisher(CAPTURES).append(spread(1))
    words = [sys.executable, "-c", HOLD, url, str(tmp_path)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "1\n"
        holder.send_signal(signal.SIGKILL)
    assert numbers(drain(open_again().subscribe(CAPTURES, "match"), 1)) == [1]


def test_late_commit_for_a_revoked_partition_is_ignored(open_again: OpenAgain) -> None:
    open_again().publisher(CAPTURES).append(spread(*range(60)))
    first = open_again().subscribe(CAPTURES, "match")
    first_records = drain(first, 60)
    second = open_again().subscribe(CAPTURES, "match")
    second_records: list[Record] = []
    deadline = time.monotonic() + 30.0
    while not second_records and time.monotonic() < deadline:
        first.poll(100, 0.2)
        second_records = second.poll(100, 0.5)
    assert second_records
    commit_all(first, first_records)
    assert open_again().lag(CAPTURES, "match").records >= len(second_records)


def test_records_that_expired_unread_are_counted(
    prefix: str, open_again: OpenAgain, admin: KafkaAdminClient
) -> None:
    bus = open_again()
    publisher, subscription = bus.publisher(CAPTURES), bus.subscribe(CAPTURES, "match")
    publisher.append([Outgoing("one", str(n).encode(), {}) for n in range(10)])
    (first, *_) = drain(subscription, 10)
    subscription.commit(first)
    subscription.close()
    admin.delete_records({TopicPartition(f"{prefix}{CAPTURES}", first.partition): 7})
    assert bus.lag(CAPTURES, "match").records == 3
    again = bus.subscribe(CAPTURES, "match")
    assert numbers(drain(again, 3)) == [7, 8, 9]
    assert again.expired == 6
    publisher.append([Outgoing("one", b"10", {})])
    assert numbers(drain(again, 1)) == [10]
    assert again.expired == 6


def test_broker_expires_by_age_even_in_a_quiet_topic(
    url: str, tmp_path: Path, prefix: str, admin: KafkaAdminClient
) -> None:
    keep = {CAPTURES: KEEP[CAPTURES].__class__(2.0, 2**30)}
    bus = open_bus(url, tmp_path, keep, Clock())
    bus.publisher(CAPTURES).append(spread(*range(12)))
    deadline = time.monotonic() + 30.0
    while bus.lag(CAPTURES, "match").records and time.monotonic() < deadline:
        time.sleep(0.5)
    assert bus.lag(CAPTURES, "match") == bus.lag(CAPTURES, "other")
    assert bus.lag(CAPTURES, "match").records == 0
    bus.close()


def test_lag_is_in_records_and_in_seconds_of_the_oldest(open_again: OpenAgain) -> None:
    bus = open_again()
    assert (bus.lag(CAPTURES, "match").records, bus.lag(CAPTURES, "match").seconds) == (0, 0.0)
    publisher = bus.publisher(CAPTURES)
    publisher.append([Outgoing("one", b"1", {})])
    time.sleep(2.0)
    publisher.append([Outgoing("one", b"2", {})])
    lag = bus.lag(CAPTURES, "match")
    assert (lag.records, 2.0 <= lag.seconds < 30.0) == (2, True)
    subscription = bus.subscribe(CAPTURES, "match")
    subscription.commit(drain(subscription, 2)[0])
    later = subscription.lag()
    assert (later.records, later.seconds < lag.seconds) == (1, True)


def test_one_key_stays_in_one_partition_and_many_keys_are_spread(open_again: OpenAgain) -> None:
    bus = open_again()
    bus.publisher(FINDINGS).append([Outgoing("acme", b"1", {}) for _ in range(20)])
    bus.publisher(CAPTURES).append(spread(*range(200)))
    assert len({record.partition for record in drain(bus.subscribe(FINDINGS, "alert"), 20)}) == 1
    assert len({record.partition for record in drain(bus.subscribe(CAPTURES, "match"), 200)}) == 6


def test_record_over_the_limit_is_rejected_and_the_next_passes(
    open_again: OpenAgain,
) -> None:
    bus = open_again()
    publisher = bus.publisher(CAPTURES)
    with pytest.raises(RecordError, match="at most 34 MiB") as refused:
        publisher.append([Outgoing("large", bytes(35 * 2**20), {})])
    assert refused.value.reason == "oversize"
    large = os.urandom(2**20) * 33
    publisher.append([Outgoing("large", large, {})])
    assert [record.value for record in drain(bus.subscribe(CAPTURES, "match"), 1)] == [large]


def test_missing_topic_is_named_with_what_to_do(
    kafka_broker: Broker, tmp_path: Path, prefix: str
) -> None:
    bus = open_bus(f"{kafka_broker.url}?prefix={prefix}", tmp_path, KEEP, Clock())
    for ask in (
        lambda: bus.publisher(CAPTURES),
        lambda: bus.subscribe(CAPTURES, "m"),
        lambda: bus.lag(CAPTURES, "m"),
    ):
        with pytest.raises(
            ConfigError, match=rf"no topic {prefix}captures.*have it created, or set create=1"
        ):
            ask()


def test_topics_are_created_with_their_settings(
    prefix: str, open_again: OpenAgain, admin: KafkaAdminClient
) -> None:
    open_again().publisher(CAPTURES).close()
    (described,) = admin.describe_topics([f"{prefix}{CAPTURES}"])
    assert len(described["partitions"]) == 6
    settings = topic_settings(KEEP[CAPTURES], 6)
    assert (settings["message.timestamp.type"], settings["max.message.bytes"]) == (
        "LogAppendTime",
        str(34 * 2**20),
    )
    assert int(settings["segment.ms"]) <= 3_600_000
    assert settings["retention.ms"] == "3600000"


def test_foreign_record_without_key_or_headers_is_read(
    kafka_broker: Broker, prefix: str, open_again: OpenAgain
) -> None:
    bus = open_again()
    bus.publisher(CAPTURES).close()
    foreign = KafkaProducer(bootstrap_servers=kafka_broker.url.removeprefix("kafka://"))
    foreign.send(f"{prefix}{CAPTURES}", b"foreign", headers=[("odd", b"\xff")]).get(10)
    foreign.close()
    (record,) = drain(bus.subscribe(CAPTURES, "match"), 1)
    assert (record.key, record.value) == ("", b"foreign")
