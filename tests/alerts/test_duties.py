"""Clocks start from the severity table's word and a person's decision, never from a score; a
recorded report stops them.
"""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client import CollectorRegistry

from alerts.deadlines import Regime, check_regimes, find_grade, regimes
from alerts.deadlines.outstanding import Duties, Duty, Moments, State
from alerts.deadlines.render import SINCE, STAGES, clocks_as_json, limit, remaining, state, warning
from alerts.deadlines.schedule import Book
from alerts.deadlines.schedule import count_unacknowledged as unheard_of
from alerts.deadlines.schedule import find_earliest as earliest_of
from alerts.records import Decision, Incident, Notification, incident_id
from alerts.records.decision import WaiverFacts
from alerts.service.metrics import DutyMetrics
from tests.alerts.builders import finding, fold_all
from ullage.errors import ConfigError
from ullage.settings import Tenant

A = incident_id("f")
MILLION = 1_000_000
EVERYWHERE = (
    "pipl-57",
    "cac-2025-cii",
    "cac-2025",
    "pboc-2025",
    "nfra-2024",
    "gdpr-33",
    "nydfs-500-17",
)


@pytest.fixture
def start(clock) -> datetime:
    return clock.as_clock().now()


@pytest.fixture
def incident(store, clock) -> Incident:
    """Store a large leak of our own data and return its incident."""
    fold_all(store, clock, [finding("f", range(10), people="ab")])
    fields = {"origin": "ours", "customers": MILLION, "severity": "statutory", "clock": "run"}
    return update(store, store.get(Incident, A), **fields, first_seen=clock.as_clock().now())


def update(store, incident: Incident, **changes) -> Incident:
    fresh = incident.model_copy(update=changes)
    store.put([fresh])
    return fresh


def decision(status: str, at: datetime, **changes) -> Decision:
    return Decision(
        id=f"{A}:{status}{at.timestamp()}",
        tenant="bank",
        incident=A,
        at=at,
        by="Li",
        status=status,
        **changes,
    )


def record_notification(store, at: datetime, outcome: str = "sent") -> None:
    sent = Notification(
        id=f"n-{at.timestamp()}",
        tenant="bank",
        incident=A,
        at=at,
        due=at,
        channel="mail",
        what="high",
        why="new",
        severity="high",
        outcome=outcome,
        sent_at=at if outcome == "sent" else None,
    )
    store.create([sent])


def duties_of(
    store, clock, incident: Incident, *decisions: Decision, **tenant
) -> dict[tuple[str, str], Duty]:
    settings = Tenant(regimes=EVERYWHERE, **tenant)
    duties = Duties(store, lambda _: settings, clock.as_clock()).find_duties(incident, decisions)
    return {(duty.regime.id, duty.stage.id): duty for duty in duties}


def earliest(duties: Duties, tenant: str) -> dict[str, float]:
    """Map each regime to its next due time, as alert stores and counts it."""
    Book(duties).complete()
    return earliest_of(duties.store, tenant, duties.tenant(tenant).regimes, duties.clock.now())


def hours(duty: Duty, since: datetime) -> float | None:
    return (duty.due - since).total_seconds() / 3600 if duty.due else None


def test_each_regime_counts_from_its_own_start(store, clock, incident, start):
    """Alerted at 0, acknowledged after 1 h, confirmed after 3 h."""
    record_notification(store, start)
    decisions = [
        decision("acknowledged", start + timedelta(hours=1)),
        decision("confirmed", start + timedelta(hours=3)),
    ]
    duties = duties_of(store, clock, incident, *decisions)
    due = {name: hours(duty, start) for name, duty in duties.items() if name[0] != "pipl-57"}
    assert due == {
        ("cac-2025", "first"): 4,
        ("cac-2025", "final"): None,
        ("pboc-2025", "brief"): 0.5,
        ("pboc-2025", "first"): 2,
        ("nfra-2024", "first"): 2,
        ("nfra-2024", "written"): 24,
        ("nfra-2024", "final"): None,
        ("gdpr-33", "first"): 73,
        ("nydfs-500-17", "first"): 75,
    }
    assert duties["pipl-57", "first"].due == datetime(2026, 9, 21, 15, 59, 59, tzinfo=UTC), (
        "24:00 in Shanghai"
    )


def test_critical_infrastructure_has_one_hour_and_others_four(store, clock, incident, start):
    record_notification(store, start)
    duties = duties_of(store, clock, incident, is_cii=True)
    assert hours(duties["cac-2025-cii", "first"], start) == 1
    assert ("cac-2025", "first") not in duties


@pytest.mark.parametrize(("people", "reported"), [(MILLION - 1, False), (MILLION, True)])
def test_cac_is_notified_from_a_million_people(store, clock, incident, start, people, reported):
    record_notification(store, start)
    duties = duties_of(store, clock, update(store, incident, customers=people))
    assert (("cac-2025", "first") in duties) is reported
    assert ("pipl-57", "first") in duties, "which names no number of people"


@pytest.mark.parametrize("origin", ["ours", "partner", "elsewhere", "unknown"])
@pytest.mark.parametrize(
    ("word", "states"), [("run", {"running"}), ("if confirmed", {"conditional"}), ("none", set())]
)
def test_deadlines_start_from_the_severity_table_and_no_origin(
    store, clock, incident, start, origin, word, states
):
    record_notification(store, start)
    judged = update(store, incident, origin=origin, clock=word, exposure=100)
    assert {
        d.state for name, d in duties_of(store, clock, judged).items() if name[1] == "brief"
    } == states
    book = Duties(store, lambda _: Tenant(regimes=("pboc-2025",)), clock.as_clock())
    assert bool(earliest(book, "bank")) == (word == "run")


def test_reporting_a_conditional_deadline_counts_as_deciding(store, clock, incident, start):
    record_notification(store, start)
    waits = update(store, incident, clock="if confirmed")
    sent = decision("reported", start + timedelta(hours=1), regime="pipl-57", stage="first")
    end = decision("resolved", start + timedelta(days=1))
    duties = duties_of(store, clock, waits, sent, end)
    assert (duties["pipl-57", "first"].state, duties["nfra-2024", "first"].state) == (
        "met",
        "running",
    )
    assert duties["nfra-2024", "final"].due is not None


@pytest.mark.parametrize("word", ["none", "if confirmed"])
def test_confirmation_starts_the_deadlines(store, clock, incident, start, word):
    duties = duties_of(
        store, clock, update(store, incident, clock=word), decision("confirmed", start)
    )
    assert {d.state for name, d in duties.items() if name[1] != "final"} == {"running"}
    assert hours(duties["gdpr-33", "first"], start) == 72


def test_undecided_deadlines_are_conditional(store, clock, incident, start):
    record_notification(store, start)
    unknown = update(store, incident, clock="if confirmed")
    duties = duties_of(store, clock, unknown)
    assert {duty.state for duty in duties.values()} == {"conditional"}
    assert hours(duties["cac-2025", "first"], start) == 4
    assert duties_of(store, clock, unknown, decision("false_positive", start)) == {}


def test_nothing_runs_before_the_first_notification(store, clock, incident, start):
    record_notification(store, start, outcome="failed")
    duties = duties_of(store, clock, incident)
    assert {(duty.state, duty.due) for duty in duties.values()} == {("waiting", None)}
    waits = duties_of(store, clock, incident.model_copy(update={"clock": "if confirmed"}))
    for duty in (duties["nfra-2024", "first"], waits["nfra-2024", "first"]):
        assert state(duty, start)[0] == "nobody was notified yet, so no time counts"
    assert (
        earliest(Duties(store, lambda _: Tenant(regimes=EVERYWHERE), clock.as_clock()), "bank")
        == {}
    )
    later = duties_of(store, clock, incident, decision("acknowledged", start + timedelta(hours=1)))
    running = {
        name: hours(duty, start) for name, duty in later.items() if duty.stage.since == "first_seen"
    }
    assert running == {("nfra-2024", "first"): 2, ("nfra-2024", "written"): 24}
    english, chinese = state(duties["cac-2025", "first"], start)
    assert (english, chinese) == (
        "starts when an alert is sent or somebody acknowledges it",
        "自“告警发出或人员受理”起算",
    )


@pytest.mark.parametrize("word", ["run", "if confirmed"])
def test_unverified_or_unconfirmed_deadline_is_never_overdue(store, clock, incident, start, word):
    record_notification(store, start)
    after = start + timedelta(days=9)
    duties = duties_of(store, clock, update(store, incident, clock=word))
    for duty in (candidate for candidate in duties.values() if candidate.due):
        overdue = word == "run" and duty.regime.verified
        assert ("overdue" in state(duty, after)[0], "overdue" in str(remaining(duty, after))) == (
            overdue,
            overdue,
        )
        assert (clocks_as_json([duty], after)[0]["left_seconds"] is None) != overdue
    assert state(duties["pboc-2025", "first"], start)[0] == (
        "running" if word == "run" else "due then if confirmed"
    )
    sent = decision("reported", after, regime="pboc-2025", stage="first")
    assert not duties_of(store, clock, incident, sent)["pboc-2025", "brief"].late
    clock.advance(9 * 86_400)
    assert "pboc-2025" not in earliest(
        Duties(store, lambda _: Tenant(regimes=EVERYWHERE), clock.as_clock()), "bank"
    )


def test_summary_is_due_after_the_end(store, clock, incident, start):
    record_notification(store, start)
    friday = datetime(2026, 9, 25, 4, 0, tzinfo=UTC)
    duties = duties_of(
        store, clock, incident, decision("confirmed", start), decision("resolved", friday)
    )
    assert duties["nfra-2024", "final"].due == datetime(2026, 10, 9, 15, 59, 59, tzinfo=UTC), (
        "28, 29, 30 September, 8 and 9 October"
    )
    assert duties["cac-2025", "final"].due == datetime(2026, 10, 25, 15, 59, 59, tzinfo=UTC)


def ruling(what: str, regime: str, at: datetime) -> Decision:
    return decision("note", at, regime=regime, stage=what, note="important data")


def test_person_can_rule_that_a_regime_applies(store, clock, incident, start):
    small = update(store, incident, customers=10, clock="none", severity="low")
    assert duties_of(store, clock, small) == {}
    duties = duties_of(store, clock, small, ruling("applies", "cac-2025", start))
    assert {name: duty.state for name, duty in duties.items()} == {
        ("cac-2025", "first"): "running",
        ("cac-2025", "final"): "waiting",
    }
    assert hours(duties["cac-2025", "first"], start) == 4, "whoever decides on it knows of it"
    store.create([ruling("applies", "cac-2025", start)])
    book = Duties(store, lambda _: Tenant(regimes=EVERYWHERE), clock.as_clock())
    assert earliest(book, "bank") == {"cac-2025": start.timestamp() + 4 * 3600}


def test_waived_regime_stays_waived_until_it_is_ruled_to_apply(store, clock, incident, start):
    record_notification(store, start)
    facts = WaiverFacts(
        customers=incident.customers,
        kinds=incident.kinds,
        severity="statutory",
        conditions=CONDITIONS,
    )
    waived = [
        ruling("waived", "gdpr-33", start).model_copy(
            update={"by": "Li", "facts": facts, "confirmed_by": "Wang"}
        )
    ]
    duties = duties_of(store, clock, incident, *waived)
    assert duties["gdpr-33", "first"].state == "waived"
    assert duties["gdpr-33", "first"].seconds_left(start) is None
    assert state(duties["gdpr-33", "first"], start) == (
        f"waived for up to {incident.customers:,} customers",
        f"已豁免，以{incident.customers:,}名客户为限",
    )  # fmt: skip
    assert duties["pipl-57", "first"].state == "running"
    again = ruling("applies", "gdpr-33", start + timedelta(hours=1))
    assert duties_of(store, clock, incident, *waived, again)["gdpr-33", "first"].state == "running"
    shown = clocks_as_json(duties.values(), start)
    assert {row["regime"]: row["ruling"] for row in shown if row["ruling"]} == {
        "gdpr-33": {
            "by": "Li", "what": "waived", "note": "important data", "confirmed_by": "Wang",
            "facts": facts.model_dump(mode="json"),
        }
    }  # fmt: skip


CONDITIONS = ("people_from", "severity_from", "critical_infrastructure")


def test_waiver_without_facts_waives_nothing(store, clock, incident, start):
    record_notification(store, start)
    assert (
        duties_of(store, clock, incident, ruling("waived", "gdpr-33", start))[
            "gdpr-33", "first"
        ].state
        == "running"
    )


def test_recorded_report_stops_its_deadline_and_earlier_ones(store, clock, incident, start):
    record_notification(store, start)
    sent = decision(
        "reported", start + timedelta(hours=1), regime="pboc-2025", stage="first", reference="PB-1"
    )
    duties = duties_of(store, clock, incident, sent)
    assert [duties["pboc-2025", stage].state for stage in ("brief", "first")] == ["met", "met"]
    assert [duties["pboc-2025", stage].late for stage in ("brief", "first")] == [
        False,
        False,
    ], "its text was not read"
    assert duties["nfra-2024", "first"].state == "running"
    assert duties["pboc-2025", "first"].seconds_left(start) is None


def test_report_counts_from_when_it_was_sent(store, clock, incident, start):
    record_notification(store, start)
    sent = decision(
        "reported",
        start + timedelta(hours=9),
        regime="cac-2025",
        stage="first",
        sent_at=start + timedelta(hours=2),
    )
    assert not duties_of(store, clock, incident, sent)["cac-2025", "first"].late


def test_last_entry_of_a_report_counts(store, clock, incident, start):
    record_notification(store, start)
    first = decision(
        "reported", start + timedelta(hours=1), regime="cac-2025", stage="first", reference="1"
    )
    late = decision(
        "reported",
        start + timedelta(hours=2),
        regime="cac-2025",
        stage="first",
        sent_at=start + timedelta(days=9),
    )
    duty = duties_of(store, clock, incident, late, first)["cac-2025", "first"]
    assert (duty.report, duty.late) == (late, True)


def test_two_reports_of_one_minute_belong_to_their_own_stages(store, clock, incident, start):
    record_notification(store, start)
    at = start + timedelta(hours=1)
    sent = [
        decision("reported", at + timedelta(seconds=n), regime="pboc-2025", stage=stage, sent_at=at)
        for n, stage in enumerate(("first", "brief"))
    ]
    duties = duties_of(store, clock, incident, *sent)
    assert [duties["pboc-2025", stage].report.stage for stage in ("brief", "first")] == [
        "brief",
        "first",
    ]


def test_report_without_a_regime_stops_all_but_the_final_reports(store, clock, incident, start):
    record_notification(store, start)
    duties = duties_of(
        store,
        clock,
        incident,
        decision("reported", start),
        decision("resolved", start + timedelta(days=1)),
    )
    assert {name[1]: duty.state for name, duty in duties.items()} == {
        "first": "met", "brief": "met", "written": "met", "final": "running",
    }  # fmt: skip


def test_reports_stay_on_record_after_a_false_positive(store, clock, incident, start):
    sent = decision("reported", start, regime="pipl-57", stage="first")
    duties = duties_of(
        store, clock, incident, sent, decision("false_positive", start + timedelta(hours=1))
    )
    assert {name: duty.state for name, duty in duties.items()} == {("pipl-57", "first"): "met"}


def test_missing_calendar_is_shown_and_logged_once(store, clock, incident, start, log_stream):
    record_notification(store, start)
    end = decision("resolved", datetime(2026, 12, 31, 4, 0, tzinfo=UTC))
    duties = Duties(store, lambda _: Tenant(regimes=EVERYWHERE), clock.as_clock())
    for _ in range(2):
        final = next(
            d
            for d in duties.find_duties(incident, [end])
            if (d.regime.id, d.stage.id) == ("nfra-2024", "final")
        )
    assert warning(final) == (
        "no calendar of 2027: every day counted as worked",
        "缺2027年节假日数据，按每日均为工作日计算",
    )
    assert log_stream.getvalue().count("calendar_unknown") == 1
    assert '"year": 2027' in log_stream.getvalue()


def test_moments_are_the_first_of_each_kind(start, incident):
    later = start + timedelta(hours=2)
    moments = Moments.from_records(
        incident,
        [decision("confirmed", later), decision("acknowledged", start), decision("note", start)],
        (),
    )
    assert (moments.acknowledged, moments.determined, moments.learned) == (start, later, start)
    assert (moments.alerted, moments.resolved, moments.get("first_seen")) == (
        None,
        None,
        incident.first_seen,
    )
    assert Moments.from_records(incident, [decision("note", start)], ()).acknowledged is None


def test_earliest_deadline_of_each_regime_is_a_metric(store, clock, incident, start):
    record_notification(store, start)
    # of unknown origin: nothing runs
    fold_all(store, clock, [finding("g", range(90, 99), people="c")])
    settings, registry = Tenant(regimes=("nfra-2024", "cac-2025", "gdpr-33")), CollectorRegistry()
    duties = Duties(store, lambda _: settings, clock.as_clock())
    metrics = DutyMetrics(registry, {"bank": settings.regimes})

    def due(regime: str) -> float | None:
        return registry.get_sample_value(
            "ullage_notification_due_timestamp_seconds", {"tenant": "bank", "regime": regime}
        )

    assert all(math.isnan(due(regime)) for regime in settings.regimes), "nobody has looked"
    metrics.set_tenant("bank", earliest(duties, "bank"), 0)
    begun = start.timestamp()
    assert [due(regime) for regime in settings.regimes] == [
        begun + 2 * 3600,
        begun + 4 * 3600,
        0,
    ], "nobody acknowledged it"
    store.create(
        [
            decision("reported", start, regime="nfra-2024", stage="first"),
            decision("confirmed", start),
        ]
    )
    metrics.set_tenant("bank", earliest(duties, "bank"), 0)
    assert [due(regime) for regime in settings.regimes] == [
        begun + 24 * 3600,
        begun + 4 * 3600,
        begun + 72 * 3600,
    ]
    store.create([decision("false_positive", start + timedelta(seconds=1))])
    metrics.set_tenant("bank", earliest(duties, "bank"), 0)
    assert [due(regime) for regime in settings.regimes] == [0, 0, 0]


def unheard(store, clock, silent=(), name="bank", **tenant) -> int:
    settings = Tenant(**{"regimes": ("nfra-2024",), **tenant})
    duties = Duties(store, lambda _: settings, clock.as_clock())
    Book(duties).complete()
    return unheard_of(store, name, silent, duties.clock.now())


@pytest.mark.parametrize("outcome", ["sent", "failed", "pending"])
def test_unacknowledged_deadline_is_counted_at_half_its_time(
    store, clock, incident, start, outcome
):
    record_notification(store, start, outcome)
    clock.advance(3599)
    assert unheard(store, clock) == 0
    clock.advance(1)
    assert (unheard(store, clock), unheard(store, clock, [A])) == (1, 0)
    store.create([decision("note", start)])
    assert unheard(store, clock) == 1, "a note is none that takes it"
    store.create([decision("acknowledged", start)])
    assert unheard(store, clock) == 0


def test_incident_without_recipients_counts_from_its_opening(store, clock, incident, start):
    update(store, incident, opened_at=start, first_seen=start - timedelta(minutes=90))
    for word in ("none", "if confirmed"):
        clock.advance(900)
        update(store, incident, opened_at=start, clock=word)
        assert unheard(store, clock) == 0
    update(store, incident, opened_at=start, first_seen=start - timedelta(minutes=90))
    assert unheard(store, clock) == 1
    assert unheard(store, clock, name="shop") == 0


def test_unacknowledged_deadline_without_a_rule_counts_after_half_an_hour(
    store, clock, incident, start
):
    record_notification(store, start)
    clock.advance(1799)
    assert unheard(store, clock, regimes=()) == 0
    clock.advance(1)
    assert unheard(store, clock, regimes=()) == 1


def test_confirmed_incident_is_in_the_metric(store, clock, incident, start):
    update(store, incident, clock="if confirmed")
    duties = Duties(store, lambda _: Tenant(regimes=("gdpr-33",)), clock.as_clock())
    assert earliest(duties, "bank") == {}
    store.create([decision("confirmed", start)])
    assert earliest(duties, "bank") == {"gdpr-33": start.timestamp() + 72 * 3600}
    assert earliest(duties, "shop") == {}


def test_every_regime_is_described_in_both_languages():
    assert set(regimes()) == set(EVERYWHERE)
    assert {id_ for id_, regime in regimes().items() if not regime.verified} == {"pboc-2025"}
    for regime in regimes().values():
        assert all(
            (
                regime.title,
                regime.title_zh,
                regime.to,
                regime.to_zh,
                regime.updates,
                regime.updates_zh,
                regime.source,
            )
        )
        for stage in regime.stages:
            assert all(limit(stage))
            assert stage.ours == bool(stage.says and stage.says_zh)
    assert limit(regimes()["pipl-57"].stages[0]) == (
        "at once; our target: the same day",
        "立即；内部目标：当日",
    )


def test_unknown_condition_is_an_error():
    row = regimes()["gdpr-33"].model_dump(by_alias=True)
    row["stage"] = [{"id": "first", "from": "learned", "due": "72 h"}]
    assert Regime.model_validate(row).id == "gdpr-33"
    for changes in ({"applies_if": {"poeple_from": 5}}, {"verified": None}, {"stage": []}):
        with pytest.raises(ValueError, match="validation error"):
            Regime.model_validate({**row, **changes})


def test_unknown_regime_of_a_tenant_is_named():
    check_regimes({"bank": Tenant()})
    with pytest.raises(
        ConfigError, match=r"tenants.bank.regimes: unknown regime 'gdpr': use pipl-57"
    ):
        check_regimes({"bank": Tenant(regimes=("gdpr",))})


@pytest.mark.parametrize(
    ("people", "grade"),
    [
        (0, "一般"),
        (999_999, "一般"),
        (MILLION, "较大"),
        (10 * MILLION, "重大"),
        (100 * MILLION - 1, "重大"),
        (100 * MILLION, "特别重大"),
    ],
)
def test_grades_begin_with_their_number(people, grade):
    assert find_grade(people).title_zh == grade


def test_deadline_as_json_is_complete(store, clock, incident, start):
    record_notification(store, start)
    shown = clocks_as_json(duties_of(store, clock, incident).values(), start + timedelta(hours=3))
    late = next(row for row in shown if (row["regime"], row["stage"]) == ("pboc-2025", "first"))
    assert (late["verified"], late["left_seconds"], late["state"], late["from"]) == (
        False,
        None,
        "running",
        "learned",
    )
    assert (late["since"], late["due"]) == ("2026-09-21T14:13:20Z", "2026-09-21T16:13:20Z")
    duty = duties_of(store, clock, incident)["pboc-2025", "first"]
    assert (state(duty, start)[0], str(remaining(duty, start))) == ("running", "2.0 h")
    after = start + timedelta(hours=3)
    assert (state(duty, after)[1], str(remaining(duty, after))) == ("如规则属实则时限已过", "–")
    read = duties_of(store, clock, incident)["nfra-2024", "first"]
    assert (state(read, after)[1], str(remaining(read, after))) == ("已逾期", "1.0 h overdue")


def test_documentation_lists_every_rule():
    text = (Path(__file__).parents[2] / "docs" / "notification-duties.md").read_text(
        encoding="utf-8"
    )
    rows = [row for row in text.splitlines() if row.startswith("| `")]
    assert rows == [
        f"| `{r.id}` | {r.title} {r.title_zh} | {STAGES[s.id][0]} | {limit(s)[0]} |"
        f" {SINCE[s.since][0]} | {'yes' if r.verified else '**no**'} |"
        for r in regimes().values()
        for s in r.stages
    ]
    for name in get_args(State):
        assert f"| {name} | " in text
