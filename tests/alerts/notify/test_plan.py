"""Who is to hear of an incident, when, and what is no news."""

from datetime import timedelta

import pytest

from alerts.notify.plan import plan
from alerts.records import Notification
from tests.alerts.notify.support import T0, incident, log_of, notify_settings, store_all
from ullage.settings import NotifySettings


def planned(store, settings: NotifySettings, *incidents, now=T0, muted=lambda _: ()) -> int:
    return len(plan(store, settings, store_all(store, incidents), now, muted))


def test_an_incident_is_written_down_for_the_channels_of_its_routes(store):
    assert planned(store, notify_settings(["soc", "boss"]), incident()) == 2
    log = log_of(store)
    assert set(log) == {"INC-A:soc:high", "INC-A:boss:escalation-high"}
    first, later = log["INC-A:soc:high"], log["INC-A:boss:escalation-high"]
    assert (first.due, first.why, first.outcome) == (T0, "new", "pending")
    assert first.published_at == T0 - timedelta(seconds=90)
    assert (later.due, later.why, later.published_at) == (T0 + timedelta(minutes=30), "escalated", None)


def test_doing_it_again_adds_nothing(store):
    assert planned(store, notify_settings(), incident()) == 1
    before = log_of(store)
    assert planned(store, notify_settings(), incident(), now=T0 + timedelta(hours=1)) == 0
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
def test_a_route_takes_what_it_says(store, route, changes, goes):
    assert planned(store, notify_settings(route=route), incident(**changes)) == goes


@pytest.mark.parametrize(("clock", "told"), [("run", {"INC-A:soc:medium"}), ("if confirmed", set()), ("none", set())])
def test_an_incident_whose_clock_runs_is_told_whatever_the_route_says(store, clock, told):
    settings = notify_settings(route={"severity": "high"})
    assert planned(store, settings, incident(severity="medium", clock=clock)) == len(told)
    assert set(log_of(store)) == told


def test_an_incident_whose_clock_runs_is_told_where_there_is_no_route(store):
    settings = NotifySettings.model_validate({"channels": {"soc": {}}})
    assert planned(store, settings, incident(clock="run")) == 1


def test_an_incident_takes_every_route_that_it_fits_and_the_earliest_escalation(store):
    settings = NotifySettings.model_validate(
        {
            "channels": {"soc": {}, "fraud": {}, "boss": {}},
            "routes": {
                "all": {"channels": ["soc"], "escalate_to": ["boss"], "escalate_minutes": 60},
                "loans": {"channels": ["soc", "fraud"], "scenarios": ["X1"], "escalate_to": ["boss"], "escalate_minutes": 10},
            },
        }
    )
    assert planned(store, settings, incident()) == 3
    assert log_of(store)["INC-A:boss:escalation-high"].due == T0 + timedelta(minutes=10)


def test_nothing_below_high_escalates(store):
    assert planned(store, notify_settings(["soc", "boss"]), incident(severity="medium")) == 1
    assert set(log_of(store)) == {"INC-A:soc:medium"}


def test_a_severity_that_rises_is_news_and_one_that_falls_is_none(store):
    settings = notify_settings()
    planned(store, settings, incident(severity="medium"))
    assert planned(store, settings, incident(severity="statutory")) == 1
    raised = log_of(store)["INC-A:soc:statutory"]
    assert (raised.why, raised.published_at) == ("raised", None)
    for severity in ("high", "medium", "statutory"):
        assert planned(store, settings, incident(severity=severity)) == 0


def test_nobody_is_told_of_what_is_muted(store):
    asked = []
    muted = lambda some: asked.extend(i.id for i in some) or {"INC-A"}  # noqa: E731
    assert planned(store, notify_settings(), incident("A"), incident("B"), incident("C", "low"), muted=muted) == 1
    assert set(log_of(store)) == {"INC-B:soc:high"}
    assert asked == ["INC-A", "INC-B"]  # of what no route takes nobody asks


def test_without_a_route_nothing_is_written(store):
    assert planned(store, NotifySettings(), incident()) == 0
    assert store.get(Notification, "INC-A:soc:high") is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"routes": {"all": {"channels": ["nobody"]}}}, "channel 'nobody'"),
        ({"channels": {"soc": {}}, "routes": {"all": {"channels": ["soc"], "escalate_to": ["boss"]}}}, "channel 'boss'"),
        ({"routes": {"all": {}}}, "has no channels"),
        ({"channels": {"So C": {}}}, "is no name"),
        ({"channels": {"soc": {"detail": "all"}}}, "minimal"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        NotifySettings.model_validate(changes)
