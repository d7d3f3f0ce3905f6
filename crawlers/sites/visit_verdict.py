"""Judge the state of a site from the pages of one visit, with the reason.

`docs/site-states.md` has the same list, and a test compares the two. The first pages of lists
decide, because new posts appear there. Pages behind them decide only together: one paste that was
made private, or one thread for members, shows nothing about the site; that no post at all could
be read does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from crawlers.sites.pages import Lacking
from crawlers.sites.repeated_text import RepeatedText
from ullage.records.heartbeat import State

MEANING: dict[str, str] = {
    "dns": "the host name does not resolve",
    "refused": "the connection was refused",
    "timeout": "the site did not respond in time",
    "tls": "the certificate is not trusted for this name, or the site does not support TLS",
    "network": "the connection broke, or there is no route",
    "address": "the address is not public; if intended, set `allow_private = true`",
    "proxy": "the proxy is not in `crawl.proxies`, does not respond, or cannot reach the site",
    "onion": "an .onion name needs a proxy: set `proxy`",
    "host": "it redirects to a host or port that is not in `hosts`",
    "redirects": (
        "it redirects in a circle, nowhere, or by a meta refresh, which is not followed: correct"
        " `start`"
    ),
    "http_4xx": "it answers with a client error",
    "http_5xx": "it answers with a server error",
    "status": "it answers with an unexpected status",
    "unavailable": "it is temporarily unavailable (503)",
    "robots_error": "robots.txt cannot be fetched, so nothing is allowed",
    "robots": "robots.txt forbids the lists",
    "challenge": "a robot check blocks it",
    "forbidden": "the lists are forbidden (403)",
    "busy": "we send too many requests (429)",
    "session": "the session (`cookies`) is missing or has expired: a person must log in again",
    "login": "it requires a login",
    "layout": "a list that had posts has none now",
    "empty": "no list ever had posts: can guests see `start`? For a search set `may_be_empty`",
    "gone": "a list no longer exists (404, 410)",
    "parse": "the platform cannot parse its pages",
    "script": "its scripts do not finish within 90 seconds, or need a host that is not in `hosts`",
    "browser": "its pages need scripts, and no browser can run here: see `ullage check`",
    "too_large": "a page is larger than `crawl.download_bytes`; the rest is not read",
    "posts_gone": (
        "the lists are read, but their posts no longer exist (404, 410): has their address changed"
        " (`raw`, `thread`)?"
    ),
    "posts_host": (
        "the lists are read, but their posts are on a host or port that is not in `hosts`"
    ),
    "posts_large": "the lists are read, but their posts are larger than `crawl.download_bytes`",
    "fewer": "there are fewer posts than its lists count or its pages show: is `next` correct?",
    "partial": "a list says that it is incomplete (`incomplete`)",
    "links": (
        "a page has over 10,000 links or 400,000 elements, or a post over 100 files; the rest is"
        " skipped"
    ),
    "first reading": (
        "it is read for the first time: `ullage sites` says how many pages are left and how long"
        " that takes"
    ),
    "waiting": "known pages were not read yet, after errors or a pause: `pages due` counts them",
    "fields": "a field that every post had is missing",
    "file": "its file in `sites.d` is invalid: see `ullage check`",
}
"""Each reason word, with its meaning."""
OF_OUTCOME = {
    "blocked": "challenge",
    "robots_blocked": "challenge",
    "robots_unavailable": "robots_error",
    "robots_unreachable": "robots_error",
}
"""Outcomes whose reason word differs from the outcome."""
OF_POST = {"gone": "posts_gone", "host": "posts_host", "too_large": "posts_large"}
"""Outcomes that have another meaning for a page behind a list than for a list."""


def to_reason(outcome: str, cause: str = "") -> str:
    """Return the reason word of an outcome, as of a page of a list.

    A `cause` that is a reason word is more precise and replaces it; an outcome without a word of
    its own is returned as it is.
    """
    return cause if cause in MEANING else OF_OUTCOME.get(outcome, outcome)


def to_post_reason(outcome: str, cause: str = "") -> str:
    """Return the reason word of the outcome of a page behind the lists, such as a thread.

    The outcomes in `OF_POST` have a word of their own, whatever the `cause`; all others are as in
    `to_reason`.
    """
    return OF_POST.get(outcome) or to_reason(outcome, cause)


def to_status_reason(status: int) -> str:
    """Return the reason word of an HTTP status: `http_4xx`, `http_5xx`, or `status`."""
    return f"http_{status // 100}xx" if 400 <= status < 600 else "status"


STATE_OF: dict[str, State] = {
    "blocked": "blocked",
    "forbidden": "blocked",
    "busy": "blocked",
    "robots_blocked": "blocked",
    "login": "login_expired",
    "session": "login_expired",
    "robots": "robots_denied",
    "parse": "layout_changed",
    "layout": "layout_changed",
    "empty": "layout_changed",
    "gone": "layout_changed",
    "script": "layout_changed",
    "too_large": "layout_changed",
    "robots_unreachable": "unreachable",
    "robots_unavailable": "unreachable",
    "status": "unreachable",
    "unavailable": "unreachable",
    "redirects": "unreachable",
    "host": "unreachable",
    "address": "unreachable",
    "dns": "unreachable",
    "proxy": "unreachable",
    "timeout": "unreachable",
    "refused": "unreachable",
    "tls": "unreachable",
    "network": "unreachable",
    "browser": "unreachable",
}
"""The state of a site for each failing outcome, if that outcome decides."""
NOT_ASKED = frozenset({"address", "session"})
"""Outcomes of requests that we refused to send: they show nothing about the network."""
NO_ANSWER = NOT_ASKED | {
    "dns",
    "proxy",
    "timeout",
    "refused",
    "tls",
    "network",
    "robots_unreachable",
}
"""Outcomes after which it is unknown whether the site exists at all."""
FRONT = "front"
"""The outcome of a list that leads only to other lists, which may all be empty."""
FIRST_READING = "first reading"
"""The reason of a site whose first reading is not complete."""
WAITING = "waiting"
"""The reason of a site with pages that wait to be read."""
OF_ONE_PAGE = frozenset({"gone", "too_large", "host", "address"})
"""Outcomes that concern a single page behind the lists, as long as other pages are read.

Such a page is not requested again.
"""
LEAST_PAGES = 3
"""The fewest pages behind the lists whose common outcome decides the state of the site."""
MISSING_SHARE = 0.05
"""The least share of counted posts that must be missing before a site is incomplete.

On a well moderated board fewer posts are hidden or deleted.
"""
LEAST_POSTS_BEFORE = 20
LEAST_POSTS_NOW = 3
FIELDS = ("author", "date", "title")
USUAL = 0.95


@dataclass(frozen=True, slots=True)
class Profile:
    """The number of posts that were read of a site, and how many had each of `FIELDS`."""

    posts: int = 0
    fields: dict[str, int] = field(default_factory=dict)

    def find_lost_fields(self, now: Profile) -> tuple[str, ...]:
        """Return the fields that at least 95 % of earlier posts had and no post of `now` has.

        The result is empty with fewer than `LEAST_POSTS_BEFORE` earlier posts or `LEAST_POSTS_NOW`
        in `now`.
        """
        if self.posts < LEAST_POSTS_BEFORE or now.posts < LEAST_POSTS_NOW:
            return ()
        return tuple(
            name
            for name in FIELDS
            if self.fields.get(name, 0) >= USUAL * self.posts and not now.fields.get(name, 0)
        )


UNKNOWN = Profile()


@dataclass(frozen=True, slots=True)
class UnreadStreak:
    """Pages behind the lists that failed since a post was last read, and their commonest outcome.

    From `LEAST_PAGES` on they decide the state until a post is read: abandoned pages are not
    requested at each visit, and a site that shows one new post per visit must not pass for
    readable.
    """

    pages: int = 0
    outcome: str = ""

    @property
    def speaks(self) -> bool:
        """Return whether the pages are too many to be a coincidence."""
        return self.pages >= LEAST_PAGES


NONE_UNREAD = UnreadStreak()


@dataclass(slots=True)
class Evidence:
    """The outcomes of the pages of one visit: `heads` are first pages of lists, `behind` the rest.

    `asked` tells whether any request was sent to the site, `answered` whether any response arrived.
    `causes` holds for some outcomes a more precise reason (a key of `MEANING`).
    """

    heads: Counter[str] = field(default_factory=Counter)
    behind: Counter[str] = field(default_factory=Counter)
    posts: int = 0
    fields: Counter[str] = field(default_factory=Counter)
    asked: bool = False
    answered: bool = False
    causes: dict[str, str] = field(default_factory=dict)
    expected: int = 0
    """The number of posts in completely read threads, as their lists count them.

    Of these, `missing` were not found, in `short` threads.
    """
    missing: int = 0
    short: int = 0
    over_pages: int = 0
    """The number of threads with several pages that held all counted posts."""
    lacking: Lacking = ""
    """Why a page is known to be incomplete."""
    texts: RepeatedText = field(default_factory=RepeatedText)
    """The texts of the posts, to notice one text in place of all posts."""
    unread_past: int = 0
    """Pages that wait for their first reading, while the site's past is not completely read."""
    waiting: int = 0
    """Known pages that should have been read and were not when the visit ended."""

    def note_thread(self, counted: int, read: int, pages: int) -> None:
        """Count a thread that was read to its end, on `pages` pages.

        `counted` is the number of posts that its list or its own page states, `read` the number
        found.
        """
        self.expected += counted
        self.missing += max(0, counted - read)
        self.short += read < counted
        self.over_pages += pages > 1 and read >= counted

    @property
    def is_incomplete(self) -> bool:
        """Return whether posts are known to exist that were not read."""
        return self.is_short or bool(self.lacking or self.waiting or self.unread_past)

    @property
    def is_short(self) -> bool:
        """Return whether enough posts are missing to conclude that pages were not read.

        A few missing posts may have been deleted by a moderator.
        """
        return self.short >= LEAST_PAGES and self.missing >= MISSING_SHARE * self.expected

    def note(self, outcome: str, *, head: bool, cause: str = "") -> None:
        """Count the outcome of one page, and update `asked`, `answered` and `causes`.

        `outcome` is a word of `crawlers.fetching.outcomes`. `head` says whether the page is the
        first of a list, where new posts appear. `cause` is a more precise reason word, which
        replaces that of earlier pages with this outcome; "" leaves it.
        """
        (self.heads if head else self.behind)[outcome] += 1
        if cause:
            self.causes[outcome] = cause
        self.asked = self.asked or outcome not in NOT_ASKED
        self.answered = self.answered or outcome not in NO_ANSWER

    def note_posts(self, had: Iterable[Sequence[bool]]) -> None:
        """Count posts that were read.

        `had` holds for each post whether it has an author, a date and a title (the order of
        `FIELDS`).
        """
        for fields in had:
            self.posts += 1
            self.fields.update(name for name, has in zip(FIELDS, fields, strict=True) if has)

    def build_profile(self) -> Profile:
        """Return how many posts of the visit had which fields."""
        return Profile(self.posts, dict(self.fields))


def update_streak(evidence: Evidence, before: UnreadStreak) -> UnreadStreak:
    """Return the streak of unread pages after a visit; `before` is the streak before it.

    A visit that read posts ends the streak, unless one text stands in place of all posts: the
    outcome is then `login`. Otherwise pages that were given up add to the streak, and an outcome
    that refuses most pages raises it to at least `LEAST_PAGES`.
    """
    if evidence.texts.stands_for_posts:
        return UnreadStreak(max(LEAST_PAGES, before.pages), "login")
    if evidence.posts:
        is_same = before.speaks and before.outcome == "login" and evidence.texts.is_all_there_is
        return before if is_same else NONE_UNREAD
    lost = {outcome: evidence.behind[outcome] for outcome in OF_ONE_PAGE}
    if refused := _find_refusal(evidence):
        return UnreadStreak(max(LEAST_PAGES, before.pages), refused)
    return UnreadStreak(before.pages + sum(lost.values()), _find_commonest(lost) or before.outcome)


def judge(
    evidence: Evidence, before: Profile, until_now: UnreadStreak = NONE_UNREAD
) -> State | None:
    """Return the state that a visit shows, `ok` included; None if it requested nothing.

    `until_now` is the streak of unread pages before the visit. `quiet` is decided elsewhere.
    """
    if not evidence.heads and not evidence.behind:
        return None
    if outcome := _judge_lists(evidence, before) or _judge_posts(evidence, until_now):
        return STATE_OF[outcome]
    return (
        "layout_changed"
        if before.find_lost_fields(evidence.build_profile())
        else "incomplete"
        if evidence.is_incomplete
        else "ok"
    )


def explain_state(
    evidence: Evidence, shown: State | None, until_now: UnreadStreak = NONE_UNREAD
) -> str:
    """Return the reason word (a key of `MEANING`) of a visit that was judged as `shown`.

    `until_now` is the streak of unread pages before the visit. Returns "" where no page explains
    the state, as for `ok`.
    """
    heads = Counter(
        {
            outcome: count
            for outcome, count in evidence.heads.items()
            if STATE_OF.get(outcome) == shown
        }
    )
    if outcome := _find_commonest(heads):
        return to_reason(outcome, evidence.causes.get(outcome, ""))
    if (outcome := _judge_posts(evidence, until_now)) and STATE_OF[outcome] == shown:
        return to_post_reason(outcome, evidence.causes.get(outcome, ""))
    missing = evidence.lacking or (
        "fewer" if evidence.is_short else WAITING if evidence.waiting else FIRST_READING
    )
    return {"layout_changed": "fields", "incomplete": missing}.get(shown or "", "")


def _judge_lists(evidence: Evidence, before: Profile) -> str:
    """Return the deciding outcome of the first pages of lists; "" if they were read.

    A front page alone counts as read if posts were read, then or now; for a new site its boards
    must have been read.
    """
    decides = (outcome for outcome in ("blocked", "login", "layout") if evidence.heads[outcome])
    is_read = evidence.heads["ok"] or (evidence.heads[FRONT] and (before.posts or evidence.posts))
    return next(decides, "" if is_read else _find_commonest(evidence.heads))


def _judge_posts(evidence: Evidence, until_now: UnreadStreak) -> str:
    """Return the outcome of pages behind the lists that decides; "" if none does."""
    streak = update_streak(evidence, until_now)
    return _find_refusal(evidence) or (streak.outcome if streak.speaks else "")


def _find_refusal(evidence: Evidence) -> str:
    """Return the outcome with which most pages behind the lists are refused; "" if there is none.

    Outcomes that concern one page only do not count. At least LEAST_PAGES (3) pages, and more than
    were read, must be refused with outcomes of the same state.
    """
    failing = {o: n for o, n in evidence.behind.items() if o in STATE_OF and o not in OF_ONE_PAGE}
    states = Counter[State]()
    for outcome, count in failing.items():
        states[STATE_OF[outcome]] += count
    for state, count in states.most_common(1):
        if count >= LEAST_PAGES and count > evidence.behind["ok"]:
            return _find_commonest({o: n for o, n in failing.items() if STATE_OF[o] == state})
    return ""


def _find_commonest(outcomes: Mapping[str, int]) -> str:
    """Return the commonest failing outcome, the first by name among equals; "" if nothing failed.

    `host` counts only if there is no other: it may be an address that the site's file named
    earlier.
    """
    failing = {
        outcome: count for outcome, count in outcomes.items() if STATE_OF.get(outcome) and count
    }
    return min(
        failing, key=lambda outcome: (outcome == "host", -failing[outcome], outcome), default=""
    )
