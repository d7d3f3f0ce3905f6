"""Customers who are sold again: by subject over several incidents, by sketch when the people
have expired.
"""

from contextlib import closing
from datetime import timedelta

import pytest

from alerts.grouping.exposures import SAMPLE, Replay, measure_replay, remember, sample_customers
from alerts.grouping.placement import KnownIncident
from alerts.records import Decision, Exposure, Incident, Sighting, incident_id
from alerts.service.upkeep import expire
from alerts.store import open_store
from tests.alerts.builders import everything, finding, fold_all, handle, sketch
from tests.factories import WHEN, clocks_at
from ullage.settings import StoreSettings

KINDS = ("phone", "resident_id")
NAMED = ("NAME", "PHONE", "ID")


def leak(name, values, people, **changes):
    return finding(name, values, people, **{"kinds": KINDS, "fields": NAMED, **changes})


def origin_of(store, name):
    incident = store.get(Incident, store.get(Sighting, name).incident)
    return incident.origin, incident.replay_of, incident.severity


def test_rows_mixed_from_several_earlier_leaks_are_recycled(store, clock):
    fold_all(store, clock, [leak("f", range(40), range(40))])
    clock.advance(60)
    fold_all(store, clock, [leak("g", range(100, 140), range(100, 140))])
    clock.advance(60)
    mixed = [*range(20), *range(100, 120)]
    fold_all(store, clock, [leak("h", range(500, 540), mixed)])
    assert origin_of(store, "f") == ("ours", "", "medium")
    assert origin_of(store, "h") == ("recycled", min(incident_id("f"), incident_id("g")), "medium")
    assert store.get(Sighting, "h").replayed == 1.0


@pytest.mark.parametrize(
    ("first", "second", "of"), [(3, 2, "INC-A"), (2, 3, "INC-B"), (2, 2, "INC-A"), (0, 0, "")]
)
def test_the_incident_in_which_most_of_them_stood_is_named(first, second, of):
    """Of equals the one whose name comes first, so that it is always the same one."""
    had = frozenset(NAMED)
    seen = {handle(n): {"INC-A": had} for n in range(first)} | {
        handle(n): {"INC-B": had} for n in range(10, 10 + second)
    }
    found = measure_replay(leak("f", range(40), [*range(3), *range(10, 13)]), (), seen, ())
    assert found == Replay((first + second) / 6, of)


@pytest.mark.parametrize(
    ("status", "expected"), [("acknowledged", (2, "noise")), ("note", (10, "medium"))]
)
def test_what_was_known_is_noise_only_after_somebody_acknowledged_it(
    store, clock, status, expected
):
    fold_all(store, clock, [leak("f", range(40), range(40))])
    when = clock.as_clock().now()
    store.put(
        [
            Decision(
                id="d", tenant="bank", incident=incident_id("f"), at=when, by="Li", status=status
            )
        ]
    )
    fold_all(store, clock, [leak("g", range(500, 540), range(39))])
    again = store.get(Incident, store.get(Sighting, "g").incident)
    assert (again.origin, again.row, again.severity) == ("recycled", *expected)


@pytest.mark.parametrize(("known", "expected"), [(16, "recycled"), (15, "ours")])
def test_four_in_five_must_have_been_known(store, clock, known, expected):
    fold_all(store, clock, [leak("f", range(40), range(40))])
    people = [*range(known), *range(100, 120 - known)]
    fold_all(store, clock, [leak("g", range(500, 540), people)])
    assert origin_of(store, "g")[0] == expected


def test_the_same_people_with_more_fields_are_a_new_leak(store, clock):
    fold_all(store, clock, [leak("f", range(40), range(40))])
    fold_all(store, clock, [leak("g", range(500, 540), range(30), fields=(*NAMED, "LOAN"))])
    assert origin_of(store, "g") == ("ours", "", "high")
    assert store.get(Sighting, "g").replayed == 0.0


def test_the_same_people_with_fewer_fields_and_a_date_are_not(store, clock):
    fold_all(store, clock, [leak("f", range(40), range(40), fields=(*NAMED, "LOAN"))])
    fold_all(store, clock, [leak("g", range(500, 540), range(30), fields=(*NAMED, "DATE"))])
    assert origin_of(store, "g")[0] == "recycled"


def test_numbers_that_stood_in_a_list_of_numbers_were_not_known(store, clock):
    fold_all(store, clock, [finding("f", range(40), range(40), fields=("PHONE",))])
    fold_all(store, clock, [finding("g", range(500, 540), range(30), fields=("PHONE",))])
    assert store.get(Sighting, "g").replayed == 0.0


def test_a_repost_that_joins_its_incident_was_not_known_from_another(store, clock):
    fold_all(
        store,
        clock,
        [leak("f", range(40), range(40)), leak("g", range(40), range(40), site="forum")],
    )
    assert store.get(Sighting, "g").incident == incident_id("f")
    assert origin_of(store, "g") == ("ours", "", "medium")


def test_in_one_batch_and_in_many_it_ends_alike_and_again_too(store, clock, tmp_path):
    findings = [
        leak(f"f{n}", range(n * 100, n * 100 + 40), range(n * 5, n * 5 + 30)) for n in range(6)
    ]
    fold_all(store, clock, findings)
    with closing(open_store("sqlite:///other.sqlite", tmp_path)) as other:
        fold_all(other, clock, findings, batch=1)
        assert everything(other) == everything(store)
    before = everything(store)
    fold_all(store, clock, findings[::-1], batch=4)
    assert everything(store) == before


def test_what_expired_is_still_known_by_its_sketch(store, clock):
    fold_all(store, clock, [leak("f", range(40), range(40))])
    expire(store, StoreSettings(), clocks_at(WHEN + timedelta(days=181)))
    assert store.get(Incident, incident_id("f")).frozen_at
    fold_all(
        store,
        clock,
        [leak("g", range(40), range(40)), leak("h", range(38), range(38), fields=(*NAMED, "LOAN"))],
    )
    assert origin_of(store, "g")[:2] == ("recycled", incident_id("f"))
    assert store.get(Sighting, "g").replayed == 1.0


def test_of_a_sketch_of_another_kind_nothing_is_said():
    known = KnownIncident(
        "INC-OLD", "bank", WHEN, sketch(range(40)), "shingles", frozen=True, fields=frozenset(NAMED)
    )
    some = leak("g", range(40), range(40))
    assert measure_replay(some, "INC-NEW", {}, [known]) == Replay()
    same = known._replace(sketch_of="candidates")
    assert measure_replay(some, "INC-NEW", {}, [same]) == Replay(1.0, "INC-OLD")
    assert (
        measure_replay(some, "INC-NEW", {}, [same._replace(fields=frozenset(("NAME",)))])
        == Replay()
    )


def test_a_large_finding_is_sampled_and_always_the_same_way():
    large = leak("f", range(300), range(900))
    asked = sample_customers(large)
    assert list(asked) == sorted(handle(n) for n in range(900))[:SAMPLE]
    assert set(asked.values()) == {frozenset(NAMED)}


def test_only_what_is_asked_for_is_remembered(store, clock):
    fold_all(store, clock, [leak("f", range(40), range(40))])
    seen = {handle(1): {}}
    remember(seen, (store.get(Exposure, f"{incident_id('f')}:{handle(n)}") for n in (1, 2)))
    assert seen == {handle(1): {incident_id("f"): frozenset(NAMED)}}
