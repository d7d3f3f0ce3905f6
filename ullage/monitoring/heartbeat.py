"""Export metrics of heartbeats: arrival, delay, and what crawl reports about its sites.

Each stage that a heartbeat passes has a `HeartbeatMetrics`, so that Prometheus sees where the way
is interrupted. `CoverageMetrics` shows the states of sites, and `FarCounts` the counters of crawl.
Crawl itself sets `CoverageMetrics`; behind an air gap match does, so that the inner zone sees the
outer zone's sites under the same names. Hosts and sites beyond a limit share the label `other`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from ullage.clock import Clock
from ullage.monitoring.metrics import BUCKETS, OTHER
from ullage.records.heartbeat import STATES, Coverage, Heartbeat, SiteCounter, SiteReport

AHEAD_SECONDS = 300.0
"""Tolerated difference between the clocks of two hosts."""
MAX_ORIGINS = 8
"""Further origins get the label `other`, like sites that are not watched."""


class HeartbeatMetrics:
    """The heartbeats that arrive at one stage."""

    def __init__(self, registry: CollectorRegistry, stage: str, clock: Clock) -> None:
        self._stage, self._clock = stage, clock
        self._newest: dict[str, float] = {}
        self._arrived = Gauge(
            "ullage_heartbeat_timestamp_seconds",
            "When crawl sent the newest heartbeat that reached this stage.",
            ["stage", "origin"],
            registry=registry,
        )
        self._way = Histogram(
            "ullage_pipe_seconds",
            "Time of a heartbeat from crawl to this stage.",
            ["stage"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._way.labels(stage)

    def is_news(self, beat: Heartbeat) -> bool:
        """Return whether `beat` is newer than all earlier heartbeats of its origin.

        After one from a clock that was far ahead everything counts as new; otherwise
        nothing would be new until that time comes.
        """
        newest = self._newest.get(self._label(beat), 0.0)
        return beat.inserted_at.timestamp() > newest or newest > self._clock.wall() + AHEAD_SECONDS

    def _label(self, beat: Heartbeat) -> str:
        return (
            beat.origin if beat.origin in self._newest or len(self._newest) < MAX_ORIGINS else OTHER
        )

    def record(self, beat: Heartbeat) -> bool:
        """Record a heartbeat; return whether it is news.

        A repetition, or one older than the newest of its origin, is not and is ignored. A time in
        the future counts as now.
        """
        if not self.is_news(beat):
            return False
        now, origin = self._clock.wall(), self._label(beat)
        self._newest[origin] = beat.inserted_at.timestamp()
        # a future time would hide missing heartbeats until then
        inserted = min(now, self._newest[origin])
        self._arrived.labels(self._stage, origin).set(inserted)
        self._way.labels(self._stage).observe(now - inserted)
        return True


class CoverageMetrics:
    """What crawl hosts report about their sites; every state exists from the start, at 0."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"ullage_crawl_{name}", text, labels, registry=registry)

        self._by_origin: dict[str, Coverage] = {}
        self._shown: dict[str, SiteReport] = {}
        self._state = gauge(
            "site_state", "1 for the state that a watched site is in.", "site", "state"
        )
        self._sites = gauge("sites", "Sites, watched or not, in each state.", "state")
        self._times = {
            "last_new": gauge(
                "site_last_new_timestamp_seconds",
                "When a watched site last had a new post.",
                "site",
            ),
            "last_success": gauge(
                "site_last_success_timestamp_seconds",
                "When a visit to a watched site succeeded.",
                "site",
            ),
            "expected_by": gauge(
                "site_expected_by_timestamp_seconds",
                "When a new post is overdue by the site's usual interval.",
                "site",
            ),
        }
        self._egress = gauge("egress_up", "0 while the network is unreachable.")
        self._egress.set(1)
        for state in STATES:
            self._sites.labels(state)

    def show(self, origin: str, coverage: Coverage) -> None:
        """Export the latest reports of all crawl hosts, with a new one of `origin`.

        Sites that no host reports any more lose their series. A new host beyond MAX_ORIGINS (8) is
        ignored.
        """
        if origin not in self._by_origin and len(self._by_origin) >= MAX_ORIGINS:
            return
        self._by_origin[origin] = coverage
        coverages = list(self._by_origin.values())
        for state in STATES:
            self._sites.labels(state).set(sum(latest.sites.get(state, 0) for latest in coverages))
        self._egress.set(all(latest.egress_up for latest in coverages))
        reports = {report.site: report for latest in coverages for report in latest.watched}
        for report in reports.values():
            # called after each visit, which changes one of them
            if report != self._shown.get(report.site):
                self._show(report)
        for site in self._shown.keys() - reports.keys():
            self._forget(site)
        self._shown = reports

    def _show(self, report: SiteReport) -> None:
        for state in STATES:
            self._state.labels(report.site, state).set(state == report.state)
        for name, metric in self._times.items():
            if at := getattr(report, name):
                metric.labels(report.site).set(at)
            elif report.site in self._shown:
                metric.remove(report.site)

    def _forget(self, site: str) -> None:
        for state in STATES:
            self._state.remove(site, state)
        for metric in self._times.values():
            metric.remove(site)


class FarCounts(Collector):
    """Crawl's counters from its latest heartbeats, under their own names, with the site `other`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._by_origin: dict[str, tuple[SiteCounter, ...]] = {}
        registry.register(self)

    def show(self, origin: str, counts: Iterable[SiteCounter]) -> None:
        """Replace the counters of `origin`."""
        if origin in self._by_origin or len(self._by_origin) < MAX_ORIGINS:
            self._by_origin[origin] = tuple(counts)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield one family per name; prometheus_client calls it at each scrape.

        Each series has the origin and, as its site, OTHER. Yields nothing before a host has
        reported counts.
        """
        families: dict[str, CounterMetricFamily] = {}
        for origin, counts in sorted(self._by_origin.items()):
            for count in counts:
                family = families.get(count.name)
                if family is None:
                    names = ["site", "origin", *sorted(count.labels)]
                    family = families[count.name] = CounterMetricFamily(
                        count.name, "As last reported by crawl.", labels=names
                    )
                family.add_metric(
                    [OTHER, origin, *(value for _, value in sorted(count.labels.items()))],
                    count.value,
                )
        yield from families.values()
