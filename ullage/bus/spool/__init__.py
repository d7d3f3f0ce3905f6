"""Implement the one-way bus: numbered, append-only files that anything can carry across an air gap.

    spool:///DIR?wait=60    relative to the data folder; four slashes for an absolute path
    DIR/captures/00000000000000000007-1f2e3d4c5b6a7988.spool
                      number and stream; the carrier moves these files, and only these
    DIR/streams/      the publisher's stream and next number per topic, expired positions, locks:
                      never moved
    DIR/positions/    the reader's committed positions, one file per topic and group

Nothing flows back. Files that arrive late, out of order, twice or incomplete are waited for or
dropped; a number that does not arrive within `wait` seconds is counted in `Subscription.missing`
and logged as `spool_gap`: its content is unknown to the inner zone. On the outer side `lag` is what
the carrier has not taken yet, so a carrier that copies must also delete. A publishing folder has
one stream per topic, shared by its processes; a reader accepts many streams, one per poll, each a
partition.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qsl

from ullage import log
from ullage.bus import Lag, Outgoing, PartitionPosition, Record, Retention, lag_of
from ullage.bus.spool.files import (
    PARTIAL,
    Position,
    file_name,
    frame,
    group_frames,
    pack,
    parse_name,
    replace_state,
    write_durably,
)
from ullage.bus.spool.topic import SpoolReader, Topic
from ullage.clock import Clock
from ullage.errors import ConfigError
from ullage.files.atomic_write import disk_errors, take_lock
from ullage.inventory import Inventory
from ullage.running_time import RunningTime

IDLE_SECONDS = 0.1
WAIT_SECONDS = 60.0
"""How long to wait for a missing or incomplete file: more than a carrier's round."""


class SpoolPublisher:
    """Appends records to a spool topic as completed files, and never uses a file number twice.

    1. The files are written as `.partial` and synced. 2. The stream's next number is stored
    durably. 3. The files get their names. So after a crash a `.partial` below the next number is
    complete and gets its name; one at or above it was never counted and is deleted.
    """

    def __init__(self, topic: Topic, clock: Clock, running: RunningTime) -> None:
        self._topic, self._clock, self._running = topic, clock, running
        self._known: tuple[str, Position] | None = None
        with disk_errors(self._topic.what):
            self._topic.make()

    def append(self, records: Sequence[Outgoing]) -> None:
        """Append all of `records`, durably and in completed files, while holding the topic's lock.

        If it fails before the next number is stored, none are appended; after that, those without a
        name get it at the next append. Raises RecordError `too_large` for a record that fits no
        file, and UnavailableError if the disk fails.
        """
        self._running.turn()
        now = self._clock.wall()
        groups = list(group_frames([frame(record, now) for record in records]))
        if not groups:
            return
        with disk_errors(self._topic.what), self._topic.lock():
            stream, position = self._next()
            # until all is done, the files must be examined again
            self._known, names = None, []
            for frames in groups:
                names.append(file_name(position.number, stream))
                write_durably(
                    self._topic.path / (names[-1] + PARTIAL), pack(stream, position, frames, now)
                )
                position = Position(position.number + 1, position.offset + len(frames))
            self._topic.sync()
            self._topic.write_stream(stream, position)
            for name in names:
                (self._topic.path / (name + PARTIAL)).rename(self._topic.path / name)
            self._topic.sync()
            self._known = stream, position

    def _next(self) -> tuple[str, Position]:
        """Return the stream and its next position.

        After a crash or another process's append, looks at the folder first.
        """
        state = self._topic.read_stream()
        if state is None or (state != self._known and not self._recover(*state)):
            state = secrets.token_hex(8), Position()
            log.get("bus").info(
                "spool_new_stream", topic=self._topic.name, partition=int(state[0], 16)
            )
        return state

    def _recover(self, stream: str, position: Position) -> bool:
        """Finish or delete what a crash left.

        False if the folder is ahead of the state, which is then an old copy.
        """
        for name in self._topic.names():
            parsed = parse_name(name.removesuffix(PARTIAL))
            if not parsed or parsed[0] != stream:
                continue
            path = self._topic.path / name
            if not name.endswith(PARTIAL):
                if parsed[1] >= position.number:
                    return False
            elif parsed[1] < position.number:
                path.rename(self._topic.path / name.removesuffix(PARTIAL))
            else:
                path.unlink()
        return True

    def spread(self, record: Outgoing) -> None:
        """See `Publisher.spread`; a publishing folder has one stream, which is the partition."""
        self.append([record])

    def close(self) -> None:
        """Do nothing: no resources are kept between appends."""


class SpoolSubscription:
    """The one live consumer of its group. `missing` and `damaged` count files since it started."""

    def __init__(self, folder: Path, topic: str, group: str, clock: Clock, wait: float) -> None:
        self._topic, self._group, self._clock = Topic(folder, topic), group, clock
        self._woken = threading.Event()
        with disk_errors(self._topic.what), contextlib.ExitStack() as undo:
            self._topic.make()
            lock = self._topic.positions(group).with_suffix(".lock")
            self._place = take_lock(lock, f"{topic}.{group} is being consumed")
            undo.callback(os.close, self._place)
            self._committed = self._topic.read_positions(group)
            undo.pop_all()
        self._reader = SpoolReader(self._topic, group, self._committed, clock, wait)

    def poll(self, max_records: int, timeout: float) -> list[Record]:
        """See `Subscription.poll`; all records of a poll are of one stream."""
        deadline = self._clock.monotonic() + timeout
        while True:
            with disk_errors(self._topic.what):
                records = self._reader.read(max_records)
            remaining = deadline - self._clock.monotonic()
            if records or remaining <= 0 or self._woken.wait(min(IDLE_SECONDS, remaining)):
                return records

    def commit(self, record: Record) -> None:
        """Store durably that `record` and all earlier records of its stream are done.

        Does nothing if this or a later record of the stream is committed already. `poll` must have
        returned the record. Raises UnavailableError if the disk fails.
        """
        stream = f"{record.partition:016x}"
        if record.offset + 1 <= self._committed.get(stream, Position()).offset:
            return
        committed = {**self._committed, stream: self._reader.position_after(stream, record.offset)}
        with disk_errors(self._topic.what):
            replace_state(self._topic.positions(self._group), committed)
        self._committed = committed

    def lag(self) -> Lag:
        """See `Subscription.lag`."""
        with disk_errors(self._topic.what):
            return lag_of(self._topic.places(self._committed).values(), self._clock.wall())

    @property
    def expired(self) -> int:
        """The number of records that expired unread since this consumer started."""
        return self._reader.expired

    @property
    def missing(self) -> int:
        """The number of records that did not arrive in time since this consumer started.

        Gaps in the numbering reveal them; their content is unknown.
        """
        return self._reader.missing

    @property
    def damaged(self) -> int:
        """The number of files that were renamed to `.bad` since this consumer started."""
        return self._reader.damaged

    def close(self) -> None:
        """Leave the group."""
        self._woken.set()
        os.close(self._place)


class SpoolBus:
    """See the module."""

    def __init__(
        self,
        folder: Path,
        options: str,
        retention: Mapping[str, Retention],
        clock: Clock,
        running: RunningTime,
        inventory: Inventory | None = None,
    ) -> None:
        self._folder, self._retention, self._clock, self._running = (
            folder,
            retention,
            clock,
            running,
        )
        self._inventory = inventory
        self._wait = _parse_wait(options)

    def publisher(self, topic: str) -> SpoolPublisher:
        """See `Bus.publisher`."""
        return SpoolPublisher(
            Topic(self._folder, topic, self._inventory), self._clock, self._running
        )

    def subscribe(self, topic: str, group: str) -> SpoolSubscription:
        """See `Bus.subscribe`."""
        return SpoolSubscription(self._folder, topic, group, self._clock, self._wait)

    def lag(self, topic: str, group: str) -> Lag:
        """Return how many records `group` has not confirmed, and how old they are.

        On the outer side, these are the records that were not carried away.
        """
        return lag_of(self.places(topic, group).values(), self._clock.wall())

    def places(self, topic: str, group: str) -> dict[int, PartitionPosition]:
        """See `Bus.places`; on the outer side, carried files count as processed."""
        opened = Topic(self._folder, topic)
        with disk_errors(opened.what):
            return opened.places(opened.read_positions(group))

    def check(self, topic: str) -> None:
        """See `Bus.check`."""
        opened = Topic(self._folder, topic)
        with disk_errors(opened.what):
            opened.check()

    def expire(self) -> int:
        """Delete files of each topic by age and by size, and return the number of records in them.

        Topics without a folder are skipped. Raises UnavailableError if the disk fails.
        """
        gone, reading = 0, self._running.read()
        for name, keep in self._retention.items():
            topic = Topic(self._folder, name)
            with disk_errors(topic.what):
                if topic.path.is_dir():
                    gone += topic.expire(reading.older(keep.seconds), keep.max_bytes)
        return gone

    def close(self) -> None:
        """Do nothing: no resources are kept between calls."""


def _parse_wait(options: str) -> float:
    """Return the `wait` of a URL's options.

    Raises ConfigError for any other option.
    """
    parsed = dict(parse_qsl(options, keep_blank_values=True))
    try:
        wait = float(parsed.pop("wait", WAIT_SECONDS))
    except ValueError:
        wait = -1.0
    if parsed or not 0 <= wait < float("inf"):
        raise ConfigError(
            "bus.url: the only option for a spool is ?wait=SECONDS, how long to wait for"
            " a missing file: remove the others"
        )
    return wait
