"""How far match had read the bus, and which pages to read again when captures expired unread.

Shares the frontier's file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crawlers.frontier.file import FrontierFile
from ullage.clock import Clock


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    """Where match stood in one partition of the bus when crawl last checked the bus.

    `position` is the offset of the first record that match had not processed or, if later, of the
    first record that the bus still kept. `until` is in Unix seconds: when the bus received the
    oldest unprocessed record, or the time of the check if there was none. If a later check finds
    that records after `position` expired, pages read since about `until` become due again.
    """

    position: int
    until: float


class Progress:
    """Stores, across restarts, how far match had read each partition when crawl last checked.

    It also makes pages due again whose captures expired on the bus before match read them.
    """

    def __init__(self, file: FrontierFile, clock: Clock) -> None:
        self._file, self._database, self._clock = file, file.database, clock

    def load(self) -> dict[int, PartitionProgress]:
        """Return the positions that the last `save` of each partition stored, by partition number.

        The result is empty if none was ever saved.
        """
        with self._file.reading():
            rows: Any = self._database.execute(
                "select partition, position, until from reading"
            ).fetchall()
        return {
            int(partition): PartitionProgress(position, until)
            for partition, position, until in rows
        }

    def save(self, places: Mapping[int, PartitionProgress]) -> None:
        """Store durably how far match has read, by partition number.

        A stored value of the same partition is overwritten; partitions that are not in `places`
        keep theirs. Raises CorruptError if the frontier is damaged, UnavailableError if it cannot
        be written.
        """
        rows = [
            (str(partition), place.position, place.until) for partition, place in places.items()
        ]
        with self._file.changing():
            self._database.executemany(
                "insert into reading values (?1, ?2, ?3) on conflict (partition) do update set"
                " position = ?2, until = ?3",
                rows,
            )

    def read_again(self, since: float, until: float) -> int:
        """Forget the posts of all sites read from `since` to `until`, and make their pages due now.

        Both limits are in Unix seconds and inclusive. Only pages that are done become due; their
        attempts and validators are reset. Returns the number of pages that became due.
        """
        with self._file.changing():
            self._database.execute(
                "update pages set state = 'due', due_at = ?, attempts = 0, validators = x'' where"
                " state = 'done' and (site, name) in (select site, page from seen where at between"
                " ? and ?)",
                (self._clock.wall(), since, until),
            )
            pages = self._database.changes()
            self._database.execute("delete from seen where at between ? and ?", (since, until))
        return pages
