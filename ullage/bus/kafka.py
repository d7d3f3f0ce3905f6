"""Apache Kafka as the bus: many machines, many partitions, consumer groups.

kafka-python's defaults that are changed here, and why: it holds any amount of unsent records (we wait at 16 MiB), commits by
itself (a record would be lost between commit and output), starts a new group at the end (what came before would be lost), and
asks the broker to make topics that are missing. Kafka gives the time a record was taken (`LogAppendTime`), expires by itself,
and hands a dead consumer's partitions on after `SESSION_SECONDS`.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition, errors
from kafka.admin import KafkaAdminClient, NewTopic

from ullage.bus import Lag, Outgoing, Record, Retention
from ullage.bus.kafka_url import KafkaAddress, parse
from ullage.clock import Clock
from ullage.errors import ConfigError, RecordError, UnavailableError

MIB = 1024 * 1024
RECORD_BYTES = 34 * MIB
UNACKNOWLEDGED_BYTES = 16 * MIB
POLL_BYTES = 64 * MIB
DELIVERY_SECONDS, REQUEST_SECONDS, CONNECT_SECONDS = 120, 20, 15
SESSION_SECONDS, HEARTBEAT_SECONDS = 10, 3
LAG_SECONDS = 1.0
SEGMENT_SECONDS = 3600.0
SEGMENT_BYTES = (64 * MIB, 1024 * MIB)
log = structlog.get_logger(__name__)
logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what it would say is raised here, and its debug lines hold records

REFUSED = (errors.AuthorizationError, errors.SaslAuthenticationFailedError, errors.UnsupportedSaslMechanismError)
LOST = (errors.CommitFailedError, errors.RebalanceInProgressError, errors.IllegalGenerationError, errors.UnknownMemberIdError)


@contextlib.contextmanager
def kafka_errors(what: str) -> Iterator[None]:
    """Turn the client's errors into ours; `what` is the topic in hand."""
    try:
        yield
    except (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError):
        raise RecordError("oversize", f"{what}: a record is larger than {RECORD_BYTES // MIB} MiB") from None
    except REFUSED as error:
        raise ConfigError(f"Kafka refuses {what} to this user ({type(error).__name__}): see its ACLs and credentials") from None
    except errors.KafkaConfigurationError as error:
        raise ConfigError(f"bus.url: the Kafka client cannot use it: {error}") from None
    except (errors.KafkaError, OSError) as error:
        raise UnavailableError(f"{what}: Kafka does not answer ({type(error).__name__})") from None


class KafkaPublisher:
    """Appends to one topic, at most `UNACKNOWLEDGED_BYTES` under way.

    After a failure the client is thrown away: what it still held must not be sent later, behind what the caller repeats.
    """

    def __init__(self, address: KafkaAddress, topic: str) -> None:
        self._address, self._name = address, address.topic(topic)
        self._producer: Any = None

    def append(self, records: Sequence[Outgoing]) -> None:
        """Returns when the broker has acknowledged each record, on all replicas in sync."""
        if not records:
            return
        done = False
        try:
            with kafka_errors(f"topic {self._name}"):
                self._send(records)
            done = True
        finally:
            if not done:
                self._drop()

    def _send(self, records: Sequence[Outgoing]) -> None:
        producer = self._connected()
        waiting: deque[tuple[Any, int]] = deque()
        held = 0
        for record in records:
            size = len(record.value)
            while waiting and held + size > UNACKNOWLEDGED_BYTES:
                future, freed = waiting.popleft()
                future.get(DELIVERY_SECONDS)
                held -= freed
            headers = [(name, value.encode()) for name, value in record.headers.items()]
            waiting.append((producer.send(self._name, record.value, record.key.encode(), headers), size))
            held += size
        for future, _ in waiting:
            future.get(DELIVERY_SECONDS)

    def _connected(self) -> Any:
        if self._producer is None:
            self._producer = KafkaProducer(
                **_client(self._address), allow_auto_create_topics=False, acks="all", enable_idempotence=True,
                max_request_size=RECORD_BYTES, batch_size=MIB, delivery_timeout_ms=DELIVERY_SECONDS * 1000,
                max_block_ms=REQUEST_SECONDS * 1000,
            )  # fmt: skip
        return self._producer

    def _drop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(errors.KafkaError):
                producer.close(timeout=0)

    def close(self) -> None:
        """Nothing is under way between appends."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(errors.KafkaError):
                producer.close(timeout=CONNECT_SECONDS)


class _Assigned(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells the subscription which partitions came and went; called inside its own poll."""

    def __init__(self, revoked: Callable[[Any], None], assigned: Callable[[Any], None]) -> None:
        self._revoked, self._assigned = revoked, assigned

    def on_partitions_revoked(self, revoked: Any) -> None:
        self._revoked(revoked)

    def on_partitions_assigned(self, assigned: Any) -> None:
        self._assigned(assigned)


class KafkaSubscription:
    """One member of a group. Its state a partition: the next offset to hand out, and the offset committed."""

    def __init__(self, address: KafkaAddress, topic: str, group: str, clock: Clock, reader: Callable[[], Lag]) -> None:
        self._topic, self._what, self._clock, self._reader = topic, f"topic {address.topic(topic)}", clock, reader
        self._next: dict[Any, int | None] = {}
        self._committed: dict[Any, int] = {}
        self._new: set[Any] = set()
        self._ready: deque[tuple[Any, Record]] = deque()
        self._lag: tuple[float, Lag] | None = None
        self.expired = 0
        with kafka_errors(self._what):
            self._consumer = KafkaConsumer(**_consumer(address, group))
            self._consumer.subscribe([address.topic(topic)], listener=_Assigned(self._on_revoked, self._on_assigned))

    def _on_revoked(self, partitions: Any) -> None:
        gone = set(partitions)
        for one in gone:
            self._next.pop(one, None)
            self._committed.pop(one, None)
        self._new -= gone
        self._ready = deque((one, record) for one, record in self._ready if one not in gone)

    def _on_assigned(self, partitions: Any) -> None:
        self._new |= set(partitions)

    def poll(self, max_records: int, timeout: float) -> list[Record]:
        """See `Subscription.poll`; a rebalance happens in here."""
        with kafka_errors(self._what):
            if not self._ready:
                fetched = self._consumer.poll(timeout_ms=max(0, int(timeout * 1000)), max_records=max_records)
                self._settle()
                for partition, rows in fetched.items():
                    self._take(partition, rows)
        return self._hand_out(max_records)

    def _settle(self) -> None:
        """Read where the group stood on partitions that are new here, before anything of them is handed out."""
        for partition in sorted(self._new):
            position = self._consumer.committed(partition, timeout_ms=REQUEST_SECONDS * 1000)
            self._next[partition], self._committed[partition] = position, position or 0
        self._new.clear()

    def _take(self, partition: Any, rows: Sequence[Any]) -> None:
        """Offsets have no gaps (no transactions, no compaction), so what lies before the first row has expired."""
        expected = self._next.get(partition)
        if expected is not None and rows[0].offset > expected:
            self.expired += rows[0].offset - expected
        self._next[partition] = rows[-1].offset + 1
        self._ready.extend((partition, _record(self._topic, row)) for row in rows)

    def _hand_out(self, max_records: int) -> list[Record]:
        records: list[Record] = []
        size = 0
        while self._ready and len(records) < max_records and size < POLL_BYTES:
            records.append(self._ready.popleft()[1])
            size += len(records[-1].value)
        return records

    def commit(self, record: Record) -> None:
        """See `Subscription.commit`; for a partition that another consumer has by now it is void, and the record comes again."""
        partition, position = self._partition(record), record.offset + 1
        if partition is None:
            log.warning("commit of a partition that another consumer has now", topic=self._topic, partition=record.partition)
            return
        if position <= self._committed[partition]:
            return
        with kafka_errors(self._what):
            try:
                self._consumer.commit({partition: OffsetAndMetadata(position, "", -1)}, timeout_ms=DELIVERY_SECONDS * 1000)
            except LOST as error:
                log.warning("commit during a rebalance", topic=self._topic, partition=record.partition, why=type(error).__name__)
                return
        self._committed[partition] = position
        self._lag = None

    def _partition(self, record: Record) -> Any:
        return next((one for one in self._committed if one.partition == record.partition), None)

    def lag(self) -> Lag:
        """The whole group's, as it was at most `LAG_SECONDS` ago: asking costs the broker a few requests."""
        now = self._clock.monotonic()
        if self._lag is None or now - self._lag[0] >= LAG_SECONDS:
            self._lag = now, self._reader()
        return self._lag[1]

    def close(self) -> None:
        """Leave the group, so that the others take over at once."""
        with contextlib.suppress(errors.KafkaError):
            self._consumer.close(autocommit=False, timeout_ms=CONNECT_SECONDS * 1000)


class _Reader:
    """Looks at a group's place from outside, without joining it."""

    def __init__(self, address: KafkaAddress, topic: str, group: str, clock: Clock) -> None:
        self._name, self._clock = address.topic(topic), clock
        self._taken: dict[Any, tuple[int, float]] = {}
        small = {"max_partition_fetch_bytes": 1, "fetch_max_bytes": 1}  # the broker still sends one batch: we want its time
        self._consumer = KafkaConsumer(**{**_consumer(address, group), **small})
        self.lock = threading.Lock()

    def lag(self) -> Lag:
        """Records between the group's place and the end; seconds since the broker took the oldest of them."""
        parts = sorted(TopicPartition(self._name, n) for n in self._consumer.partitions_for_topic(self._name) or ())
        if not parts:
            raise errors.UnknownTopicOrPartitionError(self._name)
        if self._consumer.assignment() != set(parts):
            self._consumer.assign(parts)
        bound = {"timeout_ms": REQUEST_SECONDS * 1000}
        first, last = self._consumer.beginning_offsets(parts, **bound), self._consumer.end_offsets(parts, **bound)
        places = {p: max(self._consumer.committed(p, **bound) or 0, first[p]) for p in parts}
        behind = {p: place for p, place in places.items() if place < last[p]}
        times = [self._time(p, place) for p, place in behind.items()]
        oldest = min((t for t in times if t is not None), default=None)
        seconds = max(0.0, self._clock.wall() - oldest) if oldest is not None else 0.0
        return Lag(sum(last[p] - place for p, place in behind.items()), seconds)

    def _time(self, partition: Any, place: int) -> float | None:
        """When the record at `place` was taken; None when it is gone by now."""
        known = self._taken.get(partition)
        if known is None or known[0] != place:
            self._consumer.pause(*self._consumer.assignment())
            self._consumer.resume(partition)
            self._consumer.seek(partition, place)
            rows = self._consumer.poll(timeout_ms=REQUEST_SECONDS * 1000, max_records=1).get(partition)
            if not rows:
                return None
            known = self._taken[partition] = place, rows[0].timestamp / 1000
        return known[1]

    def close(self) -> None:
        """Release the connections."""
        with contextlib.suppress(errors.KafkaError):
            self._consumer.close(autocommit=False, timeout_ms=CONNECT_SECONDS * 1000)


class KafkaBus:
    """See the module."""

    def __init__(self, rest: str, data: Path, retention: Mapping[str, Retention], clock: Clock) -> None:
        self._address, self._retention, self._clock = parse(rest, data), retention, clock
        self._lock = threading.Lock()
        self._there: set[str] = set()
        self._readers: dict[tuple[str, str], _Reader] = {}
        self._opened: weakref.WeakSet[KafkaPublisher | KafkaSubscription] = weakref.WeakSet()

    def publisher(self, topic: str) -> KafkaPublisher:
        """See `Bus.publisher`."""
        self._ensure(topic)
        publisher = KafkaPublisher(self._address, topic)
        self._opened.add(publisher)
        return publisher

    def subscribe(self, topic: str, group: str) -> KafkaSubscription:
        """See `Bus.subscribe`; a group has as many consumers as it likes, the partitions are shared out."""
        self._ensure(topic)
        subscription = KafkaSubscription(self._address, topic, group, self._clock, lambda: self.lag(topic, group))
        self._opened.add(subscription)
        return subscription

    def lag(self, topic: str, group: str) -> Lag:
        """See `Bus.lag`."""
        self._ensure(topic)
        with kafka_errors(f"topic {self._address.topic(topic)}"):
            with self._lock:
                if (topic, group) not in self._readers:
                    self._readers[topic, group] = _Reader(self._address, topic, group, self._clock)
                reader = self._readers[topic, group]
            with reader.lock:
                return reader.lag()

    def expire(self) -> int:
        """Nothing: the broker expires by the topic's own settings."""
        return 0

    def close(self) -> None:
        """Close every connection that was opened through this bus."""
        for opened in list(self._opened):
            opened.close()
        with self._lock:
            for reader in self._readers.values():
                reader.close()
            self._readers.clear()

    def _ensure(self, topic: str) -> None:
        """The topic is there, or is made where the URL allows it; ConfigError otherwise."""
        name = self._address.topic(topic)
        with self._lock, kafka_errors(f"topic {name}"):
            if topic in self._there:
                return
            admin = KafkaAdminClient(**_client(self._address))
            try:
                if name not in admin.list_topics():
                    self._make(admin, topic, name)
            finally:
                admin.close()
            self._there.add(topic)

    def _make(self, admin: Any, topic: str, name: str) -> None:
        if not self._address.create:
            raise ConfigError(
                f"Kafka has no topic {name}, or hides it from this user: have it created, or say create=1 in bus.url"
            )
        settings = topic_settings(self._retention.get(topic), self._address.partitions)
        wanted = NewTopic(name, self._address.partitions, self._address.replication, topic_configs=settings)
        with contextlib.suppress(errors.TopicAlreadyExistsError):  # another process was faster
            admin.create_topics([wanted])
        admin.wait_for_topics([name])


def topic_settings(keep: Retention | None, partitions: int) -> dict[str, str]:
    """A topic's settings.

    Kafka counts bytes a partition and expires whole closed segments, so a partition keeps four of the smallest at least: a
    large record would otherwise expire the one before it.
    """
    settings = {
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(RECORD_BYTES),
        "segment.ms": str(int(SEGMENT_SECONDS * 1000)),
    }
    if keep is not None:
        share = max(4 * SEGMENT_BYTES[0], keep.max_bytes // partitions)
        settings |= {
            "retention.ms": str(int(keep.seconds * 1000)),
            "retention.bytes": str(share),
            "segment.ms": str(int(max(1.0, min(SEGMENT_SECONDS, keep.seconds / 4)) * 1000)),
            "segment.bytes": str(min(share // 4, SEGMENT_BYTES[1])),
        }
    return settings


def _client(address: KafkaAddress) -> dict[str, Any]:
    return {
        "bootstrap_servers": list(address.servers),
        "client_id": "ullage",
        "request_timeout_ms": REQUEST_SECONDS * 1000,
        "bootstrap_timeout_ms": CONNECT_SECONDS * 1000,
        "reconnect_backoff_max_ms": 2000,
        **address.client,
    }


def _consumer(address: KafkaAddress, group: str) -> dict[str, Any]:
    return {
        **_client(address),
        "group_id": f"{address.prefix}{group}",
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
        "allow_auto_create_topics": False,
        "session_timeout_ms": SESSION_SECONDS * 1000,
        "heartbeat_interval_ms": HEARTBEAT_SECONDS * 1000,
        "max_partition_fetch_bytes": RECORD_BYTES,
    }


def _record(topic: str, row: Any) -> Record:
    headers = {name: value.decode("utf-8", "replace") for name, value in row.headers}
    key = (row.key or b"").decode("utf-8", "replace")
    return Record(topic, row.partition, row.offset, row.timestamp / 1000, key, headers, bytes(row.value or b""))
