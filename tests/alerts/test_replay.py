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


def test_rows_mixed_from_earlier_leaks_are_recycled(store, clock):
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
def test_incident_with_most_of_the_people_is_named(first, second, of):
    """Of equals the one whose name comes first, so that it is always the same one."""
    had = frozenset(NAMED)
    exposed_before = {handle(n): {"INC-A": had} for n in range(first)} | {
        handle(n): {"INC-B": had} for n in range(10, 10 + second)
    }
    replay = measure_replay(
        leak("f", range(40), [*range(3), *range(10, 13)]), (), exposed_before, ()
    )
    assert replay == Replay((first + second) / 6, of)


@pytest.mark.parametrize(
    ("status", "expected"), [("acknowledged", (2, "noise")), ("note", (10, "medium"))]
)
def test_recycled_leak_is_noise_only_after_acknowledgement(store, clock, status, expected):
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
def test_recycled_means_four_in_five_known(store, clock, known, expected):
    fold_all(store, clock, [leak("f", range(40), range(40))])
    people = [*range(known), *range(100, 120 - known)]
    fold_all(store, clock, [leak("g", range(500, 540), people)])
    assert origin_of(store, "g")[0] == expected


def test_more_fields_about_the_same_people_are_a_new_leak(store, clock):
    fold_all(store, clock, [leak("f", range(40), range(40))])
    fold_all(store, clock, [leak("g", range(500, 540), range(30), fields=(*NAMED, "LOAN"))])
    assert origin_of(store, "g") == ("ours", "", "high")
    assert store.get(Sighting, "g").replayed == 0.0


def test_fewer_fields_with_a_date_are_not_a_new_leak(store, clock):
    fold_all(store, clock, [leak("f", range(40), range(40), fields=(*NAMED, "LOAN"))])
    fold_all(store, clock, [leak("g", range(500, 540), range(30), fields=(*NAMED, "DATE"))])
    assert origin_of(store, "g")[0] == "recycled"


def test_numbers_from_a_plain_list_were_not_known(store, clock):
    fold_all(store, clock, [finding("f", range(40), range(40), fields=("PHONE",))])
    fold_all(store, clock, [finding("g", range(500, 540), range(30), fields=("PHONE",))])
    assert store.get(Sighting, "g").replayed == 0.0


def test_repost_in_its_own_incident_is_not_recycled(store, clock):
    fold_all(
        store,
        clock,
        [leak("f", range(40), range(40)), leak("g", range(40), range(40), site="forum")],
    )
    assert store.get(Sighting, "g").incident == incident_id("f")
    assert origin_of(store, "g") == ("ours", "", "medium")


def test_batch_size_does_not_change_the_result(store, clock, tmp_path):
    findings = [
        leak(f"f{n}", range(n * 100, n * 100 + 40), range(n * 5, n * 5 + 30)) for n in range(6)
    ]
    fold_all(store, clock, findings)
    with closing(open_store("sqlite:///other.sqlite", tmp_path)) as batched_store:
        fold_all(batched_store, clock, findings, batch=1)
        assert everything(batched_store) == everything(store)
    before = everything(store)
    fold_all(store, clock, findings[::-1], batch=4)
    assert everything(store) == before


def test_expired_customers_are_known_by_their_sketch(store, clock):
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


def test_sketches_of_different_kinds_are_not_compared():
    earlier = KnownIncident(
        "INC-OLD", "bank", WHEN, sketch(range(40)), "shingles", frozen=True, fields=frozenset(NAMED)
    )
    new_leak = leak("g", range(40), range(40))
    assert measure_replay(new_leak, "INC-NEW", {}, [earlier]) == Replay()
    same = earlier._replace(sketch_of="candidates")
    assert measure_replay(new_leak, "INC-NEW", {}, [same]) == Replay(1.0, "INC-OLD")
    assert (
        measure_replay(new_leak, "INC-NEW", {}, [same._replace(fields=frozenset(("NAME",)))])
        == Replay()
    )


def test_large_finding_is_sampled_deterministically():
    large = leak("f", range(300), range(900))
    sampled = sample_customers(large)
    assert list(sampled) == sorted(handle(n) for n in range(900))[:SAMPLE]
    assert set(sampled.values()) == {frozenset(NAMED)}


def test_only_requested_customers_are_remembered(store, clock):
    fold_all(store, clock, [leak("f", range(40), range(40))])
    remembered = {handle(1): {}}
    remember(remembered, (store.get(Exposure, f"{incident_id('f')}:{handle(n)}") for n in (1, 2)))
    assert remembered == {handle(1): {incident_id("f"): frozenset(NAMED)}}
