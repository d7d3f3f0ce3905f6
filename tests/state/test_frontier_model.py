"""Any sequence of visits, leases, answers, waits, deaths and forgetting agrees with the frontier's
rules written down plainly.

    known ──▶ due ──lease──▶ in hand ──finish──▶ done ──captures expired unread──▶ due
               ▲                │                  └──not shown for long──▶ forgotten
               └────postpone────┴──too often, given up──▶ parked ──try again──▶ due

Pages are heads of lists and items, which are read once; threads have tests of their own
(`tests/crawlers/test_frontier.py`).
"""

from copy import deepcopy
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from crawlers.frontier.database import (
    FIRST_WAIT_SECONDS,
    LONGEST_REST_SECONDS,
    MAX_ATTEMPTS,
    SHOWN_SECONDS,
    Frontier,
)
from crawlers.frontier.leases import PageLease
from crawlers.sites.pages import PageAddress, PageContent
from tests.conftest import HeldClock
from tests.crawlers.support import KEY, item, post
from tests.state.copies import Disk

KEEP_DAYS = 3.0
HEADS = {site: PageAddress(f"http://{site}.example/list", "list") for site in ("one", "two")}
SITE = st.sampled_from(sorted(HEADS))
ITEMS = st.sets(st.integers(1, 5), max_size=4).map(sorted)
POSTS = st.dictionaries(st.integers(1, 4), st.sampled_from(["said", "edited"]), max_size=3)


@dataclass
class PageState:
    """A page as the frontier must know it; times in Unix seconds."""

    page: PageAddress
    due_at: float
    shown_at: float
    state: str = "due"
    done_at: float = 0.0
    attempts: int = 0

    @property
    def is_head(self) -> bool:
        return self.page.role == "list"


@dataclass
class PostVersion:
    """A version of a post: when it was first read, and on which page it stood last."""

    at: float
    page: str


@dataclass
class Site:
    """All of a site; posts by id and wording."""

    pages: dict[str, PageState] = field(default_factory=dict)
    posts: dict[tuple[int, str], PostVersion] = field(default_factory=dict)
    leases: list[PageLease] = field(default_factory=list)
    began: float = 0.0

    def names(self) -> set[str]:
        return {leased.page.name for leased in self.leases}

    def can_be_leased(self, now: float) -> list[PageState]:
        """List the due pages that nobody holds, of the best class: heads of lists first."""
        due = [
            k
            for name, k in self.pages.items()
            if k.state == "due" and name not in self.names() and k.due_at <= now
        ]
        return [page for page in due if page.is_head] or due


class FrontierModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock, self.disk = HeldClock(), Disk()
        self.sites = {name: Site() for name in HEADS}
        self.written = deepcopy(self.sites)
        """The sites as a kill leaves them: without the pages that wait to be written."""

    @initialize()
    def begin(self) -> None:
        self.frontier = Frontier(self.disk.folder, KEY, self.clock.as_clock(), KEEP_DAYS)

    @rule(name=SITE)
    def begin_visit(self, name: str) -> None:
        site, now = self.sites[name], self.clock.wall()
        site.began = self.frontier.begin_visit(name, [HEADS[name]])
        self._show(site, HEADS[name], now)
        for page in site.pages.values():
            if page.is_head:
                page.state, page.due_at, page.attempts = "due", now, 0
            elif page.state == "due" and page.due_at > now + LONGEST_REST_SECONDS:
                page.due_at = now

    def _show(self, site: Site, page: PageAddress, now: float) -> bool:
        """Show a link to a page, and return whether it is a new one."""
        state = site.pages.get(page.name)
        if state and now - state.shown_at > SHOWN_SECONDS:
            state.shown_at = now
        if state is None:
            site.pages[page.name] = PageState(page, now, now)
        return state is None

    @rule(name=SITE)
    def lease(self, name: str) -> None:
        site = self.sites[name]
        choice = site.can_be_leased(self.clock.wall())
        leased = self.frontier.lease(name)
        assert (leased is None) == (not choice)
        if leased:
            state = site.pages[leased.page.name]
            assert (leased.page, leased.attempts) == (state.page, state.attempts)
            assert state in choice
            assert state.due_at == max(candidate.due_at for candidate in choice)
            site.leases.append(leased)

    @rule(name=SITE, pick=st.integers(0, 9), items=ITEMS, posts=POSTS)
    def finish(self, name: str, pick: int, items: list[int], posts: dict[int, str]) -> None:
        """Finish a page whose captures are durable on the bus."""
        site, now = self.sites[name], self.clock.wall()
        if not site.leases:
            return
        leased = site.leases.pop(pick % len(site.leases))
        shown, pages = (
            [post(*pair) for pair in posts.items()],
            [item(n) for n in items] if leased.page.role == "list" else [],
        )
        ids = {number for number, _ in site.posts}
        unseen = [pair for pair in posts.items() if pair not in site.posts]
        versions = self.frontier.unseen(name, shown)
        assert [
            (int(version.post_id), version.body.decode(), version.edited) for version in versions
        ] == [(*p, p[0] in ids) for p in unseen]
        visit_result = self.frontier.finish(
            leased, PageContent(tuple(shown), tuple(pages)), site.began
        )
        for pair in posts.items():
            site.posts.setdefault(pair, PostVersion(now, leased.page.name))
        for (number, _), version in site.posts.items():
            version.page = leased.page.name if number in posts else version.page
        new = sum(self._show(site, page, now) for page in pages)
        assert (visit_result.new, visit_result.edited) == (
            len(unseen) + new,
            sum(number in ids for number, _ in unseen),
        )
        if page_state := site.pages.get(leased.page.name):
            page_state.state, page_state.done_at, page_state.attempts = "done", now, 0

    @rule(name=SITE, pick=st.integers(0, 9), seconds=st.none() | st.sampled_from([30.0, 7200.0]))
    def postpone(self, name: str, pick: int, seconds: float | None) -> None:
        site = self.sites[name]
        if not site.leases:
            return
        leased = site.leases.pop(pick % len(site.leases))
        attempts = leased.attempts + (seconds is None)
        wait = FIRST_WAIT_SECONDS * 2 ** (attempts - 1) if seconds is None else seconds
        state = self.frontier.postpone(leased, seconds)
        assert state == ("parked" if attempts >= MAX_ATTEMPTS else "due")
        self._leave(site, leased, state, self.clock.wall() + wait, attempts)

    @rule(name=SITE, pick=st.integers(0, 9))
    def park(self, name: str, pick: int) -> None:
        site = self.sites[name]
        if site.leases:
            leased = site.leases.pop(pick % len(site.leases))
            self.frontier.park(leased)
            self._leave(site, leased, "parked", self.clock.wall(), leased.attempts)

    def _leave(
        self, site: Site, leased: PageLease, state: str, due_at: float, attempts: int
    ) -> None:
        if page_state := site.pages.get(leased.page.name):
            page_state.state, page_state.due_at, page_state.attempts = state, due_at, attempts

    @rule(name=SITE)
    def try_again(self, name: str) -> None:
        parked = [state for state in self.sites[name].pages.values() if state.state == "parked"]
        assert self.frontier.retry_parked(name) == len(parked)
        for state in parked:
            state.state, state.due_at, state.attempts = "due", self.clock.wall(), 0

    @rule(name=SITE)
    def break_off(self, name: str) -> None:
        """End a visit without its pages, whose leases become void."""
        assert self.frontier.recover(name) == len(self.sites[name].leases)
        self.sites[name].leases = []

    @rule()
    def die(self) -> None:
        former = self.frontier
        self.disk.die()
        former.close()
        self.sites = deepcopy(self.written)  # what waited to be written is due again
        for site in self.sites.values():
            site.leases = []
        self.begin()

    @rule(seconds=st.sampled_from([1.0, 60.0, 3600.0, 86400.0, KEEP_DAYS * 86400.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from([3600.0, 40 * 86400.0]))
    def the_clock_was_ahead(self, seconds: float) -> None:
        self.clock.advance(-seconds)

    @rule()
    def captures_expired_unread(self) -> None:
        """Match never read what was captured within the last hour: it is fetched again."""
        now = self.clock.wall()
        pages = 0
        for site in self.sites.values():
            lost = {
                key: version
                for key, version in site.posts.items()
                if now - 3600.0 <= version.at <= now
            }
            for page_name in {version.page for version in lost.values()}:
                page_state = site.pages.get(page_name)
                if page_state and page_state.state == "done":
                    page_state.state, page_state.due_at, page_state.attempts = "due", now, 0
                    pages += 1
            site.posts = {key: version for key, version in site.posts.items() if key not in lost}
        assert self.frontier.progress.read_again(now - 3600.0, now) == pages

    @rule()
    def forget(self) -> None:
        before, gone = self.clock.wall() - KEEP_DAYS * 86400.0, 0
        for site in self.sites.values():
            old = {
                name
                for name, page_state in site.pages.items()
                if self._is_forgotten(page_state, before)
            }
            site.pages = {
                name: page_state for name, page_state in site.pages.items() if name not in old
            }
            remaining = {
                k: version
                for k, version in site.posts.items()
                if version.at >= before or version.page in site.pages
            }
            gone += len(old) + len(site.posts) - len(remaining)
            site.posts = remaining
        assert self.frontier.forgetting.forget_all() == gone

    @staticmethod
    def _is_forgotten(known: PageState, before: float) -> bool:
        """Neither shown, read nor due for long; no visit ever ended here, so that what is due is
        no reason to stay.
        """
        return not known.is_head and max(known.shown_at, known.done_at, known.due_at) < before

    @invariant()
    def note_written(self) -> None:
        if not hasattr(self, "frontier") or not self.frontier.waiting:
            self.written = deepcopy(self.sites)

    @rule()
    def count(self) -> None:
        for name, site in self.sites.items():
            counted = self.frontier.count_pages(name)
            states = [page_state.state for page_state in site.pages.values()]
            expected = {state: states.count(state) for state in ("due", "done", "parked")}
            leases = len(site.leases)
            assert dict(counted) == {**expected, "leased": leases, "due": expected["due"] - leases}

    def teardown(self) -> None:
        if hasattr(self, "frontier"):
            self.count()
            self.frontier.check()
            self.frontier.close()
        self.disk.clean()


TestFrontierModel = FrontierModel.TestCase
TestFrontierModel.settings = settings(max_examples=40, stateful_step_count=40)
