"""What the frontier stores about a site as a whole: state, arrivals of posts, unreachable times.

It is stored in tables of its own beside the pages in `frontier.sqlite`, so that a restart loses
nothing. It holds site names, times and counts, and nothing of any page. Times in the future were
stored by a clock that was ahead, and are ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crawlers.frontier.file import FrontierFile, PageWrites
from crawlers.frontier.schema import ARRIVED, CAME, FORGET_ARRIVALS, TALLY
from crawlers.sites.pages import Post
from crawlers.sites.posting_rhythm import DAY_HOURS, HOUR, WINDOW_DAYS, Span
from crawlers.sites.visit_verdict import FIELDS, NONE_UNREAD, UNKNOWN, Profile, UnreadStreak
from ullage.files.database import sqlite_errors
from ullage.records.heartbeat import State
from ullage.running_time import DAY_SECONDS, RunningTime

KEEP = """
insert into standings (site, state, since, former, former_since, doubted, reason, unread, unread_as)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
on conflict (site) do update set
    state = ?2,
    since = ?3,
    former = ?4,
    former_since = ?5,
    doubted = ?6,
    reason = ?7,
    unread = ?8,
    unread_as = ?9
"""
STANDING = (
    "select state, since, former, former_since, doubted, last_new, reason, unread, unread_as,"
    " posts, author, date, title from standings where site = ?"
)
HELD = """
select sum(entries), exists (select 1 from pages where site = ?1 and role = 'list' and number > 1)
from pages where site = ?1 and role = 'list' and number = 1
"""
EVERYWHERE = ""
"""The site of unreachable times of the whole crawl, when the egress was down."""
ZONES_SECONDS = 26 * HOUR
"""A board may show its local time without a zone: a date within this of now may mean now."""


@dataclass(frozen=True, slots=True)
class SiteHistory:
    """The stored state of a site; times are Unix seconds, 0 for never.

    `former` is the previous state; `doubted` is when a visit first could not reach the site,
    while the site is not blamed for it yet.
    """

    state: State | None = None
    since: float = 0.0
    former: State | None = None
    former_since: float = 0.0
    doubted: float = 0.0
    last_new: float = 0.0
    profile: Profile = UNKNOWN
    reason: str = ""
    """Why the last visit did not read the site, as a word of `crawlers.sites.visit_verdict`, or "".
    """
    unread: UnreadStreak = NONE_UNREAD


def estimate_arrival(post: Post, now: float, *, known: bool) -> float | None:
    """Estimate when a newly read post arrived, in Unix seconds; return None if that is unknown.

    `known` is whether a visit to the site succeeded before. If so, a post without a date, or dated
    at most 26 hours ago or in the future, arrived at `now`. Otherwise the result is the post's
    date, at most `now`, or None for a post without one.
    """
    if post.published_at is None:
        return now if known else None
    published = post.published_at.timestamp()
    return now if known and now - published <= ZONES_SECONDS else min(published, now)


class History:
    """Stores the history of sites; see the module. Shares the frontier's file."""

    def __init__(self, file: FrontierFile, running: RunningTime) -> None:
        self._file, self._database = file, file.database
        self._running, self._clock = running, running.clock
        self._forgot_in: dict[str, int] = {}
        """By site, the hour of the last deletion of old arrivals: each hour is enough, because
        the check reads three files.
        """

    def note_posts(
        self, page: PageWrites, site: str, posts: Sequence[Post], *, known: bool
    ) -> None:
        """Count new posts by the hour of their arrival, and add their fields to the site's profile.

        The rows go to `page`, to be written with it. `known` is whether a visit to the site
        succeeded before (`estimate_arrival`); a post whose arrival is unknown adds to the profile
        only. Once an hour, arrivals older than `WINDOW_DAYS` of running time are deleted. Call it
        with at least one post.
        """
        now = self._clock.wall()
        arrivals = [
            at for post in posts if (at := estimate_arrival(post, now, known=known)) is not None
        ]
        for at in arrivals:
            page.add(ARRIVED, site, int(at // HOUR))
        if self._forgot_in.get(site) != (hour := int(now // HOUR)):
            page.add(FORGET_ARRIVALS, site, int(max(0.0, self._window_start()) // HOUR))
            self._forgot_in[site] = hour
        field_counts = [
            sum(bool(value) for value in values)
            for values in zip(*map(present_fields, posts), strict=True)
        ]
        page.add(CAME, site, max(arrivals, default=0.0), len(posts), *field_counts, now)

    def add_counts(self, site: str, counts: Mapping[str, int]) -> None:
        """Add `counts`, by word, to the permanent counts of a site; zeros are not stored.

        Each word is stored alone. Raises CorruptError if the frontier is damaged, UnavailableError
        if it cannot be written.
        """
        with sqlite_errors(self._file.path):
            self._database.executemany(
                TALLY, [(site, word, count) for word, count in counts.items() if count]
            )

    def read_counts(self, site: str) -> dict[str, int]:
        """Return the counts of a site that are never deleted, by word.

        Words that were never counted are missing.
        """
        with self._file.reading():
            rows: Any = self._database.execute(
                "select word, count from tallies where site = ? order by word", (site,)
            ).fetchall()
        return dict(rows)

    def load(self, site: str) -> SiteHistory:
        """Return the stored history of `site`: its state, profile of posts, and unread pages.

        Returns an empty one if nothing is stored.
        """
        with self._file.reading():
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
            *field_counts,
        ) = row
        profile = Profile(posts, dict(zip(FIELDS, field_counts, strict=True)))
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

    def save(self, site: str, standing: SiteHistory) -> None:
        """Store `standing` durably as the history of `site`, except `last_new` and `profile`.

        These two change with `note_posts` only.
        """
        s = standing
        with self._file.changing():
            values = (
                s.state or "",
                s.since,
                s.former or "",
                s.former_since,
                s.doubted,
                s.reason,
                s.unread.pages,
                s.unread.outcome,
            )
            self._database.execute(KEEP, (site, *values))

    def arrivals(self, site: str) -> dict[int, int]:
        """Return how many posts of `site` arrived, by hour (Unix seconds // 3600).

        The hours are those of the last `WINDOW_DAYS`, up to the present one. Hours without posts
        are left out.
        """
        with self._file.reading():
            query = "select hour, posts from arrivals where site = ? and hour between ? and ?"
            rows: Any = self._database.execute(
                query, (site, self._oldest(), int(self._clock.wall() // HOUR))
            ).fetchall()
        return dict(rows)

    def count_arrivals(self, site: str, hour: int) -> int:
        """Return how many posts of `site` arrived in `hour` (Unix seconds // 3600), or 0."""
        with self._file.reading():
            return int(
                self._database.execute(
                    "select posts from arrivals where site = ? and hour = ?", (site, hour)
                ).get
                or 0
            )

    def names(self) -> set[str]:
        """Return the names of all sites of which a state or a post was ever stored."""
        with self._file.reading():
            return {
                str(name)
                for (name,) in self._database.execute("select site from standings").fetchall()
            }

    def estimate_lifetime(self, site: str) -> float:
        """Estimate for how many seconds a post stays on the lists of `site`, at its busiest.

        A post leaves a list after as many new posts as the list holds, so the result is the entries
        of the lists divided by the rate of the busiest hour of the last day. Returns 0.0 if there
        were no posts, if the lists are empty, or if a list has several pages, which posts never
        leave.
        """
        with self._file.reading():
            since = int(self._clock.wall() // HOUR) - DAY_HOURS
            busiest = (
                self._database.execute(
                    "select max(posts) from arrivals where site = ? and hour >= ?", (site, since)
                ).get
                or 0
            )
            row: Any = self._database.execute(HELD, (site,)).fetchone()
        list_length, goes_on = row
        return HOUR * list_length / busiest if busiest and list_length and not goes_on else 0.0

    def _oldest(self) -> int:
        """Return the first hour of the rhythm's window."""
        return int(self._clock.wall() // HOUR) - WINDOW_DAYS * DAY_HOURS

    def _window_start(self) -> float:
        """Return the moment at which the rhythm's window begins, by running time."""
        return self._running.look().older(WINDOW_DAYS * DAY_SECONDS).before

    def record_unreachable(self, site: str, began: float, ended: float) -> None:
        """Record durably that `site` (or `EVERYWHERE`) could not be read from `began` to `ended`.

        Both are Unix seconds. Spans of any site that ended more than `WINDOW_DAYS` of running time
        ago are deleted.
        """
        with self._file.changing():
            self._database.execute(
                "insert or replace into blind values (?, ?, ?)", (site, began, ended)
            )
            self._database.execute("delete from blind where ended < ?", (self._window_start(),))

    def find_unreachable(self, site: str) -> list[Span]:
        """Return when `site` or all sites could not be read, as (begin, end) in Unix seconds.

        The spans are disjoint and in order. Spans that end in the future are ignored.
        """
        with self._file.reading():
            query = (
                "select began, ended from blind where site in (?, ?) and ended <= ? order by began,"
                " ended"
            )
            return merge_spans(
                self._database.execute(query, (site, EVERYWHERE, self._clock.wall())).fetchall()
            )

    def record_heartbeat(self, at: float, keep_seconds: float) -> None:
        """Record that at `at` (Unix seconds) a heartbeat was written to every partition of the bus.

        Records older than `keep_seconds` of running time are deleted.
        """
        with self._file.changing():
            self._database.execute("insert or ignore into beats values (?)", (at,))
            self._database.execute(
                "delete from beats where at < ?", (self._running.look().older(keep_seconds).before,)
            )

    def count_heartbeats(self, since: float, until: float) -> int:
        """Count the heartbeats from `since` (included) to `until` (excluded), in Unix seconds."""
        with self._file.reading():
            return int(
                self._database.execute(
                    "select count(*) from beats where at >= ? and at < ?", (since, until)
                ).get
            )


def present_fields(post: Post) -> tuple[bool, ...]:
    """Return whether a post has an author, a date and a title, in this order (that of `FIELDS`)."""
    return bool(post.author), post.published_at is not None, bool(post.title)


def merge_spans(spans: Iterable[Any]) -> list[Span]:
    """Return the times with those that touch or overlap merged into one.

    `spans` are (begin, end), in order of their beginning.
    """
    joined: list[Span] = []
    for began, ended in spans:
        if joined and began <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], ended)
        else:
            joined.append((began, ended))
    return joined
