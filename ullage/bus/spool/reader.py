"""Reads the streams of a spool topic in number order, whatever order they come in."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ullage import log
from ullage.bus import Record
from ullage.bus.spool.files import BAD, DamagedFileError, Position, SegmentHeader, file_name, read_file
from ullage.bus.spool.topic import Topic
from ullage.clock import Clock

POLL_BYTES = 64 * 2**20


@dataclass(slots=True)
class _Stream:
    """Where reading one stream stands."""

    id: str
    number: int
    offset: int
    ready: deque[Record] = field(default_factory=deque)
    read: deque[SegmentHeader] = field(default_factory=deque)
    """Files whose records were handed out and are not all committed."""
    waiting_since: float | None = None

    def skip_to(self, position: Position) -> int:
        """Go on at `position` if that is further on; returns the records between."""
        skipped = max(0, position.offset - self.offset)
        if skipped or position.number > self.number:
            self.number, self.offset = max(self.number, position.number), max(self.offset, position.offset)
            while self.ready and self.ready[0].offset < self.offset:
                self.ready.popleft()
            self.waiting_since = None
        return skipped


class SpoolReader:
    """What a subscription reads with; it counts what expired, what is missing and what was damaged."""

    def __init__(self, topic: Topic, group: str, committed: Mapping[str, Position], clock: Clock, wait: float) -> None:
        self._topic, self._group, self._clock, self._wait = topic, group, clock, wait
        self._streams = {stream: _Stream(stream, *position) for stream, position in committed.items()}
        self._present: dict[str, list[int]] = {}
        self._foreign: dict[str, float] = {}
        self._turn = ""
        self.expired = self.missing = self.damaged = 0

    def read(self, most: int) -> list[Record]:
        """The next records of one stream; the streams take turns."""
        self._look()
        for stream in self._in_turn():
            records: list[Record] = []
            size = 0
            while len(records) < most and size < POLL_BYTES and (stream.ready or self._load(stream)):
                records.append(stream.ready.popleft())
                size += len(records[-1].value)
                stream.offset = records[-1].offset + 1
            if records:
                self._turn = stream.id
                return records
        return []

    def behind(self, stream: str, offset: int) -> Position:
        """The position behind the record at `offset`, which was handed out."""
        read = self._streams[stream].read
        while read[0].end <= offset:
            read.popleft()
        finished = read[0].end == offset + 1
        return Position(read[0].number + finished, offset + 1)

    def _look(self) -> None:
        """See what is there, then what has expired: retention notes that before it removes, so nothing falls between."""
        self._present, foreign = self._topic.files()
        expired = self._topic.expired()
        for stream in self._present.keys() | expired.keys():
            known = self._streams.setdefault(stream, _Stream(stream, *Position()))
            self.expired += known.skip_to(expired.get(stream, Position()))
        now = self._clock.monotonic()
        self._foreign = {name: self._foreign.get(name, now) for name in foreign}
        for name, since in self._foreign.items():
            if now - since >= self._wait:
                self._set_aside(name)

    def _in_turn(self) -> Iterator[_Stream]:
        names = sorted(self._streams)
        place = bisect_right(names, self._turn)
        yield from (self._streams[name] for name in names[place:] + names[:place])

    def _load(self, stream: _Stream) -> bool:
        """Read files until there is a record to hand out; False when what is next is not there, or not whole, yet."""
        while not stream.ready:
            name = file_name(stream.number, stream.id)
            try:
                header, records = read_file(self._topic.path / name, self._topic.name)
            except FileNotFoundError:
                if not self._pass_gap(stream):
                    return False
            except DamagedFileError:
                if not self._waited(stream):
                    return False
                self._set_aside(name)
            else:
                stream.ready.extend(record for record in records if record.offset >= stream.offset)
                stream.read.append(header)
                stream.number, stream.waiting_since = stream.number + 1, None
        return True

    def _pass_gap(self, stream: _Stream) -> bool:
        """Whether reading goes on behind a missing number: a later one is there, and it was waited for long enough."""
        numbers = self._present.get(stream.id, [])
        place = bisect_right(numbers, stream.number)
        if place == len(numbers) or not self._waited(stream):
            return False
        gap = numbers[place] - stream.number
        self.missing += gap
        log.get("bus").error(
            "spool_gap", topic=self._topic.name, group=self._group, count=gap, path=file_name(stream.number, stream.id)
        )
        stream.number, stream.waiting_since = numbers[place], None
        return True

    def _waited(self, stream: _Stream) -> bool:
        """Whether the number that is next has been waited for as long as is allowed."""
        now = self._clock.monotonic()
        if stream.waiting_since is None:
            stream.waiting_since = now
        return now - stream.waiting_since >= self._wait

    def _set_aside(self, name: str) -> None:
        """Keep for a person to look at what stayed damaged or is none of ours."""
        path = self._topic.path / name
        path.rename(path.with_name(name + BAD))
        self.damaged += 1
        log.get("bus").error("spool_file_set_aside", topic=self._topic.name, group=self._group, path=name + BAD)
