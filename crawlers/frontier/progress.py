"""How far match had read the bus, and which pages to read again when captures expired unread.

Shares the frontier's connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from ullage.clock import Clock
from ullage.files.database import sqlite_errors, transaction


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    """How far match had read a partition of the bus at the last check.

    `position` is the oldest offset that it had not processed; `until` is when the bus received
    that record, or the time of the check when nothing waited (Unix seconds).
    """

    position: int
    until: float


class Progress:
    """Stores the progress of match; see the module."""

    def __init__(self, database: apsw.Connection, clock: Clock) -> None:
        self._database, self._path, self._clock = database, Path(database.filename), clock

    def load(self) -> dict[int, PartitionProgress]:
        """Return how far match had read each partition, by its number, at crawl's last check.

        Empty before the first check.
        """
        with sqlite_errors(self._path):
            rows: Any = self._database.execute(
                "select partition, position, until from reading"
            ).fetchall()
        return {
            int(partition): PartitionProgress(position, until)
            for partition, position, until in rows
        }

    def save(self, places: Mapping[int, PartitionProgress]) -> None:
        """Store how far match has read, for the next check."""
        rows = [
            (str(partition), place.position, place.until) for partition, place in places.items()
        ]
        with sqlite_errors(self._path), transaction(self._database):
            self._database.executemany(
                "insert into reading values (?1, ?2, ?3) on conflict (partition) do update set"
                " position = ?2, until = ?3",
                rows,
            )

    def read_again(self, since: float, until: float) -> int:
        """Delete the posts captured between two moments (Unix seconds) and make their pages due.

        Returns the number of pages.
        """
        with sqlite_errors(self._path), transaction(self._database):
            self._database.execute(
                "update pages set state = 'due', due_at = ?, attempts = 0, validators = x'' where"
                " state = 'done' and (site, name) in (select site, page from seen where at between"
                " ? and ?)",
                (self._clock.wall(), since, until),
            )
            pages = self._database.changes()
            self._database.execute("delete from seen where at between ? and ?", (since, until))
        return pages
