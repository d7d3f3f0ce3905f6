"""Metrics of crawl and intake.

Only watched sites have series of their own, at most `MAX_WATCHED`: a monitoring system handles some
thousands of series per process, and a crawl may have ten thousand sites. The remaining sites share
the label `other`. The states of sites are in `ullage.monitoring.heartbeat`, because match exports
them too.
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
"""Outcomes after which nothing of a page remains to be read."""


class CrawlMetrics:
    """The metrics that show gaps of the crawl.

    These are pages by outcome, captures, age of the last success, and backlog.
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
        self._create_series()

    def _create_series(self) -> None:
        self.captures.labels(OTHER)
        self.pages.labels("ok")
        for outcome in FILE_OUTCOMES:
            self.files.labels(outcome)
        self._create_page_series(OTHER)
        for outcome in VISIT_OUTCOMES:
            self.visits.labels(outcome)

    def watch(self, sites: Iterable[Site]) -> None:
        """Give the watched ones of these sites series of their own; remove those of others.

        Of more than MAX_WATCHED, the first by name have series. Totals of sites that are not among
        `sites` are removed too.
        """
        by_name = {site.name: site for site in sites}
        watched = sorted(name for name, site in by_name.items() if site.watch)
        labelled = frozenset(watched[:MAX_WATCHED])
        for name in self._own - labelled:
            self._remove_series(name)
        for name in labelled - self._own:
            self.captures.labels(name)
            self._create_page_series(name)
        for name in labelled:
            self.revisit.labels(name).set(by_name[name].revisit_seconds)
        self._own = labelled
        for name in self._counts.keys() - by_name.keys():
            self._update_totals(name, {})

    def _create_page_series(self, label: str) -> None:
        for result in RESULTS:
            self.site_pages.labels(label, result)

    def count_page(self, site: str, outcome: str) -> None:
        """Count a page by outcome.

        Sites only distinguish whether it was read: outcomes times sites would be thousands
        of series.
        """
        self.pages.labels(outcome).inc()
        self.site_pages.labels(self.site_label(site), "read" if outcome in READ else "failed").inc()

    def site_label(self, site: str) -> str:
        """Return the label `site` for a site of that name.

        Canary posts have a label of their own: they arrive even when nothing else does.
        """
        return site if site in self._own or site == CANARY else OTHER

    def set_session_end(self, site: str, ends_at: float) -> None:
        """Set when the session of a site expires, in Unix seconds.

        0 stands for no session or an unknown end.
        """
        if site not in self._own:
            return
        if ends_at:
            self._session_ends.labels(site).set(ends_at)
        else:
            self._session_ends.remove_by_labels({"site": site})

    def count_visit(self, site: str, succeeded: bool, counts: Mapping[str, int]) -> None:
        """Count a visit that has ended; `counts` are the site's pages by state."""
        self.visits.labels("ok" if succeeded else "failed").inc()
        self._update_totals(site, counts)

    def _update_totals(self, site: str, counts: Mapping[str, int]) -> None:
        """Update the totals by state from one site's new counts.

        So a visit costs the same with ten thousand sites.
        """
        before = self._counts.pop(site, {})
        for state in before.keys() | counts.keys():
            self.frontier.labels(state).inc(counts.get(state, 0) - before.get(state, 0))
        if counts:
            self._counts[site] = counts

    def _remove_series(self, site: str) -> None:
        """Remove the series of a site that is gone, so that it does not seem to fail."""
        for metric in (self.captures, self.revisit):
            metric.remove(site)
        for metrics in (self.site_pages, self._session_ends):
            metrics.remove_by_labels({"site": site})


STATUSES = ("2xx", "4xx", "429", "5xx")


class IntakeMetrics:
    """The metrics that show whether collectors can deliver."""

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

    def count_request(self, status: int) -> None:
        """Count a request by the status of its answer."""
        self.requests.labels("429" if status == 429 else f"{status // 100}xx").inc()
