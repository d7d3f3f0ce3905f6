"""Manage files, positions and retention of one topic, and read its streams in number order."""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ullage import log
from ullage.bus import PartitionPosition, Record
from ullage.bus.spool.files import (
    BAD,
    PARTIAL,
    DamagedFileError,
    NewerStateError,
    Position,
    Publishing,
    SegmentHeader,
    file_name,
    parse_name,
    read_file,
    read_header,
    read_positions,
    read_publishing,
    replace_state,
)
from ullage.clock import Clock
from ullage.errors import CorruptError
from ullage.files.atomic_write import sync_folder, wait_for_lock
from ullage.inventory import Inventory
from ullage.running_time import Old


@dataclass(frozen=True, slots=True)
class _Old:
    """A file for retention.

    If its header is damaged, it has the age of its copy and counts no records.
    """

    timestamp: float
    stream: str
    number: int
    size: int
    records: int
    next_offset: int


class Topic:
    """See the module."""

    def __init__(self, folder: Path, name: str, inventory: Inventory | None = None) -> None:
        self.name, self.what, self.path = name, f"spool topic {name}", folder / name
        self._inventory = inventory
        self._streams, self._positions = folder / "streams", folder / "positions"

    def make(self) -> None:
        """Create the topic's folder and the folder of streams, with mode 0700, unless they exist.

        The name of the topic's folder is made durable.
        """
        for folder in (self.path, self._streams):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        sync_folder(self.path.parent)

    def sync(self) -> None:
        """Make created, renamed and removed names in the topic's folder durable."""
        sync_folder(self.path)

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Return a context that holds this topic's lock between processes.

        Entering waits until the lock is free. Hold it while appending; `expire` takes it itself.
        """
        return wait_for_lock(self._streams / f"{self.name}.lock")

    def read_stream(self) -> tuple[str, Position] | None:
        """Return the stream that this folder publishes, and its next position.

        None if there is none, if the file is damaged, or if the folder is a copy of another one: a
        new stream is always safe, continuing a doubtful one is not. Raises CorruptError if a newer
        version wrote the file, whose stream continues.
        """
        try:
            state = read_publishing(self._streams / f"{self.name}.json")
        except NewerStateError:
            raise
        except CorruptError:
            log.get("bus").error("spool_state_damaged", topic=self.name)
            return None
        if not state or state.folder != self.path.stat().st_ino:
            return None
        return state.stream, Position(state.number, state.offset)

    def write_stream(self, stream: str, position: Position) -> None:
        """Store the stream that this folder publishes and its next `position`, durably.

        The state file also holds the inode of the topic's folder, by which `read_stream` detects a
        copy. It replaces the previous state, so no number below `position.number` is given to
        another file. A new state file is entered in the inventory, if there is one.
        """
        state, path = (
            Publishing(stream, *position, self.path.stat().st_ino),
            self._streams / f"{self.name}.json",
        )
        is_new = not path.exists()
        replace_state(path, state._asdict())
        if is_new and self._inventory is not None:
            self._inventory.enter(path)

    def positions(self, group: str) -> Path:
        """Return the path of the file with the committed positions of `group`; it may not exist."""
        return self._positions / f"{self.name}.{group}.json"

    def read_positions(self, group: str) -> dict[str, Position]:
        """Return the committed position of `group` by stream (16 hexadecimal digits).

        A stream without a commit is left out; {} if the file does not exist. Raises CorruptError if
        the file is damaged or from a newer version.
        """
        return read_positions(self.positions(group))

    def read_expired(self) -> dict[str, Position]:
        """Return, by stream, the position after the last file that `expire` deleted in this folder.

        Streams of which nothing expired are left out. Raises CorruptError if the file is damaged or
        from a newer version.
        """
        return read_positions(self._streams / f"{self.name}.expired.json")

    def names(self) -> list[str]:
        """Return the names of all files in the topic's folder, unordered; [] without a folder."""
        try:
            with os.scandir(self.path) as entries:
                return [entry.name for entry in entries]
        except FileNotFoundError:
            return []

    def files(self) -> tuple[dict[str, list[int]], list[str]]:
        """Return the numbers of completed files by stream, ascending, and the foreign names.

        A foreign name is not that of a record file, has no leading dot and does not end in
        `.partial` or `.bad`.
        """
        numbers_by_stream: defaultdict[str, list[int]] = defaultdict(list)
        foreign = []
        for name in self.names():
            if parsed := parse_name(name):
                numbers_by_stream[parsed[0]].append(parsed[1])
            # rsync copies under a name with a dot
            elif not name.startswith(".") and not name.endswith((PARTIAL, BAD)):
                foreign.append(name)
        return {
            stream: sorted(numbers) for stream, numbers in sorted(numbers_by_stream.items())
        }, foreign

    def places(self, committed: Mapping[str, Position]) -> dict[int, PartitionPosition]:
        """Return the position of a reader with `committed` positions, by partition.

        The partition is the stream's hexadecimal id as a number. All streams are included that have
        a file, an expired or committed position, or are published here. On the outer side nobody
        commits: files that the carrier took count as processed there. Raises CorruptError if the
        file of expired positions is damaged, or if a newer version wrote a state file.
        """
        expired, present, published = self.read_expired(), self.files()[0], self.read_stream()
        ends = {published[0]: published[1].offset} if published else {}
        streams = present.keys() | expired.keys() | committed.keys() | ends.keys()
        return {
            int(stream, 16): self._find_position(
                stream,
                present.get(stream, []),
                committed.get(stream, Position()),
                expired.get(stream, Position()),
                ends,
            )
            for stream in sorted(streams)
        }

    def _find_position(
        self,
        stream: str,
        numbers: Sequence[int],
        committed: Position,
        expired: Position,
        ends: Mapping[str, int],
    ) -> PartitionPosition:
        waiting = numbers[bisect_left(numbers, max(committed, expired).number) :]
        first = next(filter(None, (self._read_header(stream, n) for n in waiting)), None)
        last = next(filter(None, (self._read_header(stream, n) for n in reversed(waiting))), None)
        if first and last:
            return PartitionPosition(
                expired.offset, max(committed.offset, first.first), last.end, first.timestamp
            )
        end = max(committed.offset, expired.offset, ends.get(stream, 0))
        return PartitionPosition(expired.offset, committed.offset or end, end, None)

    def _read_header(self, stream: str, number: int) -> SegmentHeader | None:
        try:
            return read_header(self.path / file_name(number, stream))
        except (DamagedFileError, FileNotFoundError):
            return None

    def check(self) -> None:
        """Raise CorruptError unless all completed files and state files of the topic are intact.

        Reads each record file whole; a file that is carried away meanwhile is passed over.
        """
        for stream, numbers in self.files()[0].items():
            for number in numbers:
                with contextlib.suppress(FileNotFoundError):  # carried away meanwhile
                    read_file(self.path / file_name(number, stream), self.name)
        self.read_expired()
        read_publishing(self._streams / f"{self.name}.json")
        for path in self._positions.glob(f"{self.name}.*.json"):
            read_positions(path)

    def expire(self, old: Old, max_bytes: int) -> int:
        """Delete completed files by age, then by size; return the number of records in them.

        Files go that are `old`, or that exceed `max_bytes` in total. The oldest are deleted first,
        until the rest fits. A stream keeps all files behind the first one that is not `old`. A file
        with a damaged header counts 0 records. The deletion is recorded durably first, so that a
        reader can tell it from a gap. Old `.partial` and `.bad` files are removed too.
        """
        with self.lock():
            files = list(self._files_by_age())
            too_much, going, staying = (
                sum(file.size for file in files) - max_bytes,
                list[_Old](),
                set[str](),
            )
            for file in files:
                if too_much <= 0 and file.stream not in staying and file.timestamp not in old:
                    # and all later ones, whose age may be wrong after the clock was set
                    staying.add(file.stream)
                if too_much > 0 or file.stream not in staying:
                    going.append(file)
                    too_much -= file.size
            if going:
                noted = self.read_expired()
                for file in going:
                    noted[file.stream] = max(
                        noted.get(file.stream, Position()),
                        Position(file.number + 1, file.next_offset),
                    )
                replace_state(self._streams / f"{self.name}.expired.json", noted)
            for file in going:
                (self.path / file_name(file.number, file.stream)).unlink(missing_ok=True)
            self._remove_leftovers(old)
        return sum(file.records for file in going)

    def _files_by_age(self) -> Iterator[_Old]:
        """Yield completed files, oldest first; a stream stays in its order if a clock was set."""
        entries = list[tuple[float, _Old]]()
        for stream, numbers in self.files()[0].items():
            latest, offset = 0.0, 0
            for number in numbers:
                try:
                    status = (self.path / file_name(number, stream)).lstat()
                except FileNotFoundError:  # carried away meanwhile
                    continue
                header = self._read_header(stream, number)
                timestamp = header.timestamp if header else status.st_mtime
                latest = max(latest, timestamp)
                offset = header.end if header else offset
                entries.append(
                    (
                        latest,
                        _Old(
                            timestamp,
                            stream,
                            number,
                            status.st_size,
                            header.count if header else 0,
                            offset,
                        ),
                    )
                )
        yield from (
            file
            for _, file in sorted(entries, key=lambda one: (one[0], one[1].stream, one[1].number))
        )

    def _remove_leftovers(self, old: Old) -> None:
        """Delete bad and unfinished files after their retention."""
        for path in self.path.iterdir():
            if path.name.endswith((PARTIAL, BAD)) and path.lstat().st_mtime in old:
                path.unlink(missing_ok=True)


POLL_BYTES = 64 * 2**20


@dataclass(slots=True)
class _Stream:
    """Reading position of one stream."""

    id: str
    number: int
    offset: int
    ready: deque[Record] = field(default_factory=deque)
    read: deque[SegmentHeader] = field(default_factory=deque)
    """Files whose records were returned and are not all committed."""
    waiting_since: float | None = None

    def skip_to(self, position: Position) -> int:
        """Continue at `position` if that is later; return the number of records between."""
        skipped = max(0, position.offset - self.offset)
        if skipped or position.number > self.number:
            self.number, self.offset = (
                max(self.number, position.number),
                max(self.offset, position.offset),
            )
            while self.ready and self.ready[0].offset < self.offset:
                self.ready.popleft()
            self.waiting_since = None
        return skipped


class SpoolReader:
    """Reads for a subscription; counts expired records, and missing and damaged files."""

    def __init__(
        self, topic: Topic, group: str, committed: Mapping[str, Position], clock: Clock, wait: float
    ) -> None:
        self._topic, self._group, self._clock, self._wait = topic, group, clock, wait
        self._streams = {
            stream: _Stream(stream, *position) for stream, position in committed.items()
        }
        self._present: dict[str, list[int]] = {}
        self._foreign: dict[str, float] = {}
        self._turn = ""
        self.expired = self.missing = self.damaged = 0

    def read(self, most: int) -> list[Record]:
        """Return at most `most` next records, all of one stream; [] if no stream has one now.

        The stream after that of the previous call is tried first. The last record may take the
        values beyond POLL_BYTES. Counts what expired, is missing or damaged, and sets damaged and
        foreign files aside when the waiting time is over.
        """
        self._refresh()
        for stream in self._iterate_streams():
            records: list[Record] = []
            size = 0
            while (
                len(records) < most and size < POLL_BYTES and (stream.ready or self._load(stream))
            ):
                records.append(stream.ready.popleft())
                size += len(records[-1].value)
                stream.offset = records[-1].offset + 1
            if records:
                self._turn = stream.id
                return records
        return []

    def position_after(self, stream: str, offset: int) -> Position:
        """Return the position to commit after the record at `offset` of `stream`.

        `read` must have returned the record, and no later record may be committed already: headers
        of files that end before the record are dropped. The position's number is that of the file
        which holds the record, or the next number after the last record of a file.
        """
        read = self._streams[stream].read
        while read[0].end <= offset:
            read.popleft()
        finished = read[0].end == offset + 1
        return Position(read[0].number + finished, offset + 1)

    def _refresh(self) -> None:
        """List files, then expired positions.

        These are recorded before deletion, so nothing is missed.
        """
        self._present, foreign = self._topic.files()
        expired = self._topic.read_expired()
        for stream in self._present.keys() | expired.keys():
            state = self._streams.setdefault(stream, _Stream(stream, *Position()))
            self.expired += state.skip_to(expired.get(stream, Position()))
        now = self._clock.monotonic()
        self._foreign = {name: self._foreign.get(name, now) for name in foreign}
        for name, since in self._foreign.items():
            if now - since >= self._wait:
                self._set_aside(name)

    def _iterate_streams(self) -> Iterator[_Stream]:
        names = sorted(self._streams)
        place = bisect_right(names, self._turn)
        yield from (self._streams[name] for name in names[place:] + names[:place])

    def _load(self, stream: _Stream) -> bool:
        """Read files until there is a record to return.

        False if the next file is not there, or incomplete, yet.
        """
        while not stream.ready:
            name = file_name(stream.number, stream.id)
            try:
                header, records = read_file(self._topic.path / name, self._topic.name)
            except FileNotFoundError:
                if not self._pass_gap(stream):
                    return False
            except DamagedFileError:
                if not self._is_wait_over(stream):
                    return False
                self._set_aside(name)
            else:
                stream.ready.extend(record for record in records if record.offset >= stream.offset)
                stream.read.append(header)
                stream.number, stream.waiting_since = stream.number + 1, None
        return True

    def _pass_gap(self, stream: _Stream) -> bool:
        """Skip a missing number if a later one exists and the wait is over.

        Returns whether it was skipped.
        """
        numbers = self._present.get(stream.id, [])
        place = bisect_right(numbers, stream.number)
        if place == len(numbers) or not self._is_wait_over(stream):
            return False
        gap = numbers[place] - stream.number
        self.missing += gap
        log.get("bus").error(
            "spool_gap",
            topic=self._topic.name,
            group=self._group,
            count=gap,
            path=file_name(stream.number, stream.id),
        )
        stream.number, stream.waiting_since = numbers[place], None
        return True

    def _is_wait_over(self, stream: _Stream) -> bool:
        """Return whether the next number has been waited for as long as allowed."""
        now = self._clock.monotonic()
        if stream.waiting_since is None:
            stream.waiting_since = now
        return now - stream.waiting_since >= self._wait

    def _set_aside(self, name: str) -> None:
        """Rename a damaged or foreign file, so that a person can look at it."""
        path = self._topic.path / name
        path.rename(path.with_name(name + BAD))
        self.damaged += 1
        log.get("bus").error(
            "spool_file_set_aside", topic=self._topic.name, group=self._group, path=name + BAD
        )
