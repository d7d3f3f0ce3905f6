"""What to do next: terminal, page, message and report all say the same line, on top."""

import contextlib
import io
import json
import re
from itertools import product
from types import SimpleNamespace
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from prometheus_client import CollectorRegistry
from rich.console import Console

from alerts.cases.decisions import Decisions
from alerts.cases.incident_list import whole
from alerts.cases.outgoing import OutgoingIncident
from alerts.cases.report import Case, ReportLanguage, page
from alerts.cases.report_files import literal, markdown
from alerts.cli.incidents import incidents_show
from alerts.cli.tables import incident_in_full
from alerts.deadlines.outstanding import Duties, Moments
from alerts.deadlines.schedule import duties_of
from alerts.notify import IncidentSummary, MessageEntry, message
from alerts.notify.metrics import NotifyMetrics
from alerts.notify.sender import Notifier, Sender, Setup
from alerts.records import SEVERITIES, Origin
from tests.alerts.browser import ASKER
from tests.alerts.builders import incident
from tests.alerts.notify.support import RecordingChannel, notify_settings
from ullage.settings import Tenant
from ullage.verdict.next_step import StepConditions, next_step
from ullage.verdict.rules import own_rules

SCENARIOS = {scenario.id: scenario.title for scenario in own_rules().scenario}
ZONE = ZoneInfo("Asia/Shanghai")


def case_of(found, clock) -> Case:
    moments = Moments(found.first_seen, None, None, None, None)
    return Case(OutgoingIncident.of(found), (), moments, (), Tenant(), ZONE, clock.as_clock().now())


@pytest.mark.parametrize(("origin", "severity"), list(product(get_args(Origin), SEVERITIES)))
def test_all_say_the_same_and_the_draft_for_the_regulator_says_nothing(
    store, browser, clock, origin, severity
):
    scenario = list(SCENARIOS)[(len(origin) + len(severity)) % len(SCENARIOS)]
    one = incident(
        origin=origin,
        severity=severity,
        scenario=scenario,
        scenario_title=SCENARIOS[scenario],
        customers=60,
    )
    store.put([one])
    store.refresh()
    step = next_step(
        origin,
        severity,
        scenario,
        StepConditions(people=True, alone=not one.agreeing, unread=False),
    )
    shown = Console(file=(stream := io.StringIO()), width=1000)
    shown.print(incident_in_full(whole(store, one.id), ZONE))
    drafted = markdown(page(case_of(one, clock), ReportLanguage.BOTH))
    assert step.text in stream.getvalue()
    assert step.text_zh in stream.getvalue()
    for language, said, other in (("en", step.text, step.text_zh), ("zh", step.text_zh, step.text)):
        told = message(
            "m",
            [
                MessageEntry(
                    one.id, one.severity, "new", "u", IncidentSummary.of(one), language=language
                )
            ],
            "u",
        )
        assert said in told.text()
        assert other not in told.text()
        assert said in json.dumps(told.payload(), ensure_ascii=False)
        shown_page = browser.get(f"/incidents/{one.id}", headers={"accept-language": language}).text
        assert said in shown_page.replace("&#39;", "'")
    assert literal(step.text) not in drafted, "the next step is for the house"
    assert literal(step.text_zh) not in drafted
    assert stream.getvalue().splitlines()[1] == f"Next: {step.text}"
    assert browser.get(f"/v1/incidents/{one.id}").json()["next_step"] == step.text
    assert (
        step.text_zh
        not in message("m", [MessageEntry(one.id, one.severity, "new", "u")], "u").text()
    )


def test_what_was_not_read_changes_the_step(store):
    bare = incident(customers=0, severity="notice")
    assert "not read" not in bare.next_step.text
    assert (
        "not read"
        in incident(customers=0, severity="notice", incomplete=("budget",)).next_step.text
    )


def test_a_closed_incident_asks_for_nothing_more(store, browser, context):
    one = incident(origin="ours", clock="none", severity="high", scenario="X9", customers=60)
    store.put([one])
    Decisions(duties_of(context, store), context.trail("search")).make(
        one, "false_positive", by="Li"
    )
    shown = Console(file=(stream := io.StringIO()), width=1000)
    shown.print(incident_in_full(whole(store, one.id), ZONE))
    assert one.next_step.text not in stream.getvalue() + browser.get(f"/incidents/{one.id}").text


def shown_everywhere(context, store, browser, clock, one) -> tuple[str, str, str, str, str]:
    """What terminal, page, API, message and report say of an incident."""
    store.refresh()
    with contextlib.redirect_stdout(io.StringIO()) as terminal:
        incidents_show(SimpleNamespace(obj=context), [one.id])
    browser.log_in(ASKER)  # hours may have passed
    shown, answer = (
        browser.get(f"/incidents/{one.id}").text,
        browser.get(f"/v1/incidents/{one.id}").json()["decide"],
    )
    soc = RecordingChannel()
    settings = notify_settings(detail={"soc": "facts"})
    duties = Duties(store, lambda _: Tenant(), clock.as_clock())
    metrics = NotifyMetrics(CollectorRegistry(), ["soc"], ["bank"])
    setup = Setup(
        settings, "https://page.example", store, clock.as_clock(), metrics, lambda _: (), duties
    )
    Notifier(setup, [Sender("soc", soc, setup)]).plan([one])
    Sender("soc", soc, setup).turn(flush=True)
    drafted = markdown(page(case_of(one, clock), ReportLanguage.BOTH))
    message_text = soc.sent[0].text() if soc.sent else ""
    return terminal.getvalue(), shown, answer["text"] if answer else "", message_text, drafted


def waiting(store, **changes):
    fields = {
        "origin": "unknown",
        "severity": "medium",
        "clock": "if confirmed",
        "minutes": 60,
        "customers": 60,
    }
    one = incident(**{**fields, **changes})
    store.put([one])
    return one


def text_of(shown: str) -> str:
    """Without the line breaks and escapes of its form."""
    return re.sub(r"\s+", " ", shown.replace("\\", ""))


@pytest.mark.parametrize(
    ("minutes", "by"), [(60, "2026-09-21 23:13 CST"), (1440, "2026-09-22 22:13 CST")]
)
def test_by_when_a_person_decides_is_said_everywhere_alike(
    context, store, browser, clock, minutes, by
):
    one = waiting(store, minutes=minutes)
    terminal, shown, answer, told, drafted = shown_everywhere(context, store, browser, clock, one)
    within = {60: "60 minutes", 1440: "24 hours"}[minutes]
    for text in (terminal, shown, answer):
        assert f"Decide within {within} of notification whether it is confirmed" in text_of(text)
    assert f"请于{by}前判定是否确认" in told
    assert "Decide" not in told
    assert "Decide" not in text_of(drafted), "by when is for the house"
    clock.advance(600)
    for text in shown_everywhere(context, store, browser, clock, one)[:3]:
        assert f"Decide by {by}" in text_of(text)
    clock.advance(minutes * 60)
    for text in shown_everywhere(context, store, browser, clock, one)[:3]:
        assert f"Decide now (it was to be by {by}) whether it is confirmed" in text_of(text)


@pytest.mark.parametrize(
    "changes", [{"clock": "run"}, {"clock": "none"}, {"severity": "low"}, {"decided": "confirmed"}]
)
def test_where_nobody_has_to_decide_nothing_is_said_of_it(context, store, browser, clock, changes):
    decided = changes.pop("decided", "")
    one = waiting(store, **changes)
    if decided:
        Decisions(duties_of(context, store), context.trail("search")).make(one, decided, by="Li")
    assert not any(
        "whether it is confirmed" in text_of(text)
        for text in shown_everywhere(context, store, browser, clock, one)
    )
    assert browser.get(f"/v1/incidents/{one.id}").json()["decide"] is None
