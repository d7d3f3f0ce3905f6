"""The state of one visit to one site: leased pages, results, and when to stop.

The spider, middlewares and pipelines share it. A visit ends when no page is due, when it has read
`max_pages`, when the site asks for a pause (429, or 503 for the first page of a list), when the
first page of a list is blocked, when a browser is needed and not available, after five failures in
succession, when the site's night begins, or when the process is told to stop. The remaining pages
stay due. A 503 for any other page concerns that page only: it is postponed for as long as the site
asks, and the others are read.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from crawlers.fetching import response_checks
from crawlers.fetching.address_pin import Resolved
from crawlers.fetching.outcomes import FATES, PASSES, RESTS, Fate
from crawlers.fetching.proxy import Proxy
from crawlers.fetching.rendering import Browsers
from crawlers.fetching.robots import RobotsCache
from crawlers.fetching.site_session import SiteLogin
from crawlers.frontier.database import LONGEST_REST_SECONDS, Frontier, VisitResult
from crawlers.frontier.history import present_fields
from crawlers.frontier.leases import PageLease
from crawlers.metrics import CrawlMetrics
from crawlers.platforms import Platform, with_preset_options
from crawlers.publishing.batching import Appends
from crawlers.publishing.outbox import CaptureOutbox
from crawlers.sites.completeness import Absent
from crawlers.sites.page_reader import COUNTED
from crawlers.sites.pages import PARENT, PageContent
from crawlers.sites.posting_rhythm import HOUR
from crawlers.sites.site import Site
from crawlers.sites.visit_verdict import FRONT, LEAST_PAGES, UNKNOWN, Evidence, Profile
from ullage import log
from ullage.clock import Clock

RATE_HOURS = 6
"""The number of hours, including the current one, from which a site's posting rate is taken."""
POSTS_A_VISIT = 5.0
"""New posts that a visit should find."""


def revisit_seconds(site: Site, arrivals: Mapping[int, int], now: float) -> float:
    """Return for how many seconds the site rests after a successful visit.

    `arrivals` counts posts by hour (Unix seconds // 3600); the present hour and the five before it
    are used. The result is the time in which `POSTS_A_VISIT` posts arrive at that rate, but at
    least `site.shortest_revisit` and at most `site.revisit_seconds`. Without posts it is
    `site.revisit_seconds`.
    """
    this = int(now // HOUR)
    posts = sum(arrivals.get(hour, 0) for hour in range(this - RATE_HOURS + 1, this + 1))
    if not posts:
        return site.revisit_seconds
    seconds = (RATE_HOURS - 1) * HOUR + now - this * HOUR
    return min(site.revisit_seconds, max(site.shortest_revisit, POSTS_A_VISIT * seconds / posts))


def reading_seconds(site: Site, pages: int) -> float:
    """Return an estimate of the seconds that reading `pages` pages takes at the site's pace.

    It adds one `delay_seconds` between any two successive pages of a visit, and one
    `revisit_seconds` between any two successive visits of `max_pages` pages. The time for
    downloading is not included.
    """
    visits = max(1, math.ceil(pages / site.max_pages))
    return max(0, pages - visits) * site.delay_seconds + (visits - 1) * site.revisit_seconds


MAX_FAILURES_IN_A_ROW = 5
SLOW_SECONDS = 0.25
"""A request that takes longer gives up its permit, so that it does not hold up other sites.

Otherwise several sites that never answer could block the start.
"""


@dataclass(slots=True)
class Visit:
    """One visit to one site; see the module.

    `may_lease` returns whether the process wants more pages. `permits` limits requests over all
    sites. Captures are written to the bus through `appends`.
    """

    site: Site
    platform: Platform
    frontier: Frontier
    outbox: CaptureOutbox
    robots: RobotsCache
    metrics: CrawlMetrics
    clock: Clock
    permits: asyncio.Semaphore
    may_lease: Callable[[], bool]
    appends: Appends
    one_large: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Locked while a large page is parsed in a thread: only one such tree is in memory."""
    proxy: Proxy | None = None
    """The proxy that the site's file names, if it exists."""
    browsers: Browsers | None = None
    """The browsers that render pages filled by a script."""
    session: SiteLogin | None = None
    """The cookies that the site's file names, if they exist."""
    resolved: Resolved = field(default_factory=dict)
    """The addresses of the site's hosts, as far as they may be contacted."""
    began: float = 0.0
    deep: bool = False
    """Whether older pages of the lists are read too, and every page completely."""
    first: bool = False
    """Whether the site's past is still being read."""
    leased: int = 0
    read: int = 0
    captured: int = 0
    edited: int = 0
    gone: int = 0
    """Posts that were changed, and posts that were deleted."""
    seen: Evidence = field(default_factory=Evidence)
    """What the pages showed, for `crawlers.sites.visit_verdict`."""
    profile: Profile = UNKNOWN
    """The profile of the site's posts before this visit."""
    absent: Absent | None = None
    """How the site answers for pastes that do not exist, if it was asked.

    See `crawlers.sites.completeness`.
    """
    is_judged: bool = False
    """Whether the site is new and got a state before the end of the visit."""
    fault: Exception | None = None
    """An error that must end the process, such as a damaged frontier."""
    _held: set[bytes] = field(default_factory=set)
    _permitted: dict[bytes, asyncio.TimerHandle] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _never_read: list[PageLease] = field(default_factory=list)
    """Missing pages that never held a post.

    They are given up if the visit reads no post at all, because their address may be wrong.
    """
    _failures: int = 0
    _broken_off: bool = False
    _rest: float = 0.0

    @property
    def lacks_session(self) -> bool:
        """Whether the site's file names a session that is missing or has expired."""
        return bool(self.site.cookies) and (
            self.session is None or self.session.has_expired(self.clock.wall())
        )

    @property
    def reading(self) -> Site:
        """The site with all its reading options, including those of its preset."""
        return with_preset_options(self.site, self.platform)

    def begin(self) -> None:
        """Start the visit in the frontier: the first pages of the site's lists become due.

        Sets `profile`, `first`, `deep` and `began`. Every `deep_every`-th visit is deep: about
        `deep_pages` older pages become due too. After many unread pages, up to `LEAST_PAGES` parked
        pages are tried again.
        """
        standing = self.frontier.history.load(self.site.name)
        self.profile = standing.profile
        if standing.unread.speaks:
            self.frontier.retry_parked(self.site.name, LEAST_PAGES)
        visits = self.frontier.visits(self.site.name)
        self.first = not visits.whole_at
        self.deep = bool(self.site.deep_every) and (visits.count + 1) % self.site.deep_every == 0
        walk = -(-self.site.deep_pages // 2) if self.deep else 0
        self.began = self.frontier.begin_visit(self.site.name, self.platform.start(self.site), walk)

    async def next_page(self) -> PageLease | None:
        """Lease the next page; return None when the visit is over.

        Waits while `concurrency` pages are in progress, or while no page is due but one in progress
        may link to more. Also waits for one of `permits`, which the page returns when it ends or
        after `SLOW_SECONDS`. Raises UnavailableError if `may_lease` does, or if the frontier cannot
        be read.
        """
        while self.wants_more():
            if len(self._held) < self.site.concurrency:
                await self.permits.acquire()
                leased = self.frontier.lease(self.site.name) if self.wants_more() else None
                if leased is not None:
                    self._held.add(leased.name)
                    self.leased += 1
                    later = asyncio.get_running_loop().call_later
                    self._permitted[leased.name] = later(
                        SLOW_SECONDS, self._yield_permit, leased.name
                    )
                    return leased
                self.permits.release()
                if not self._held:
                    return None
            self._changed.clear()
            await self._changed.wait()
        return None

    def wants_more(self) -> bool:
        """Return whether another page may be leased now.

        It may not after the visit was broken off, at night, after `max_pages` leased pages, or
        while `may_lease` returns False. Raises UnavailableError if `may_lease` does.
        """
        now = self.clock.wall()
        is_night = self.site.find_next_allowed(now) > now
        return (
            not (self._broken_off or is_night)
            and self.leased < self.site.max_pages
            and self.may_lease()
        )

    def finished(
        self,
        leased: PageLease,
        parsed: PageContent,
        captured: int,
        size: int = 0,
        outcome: str = "ok",
        validators: bytes = b"",
    ) -> None:
        """Record a page that was read and whose captures are durable, and end its lease.

        `captured` is the number of its captures, `size` its bytes. `outcome` is "ok", or the
        outcome of a list that leads to no post. The page's posts and links go to the frontier; the
        count of failures in succession is reset.
        """
        self._note(
            self.frontier.finish(leased, parsed, self.began, size, validators, deep=self.deep)
        )
        if PARENT in leased.page.facts:
            self._note_file("read" if parsed.whole else "cut")
        self.seen.note_posts(map(present_fields, parsed.posts))
        for post in parsed.posts:
            self.seen.texts.note_read(post)
        self.seen.lacking = parsed.lacking or self.seen.lacking
        self._note_thread(leased, parsed)
        self.read, self.captured, self._failures = self.read + 1, self.captured + captured, 0
        self.metrics.captures.labels(self.metrics.site_label(self.site.name)).inc(captured)
        if self.first and not self.read - 1:
            self.tell_left()
        is_front = (
            outcome == "ok"
            and parsed.pages
            and not (leased.entries or response_checks.count_entries(parsed))
        )
        self._release(leased, outcome, shown=FRONT if is_front and is_head(leased) else "")

    def _note(self, found: VisitResult) -> None:
        """Count the edits, deletions and unread files that a page revealed."""
        self.edited, self.gone = self.edited + found.edited, self.gone + found.gone
        self.metrics.edited.inc(found.edited)
        self.metrics.gone.inc(found.gone)
        for why, count in found.unread.items():
            self._note_file(why, count)

    def _note_file(self, word: str, count: int = 1) -> None:
        """Count `count` attached files with the outcome `word`."""
        self.metrics.files.labels(word).inc(count)
        self.frontier.history.add_counts(self.site.name, {f"file_{word}": count})

    def _note_thread(self, leased: PageLease, parsed: PageContent) -> None:
        """Record, at the end of a thread, whether all its posts were found.

        The expected number is stated by its list or its own page.
        """
        page = leased.page
        if page.role != "thread" or any(
            follow_up.series == page.series for follow_up in parsed.pages
        ):
            return
        if counted := self.frontier.count_announced_posts(leased) or parsed.counted:
            self.seen.note_thread(counted, self.frontier.count_entries(leased), page.number)

    def unchanged(self, leased: PageLease) -> None:
        """Count a list that the site reports as unchanged as read, and end its lease."""
        self.frontier.finish_unchanged(leased)
        self.read, self._failures = self.read + 1, 0
        self._release(leased, "unchanged")

    def tell_left(self) -> None:
        """Log how many pages of the site are due, and an estimate of the seconds to read them.

        Nothing is logged if no page is due.
        """
        if pages := self.frontier.count_pages(self.site.name)["due"]:
            seconds = round(reading_seconds(self.site, pages))
            log.get("crawl").info(
                "first_reading", site=self.site.name, pages=pages, seconds=seconds
            )

    def failed(
        self, leased: PageLease, outcome: str, wait: float | None = None, cause: str = ""
    ) -> None:
        """Record a page that was not read, end its lease, and decide when it is tried again.

        `outcome` is a key of `FATES`: the page is gone, given up, or due again later. `wait` is how
        many seconds the site asked for, None if it did not. `cause` is a more specific reason word
        of `crawlers.sites.visit_verdict`, or "". The visit ends after `MAX_FAILURES_IN_A_ROW`
        failures in succession that can be retried. It ends at once if the site is busy or a browser
        is missing, or if the first page of a list is blocked or unavailable. A page that is not
        leased by this visit is ignored.
        """
        if leased.name not in self._held:
            return
        is_file = PARENT in leased.page.facts
        if is_file and (why := response_checks.WITHHELD.get(outcome)):
            self._note_file(why)
            outcome = "gone" if outcome == "gone" else "withheld"
        fate = FATES[outcome]
        if fate is Fate.GONE:
            self._is_gone(leased)
        elif fate is Fate.GIVE_UP:
            self.frontier.park(leased)
        elif fate is Fate.LATER:
            self.frontier.postpone(
                leased, wait or self.site.revisit_seconds, waits=outcome in PASSES
            )
        elif (
            self.frontier.postpone(leased, at_least=wait or 0.0, waits=outcome in PASSES)
            == "parked"
        ):
            if is_file:
                self._note_file("failed")
            log.get("crawl").warning(
                "page_parked", site=self.site.name, reason=outcome, attempts=leased.attempts + 1
            )
        self._failures += fate is Fate.RETRY
        if outcome in RESTS:
            self._rest = max(self._rest, wait or 0.0)
        ends = outcome in ("busy", "browser") or (
            outcome in ("blocked", "unavailable") and is_head(leased)
        )
        self._broken_off = self._broken_off or ends or self._failures >= MAX_FAILURES_IN_A_ROW
        self._release(leased, outcome, cause)

    def _is_gone(self, leased: PageLease) -> None:
        """Record a page that does not exist, or does not exist yet.

        The latter is the page of a numbered paste: it is tried again after `revisit_seconds` and
        counts as read. Any other is finished without posts; a thread or paste that never held a
        post is parked if the visit reads none.
        """
        if COUNTED in leased.page.facts:
            self.frontier.postpone_missing(leased, self.site.revisit_seconds)
            self.read += 1  # the site answered the question of what is new
            return
        self._note(self.frontier.finish(leased, PageContent(), self.began))
        if leased.page.role != "list" and PARENT not in leased.page.facts and not leased.entries:
            self._never_read.append(leased)

    def break_off(self, fault: Exception) -> None:
        """Lease no more pages, and let `Visitor.run` raise `fault` at the end of the visit."""
        self.fault, self._broken_off = fault, True
        self._changed.set()

    def wake(self) -> None:
        """Let a waiting `next_page` check again whether more is wanted."""
        self._changed.set()

    def count_waiting(self) -> None:
        """Set `seen.waiting` and `seen.unread_past`, the numbers of known pages that were not read.

        `waiting` counts due pages whose failure will pass, and also pages that were never read,
        except in a visit that still reads the site's past and was not broken off. `unread_past`
        counts both kinds while the past is being read, and is 0 afterwards.
        """
        self.seen.waiting = self.frontier.count_waiting(
            self.site.name, untried=self._broken_off or not self.first
        )
        self.seen.unread_past = self._unread_past()

    def so_far(self) -> Evidence:
        """Return a copy of `seen` while the visit goes on, with its counts of unread pages.

        `waiting` is the number of due pages as long as no post was read, and 0 afterwards.
        """
        due = 0 if self.seen.posts else self.frontier.count_pages(self.site.name)["due"]
        return replace(self.seen, waiting=due, unread_past=self._unread_past())

    def _unread_past(self) -> int:
        return self.frontier.count_waiting(self.site.name, untried=True) if self.first else 0

    def end(self, *, blamed: bool = True) -> bool:
        """Store when the site is due next; return whether the visit succeeded.

        A visit succeeds if it read a page and was not broken off. After a failure the pause doubles
        with each earlier failure in succession, up to a day; if it is not `blamed` on the site, the
        pause is `revisit_seconds` and the failure is not counted. A longer pause that the site
        asked for is kept. If no post was read, missing pages that never held a post are given up.
        """
        succeeded = self.read > 0 and not self._broken_off
        for leased in () if self.seen.posts else self._never_read:
            self.frontier.park(leased)
        counts = succeeded or blamed
        now = self.clock.wall()
        if succeeded:
            wait = revisit_seconds(self.site, self.frontier.history.arrivals(self.site.name), now)
        else:
            failures = self.frontier.visits(self.site.name).failures if counts else 0
            wait = self.site.revisit_seconds * 2.0 ** min(failures, 16)
        pause = min(LONGEST_REST_SECONDS, max(wait, self._rest if self._broken_off else 0.0))
        self.frontier.end_visit(
            self.site.name, self.site.find_next_allowed(now + pause), succeeded, counts=counts
        )
        if self.first and self.read:
            self.tell_left()
        return succeeded

    def _release(self, leased: PageLease, outcome: str, cause: str = "", shown: str = "") -> None:
        """Return a leased page and note its outcome.

        The outcome is counted, noted for the site's state, and the page's place and permit become
        free. `cause` is a more specific reason. `shown` is what the page shows about the site where
        that differs from its outcome, "" if not.
        """
        self.metrics.count_page(self.site.name, outcome)
        ahead = outcome == "gone" and COUNTED in leased.page.facts  # not posted yet: no fault
        shown = shown or ("ok" if outcome == "unchanged" else "ahead" if ahead else outcome)
        self.seen.note(shown, head=is_head(leased), cause=cause)
        self._held.discard(leased.name)
        self._yield_permit(leased.name)
        self._changed.set()

    def _yield_permit(self, name: bytes) -> None:
        """Release a page's permit for another site.

        The page was read, or it waits for a site that does not answer.
        """
        if timer := self._permitted.pop(name, None):
            timer.cancel()
            self.permits.release()


def is_head(leased: PageLease) -> bool:
    """Return whether a page is the first of a list, where new posts appear."""
    return leased.page.role == "list" and leased.page.number == 1
