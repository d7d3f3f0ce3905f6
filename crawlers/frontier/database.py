"""The frontier: pages that are due, leased and done, posts that were read, and the next visits.

    due ──lease──▶ leased ──finish──▶ done        finish is one transaction with the posts read
     ▲               │                            and the pages discovered, and is called only when
     └──postpone─────┴──too often──▶ parked       the captures are durable on the bus

It is stored in `frontier.sqlite`. Only the process that holds the lock of the site knows what is
leased: when it dies the page is still due. Finishing a page does not wait for the disk, and pages
that lead nowhere are written together (`crawlers.frontier.file`): a power cut or `kill -9` may undo
the last pages, which are then read twice. Nothing in the file is readable without
`frontier.key` (`crawlers.frontier.cipher`).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from crawlers.frontier.cipher import FrontierCipher
from crawlers.frontier.file import FrontierFile, PageWrites
from crawlers.frontier.forgetting import Forgetting
from crawlers.frontier.history import History
from crawlers.frontier.leases import NextPages, PageLease
from crawlers.frontier.posts import Posts
from crawlers.frontier.progress import Progress
from crawlers.frontier.schema import FINISH_PAGE, NEXT, TALLY, WAITING, WALK, WALK_THREADS
from crawlers.sites.pages import PageAddress, PageContent, Post, Withheld
from ullage.clock import Clock
from ullage.errors import ConfigError
from ullage.files.database import check_database, sqlite_errors
from ullage.inventory import Inventory
from ullage.running_time import DAY_SECONDS, RunningTime
from ullage.security.keys import compute_check_value
from ullage.settings import Context

FILE = "frontier.sqlite"
STATES = ("due", "leased", "done", "parked")
LONGEST_REST_SECONDS = 86400.0
"""Longest time between visits: a later due time was stored by a clock that was ahead, and the site
is due now.
"""
KEEP_DAYS = 90.0
MAX_ATTEMPTS = 6
FIRST_WAIT_SECONDS = 120.0
"""Wait after the first failure; each further failure doubles it, up to 32 minutes."""
KEY = "frontier.key"
SHOWN_SECONDS = 86400.0
"""Precision of the time of the last link to a page: storing each would cost a write per link."""
LAST_OF_SERIES = "select max(number) from pages where site = ? and series = ?"
THREAD = "select series, stamp, counted from pages where site = ? and name = ?"
SHOWN = "select series, shown_at, state from pages where site = ? and name = ?"


@dataclass(frozen=True, slots=True)
class VisitResult:
    """What changed when one page was finished.

    `new` counts new and edited posts, plus linked threads and items that are new or whose stamp has
    changed. `edited` counts edited posts, `gone` the deleted posts of the page's thread. `unread`
    counts the unread attached files of new and edited posts, by reason.
    """

    new: int = 0
    edited: int = 0
    gone: int = 0
    unread: Mapping[Withheld, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Visits:
    """The visits of a site until now; times are Unix seconds, 0 for never.

    The site is due at `due_at`; `success_at` is the end of its last successful visit. `failures`
    counts the failed visits since then that were blamed on the site, `count` all visits that ended.
    `whole_at` is when a successful visit first left no page due, 0 while the site's past is still
    being read.
    """

    due_at: float = 0.0
    success_at: float = 0.0
    failures: int = 0
    count: int = 0
    whole_at: float = 0.0

    def seconds_left(self, now: float) -> float:
        """Return the seconds until the next visit is due, 0 or less when it is.

        A date that is too far ahead comes from a wrong clock, and counts as due.
        """
        remaining = self.due_at - now
        return remaining if remaining <= LONGEST_REST_SECONDS else 0.0


def open_frontier(context: Context) -> Frontier:
    """Open the frontier of the data folder, and create the file if it is missing.

    Raises ConfigError if the file was made under a different `frontier.key`.
    """
    key = context.keys.read(KEY)
    frontier = Frontier(context.data, key, context.clock, inventory=context.inventory)
    frontier.check_key(compute_check_value(key, KEY))
    return frontier


class Frontier:
    """The state of the crawl; see the module.

    Each change is one transaction, which survives kill -9; that of an item is written with others.
    Raises UnavailableError while the disk refuses.
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
        self._file = FrontierFile(self._path, clock, inventory)
        self._database = self._file.database
        running = RunningTime(folder, clock, inventory)
        self.history = History(self._file, running)
        self.forgetting = Forgetting(self._file, running, keep_days * DAY_SECONDS)
        self._cipher, self._clock = FrontierCipher(key), clock
        self.progress = Progress(self._file, clock)
        self._posts = Posts(self._file, self._cipher)
        self._held: dict[str, set[bytes]] = {}
        self._next: dict[str, NextPages] = {}
        self._read_sites: dict[str, bool] = {}
        """Whether a visit to each site ever succeeded; a visit's begin and end ask again."""

    def check_key(self, value: str) -> None:
        """Compare `value` with the check value of the key under which the file was made.

        A file without a value stores this one. If the values differ, the file is closed and
        ConfigError is raised.
        """
        with self._change() as database:
            stored = database.execute("select value from key_check").get
            if stored is None:
                database.execute("insert into key_check values (?)", (value,))
        if stored not in (None, value):
            self.close()
            raise ConfigError(
                f"{self._path} was encrypted with a different {KEY}: restore that key from a backup"
            )

    @property
    def connection(self) -> apsw.Connection:
        """The database connection, for `crawlers.frontier.moving`, which moves rows unchanged.

        It shows all pages that are finished.
        """
        self._file.flush()
        return self._database

    @property
    def waiting(self) -> int:
        """The number of finished pages that `kill -9` would make due again."""
        return self._file.waiting

    def flush(self) -> None:
        """Write the finished pages that wait for others (`crawlers.frontier.file`)."""
        self._file.flush()

    def has_key_of(self, other: Frontier) -> bool:
        """Return whether the digests of `other` were made under the same key."""
        return self._cipher.name("", "") == other._cipher.name("", "")

    def adopt(self, other: Frontier, row: Mapping[str, Any]) -> None:
        """Insert a row of the table `pages` of `other`, encrypted again under this frontier's key.

        `row` maps column names to values. The digest of the page's content cannot be converted and
        is stored empty. The caller must have opened a transaction. Raises CorruptError if the row
        cannot be decrypted under the key of `other`.
        """
        site = row["site"]
        page = other._cipher.open(site, row["name"], row["sealed"])
        validators = row["validators"] and other._cipher.open_bytes(
            site, row["name"], row["validators"]
        )
        name = self._cipher.name(site, page.name)
        values = {
            **row,
            "name": name,
            "sealed": self._cipher.seal(site, name, page),
            "series": self._cipher.name(site, page.series or page.name),
            "stamp": self._cipher.name(site, page.stamp),
            "content": b"",
            "validators": validators and self._cipher.seal_bytes(site, name, validators),
        }
        columns, places = ", ".join(values), ", ".join("?" * len(values))
        self._database.execute(
            f"insert into pages ({columns}) values ({places})",  # noqa: S608 - our own columns
            tuple(values.values()),
        )

    def close(self) -> None:
        """Write what waits, and close the file."""
        self._file.close()

    def check(self) -> None:
        """Read the whole file; raise CorruptError unless it is intact."""
        check_database(self._database, self._path)

    def recover(self, site: str) -> int:
        """Drop the leases of `site` that this process still holds from an interrupted visit.

        The pages are still due in the file. Returns the number of dropped leases, 0 after a
        restart.
        """
        self._next.pop(site, None)
        return len(self._held.pop(site, ()))

    def begin_visit(self, site: str, starts: Sequence[PageAddress], walk: int = 0) -> float:
        """Make the first pages of all lists of `site` due, and add those of `starts` that are new.

        Due pages whose time is more than a day ahead were stored under a wrong clock and become due
        now. With `walk`, read pages become due again: of later list pages, the `walk` with the
        lowest numbers and the `walk` that were read the longest ago; of thread pages, the `walk`
        that changed last and the `walk` that were read the longest ago. Returns the time in Unix
        seconds, which `finish` needs as `began`.
        """
        now = self._clock.wall()
        self._read_sites.pop(site, None)
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
        """Lease one page of `site` whose time has come; return None if no page is due.

        First pages of lists go first, then threads and items, then later pages of lists; of equals,
        the one that became due last goes first. The lease is in memory only. It ends with `finish`,
        `finish_unchanged`, `postpone`, `postpone_missing`, `park` or `recover`. Raises CorruptError
        if the frontier is damaged, UnavailableError if it cannot be read.
        """
        leased, pages = self._held.setdefault(site, set()), self._next.setdefault(site, NextPages())
        if not pages.rows:
            pages.grow()
            with self._file.reading():
                for turn in range(3):
                    bindings = site, turn, self._clock.wall(), len(leased) + pages.count
                    rows: Any = self._database.execute(NEXT, bindings).fetchall()
                    pages.rows = [row for row in rows if row[0] not in leased][::-1]
                    if pages.rows:
                        break
                else:
                    return None
        name, sealed, stamp, attempts, entries, size, validators = pages.rows.pop()
        page, validators_ = (
            self._cipher.open(site, name, sealed),
            validators and self._cipher.open_bytes(site, name, validators),
        )
        leased.add(name)
        return PageLease(site, name, page, stamp, attempts, entries, size, validators_)

    def unseen(self, site: str, posts: Sequence[Post]) -> tuple[Post, ...]:
        """Return, in order, the posts of which this version was not recorded yet.

        A post of which an earlier version is recorded is returned as a copy with `edited` set to
        True. Nothing is stored: `finish` records posts. Raises CorruptError if the frontier is
        damaged, UnavailableError if it cannot be read.
        """
        with sqlite_errors(self._path):
            return self._posts.unseen(site, posts)

    def post_name(self, site: str, post: Post) -> str:
        """Return the keyed name of a post in hexadecimal, which an edit does not change.

        Returns "" if the post's id is not permanent (`Post.lasting`).
        """
        return self._cipher.digest_post(site, post).hex()

    def find_unreported_gone(self, site: str, most: int) -> list[tuple[bytes, float]]:
        """Return at most `most` deleted posts of `site` that were not yet reported, oldest first.

        Each is (keyed name of the post, Unix seconds when its deletion was noticed).
        """
        with self._file.reading():
            return self._posts.find_unreported_gone(site, most)

    def mark_reported_gone(self, site: str, taken: Sequence[tuple[bytes, float]]) -> None:
        """Delete these entries of `find_unreported_gone`, so that it does not return them again.

        Call it only when the bus durably holds the report of each deletion.
        """
        with self._change(is_apart=True):
            self._posts.mark_reported_gone(site, taken)

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
        """Record a fetched page as done, with its posts and links, and return what was new.

        Call it only when every unseen post is durable on the bus. The change survives kill -9, but
        a power cut may undo it; that of an item without links waits to be written with others.
        `began` is the result of `begin_visit`: a list page that was read
        since then is not made due again, so that circular lists end. `size` is the page's size in
        bytes; it is stored only if the page has entries. With `deep`, a linked thread without a
        stamp is read again too, if its last page was not read since `began`. The page stays due if
        its stamp changed since it was leased. The lease ends. A list page whose content repeats an
        earlier page of its list adds no pages of that list.
        """
        if leased.page.role == "item" and leased.page.number == 1 and not parsed.pages:
            return self._finish_item(leased, parsed, size)
        site, now, page_writes = leased.site, self._clock.wall(), PageWrites()
        is_apart = not parsed.pages and leased.page.role != "thread"
        with self._change(durable=False, is_apart=is_apart):
            entries = [page for page in parsed.pages if page.role != "list"]
            content = self._digest_content(site, parsed, entries)
            repeated = self._find_repeated(leased, content) if leased.page.number > 1 else b""
            new, edited = self._record(
                page_writes, site, parsed.posts, repeated or leased.name, now
            )
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
            entry_count = len(parsed.posts) + (
                0 if leased.page.role == "thread" and parsed.posts else len(entries)
            )
            sealed_validators = validators and self._cipher.seal_bytes(
                site, leased.name, validators
            )
            page_writes.add(
                FINISH_PAGE,
                *(leased.stamp, content, now, sealed_validators, entry_count, size),
                *(site, leased.name),
            )
            self._file.write(page_writes)
            gone = (
                self._record_gone_posts(leased, () if repeated else parsed.posts, now, began)
                if parsed.whole
                else 0
            )
            if gone:
                self._database.execute(TALLY, (site, "gone", gone))
        self._release(leased)
        return VisitResult(news, len(edited), gone, _count_unread(*new, *edited))

    def _finish_item(self, leased: PageLease, parsed: PageContent, size: int) -> VisitResult:
        """Record a page that leads nowhere; it is written together with others."""
        site, now, page_writes = leased.site, self._clock.wall(), PageWrites()
        with sqlite_errors(self._path):
            new, edited = self._record(page_writes, site, parsed.posts, leased.name, now)
            content = self._digest_content(site, parsed, ())
            page_writes.add(
                FINISH_PAGE,
                *(leased.stamp, content, now, b"", len(parsed.posts), size, site, leased.name),
            )
            self._file.defer(page_writes)
        self._release(leased)
        return VisitResult(len(new) + len(edited), len(edited), 0, _count_unread(*new, *edited))

    def _record(
        self, to: PageWrites, site: str, posts: Sequence[Post], page: bytes, now: float
    ) -> tuple[list[Post], list[Post]]:
        """Add to `to` that posts were read on `page`; return the new and the edited ones."""
        noted = [(post, self._posts.record(to, site, post, page, now)) for post in posts]
        new, edited = ([post for post, news in noted if news == word] for word in ("new", "edited"))
        if new:
            self.history.note_posts(to, site, new, known=self._is_read(site))
        if edited:
            to.add(TALLY, site, "edited", len(edited))
        return new, edited

    def _record_gone_posts(
        self, leased: PageLease, shown: Sequence[Post], now: float, began: float
    ) -> int:
        """Record the posts that a thread no longer shows; return how many were deleted.

        The page `leased` was read and shows the posts `shown`. Returns 0 for a page that is not of
        a thread. Posts that the page no longer shows are recorded as missing; if there are any, the
        thread's other pages become due, because the posts may have moved. On an empty first page,
        all posts of the thread are missing.
        """
        if leased.page.role != "thread":
            return 0
        site, series = (
            leased.site,
            self._cipher.name(leased.site, leased.page.series or leased.page.name),
        )
        if not shown and leased.page.number == 1:
            self._posts.miss_all(site, series, now)
        elif self._posts.miss(site, shown, leased.name, now):
            self._posts.make_thread_due(site, series, now, since=began, before=leased.page.number)
        return self._posts.collect_gone(site, series, now)

    def finish_unchanged(self, leased: PageLease) -> None:
        """Record a page as done that the site reports as unchanged since it was last read.

        The posts, links and validators that are stored of it stay.
        """
        with self._change(durable=False, is_apart=True) as database:
            database.execute(
                "update pages set state = 'done', done_at = ?, attempts = 0 where site = ? and"
                " name = ?",
                (self._clock.wall(), leased.site, leased.name),
            )
        self._release(leased)

    def postpone(
        self,
        leased: PageLease,
        seconds: float | None = None,
        *,
        at_least: float = 0.0,
        waits: bool = False,
    ) -> str:
        """Release a page to be fetched again later; return its new state, `due` or `parked`.

        With `seconds`, the page is due after that time, and no failure is added. Without, a failure
        is added: the wait starts at 2 minutes and doubles with each, and after `MAX_ATTEMPTS`
        failures the page is parked, that is, given up. The wait is never below `at_least` seconds.
        `waits` says that the reason will pass: `count_waiting` then counts the page.
        """
        attempts = leased.attempts + 1 if seconds is None else max(leased.attempts, int(waits))
        state = "parked" if attempts >= MAX_ATTEMPTS else "due"
        wait = FIRST_WAIT_SECONDS * 2.0 ** (attempts - 1) if seconds is None else seconds
        self._set_state(
            leased, state, self._clock.wall() + max(wait, at_least), attempts, waits=waits
        )
        return state

    def count_entries(self, leased: PageLease) -> int:
        """Return the sum of entries over all stored pages of the leased page's list or thread.

        Entries are posts and linked threads or items; an unread page counts 0.
        """
        return self._query_series(
            "select sum(entries) from pages where site = ? and series = ?", leased
        )

    def count_announced_posts(self, leased: PageLease) -> int:
        """Return how many posts the list states for the leased page's thread, 0 for none."""
        return self._query_series(
            "select counted from pages where site = ? and series = ? and number = 1", leased
        )

    def _query_series(self, query: str, leased: PageLease) -> int:
        series = self._cipher.name(leased.site, leased.page.series or leased.page.name)
        with self._file.reading():
            return int(self._database.execute(query, (leased.site, series)).get or 0)

    def postpone_missing(self, leased: PageLease, seconds: float) -> None:
        """Postpone by `seconds` a page that does not exist yet, on a site with ascending ids.

        The page becomes done instead if a page with a higher number in its series was read and had
        entries: then its number was skipped. Its attempts are reset.
        """
        query = (
            "select 1 from pages where site = ? and series = ? and number > ? and entries > 0"
            " limit 1"
        )
        series = self._cipher.name(leased.site, leased.page.series)
        with self._file.reading():
            passed = self._database.execute(
                query, (leased.site, series, leased.page.number)
            ).fetchone()
        self._set_state(leased, "done" if passed else "due", self._clock.wall() + seconds, 0)

    def park(self, leased: PageLease) -> None:
        """Give a leased page up; it is not fetched again until `retry_parked` makes it due."""
        self._set_state(leased, "parked", self._clock.wall(), leased.attempts)

    def retry_parked(self, site: str, most: int = -1) -> int:
        """Make at most `most` parked pages of `site` due now, and return how many were.

        The pages with the earliest stored time go first; a negative `most` means all. Their
        attempts are reset.
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
        """Record the end of a visit, and that `site` is due again at `due_at` (Unix seconds).

        A success resets the count of failures. A failure adds one to it only if `counts`. The
        number of visits grows in every case.
        """
        now = self._clock.wall()
        self._read_sites.pop(site, None)
        with self._change() as database:
            is_whole = (
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
                (site, due_at, int(succeeded), now, int(counts), int(is_whole)),
            )

    def visits(self, site: str) -> Visits:
        """Return when `site` was and will be visited; all 0 for an unknown site."""
        query = "select due_at, success_at, failures, visits, whole_at from sites where name = ?"
        with self._file.reading():
            row = self._database.execute(query, (site,)).fetchone()
        return Visits(*row) if row else Visits()

    def count_waiting(self, site: str, *, untried: bool) -> int:
        """Count the due pages of `site` that failed for a reason that will pass.

        With `untried`, pages that were never read and whose time has come count too.
        """
        with self._file.reading():
            return int(
                self._database.execute(WAITING, (site, int(untried), self._clock.wall())).get or 0
            )

    def count_pages(self, site: str) -> Mapping[str, int]:
        """Return the number of pages of `site` by state: `due`, `leased`, `done` and `parked`.

        All four keys are present, with 0 for none. A leased page is not counted as due.
        """
        with self._file.reading():
            rows: Any = self._database.execute(
                "select state, count(*) from pages where site = ? group by state", (site,)
            ).fetchall()
        counts = {**dict.fromkeys(STATES, 0), **dict(rows)}
        counts["leased"] = len(self._held.get(site, ()))
        return {**counts, "due": counts["due"] - counts["leased"]}

    def _is_read(self, site: str) -> bool:
        """Return whether a visit to `site` ever succeeded."""
        if site not in self._read_sites:
            query = "select success_at > 0 from sites where name = ?"
            self._read_sites[site] = bool(self._database.execute(query, (site,)).get)
        return self._read_sites[site]

    def _insert(self, site: str, page: PageAddress, now: float) -> bool:
        """Add `page` as due if it is new; return whether it was added.

        Of a stored page, the address is updated unless it is done, and the time at which its thread
        was last shown, at most once in SHOWN_SECONDS (a day).
        """
        name = self._cipher.name(site, page.name)
        stored = self._database.execute(SHOWN, (site, name)).fetchone()
        if stored:  # most are stored already, and encrypting costs ten times this
            series, shown_at, state = stored
            if state != "done":  # its address may have changed
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
            "insert into pages (site, name, sealed, role, series, number, stamp, due_at, shown_at,"
            " counted) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9)",
            (
                site, name, self._cipher.seal(site, name, page), page.role,
                self._cipher.name(site, page.series or page.name),
                page.number, self._cipher.name(site, page.stamp), now, parse_post_count(page),
            ),
        )  # fmt: skip
        return True

    def _discover(
        self, site: str, page: PageAddress, now: float, unread_since: float = 0.0
    ) -> bool:
        """Record a thread or item; return whether it is new or its stamp has changed.

        Of a changed thread only the last known page is read again, because new posts are
        there and behind it. The same applies to a thread without a stamp that was not read
        since `unread_since`. A thread with fewer posts than before is read completely.
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
        post_count = parse_post_count(page)
        self._database.execute(
            "update pages set stamp = ?, counted = ? where site = ? and name = ?",
            (stamp, post_count, site, name),
        )
        is_reread = post_count < before and self._posts.make_thread_due(site, series, now)
        self._database.execute(
            "update pages set state = 'due', due_at = ?, attempts = 0, stamp = ? where site = ? and"
            " series = ? and number = ?",
            (now - last / 1000.0 if is_reread else now, stamp, site, series, last),
        )
        return True

    def _discover_list(
        self, site: str, page: PageAddress, now: float, began: float, again: bool
    ) -> None:
        """Record a list page.

        A known one is read again only behind a page that had news, and one time per visit.
        """
        if not self._insert(site, page, now) and again:
            self._database.execute(
                "update pages set state = 'due', due_at = ? where site = ? and name = ? and state ="
                " 'done' and done_at < ?",
                (now, site, self._cipher.name(site, page.name), began),
            )

    def _digest_content(
        self, site: str, parsed: PageContent, entries: Sequence[PageAddress]
    ) -> bytes:
        """Return the digest of a page's content, whatever its URL."""
        return self._cipher.name(
            site,
            "\x1e".join(
                [*(p.post_id for p in parsed.posts), *(p.name for p in entries if p.number == 1)]
            ),
        )

    def _find_repeated(self, leased: PageLease, content: bytes) -> bytes:
        """Return the page of the series with the same content, b"" for none.

        Some site software answers pages beyond the end with page 1.
        """
        query = (
            "select name from pages where site = ? and series = ? and content = ? and name <> ?"
            " limit 1"
        )
        series = self._cipher.name(leased.site, leased.page.series or leased.page.name)
        return bytes(
            self._database.execute(query, (leased.site, series, content, leased.name)).get or b""
        )

    def _set_state(
        self, leased: PageLease, state: str, due_at: float, attempts: int, *, waits: bool = False
    ) -> None:
        with self._change(is_apart=True) as database:
            database.execute(
                "update pages set state = ?, due_at = ?, attempts = ?, waits = ? where site = ? and"
                " name = ?",
                (state, due_at, attempts, int(waits), leased.site, leased.name),
            )
        self._release(leased)

    def _release(self, leased: PageLease) -> None:
        """Forget the lease of a page."""
        self._held.get(leased.site, set()).discard(leased.name)

    @contextlib.contextmanager
    def _change(self, *, durable: bool = True, is_apart: bool = False) -> Iterator[apsw.Connection]:
        """Run one transaction, and translate SQLite's errors.

        `is_apart` states that no page becomes due except the leased ones.
        """
        with self._file.changing(durable=durable) as database:
            yield database
        if not is_apart:
            for pages in self._next.values():
                pages.clear()


def _count_unread(*posts: Post) -> Counter[Withheld]:
    """Count the unread attached files of `posts`, by reason."""
    return Counter(why for post in posts for why in post.unread)


def parse_post_count(page: PageAddress) -> int:
    """Return the number of posts that a list states for the thread `page`, from its fact `posts`.

    Only the first nine digits are used. Returns 0 if the fact is missing or is not a plain number.
    """
    text = page.facts.get("posts", "")
    return int(text[:9]) if text.isdecimal() else 0
