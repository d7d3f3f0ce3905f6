"""The frontier: which pages are due, leased and done, which posts have been seen, and when a site
is visited next.

    due ──lease──▶ in hand ──finish──▶ done       finish is one transaction with the posts seen and the pages found,
     ▲               │                            and comes only after the captures are durable on the bus
     └──postpone─────┴──too often──▶ parked

Kept in `frontier.sqlite`. What is in hand is known to the process alone, which holds the lock of
the site: when it dies the page is still due. A page that is finished is not waited for until the
disk has it: a power cut may undo the last ones, which are then read twice. Nothing in the file is
readable without `frontier.key` (`crawlers.frontier.cipher`).
"""  # noqa: E501

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from crawlers.frontier.cipher import FrontierCipher
from crawlers.frontier.forgetting import Forgetting
from crawlers.frontier.history import History
from crawlers.frontier.posts import Posts
from crawlers.frontier.progress import Progress
from crawlers.frontier.read_ahead import NextPages
from crawlers.frontier.schema import NEXT, SCHEMA, WAITING, WALK, WALK_THREADS
from crawlers.sites.pages import PageAddress, PageContent, Post, Withheld
from ullage.clock import Clock
from ullage.errors import ConfigError
from ullage.files.database import SCHEMAS, check_database, open_database, sqlite_errors, transaction
from ullage.inventory import Inventory
from ullage.running_time import DAY_SECONDS, RunningTime
from ullage.security.keys import check_value
from ullage.settings import Context

FILE = "frontier.sqlite"
STATES = ("due", "leased", "done", "parked")
LONGEST_REST_SECONDS = 86400.0
"""No site is left alone for longer: what is due later than that was noted by a clock that was
ahead, and is due now.
"""
KEEP_DAYS = 90.0
MAX_ATTEMPTS = 6
FIRST_WAIT_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 6 * 3600.0
KEY = "frontier.key"
SHOWN_SECONDS = 86400.0
"""How exactly it is known when a page was last linked to: noting it each time would cost a write
a link.
"""
LAST_OF_SERIES = "select max(number) from pages where site = ? and series = ?"
THREAD = "select series, stamp, counted from pages where site = ? and name = ?"
SHOWN = "select series, shown_at, state from pages where site = ? and name = ?"


@dataclass(frozen=True, slots=True)
class PageLease:
    """A page in hand."""

    site: str
    name: bytes
    page: PageAddress
    stamp: bytes
    attempts: int
    entries: int = 0
    """How much the page held when it last held anything (`signs.entries`), and of how many bytes
    it was then.
    """
    size: int = 0
    validators: bytes = b""
    """By what the site knows what it answered when the page was last read
    (`crawlers.fetching.conditional_requests`).
    """


@dataclass(frozen=True, slots=True)
class VisitResult:
    """What a page brought: how many posts and pages are `new` or have changed; of the posts so many
    were `edited`.

    So many posts of its thread are `gone`. `unread` has why files of new posts are not read.
    """

    new: int = 0
    edited: int = 0
    gone: int = 0
    unread: Mapping[Withheld, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Visits:
    """When a site is due, when a visit last succeeded (Unix seconds, 0 for never), and failures
    since.

    `count` visits have ended; `whole_at` is when one first left nothing to be read, 0 while the
    site's past is still being read.
    """

    due_at: float = 0.0
    success_at: float = 0.0
    failures: int = 0
    count: int = 0
    whole_at: float = 0.0

    def left(self, now: float) -> float:
        """Seconds until the next visit is due, 0 or less when it is."""
        left = self.due_at - now
        return left if left <= LONGEST_REST_SECONDS else 0.0


def open_frontier(context: Context) -> Frontier:
    """The frontier of the data folder, whose key proved to be its own."""
    key = context.keys.read(KEY)
    frontier = Frontier(context.data, key, context.clock, inventory=context.inventory)
    frontier.check_key(check_value(key, KEY))
    return frontier


class Frontier:
    """See the module.

    Each change is one transaction, which kill -9 does not undo; UnavailableError while the disk
    refuses.
    """

    def __init__(
        self,
        folder: Path,
        key: bytes,
        clock: Clock,
        keep_days: float = KEEP_DAYS,
        file: str = FILE,
        inventory: Inventory | None = None,
    ) -> None:
        self._path = folder / file
        self._database = open_database(self._path, SCHEMA, SCHEMAS["frontier"], inventory=inventory)
        running = RunningTime(folder, clock, inventory)
        self.history = History(self._database, running)
        self.forgetting = Forgetting(self._database, running, keep_days * DAY_SECONDS)
        self._cipher, self._clock = FrontierCipher(key), clock
        self.progress = Progress(self._database, clock)
        self._posts = Posts(self._database, self._cipher)
        self._held: dict[str, set[bytes]] = {}
        self._next: dict[str, NextPages] = {}

    def check_key(self, value: str) -> None:
        """ConfigError unless the key with this check value is the one that the file was made
        under; a new file notes it.
        """
        with self._change() as database:
            held = database.execute("select value from key_check").get
            if held is None:
                database.execute("insert into key_check values (?)", (value,))
        if held not in (None, value):
            self.close()
            raise ConfigError(
                f"{self._path} was made under another {KEY} than is here: restore that key from its"
                " copy"
            )

    @property
    def connection(self) -> apsw.Connection:
        """For `crawlers.frontier.moving`, which moves rows as they are."""
        return self._database

    def has_key_of(self, other: Frontier) -> bool:
        """Whether what `other` holds means here what it means there."""
        return self._cipher.name("", "") == other._cipher.name("", "")

    def adopt(self, other: Frontier, row: Mapping[str, Any]) -> None:
        """Add a page of `other`, a row by column, under our own key; within a transaction."""
        site = row["site"]
        page = other._cipher.open(site, row["name"], row["sealed"])
        validators = row["validators"] and other._cipher.open_bytes(
            site, row["name"], row["validators"]
        )
        name = self._cipher.name(site, page.name)
        told = {
            **row,
            "name": name,
            "sealed": self._cipher.seal(site, name, page),
            "series": self._cipher.name(site, page.series or page.name),
            "stamp": self._cipher.name(site, page.stamp),
            "content": b"",
            "validators": validators and self._cipher.seal_bytes(site, name, validators),
        }
        columns = ", ".join(told)
        self._database.execute(
            f"insert into pages ({columns}) values ({', '.join('?' * len(told))})",  # noqa: S608 - names of our own columns
            tuple(told.values()),
        )

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def check(self) -> None:
        """CorruptError unless the whole file is as it was written; reads all of it."""
        check_database(self._database, self._path)

    def recover(self, site: str) -> int:
        """Let go of what a visit that was broken off had in hand; returns how many pages."""
        self._next.pop(site, None)
        return len(self._held.pop(site, ()))

    def begin_visit(self, site: str, starts: Sequence[PageAddress], walk: int = 0) -> float:
        """Make the heads of all lists due, `starts` among them, and what a clock that was ahead has
        put off.

        Of older pages of the lists, `walk` that are near and as many that were read the longest ago
        are due as well, and as many of threads. Returns the moment, for `finish`.
        """
        now = self._clock.wall()
        with self._change() as database:
            for page in starts:
                self._insert(site, page, now)
            database.execute(
                "update pages indexed by pages_heads set state = 'due', due_at = ?, attempts = 0"
                " where site = ? and role = 'list' and number = 1 and state in ('done', 'parked',"
                " 'due')",
                (now, site),
            )
            database.execute(
                "update pages set due_at = ? where site = ? and state = 'due' "
                "and iif(role <> 'list', 1, iif(number = 1, 0, 2)) in (0, 1, 2) and due_at > ?",
                (now, site, now + LONGEST_REST_SECONDS),
            )
            if walk:
                database.execute(WALK, (site, now, walk))
                database.execute(WALK_THREADS, (site, walk))
        return now

    def lease(self, site: str) -> PageLease | None:
        """The page that is most worth fetching now; None when nothing is due."""
        held, pages = self._held.setdefault(site, set()), self._next.setdefault(site, NextPages())
        if not pages.rows:
            pages.grow()
            with sqlite_errors(self._path):
                for turn in range(3):
                    bindings = site, turn, self._clock.wall(), len(held) + pages.count
                    rows: Any = self._database.execute(NEXT, bindings).fetchall()
                    pages.rows = [row for row in rows if row[0] not in held][::-1]
                    if pages.rows:
                        break
                else:
                    return None
        name, sealed, stamp, attempts, entries, size, validators = pages.rows.pop()
        page, known = (
            self._cipher.open(site, name, sealed),
            validators and self._cipher.open_bytes(site, name, validators),
        )
        held.add(name)
        return PageLease(site, name, page, stamp, attempts, entries, size, known)

    def unseen(self, site: str, posts: Sequence[Post]) -> tuple[Post, ...]:
        """Those of `posts` that are new, or say something new and are then `edited`."""
        with sqlite_errors(self._path):
            return self._posts.unseen(site, posts)

    def named(self, site: str, post: Post) -> str:
        """The keyed name of a post, whatever it says; "" where nothing lasts that tells it from
        others.
        """
        return self._cipher.named(site, post).hex()

    def taken(self, site: str, most: int) -> list[tuple[bytes, float]]:
        """Posts of `site` that are gone and were not told yet: name, and Unix seconds of when
        that was found out.
        """
        with sqlite_errors(self._path):
            return self._posts.taken(site, most)

    def told(self, site: str, taken: Sequence[tuple[bytes, float]]) -> None:
        """It is durable on the bus that these are gone."""
        with self._change(is_apart=True):
            self._posts.told(site, taken)

    def finish(
        self,
        leased: PageLease,
        parsed: PageContent,
        began: float,
        size: int = 0,
        validators: bytes = b"",
        *,
        deep: bool = False,
    ) -> VisitResult:
        """`leased` is done: note its posts as seen and its links as pages; returns what was new.

        Call it only when every unseen post is durable on the bus. `began` is when the visit began:
        a list page that was read since then is not read again, so that lists which lead in a circle
        end. `size` is the page's, in bytes. `deep` says that threads of which lists never tell that
        somebody replied are read again.
        """
        site, now = leased.site, self._clock.wall()
        is_apart = not parsed.pages and leased.page.role != "thread"
        with self._change(durable=False, is_apart=is_apart) as database:
            own = [page for page in parsed.pages if page.role != "list"]
            content = self._content(site, parsed, own)
            repeated = self._repeated(leased, content) if leased.page.number > 1 else b""
            found = [
                (post, self._posts.note(site, post, repeated or leased.name, now))
                for post in parsed.posts
            ]
            new, edited = (
                [post for post, news in found if news == word] for word in ("new", "edited")
            )
            if new:
                self.history.note_posts(site, new, known=bool(self._visited(site)))
            pages = [
                page
                for page in parsed.pages
                if not (repeated and page.series == leased.page.series)
            ]
            news = len(new) + len(edited)
            for page in pages:
                news += page.role != "list" and self._discover(
                    site, page, now, began if deep else 0.0
                )
            for page in pages:
                if page.role == "list":
                    self._discover_list(site, page, now, began, again=news > 0)
            held = len(parsed.posts) + (
                0 if leased.page.role == "thread" and parsed.posts else len(own)
            )
            known = validators and self._cipher.seal_bytes(site, leased.name, validators)
            database.execute(
                "update pages set state = iif(stamp = ?1, 'done', 'due'), content = ?2, done_at ="
                " ?3, attempts = 0, validators = ?4, entries = iif(?5, ?5, entries), size = iif(?5,"
                " ?6, size) where site = ?7 and name = ?8",
                (leased.stamp, content, now, known, held, size, site, leased.name),
            )
            gone = (
                self._gone(leased, () if repeated else parsed.posts, now, began)
                if parsed.whole
                else 0
            )
            self.history.tally(site, {"edited": len(edited), "gone": gone})
        self._let_go(leased)
        unread = Counter(why for post in (*new, *edited) for why in post.unread)
        return VisitResult(news, len(edited), gone, unread)

    def _gone(self, leased: PageLease, shown: Sequence[Post], now: float, began: float) -> int:
        """What of a thread is gone, now that a page of it has been read which shows these posts."""
        if leased.page.role != "thread":
            return 0
        site, series = (
            leased.site,
            self._cipher.name(leased.site, leased.page.series or leased.page.name),
        )
        if not shown and leased.page.number == 1:
            self._posts.miss_all(site, series, now)
        elif self._posts.miss(site, shown, leased.name, now):
            self._posts.read_whole(site, series, now, since=began, before=leased.page.number)
        return self._posts.gone(site, series, now)

    def unchanged(self, leased: PageLease) -> None:
        """The site says that `leased` is as it was when it was last read: done, and what it led
        to is known.
        """
        with self._change(durable=False, is_apart=True) as database:
            database.execute(
                "update pages set state = 'done', done_at = ?, attempts = 0 where site = ? and"
                " name = ?",
                (self._clock.wall(), leased.site, leased.name),
            )
        self._let_go(leased)

    def postpone(
        self,
        leased: PageLease,
        seconds: float | None = None,
        *,
        at_least: float = 0.0,
        waits: bool = False,
    ) -> str:
        """Fetch `leased` later: after `seconds` where somebody said when, else after growing waits,
        at most `MAX_ATTEMPTS` times.

        The waits are of `at_least` so many seconds. Where why it was not read will pass, it
        `waits`. Returns the state that the page is in now: due or parked.
        """
        attempts = leased.attempts + 1 if seconds is None else max(leased.attempts, int(waits))
        state = "parked" if attempts >= MAX_ATTEMPTS else "due"
        wait = (
            min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0**attempts)
            if seconds is None
            else seconds
        )
        self._leave(leased, state, self._clock.wall() + max(wait, at_least), attempts, waits=waits)
        return state

    def entries(self, leased: PageLease) -> int:
        """How much all pages of the series of `leased` hold, that were read."""
        return self._of_series(
            "select sum(entries) from pages where site = ? and series = ?", leased
        )

    def counted(self, leased: PageLease) -> int:
        """How many posts the list said last that the thread of `leased` has, 0 where it did not."""
        return self._of_series(
            "select counted from pages where site = ? and series = ? and number = 1", leased
        )

    def _of_series(self, query: str, leased: PageLease) -> int:
        series = self._cipher.name(leased.site, leased.page.series or leased.page.name)
        with sqlite_errors(self._path):
            return int(self._database.execute(query, (leased.site, series)).get or 0)

    def not_yet(self, leased: PageLease, seconds: float) -> None:
        """`leased` is not there, of pages that come one by one: ask again after `seconds`,
        unless a later one is there.
        """
        query = (
            "select 1 from pages where site = ? and series = ? and number > ? and entries > 0"
            " limit 1"
        )
        series = self._cipher.name(leased.site, leased.page.series)
        with sqlite_errors(self._path):
            passed = self._database.execute(
                query, (leased.site, series, leased.page.number)
            ).fetchone()
        self._leave(leased, "done" if passed else "due", self._clock.wall() + seconds, 0)

    def park(self, leased: PageLease) -> None:
        """Give `leased` up: nothing but a change of the site or of its file would help."""
        self._leave(leased, "parked", self._clock.wall(), leased.attempts)

    def try_again(self, site: str, most: int = -1) -> int:
        """Make due what was given up: the site, or the way to it, is another one now.

        Returns how many pages.

        `most` are made due at most, those that were given up the longest ago.
        """
        with self._change() as database:
            database.execute(
                "update pages set state = 'due', due_at = ?, attempts = 0 where rowid in (select"
                " rowid from pages where site = ? and state = 'parked' and iif(role <> 'list', 1,"
                " iif(number = 1, 0, 2)) in (0, 1, 2) order by due_at limit ?)",
                (self._clock.wall(), site, most),
            )
            return database.changes()

    def end_visit(self, site: str, due_at: float, succeeded: bool, *, counts: bool = True) -> None:
        """Note when `site` is to be visited next, and how this visit went; a failure that does
        not count leaves no trace.
        """
        now = self._clock.wall()
        with self._change() as database:
            whole = (
                succeeded
                and not database.execute(
                    "select 1 from pages where site = ? and state = 'due' limit 1", (site,)
                ).get
            )
            database.execute(
                "insert into sites values (?1, ?2, iif(?3, ?4, 0), iif(?3, 0, ?5), 1, iif(?6, ?4,"
                " 0)) on conflict (name) do update set due_at = ?2, success_at = iif(?3, ?4,"
                " success_at), failures = iif(?3, 0, failures + ?5), visits = visits + 1, whole_at"
                " = iif(whole_at = 0 and ?6, ?4, whole_at)",
                (site, due_at, int(succeeded), now, int(counts), int(whole)),
            )

    def visits(self, site: str) -> Visits:
        """What is known of the visits to `site`."""
        query = "select due_at, success_at, failures, visits, whole_at from sites where name = ?"
        with sqlite_errors(self._path):
            row = self._database.execute(query, (site,)).fetchone()
        return Visits(*row) if row else Visits()

    def waiting(self, site: str, *, untried: bool) -> int:
        """How many pages of `site` failed and wait; with `untried` also those that are due and
        were never read.
        """
        with sqlite_errors(self._path):
            return int(
                self._database.execute(WAITING, (site, int(untried), self._clock.wall())).get or 0
            )

    def counts(self, site: str) -> Mapping[str, int]:
        """Pages of `site` a state."""
        with sqlite_errors(self._path):
            rows: Any = self._database.execute(
                "select state, count(*) from pages where site = ? group by state", (site,)
            ).fetchall()
        found = {**dict.fromkeys(STATES, 0), **dict(rows)}
        found["leased"] = len(self._held.get(site, ()))
        return {**found, "due": found["due"] - found["leased"]}

    def _visited(self, site: str) -> float:
        """When a visit to `site` last succeeded, 0 for never."""
        return float(
            self._database.execute("select success_at from sites where name = ?", (site,)).get
            or 0.0
        )

    def _insert(self, site: str, page: PageAddress, now: float) -> bool:
        """Add `page` as due if it is not known; whether it was added."""
        name = self._cipher.name(site, page.name)
        known = self._database.execute(SHOWN, (site, name)).fetchone()
        if known:  # most are known, and sealing costs ten times this
            series, shown_at, state = known
            if state != "done":  # it may be found under another address now
                sealed = self._cipher.seal(site, name, page)
                self._database.execute(
                    "update pages set sealed = ? where site = ? and name = ?", (sealed, site, name)
                )
            if now - shown_at > SHOWN_SECONDS:
                self._database.execute(
                    "update pages set shown_at = ? where site = ? and series = ?",
                    (now, site, series),
                )
            return False
        self._database.execute(
            "insert into pages (site, name, sealed, role, series, number, stamp, due_at, shown_at, counted) "  # noqa: E501
            "values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9)",
            (
                site, name, self._cipher.seal(site, name, page), page.role,
                self._cipher.name(site, page.series or page.name),
                page.number, self._cipher.name(site, page.stamp), now, counted(page),
            ),
        )  # fmt: skip
        return True

    def _discover(
        self, site: str, page: PageAddress, now: float, unread_since: float = 0.0
    ) -> bool:
        """Note a thread or item; whether it is new or its stamp has changed.

        Of a changed thread only the last known page is read again: what is new stands there and
        behind it. So is that of a thread without a stamp, where it was not read since
        `unread_since`. One that has fewer posts than before is read whole.
        """
        if self._insert(site, page, now):
            return True
        name, stamp = self._cipher.name(site, page.name), self._cipher.name(site, page.stamp)
        series, old, before = self._database.execute(THREAD, (site, name)).get
        is_silent = page.role == "thread" and not page.stamp
        if page.number > 1 or (old == stamp and not (is_silent and unread_since)):
            return False
        last = self._database.execute(LAST_OF_SERIES, (site, series)).get
        if old == stamp:
            self._database.execute(
                "update pages set state = 'due', due_at = ?, attempts = 0 "
                "where site = ? and series = ? and number = ? and state = 'done' and done_at < ?",
                (now, site, series, last, unread_since),
            )
            return False
        told = counted(page)
        self._database.execute(
            "update pages set stamp = ?, counted = ? where site = ? and name = ?",
            (stamp, told, site, name),
        )
        whole = told < before and self._posts.read_whole(site, series, now)
        self._database.execute(
            "update pages set state = 'due', due_at = ?, attempts = 0, stamp = ? where site = ? and"
            " series = ? and number = ?",
            (now - last / 1000.0 if whole else now, stamp, site, series, last),
        )
        return True

    def _discover_list(
        self, site: str, page: PageAddress, now: float, began: float, again: bool
    ) -> None:
        """Note a list page; a known one is read again only behind a page that had news, and once
        a visit.
        """
        if not self._insert(site, page, now) and again:
            self._database.execute(
                "update pages set state = 'due', due_at = ? where site = ? and name = ? and state ="
                " 'done' and done_at < ?",
                (now, site, self._cipher.name(site, page.name), began),
            )

    def _content(self, site: str, parsed: PageContent, own: Sequence[PageAddress]) -> bytes:
        """Digest of what is on a page, whatever its URL says."""
        return self._cipher.name(
            site,
            "\x1e".join(
                [*(p.post_id for p in parsed.posts), *(p.name for p in own if p.number == 1)]
            ),
        )

    def _repeated(self, leased: PageLease, content: bytes) -> bytes:
        """The page of the series that says the same, b"" for none: some programs answer what is
        beyond the end with page 1.
        """
        query = (
            "select name from pages where site = ? and series = ? and content = ? and name <> ?"
            " limit 1"
        )
        series = self._cipher.name(leased.site, leased.page.series or leased.page.name)
        return bytes(
            self._database.execute(query, (leased.site, series, content, leased.name)).get or b""
        )

    def _leave(
        self, leased: PageLease, state: str, due_at: float, attempts: int, *, waits: bool = False
    ) -> None:
        with self._change(is_apart=True) as database:
            database.execute(
                "update pages set state = ?, due_at = ?, attempts = ?, waits = ? where site = ? and"
                " name = ?",
                (state, due_at, attempts, int(waits), leased.site, leased.name),
            )
        self._let_go(leased)

    def _let_go(self, leased: PageLease) -> None:
        """`leased` is in hand no more."""
        self._held.get(leased.site, set()).discard(leased.name)

    @contextlib.contextmanager
    def _change(self, *, durable: bool = True, is_apart: bool = False) -> Iterator[apsw.Connection]:
        """Run one transaction, with SQLite's errors told apart; `is_apart` says that no page
        becomes due but what is in hand.
        """
        with sqlite_errors(self._path), transaction(self._database, durable=durable):
            yield self._database
        if not is_apart:
            for pages in self._next.values():
                pages.clear()


def counted(page: PageAddress) -> int:
    """How many posts a list says that a thread has, 0 where it does not."""
    told = page.facts.get("posts", "")
    return int(told[:9]) if told.isdecimal() else 0
