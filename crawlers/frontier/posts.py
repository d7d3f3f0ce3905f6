"""Which posts were read: their versions, their page of a thread, and which of them are gone.

A post is identified by its id in its thread, a version of it by its content too. Deleting a post
moves all following posts, so a post that is missing on its page may be on a different one: the
whole thread is then read again, and the previous page again if it was read already, because posts
move to it meanwhile. A post that is on no page afterwards is gone, and its name is stored until
that is reported. For threads of more than `LONGEST_THREAD` pages this would burden a site too much:
there, no post is reported gone.

All of it runs within the frontier's transactions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

from crawlers.frontier.cipher import FrontierCipher
from crawlers.frontier.file import FrontierFile, PageWrites
from crawlers.frontier.schema import KEEP_POST, MOVE_POST, MOVE_VERSION
from crawlers.sites.pages import Post

LONGEST_THREAD = 20
"""Most pages of a thread that is read again completely when posts of it are missing."""
FOREVER = float("inf")
MISS_ALL = """
update seen set missing = ?3
where site = ?1 and missing = 0 and named <> x''
and page in (select name from pages where site = ?1 and series = ?2)
"""
SETTLED = """
select not exists (
    select 1 from pages where site = ?1 and series = ?2 and state in ('due', 'parked')
)
and (select count(*) from pages where site = ?1 and series = ?2) <= ?3
"""
GONE = """
select distinct named from seen indexed by seen_missing
where site = ?1 and missing > 0 and page in (select name from pages where site = ?1 and series = ?2)
"""
FIND = """
select exists (select 1 from seen where site = ?1 and post = ?2),
exists (select 1 from seen where site = ?1 and named = ?3 and ?3 <> x'')
"""
News = Literal["", "new", "edited"]


class Posts:
    """Stores which posts were read; see the module. Shares the frontier's file."""

    def __init__(self, file: FrontierFile, cipher: FrontierCipher) -> None:
        self._file, self._database, self._cipher = file, file.database, cipher

    def unseen(self, site: str, posts: Sequence[Post]) -> tuple[Post, ...]:
        """Return, in order, the posts of which this version was not recorded yet.

        A post of which an earlier version is recorded is returned as a copy with `edited` set to
        True.
        """
        unseen = []
        for post in posts:
            version, named = self._digest(site, post)
            is_stored, is_known = self._find(site, version, named)
            if not is_stored:
                unseen.append(replace(post, edited=True) if is_known else post)
        return tuple(unseen)

    def record(self, to: PageWrites, site: str, post: Post, page: bytes, now: float) -> News:
        """Add to `to` that this version of a post was read on `page`, and that it is not missing.

        `now` (Unix seconds) is stored for a new version. Returns "" if this version is known
        already, `edited` if an earlier one is, otherwise `new`. An edited post without a permanent
        id is `new`.
        """
        version, named = self._digest(site, post)
        is_stored, is_known = self._find(site, version, named)
        is_stored, is_known = is_stored or version in to.digests, is_known or named in to.digests
        if is_stored:
            to.add(MOVE_VERSION, site, version, page, named)
        else:
            to.add(KEEP_POST, site, version, page, now, named)
        if is_known:
            to.add(MOVE_POST, site, named, page)
        to.digests |= {version, named} if named else {version}
        return "" if is_stored else "edited" if is_known else "new"

    def _digest(self, site: str, post: Post) -> tuple[bytes, bytes]:
        """Return the digests of a post's version and of the post itself."""
        return self._cipher.digest_version(site, post), self._cipher.digest_post(site, post)

    def _find(self, site: str, version: bytes, named: bytes) -> tuple[bool, bool]:
        """Return whether this version of a post, and any version of it, is recorded."""
        row: Any = self._database.execute(FIND, (site, version, named)).fetchone()
        is_waiting = self._file.is_waiting
        return (
            bool(row[0]) or is_waiting(version),
            bool(named) and (bool(row[1]) or is_waiting(named)),
        )

    def miss(self, site: str, posts: Iterable[Post], page: bytes, now: float) -> bool:
        """Mark posts as missing that were on `page` of a thread and are not among `posts`.

        `now` is stored with them (Unix seconds). Posts without a permanent id are ignored. Returns
        whether any was newly marked.
        """
        present = {self._cipher.digest_post(site, post) for post in posts}
        query = (
            "select distinct named from seen where site = ? and page = ? and named <> x'' and"
            " missing = 0"
        )
        lost: Any = [
            row
            for row in self._database.execute(query, (site, page)).fetchall()
            if row[0] not in present
        ]
        missed = "update seen set missing = ? where site = ? and named = ?"
        self._database.executemany(missed, [(now, site, named) for (named,) in lost])
        return bool(lost)

    def miss_all(self, site: str, series: bytes, now: float) -> None:
        """Mark all posts of a deleted thread as missing, except those without a permanent id.

        `now` is stored with them (Unix seconds). Due pages of the thread behind its first become
        done.
        """
        self._database.execute(MISS_ALL, (site, series, now))
        behind = (
            "update pages set state = 'done' where site = ? and series = ? and state = 'due' and"
            " number > 1"
        )
        self._database.execute(behind, (site, series))

    def make_thread_due(
        self, site: str, series: bytes, now: float, since: float = FOREVER, before: int = 0
    ) -> bool:
        """Make the done pages of a thread due that were last read before `since`, in order.

        The page before number `before` becomes due too. By default all done pages do. Times are
        Unix seconds. Returns False, and changes nothing, if the thread has more than
        `LONGEST_THREAD` pages.
        """
        length = "select count(*) from pages where site = ? and series = ?"
        is_short = self._database.execute(length, (site, series)).get <= LONGEST_THREAD
        if is_short:
            self._database.execute(
                "update pages set state = 'due', due_at = ?1 - number / 1000.0, attempts = 0 where"
                " site = ?2 and series = ?3 and state = 'done' and (done_at < ?4 or number = ?5"
                " - 1)",
                (now, site, series, since, before),
            )
        return bool(is_short)

    def collect_gone(self, site: str, series: bytes, now: float) -> int:
        """Record the missing posts of a thread as deleted, and forget them; return their number.

        Returns 0 while a page of the thread is due or parked, or if it has over `LONGEST_THREAD`
        pages.
        """
        if not self._database.execute(SETTLED, (site, series, LONGEST_THREAD)).get:
            return 0
        gone: Any = self._database.execute(GONE, (site, series)).fetchall()
        self._database.executemany(
            "delete from seen where site = ? and named = ?", [(site, named) for (named,) in gone]
        )
        self._database.executemany(
            "insert or replace into taken values (?, ?, ?)",
            [(site, named, now) for (named,) in gone],
        )
        return len(gone)

    def find_unreported_gone(self, site: str, most: int) -> list[tuple[bytes, float]]:
        """Return at most `most` gone posts that were not reported yet, oldest first.

        Each is (name, time); the time (Unix seconds) is when it was found out that the post is
        gone.
        """
        rows: Any = self._database.execute(
            "select named, at from taken where site = ? order by at, named limit ?", (site, most)
        )
        return list(rows)

    def mark_reported_gone(self, site: str, taken: Iterable[tuple[bytes, float]]) -> None:
        """Delete these entries of `find_unreported_gone`, as their report is durable on the bus."""
        reported = [(site, named, at) for named, at in taken]
        self._database.executemany(
            "delete from taken where site = ? and named = ? and at = ?", reported
        )
