"""What to do next: terminal, page, message and report all say the same line, on top."""

import io
import json
from itertools import product
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from alerts.clocks.moments import Moments
from alerts.decisions import Decisions
from alerts.notify.message import Entry, Facts, message
from alerts.query import whole
from alerts.records import SEVERITIES, Origin
from alerts.report.draft import Language, page
from alerts.report.facts import Case
from alerts.report.markdown import literal, markdown
from alerts.table import incident_in_full
from tests.alerts.builders import incident
from ullage.next_step import next_step
from ullage.settings import Tenant
from ullage.verdict.rules import own_rules

SCENARIOS = {scenario.id: scenario.title for scenario in own_rules().scenario}
ZONE = ZoneInfo("Asia/Shanghai")


def case_of(found, clock) -> Case:
    moments = Moments(found.first_seen, None, None, None, None)
    return Case(found, (), moments, (), Tenant(), ZONE, clock.as_clock().now())


@pytest.mark.parametrize(("origin", "severity"), list(product(get_args(Origin), SEVERITIES)))
def test_all_four_say_the_same(store, browser, clock, origin, severity):
    scenario = list(SCENARIOS)[(len(origin) + len(severity)) % len(SCENARIOS)]
    one = incident(origin=origin, severity=severity, scenario=scenario, scenario_title=SCENARIOS[scenario], customers=60)
    store.put([one])
    store.refresh()
    step = next_step(origin, severity, scenario, people=True, unread=False)
    shown = Console(file=(stream := io.StringIO()), width=1000)
    shown.print(incident_in_full(whole(store, one.id), ZONE))
    told = message("m", [Entry(one.id, one.severity, "new", "https://page.example", Facts.of(one))], "https://page.example")
    drafted = markdown(page(case_of(one, clock), Language.BOTH))
    for text in (stream.getvalue(), browser.get(f"/incidents/{one.id}").text.replace("&#39;", "'"), told.text()):
        assert step.text in text
        assert step.text_zh in text
    assert literal(step.text) in drafted
    assert literal(step.text_zh) in drafted
    assert stream.getvalue().splitlines()[1] == f"Next: {step.text}"
    assert browser.get(f"/api/incidents/{one.id}").json()["next_step"] == step.text
    assert step.text in json.dumps(told.payload(), ensure_ascii=False)
    assert step.text not in message("m", [Entry(one.id, one.severity, "new", "u")], "u").text()


def test_what_was_not_read_changes_the_step(store):
    bare = incident(customers=0, severity="notice")
    assert "not read" not in bare.next_step.text
    assert "not read" in incident(customers=0, severity="notice", incomplete=("budget",)).next_step.text


def test_a_closed_incident_asks_for_nothing_more(store, browser, context):
    one = incident(origin="ours", severity="high", scenario="X9", customers=60)
    store.put([one])
    Decisions(store, context.trail("search")).make(one, "false_positive", by="Li")
    shown = Console(file=(stream := io.StringIO()), width=1000)
    shown.print(incident_in_full(whole(store, one.id), ZONE))
    assert one.next_step.text not in stream.getvalue() + browser.get(f"/incidents/{one.id}").text
