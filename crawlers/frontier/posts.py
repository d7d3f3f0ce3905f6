"""Which posts were read: in which versions, on which page of a thread, and which of them are gone.

A post is known by its id in its thread, a version of it by what it says as well. Whoever deletes a
post moves all behind it, so what a page had and has no more may stand on another one: the whole
thread is then read again, and the page before once more if it was read already, since what is
behind moves up meanwhile. What no page has after that is gone, and is kept by its name until that
is told. Of threads of more than `LONGEST_THREAD` pages that would cost a site too much: nothing is
called gone there.

All of it within the frontier's transactions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

import apsw

from crawlers.frontier.cipher import FrontierCipher
from crawlers.sites.pages import Post

LONGEST_THREAD = 20
"""Pages of a thread that is read again whole when posts of it are missing."""
FOREVER = float("inf")
MISS_ALL = """
update seen set missing = ?3
where site = ?1 and missing = 0 and named <> x'' and page in (select name from pages where site = ?1 and series = ?2)
"""  # noqa: E501
SETTLED = """
select not exists (select 1 from pages where site = ?1 and series = ?2 and state in ('due', 'parked'))
and (select count(*) from pages where site = ?1 and series = ?2) <= ?3
"""  # noqa: E501
GONE = """
select distinct named from seen indexed by seen_missing
where site = ?1 and missing > 0 and page in (select name from pages where site = ?1 and series = ?2)
"""
News = Literal["", "new", "edited"]


class Posts:
    """See the module; shares the frontier's connection."""

    def __init__(self, database: apsw.Connection, cipher: FrontierCipher) -> None:
        self._database, self._cipher = database, cipher

    def unseen(self, site: str, posts: Sequence[Post]) -> tuple[Post, ...]:
        """Those of `posts` that are new, or say something new and are then `edited`."""
        found = []
        for post in posts:
            if not self._has("post", site, self._cipher.post(site, post)):
                named = self._cipher.named(site, post)
                found.append(
                    replace(post, edited=True)
                    if named and self._has("named", site, named)
                    else post
                )
        return tuple(found)

    def note(self, site: str, post: Post, page: bytes, now: float) -> News:
        """A post was read on `page`; what is new about it."""
        version, named = self._cipher.post(site, post), self._cipher.named(site, post)
        known = bool(named) and self._has("named", site, named)
        if self._has("post", site, version):
            self._database.execute(
                "update seen set page = ?3, missing = 0, named = ?4 where site = ?1 and post = ?2 "
                "and (page <> ?3 or missing > 0 or named <> ?4)",
                (site, version, page, named),
            )
            news: News = ""
        else:
            self._database.execute(
                "insert into seen (site, post, page, at, named) values (?, ?, ?, ?, ?)",
                (site, version, page, now, named),
            )
            news = "edited" if known else "new"
        if known:  # its older versions stand where it stands
            self._database.execute(
                "update seen set page = ?3, missing = 0 where site = ?1 and named = ?2 and (page <>"
                " ?3 or missing > 0)",
                (site, named, page),
            )
        return news

    def miss(self, site: str, posts: Iterable[Post], page: bytes, now: float) -> bool:
        """Note as missing what stood on `page` of a thread and is not among the `posts` of
        today; whether anything is.
        """
        here = {self._cipher.named(site, post) for post in posts}
        query = (
            "select distinct named from seen where site = ? and page = ? and named <> x'' and"
            " missing = 0"
        )
        lost: Any = [
            row
            for row in self._database.execute(query, (site, page)).fetchall()
            if row[0] not in here
        ]
        missed = "update seen set missing = ? where site = ? and named = ?"
        self._database.executemany(missed, [(now, site, named) for (named,) in lost])
        return bool(lost)

    def miss_all(self, site: str, series: bytes, now: float) -> None:
        """The thread is no more: note all that stood in it as missing, and that no further page
        of it needs to be read.
        """
        self._database.execute(MISS_ALL, (site, series, now))
        behind = (
            "update pages set state = 'done' where site = ? and series = ? and state = 'due' and"
            " number > 1"
        )
        self._database.execute(behind, (site, series))

    def read_whole(
        self, site: str, series: bytes, now: float, since: float = FOREVER, before: int = 0
    ) -> bool:
        """Make every page of a thread due that was not read `since`, in their order, and that
        before number `before`.

        Returns whether the thread is short enough for that.
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

    def gone(self, site: str, series: bytes, now: float) -> int:
        """Of a thread of which no page is left to be read, forget what is missing and keep it to
        be told; how many it was.
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

    def taken(self, site: str, most: int) -> list[tuple[bytes, float]]:
        """Names of posts that are gone and of which that was not told, each with when it was
        found out; at most so many.
        """
        rows: Any = self._database.execute(
            "select named, at from taken where site = ? order by at, named limit ?", (site, most)
        )
        return list(rows)

    def told(self, site: str, taken: Iterable[tuple[bytes, float]]) -> None:
        """It was told of these that they are gone."""
        done = [(site, named, at) for named, at in taken]
        self._database.executemany(
            "delete from taken where site = ? and named = ? and at = ?", done
        )

    def _has(self, column: Literal["post", "named"], site: str, digest: bytes) -> bool:
        query = f"select 1 from seen where site = ? and {column} = ? limit 1"  # noqa: S608 - one of our own columns
        return self._database.execute(query, (site, digest)).get is not None
