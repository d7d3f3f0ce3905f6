"""Compute and store a site's state after a visit, from evidence, the site's rhythm and the egress.

A state is adopted at once, with one exception: that nothing answers is blamed on the site at its
second visit, after visits of further sites could show whether the egress is down. Times when a site
could not be read are left out of its rhythm; when they end, parked pages are tried again.
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
"""States in which a site's posts are read."""
AHEAD_SECONDS = 14 * 86400.0
"""How far ahead nights are considered when predicting overdue posts."""
REVISITS = 2.0
"""A silence shorter than this many visits never counts."""
QUIET_DAYS = 365.0
"""A silence expected less than one time in this period makes a site quiet."""
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
"""The letter of a state in the coverage log (`ullage.records.heartbeat`)."""


@dataclass(slots=True)
class SiteStates:
    """Judges the sites of one process."""

    frontier: Frontier
    egress: Egress
    clock: Clock
    unreadable: int = 0
    """Number of site files that cannot be read."""
    _reports: dict[str, SiteReport] = field(default_factory=dict)
    _standings: dict[str, SiteHistory] = field(default_factory=dict)
    _due: dict[str, float] = field(default_factory=dict)

    def settle(self, site: Site, seen: Evidence, before: Profile) -> State | None:
        """Update a site's state from a visit and return the state in force; None for none yet.

        `seen` is what the visit found, `before` the profile of earlier posts. A visit that shows
        nothing leaves the state. A site that is read but has been without posts beyond the expected
        time becomes "quiet". While the egress is down, no site becomes unreachable or quiet. A
        change is stored and logged.
        """
        self._forget(site.name)
        standing, now = self.frontier.history.load(site.name), self.clock.wall()
        judged = judge(seen, before, standing.unread)
        if judged is None:
            return standing.state
        if (
            judged == "ok"
            and (standing.state, standing.reason) == ("incomplete", "fewer")
            and not seen.over_pages
        ):
            return standing.state  # no page was read that could refute it
        if site.name != CANARY and seen.asked:  # the canary is on this host
            self._update_egress(lambda _: self.egress.note(site.name, seen.answered, now))
        standing = self.frontier.history.load(site.name)
        standing = replace(
            standing,
            reason=explain_state(seen, judged, standing.unread),
            unread=update_streak(seen, standing.unread),
        )
        if seen.asked and not seen.answered:
            return self._judge_unanswered(site.name, standing, now)
        since = now
        if standing.state not in SEEING:
            self.frontier.history.record_unreachable(site.name, standing.since, now)
        if judged == "ok" and (overdue := self.expected_by(site)) is not None and overdue <= now:
            if not self.egress.up:
                return standing.state
            judged, since = "quiet", overdue
        return self._adopt(site.name, replace(standing, doubted=0.0), judged, since)

    def expected_by(self, site: Site) -> float | None:
        """Predict, in Unix seconds, when a lack of new posts becomes unusual for the site.

        Returns None while the site's rhythm is not known, if it never had a post, or if the time is
        too far ahead to predict.
        """
        last = self.frontier.history.load(site.name).last_new
        model = self.learn_rhythm(site)
        if model is None or not last:
            return None
        blind = self._find_unread_times(site, last, self.clock.wall() + AHEAD_SECONDS)
        if self.egress.down_since is not None:
            blind = [
                *(span for span in blind if span[0] < self.egress.down_since),
                (self.egress.down_since, FOREVER),
            ]
        return model.predict_next(last, blind, QUIET_DAYS, site.revisit_seconds * REVISITS)

    def learn_rhythm(self, site: Site) -> SilenceModel | None:
        """Return the rhythm of the site's posts; None while it has too few posts to learn from.

        Nights and times when the site could not be read are left out.
        """
        history = self.frontier.history
        now = self.clock.wall()
        return learn(
            history.arrivals(site.name),
            self._find_unread_times(site, now - WINDOW_DAYS * DAY_HOURS * HOUR, now),
            now,
        )

    def _find_unread_times(self, site: Site, since: float, until: float) -> list[Span]:
        """Return the disjoint times when the site was not read, nights included, in order."""
        return merge_spans(
            sorted(
                [
                    *self.frontier.history.find_unreachable(site.name),
                    *site.list_nights(since, until),
                ]
            )
        )

    def probed(self, reached: bool) -> None:
        """Record whether the egress probe reached its address."""
        self._update_egress(lambda now: self.egress.probed(reached, now))

    def coverage(self, sites: Collection[Site]) -> Coverage:
        """Return how many of `sites` are in each state, and the reports of the watched ones.

        `unseen` counts sites without a state and site files that cannot be read. At most
        `MAX_WATCHED` reports are included.
        """
        states = Counter(state for site in sites if (state := self._load(site.name).state))
        unseen = len(sites) - states.total() + self.unreadable
        watched = [self.report(site) for site in sites if site.watch]
        return Coverage(
            watched=tuple(watched[:MAX_WATCHED]),
            sites=dict(states),
            unseen=unseen,
            egress_up=self.egress.up,
        )

    def _load(self, site: str) -> SiteHistory:
        if site not in self._standings:
            self._standings[site] = self.frontier.history.load(site)
        return self._standings[site]

    def letter(self, site: Site) -> str:
        """Return the status letter of `site` at present for the coverage log.

        "e" while the egress is down, then the letter of night hours, of a first reading, or of the
        stored state (`LETTERS`). A site that would count as read is "p" if its visit is overdue by
        more than its `revisit_seconds` and more than `REVISITS` slots.
        """
        if not self.egress.up:
            return "e"
        if site.name not in self._due:
            self._due[site.name] = self.frontier.visits(site.name).due_at
        now = self.clock.wall()
        if site.find_next_allowed(now) > now:
            return NIGHT
        is_late = self.clock.wall() - self._due[site.name] > max(
            site.revisit_seconds, REVISITS * SLOT_SECONDS
        )
        standing = self._load(site.name)
        if (standing.state, standing.reason) == ("incomplete", FIRST_READING):
            return heartbeat.FIRST_READING
        letter = LETTERS[standing.state]
        return "p" if letter == SEEN and is_late else letter

    def _forget(self, *sites: str) -> None:
        """Drop cached facts of `sites`, or of all where none is named."""
        for cache in (self._reports, self._standings, self._due):
            for site in sites or tuple(cache):
                cache.pop(site, None)

    def report(self, site: Site) -> SiteReport:
        """Return the report of one site after its last visit.

        Times are Unix seconds, 0 for never or unknown. It is cached until the next visit to the
        site, or a change of the egress.
        """
        if site.name not in self._reports:
            self._reports[site.name] = self._build_report(site)
        return self._reports[site.name]

    def _build_report(self, site: Site) -> SiteReport:
        standing = self.frontier.history.load(site.name)
        return SiteReport(
            site=site.name,
            state=standing.state,
            since=standing.since,
            last_new=standing.last_new,
            last_success=self.frontier.visits(site.name).success_at,
            expected_by=self.expected_by(site) or 0.0,
        )

    def _judge_unanswered(self, site: str, standing: SiteHistory, now: float) -> State | None:
        """Judge a visit without an answer, for the reason in `standing`.

        Blames the site, doubts it, or does neither while the egress is down.
        """
        if not self.egress.up:
            return standing.state
        if not standing.doubted and self.egress.can_tell and standing.state != "unreachable":
            self.frontier.history.save(site, replace(standing, doubted=now))
            return standing.state
        return self._adopt(site, standing, "unreachable", standing.doubted or now)

    def _adopt(self, site: str, before: SiteHistory, state: State, since: float) -> State:
        """Store the result of a visit and return the state.

        `before` has the present reason and the previous state; `since` is when the new state began.
        A new state is logged, and if the site could not be read before, its parked pages become due
        again, unless it was only waiting.
        """
        if state == before.state:
            stored = self.frontier.history.load(site)
            if (stored.doubted, stored.reason, stored.unread) != (
                before.doubted,
                before.reason,
                before.unread,
            ):
                self.frontier.history.save(site, before)
            return state
        if before.state not in SEEING and self.frontier.history.load(site).reason != WAITING:
            # waiting pages were requested all the time, and parked for reasons of their own
            self.frontier.retry_parked(site)
        after = replace(
            before, state=state, since=since, former=before.state, former_since=before.since
        )
        self.frontier.history.save(site, after)
        log.get("crawl").warning(
            "site_state", site=site, state=state, reason=before.reason or "none"
        )
        return state

    def _update_egress(self, tell: Callable[[float], None]) -> None:
        """Let `tell` update the egress, and act when it goes down or comes back.

        When it goes down, the failing sites get their former state back, since they are not to
        blame. When it comes back, the outage is recorded for all sites and the parked pages of the
        failing ones become due again. Both are logged.
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
        """Restore the state that a site had before the egress went down at `began`."""
        standing = self.frontier.history.load(site)
        if standing.state == "unreachable" and standing.since >= began:
            standing = replace(
                standing, state=standing.former, since=standing.former_since, unread=NONE_UNREAD
            )
        self.frontier.history.save(site, replace(standing, doubted=0.0, reason=""))
