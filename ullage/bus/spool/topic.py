"""One topic of a spool folder: its files, its state files, its lock, where its readers stand and its retention."""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ullage import log
from ullage.bus import PartitionPosition
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
from ullage.errors import CorruptError
from ullage.files.atomic_write import sync_folder
from ullage.files.lock import turn
from ullage.running_time import Old


@dataclass(frozen=True, slots=True)
class _Old:
    """A file as retention sees it; one whose head is damaged has the age of its copy and counts no record."""

    timestamp: float
    stream: str
    number: int
    size: int
    records: int
    next_offset: int


class Topic:
    """See the module."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name, self.what, self.path = name, f"spool topic {name}", folder / name
        self._streams, self._positions = folder / "streams", folder / "positions"

    def make(self) -> None:
        """Create the folders; a reader and a publisher both may be first."""
        for folder in (self.path, self._streams):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        sync_folder(self.path.parent)

    def sync(self) -> None:
        """Make the names of files durable."""
        sync_folder(self.path)

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """One process at a time appends or expires."""
        return turn(self._streams / f"{self.name}.lock")

    def read_stream(self) -> tuple[str, Position] | None:
        """The stream that this folder publishes and where it goes on.

        None when there is none, when the file is damaged, or when the folder is a copy of another one: a new stream is always
        safe, going on with a doubtful one is not. CorruptError when it is a newer version's, whose stream goes on.
        """
        try:
            found = read_publishing(self._streams / f"{self.name}.json")
        except NewerStateError:
            raise
        except CorruptError:
            log.get("bus").error("spool_state_damaged", topic=self.name)
            return None
        if not found or found.folder != self.path.stat().st_ino:
            return None
        return found.stream, Position(found.number, found.offset)

    def write_stream(self, stream: str, position: Position) -> None:
        """Make it durable that every number below `position` is spent."""
        found = Publishing(stream, *position, self.path.stat().st_ino)
        replace_state(self._streams / f"{self.name}.json", found._asdict())

    def positions(self, group: str) -> Path:
        """The file of a group's positions."""
        return self._positions / f"{self.name}.{group}.json"

    def read_positions(self, group: str) -> dict[str, Position]:
        """A group's positions by stream."""
        return read_positions(self.positions(group))

    def expired(self) -> dict[str, Position]:
        """By stream, what follows the last file that retention removed here."""
        return read_positions(self._streams / f"{self.name}.expired.json")

    def names(self) -> list[str]:
        """Everything that lies there; nothing while there is no folder."""
        try:
            with os.scandir(self.path) as entries:
                return [entry.name for entry in entries]
        except FileNotFoundError:
            return []

    def files(self) -> tuple[dict[str, list[int]], list[str]]:
        """Numbers of completed files by stream, in order, and the names of files that are none of ours."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        foreign = []
        for name in self.names():
            if parsed := parse_name(name):
                found[parsed[0]].append(parsed[1])
            elif not name.startswith(".") and not name.endswith((PARTIAL, BAD)):  # rsync copies under a name with a dot
                foreign.append(name)
        return {stream: sorted(numbers) for stream, numbers in sorted(found.items())}, foreign

    def places(self, committed: Mapping[str, Position]) -> dict[int, PartitionPosition]:
        """By stream, where a reader stands that has `committed`.

        On the outer side nobody commits: what the carrier has taken is dealt with there, and what lies there is not.
        """
        expired, present, own = self.expired(), self.files()[0], self.read_stream()
        ends = {own[0]: own[1].offset} if own else {}
        streams = present.keys() | expired.keys() | committed.keys() | ends.keys()
        return {
            int(stream, 16): self._place(
                stream, present.get(stream, []), committed.get(stream, Position()), expired.get(stream, Position()), ends
            )
            for stream in sorted(streams)
        }

    def _place(
        self, stream: str, numbers: Sequence[int], committed: Position, expired: Position, ends: Mapping[str, int]
    ) -> PartitionPosition:
        waiting = numbers[bisect_left(numbers, max(committed, expired).number) :]
        first = next(filter(None, (self._header(stream, n) for n in waiting)), None)
        last = next(filter(None, (self._header(stream, n) for n in reversed(waiting))), None)
        if first and last:
            return PartitionPosition(expired.offset, max(committed.offset, first.first), last.end, first.timestamp)
        end = max(committed.offset, expired.offset, ends.get(stream, 0))
        return PartitionPosition(expired.offset, committed.offset or end, end, None)

    def _header(self, stream: str, number: int) -> SegmentHeader | None:
        try:
            return read_header(self.path / file_name(number, stream))
        except (DamagedFileError, FileNotFoundError):
            return None

    def check(self) -> None:
        """CorruptError unless every completed file and every state file is whole."""
        for stream, numbers in self.files()[0].items():
            for number in numbers:
                with contextlib.suppress(FileNotFoundError):  # carried away meanwhile
                    read_file(self.path / file_name(number, stream), self.name)
        self.expired()
        read_publishing(self._streams / f"{self.name}.json")
        for path in self._positions.glob(f"{self.name}.*.json"):
            read_positions(path)

    def expire(self, old: Old, max_bytes: int) -> int:
        """Remove what is `old` or too much; what goes is noted durably first, so a reader can tell it from a gap."""
        with self.locked():
            files = list(self._files_by_age())
            too_much, going, staying = sum(file.size for file in files) - max_bytes, list[_Old](), set[str]()
            for file in files:
                if too_much <= 0 and file.stream not in staying and file.timestamp not in old:
                    staying.add(file.stream)  # and all behind it, of which a clock that was set may say otherwise
                if too_much > 0 or file.stream not in staying:
                    going.append(file)
                    too_much -= file.size
            if going:
                noted = self.expired()
                for file in going:
                    noted[file.stream] = max(noted.get(file.stream, Position()), Position(file.number + 1, file.next_offset))
                replace_state(self._streams / f"{self.name}.expired.json", noted)
            for file in going:
                (self.path / file_name(file.number, file.stream)).unlink(missing_ok=True)
            self._remove_leftovers(old)
        return sum(file.records for file in going)

    def _files_by_age(self) -> Iterator[_Old]:
        """Completed files, the oldest first; of a stream in its order, though a clock was set meanwhile."""
        found = list[tuple[float, _Old]]()
        for stream, numbers in self.files()[0].items():
            latest, offset = 0.0, 0
            for number in numbers:
                try:
                    status = (self.path / file_name(number, stream)).lstat()
                except FileNotFoundError:  # carried away meanwhile
                    continue
                header = self._header(stream, number)
                timestamp = header.timestamp if header else status.st_mtime
                latest = max(latest, timestamp)
                offset = header.end if header else offset
                found.append((latest, _Old(timestamp, stream, number, status.st_size, header.count if header else 0, offset)))
        yield from (file for _, file in sorted(found, key=lambda one: (one[0], one[1].stream, one[1].number)))

    def _remove_leftovers(self, old: Old) -> None:
        """Bad and unfinished files have a retention too."""
        for path in self.path.iterdir():
            if path.name.endswith((PARTIAL, BAD)) and path.lstat().st_mtime in old:
                path.unlink(missing_ok=True)
