"""Metrics of the crawl and of the intake.

Only sites that are watched have series of their own, at most `MAX_WATCHED`: a monitoring system
bears some thousands of series from a process, and a crawl may have ten thousand sites. The others
share the label `other`. The states of sites stand in `ullage.monitoring.heartbeat`, since match
shows them too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from crawlers.sites.pages import Withheld
from crawlers.sites.site import Site
from ullage.clock import Clock
from ullage.monitoring.canary import SITE as CANARY
from ullage.monitoring.heartbeat import CoverageMetrics
from ullage.monitoring.metrics import BUS, OTHER, LoopMetrics
from ullage.records.heartbeat import MAX_WATCHED

SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
VISIT_OUTCOMES = ("ok", "failed")
RESULTS = ("read", "failed")
FILE_OUTCOMES = ("read", "cut", *get_args(Withheld))
READ = frozenset({"ok", "gone", "unchanged", "withheld"})
"""Outcomes after which nothing of a page is left to be read."""


class CrawlMetrics:
    """What an SRE needs to see that the crawl is not blind: pages by outcome, captures, age of
    the last success, backlog.
    """

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self.loop = LoopMetrics(registry, clock, (BUS,))

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"ullage_crawl_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"ullage_crawl_{name}", text, labels, registry=registry)

        self.pages = counter("pages_total", "Page fetches by outcome.", "outcome")
        self.site_pages = counter(
            "site_pages_total", "Pages of a watched site by result.", "site", "result"
        )
        self.captures = counter("captures_total", "Captured posts stored on the bus.", "site")
        self.seen = counter("seen_posts_total", "Unchanged posts, not captured again.")
        self.edited = counter("edited_posts_total", "Posts captured again after an edit.")
        self.gone = counter(
            "gone_posts_total", "Captured posts that were deleted from their threads."
        )
        self.files = counter("files_total", "Attached files by outcome.", "outcome")
        self.truncated = counter("truncated_total", "Posts cut off at the size limit.")
        self.bytes = counter("body_bytes_total", "Bytes of page bodies received.")
        self.visits = counter("visits_total", "Visits by outcome.", "outcome")
        self.latency = Histogram(
            "ullage_crawl_download_seconds",
            "Time from request to response headers.",
            buckets=SECONDS,
            registry=registry,
        )
        self.revisit = gauge(
            "revisit_seconds", "Longest time between visits of a watched site.", "site"
        )
        self.coverage = CoverageMetrics(registry)
        self.frontier = gauge("frontier_pages", "Pages in the frontier by state.", "state")
        self.expired = counter(
            "expired_unread_total",
            "Posts that expired before match read them; they are fetched again.",
        )
        self.paused = gauge("paused", "1 while crawling is paused because match lags.")
        self._session_ends = gauge(
            "session_ends_timestamp_seconds",
            "When the login session of a watched site expires.",
            "site",
        )
        self.site_faults = gauge("site_file_faults", "Site files that cannot be read.")
        self._own: frozenset[str] = frozenset()
        self._counts: dict[str, Mapping[str, int]] = {}
        self._begin()

    def _begin(self) -> None:
        self.captures.labels(OTHER)
        self.pages.labels("ok")
        for outcome in FILE_OUTCOMES:
            self.files.labels(outcome)
        self._begin_pages(OTHER)
        for outcome in VISIT_OUTCOMES:
            self.visits.labels(outcome)

    def watch(self, sites: Iterable[Site]) -> None:
        """The enabled sites as their files now stand: the watched ones have series of their own."""
        known = {site.name: site for site in sites}
        watched = sorted(name for name, site in known.items() if site.watch)
        own = frozenset(watched[:MAX_WATCHED])
        for name in self._own - own:
            self._forget(name)
        for name in own - self._own:
            self.captures.labels(name)
            self._begin_pages(name)
        for name in own:
            self.revisit.labels(name).set(known[name].revisit_seconds)
        self._own = own
        for name in self._counts.keys() - known.keys():
            self._count(name, {})

    def _begin_pages(self, label: str) -> None:
        for result in RESULTS:
            self.site_pages.labels(label, result)

    def page(self, site: str, outcome: str) -> None:
        """A page came to this.

        By site only whether it was read: outcomes times sites would be thousands of series.
        """
        self.pages.labels(outcome).inc()
        self.site_pages.labels(self.label(site), "read" if outcome in READ else "failed").inc()

    def label(self, site: str) -> str:
        """The label `site` for a site of that name.

        Canary posts are apart: they come even when nothing else does.
        """
        return site if site in self._own or site == CANARY else OTHER

    def session(self, site: str, ends_at: float) -> None:
        """The session of a site runs out then, in Unix seconds; 0 where there is none or nobody
        knows.
        """
        if site not in self._own:
            return
        if ends_at:
            self._session_ends.labels(site).set(ends_at)
        else:
            self._session_ends.remove_by_labels({"site": site})

    def visited(self, site: str, succeeded: bool, counts: Mapping[str, int]) -> None:
        """A visit ended; `counts` are the site's pages by state."""
        self.visits.labels("ok" if succeeded else "failed").inc()
        self._count(site, counts)

    def _count(self, site: str, counts: Mapping[str, int]) -> None:
        """The totals a state follow one site's new counts, so that a visit costs the same with
        ten thousand sites.
        """
        before = self._counts.pop(site, {})
        for state in before.keys() | counts.keys():
            self.frontier.labels(state).inc(counts.get(state, 0) - before.get(state, 0))
        if counts:
            self._counts[site] = counts

    def _forget(self, site: str) -> None:
        """A site that is gone leaves no series that would look as if it failed."""
        for metric in (self.captures, self.revisit):
            metric.remove(site)
        for metrics in (self.site_pages, self._session_ends):
            metrics.remove_by_labels({"site": site})


STATUSES = ("2xx", "4xx", "429", "5xx")


class IntakeMetrics:
    """Whether collectors get rid of what they have."""

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self.loop = LoopMetrics(registry, clock, (BUS,))
        self.requests = Counter(
            "ullage_intake_requests_total", "Requests by status.", ["status"], registry=registry
        )
        self.captures = Counter(
            "ullage_intake_captures_total", "Captured posts stored on the bus.", registry=registry
        )
        self.refused = Counter(
            "ullage_intake_refused_lines_total", "Invalid posts.", registry=registry
        )
        self.waiting = Gauge(
            "ullage_intake_waiting_bytes",
            "Size of requests waiting for the bus.",
            registry=registry,
        )
        for status in STATUSES:
            self.requests.labels(status)

    def answered(self, status: int) -> None:
        """A request was answered so."""
        self.requests.labels("429" if status == 429 else f"{status // 100}xx").inc()
