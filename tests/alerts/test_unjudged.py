"""A rule of the verdict that fails opens the incident all the same; it says so and a person must
judge it.
"""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from alerts.records import Incident, incident_id
from alerts.store import IncidentStore
from tests.alerts.builders import finding, record, stage
from tests.conftest import HeldClock
from ullage import verdict
from ullage.verdict import VerdictFacts

PEOPLE = "abc"


def fail(facts: VerdictFacts, *_: object) -> None:
    raise ZeroDivisionError(facts)


@pytest.mark.parametrize(
    ("part", "rule", "severity"),
    [("origin", "judge_origin", None), ("severity", "judge_exposure", "medium")],
)
def test_failing_rule_costs_no_incident(
    store: IncidentStore,
    clock: HeldClock,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    rule: str,
    severity: str | None,
) -> None:
    registry = CollectorRegistry()
    alert = stage(store, clock, registry)
    monkeypatch.setattr(verdict, rule, fail)
    alert.handle([record(finding("f", range(40), PEOPLE, fields=("NAME", "PHONE", "BALANCE")))])
    incident = store.get(Incident, incident_id("f"))
    assert incident is not None
    assert incident.customers == len(PEOPLE)
    assert incident.severity == (severity or incident.severity)
    reasons = incident.reasons if part == "severity" else incident.origin_reasons
    assert "a rule failed" in " ".join(reason.evidence for reason in reasons)
    assert registry.get_sample_value("ullage_alert_rule_failures_total", {"reason": part}) == 1
    monkeypatch.undo()
    alert.handle(
        [record(finding("g", range(40), PEOPLE, fields=("NAME", "PHONE", "BALANCE")), offset=2)]
    )
    again = store.get(Incident, incident_id("f"))
    assert again is not None
    assert "a rule failed" not in str((again.reasons, again.origin_reasons))
