"""Write `frontier.sqlite` for many pages at a time: a transaction for each page costs more than it.

A page that leads nowhere, such as a paste, changes nothing that a later lease depends on. So its
statements wait, and are written in one transaction for `MOST_PAGES` pages or after
`LONGEST_SECONDS`, and before anything that reads or changes what they change:

    finish(item) ──▶ waiting ──┬─ MOST_PAGES, LONGEST_SECONDS ─┬──▶ one transaction
                               └─ `reading`, `changing`, close ┘

The captures of a waiting page are durable on the bus. `kill -9` therefore only makes the waiting
pages due again; they are read twice, and the store recognises the second captures. Eight pages
save nearly all that fifty would, and a site is asked again for seven at most.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from crawlers.frontier.schema import SCHEMA, WRITES
from ullage import log
from ullage.clock import Clock
from ullage.errors import UnavailableError
from ullage.files.database import SCHEMAS, open_database, sqlite_errors, transaction
from ullage.inventory import Inventory

MOST_PAGES = 8
LONGEST_SECONDS = 1.0
"""How long a page waits while others are finished. The first page after a pause does not wait."""


@dataclass(slots=True)
class PageWrites:
    """What one finished page writes: rows of bindings by statement of `WRITES`.

    `digests` names the posts and versions that it records.
    """

    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    digests: set[bytes] = field(default_factory=set)

    def add(self, statement: str, *bindings: Any) -> None:
        """Add a row to write."""
        self.rows.setdefault(statement, []).append(bindings)


class FrontierFile:
    """The connection to `frontier.sqlite`, and the pages that wait to be written; see the module.

    Whoever reads or changes what a page writes does so within `reading` or `changing`.
    """

    def __init__(self, path: Path, clock: Clock, inventory: Inventory | None) -> None:
        self.path, self._clock = path, clock
        self.database: apsw.Connection = open_database(
            path, SCHEMA, SCHEMAS["frontier"], inventory=inventory
        )
        self._waiting: list[PageWrites] = []
        self._digests: set[bytes] = set()
        self._written_at = float("-inf")

    @property
    def waiting(self) -> int:
        """The number of finished pages that are not written yet."""
        return len(self._waiting)

    def is_waiting(self, digest: bytes) -> bool:
        """Return whether a waiting page records this post, or this version of a post."""
        return digest in self._digests

    @contextlib.contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """Write the waiting pages and yield the connection; translate SQLite's errors."""
        self.flush()
        with sqlite_errors(self.path):
            yield self.database

    @contextlib.contextmanager
    def changing(self, *, durable: bool = True) -> Iterator[apsw.Connection]:
        """Run one transaction that first writes the waiting pages; translate SQLite's errors.

        If the block or the disk fails, nothing of it is stored, and the pages still wait.
        """
        with sqlite_errors(self.path), transaction(self.database, durable=durable):
            self._write(self._waiting)
            yield self.database
        self._waiting, self._digests = [], set()
        self._written_at = self._clock.monotonic()

    def flush(self) -> None:
        """Write the waiting pages, if there are any, without waiting for the disk.

        If the disk refuses, they are due again, as after `kill -9`, so that reading goes on.
        """
        if not self._waiting:
            return
        try:
            with self.changing(durable=False):
                pass
        except UnavailableError as error:
            self._waiting, self._digests = [], set()
            log.get("crawl").warning("waiting", error=str(error))

    def defer(self, page: PageWrites) -> None:
        """Let a page wait, or write it with those that wait if it is time.

        On an error nothing is written, and this page does not wait.
        """
        elapsed = self._clock.monotonic() - self._written_at
        if len(self._waiting) + 1 < MOST_PAGES and 0.0 <= elapsed < LONGEST_SECONDS:
            self._waiting.append(page)
            self._digests |= page.digests
            return
        with self.changing(durable=False):
            self.write(page)

    def write(self, page: PageWrites) -> None:
        """Write the rows of a page now, within the transaction of the caller."""
        self._write([page])

    def close(self) -> None:
        """Write the waiting pages and close the file."""
        try:
            self.flush()
        finally:
            self.database.close()

    def _write(self, pages: list[PageWrites]) -> None:
        for statement in WRITES if pages else ():
            rows = [row for page in pages for row in page.rows.get(statement, ())]
            if rows:
                self.database.executemany(statement, rows)
