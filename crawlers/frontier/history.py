"""What the frontier remembers of a site as a whole: its state and since when, when new posts came,
when it could not be seen.

Kept beside the pages in `frontier.sqlite`, in tables of its own, so that a restart forgets nothing.
Holds site names, times and counts, and nothing of any page. Times that have not come yet were noted
by a clock that was ahead, and count for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from crawlers.sites.pages import Post
from crawlers.sites.posting_rhythm import DAY_HOURS, HOUR, WINDOW_DAYS, Span
from crawlers.sites.visit_verdict import FIELDS, NONE_UNREAD, UNKNOWN, Profile, UnreadStreak
from ullage.files.database import sqlite_errors, transaction
from ullage.records.heartbeat import State
from ullage.running_time import DAY_SECONDS, RunningTime

TALLY = (
    "insert into tallies values (?, ?, ?) on conflict (site, word) do update set count = count +"
    " excluded.count"
)
ARRIVED = (
    "insert into arrivals values (?, ?, 1) on conflict (site, hour) do update set posts = posts + 1"
)
CAME = """
insert into standings (site, last_new, posts, author, date, title) values (?1, ?2, ?3, ?4, ?5, ?6)
on conflict (site) do update set last_new = iif(last_new > ?7, ?2, max(last_new, ?2)), posts = posts + ?3,
author = author + ?4, date = date + ?5, title = title + ?6
"""  # noqa: E501
KEEP = """
insert into standings (site, state, since, former, former_since, doubted, reason, unread, unread_as)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) on conflict (site) do update set state = ?2, since = ?3, former = ?4,
former_since = ?5, doubted = ?6, reason = ?7, unread = ?8, unread_as = ?9
"""  # noqa: E501
STANDING = (
    "select state, since, former, former_since, doubted, last_new, reason, unread, unread_as,"
    " posts, author, date, title from standings where site = ?"
)
HELD = """
select sum(entries), exists (select 1 from pages where site = ?1 and role = 'list' and number > 1)
from pages where site = ?1 and role = 'list' and number = 1
"""
EVERYWHERE = ""
"""The site of a blind time of the whole crawl: the way out was down."""
ZONES_SECONDS = 26 * HOUR
"""A board may show its own time without saying whose: a date within this of now may mean now."""


@dataclass(frozen=True, slots=True)
class SiteHistory:
    """Times in Unix seconds, 0 for never.

    `former` is the state before this one; `doubted` is when a visit first could not reach the site,
    while that is not blamed on it yet.
    """

    state: State | None = None
    since: float = 0.0
    former: State | None = None
    former_since: float = 0.0
    doubted: float = 0.0
    last_new: float = 0.0
    profile: Profile = UNKNOWN
    reason: str = ""
    """Why the last visit did not see the site, as a word of `crawlers.sites.visit_verdict`; ""
    where it did.
    """
    unread: UnreadStreak = NONE_UNREAD


def came_at(post: Post, now: float, *, known: bool) -> float | None:
    """When a post that is new to us came, in Unix seconds; None where nobody can tell.

    Of a site that was `known` before, what says it is of about now, or of the future, or has no
    date, came now. Of a site that is new to us dates are taken at their word, and what has none may
    be of any age.
    """
    if post.published_at is None:
        return now if known else None
    published = post.published_at.timestamp()
    return now if known and now - published <= ZONES_SECONDS else min(published, now)


class History:
    """See the module; shares the frontier's connection."""

    def __init__(self, database: apsw.Connection, running: RunningTime) -> None:
        self._database, self._path, self._running, self._clock = (
            database,
            Path(database.filename),
            running,
            running.clock,
        )
        self._forgot_in: dict[str, int] = {}
        """By site the hour in which arrivals were last forgotten: once in each is enough, and
        asking costs three files read.
        """

    def note_posts(self, site: str, posts: Sequence[Post], *, known: bool) -> None:
        """Posts that are new to us were read; called within the frontier's transaction.

        `known`: see `came_at`.

        Hours that are too old for the rhythm's window are forgotten.
        """
        now = self._clock.wall()
        came = [at for post in posts if (at := came_at(post, now, known=known)) is not None]
        self._database.executemany(ARRIVED, [(site, int(at // HOUR)) for at in came])
        if self._forgot_in.get(site) != (hour := int(now // HOUR)):
            oldest = int(max(0.0, self._forgotten()) // HOUR)
            self._database.execute(
                "delete from arrivals where site = ? and hour < ?", (site, oldest)
            )
            self._forgot_in[site] = hour
        had = [
            sum(bool(value) for value in values)
            for values in zip(*map(fields_of, posts), strict=True)
        ]
        self._database.execute(CAME, (site, max(came, default=0.0), len(posts), *had, now))

    def tally(self, site: str, counts: Mapping[str, int]) -> None:
        """Add to what is counted of a site for good, by word; within the frontier's transaction,
        or in one of its own.
        """
        with sqlite_errors(self._path):
            self._database.executemany(
                TALLY, [(site, word, count) for word, count in counts.items() if count]
            )

    def tallies(self, site: str) -> dict[str, int]:
        """What was counted so."""
        with sqlite_errors(self._path):
            rows: Any = self._database.execute(
                "select word, count from tallies where site = ? order by word", (site,)
            ).fetchall()
        return dict(rows)

    def standing(self, site: str) -> SiteHistory:
        """What is known of `site`."""
        with sqlite_errors(self._path):
            row: Any = self._database.execute(STANDING, (site,)).fetchone()
        if row is None:
            return SiteHistory()
        (
            state,
            since,
            former,
            former_since,
            doubted,
            last_new,
            reason,
            pages,
            outcome,
            posts,
            *had,
        ) = row
        profile = Profile(posts, dict(zip(FIELDS, had, strict=True)))
        unread = UnreadStreak(pages, outcome)
        return SiteHistory(
            state or None,
            since,
            former or None,
            former_since,
            doubted,
            last_new,
            profile,
            reason,
            unread,
        )

    def keep(self, site: str, standing: SiteHistory) -> None:
        """Note state, reason, doubt and what is unread of `site`; what else `standing` says is
        left as it is.
        """
        s = standing
        with sqlite_errors(self._path), transaction(self._database):
            told = (
                s.state or "",
                s.since,
                s.former or "",
                s.former_since,
                s.doubted,
                s.reason,
                s.unread.pages,
                s.unread.outcome,
            )
            self._database.execute(KEEP, (site, *told))

    def arrivals(self, site: str) -> dict[int, int]:
        """Posts by hour, of the rhythm's window."""
        with sqlite_errors(self._path):
            query = "select hour, posts from arrivals where site = ? and hour between ? and ?"
            rows: Any = self._database.execute(
                query, (site, self._oldest(), int(self._clock.wall() // HOUR))
            ).fetchall()
        return dict(rows)

    def arrived(self, site: str, hour: int) -> int:
        """Posts of one hour."""
        with sqlite_errors(self._path):
            return int(
                self._database.execute(
                    "select posts from arrivals where site = ? and hour = ?", (site, hour)
                ).get
                or 0
            )

    def names(self) -> set[str]:
        """All sites of which anything is known."""
        with sqlite_errors(self._path):
            return {
                str(name)
                for (name,) in self._database.execute("select site from standings").fetchall()
            }

    def lives(self, site: str) -> float:
        """Seconds for which a post could be found in the busiest hour of the last day; 0 where that
        cannot be told.

        It leaves with as many that come as its list holds; from a list of several pages it does not
        leave.
        """
        with sqlite_errors(self._path):
            since = int(self._clock.wall() // HOUR) - DAY_HOURS
            most = (
                self._database.execute(
                    "select max(posts) from arrivals where site = ? and hour >= ?", (site, since)
                ).get
                or 0
            )
            row: Any = self._database.execute(HELD, (site,)).fetchone()
        held, goes_on = row
        return HOUR * held / most if most and held and not goes_on else 0.0

    def _oldest(self) -> int:
        """The first hour of the rhythm's window."""
        return int(self._clock.wall() // HOUR) - WINDOW_DAYS * DAY_HOURS

    def _forgotten(self) -> float:
        """What is before this moment is older than the rhythm's window, by running time."""
        return self._running.look().older(WINDOW_DAYS * DAY_SECONDS).before

    def note_blind(self, site: str, began: float, ended: float) -> None:
        """`site` (or `EVERYWHERE`) could not be seen from `began` to `ended`; times beyond the
        window are forgotten.
        """
        with sqlite_errors(self._path), transaction(self._database):
            self._database.execute(
                "insert or replace into blind values (?, ?, ?)", (site, began, ended)
            )
            self._database.execute("delete from blind where ended < ?", (self._forgotten(),))

    def blind(self, site: str) -> list[Span]:
        """When `site` could not be seen, alone or with all others; in order and apart from one
        another.
        """
        with sqlite_errors(self._path):
            query = (
                "select began, ended from blind where site in (?, ?) and ended <= ? order by began,"
                " ended"
            )
            return apart(
                self._database.execute(query, (site, EVERYWHERE, self._clock.wall())).fetchall()
            )

    def note_beat(self, at: float, keep_seconds: float) -> None:
        """A heartbeat went onto every partition of the bus."""
        with sqlite_errors(self._path), transaction(self._database):
            self._database.execute("insert or ignore into beats values (?)", (at,))
            self._database.execute(
                "delete from beats where at < ?", (self._running.look().older(keep_seconds).before,)
            )

    def beats(self, since: float, until: float) -> int:
        """Heartbeats that went onto each partition from `since` until before `until`."""
        with sqlite_errors(self._path):
            return int(
                self._database.execute(
                    "select count(*) from beats where at >= ? and at < ?", (since, until)
                ).get
            )


def fields_of(post: Post) -> tuple[bool, ...]:
    """Which of `FIELDS` a post has, in their order."""
    return bool(post.author), post.published_at is not None, bool(post.title)


def apart(spans: Iterable[Any]) -> list[Span]:
    """Times in order of their beginning, those that touch as one."""
    joined: list[Span] = []
    for began, ended in spans:
        if joined and began <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], ended)
        else:
            joined.append((began, ended))
    return joined
