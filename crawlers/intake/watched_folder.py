"""`ullage ingest --watch DIR`: files that are put into a folder are taken once, and moved away.

    DIR/loans.jsonl           is taken when it is whole
    DIR/taken/loans.jsonl     all of it is durable on the bus
    DIR/refused/loans.jsonl   a line of it was refused, or it cannot be read; the other lines are durable

A file is whole when it has not changed for `SETTLED_SECONDS` and ends with a newline; without one it waits for a minute. Whoever
renames a finished file into the folder waits for neither. Names that begin with a dot or end in `.part` or `.tmp` are nobody's
yet.
Killed between the bus and the move, a file is taken again, and its posts are the same posts.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ullage import log
from ullage.clock import Clock
from ullage.errors import ConfigError

LOOK_SECONDS, SETTLED_SECONDS, UNENDED_SECONDS = 0.5, 2.0, 60.0
TAKEN, REFUSED = "taken", "refused"
UNFINISHED = (".part", ".tmp", ".crdownload", "~")
Take = Callable[[Path], int]
"""Takes a file in; returns how many of its lines were refused when the others are durable."""


@dataclass(slots=True)
class WatchedFolder:
    """One folder. `remove` deletes what was taken instead of keeping it: leaked text does not stay in clear."""

    folder: Path
    clock: Clock
    remove: bool = False
    taken: int = 0
    refused: int = 0
    _seen: dict[Path, tuple[tuple[int, int], float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise ConfigError(f"{self.folder} is no folder: make it, or name the right one")

    def run(self, take: Take, stop: threading.Event) -> None:
        """Look at the folder until `stop`."""
        while not stop.is_set():
            self.turn(take)
            stop.wait(LOOK_SECONDS)

    def turn(self, take: Take) -> None:
        """Take what is whole now."""
        there = dict(self._files())
        for gone in self._seen.keys() - there.keys():
            del self._seen[gone]
        for path, mark in sorted(there.items()):
            if self._is_whole(path, mark):
                self._one(path, take)

    def _files(self) -> Iterator[tuple[Path, tuple[int, int]]]:
        for path in self.folder.iterdir():
            if not path.name.startswith(".") and not path.name.endswith(UNFINISHED):
                found = path.lstat()
                if stat.S_ISREG(found.st_mode):
                    yield path, (found.st_size, found.st_mtime_ns)

    def _is_whole(self, path: Path, mark: tuple[int, int]) -> bool:
        now = self.clock.monotonic()
        known = self._seen.get(path)
        if known is None or known[0] != mark:
            self._seen[path] = known = mark, now
        settled = max(now - known[1], self.clock.wall() - mark[1] / 1e9 if known[1] == now else 0.0)
        return settled >= (SETTLED_SECONDS if _ends(path) else UNENDED_SECONDS)

    def _one(self, path: Path, take: Take) -> None:
        """Take one file and move it away."""
        refused = take(path)
        self.taken += not refused
        self.refused += bool(refused)
        self._seen.pop(path, None)
        if self.remove and not refused:
            path.unlink()
        else:
            target = self.folder / (REFUSED if refused else TAKEN)
            target.mkdir(exist_ok=True, mode=0o700)
            path.replace(_free(target, path.name))
        log.get("ingest").info("file_taken", status=REFUSED if refused else TAKEN, count=refused)


def _ends(path: Path) -> bool:
    """Whether the file ends with a newline, or is empty."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        if not end:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _free(folder: Path, name: str) -> Path:
    """A name in `folder` that nobody has."""
    path, number = folder / name, 1
    while path.exists():
        path, number = folder / f"{name}.{number}", number + 1
    return path
