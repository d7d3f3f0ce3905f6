"""A canary post at alert: decided on like any finding, told nowhere, in no list; and timed once."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from alerts.cases.suppressions import mute_filter
from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Work
from alerts.grouping.benign import BenignRules
from alerts.grouping.stage import Alert
from alerts.records import Incident
from alerts.service.intake import Canaries, Dispatch, count_notifications, is_canary
from alerts.service.metrics import AlertMetrics
from alerts.store import DocumentFilter
from matcher.cli import canary as enrolment
from matcher.cli.evidence_vault import outgoing
from matcher.cli.loading import build_matcher
from matcher.match.findings import find_all
from tests.alerts.builders import everything, finding, record, stage
from tests.alerts.noise.posts import post
from tests.conftest import HeldClock
from tests.factories import capture
from ullage import setup
from ullage.bus import FINDINGS, Record
from ullage.errors import RecordError, UnavailableError
from ullage.monitoring.canary import SITE, TENANT, make_proof, render_post
from ullage.monitoring.heartbeat import HeartbeatMetrics
from ullage.monitoring.metrics import CanaryMetrics
from ullage.security import keys
from ullage.security.keys import KeyStore
from ullage.settings import Context, Tenant


@pytest.fixture(scope="module")
def canary_record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Return the record that match publishes about a canary post."""
    context = Context(tmp_path_factory.mktemp("canary") / "data", HeldClock().as_clock())
    list(setup.initialise(context))
    assert enrolment.enrol(context)
    post_text = render_post(
        "a" * 12,
        make_proof(keys.load_signer(context.keys, "crawl"), "a" * 12, context.clock.wall()),
    )
    served = capture(
        site=SITE,
        platform="canary",
        post_id="a" * 12,
        title="",
        body=post_text.encode(),
        media_type="text/plain",
    )
    (canary_finding,) = find_all(build_matcher(context), [served], context.clock.now())
    dated = canary_finding.model_copy(
        update={
            "capture": canary_finding.capture.model_copy(
                update={"published_at": context.clock.now()}
            )
        }
    )
    out = outgoing(dated, keys.load_signer(context.keys, "match"))
    return Record(FINDINGS, 0, 1, 0.0, out.key, out.headers, out.value)


def test_canary_finding_would_be_notified(canary_record: Record, store, clock: HeldClock) -> None:
    assert is_canary(canary_record)
    assert not is_canary(record(finding("f")))
    assert count_notifications(canary_record, stage(store, clock), mute_filter) == 1


def test_benign_post_under_the_rules_in_force_would_not_be_notified(
    store, clock: HeldClock
) -> None:
    assert count_notifications(record(post()), stage(store, clock), mute_filter) == 0
    none = BenignRules(version=9, rule=())
    assert (
        count_notifications(
            record(post()), replace(stage(store, clock), background=lambda: none), mute_filter
        )
        == 1
    )


def build_dispatch(store, clock: HeldClock, registry: CollectorRegistry) -> Dispatch:
    at = clock.as_clock()
    metrics = AlertMetrics(registry, ["bank"], at)
    work = Work(Duties(store, lambda _: Tenant(), at))
    real = Alert(
        store, at, lambda _: Tenant(), metrics, filed=lambda _, written: work.write(written)
    )
    return Dispatch(
        real.handle,
        Canaries(real, metrics.canary, mute_filter),
        HeartbeatMetrics(CollectorRegistry(), "alert", at),
        lambda _: None,
    )


def test_canary_is_timed_and_stores_nothing(
    canary_record: Record, store, clock: HeldClock, registry: CollectorRegistry
) -> None:
    clock.advance(42)
    handle = build_dispatch(store, clock, registry)
    before = everything(store)
    handle([canary_record])
    assert everything(store) == before
    assert store.count(Incident, DocumentFilter()) == 0
    assert registry.get_sample_value("ullage_canary_publish_to_notification_seconds_sum") == 42
    assert registry.get_sample_value("ullage_canary_last_success_timestamp_seconds") == clock.wall()
    assert registry.get_sample_value("ullage_alert_findings_total", {"tenant": "other"}) == 0


def test_repeated_canary_is_not_timed_again(
    canary_record: Record, store, clock: HeldClock, registry: CollectorRegistry
) -> None:
    handle = build_dispatch(store, clock, registry)
    for _ in range(3):
        handle([canary_record, canary_record])
        clock.advance(100)
    assert registry.get_sample_value("ullage_canary_publish_to_notification_seconds_count") == 1
    assert (
        registry.get_sample_value("ullage_canary_last_success_timestamp_seconds")
        == clock.wall() - 300
    )


def test_no_canary_arrives_while_the_store_is_down(
    canary_record: Record,
    store,
    clock: HeldClock,
    registry: CollectorRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def down(*_: object) -> None:
        raise UnavailableError("down")

    monkeypatch.setattr(store, "get", down)
    with pytest.raises(UnavailableError):
        build_dispatch(store, clock, registry)([canary_record])
    assert registry.get_sample_value("ullage_canary_publish_to_notification_seconds_count") == 0


def test_damaged_canary_is_named_and_costs_no_finding(
    canary_record: Record, store, clock: HeldClock, registry: CollectorRegistry
) -> None:
    with pytest.raises(RecordError):
        build_dispatch(store, clock, registry)([canary_record._replace(value=b"{}")])
    real = finding("f", range(10), people="ab")
    build_dispatch(store, clock, CollectorRegistry())([record(real), canary_record])
    assert store.count(Incident, DocumentFilter()) == 1


def test_canary_without_a_date_is_not_a_success(
    canary_record: Record, store, clock: HeldClock
) -> None:
    metrics = CanaryMetrics(registry := CollectorRegistry(), clock.as_clock())
    undated = finding("f", range(10), tenant=TENANT, people="ab", capture={"published_at": None})
    Canaries(stage(store, clock), metrics, mute_filter)([record(undated)])
    assert registry.get_sample_value("ullage_canary_last_success_timestamp_seconds") == 0


def test_enrolment_is_renewed_only_before_it_expires(tmp_path: Path) -> None:
    clock = HeldClock()
    context = Context(tmp_path / "data", clock.as_clock())
    list(setup.initialise(context))
    renewals = []
    for _ in range(9):
        renewals.append(enrolment.enrol(context))
        clock.advance(timedelta(days=20).total_seconds())
    assert renewals == [True, False, False, False, True, False, False, False, True]


def test_keys_managed_elsewhere_are_not_touched(tmp_path: Path) -> None:
    context = Context(tmp_path / "data", HeldClock().as_clock())
    list(setup.initialise(context))
    context.keys = KeyStore(context.keys.root, ("kms", "get"))
    assert not enrolment.enrol(context)
    assert not (context.keys.root / TENANT).exists()
