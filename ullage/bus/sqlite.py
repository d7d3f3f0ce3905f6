"""Implement the embedded bus: one SQLite file per topic, one partition, one consumer per group.

An idle consumer polls every `IDLE_SECONDS`, which costs microseconds. Being the consumer means an
exclusive `flock`, which the kernel releases with the process, however it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw

from ullage.bus import Lag, Outgoing, PartitionPosition, Record, Retention, lag_of
from ullage.clock import Clock
from ullage.files.atomic_write import take_lock
from ullage.files.database import (
    SCHEMAS,
    PartList,
    check_database,
    damage_error,
    empty_log,
    open_database,
    sqlite_errors,
    transaction,
)
from ullage.running_time import ClockReading, Old, RunningTime

IDLE_SECONDS = 0.05
POLL_BYTES = 64 * 1024 * 1024
SCHEMA = """
create table records (
    offset integer primary key autoincrement,
    timestamp real not null,
    key text not null,
    headers text not null,
    value blob not null
) strict;
create index records_by_time on records (timestamp);
create table positions (name text primary key, next integer not null) strict;
"""
BOUNDS = """
select
    (select min(offset) from records),
    coalesce((select seq from sqlite_sequence where name = 'records'), 0) + 1
"""
PAGE = (
    "select offset, timestamp, key, headers, value from records where offset >= ? order by offset"
    " limit ?"
)
COMMIT = """
insert into positions (name, next) values (?, ?)
on conflict (name) do update set next = max(next, excluded.next)
"""
OLDEST = "select timestamp from records where offset >= ? order by offset limit 1"
EVERYTHING_READ = "select coalesce(min(next), 0) from positions"
TOO_OLD = """
delete from records where offset < coalesce(
    (select offset from records where not {old} order by offset limit 1), 9e18
)
"""
TOO_MUCH = """
delete from records where offset <= (
    select max(offset) from (
        select offset, sum(length(value)) over (order by offset desc) as total from records
    ) where total > ?
)
"""


class _Topic:
    """The file of one topic, for publisher and consumer."""

    def __init__(self, folder: Path, name: str, inventory: PartList | None = None) -> None:
        self.name, self.path = name, folder / f"{name}.sqlite"
        self.database = open_database(self.path, SCHEMA, SCHEMAS["bus"], inventory=inventory)

    def bounds(self) -> tuple[int, int]:
        """Return the first stored offset and the next to be assigned, at one moment."""
        first, next_offset = next(self.database.execute(BOUNDS))
        return (next_offset if first is None else first), next_offset

    def record(self, offset: Any, timestamp: Any, key: Any, headers: Any, value: Any) -> Record:
        """Return the record in a row of the table. Raises CorruptError if a column is damaged."""
        try:
            parsed: Any = json.loads(headers) if isinstance(headers, str) else None
        except ValueError:
            parsed = None
        sound = (
            isinstance(parsed, dict)
            and isinstance(key, str)
            and isinstance(value, bytes)
            and isinstance(timestamp, float)
        )
        if not sound:
            raise damage_error(self.path, f"has a damaged record (offset {offset})")
        return Record(self.name, 0, offset, timestamp, key, parsed, value)

    def position(self, group: str) -> int:
        """Return the offset that `group` reads next; a new group begins with the first."""
        return self.database.execute("select next from positions where name=?", (group,)).get or 1

    def place(self, group: str) -> PartitionPosition:
        """Return the position of `group`.

        Raises CorruptError if the file is damaged, UnavailableError if it cannot be read.
        """
        with sqlite_errors(self.path):
            first, end = self.bounds()
            position = self.position(group)
            oldest = self.database.execute(OLDEST, (max(first, position),)).get
        return PartitionPosition(first, position, end, oldest)


class SqlitePublisher:
    """Appends in one transaction per call."""

    def __init__(self, topic: _Topic, clock: Clock, running: RunningTime) -> None:
        self._topic, self._clock, self._running = topic, clock, running

    def append(self, records: Sequence[Outgoing]) -> None:
        """Append all of `records` or none; durable on return (WAL, synchronous=FULL).

        Raises CorruptError if the file is damaged, UnavailableError if it cannot be written.
        """
        self._running.turn()
        now = self._clock.wall()
        rows = [(now, r.key, json.dumps(dict(r.headers)), r.value) for r in records]
        with sqlite_errors(self._topic.path), transaction(self._topic.database):
            self._topic.database.executemany(
                "insert into records (timestamp, key, headers, value) values (?, ?, ?, ?)", rows
            )

    def spread(self, record: Outgoing) -> None:
        """See `Publisher.spread`; there is one partition."""
        self.append([record])

    def close(self) -> None:
        """Close the file."""
        self._topic.database.close()


class SqliteSubscription:
    """The one live consumer of its group."""

    missing = damaged = 0

    def __init__(
        self, folder: Path, topic: str, group: str, clock: Clock, inventory: PartList | None
    ) -> None:
        self._group, self._clock = group, clock
        self._place = take_lock(
            folder / f"{topic}.{group}.lock", f"{topic}.{group} is being consumed"
        )
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, self._place)
            self._topic = _Topic(folder, topic, inventory)
            with sqlite_errors(self._topic.path):
                self._next = self._topic.position(group)
            undo.pop_all()
        self._woken = threading.Event()
        self.expired = 0

    def poll(self, max_records: int, timeout: float) -> list[Record]:
        """See `Subscription.poll`."""
        deadline = self._clock.monotonic() + timeout
        while not (records := self._read(max_records)):
            remaining = deadline - self._clock.monotonic()
            if remaining <= 0 or self._woken.wait(min(IDLE_SECONDS, remaining)):
                break
        return records

    def _read(self, max_records: int) -> list[Record]:
        records: list[Record] = []
        size = 0
        with sqlite_errors(self._topic.path):
            self._skip_to(self._topic.bounds()[0])
            for row in self._topic.database.execute(PAGE, (self._next, max_records)):
                records.append(self._topic.record(*row))
                size += len(records[-1].value)
                if size >= POLL_BYTES:
                    break
        if records:
            self._skip_to(records[0].offset)
            self._next = records[-1].offset + 1
        return records

    def _skip_to(self, offset: int) -> None:
        """Skip to `offset`; offsets have no gaps, so the records between have expired."""
        if offset > self._next:
            self.expired += offset - self._next
            self._next = offset

    def commit(self, record: Record) -> None:
        """See `Subscription.commit`."""
        with sqlite_errors(self._topic.path), transaction(self._topic.database):
            self._topic.database.execute(COMMIT, (self._group, record.offset + 1))

    def lag(self) -> Lag:
        """See `Subscription.lag`."""
        return lag_of([self._topic.place(self._group)], self._clock.wall())

    def close(self) -> None:
        """Leave the group."""
        self._woken.set()
        self._topic.database.close()
        os.close(self._place)


class SqliteBus:
    """See the module."""

    def __init__(
        self,
        folder: Path,
        retention: Mapping[str, Retention],
        clock: Clock,
        running: RunningTime,
        inventory: PartList | None = None,
    ) -> None:
        self._folder, self._retention, self._clock, self._running = (
            folder,
            retention,
            clock,
            running,
        )
        self._inventory = inventory
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def publisher(self, topic: str) -> SqlitePublisher:
        """See `Bus.publisher`."""
        return SqlitePublisher(self._topic(topic), self._clock, self._running)

    def subscribe(self, topic: str, group: str) -> SqliteSubscription:
        """See `Bus.subscribe`."""
        return SqliteSubscription(self._folder, topic, group, self._clock, self._inventory)

    def lag(self, topic: str, group: str) -> Lag:
        """See `Bus.lag`."""
        return lag_of(self.places(topic, group).values(), self._clock.wall())

    def places(self, topic: str, group: str) -> dict[int, PartitionPosition]:
        """See `Bus.places`; there is one partition."""
        opened = self._topic(topic)
        try:
            return {0: opened.place(group)}
        finally:
            opened.database.close()

    def check(self, topic: str) -> None:
        """See `Bus.check`."""
        opened = self._topic(topic)
        try:
            check_database(opened.database, opened.path)
        finally:
            opened.database.close()

    def expire(self) -> int:
        """Delete by age, then by size, oldest first.

        Deleted pages are overwritten (`secure_delete`).
        """
        reading = self._running.read()
        return sum(self._expire(name, keep, reading) for name, keep in self._retention.items())

    def _expire(self, name: str, keep: Retention, reading: ClockReading) -> int:
        topic = self._topic(name)
        try:
            with sqlite_errors(topic.path):
                with transaction(topic.database):
                    before = topic.database.total_changes()
                    _delete_old(
                        topic.database,
                        reading.older(keep.seconds),
                        reading.older(keep.seconds, witnessed=True),
                    )
                    topic.database.execute(TOO_MUCH, (keep.max_bytes,))
                    gone = topic.database.total_changes() - before
                empty_log(topic.database)
                return gone
        finally:
            topic.database.close()

    def _topic(self, name: str) -> _Topic:
        return _Topic(self._folder, name, self._inventory)

    def close(self) -> None:
        """Do nothing: no resources are kept between calls."""


def _delete_old(database: apsw.Connection, old: Old, unread_old: Old) -> None:
    """Delete the first records up to one that must stay.

    Unread records must be old by more than their timestamp.
    """
    read = database.execute(EVERYTHING_READ).get
    of_read, of_unread = _to_condition(old), _to_condition(unread_old)
    condition = f"case when offset < {int(read)} then {of_read} else {of_unread} end"
    database.execute(TOO_OLD.format(old=condition))


def _to_condition(old: Old) -> str:
    """Return the SQL condition that a record's time is within `old`."""
    return (
        " or ".join(
            f"timestamp >= {max(begin, -1e300)!r} and timestamp < {end!r}"
            for begin, end in old.ranges
        )
        or "0"
    )
