"""Who is to hear of an incident, when, and what is no news."""

from datetime import timedelta

import pytest

from alerts.deadlines.outstanding import Duties
from alerts.notify.plan import plan
from alerts.records import Notification
from tests.alerts.notify.support import T0, incident, log_of, notify_settings, store_all
from ullage import clock
from ullage.settings import NotifySettings, Tenant


def plan_incidents(
    store, settings: NotifySettings, *incidents, now=T0, muted=lambda _: (), **tenant
) -> int:
    bank = Tenant(**{"regimes": ("nfra-2024",), **tenant})
    duties = Duties(store, lambda _: bank, clock.Clock())
    return len(plan(store, settings, store_all(store, incidents), now, muted, duties.time_left))


def minutes_to_escalation(store, channel: str = "boss") -> float:
    """Return after how many minutes the channel hears of the incident."""
    [notification] = [
        notification
        for notification in log_of(store, channel=channel).values()
        if notification.why == "escalated"
    ]
    return (notification.due - notification.at).total_seconds() / 60


def test_incident_is_planned_for_the_channels_of_its_routes(store):
    assert plan_incidents(store, notify_settings(["soc", "boss"]), incident()) == 2
    log = log_of(store)
    assert set(log) == {"INC-A:soc:high", "INC-A:boss:escalation-high"}
    first, later = log["INC-A:soc:high"], log["INC-A:boss:escalation-high"]
    assert (first.due, first.why, first.outcome) == (T0, "new", "pending")
    assert first.published_at == T0 - timedelta(seconds=90)
    assert (later.due, later.why, later.published_at) == (
        T0 + timedelta(minutes=30),
        "escalated",
        None,
    )


def test_planning_again_adds_nothing(store):
    assert plan_incidents(store, notify_settings(), incident()) == 1
    before = log_of(store)
    assert plan_incidents(store, notify_settings(), incident(), now=T0 + timedelta(hours=1)) == 0
    assert log_of(store) == before


@pytest.mark.parametrize(
    ("route", "changes", "goes"),
    [
        ({}, {"severity": "medium"}, True),
        ({}, {"severity": "low"}, False),
        ({"severity": "notice"}, {"severity": "low"}, True),
        ({"tenants": ["bank"]}, {}, True),
        ({"tenants": ["shop"]}, {}, False),
        ({"scenarios": ["X2", "X1"]}, {}, True),
        ({"scenarios": ["X2"]}, {}, False),
        ({"origins": ["ours"]}, {}, True),
        ({"origins": ["partner"]}, {}, False),
    ],
)
def test_route_matches_by_its_conditions(store, route, changes, goes):
    assert plan_incidents(store, notify_settings(route=route), incident(**changes)) == goes


@pytest.mark.parametrize(
    ("clock", "told"),
    [
        ("run", {"INC-A:soc:medium", "INC-A:soc:escalation-medium"}),
        ("if confirmed", set()),
        ("none", set()),
    ],
)
def test_incident_with_a_running_deadline_ignores_route_conditions(store, clock, told):
    settings = notify_settings(route={"severity": "high"})
    assert plan_incidents(store, settings, incident(severity="medium", clock=clock)) == len(told)
    assert set(log_of(store)) == told


def test_incident_with_a_running_deadline_needs_no_route(store):
    settings = NotifySettings.model_validate({"channels": {"soc": {}}})
    assert plan_incidents(store, settings, incident(clock="run")) == 2
    assert minutes_to_escalation(store, "soc") == 30


@pytest.mark.parametrize(
    ("route", "changes", "minutes"),
    [
        ({}, {"clock": "none"}, 30),
        ({}, {"clock": "run"}, 30),
        ({"escalate_minutes": 90}, {"clock": "run"}, 60),  # half of two hours
        ({"escalate_minutes": 90}, {"clock": "run", "first_seen": T0 - timedelta(minutes=90)}, 15),
        ({"escalate_minutes": 90}, {"clock": "run", "first_seen": T0 - timedelta(hours=9)}, 5),
        ({"escalate_minutes": 2}, {"clock": "run"}, 2),
        ({"escalate_minutes": 90}, {"clock": "if confirmed", "minutes": 60}, 30),
        ({"escalate_minutes": 90}, {"clock": "run", "severity": "medium"}, 60),
        ({}, {"clock": "if confirmed", "minutes": 60, "severity": "medium"}, 30),
        ({}, {"clock": "if confirmed", "minutes": 1440, "severity": "medium"}, 720),
    ],
)
def test_unacknowledged_incident_escalates_at_half_of_the_time_left(store, route, changes, minutes):
    assert (
        plan_incidents(store, notify_settings(["soc", "boss"], route=route), incident(**changes))
        == 2
    )
    assert minutes_to_escalation(store) == minutes


def test_escalation_time_defaults_to_that_of_a_pending_decision(store):
    plan_incidents(
        store,
        notify_settings(["soc", "boss"], route={"escalate_minutes": 90}),
        incident(clock="run"),
        regimes=(),
    )
    assert minutes_to_escalation(store) == 30


def test_escalation_time_counts_from_the_first_notification(store):
    settings = notify_settings(["soc", "boss"], route={"escalate_minutes": 90})
    changes = {"clock": "if confirmed", "minutes": 60}
    plan_incidents(store, settings, incident(severity="medium", **changes))
    first = log_of(store)["INC-A:soc:medium"]
    store.put([first.model_copy(update={"outcome": "sent", "sent_at": T0})])
    store.refresh()
    plan_incidents(store, settings, incident(**changes), now=T0 + timedelta(minutes=40))
    raised = log_of(store)["INC-A:boss:escalation-high"]
    assert raised.due == T0 + timedelta(minutes=50), "20 of 60 minutes are left"


def test_escalation_without_a_higher_channel_repeats_on_the_first(store):
    plan_incidents(
        store, notify_settings(), incident(severity="medium", clock="if confirmed", minutes=60)
    )
    assert minutes_to_escalation(store, "soc") == 30


def test_running_deadline_escalates_despite_a_route_that_does_not_fit(store):
    settings = notify_settings(["soc", "boss"], route={"severity": "high"})
    assert plan_incidents(store, settings, incident(severity="medium", clock="run")) == 2
    assert minutes_to_escalation(store) == 30


def test_incident_takes_every_fitting_route_and_the_earliest_escalation(store):
    settings = NotifySettings.model_validate(
        {
            "channels": {"soc": {}, "fraud": {}, "boss": {}},
            "routes": {
                "all": {"channels": ["soc"], "escalate_to": ["boss"], "escalate_minutes": 60},
                "loans": {
                    "channels": ["soc", "fraud"],
                    "scenarios": ["X1"],
                    "escalate_to": ["boss"],
                    "escalate_minutes": 10,
                },
            },
        }
    )
    assert plan_incidents(store, settings, incident()) == 3
    assert log_of(store)["INC-A:boss:escalation-high"].due == T0 + timedelta(minutes=10)


@pytest.mark.parametrize(("severity", "clock"), [("medium", "none"), ("low", "if confirmed")])
def test_incident_below_high_without_a_decision_does_not_escalate(store, severity, clock):
    settings = notify_settings(["soc", "boss"], route={"severity": "low"})
    assert (
        plan_incidents(store, settings, incident(severity=severity, clock=clock, minutes=60)) == 1
    )
    assert set(log_of(store)) == {f"INC-A:soc:{severity}"}


def test_rising_severity_is_notified_and_falling_is_not(store):
    settings = notify_settings()
    plan_incidents(store, settings, incident(severity="medium"))
    assert plan_incidents(store, settings, incident(severity="statutory")) == 1
    raised = log_of(store)["INC-A:soc:statutory"]
    assert (raised.why, raised.published_at) == ("raised", None)
    for severity in ("high", "medium", "statutory"):
        assert plan_incidents(store, settings, incident(severity=severity)) == 0


def test_muted_incident_is_not_planned(store):
    filtered = []
    muted = lambda some: filtered.extend(i.id for i in some) or {"INC-A"}  # noqa: E731
    assert (
        plan_incidents(
            store,
            notify_settings(),
            incident("A"),
            incident("B"),
            incident("C", "low"),
            muted=muted,
        )
        == 1
    )
    assert set(log_of(store)) == {"INC-B:soc:high"}
    assert filtered == ["INC-A", "INC-B"]  # of what no route takes nobody asks


def test_nothing_is_planned_without_a_route(store):
    assert plan_incidents(store, NotifySettings(), incident()) == 0
    assert store.get(Notification, "INC-A:soc:high") is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"routes": {"all": {"channels": ["nobody"]}}}, "channel 'nobody'"),
        (
            {
                "channels": {"soc": {}},
                "routes": {"all": {"channels": ["soc"], "escalate_to": ["boss"]}},
            },
            "channel 'boss'",
        ),
        ({"routes": {"all": {}}}, "has no channels"),
        ({"channels": {"So C": {}}}, "is not a valid name"),
        ({"channels": {"soc": {"detail": "all"}}}, "minimal"),
    ],
)
def test_inconsistent_settings_are_rejected(changes, said):
    with pytest.raises(ValueError, match=said):
        NotifySettings.model_validate(changes)


def test_growing_incident_of_a_seller_is_notified_when_customers_double(
    store,
):
    growth = (
        (30, {"high"}),
        (39, set()),
        (41, {"grown-2"}),
        (700, {"grown-6"}),
        (700, set()),
        (30, set()),
    )
    for customers, new in growth:
        before = set(log_of(store, outcome="pending"))
        plan_incidents(store, notify_settings(), incident(customers=customers, joined=3))
        assert set(log_of(store, outcome="pending")) - before == {
            f"INC-A:soc:{what}" for what in new
        }
    assert log_of(store)["INC-A:soc:grown-6"].why == "grown"


def test_incident_that_grows_and_gets_more_severe_is_notified_once(store):
    plan_incidents(store, notify_settings(), incident(customers=30, severity="medium", joined=3))
    assert plan_incidents(store, notify_settings(), incident(customers=90, joined=9)) == 1


def test_incident_that_grows_only_by_copies_is_notified_once(store):
    assert [
        plan_incidents(store, notify_settings(), incident(customers=customers))
        for customers in (30, 700)
    ] == [1, 0]
