"""What the disk holds after a loss of power: what was waited for, and of the rest some, or nothing,
or half a page.

Watched from below the product: each fsync, each name that comes or goes, each write in place, each
commit. A name is durable when its folder was synced, a file's content when the file was. Of a
database the write-ahead log is durable up to the last commit that waited for it
(`synchronous=full`), and whatever left the log for the file was waited for by SQLite itself.

Not simulated: a disk that lies about fsync, and a checkpoint under `synchronous=off`, which nothing
waits for.
"""

from __future__ import annotations

import os
import random
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

WAL, SHARED, PARTIAL = "-wal", "-shm", ".partial"
DATABASES = (".sqlite",)
"""SQLite itself waits for what it writes there."""
HEADER, FRAME_HEADER = 32, 24
"""Bytes of a write-ahead log before its first frame, and of a frame before its page."""
FULL = 2
"""`synchronous`: a commit waits for the disk."""


@dataclass
class Disk:
    """The disk of a night under `root`. `rng` says how much of what nobody waited for is there."""

    root: Path
    rng: random.Random
    _synced: set[int] = field(default_factory=set)
    """Inodes whose content is durable."""
    _lengths: dict[Path, int] = field(default_factory=dict)
    """How long a file was when it was synced."""
    _before: dict[Path, bytes] = field(default_factory=dict)
    """What was in a file before somebody wrote in it that did not sync it yet."""
    _names: list[tuple[Path, bytes | None]] = field(default_factory=list)
    """Names that came or went in folders that were not synced since, and what they named before."""
    _hollow: set[Path] = field(default_factory=set)
    """Names that were given to files before their content was durable."""
    _logs: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """How many bytes of a database's log hold commits, and how many of them are durable."""

    def synced(self, handle: int) -> None:
        """Make a file or folder durable as it is."""
        status, path = os.fstat(handle), _path_of(handle)
        if stat.S_ISREG(status.st_mode):
            self._synced.add(status.st_ino)
            if path.suffix not in DATABASES:
                self._lengths[path] = status.st_size
            self._before.pop(path, None)
            self._hollow.discard(path)
        else:
            self._names = [name for name in self._names if name[0].parent != path]

    def writes(self, handle: int) -> None:
        """Somebody is about to write in the middle of a file."""
        path = _path_of(handle)
        self._synced.discard(os.fstat(handle).st_ino)
        if path not in self._before:
            self._before[path] = path.read_bytes()

    def moves(self, source: Any, target: Any) -> None:
        """Record that a file is about to replace another one."""
        new, old = _absolute(source), _absolute(target)
        self.removes(target)
        self._hollow.discard(old)
        if new.stat().st_ino not in self._synced:
            self._hollow.add(old)
        length = self._lengths.pop(new, None)
        if length is not None and old.suffix not in DATABASES:
            self._lengths[old] = length

    def removes(self, name: Any) -> None:
        """Record that a name is about to go, or to be given to another file."""
        path = _absolute(name)
        if path.suffix != PARTIAL and path.parent.is_dir():
            self._names.append((path, path.read_bytes() if path.is_file() else None))
        for record in (self._lengths, self._before):
            record.pop(path, None)

    def committed(self, database: apsw.Connection, pages: int) -> None:
        """Record how many pages a database's log has after a commit."""
        path = Path(database.filename + WAL)
        end = HEADER + pages * (FRAME_HEADER + int(database.pragma("page_size")))
        last, durable = self._logs.get(path, (0, 0))
        waited = int(database.pragma("synchronous")) >= FULL
        # else it began anew: all is in the file
        self._logs[path] = end, end if waited else durable if end >= last else 0

    def checkpointed(self, database: apsw.Connection) -> None:
        """Make what is in a database's log durable in its file.

        SQLite has waited for the log before.
        """
        path = Path(database.filename + WAL)
        end, _ = self._logs[path]
        self._logs[path] = end, end

    def after_power(self, image: Path) -> list[str]:
        """Make at `image` what is there when the power comes back; says what was lost."""
        shutil.copytree(self.root, image)
        lost = [*self._lose_names(image), *self._lose_content(image), *self._lose_commits(image)]
        for record in (self._names, self._before, self._hollow, self._logs):
            record.clear()
        return lost

    def _lose_names(self, image: Path) -> Iterator[str]:
        """Undo every creation and removal without a sync since some moment."""
        for path, content in reversed(self._names[self.rng.randint(0, len(self._names)) :]):
            if (there := self._there(path, image)) is None:
                continue
            self._hollow.discard(path)
            self._lengths.pop(path, None)
            if content is None:
                there.unlink(missing_ok=True)
            else:
                there.write_bytes(content)
            yield f"the name {path.name}"

    def _lose_content(self, image: Path) -> Iterator[str]:
        """Undo what was written in files, or added to them, without a sync."""
        for path in sorted(self._hollow):
            if (there := self._there(path, image)) is not None and there.is_file():
                os.truncate(there, self.rng.randint(0, there.stat().st_size))
                yield f"content of {path.name}"
        for path, before in sorted(self._before.items()):
            there = self._there(path, image)
            if there is not None and there.is_file() and self.rng.random() < 0.5:
                there.write_bytes(before)
                yield f"what was written in {path.name}"
        for path, length in sorted(self._lengths.items()):
            there = self._there(path, image)
            if there is not None and there.is_file() and (size := there.stat().st_size) > length:
                os.truncate(there, self.rng.randint(length, size))
                yield f"the end of {path.name}"

    def _lose_commits(self, image: Path) -> Iterator[str]:
        """Cut each log behind what was synced, in the middle of a page or not."""
        for path, (end, durable) in sorted(self._logs.items()):
            there = self._there(path, image)
            if there is not None and there.is_file():
                os.truncate(
                    there, min(there.stat().st_size, size := self.rng.randint(durable, end))
                )
                if size < end:
                    yield f"{end - size} bytes of {path.name}"
        for shared in image.rglob(f"*{SHARED}"):
            shared.unlink()

    def _there(self, path: Path, image: Path) -> Path | None:
        there = image / path.relative_to(self.root) if path.is_relative_to(self.root) else None
        return there if there is not None and there.parent.is_dir() else None


def _path_of(handle: int) -> Path:
    return Path(f"/proc/self/fd/{handle}").readlink()


def _absolute(name: Any) -> Path:
    return Path(os.fsdecode(name)).absolute()
