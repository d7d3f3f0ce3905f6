"""Duties of any history against a second reading of the rules, written down plainly and apart."""

from datetime import UTC, date, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.deadlines import regimes
from alerts.deadlines.outstanding import Duties, get_sent_at
from alerts.deadlines.render import clocks_as_json, clocks_table, remaining, state
from alerts.records import SEVERITIES, Decision, Incident, incident_id
from alerts.store.queries import compute_status
from tests.alerts.builders import finding, fold_all
from tests.alerts.test_duties import record_notification
from ullage.settings import Tenant
from ullage.verdict.rules import ClockWord

A = incident_id("f")
BEGUN = datetime(2026, 9, 21, 14, 0, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")
HOLIDAYS = {
    date(2026, 9, 25),
    date(2026, 9, 26),
    date(2026, 9, 27),
    *(date(2026, 10, d) for d in range(1, 8)),
}
MADE_UP = {date(2026, 9, 20), date(2026, 10, 10)}
HOURS = {
    ("cac-2025-cii", "first"): ("learned", 1), ("cac-2025", "first"): ("learned", 4),
    ("pboc-2025", "brief"): ("learned", 0.5),
    ("pboc-2025", "first"): ("learned", 2), ("nfra-2024", "first"): ("first_seen", 2),
    ("nfra-2024", "written"): ("first_seen", 24), ("gdpr-33", "first"): ("acknowledged", 72),
    ("nydfs-500-17", "first"): ("confirmed", 72),
}  # fmt: skip
RULINGS = [(regime, ruling) for regime in regimes() for ruling in ("applies", "waived")]
REPORTS = [(regime.id, stage.id) for regime in regimes().values() for stage in regime.stages]


@st.composite
def histories(draw) -> list[Decision]:
    """Up to six decisions over two weeks, some of them reports."""
    decisions, at = [], BEGUN
    for number in range(draw(st.integers(0, 6))):
        at += timedelta(minutes=draw(st.integers(0, 3 * 24 * 60)))
        status = draw(
            st.sampled_from(
                ["acknowledged", "confirmed", "resolved", "false_positive", "note", "reported"]
            )
        )
        told_of = {"reported": [("", ""), *REPORTS], "note": [("", ""), *REPORTS, *RULINGS]}
        regime, stage = draw(st.sampled_from(told_of.get(status, [("", "")])))
        by, half = (
            draw(st.sampled_from(["Li", "Wang"])),
            draw(st.sampled_from(["lead", "dpo"])) if stage == "waived" else "",
        )
        decisions.append(
            Decision(
                id=f"d{number}", tenant="bank", incident=A, at=at, by=by, status=status,
                regime=regime, stage=stage, value=half
            )
        )  # fmt: skip
    return decisions


SCENES = st.tuples(
    histories(),
    st.sampled_from(get_args(ClockWord)),
    st.sampled_from([1, 999_999, 1_000_000]),
    st.sampled_from(SEVERITIES),
    st.booleans(),
)


def applies(regime: str, people: int, severity: str, cii: bool) -> bool:
    if regime.startswith("cac"):
        return people >= 1_000_000 and (regime == "cac-2025-cii") == cii
    return severity in ("high", "statutory") if regime == "pboc-2025" else True


def end_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=ZONE)


def fifth_working_day(start: date) -> date:
    day, worked = start, 0
    while worked < 5:
        day += timedelta(days=1)
        worked += day in MADE_UP or (day.weekday() < 5 and day not in HOLIDAYS)
    return day


def due(name: tuple[str, str], moments: dict[str, datetime | None]) -> datetime | None:
    if not moments["learned"]:
        return None
    if name in HOURS:
        since, hours = HOURS[name]
        return moments[since] + timedelta(hours=hours) if moments[since] else None
    if name == ("pipl-57", "first"):
        return end_of(moments["learned"].astimezone(ZONE).date()) if moments["learned"] else None
    if not moments["resolved"]:
        return None
    last = moments["resolved"].astimezone(ZONE).date()
    return end_of(fifth_working_day(last) if name[0] == "nfra-2024" else last + timedelta(days=30))


def first(history: list[Decision], *statuses: str) -> datetime | None:
    return next((d.at for d in history if d.status in statuses), None)


def ruling_of(history: list[Decision], regime: str) -> str:
    """Return the final ruling on a regime.

    A waiver takes two people of different offices, one after the other.
    """
    ruling, before = "", None
    for decision in history:
        if (decision.regime, decision.stage) == (regime, "applies"):
            ruling, before = "applies", None
        elif (decision.regime, decision.stage) == (regime, "waived"):
            is_second = (
                before is not None
                and {decision.by, before.by} == {"Li", "Wang"}
                and {decision.value, before.value} == {"lead", "dpo"}
            )
            ruling, before = ("waived", None) if is_second else (ruling, decision)
    return ruling


def compute_expected(
    history, word, people, severity, cii, alerted
) -> dict[tuple[str, str], tuple[str, datetime | None]]:
    """Return state and due time of every duty."""
    knowing = ("acknowledged", "confirmed", "reported", "resolved")
    acknowledged = next((d.at for d in history if d.status in knowing or d.regime), None)
    moments = {
        "first_seen": BEGUN,
        "acknowledged": acknowledged,
        "confirmed": first(history, "confirmed"),
        "learned": acknowledged,
    }
    moments["resolved"] = next((d.at for d in reversed(history) if d.status == "resolved"), None)
    if alerted:
        moments["learned"] = min(filter(None, (alerted, acknowledged)))
    status, duties = compute_status(history), {}
    for name in REPORTS:
        regime, stage = name
        order = [s for r, s in REPORTS if r == regime]
        met = any(
            (d.regime == regime and d.stage in order and order.index(d.stage) >= order.index(stage))
            or (d.status == "reported" and not d.regime and stage != "final")
            for d in history
        )
        when = due(name, moments)
        counts = applies(regime, people, severity, cii) and status != "false_positive"
        ours = (
            word == "run"
            or moments["confirmed"]
            or (word == "if confirmed" and first(history, "reported"))
        )
        ruling = ruling_of(history, regime)
        if met:
            duties[name] = ("met", when)
        elif ruling and status != "false_positive":
            duties[name] = (
                ("waived", when) if ruling == "waived" else ("running" if when else "waiting", when)
            )
        elif counts and ours:
            duties[name] = ("running" if when else "waiting", when)
        elif counts and word == "if confirmed" and status in ("open", "acknowledged"):
            duties[name] = ("conditional", when)
    return duties


@pytest.mark.parametrize("alerted", [None, BEGUN + timedelta(minutes=7)])
def test_duties_of_any_history_match_a_second_implementation(store, clock, alerted):
    fold_all(store, clock, [finding("f", range(10), people="ab")])
    incident = store.get(Incident, A)
    if alerted:
        record_notification(store, alerted)

    @given(SCENES)
    def check(scene) -> None:
        history, word, people, severity, cii = scene
        tenant = Tenant(regimes=tuple(regimes()), is_cii=cii)
        judged = incident.model_copy(
            update={"clock": word, "customers": people, "severity": severity, "first_seen": BEGUN}
        )
        duties = Duties(store, lambda _: tenant, clock.as_clock()).find_duties(judged, history)
        assert {(d.regime.id, d.stage.id): (d.state, d.due) for d in duties} == compute_expected(
            *scene, alerted
        )

    check()


def test_duties_of_any_history_are_consistent(store, clock):
    fold_all(store, clock, [finding("f", range(10), people="ab")])
    incident = store.get(Incident, A)
    record_notification(store, BEGUN)

    @given(SCENES, st.integers(0, 20 * 24))
    def check(scene, later) -> None:
        history, word, people, severity, cii = scene
        now = BEGUN + timedelta(hours=later)
        tenant = Tenant(regimes=tuple(regimes()), is_cii=cii)
        judged = incident.model_copy(
            update={"clock": word, "customers": people, "severity": severity, "first_seen": BEGUN}
        )
        duties = Duties(store, lambda _: tenant, clock.as_clock()).find_duties(judged, history)
        assert len(clocks_table(duties, now, ZONE).rows) == len(duties)
        for duty, row in zip(duties, clocks_as_json(duties, now), strict=True):
            assert (row["left_seconds"] is None) == (str(remaining(duty, now)) == "–")
            assert ("overdue" in str(remaining(duty, now))) == (
                duty.seconds_left(now) is not None and duty.due < now
            )
            assert (state(duty, now)[0] == "overdue") == (
                duty.state == "running" and duty.due < now and duty.regime.verified
            )
            assert (row["sent_at"] is None) == (duty.state != "met")
            assert row["late"] == bool(
                duty.regime.verified
                and duty.report
                and duty.due
                and get_sent_at(duty.report) > duty.due
            )
            assert all(state(duty, now))

    check()
