"""What is silenced, for how long, and what never is."""

from datetime import timedelta

import pytest

from alerts.cases.suppressions import (
    MOST_SUPPRESSION_DAYS,
    SuppressionConditions,
    Suppressions,
    find_active,
    find_suppressed,
    list_suppressions,
    mute_filter,
)
from alerts.deadlines.outstanding import Duties
from alerts.records import Incident, Sighting, Suppression, incident_id
from alerts.records.document import QueryError
from alerts.store import DocumentFilter
from tests.alerts.builders import finding, fold_all
from ullage import audit
from ullage.errors import CorruptError
from ullage.records import Honeytoken
from ullage.settings import Tenant

A = incident_id("f")
BY = {"by": "王芳", "reason": "每日招聘帖"}


@pytest.fixture
def desk(store, clock, context) -> Suppressions:
    return Suppressions(duties(store, clock), context.trail())


def duties(store, clock, *regimes: str) -> Duties:
    return Duties(store, lambda _: Tenant(regimes=regimes), clock.as_clock())


def fold(store, clock, name: str = "f", values=range(20), people="ab", **changes) -> None:
    fold_all(store, clock, [finding(name, values, people=people, **changes)])


def silent(store, clock) -> dict[str, str]:
    return {
        id_: suppression.by
        for id_, suppression in find_suppressed(
            duties(store, clock), store.scroll(Incident, DocumentFilter())
        ).items()
    }


def add(desk: Suppressions, days: int = 30, tenant: str = "bank", **conditions: str) -> Suppression:
    return desk.suppress(tenant, SuppressionConditions(**conditions), days=days, **BY)


@pytest.mark.parametrize(
    ("conditions", "fits"),
    [
        ({"site": "paste"}, True),
        ({"site": "forum"}, False),
        ({"channel": "#a1b2c3d4e5f6"}, True),
        ({"channel": "#0b0b0b0b0b0b"}, False),
        ({"author": "@a1b2c3d4e5f6"}, True),
        ({"author": "@0b0b0b0b0b0b"}, False),
        ({"rule": "X17"}, True),
        ({"rule": "V"}, True),
        ({"rule": "X2"}, False),
        ({"incident": A}, True),
        ({"site": "paste", "author": "@a1b2c3d4e5f6", "rule": "X17"}, True),
        ({"site": "paste", "author": "@0b0b0b0b0b0b"}, False),
        ({"site": "forum", "incident": A}, False),
    ],
)
def test_all_conditions_of_a_suppression_must_fit(store, clock, desk, conditions, fits):
    fold(store, clock, capture={"channel": "#a1b2c3d4e5f6 内料 …", "author": "@a1b2c3d4e5f6"})
    assert silent(store, clock) == {}
    add(desk, **conditions)
    assert silent(store, clock) == ({A: "王芳"} if fits else {})


def test_suppressed_incident_is_still_grouped_and_counted(store, clock, desk):
    add(desk, site="paste")
    fold(store, clock)
    fold(store, clock, "g")
    incident = store.get(Incident, A)
    assert (incident.sightings, incident.customers, store.count(Sighting, DocumentFilter())) == (
        2,
        2,
        2,
    )
    assert A in silent(store, clock)


def test_same_leak_on_another_site_is_notified(store, clock, desk):
    add(desk, site="paste")
    fold(store, clock)
    fold(store, clock, "g", site="forum")
    assert silent(store, clock) == {}
    add(desk, site="forum")
    assert A in silent(store, clock), "two suppressions may cover it together"


def test_suppression_does_not_cover_another_tenant(store, clock, desk):
    fold(store, clock)
    add(desk, tenant="shop", site="paste")
    assert silent(store, clock) == {}
    with pytest.raises(QueryError, match="for this tenant"):
        add(desk, tenant="shop", incident=A)


def test_suppression_expires(store, clock, desk):
    fold(store, clock)
    add(desk, days=2, site="paste")
    clock.advance(2 * 86400 - 1)
    assert A in silent(store, clock)
    clock.advance(1)
    assert silent(store, clock) == {}
    assert find_active(store, clock.as_clock().now()) == []
    assert len(list_suppressions(store)) == 1, "what was said stays"


def test_suppression_is_lifted_once_with_author_and_reason(store, clock, desk):
    fold(store, clock)
    suppression = add(desk, site="paste")
    desk.lift(suppression.id, by="Li Wei", reason="the site changed hands")
    assert silent(store, clock) == {}
    assert store.get(Suppression, suppression.id) == suppression
    ((listed, lifted),) = list_suppressions(store, "bank")
    assert (listed.id, lifted.by, lifted.reason) == (
        suppression.id,
        "Li Wei",
        "the site changed hands",
    )
    for id_ in (suppression.id, f"{suppression.id}:lifted", "SUP-NONE"):
        with pytest.raises(QueryError):
            desk.lift(id_, by="Li Wei", reason="again")


def test_similar_incident_stays_suppressed_until_it_grows(store, clock, desk):
    fold(store, clock, values=range(100))
    add(desk, incident=A)
    fold(store, clock, "slice", values=range(40), site="forum")
    assert A in silent(store, clock)
    fold(store, clock, "whole", values=range(200), people=range(50), site="market")
    assert store.get(Incident, A).sightings == 3
    assert silent(store, clock) == {}, "half of it was not known when somebody decided"


def test_noise_and_suppressed_incidents_notify_nobody_until_the_end(store, clock, desk):
    fold(store, clock)
    incident, muted_ids = store.get(Incident, A), mute_filter(duties(store, clock))

    def is_muted(candidate: Incident) -> bool:
        return muted_ids([candidate]) == {A}

    assert not is_muted(incident)
    assert is_muted(incident.model_copy(update={"severity": "noise"}))
    add(desk, days=1, site="paste")
    assert is_muted(incident)
    assert not is_muted(incident.model_copy(update={"severity": "statutory"}))
    clock.advance(86400)
    assert not is_muted(incident)


def test_different_incident_is_not_suppressed(store, clock, desk):
    fold(store, clock)
    fold(store, clock, "g", values=range(500, 520), people="c")
    add(desk, incident=A)
    assert silent(store, clock) == {A: "王芳"}


def test_statutory_incident_is_never_suppressed(store, clock, desk):
    fold(store, clock)
    add(desk, site="paste")
    store.put([store.get(Incident, A).model_copy(update={"severity": "statutory"})])
    assert silent(store, clock) == {}


@pytest.mark.parametrize(
    ("conditions", "running", "waiting"),
    [({"site": "paste"}, False, True), ({"rule": "V"}, False, True), ({"incident": A}, True, True)],
)
def test_incident_with_a_deadline_is_suppressed_only_by_id(
    store, clock, desk, conditions, running, waiting
):
    fold(store, clock)
    add(desk, **conditions)
    for word, is_silent in (("run", running), ("if confirmed", waiting)):
        store.put([store.get(Incident, A).model_copy(update={"clock": word})])
        assert bool(silent(store, clock)) == is_silent


def test_incident_with_a_honeytoken_is_never_suppressed(store, clock, desk):
    add(desk, site="paste")
    fold(store, clock)
    store.put(
        [
            store.get(Sighting, "f").model_copy(
                update={"honeytokens": (Honeytoken(label="sms-a", customers=1),)}
            )
        ]
    )
    assert silent(store, clock) == {}


@pytest.mark.parametrize(
    ("tenant", "conditions", "more", "told"),
    [
        ("bank", {}, {}, "at least one of"),
        ("", {"site": "paste"}, {}, "give a tenant"),
        ("bank", {"site": "paste"}, {"days": 0}, "1 to 180 days"),
        ("bank", {"site": "paste"}, {"days": MOST_SUPPRESSION_DAYS + 1}, "1 to 180 days"),
        ("bank", {"site": "paste"}, {"reason": " "}, "give the reason for the suppression"),
        ("bank", {"site": "paste"}, {"reason": "call 13800138000"}, "a phone number"),
        ("bank", {"site": "paste"}, {"by": ""}, "name"),
        ("bank", {"author": "13800138000"}, {}, "a phone number"),
        ("bank", {"author": "zhuge_wenzhao"}, {}, "as an incident shows it"),
        ("bank", {"channel": "诸葛的群"}, {}, "as an incident shows it"),
        ("bank", {"site": "诸葛的群"}, {}, "as an incident shows it"),
        ("bank", {"incident": "INC-NONE"}, {}, "no incident with that id"),
    ],
)
def test_invalid_suppression_is_rejected_and_nothing_is_written(
    store, desk, context, tenant, conditions, more, told
):
    with pytest.raises(QueryError, match=told) as caught:
        desk.suppress(tenant, SuppressionConditions(**conditions), **{"days": 30, **BY, **more})
    assert "13800138000" not in str(caught.value)
    assert list_suppressions(store) == []
    assert list(audit.read_entries(context.data / "audit")) == []


def test_suppressing_and_lifting_are_audited_first(store, clock, desk, context):
    suppression = add(desk, days=7, site="paste", rule="X18")
    desk.lift(suppression.id, by="Li Wei", reason="no longer")
    entries = [
        (e.action, e.object, e.actor, e.reason, e.tenant)
        for _, e in audit.read_entries(context.data / "audit")
    ]
    assert entries == [
        (
            "suppression.add",
            f"suppression {suppression.id} for 7 days: site paste, rule X18",
            "王芳",
            "每日招聘帖",
            "bank",
        ),
        ("suppression.lift", f"suppression {suppression.id}", "Li Wei", "no longer", "bank"),
    ]
    (context.data / "audit" / "command" / "head.json").unlink()
    with pytest.raises(CorruptError, match=r"head.json is missing"):
        add(desk, site="forum")
    assert len(list_suppressions(store)) == 1, "what cannot be recorded is not done"


def test_suppression_lasts_at_most_half_a_year(desk, store, clock):
    suppression = add(desk, days=MOST_SUPPRESSION_DAYS, site="paste")
    assert suppression.expires - clock.as_clock().now() == timedelta(days=180)
