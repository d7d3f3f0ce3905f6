"""Where a group stands on a topic, seen from outside the group."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

from kafka import KafkaConsumer, TopicPartition, errors

from ullage.bus import PartitionPosition
from ullage.bus.kafka.address import KafkaAddress
from ullage.bus.kafka.client import CONNECT_SECONDS, REQUEST_SECONDS, consumer_settings


class Onlooker:
    """Looks at a group's place from outside, without joining it."""

    def __init__(self, address: KafkaAddress, topic: str, group: str) -> None:
        self._name = address.topic(topic)
        self._taken: dict[Any, tuple[int, float]] = {}
        small = {"max_partition_fetch_bytes": 1, "fetch_max_bytes": 1}  # the broker still sends one batch: we want its time
        self._consumer = KafkaConsumer(**{**consumer_settings(address, group), **small})
        self.lock = threading.Lock()

    def places(self) -> dict[int, PartitionPosition]:
        """By partition, where the group stands; a partition that it has committed nothing of is at 0."""
        parts = sorted(TopicPartition(self._name, n) for n in self._consumer.partitions_for_topic(self._name) or ())
        if not parts:
            raise errors.UnknownTopicOrPartitionError(self._name)
        if self._consumer.assignment() != set(parts):
            self._consumer.assign(parts)
        bound = {"timeout_ms": REQUEST_SECONDS * 1000}
        first, last = self._consumer.beginning_offsets(parts, **bound), self._consumer.end_offsets(parts, **bound)
        found = {}
        for p in parts:
            position = self._consumer.committed(p, **bound) or 0
            oldest = self._time(p, max(position, first[p])) if max(position, first[p]) < last[p] else None
            found[p.partition] = PartitionPosition(first[p], position, last[p], oldest)
        return found

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
