"""The bus between stages: topics of records, consumer groups, offsets.

What every bus must do, and `tests/contracts/test_bus.py` holds it to:

1. `append` returns when its records are durable, in order within one key; a record is never changed
   afterwards.
2. A group sees each record of a topic at least once, in order within a partition, from its
   committed position on.
3. `commit(record)` says that every record up to and including this one, in its partition, is dealt
   with. It is durable when it returns. After a crash the group goes on behind the last commit;
   records past it come again.
4. Records expire by age and size even if no group has read them. Age is counted in running time
   (`ullage.running_time`): a wall clock that was set expires nothing. A group whose position has
   expired is told how many records it missed (`Subscription.expired`); it goes on with the oldest
   that is left.
5. Two live consumers of one group never hold the same partition at the same time.
6. A bus that is down raises `UnavailableError`; it never drops a record silently.
7. Keys and headers are in clear on disk: site, random id, tenant, what kind of record, schema and
   key ids, and nothing else.
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
    """A record to append. Records with the same key keep their order."""

    key: str
    value: bytes
    headers: Mapping[str, str]


class Record(NamedTuple):
    """A record as read; `timestamp` is when the bus took it, in Unix seconds."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    key: str
    headers: Mapping[str, str]
    value: bytes


@dataclass(frozen=True, slots=True)
class Lag:
    """What a group has not committed: how many records, and the age in seconds of the oldest (0
    when none).
    """

    records: int
    seconds: float


@dataclass(frozen=True, slots=True)
class PartitionPosition:
    """Where a group stands in one partition; offsets, of which `first` ≤ `position` ≤ `end` need
    not hold for `first`.

    `first` is the oldest that retention has left: what lies between `position` and a later `first`
    expired unread. `position` is the next that the group deals with, `end` the next to be given.
    `oldest` is when the bus took the oldest record that waits for the group, in Unix seconds; None
    when none does.
    """

    first: int
    position: int
    end: int
    oldest: float | None

    @property
    def waiting(self) -> int:
        """Records that are there and not dealt with."""
        return max(0, self.end - max(self.first, self.position))


def lag_of(places: Iterable[PartitionPosition], now: float) -> Lag:
    """The lag of a group that stands at `places`, `now` in Unix seconds."""
    known = list(places)
    oldest = min((place.oldest for place in known if place.oldest is not None), default=now)
    return Lag(sum(place.waiting for place in known), max(0.0, now - oldest))


@dataclass(frozen=True, slots=True)
class Retention:
    """How long and how much a topic keeps."""

    seconds: float
    max_bytes: int


class Publisher(Protocol):
    """Appends to one topic."""

    def append(self, records: Sequence[Outgoing]) -> None:
        """Make `records` durable, in their order within a key; after a crash mid-way some keys
        may be there and others not.
        """

    def spread(self, record: Outgoing) -> None:
        """Make a copy of `record` durable in every partition, whatever its key; where there is
        one partition, that is one.
        """

    def close(self) -> None:
        """Release what is held."""


class Subscription(Protocol):
    """One consumer of a group on one topic."""

    def poll(self, max_records: int, timeout: float) -> list[Record]:
        """The next records, up to `max_records` and about 64 MiB; [] when none came within
        `timeout` seconds.

        A further poll goes on behind the records already handed out, committed or not.
        """

    def commit(self, record: Record) -> None:
        """Everything up to and including `record`, in its partition, is dealt with."""

    def lag(self) -> Lag:
        """What the group has not committed."""

    @property
    def expired(self) -> int:
        """Records that expired unread since this consumer started."""

    @property
    def missing(self) -> int:
        """Files of a one-way bus that did not come in time since then: nobody knows what was in
        them. 0 on other buses.
        """

    @property
    def damaged(self) -> int:
        """Files of a one-way bus that were set aside since then, because they cannot be read.

        0 on other buses.
        """

    def close(self) -> None:
        """Give up the group's place."""


class Bus(Protocol):
    """A bus with its topics."""

    def publisher(self, topic: str) -> Publisher:
        """Open `topic` for appending."""

    def subscribe(self, topic: str, group: str) -> Subscription:
        """Join `group` on `topic`; ConfigError when the place is held by another live process on
        an embedded bus.
        """

    def lag(self, topic: str, group: str) -> Lag:
        """What `group` has not committed, without joining it."""

    def places(self, topic: str, group: str) -> Mapping[int, PartitionPosition]:
        """Where `group` stands in each partition, without joining it."""

    def check(self, topic: str) -> None:
        """Read all that lies of `topic` on this machine; CorruptError when something is not what
        was written.

        A broker looks after its own.
        """

    def expire(self) -> int:
        """Remove what retention no longer keeps, where the bus does not do so itself; returns
        how many records went.
        """

    def close(self) -> None:
        """Release what is held."""


def open_bus(
    url: str,
    data: Path,
    retention: Mapping[str, Retention],
    clock: Clock,
    inventory: Inventory | None = None,
) -> Bus:
    """Return the bus that `url` names: `sqlite:///FOLDER` (relative to the data folder),
    `kafka://HOST:PORT` or `spool:///DIR`.

    Topics that are files are entered in `inventory` when they are created.
    """
    scheme, _, rest = url.partition("://")
    running = RunningTime(data, clock, inventory)
    if scheme == "sqlite":
        from ullage.bus.sqlite import SqliteBus  # noqa: PLC0415  a client is loaded only for the bus that is used

        return SqliteBus(
            data / rest.lstrip("/") if not rest.startswith("//") else Path(rest[1:]),
            retention,
            clock,
            running,
            inventory,
        )
    if scheme == "spool":
        from ullage.bus.spool import SpoolBus  # noqa: PLC0415

        folder, _, options = rest.partition("?")
        place = data / folder.lstrip("/") if not folder.startswith("//") else Path(folder[1:])
        return SpoolBus(place, options, retention, clock, running, inventory)
    if scheme == "kafka":
        from ullage.bus.kafka import KafkaBus  # noqa: PLC0415

        return KafkaBus(rest, data, retention, clock)
    raise ConfigError(
        f"bus.url has the scheme {quote_word(scheme)}: use sqlite:///FOLDER, spool:///FOLDER or kafka://HOST:PORT"
    )


def trust_of_bus(url: str, data: Path) -> Trust | None:
    """Whom a client of that bus believes and what it shows, None where there is no TLS;
    ConfigError for a wrong `url`.
    """
    scheme, _, rest = url.partition("://")
    if scheme != "kafka":
        return None
    from ullage.bus.kafka.address import trust_of  # noqa: PLC0415  a client is loaded only for the bus that is used

    return trust_of(rest, data)


@dataclass(frozen=True, slots=True)
class RoutedBus:
    """See the module."""

    captures: Bus
    rest: Bus

    def _of(self, topic: str) -> Bus:
        return self.captures if topic == CAPTURES else self.rest

    def publisher(self, topic: str) -> Publisher:
        """See `Bus.publisher`."""
        return self._of(topic).publisher(topic)

    def subscribe(self, topic: str, group: str) -> Subscription:
        """See `Bus.subscribe`."""
        return self._of(topic).subscribe(topic, group)

    def lag(self, topic: str, group: str) -> Lag:
        """See `Bus.lag`."""
        return self._of(topic).lag(topic, group)

    def places(self, topic: str, group: str) -> Mapping[int, PartitionPosition]:
        """See `Bus.places`."""
        return self._of(topic).places(topic, group)

    def check(self, topic: str) -> None:
        """See `Bus.check`."""
        self._of(topic).check(topic)

    def expire(self) -> int:
        """See `Bus.expire`; each of the two was opened with the retention of its own topics."""
        return self.captures.expire() + self.rest.expire()

    def close(self) -> None:
        """Close both."""
        self.captures.close()
        self.rest.close()
