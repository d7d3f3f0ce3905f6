"""Judge the state of a site from the pages of one visit, with the reason.

`docs/site-states.md` has the same list, and a test holds the two together.

The heads of the lists decide, since whoever cannot read them is blind to what is new. Pages behind
them decide only together: one paste that was made private, one thread for members are no state of
the site. That no post is read at all is one.
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
"""Each word, and what it says of the site."""
OF_OUTCOME = {
    "blocked": "challenge",
    "robots_blocked": "challenge",
    "robots_unavailable": "robots_error",
    "robots_unreachable": "robots_error",
}
"""Outcomes whose word is another."""
OF_POST = {"gone": "posts_gone", "host": "posts_host", "too_large": "posts_large"}
"""Outcomes that mean something else behind a list than of one."""


def of_outcome(outcome: str, cause: str = "") -> str:
    """The word for a page's outcome; `cause`, where it is known and of the set, says more."""
    return cause if cause in MEANING else OF_OUTCOME.get(outcome, outcome)


def of_post(outcome: str, cause: str = "") -> str:
    """As `of_outcome`, of a page behind the lists."""
    return OF_POST.get(outcome) or of_outcome(outcome, cause)


def of_status(status: int) -> str:
    """The word for an HTTP status that is an error."""
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
"""What each outcome that is no success says of a site, if it decides."""
NOT_ASKED = frozenset({"address", "session"})
"""Outcomes of what we refused ourselves to ask: they say nothing of the way to the site."""
NO_ANSWER = NOT_ASKED | {
    "dns",
    "proxy",
    "timeout",
    "refused",
    "tls",
    "network",
    "robots_unreachable",
}
"""Outcomes after which nobody knows whether the site is there at all."""
FRONT = "front"
"""What a list that leads to other lists alone says of its site: nothing, since those may be
empty.
"""
FIRST_READING = "first reading"
"""The reason of a site of which not all that was there at first has been read."""
WAITING = "waiting"
"""The reason of a site of which pages wait to be read."""
OF_ONE_PAGE = frozenset({"gone", "too_large", "host", "address"})
"""Behind the lists these say something of the page alone, as long as others are read: nobody
asks for one of them again.
"""
LEAST_PAGES = 3
"""So many pages behind the lists must have the same outcome, and be the most, to speak for the
site.
"""
MISSING_SHARE = 0.05
"""Of what lists count, so much must be missing: more than is hidden or deleted on a board that
is well kept.
"""
LEAST_POSTS_BEFORE = 20
LEAST_POSTS_NOW = 3
FIELDS = ("author", "date", "title")
USUAL = 0.95


@dataclass(frozen=True, slots=True)
class Profile:
    """How many posts of a site were read, and how many of them had each of `FIELDS`."""

    posts: int = 0
    fields: dict[str, int] = field(default_factory=dict)

    def lost(self, now: Profile) -> tuple[str, ...]:
        """Fields that nearly every post had, and that none of `now` has: the page names them
        otherwise.
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
    """Pages behind the lists that came to nothing since a post was last read, and the outcome of
    most of those seen last.

    From `LEAST_PAGES` on they speak for the site until a post is read: what was given up is not
    asked for at each visit, and a site that shows one new post a visit must not pass for one that
    is seen.
    """

    pages: int = 0
    outcome: str = ""

    @property
    def speaks(self) -> bool:
        """Whether so many are no chance."""
        return self.pages >= LEAST_PAGES


NONE_UNREAD = UnreadStreak()


@dataclass(slots=True)
class Evidence:
    """What came of the pages of one visit, by outcome: `heads` are first pages of lists, `behind`
    all others.

    `asked` tells whether anything went out to the site, `answered` whether anything at all came
    back, whatever it was. `causes` has for some outcomes what brought them about, as a word of
    `crawlers.sites.visit_verdict`.
    """

    heads: Counter[str] = field(default_factory=Counter)
    behind: Counter[str] = field(default_factory=Counter)
    posts: int = 0
    fields: Counter[str] = field(default_factory=Counter)
    asked: bool = False
    answered: bool = False
    causes: dict[str, str] = field(default_factory=dict)
    expected: int = 0
    """Posts of the threads that were read to their end, as their lists count them; of these
    `missing` in `short` threads.
    """
    missing: int = 0
    short: int = 0
    over_pages: int = 0
    """Threads of several pages that gave all that was counted."""
    lacking: Lacking = ""
    """Why a page is known not to have told all."""
    texts: RepeatedText = field(default_factory=RepeatedText)
    """Whether one text stands in the place of all posts."""
    unread_past: int = 0
    """Pages that wait for their first reading, of a site whose past was never read whole."""
    waiting: int = 0
    """Pages that are known and not read when the visit ends, though they should be."""

    def note_thread(self, counted: int, read: int, pages: int) -> None:
        """A thread was read to its end, which its list says has so many posts."""
        self.expected += counted
        self.missing += max(0, counted - read)
        self.short += read < counted
        self.over_pages += pages > 1 and read >= counted

    @property
    def is_incomplete(self) -> bool:
        """Whether posts are known to be there that were not read."""
        return self.is_short or bool(self.lacking or self.waiting or self.unread_past)

    @property
    def is_short(self) -> bool:
        """Whether so much is missing that pages are, or posts on them, and not what a moderator
        took away.
        """
        return self.short >= LEAST_PAGES and self.missing >= MISSING_SHARE * self.expected

    def note(self, outcome: str, *, head: bool, cause: str = "") -> None:
        """A page came to this."""
        (self.heads if head else self.behind)[outcome] += 1
        self.causes[outcome] = cause
        self.asked = self.asked or outcome not in NOT_ASKED
        self.answered = self.answered or outcome not in NO_ANSWER

    def note_posts(self, had: Iterable[Sequence[bool]]) -> None:
        """Posts were read; of each, which of `FIELDS` it has."""
        for one in had:
            self.posts += 1
            self.fields.update(name for name, has in zip(FIELDS, one, strict=True) if has)

    def profile(self) -> Profile:
        """The posts of the visit."""
        return Profile(self.posts, dict(self.fields))


def unread(seen: Evidence, before: UnreadStreak) -> UnreadStreak:
    """What is unread after a visit; `before` is what was until then."""
    if seen.texts.stands_for_posts:
        return UnreadStreak(max(LEAST_PAGES, before.pages), "login")
    if seen.posts:
        is_same = before.speaks and before.outcome == "login" and seen.texts.is_all_there_is
        return before if is_same else NONE_UNREAD
    lost = {outcome: seen.behind[outcome] for outcome in OF_ONE_PAGE}
    if refused := _refused(seen):
        return UnreadStreak(max(LEAST_PAGES, before.pages), refused)
    return UnreadStreak(before.pages + sum(lost.values()), _commonest(lost) or before.outcome)


def judge(seen: Evidence, before: Profile, until_now: UnreadStreak = NONE_UNREAD) -> State | None:
    """The state that a visit shows, `ok` included; None when it asked for nothing and so shows
    none. `quiet` is not told here.

    `until_now` is what was unread before the visit.
    """
    if not seen.heads and not seen.behind:
        return None
    if outcome := _of_heads(seen, before) or _behind(seen, until_now):
        return STATE_OF[outcome]
    return (
        "layout_changed"
        if before.lost(seen.profile())
        else "incomplete"
        if seen.is_incomplete
        else "ok"
    )


def reason(seen: Evidence, shown: State | None, until_now: UnreadStreak = NONE_UNREAD) -> str:
    """Why a visit that shows a state (`judge`) did not see the site, as one word; "" where it
    did.
    """
    heads = Counter(
        {outcome: count for outcome, count in seen.heads.items() if STATE_OF.get(outcome) == shown}
    )
    if outcome := _commonest(heads):
        return of_outcome(outcome, seen.causes.get(outcome, ""))
    if (outcome := _behind(seen, until_now)) and STATE_OF[outcome] == shown:
        return of_post(outcome, seen.causes.get(outcome, ""))
    missing = seen.lacking or (
        "fewer" if seen.is_short else WAITING if seen.waiting else FIRST_READING
    )
    return {"layout_changed": "fields", "incomplete": missing}.get(shown or "", "")


def _of_heads(seen: Evidence, before: Profile) -> str:
    """The outcome of the heads of the lists that decides, "" where they were read.

    A front page alone counts as read where posts were, once or now: of a site that is new to us its
    boards have to be.
    """
    decides = (outcome for outcome in ("blocked", "login", "layout") if seen.heads[outcome])
    is_read = seen.heads["ok"] or (seen.heads[FRONT] and (before.posts or seen.posts))
    return next(decides, "" if is_read else _commonest(seen.heads))


def _behind(seen: Evidence, until_now: UnreadStreak) -> str:
    """The outcome of pages behind the lists that speaks for the site, "" where none does."""
    left = unread(seen, until_now)
    return _refused(seen) or (left.outcome if left.speaks else "")


def _refused(seen: Evidence) -> str:
    """The outcome with which most of a visit's pages behind the lists are refused, "" where they
    are not.
    """
    failing = {o: n for o, n in seen.behind.items() if o in STATE_OF and o not in OF_ONE_PAGE}
    states = Counter[State]()
    for outcome, count in failing.items():
        states[STATE_OF[outcome]] += count
    for state, count in states.most_common(1):
        if count >= LEAST_PAGES and count > seen.behind["ok"]:
            return _commonest({o: n for o, n in failing.items() if STATE_OF[o] == state})
    return ""


def _commonest(outcomes: Mapping[str, int]) -> str:
    """The failing outcome that came most often, the first by name of several; "" when none did.

    `host` only where there is no other: it may be of an address that the site's file named once.
    """
    failing = {
        outcome: count for outcome, count in outcomes.items() if STATE_OF.get(outcome) and count
    }
    return min(
        failing, key=lambda outcome: (outcome == "host", -failing[outcome], outcome), default=""
    )
