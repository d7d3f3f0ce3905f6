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
from alerts.cases.incident_list import load_details
from alerts.cases.outgoing import OutgoingIncident
from alerts.cases.report import Case, ReportLanguage, page
from alerts.cases.report_files import literal, markdown
from alerts.cli.incidents import incidents_show
from alerts.cli.tables import incident_in_full
from alerts.deadlines.outstanding import Duties, Moments
from alerts.deadlines.schedule import duties_of
from alerts.notify import IncidentSummary, MessageEntry, compose_message
from alerts.notify.metrics import NotifyMetrics
from alerts.notify.sender import Notifier, Sender, Setup
from alerts.records import SEVERITIES, Origin
from tests.alerts.browser import ASKER
from tests.alerts.builders import incident
from tests.alerts.notify.support import RecordingChannel, notify_settings
from ullage.settings import Tenant
from ullage.verdict.next_step import StepConditions, next_step
from ullage.verdict.rules import load_verdict_rules

SCENARIOS = {scenario.id: scenario.title for scenario in load_verdict_rules().scenario}
ZONE = ZoneInfo("Asia/Shanghai")


def case_of(found, clock) -> Case:
    moments = Moments(found.first_seen, None, None, None, None)
    return Case(
        OutgoingIncident.from_incident(found),
        (),
        moments,
        (),
        Tenant(),
        ZONE,
        clock.as_clock().now(),
    )


@pytest.mark.parametrize(("origin", "severity"), list(product(get_args(Origin), SEVERITIES)))
def test_every_channel_but_the_draft_shows_the_same_next_step(
    store, browser, clock, origin, severity
):
    scenario = list(SCENARIOS)[(len(origin) + len(severity)) % len(SCENARIOS)]
    open_incident = incident(
        origin=origin,
        severity=severity,
        scenario=scenario,
        scenario_title=SCENARIOS[scenario],
        customers=60,
    )
    store.put([open_incident])
    store.refresh()
    step = next_step(
        origin,
        severity,
        scenario,
        StepConditions(people=True, alone=not open_incident.agreeing, unread=False),
    )
    shown = Console(file=(stream := io.StringIO()), width=1000)
    shown.print(incident_in_full(load_details(store, open_incident.id), ZONE))
    drafted = markdown(page(case_of(open_incident, clock), ReportLanguage.BOTH))
    assert step.text in stream.getvalue()
    assert step.text_zh in stream.getvalue()
    for language, translated, untranslated in (
        ("en", step.text, step.text_zh),
        ("zh", step.text_zh, step.text),
    ):
        notice = compose_message(
            "m",
            [
                MessageEntry(
                    open_incident.id,
                    open_incident.severity,
                    "new",
                    "u",
                    IncidentSummary.from_incident(open_incident),
                    language=language,
                )
            ],
            "u",
        )
        assert translated in notice.text()
        assert untranslated not in notice.text()
        assert translated in json.dumps(notice.payload(), ensure_ascii=False)
        shown_page = browser.get(
            f"/incidents/{open_incident.id}", headers={"accept-language": language}
        ).text
        assert translated in shown_page.replace("&#39;", "'")
    assert literal(step.text) not in drafted, "the next step is for the house"
    assert literal(step.text_zh) not in drafted
    assert stream.getvalue().splitlines()[1] == f"Next: {step.text}"
    assert browser.get(f"/v1/incidents/{open_incident.id}").json()["next_step"] == step.text
    assert (
        step.text_zh
        not in compose_message(
            "m", [MessageEntry(open_incident.id, open_incident.severity, "new", "u")], "u"
        ).text()
    )


def test_unread_parts_change_the_next_step(store):
    bare = incident(customers=0, severity="notice")
    assert "not read" not in bare.next_step.text
    assert (
        "not read"
        in incident(customers=0, severity="notice", incomplete=("budget",)).next_step.text
    )


def test_closed_incident_has_no_next_step(store, browser, context):
    closed_incident = incident(
        origin="ours", clock="none", severity="high", scenario="X9", customers=60
    )
    store.put([closed_incident])
    Decisions(duties_of(context, store), context.trail("search")).make(
        closed_incident, "false_positive", by="Li"
    )
    shown = Console(file=(stream := io.StringIO()), width=1000)
    shown.print(incident_in_full(load_details(store, closed_incident.id), ZONE))
    assert (
        closed_incident.next_step.text
        not in stream.getvalue() + browser.get(f"/incidents/{closed_incident.id}").text
    )


def render_everywhere(
    context, store, browser, clock, shown_incident
) -> tuple[str, str, str, str, str]:
    """Return what terminal, page, API, message and report say about an incident."""
    store.refresh()
    with contextlib.redirect_stdout(io.StringIO()) as terminal:
        incidents_show(SimpleNamespace(obj=context), [shown_incident.id])
    browser.log_in(ASKER)  # hours may have passed
    shown, answer = (
        browser.get(f"/incidents/{shown_incident.id}").text,
        browser.get(f"/v1/incidents/{shown_incident.id}").json()["decide"],
    )
    soc = RecordingChannel()
    settings = notify_settings(detail={"soc": "facts"})
    duties = Duties(store, lambda _: Tenant(), clock.as_clock())
    metrics = NotifyMetrics(CollectorRegistry(), ["soc"], ["bank"])
    setup = Setup(
        settings, "https://page.example", store, clock.as_clock(), metrics, lambda _: (), duties
    )
    Notifier(setup, [Sender("soc", soc, setup)]).plan([shown_incident])
    Sender("soc", soc, setup).send_due(flush=True)
    drafted = markdown(page(case_of(shown_incident, clock), ReportLanguage.BOTH))
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
    pending = incident(**{**fields, **changes})
    store.put([pending])
    return pending


def text_of(shown: str) -> str:
    """Without the line breaks and escapes of its form."""
    return re.sub(r"\s+", " ", shown.replace("\\", ""))


@pytest.mark.parametrize(
    ("minutes", "by"), [(60, "2026-09-21 23:13 CST"), (1440, "2026-09-22 22:13 CST")]
)
def test_decision_deadline_is_shown_everywhere(context, store, browser, clock, minutes, by):
    pending = waiting(store, minutes=minutes)
    terminal, shown, answer, message_text, drafted = render_everywhere(
        context, store, browser, clock, pending
    )
    within = {60: "60 minutes", 1440: "24 hours"}[minutes]
    for text in (terminal, shown, answer):
        assert f"Decide within {within} of notification whether it is confirmed" in text_of(text)
    assert f"请于{by}前判定是否确认" in message_text
    assert "Decide" not in message_text
    assert "Decide" not in text_of(drafted), "by when is for the house"
    clock.advance(600)
    for text in render_everywhere(context, store, browser, clock, pending)[:3]:
        assert f"Decide by {by}" in text_of(text)
    clock.advance(minutes * 60)
    for text in render_everywhere(context, store, browser, clock, pending)[:3]:
        assert f"Decide now (it was to be by {by}) whether it is confirmed" in text_of(text)


@pytest.mark.parametrize(
    "changes", [{"clock": "run"}, {"clock": "none"}, {"severity": "low"}, {"decided": "confirmed"}]
)
def test_no_decision_deadline_is_shown_where_none_exists(context, store, browser, clock, changes):
    decided = changes.pop("decided", "")
    undue = waiting(store, **changes)
    if decided:
        Decisions(duties_of(context, store), context.trail("search")).make(undue, decided, by="Li")
    assert not any(
        "whether it is confirmed" in text_of(text)
        for text in render_everywhere(context, store, browser, clock, undue)
    )
    assert browser.get(f"/v1/incidents/{undue.id}").json()["decide"] is None
