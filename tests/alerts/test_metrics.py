"""Numbers for a monitoring system: named by the rules, right after a restart, never a new series
from a record.
"""

import re
from datetime import timedelta
from itertools import pairwise
from typing import get_args

import pytest
from prometheus_client import generate_latest

from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Work
from alerts.records import SEVERITIES, STATUSES, Decision, Incident, Origin, incident_id
from alerts.service.metrics import AlertMetrics
from alerts.service.upkeep import (
    EXPIRE_SECONDS,
    RECENT_SECONDS,
    RECOUNT_SECONDS,
    STALLED_SECONDS,
    Maintenance,
)
from alerts.store import DocumentFilter
from alerts.store.queries import WINDOW
from alerts.web.dependencies import SearchMetrics
from tests.alerts.builders import finding, fold_all, record, stage
from ullage.bus import Lag
from ullage.errors import UnavailableError
from ullage.running_time import RunningTime
from ullage.runtime.dead_letters import REASONS
from ullage.settings import StoreSettings, Tenant

A = incident_id("f")
LABELS = {
    "tenant",
    "severity",
    "status",
    "scenario",
    "origin",
    "reason",
    "answer",
    "outcome",
    "dependency",
    "stage",
    "le",
}


def test_metric_names_follow_the_rules(registry, clock):
    AlertMetrics(registry, ["bank"], clock.as_clock())
    SearchMetrics.make(registry)
    for family in registry.collect():
        assert re.fullmatch(
            (
                r"ullage_(alert|search|loop|dependency|heartbeat|pipe|canary|"
                r"coverage)_[a-z]+(_[a-z]+)*"
            ),
            family.name,
        )
        assert family.documentation.endswith(".")
        assert not re.search(r"_(ms|millis|kb|mb|count|sum|total)$", family.name)
        if "timestamp" in family.name:
            assert family.name.endswith("_timestamp_seconds")
        for sample in family.samples:
            assert (family.type != "counter") or sample.name.endswith(("_total", "_created"))
            assert set(sample.labels) <= LABELS


def test_every_series_starts_at_zero(registry, clock):
    AlertMetrics(registry, ["bank"], clock.as_clock())
    for tenant in ("bank", "other"):
        assert registry.get_sample_value("ullage_alert_findings_total", {"tenant": tenant}) == 0
        assert (
            registry.get_sample_value(
                "ullage_alert_publish_to_incident_seconds_count", {"tenant": tenant}
            )
            == 0
        )
        for severity in SEVERITIES:
            for status in STATUSES:
                labels = {"tenant": tenant, "severity": severity, "status": status}
                assert registry.get_sample_value("ullage_alert_incidents", labels) == 0
    for reason in (*REASONS, "other"):
        assert registry.get_sample_value("ullage_alert_dropped_total", {"reason": reason}) == 0


def test_records_are_counted_and_openings_timed_once(store, clock, registry):
    posted = clock.as_clock().now() - timedelta(seconds=50)
    findings = [finding(n, range(10), people="a", capture={"published_at": posted}) for n in "fg"]
    alert = stage(store, clock, registry)
    for _ in range(2):
        alert.handle([record(f) for f in findings])
    assert registry.get_sample_value("ullage_alert_findings_total", {"tenant": "bank"}) == 4
    name = "ullage_alert_publish_to_incident_seconds"
    assert registry.get_sample_value(f"{name}_count", {"tenant": "bank"}) == 1
    assert registry.get_sample_value(f"{name}_sum", {"tenant": "bank"}) == 50.0
    assert registry.get_sample_value(f"{name}_bucket", {"tenant": "bank", "le": "60.0"}) == 1
    assert registry.get_sample_value(f"{name}_bucket", {"tenant": "bank", "le": "15.0"}) == 0
    assert registry.get_sample_value("ullage_alert_last_success_timestamp_seconds") == clock.seconds


def test_no_record_can_create_a_series(store, clock, registry):
    alert = stage(store, clock, registry)
    before = len(generate_latest(registry).splitlines())
    alert.handle(
        [
            record(finding(f"f{n}", range(n, n + 10), people=(n,), tenant=f"tenant-{n}"))
            for n in range(20)
        ]
    )
    alert.metrics.count_dropped("13800138000")
    alert.metrics.recount(store)
    text = generate_latest(registry).decode()
    assert registry.get_sample_value("ullage_alert_findings_total", {"tenant": "other"}) == 20
    assert registry.get_sample_value("ullage_alert_dropped_total", {"reason": "other"}) == 1
    assert "tenant-3" not in text
    assert "13800138000" not in text
    assert len(text.splitlines()) <= before, "and no series either"


@pytest.fixture
def maintenance(store, clock, registry, tmp_path):
    metrics = AlertMetrics(registry, ["bank"], clock.as_clock())
    work = Work(Duties(store, lambda _: Tenant(), clock.as_clock()))

    def renew() -> None:
        work.renew([incident.id for incident in store.scroll(Incident, DocumentFilter())])

    return Maintenance(
        store,
        StoreSettings(),
        RunningTime(tmp_path, clock.as_clock()),
        metrics,
        lambda: Lag(7, 12.5),
        ledger=(renew,),
    )


def test_gauges_follow_the_store_after_a_restart(store, clock, registry, maintenance):
    fold_all(
        store,
        clock,
        [finding("f", range(10), people="ab"), finding("g", range(50, 60), people="c")],
    )
    severity = store.get(Incident, A).severity
    labels = {"tenant": "bank", "severity": severity, "status": "open"}
    maintenance.turn()
    assert registry.get_sample_value("ullage_alert_incidents", labels) == 2
    assert registry.get_sample_value("ullage_alert_exposures", {"tenant": "bank"}) == 3
    assert registry.get_sample_value("ullage_alert_sightings", {"tenant": "bank"}) == 2
    assert registry.get_sample_value("ullage_alert_lag_records") == 7
    assert registry.get_sample_value("ullage_alert_lag_seconds") == 12.5
    now = clock.as_clock().now()
    store.create([Decision(id="d", tenant="bank", incident=A, at=now, by="Li", status="resolved")])
    maintenance.ledger[0]()  # whoever decides writes the work item
    maintenance.turn()
    assert registry.get_sample_value("ullage_alert_incidents", labels) == 2, (
        "not counted again within 15 s"
    )
    clock.advance(RECOUNT_SECONDS)
    maintenance.turn()
    assert registry.get_sample_value("ullage_alert_incidents", labels) == 1
    assert (
        registry.get_sample_value("ullage_alert_incidents", {**labels, "status": "resolved"}) == 1
    )


def test_slow_counting_takes_at_most_a_tenth_of_the_time(store, clock, maintenance):
    counted, looked = [], []
    maintenance.ledger = (*maintenance.ledger, lambda: looked.append(clock.seconds))

    def slowly() -> None:
        counted.append(clock.seconds)
        clock.advance(30)

    maintenance.recount_more = slowly
    for _ in range(100):
        maintenance.turn()
        clock.advance(RECOUNT_SECONDS)
    assert len(counted) > 2
    assert {later - sooner for sooner, later in pairwise(counted)} == {300.0}
    assert max(later - sooner for sooner, later in pairwise(looked)) <= RECENT_SECONDS + 30, (
        "the ledger keeps its minute"
    )


def test_expired_documents_are_deleted_within_the_hour(store, clock, maintenance):
    fold_all(store, clock, [finding("f", range(10), people="ab")])
    maintenance.turn()
    assert store.get(Incident, A).frozen_at is None
    clock.advance(181 * 86400 + EXPIRE_SECONDS)
    maintenance.turn()
    assert store.get(Incident, A).frozen_at is not None


def test_exposed_customers_exclude_old_and_false_incidents(store, clock, registry, maintenance):
    rows = {"fields": ("NAME", "PHONE", "LOAN")}
    fold_all(
        store,
        clock,
        [finding("f", range(10), people="abc", **rows), finding("g", range(50, 60), people="c")],
    )
    first, second = store.get(Incident, A), store.get(Incident, incident_id("g"))

    def value(name: str, **labels: str) -> float | None:
        maintenance.turn()
        return registry.get_sample_value(f"ullage_alert_{name}", {"tenant": "bank", **labels})

    assert first.scenario == "X9"
    assert value("exposed_customers", scenario="X9", severity=first.severity) == 3
    assert (
        value("exposed_customers", scenario=second.scenario or "none", severity=second.severity)
        == 1
    )
    assert value("exposed_customers", scenario="X2", severity="high") == 0, (
        "a series from the start"
    )
    origins = [
        value("recent_incidents", origin=o, severity=s)
        for o in get_args(Origin)
        for s in SEVERITIES
    ]
    assert sum(origins) == 2
    now = clock.as_clock().now()
    store.create(
        [Decision(id="d", tenant="bank", incident=A, at=now, by="Li", status="false_positive")]
    )
    clock.advance(RECENT_SECONDS)
    assert value("exposed_customers", scenario="X9", severity=first.severity) == 0
    clock.advance(WINDOW.total_seconds())
    assert (
        value("exposed_customers", scenario=second.scenario or "none", severity=second.severity)
        == 0
    )


def test_customers_of_a_custom_scenario_count_as_other(store, clock, registry, maintenance):
    fold_all(store, clock, [finding("f", range(10), people="abc")])
    custom = store.get(Incident, A).model_copy(update={"scenario": "X99"})
    store.put([custom])
    maintenance.turn()
    labels = {"tenant": "bank", "scenario": "other", "severity": custom.severity}
    assert registry.get_sample_value("ullage_alert_exposed_customers", labels) == 3
    assert "X99" not in generate_latest(registry).decode()


def test_unavailable_store_or_bus_is_reported(clock, registry, maintenance, monkeypatch):
    def down(*_):
        raise UnavailableError("down")

    def up(part):
        return registry.get_sample_value("ullage_dependency_up", {"dependency": part})

    maintenance.turn()
    assert (up("bus"), up("store")) == (1, 1)
    monkeypatch.setattr(maintenance.store, "count", down)
    clock.advance(RECOUNT_SECONDS)
    maintenance.turn()
    assert (up("bus"), up("store")) == (1, 0)
    monkeypatch.setattr(maintenance, "lag", down)
    maintenance.turn()
    assert (up("bus"), up("store")) == (0, 0)
    assert registry.get_sample_value("ullage_loop_turned_timestamp_seconds") == clock.seconds


def test_unavailable_store_is_skipped(clock, maintenance, monkeypatch):
    def down(*_):
        raise UnavailableError("down")

    monkeypatch.setattr(maintenance.store, "scroll", down)
    maintenance.turn()
    assert maintenance.ready()
    clock.advance(STALLED_SECONDS)
    assert not maintenance.ready()
