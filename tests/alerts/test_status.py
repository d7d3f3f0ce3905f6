"""Status from decisions, retention, erasure."""

from datetime import timedelta

import pytest

from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Work
from alerts.records import (
    CLASSES,
    Audit,
    Decision,
    Exposure,
    Holding,
    Incident,
    Sighting,
    incident_id,
)
from alerts.service.upkeep import erase, expire
from alerts.store import DocumentFilter
from alerts.store.queries import compute_status, count_incidents, narrow_to_status, statuses
from tests.alerts.builders import everything, finding, fold_all, handle
from tests.factories import WHEN, clocks_at
from ullage.settings import StoreSettings, Tenant

A, B = incident_id("f"), incident_id("g")


def decision(status: str, minutes: int = 0, incident: str = A, id_: str = "") -> Decision:
    at = WHEN + timedelta(minutes=minutes)
    return Decision(
        id=id_ or f"{incident}:{status}{minutes}",
        tenant="bank",
        incident=incident,
        at=at,
        by="Li",
        status=status,
    )


@pytest.mark.parametrize(
    ("made", "status"),
    [
        ([], "open"),
        ([("note", 1)], "open"),
        ([("acknowledged", 1), ("confirmed", 2)], "confirmed"),
        ([("confirmed", 2), ("acknowledged", 1)], "confirmed"),
        ([("resolved", 1), ("note", 2)], "resolved"),
        ([("resolved", 1), ("open", 2)], "open"),
        ([("acknowledged", 1), ("false_positive", 1)], "false_positive"),
    ],
)
def test_last_decision_other_than_a_note_sets_the_status(made, status):
    assert compute_status(decision(name, minutes) for name, minutes in made) == status


def two_incidents(store, clock):
    fold_all(
        store,
        clock,
        [finding("f", range(10), people="ab"), finding("g", range(50, 60), people="c")],
    )


def test_incidents_are_filtered_by_status(store, clock):
    two_incidents(store, clock)
    store.create([decision("confirmed"), decision("note", 1, B)])
    decided = statuses(store)
    for status, ids in {"confirmed": [A], "open": [B], "resolved": [], "": sorted((A, B))}.items():
        assert (
            sorted(
                i.id
                for i in store.scroll(Incident, narrow_to_status(DocumentFilter(), status, decided))
            )
            == ids
        )


def test_status_narrows_a_filter_that_has_ids(store, clock):
    two_incidents(store, clock)
    store.create([decision("confirmed")])
    decided = statuses(store)
    other_ids, without = DocumentFilter(ids=[B]), DocumentFilter(without=[B])
    assert list(store.scroll(Incident, narrow_to_status(other_ids, "confirmed", decided))) == []
    assert list(store.scroll(Incident, narrow_to_status(without, "open", decided))) == []


def test_tally_counts_each_incident_once(store, clock):
    two_incidents(store, clock)
    store.create([decision("confirmed"), decision("resolved", 1, "INC-GONE")])
    Work(Duties(store, lambda _: Tenant(), clock.as_clock())).complete()
    assert count_incidents(store) == {
        ("bank", store.get(Incident, A).severity, "confirmed"): 1,
        ("bank", store.get(Incident, B).severity, "open"): 1,
    }


def test_everything_expires(store, clock):
    two_incidents(store, clock)
    store.create([decision("confirmed")])
    store.create(
        [
            Audit(
                id="1",
                tenant="",
                at=WHEN,
                who="Li",
                action="exposed",
                purpose="fraud_case",
                case="1",
            )
        ]
    )
    keep = StoreSettings()
    assert expire(store, keep, clocks_at(WHEN + timedelta(days=170))).total() == 0
    assert expire(store, keep, clocks_at(WHEN + timedelta(days=400))).total() == 3
    assert (store.count(Exposure, DocumentFilter()), store.count(Incident, DocumentFilter())) == (
        0,
        2,
    )
    assert expire(store, keep, clocks_at(WHEN + timedelta(days=1300))).total() == 2 + 2 + 2 + 1 + 1
    assert [kind for kind in CLASSES if store.count(kind, DocumentFilter())] == []


def test_customer_is_erased_everywhere_and_the_counts_follow(store, clock, data):
    two_incidents(store, clock)
    fold_all(store, clock, [finding("h", range(90, 99), people="a")])
    assert erase(store, "bank", handle("a")).total() == 2
    assert erase(store, "shop", handle("b")).total() == 0
    assert not [text for text in everything(store).values() if handle("a") in text]
    store.close()
    assert not [
        path for path in data.glob("incidents*") if handle("a").encode() in path.read_bytes()
    ]


def test_erased_customer_is_not_counted_after_a_rewrite(store, clock):
    two_incidents(store, clock)
    erase(store, "bank", handle("a"))
    fold_all(store, clock, [finding("again", range(10), people="b")])
    assert store.get(Incident, A).customers == 1
    assert store.count(Sighting, DocumentFilter({"incident": (A,)})) == 2
    held_values = [
        holding.values for holding in store.scroll(Holding, DocumentFilter({"tenant": ("bank",)}))
    ]
    assert sorted(map(len, held_values)) == [1, 10 + 1, 10 + 1]
