"""Delete pages that no list has shown for long, and their posts, to bound the size of the frontier.

A page is deleted with its whole thread, because showing one page marks them all. Heads of lists
stay, and so do due pages, except those of a site that is no longer visited. A part of the file is
examined at a time, in the order of its rows, where old ones come first; SQLite reuses the space.
"""

from __future__ import annotations

from typing import Any

from crawlers.frontier.file import FrontierFile
from ullage.running_time import RunningTime

ROWS = 2000
"""Rows that are examined together, in some milliseconds."""
REST_SECONDS = 86400.0
"""Pause between the end of the file and its beginning."""
LAST_PAGE = (
    "select max(rowid) from (select rowid from pages where rowid > ? order by rowid limit ?)"
)
FORGET_PAGES = """
delete from pages where rowid > ?1 and rowid <= ?2 and not (role = 'list' and number = 1)
and max(shown_at, done_at, due_at) < ?3
and (state in ('done', 'parked') or coalesce((select due_at from sites where name = site), 0) < ?3)
"""
LAST_POST = (
    "select site, post from seen where (site, post) > (?, ?) order by site, post limit 1 offset ?"
)
FORGET_POSTS = """
delete from seen where (site, post) > (?1, ?2) and (site, post) <= (?3, ?4) and at < ?5
and not exists (select 1 from pages where pages.site = seen.site and pages.name = seen.page)
"""
END = "\U0010ffff"
"""Sorts behind every site."""


class Forgetting:
    """Deletes pages older than `keep_seconds` of running time; see the module.

    Shares the frontier's file.
    """

    def __init__(self, file: FrontierFile, running: RunningTime, keep_seconds: float) -> None:
        self._file, self._database, self._keep = file, file.database, keep_seconds
        self._running, self._clock = running, running.clock
        self._page, self._post = 0, ("", b"")
        self._pages_done = False
        self._rest_until = float("-inf")

    def turn(self) -> int:
        """Examine the next `ROWS` rows, and delete those that are old and no longer shown.

        Returns the number of deleted pages and posts. After the end of the file nothing happens for
        `REST_SECONDS`, and the result is 0.
        """
        if self._clock.monotonic() < self._rest_until:
            return 0
        before = self._running.look().older(self._keep).before
        with self._file.changing(durable=False):
            return self._forget_posts(before) if self._pages_done else self._forget_pages(before)

    def forget_all(self) -> int:
        """Examine the file to its end now; return the number of deleted pages and posts.

        A pass that `turn` has begun is continued, not restarted. `turn` then rests for
        `REST_SECONDS`.
        """
        deleted, self._rest_until = 0, float("-inf")
        while self._clock.monotonic() >= self._rest_until:
            deleted += self.turn()
        return deleted

    def _forget_pages(self, before: float) -> int:
        last = self._database.execute(LAST_PAGE, (self._page, ROWS)).get
        if last is None:
            self._page, self._pages_done = 0, True
            return 0
        self._database.execute(FORGET_PAGES, (self._page, last, before))
        self._page = last
        return self._database.changes()

    def _forget_posts(self, before: float) -> int:
        row: Any = self._database.execute(LAST_POST, (*self._post, ROWS - 1)).fetchone()
        last = row or (END, b"")
        self._database.execute(FORGET_POSTS, (*self._post, *last, before))
        deleted, self._post = self._database.changes(), last
        if row is None:
            self._post, self._pages_done = ("", b""), False
            self._rest_until = self._clock.monotonic() + REST_SECONDS
        return deleted
