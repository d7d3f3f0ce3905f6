"""Where a site stands after a visit: evidence, the site's own rhythm and the way out go in, its
state comes out and is kept.

A state is adopted at once, but for one: that nothing answers is blamed on the site at the second
visit, when others had time to show whether it is the way to all of them. Whatever made us blind to
a site teaches nothing about its rhythm; when it ends, pages that were given up are tried again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from crawlers.frontier.database import Frontier
from crawlers.frontier.history import EVERYWHERE, SiteHistory, merge_spans
from crawlers.scheduling.egress import Egress
from crawlers.sites.posting_rhythm import DAY_HOURS, HOUR, WINDOW_DAYS, SilenceModel, Span, learn
from crawlers.sites.site import Site
from crawlers.sites.visit_verdict import (
    FIRST_READING,
    NONE_UNREAD,
    WAITING,
    Evidence,
    Profile,
    explain_state,
    judge,
    update_streak,
)
from ullage import log
from ullage.clock import Clock
from ullage.monitoring.canary import SITE as CANARY
from ullage.records import heartbeat
from ullage.records.heartbeat import (
    MAX_WATCHED,
    NIGHT,
    SEEN,
    SLOT_SECONDS,
    Coverage,
    SiteReport,
    State,
)

SEEING: tuple[State | None, ...] = ("ok", "quiet", None)
"""States in which a site's posts are seen."""
AHEAD_SECONDS = 14 * 86400.0
"""Nights so far ahead are counted when it is worked out when something new is overdue."""
REVISITS = 2.0
QUIET_DAYS = 365.0
"""A silence that is as rare as once in this time makes a site quiet."""
"""No silence counts that is shorter than this many visits."""
FOREVER = float("inf")
LETTERS: Mapping[State | None, str] = {
    None: heartbeat.UNVISITED,
    "ok": SEEN,
    "quiet": SEEN,
    "blocked": "b",
    "login_expired": "l",
    "layout_changed": "y",
    "robots_denied": "r",
    "unreachable": "u",
    "incomplete": "m",
}
"""What the ledger of coverage says of a state (`ullage.records.heartbeat`)."""


@dataclass(slots=True)
class SiteStates:
    """Judges the sites of one process."""

    frontier: Frontier
    egress: Egress
    clock: Clock
    unreadable: int = 0
    """Site files that cannot be read: sites that nobody sees."""
    _reports: dict[str, SiteReport] = field(default_factory=dict)
    _standings: dict[str, SiteHistory] = field(default_factory=dict)
    _due: dict[str, float] = field(default_factory=dict)

    def settle(self, site: Site, seen: Evidence, before: Profile) -> State | None:
        """Take in a visit; `before` is what posts were like until then.

        Returns the state in force, None for none yet.
        """
        self._forget(site.name)
        standing, now = self.frontier.history.load(site.name), self.clock.wall()
        shown = judge(seen, before, standing.unread)
        if shown is None:
            return standing.state
        if (
            shown == "ok"
            and (standing.state, standing.reason) == ("incomplete", "fewer")
            and not seen.over_pages
        ):
            return standing.state  # nothing was read that could show otherwise
        if site.name != CANARY and seen.asked:  # the canary is in this house
            self._around(lambda _: self.egress.note(site.name, seen.answered, now))
        standing = self.frontier.history.load(site.name)
        standing = replace(
            standing,
            reason=explain_state(seen, shown, standing.unread),
            unread=update_streak(seen, standing.unread),
        )
        if seen.asked and not seen.answered:
            return self._unanswered(site.name, standing, now)
        since = now
        if standing.state not in SEEING:
            self.frontier.history.record_unreachable(site.name, standing.since, now)
        if shown == "ok" and (overdue := self.expected_by(site)) is not None and overdue <= now:
            if not self.egress.up:
                return standing.state
            shown, since = "quiet", overdue
        return self._adopt(site.name, replace(standing, doubted=0.0), shown, since)

    def expected_by(self, site: Site) -> float | None:
        """When something new is overdue by the site's own rhythm, in Unix seconds; None while
        that is not known.
        """
        last = self.frontier.history.load(site.name).last_new
        learnt = self.learnt(site)
        if learnt is None or not last:
            return None
        blind = self._unseen(site, last, self.clock.wall() + AHEAD_SECONDS)
        if self.egress.down_since is not None:
            blind = [
                *(span for span in blind if span[0] < self.egress.down_since),
                (self.egress.down_since, FOREVER),
            ]
        return learnt.predict_next(last, blind, QUIET_DAYS, site.revisit_seconds * REVISITS)

    def learnt(self, site: Site) -> SilenceModel | None:
        """The site's own rhythm, None while it is too new to have one."""
        history = self.frontier.history
        now = self.clock.wall()
        return learn(
            history.arrivals(site.name),
            self._unseen(site, now - WINDOW_DAYS * DAY_HOURS * HOUR, now),
            now,
        )

    def _unseen(self, site: Site, since: float, until: float) -> list[Span]:
        """When the site could not be seen, or was left alone at night, apart and in order."""
        return merge_spans(
            sorted(
                [
                    *self.frontier.history.find_unreachable(site.name),
                    *site.list_nights(since, until),
                ]
            )
        )

    def probed(self, reached: bool) -> None:
        """The probe of the way out came back with this."""
        self._around(lambda now: self.egress.probed(reached, now))

    def coverage(self, sites: Collection[Site]) -> Coverage:
        """What is to be told of `sites`: counts of all, reports of the watched."""
        states = Counter(state for site in sites if (state := self._standing(site.name).state))
        unseen = len(sites) - states.total() + self.unreadable
        watched = [self.report(site) for site in sites if site.watch]
        return Coverage(
            watched=tuple(watched[:MAX_WATCHED]),
            sites=dict(states),
            unseen=unseen,
            egress_up=self.egress.up,
        )

    def _standing(self, site: str) -> SiteHistory:
        if site not in self._standings:
            self._standings[site] = self.frontier.history.load(site)
        return self._standings[site]

    def letter(self, site: Site) -> str:
        """How `site` is seen now, for the ledger: a visit that is overdue by as much as it may
        be is no reading any more.
        """
        if not self.egress.up:
            return "e"
        if site.name not in self._due:
            self._due[site.name] = self.frontier.visits(site.name).due_at
        now = self.clock.wall()
        if site.find_next_allowed(now) > now:
            return NIGHT
        late = self.clock.wall() - self._due[site.name] > max(
            site.revisit_seconds, REVISITS * SLOT_SECONDS
        )
        standing = self._standing(site.name)
        if (standing.state, standing.reason) == ("incomplete", FIRST_READING):
            return heartbeat.FIRST_READING
        letter = LETTERS[standing.state]
        return "p" if letter == SEEN and late else letter

    def _forget(self, *sites: str) -> None:
        """What was read of `sites` is no longer so; of all, where none is named."""
        for kept in (self._reports, self._standings, self._due):
            for site in sites or tuple(kept):
                kept.pop(site, None)

    def report(self, site: Site) -> SiteReport:
        """What is to be told of one site, as it was after its last visit."""
        if site.name not in self._reports:
            self._reports[site.name] = self._report(site)
        return self._reports[site.name]

    def _report(self, site: Site) -> SiteReport:
        standing = self.frontier.history.load(site.name)
        return SiteReport(
            site=site.name,
            state=standing.state,
            since=standing.since,
            last_new=standing.last_new,
            last_success=self.frontier.visits(site.name).success_at,
            expected_by=self.expected_by(site) or 0.0,
        )

    def _unanswered(self, site: str, standing: SiteHistory, now: float) -> State | None:
        """Nothing came back, for the reason in `standing`: blame the site, doubt it, or neither
        while the way out is down.
        """
        if not self.egress.up:
            return standing.state
        if not standing.doubted and self.egress.can_tell and standing.state != "unreachable":
            self.frontier.history.save(site, replace(standing, doubted=now))
            return standing.state
        return self._adopt(site, standing, "unreachable", standing.doubted or now)

    def _adopt(self, site: str, before: SiteHistory, state: State, since: float) -> State:
        """Keep what a visit showed; `before` has the reason of now, and the state of until now."""
        if state == before.state:
            known = self.frontier.history.load(site)
            if (known.doubted, known.reason, known.unread) != (
                before.doubted,
                before.reason,
                before.unread,
            ):
                self.frontier.history.save(site, before)
            return state
        if before.state not in SEEING and self.frontier.history.load(site).reason != WAITING:
            # what waited was asked for all the time, and given up for reasons of its own
            self.frontier.retry_parked(site)
        after = replace(
            before, state=state, since=since, former=before.state, former_since=before.since
        )
        self.frontier.history.save(site, after)
        log.get("crawl").warning(
            "site_state", site=site, state=state, reason=before.reason or "none"
        )
        return state

    def _around(self, tell: Callable[[float], None]) -> None:
        """Let `tell` change what is known of the way out, and do what follows when it goes down
        or comes back.
        """
        now, since, failing = self.clock.wall(), self.egress.down_since, self.egress.failing()
        tell(now)
        began = self.egress.down_since
        if since is None and began is not None:
            for site in self.egress.failing():
                self._acquit(site, began)
            self._forget()
            log.get("crawl").error("egress_down", count=len(self.egress.failing()))
        elif since is not None and began is None:
            self.frontier.history.record_unreachable(EVERYWHERE, since, now)
            for site in failing:
                self.frontier.retry_parked(site)
            self._forget()
            log.get("crawl").warning("egress_up", seconds=round(now - since))

    def _acquit(self, site: str, began: float) -> None:
        """Give a site the state back that it had before the way out went down at `began`."""
        standing = self.frontier.history.load(site)
        if standing.state == "unreachable" and standing.since >= began:
            standing = replace(
                standing, state=standing.former, since=standing.former_since, unread=NONE_UNREAD
            )
        self.frontier.history.save(site, replace(standing, doubted=0.0, reason=""))
