"""The specification of the metrics is what the roles expose, and no crawl of whatever size makes
more series than it says.
"""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from crawlers.fetching.outcomes import FATES
from crawlers.frontier.database import VisitResult, Visits
from crawlers.frontier.leases import PageLease
from crawlers.metrics import CrawlMetrics
from crawlers.publishing.batching import Appends
from crawlers.scheduling.heartbeats import sum_samples
from crawlers.sites.pages import PageContent
from crawlers.visiting.visit import Visit
from deploy.documents.metrics import ROW, exposed, line, registries, with_metrics
from tests.conftest import HeldClock
from tests.crawlers.support import at_once, item, make_site
from tests.deploy.test_rules import ALERTS
from tests.deploy.tools import run
from ullage.clock import Clock
from ullage.monitoring.canary import SITE as CANARY
from ullage.monitoring.metrics import new_registry
from ullage.records.heartbeat import MAX_WATCHED, Coverage, SiteReport
from ullage.runtime.service import ROLES

SPECIFICATION = Path(__file__).parents[2] / "docs" / "metrics.md"
DOMAINS = 10_000


def test_specification_lists_the_exposed_metrics() -> None:
    written = {match[0] for match in ROW.finditer(SPECIFICATION.read_text(encoding="utf-8"))}
    real = {line(metric, tuple(roles)) for metric, roles in exposed().items()}
    assert not (missing := real - written), "docs/metrics.md lacks:\n" + "\n".join(sorted(missing))
    assert not (gone := written - real), "docs/metrics.md has what no role exposes:\n" + "\n".join(
        sorted(gone)
    )


def test_specification_rows_are_corrected_added_and_removed() -> None:
    text = SPECIFICATION.read_text(encoding="utf-8")
    assert with_metrics(text) == text, (
        "docs/metrics.md is older than the code: run .venv/bin/python -m deploy.documents"
    )
    rows = [found[0] for found in ROW.finditer(text)]
    crawl = [row for row in rows if ", crawl): " in row]
    gone = crawl[0].replace(crawl[0].split("`")[1], "ullage_crawl_of_before")
    changed = text.replace(crawl[1], gone).replace(
        crawl[2], crawl[2].replace("gauge", "counter").replace("counter", "histogram")
    )
    assert {found[0] for found in ROW.finditer(with_metrics(changed))} == set(rows)
    with pytest.raises(ValueError, match="begin one with its row"):
        with_metrics(
            "".join(
                line for line in text.splitlines(keepends=True) if ", match, alert): " not in line
            )
        )


def test_names_units_and_help_follow_the_rules() -> None:
    for name, kind, labels, text in exposed():
        assert name.startswith(("ullage_", "process_", "python_")), name
        assert (kind == "counter") == name.endswith("_total"), name
        assert not re.search(
            r"_(ms|millis|milliseconds|minutes|hours|days|kb|mb|percent|age)(_|$)", name
        ), name
        assert name.endswith("_timestamp_seconds") or "timestamp" not in name, name
        assert text[:1].isupper() or text[:1].isdigit(), name
        assert not {"url", "domain", "host", "author", "subject", "digest", "tag", "user"} & set(
            labels
        ), name


def test_histograms_have_few_buckets() -> None:
    for registry in registries().values():
        for family in registry.collect():
            bounds = {sample.labels["le"] for sample in family.samples if "le" in sample.labels}
            assert len(bounds) <= 10, family.name


def series(registry: CollectorRegistry) -> int:
    return sum(not row.startswith(b"#") for row in generate_latest(registry).splitlines())


def test_series_of_each_tenant_are_as_specified() -> None:
    none, twenty = registries([]), registries([f"tenant-{n}" for n in range(20)])
    assert [
        series(none[role]) < most
        for role, most in zip(ROLES, (100, 180, 150, 50, 50, 50), strict=True)
    ] == [True] * 6
    each = {role: (series(twenty[role]) - series(none[role])) / 20 for role in ROLES}
    assert each["crawl"] == each["search"] == each["intake"] == each["collect"] == 0
    assert each["match"] <= 15
    assert each["alert"] <= 260


class EmptyFrontier:
    """A frontier that remembers nothing."""

    history = SimpleNamespace(tally=lambda *_: None)

    def finish(self, *_: object, **__: object) -> VisitResult:
        return VisitResult()

    def postpone(self, *_: object, **__: object) -> str:
        return "due"

    def park(self, *_: object) -> None: ...
    def visits(self, _site: str) -> Visits:
        return Visits()


def visit_sites(metrics: CrawlMetrics, clock: HeldClock, count: int) -> Iterator[Visit]:
    """Yield a visit to each of so many sites, all of which ask to be watched."""
    sites = [
        make_site(name=f"site{n:05}", watch=True, start=[f"http://site{n}.example/"])
        for n in range(count)
    ]
    metrics.watch(sites)
    for site in sites:
        platform = SimpleNamespace(start=lambda _site: [])
        permits = asyncio.Semaphore(1)
        yield Visit(
            site,
            platform,
            EmptyFrontier(),
            None,
            None,
            metrics,
            clock.as_clock(),
            permits,
            lambda: True,
            Appends(at_once),
        )


def test_ten_thousand_domains_stay_within_the_series_budget(
    clock: HeldClock,
) -> None:
    registry = new_registry("crawl")
    metrics = CrawlMetrics(registry, Clock())
    for number, visit in enumerate(visit_sites(metrics, clock, DOMAINS)):
        leased = PageLease(visit.site.name, b"page", item(1), b"", 0)
        visit._held.add(b"page")
        visit.finished(leased, PageContent(), 1)
        others = sorted(set(FATES) - {"ok"})
        for outcome in others if number < MAX_WATCHED else others[number % len(others) :][:1]:
            visit._held.add(b"page")
            visit.failed(leased, outcome)
        metrics.count_visit(visit.site.name, True, {"due": 1, "leased": 0, "done": 1, "parked": 0})
    watched = tuple(
        SiteReport(site=f"site{n:05}", state="ok", last_new=1, last_success=1, expected_by=1)
        for n in range(MAX_WATCHED)
    )
    metrics.coverage.show("crawl", Coverage(watched=watched, sites={"ok": DOMAINS}))
    assert series(registry) < 3_500
    text = generate_latest(registry).decode()
    assert 'ullage_crawl_captures_total{site="site00199"} 1.0' in text
    assert "site00200" not in text
    assert (
        registry.get_sample_value("ullage_crawl_captures_total", {"site": "other"})
        == DOMAINS - MAX_WATCHED
    )
    assert registry.get_sample_value("ullage_crawl_frontier_pages", {"state": "done"}) == DOMAINS


def test_canary_posts_are_counted_separately_and_prove_no_coverage(clock: HeldClock) -> None:
    metrics = CrawlMetrics(CollectorRegistry(), Clock())
    metrics.watch([make_site(name="a", watch=True)])
    for site in ("a", "never watched", CANARY):
        metrics.captures.labels(metrics.site_label(site)).inc()
    assert {sample.labels["site"] for sample in metrics.captures.collect()[0].samples} == {
        "a",
        "other",
        CANARY,
    }
    assert [count.value for count in sum_samples(metrics.captures)] == [2.0], "nor across a gap"
    assert f'site!="{CANARY}"' in ALERTS["UllageCoverageGap"]["expr"]


def test_removed_or_unwatched_site_leaves_no_series(
    clock: HeldClock,
) -> None:
    registry = CollectorRegistry()
    metrics = CrawlMetrics(registry, Clock())
    a, b, c = make_site(name="a"), make_site(name="b"), make_site(name="c", watch=False)
    metrics.watch([a, b, c])
    for site in "abc":
        metrics.count_page(site, "timeout")
        metrics.count_visit(site, True, {"due": 2, "done": 1})
    assert registry.get_sample_value("ullage_crawl_revisit_seconds", {"site": "b"}) == 300.0
    assert registry.get_sample_value("ullage_crawl_revisit_seconds", {"site": "c"}) is None
    metrics.watch([a, make_site(name="b", watch=False)])
    text = generate_latest(registry).decode()
    assert 'site="b"' not in text
    assert registry.get_sample_value("ullage_crawl_revisit_seconds", {"site": "a"}) == 300.0
    assert registry.get_sample_value("ullage_crawl_frontier_pages", {"state": "due"}) == 4
    assert (
        metrics.site_label("b")
        == metrics.site_label("c")
        == metrics.site_label("never heard of")
        == "other"
    )


@pytest.mark.parametrize("role", ROLES)
def test_promtool_accepts_the_metrics_of_a_service(role: str) -> None:
    done = run("promtool", "check", "metrics", text=generate_latest(registries()[role]).decode())
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_promtool_detects_a_bad_metric() -> None:
    done = run("promtool", "check", "metrics", text="# TYPE ullage_bad_ms gauge\nullage_bad_ms 1\n")
    assert done.returncode == 3
    assert "no help text" in done.stdout + done.stderr
