"""Define the bus that carries records between the services.

Records of one kind form a *topic*, which is split into numbered *partitions*; a record has an
*offset*, its number within its partition. A *group* is a service that reads a topic: it remembers a
committed offset per partition and continues there after a restart.

    partition 0   │ 4 │ 5 │ 6 │ 7 │ 8 │ 9 │        waiting: 7, 8, 9
                    ↑           ↑           ↑
                  first      position      end     (`PartitionPosition`)

`open_bus` returns the bus of a URL: SQLite files, Kafka, or a folder of sealed files that anything
may carry one way (spool). Requirements of every bus, which `tests/contracts/test_bus.py` verifies:

1. `append` returns when its records are durable, in order within one key; a record is never changed
   afterwards.
2. A group receives each record of a topic at least once, in order within a partition, from its
   committed position on.
3. `commit(record)` confirms every record up to and including this one, in its partition. It is
   durable when it returns. After a crash the group continues after the last commit; later records
   are delivered again.
4. Records expire by age and size even if no group has read them. Age is measured in running time
   (`ullage.running_time`): setting the wall clock expires nothing. A group whose position has
   expired learns how many records it missed (`Subscription.expired`) and continues with the oldest
   remaining one.
5. Two live consumers of one group never have the same partition at the same time.
6. A bus that is down raises `UnavailableError`; it never drops a record silently.
7. Keys and headers are readable on disk: site, random id, tenant, kind of record, schema and key
   ids, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from ullage.clock import Clock
from ullage.errors import ConfigError
from ullage.files.validation import quote_word
from ullage.inventory import Inventory
from ullage.running_time import RunningTime
from ullage.security.tls import Trust

CAPTURES = "captures"
FINDINGS = "findings"
DEAD_LETTERS = "dead-letters"
TOPICS = (CAPTURES, FINDINGS, DEAD_LETTERS)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to append to a topic; records with the same key keep their order.

    `key` and `headers` are readable on disk; `value` is stored as it is.
    """

    key: str
    value: bytes
    headers: Mapping[str, str]


class Record(NamedTuple):
    """A record as read. `timestamp` is when the bus accepted it, in Unix seconds."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    key: str
    headers: Mapping[str, str]
    value: bytes


@dataclass(frozen=True, slots=True)
class Lag:
    """Records that a group has not committed, and the age in seconds of the oldest (0 if none)."""

    records: int
    seconds: float


@dataclass(frozen=True, slots=True)
class PartitionPosition:
    """The position of a group in one partition, as offsets.

    `first` is the oldest record that retention has left; records between `position` and a later
    `first` expired unread. `position` is the next record that the group processes, `end` the next
    to be assigned. `oldest` is when the bus accepted the oldest waiting record, in Unix seconds;
    None if none waits.
    """

    first: int
    position: int
    end: int
    oldest: float | None

    @property
    def waiting(self) -> int:
        """Existing records that are not processed yet."""
        return max(0, self.end - max(self.first, self.position))


def lag_of(places: Iterable[PartitionPosition], now: float) -> Lag:
    """Return how many records wait in all these partitions, and the age of the oldest in seconds.

    `now` is in Unix seconds. The age is 0 if none waits.
    """
    positions = list(places)
    oldest = min((place.oldest for place in positions if place.oldest is not None), default=now)
    return Lag(sum(place.waiting for place in positions), max(0.0, now - oldest))


@dataclass(frozen=True, slots=True)
class Retention:
    """Limits of a topic: greatest age (`seconds` of running time) and size in bytes."""

    seconds: float
    max_bytes: int


class Publisher(Protocol):
    """Appends to one topic; `append` and `spread` raise UnavailableError while the bus is down."""

    def append(self, records: Sequence[Outgoing]) -> None:
        """Make `records` durable, in order within a key.

        Raises UnavailableError if the bus is down; some of the records may be written then, and a
        repeated call writes them again.
        """

    def spread(self, record: Outgoing) -> None:
        """Append a copy of `record` to every partition, whatever its key; durable on return."""

    def close(self) -> None:
        """Release resources."""


class Subscription(Protocol):
    """One consumer of a group on one topic.

    `poll`, `commit` and `lag` raise UnavailableError while the bus is down.
    """

    def poll(self, max_records: int, timeout: float) -> list[Record]:
        """Return the next records, up to `max_records` and about 64 MiB.

        [] if none arrive within `timeout` seconds. The next poll continues after the
        records already returned, committed or not.
        """

    def commit(self, record: Record) -> None:
        """Confirm `record` and all earlier records of its partition.

        They are not read again after a restart.
        """

    def lag(self) -> Lag:
        """Return how many records the group has not committed, and the age of the oldest."""

    @property
    def expired(self) -> int:
        """The number of records that expired unread since this consumer started."""

    @property
    def missing(self) -> int:
        """Files of a one-way bus that did not arrive in time since then; their content is unknown.

        0 on other buses.
        """

    @property
    def damaged(self) -> int:
        """The number of unreadable files of a one-way bus that were set aside since the start.

        Always 0 on other buses.
        """

    def close(self) -> None:
        """Leave the group."""


class Bus(Protocol):
    """A bus with its topics."""

    def publisher(self, topic: str) -> Publisher:
        """Open `topic` for appending."""

    def subscribe(self, topic: str, group: str) -> Subscription:
        """Join `group` on `topic` and return its consumer.

        Raises ConfigError if another live process is the consumer on an embedded bus.
        """

    def lag(self, topic: str, group: str) -> Lag:
        """Return how many records `group` has not confirmed in all partitions, and their age.

        The group is not joined.
        """

    def places(self, topic: str, group: str) -> Mapping[int, PartitionPosition]:
        """Return the position of `group` in each partition, by partition number.

        The group is not joined.
        """

    def check(self, topic: str) -> None:
        """Read all local records of `topic` to verify them. Raises CorruptError if one is damaged.

        Records on a broker are not read, because it verifies them itself.
        """

    def expire(self) -> int:
        """Delete records that retention no longer allows; returns how many.

        It does nothing if the bus expires records itself.
        """

    def close(self) -> None:
        """Release resources."""


def open_bus(
    url: str,
    data: Path,
    retention: Mapping[str, Retention],
    clock: Clock,
    inventory: Inventory | None = None,
) -> Bus:
    """Return the bus that `url` names.

    `sqlite:///FOLDER` and `spool:///FOLDER` are relative to the folder `data`, with four slashes
    absolute; `kafka://HOST:PORT` is a broker. `retention` gives the limits of each topic. New
    topics that are files are entered in `inventory`. Raises ConfigError for any other URL.
    """
    scheme, _, location = url.partition("://")
    running = RunningTime(data, clock, inventory)
    # a client is loaded only for the bus that is used
    if scheme == "sqlite":
        from ullage.bus.sqlite import SqliteBus  # noqa: PLC0415

        return SqliteBus(
            data / location.lstrip("/") if not location.startswith("//") else Path(location[1:]),
            retention,
            clock,
            running,
            inventory,
        )
    if scheme == "spool":
        from ullage.bus.spool import SpoolBus  # noqa: PLC0415

        folder, _, options = location.partition("?")
        place = data / folder.lstrip("/") if not folder.startswith("//") else Path(folder[1:])
        return SpoolBus(place, options, retention, clock, running, inventory)
    if scheme == "kafka":
        from ullage.bus.kafka import KafkaBus  # noqa: PLC0415

        return KafkaBus(location, data, retention, clock)
    raise ConfigError(
        f"bus.url has the scheme {quote_word(scheme)}:"
        " use sqlite:///FOLDER, spool:///FOLDER or kafka://HOST:PORT"
    )


def trust_of_bus(url: str, data: Path) -> Trust | None:
    """Return the TLS settings of a bus's client, None without TLS.

    Raises ConfigError if `url` is wrong.
    """
    scheme, _, location = url.partition("://")
    if scheme != "kafka":
        return None
    # a client is loaded only for the bus that is used
    from ullage.bus.kafka.address import trust_of  # noqa: PLC0415

    return trust_of(location, data)


@dataclass(frozen=True, slots=True)
class RoutedBus:
    """A bus whose captures are on another bus than the other topics."""

    captures: Bus
    rest: Bus

    def _choose(self, topic: str) -> Bus:
        return self.captures if topic == CAPTURES else self.rest

    def publisher(self, topic: str) -> Publisher:
        """See `Bus.publisher`."""
        return self._choose(topic).publisher(topic)

    def subscribe(self, topic: str, group: str) -> Subscription:
        """See `Bus.subscribe`."""
        return self._choose(topic).subscribe(topic, group)

    def lag(self, topic: str, group: str) -> Lag:
        """See `Bus.lag`."""
        return self._choose(topic).lag(topic, group)

    def places(self, topic: str, group: str) -> Mapping[int, PartitionPosition]:
        """See `Bus.places`."""
        return self._choose(topic).places(topic, group)

    def check(self, topic: str) -> None:
        """See `Bus.check`."""
        self._choose(topic).check(topic)

    def expire(self) -> int:
        """Delete expired records on both buses; return how many were deleted.

        Each topic has its own retention.
        """
        return self.captures.expire() + self.rest.expire()

    def close(self) -> None:
        """Close the bus of captures and the other bus."""
        self.captures.close()
        self.rest.close()
