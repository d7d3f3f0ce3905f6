"""Read records as a member of a group, or observe the position of a group."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kafka import (
    ConsumerRebalanceListener,
    KafkaConsumer,
    OffsetAndMetadata,
    TopicPartition,
    errors,
)

from ullage import log
from ullage.bus import Lag, PartitionPosition, Record
from ullage.bus.kafka.address import KafkaAddress
from ullage.bus.kafka.client import (
    CONNECT_SECONDS,
    DELIVERY_SECONDS,
    POLL_BYTES,
    REQUEST_SECONDS,
    consumer_settings,
    kafka_errors,
)
from ullage.clock import Clock


class Onlooker:
    """Observes the position of a group from outside, without joining it."""

    def __init__(self, address: KafkaAddress, topic: str, group: str) -> None:
        self._name = address.topic(topic)
        self._taken: dict[Any, tuple[int, float]] = {}
        # the broker still sends one batch: we want its time
        small = {"max_partition_fetch_bytes": 1, "fetch_max_bytes": 1}
        self._consumer = KafkaConsumer(**{**consumer_settings(address, group), **small})
        self.lock = threading.Lock()

    def places(self) -> dict[int, PartitionPosition]:
        """Return the position of the group in each partition.

        A partition without a commit has position 0. Raises UnknownTopicOrPartitionError if the
        topic has no partition.
        """
        parts = sorted(
            TopicPartition(self._name, n)
            for n in self._consumer.partitions_for_topic(self._name) or ()
        )
        if not parts:
            raise errors.UnknownTopicOrPartitionError(self._name)
        if self._consumer.assignment() != set(parts):
            self._consumer.assign(parts)
        bound = {"timeout_ms": REQUEST_SECONDS * 1000}
        first, last = (
            self._consumer.beginning_offsets(parts, **bound),
            self._consumer.end_offsets(parts, **bound),
        )
        positions = {}
        for p in parts:
            position = self._consumer.committed(p, **bound) or 0
            oldest = (
                self._time(p, max(position, first[p]))
                if max(position, first[p]) < last[p]
                else None
            )
            positions[p.partition] = PartitionPosition(first[p], position, last[p], oldest)
        return positions

    def _time(self, partition: Any, place: int) -> float | None:
        """Return when the record at `place` was taken; None if it is gone by now."""
        cached = self._taken.get(partition)
        if cached is None or cached[0] != place:
            self._consumer.pause(*self._consumer.assignment())
            self._consumer.resume(partition)
            self._consumer.seek(partition, place)
            rows = self._consumer.poll(timeout_ms=REQUEST_SECONDS * 1000, max_records=1).get(
                partition
            )
            if not rows:
                return None
            cached = self._taken[partition] = place, rows[0].timestamp / 1000
        return cached[1]

    def close(self) -> None:
        """Release the connections."""
        with contextlib.suppress(errors.KafkaError):
            self._consumer.close(autocommit=False, timeout_ms=CONNECT_SECONDS * 1000)


LAG_SECONDS = 1.0
LOST = (
    errors.CommitFailedError,
    errors.RebalanceInProgressError,
    errors.IllegalGenerationError,
    errors.UnknownMemberIdError,
)


class _AssignmentListener(ConsumerRebalanceListener):  # type: ignore[misc]
    """A listener that passes assigned and revoked partitions to the subscription.

    It is called during the subscription's own poll.
    """

    def __init__(self, revoked: Callable[[Any], None], assigned: Callable[[Any], None]) -> None:
        self._revoked, self._assigned = revoked, assigned

    def on_partitions_revoked(self, revoked: Any) -> None:
        self._revoked(revoked)

    def on_partitions_assigned(self, assigned: Any) -> None:
        self._assigned(assigned)


class KafkaSubscription:
    """One member of a group.

    For each partition it holds the next offset to return, and the committed offset.
    """

    missing = damaged = 0

    def __init__(
        self, address: KafkaAddress, topic: str, group: str, clock: Clock, reader: Callable[[], Lag]
    ) -> None:
        self._topic, self._what, self._clock, self._reader = (
            topic,
            f"topic {address.topic(topic)}",
            clock,
            reader,
        )
        self._next: dict[Any, int] = {}
        self._committed: dict[Any, int] = {}
        self._new: set[Any] = set()
        self._ready: deque[tuple[Any, Record]] = deque()
        self._lag: tuple[float, Lag] | None = None
        self.expired = 0
        with kafka_errors(self._what):
            self._consumer = KafkaConsumer(**consumer_settings(address, group))
            self._consumer.subscribe(
                [address.topic(topic)],
                listener=_AssignmentListener(self._on_revoked, self._on_assigned),
            )

    def _on_revoked(self, partitions: Any) -> None:
        # A join has begun. The client (3.0.12) forgets one that began because the topic has other
        # partitions now when a poll ends in the middle of it, and would then read nothing any more
        # without an error; asked for, it is seen through.
        self._consumer._coordinator.request_rejoin()  # noqa: SLF001  no public call does so
        gone = set(partitions)
        for partition in gone:
            self._next.pop(partition, None)
            self._committed.pop(partition, None)
        self._new -= gone
        self._ready = deque(
            (partition, record) for partition, record in self._ready if partition not in gone
        )

    def _on_assigned(self, partitions: Any) -> None:
        self._new |= set(partitions)

    def poll(self, max_records: int, timeout: float) -> list[Record]:
        """See `Subscription.poll`; a rebalance happens in here."""
        with kafka_errors(self._what):
            if not self._ready:
                fetched = self._consumer.poll(
                    timeout_ms=max(0, int(timeout * 1000)), max_records=max_records
                )
                with contextlib.ExitStack() as undo:
                    undo.callback(self._give_back, fetched)
                    self._settle()
                    undo.pop_all()
                for partition, rows in fetched.items():
                    self._take(partition, rows)
        return self._hand_out(max_records)

    def _give_back(self, fetched: Mapping[Any, Sequence[Any]]) -> None:
        """Have rows come again that the client counts as handed out."""
        for partition, rows in fetched.items():
            self._consumer.seek(partition, rows[0].offset)

    def _settle(self) -> None:
        """Read the group's position on new partitions.

        This is done before any of their records is returned.
        """
        if not self._new:
            return
        bound = {"timeout_ms": REQUEST_SECONDS * 1000}
        for partition, first in self._consumer.beginning_offsets(
            sorted(self._new), **bound
        ).items():
            position = self._consumer.committed(partition, **bound) or 0
            if first > position:  # committed, so that no later start counts them again
                self._consumer.commit({partition: OffsetAndMetadata(first, "", -1)}, **bound)
                self.expired += first - position
            self._next[partition] = self._committed[partition] = max(first, position)
            self._new.discard(partition)

    def _take(self, partition: Any, rows: Sequence[Any]) -> None:
        """Take the rows of a partition into this subscription.

        Offsets have no gaps (no transactions, no compaction), so anything before the first row has
        expired.
        """
        self.expired += max(0, rows[0].offset - self._next[partition])
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
        """Commit a position; see `Subscription.commit`.

        If another consumer has the partition by now, this has no effect, and the record
        comes again.
        """
        partition, position = self._partition(record), record.offset + 1
        if partition is None:
            log.get("bus").warning(
                "commit_void",
                topic=self._topic,
                partition=record.partition,
                reason="another process reads it",
            )
            return
        if position <= self._committed[partition]:
            return
        with kafka_errors(self._what):
            try:
                self._consumer.commit(
                    {partition: OffsetAndMetadata(position, "", -1)},
                    timeout_ms=DELIVERY_SECONDS * 1000,
                )
            except LOST as error:
                error_name = type(error).__name__
                log.get("bus").warning(
                    "commit_void", topic=self._topic, partition=record.partition, error=error_name
                )
                return
        self._committed[partition] = position
        self._lag = None

    def _partition(self, record: Record) -> Any:
        return next(
            (partition for partition in self._committed if partition.partition == record.partition),
            None,
        )

    def lag(self) -> Lag:
        """Return the lag of the whole group, at most `LAG_SECONDS` old.

        It is cached because each query costs the broker a few requests.
        """
        now = self._clock.monotonic()
        if self._lag is None or now - self._lag[0] >= LAG_SECONDS:
            self._lag = now, self._reader()
        return self._lag[1]

    def close(self) -> None:
        """Leave the group, so that the others take over at once."""
        with contextlib.suppress(errors.KafkaError):
            self._consumer.close(autocommit=False, timeout_ms=CONNECT_SECONDS * 1000)


def _record(topic: str, row: Any) -> Record:
    headers = {name: value.decode("utf-8", "replace") for name, value in row.headers}
    key = (row.key or b"").decode("utf-8", "replace")
    return Record(
        topic,
        row.partition,
        row.offset,
        row.timestamp / 1000,
        key,
        headers,
        bytes(row.value or b""),
    )
