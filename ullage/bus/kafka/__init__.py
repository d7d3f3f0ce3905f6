"""Implement the bus on Apache Kafka: many machines, many partitions, consumer groups.

Kafka records the time of acceptance (`LogAppendTime`), expires records itself, and reassigns a dead
consumer's partitions after `client.SESSION_SECONDS`.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kafka import errors
from kafka.admin import KafkaAdminClient, NewTopic

from ullage.bus import Lag, PartitionPosition, Retention, lag_of
from ullage.bus.kafka.address import parse
from ullage.bus.kafka.client import client_settings, greet, kafka_errors
from ullage.bus.kafka.consumer import KafkaSubscription, Onlooker
from ullage.bus.kafka.publisher import KafkaPublisher
from ullage.bus.kafka.topics import topic_settings
from ullage.clock import Clock
from ullage.errors import ConfigError


class KafkaBus:
    """See the module."""

    def __init__(
        self, rest: str, data: Path, retention: Mapping[str, Retention], clock: Clock
    ) -> None:
        # what it would say is raised here; its debug lines hold records
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        self._address, self._retention, self._clock = parse(rest, data), retention, clock
        self._lock = threading.Lock()
        self._there: set[str] = set()
        self._readers: dict[tuple[str, str], Onlooker] = {}
        self._opened: weakref.WeakSet[KafkaPublisher | KafkaSubscription] = weakref.WeakSet()

    def publisher(self, topic: str) -> KafkaPublisher:
        """See `Bus.publisher`."""
        self._ensure_topic(topic)
        publisher = KafkaPublisher(self._address, topic)
        self._opened.add(publisher)
        return publisher

    def subscribe(self, topic: str, group: str) -> KafkaSubscription:
        """See `Bus.subscribe`; any number of consumers of a group share the partitions."""
        self._ensure_topic(topic)
        subscription = KafkaSubscription(
            self._address, topic, group, self._clock, lambda: self.lag(topic, group)
        )
        self._opened.add(subscription)
        return subscription

    def lag(self, topic: str, group: str) -> Lag:
        """See `Bus.lag`."""
        return lag_of(self.places(topic, group).values(), self._clock.wall())

    def places(self, topic: str, group: str) -> dict[int, PartitionPosition]:
        """See `Bus.places`."""
        self._ensure_topic(topic)
        with kafka_errors(f"topic {self._address.topic(topic)}"):
            with self._lock:
                if (topic, group) not in self._readers:
                    self._readers[topic, group] = Onlooker(self._address, topic, group)
                reader = self._readers[topic, group]
            with reader.lock:
                return reader.places()

    def check(self, topic: str) -> None:
        """Do nothing: brokers and clients verify a checksum of every batch."""

    def expire(self) -> int:
        """Do nothing: the broker expires records by the topic's own settings."""
        return 0

    def close(self) -> None:
        """Close all connections to Kafka that were opened through this bus."""
        for opened in list(self._opened):
            opened.close()
        with self._lock:
            for reader in self._readers.values():
                reader.close()
            self._readers.clear()

    def _ensure_topic(self, topic: str) -> None:
        """Create a missing topic if the URL allows it; raises ConfigError otherwise.

        The brokers are asked one time per topic and process. Raises ConfigError too if they refuse
        this user, UnavailableError if none answers.
        """
        name = self._address.topic(topic)
        with self._lock, kafka_errors(f"topic {name}"):
            if topic in self._there:
                return
            # a permanent fault ends the process here, instead of being retried forever
            greet(self._address)
            admin = KafkaAdminClient(**client_settings(self._address))
            try:
                if name not in admin.list_topics():
                    self._create_topic(admin, topic, name)
            finally:
                admin.close()
            self._there.add(topic)

    def _create_topic(self, admin: Any, topic: str, name: str) -> None:
        if not self._address.create:
            raise ConfigError(
                f"Kafka has no topic {name}, or hides it from this user: have it created,"
                " or set create=1 in bus.url; `ullage check --plan` prints what is needed"
            )
        settings = topic_settings(self._retention.get(topic), self._address.partitions)
        new_topic = NewTopic(
            name, self._address.partitions, self._address.replication, topic_configs=settings
        )
        with contextlib.suppress(errors.TopicAlreadyExistsError):  # another process was faster
            admin.create_topics([new_topic])
        admin.wait_for_topics([name])
