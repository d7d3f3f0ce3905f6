"""The stage: findings in, facts out, whatever happens in between."""

from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.grouping import sightings as read
from alerts.grouping.stage import decode
from alerts.records import Exposure, Holding, Incident, Sighting, incident_id
from alerts.service.upkeep import expire
from alerts.store import DocumentFilter, WriteResult, open_store
from alerts.store.sqlite import SqliteStore
from tests.alerts.builders import everything, finding, fold_all, handle, record, stage
from tests.conftest import HeldClock
from tests.factories import WHEN, clocks_at, facts, match
from ullage.errors import RecordError, UnavailableError
from ullage.settings import StoreSettings


def incidents(store):
    return list(store.scroll(Incident, DocumentFilter()))


def test_finding_opens_an_incident_with_all_its_facts(store, clock):
    fold_all(store, clock, [finding("f", range(10), people="ab", kinds=("phone", "resident_id"))])
    (incident,) = incidents(store)
    assert incident.id == incident_id("f")
    assert (incident.customers, incident.rows, incident.sightings) == (2, 2, 1)
    assert incident.kinds == ("phone", "resident_id")
    assert (incident.scenario, incident.origin) == ("X15", "ours")
    assert incident.reasons
    assert incident.origin_reasons
    assert {e.subject for e in store.scroll(Exposure, DocumentFilter())} == {
        handle("a"),
        handle("b"),
    }
    assert store.get(Sighting, "f").incident == incident.id
    (holding,) = store.scroll(Holding, DocumentFilter())
    assert (holding.incident, len(holding.values)) == (incident.id, 11)


def test_repost_joins_its_incident_without_double_counting(store, clock):
    fold_all(
        store,
        clock,
        [finding("f", range(50), people="ab"), finding("g", range(50), people="ab", site="forum")],
    )
    (incident,) = incidents(store)
    assert (incident.customers, incident.sightings, incident.sites) == (2, 2, ("forum", "paste"))
    assert all(
        e.sightings == ("f", "g") and e.sites == ("forum", "paste")
        for e in store.scroll(Exposure, DocumentFilter())
    )


def test_batch_size_does_not_change_grouping(store, clock, tmp_path):
    slices = [
        finding(f"s{n}", range(n * 10, n * 10 + 40), people=range(n * 10, n * 10 + 40))
        for n in range(6)
    ]
    fold_all(store, clock, slices)
    with closing(open_store("sqlite:///other.sqlite", tmp_path)) as batched_store:
        fold_all(batched_store, clock, slices, batch=1)
        assert everything(batched_store) == everything(store)
    assert len(incidents(store)) == 1


def test_finding_that_overlaps_two_incidents_links_them(store, clock):
    fold_all(
        store, clock, [finding("f", range(10), people="a"), finding("g", range(50, 60), people="b")]
    )
    clock.advance(60)
    fold_all(store, clock, [finding("h", [*range(10), *range(50, 60)], people="cd")])
    first_id, second_id = incident_id("f"), incident_id("g")
    oldest, linked = sorted((first_id, second_id))
    assert store.get(Sighting, "h").incident == oldest
    assert store.get(Incident, oldest).linked == (linked,)
    assert store.get(Incident, linked).linked == (oldest,)


def test_link_to_incident_with_expired_sightings_keeps_its_counts(store, clock):
    fold_all(store, clock, [finding("f", range(10), people="a")])
    clock.advance(60)
    fold_all(store, clock, [finding("g", range(50, 60), people="b")])
    store.delete(Sighting, ["g"])
    fold_all(store, clock, [finding("h", [*range(10), *range(50, 60)], people="cd")])
    remaining = store.get(Incident, incident_id("g"))
    assert (remaining.customers, remaining.sightings, remaining.linked) == (
        1,
        1,
        (incident_id("f"),),
    )


def test_incidents_are_filed_then_notified_with_their_previous_state(store, clock):
    heard = []
    alert = replace(
        stage(store, clock),
        filed=lambda before, written: heard.append(
            ("filed", {**before}, [incident.customers for incident in written])
        ),
        tell=lambda written: heard.append(("told", [incident.customers for incident in written])),
    )
    alert.handle([record(finding("f", range(10), people="a"))])
    assert heard == [("filed", {}, [1]), ("told", [1])]
    before = {incident.id: incident for incident in incidents(store)}
    alert.handle([record(finding("g", range(10), people="ab"))])
    assert heard[2:] == [("filed", before, [2]), ("told", [2])]


def test_parts_of_a_long_finding_are_one_sighting(store, clock):
    parts = [
        finding(
            "f",
            range(300),
            people=range(n * 50, n * 50 + 50),
            part=n + 1,
            parts=3,
            total_matches=150,
            total_subjects=150,
        )
        for n in range(3)
    ]
    fold_all(store, clock, parts, batch=2)
    (incident,) = incidents(store)
    assert (incident.customers, incident.sightings) == (150, 1)


def test_offer_without_a_customer_is_an_incident(store, clock):
    fold_all(
        store,
        clock,
        [finding("f", range(10), statistics={"brands": ("某某银行",), "sketch_of": "shingles"})],
    )
    (incident,) = incidents(store)
    assert (incident.severity, incident.customers, incident.alarm, incident.subjects) == (
        "notice",
        0,
        True,
        "",
    )


def test_publish_to_incident_is_measured_from_the_opening_post(store, clock):
    now = clock.as_clock().now()
    first = finding(
        "f", range(10), people="a", capture={"published_at": now - timedelta(seconds=42)}
    )
    older = finding("g", range(10), people="a", capture={"published_at": now - timedelta(days=400)})
    fold_all(store, clock, [first, older])
    (incident,) = incidents(store)
    assert incident.publish_seconds == 42.0
    assert incident.published_at == now - timedelta(days=400)


def test_future_publication_date_gives_no_negative_delay(store, clock):
    late = clock.as_clock().now() + timedelta(hours=1)
    fold_all(store, clock, [finding("f", range(10), people="a", capture={"published_at": late})])
    assert incidents(store)[0].publish_seconds == 0.0


def test_repeated_finding_changes_nothing(store, clock):
    findings = [finding(f"f{n}", range(n * 5, n * 5 + 20), people=(n, n + 1)) for n in range(8)]
    fold_all(store, clock, findings, batch=3)
    before = everything(store)
    fold_all(store, clock, findings, batch=5)
    fold_all(store, clock, findings[::-1])
    assert everything(store) == before


names = st.lists(
    st.tuples(st.integers(0, 60), st.integers(9, 40)), min_size=1, max_size=8, unique=True
)


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(slices=names, batch=st.integers(1, 5), shuffle=st.randoms())
def test_order_of_overlapping_slices_neither_loses_nor_doubles_customers(
    tmp_path_factory, slices, batch, shuffle
):
    """Compare with an oracle: sightings are the findings, exposures the people.

    How many incidents they form is not asserted.
    """
    findings = [finding(f"{a}+{n}", range(a, a + n), people=range(a, a + n)) for a, n in slices]
    shuffle.shuffle(findings)
    with closing(open_store("sqlite:///i.sqlite", tmp_path_factory.mktemp("fold"))) as store:
        fold_all(store, HeldClock(), findings, batch)
        assert {s.id for s in store.scroll(Sighting, DocumentFilter())} == {f.id for f in findings}
        exposures = list(store.scroll(Exposure, DocumentFilter()))
        customer_sightings = {(e.subject, sighting) for e in exposures for sighting in e.sightings}
        assert customer_sightings == {(m.subject, f.id) for f in findings for m in f.matches}
        for incident in incidents(store):
            assert incident.sightings == store.count(
                Sighting, DocumentFilter({"incident": (incident.id,)})
            )
            assert (
                incident.customers
                == len({e.subject for e in exposures if e.incident == incident.id})
                > 0
            )


class CrashingStore(SqliteStore):
    """Goes down at its n-th write, after it was made or before."""

    def __init__(self, path, at, after):
        super().__init__(path)
        self.left, self.after = at, after

    def _crash(self, write, *args):
        self.left -= 1
        if self.left == 0 and not self.after:
            raise UnavailableError("down")
        result = write(*args)
        if self.left == 0:
            raise UnavailableError("down")
        return result

    def put(self, documents, over=None):
        return self._crash(super().put, documents, over)

    def create(self, documents):
        return self._crash(super().create, documents)


def sliding(count: int) -> list:
    return [
        finding(f"f{n}", range(n * 6, n * 6 + 20), people=range(n, n + 3)) for n in range(count)
    ]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 11))
def test_crash_at_any_write_ends_in_the_same_facts(tmp_path, store, clock, at, after):
    """Five writes a batch, two batches; the batch comes again as the bus would bring it."""
    findings = [
        *sliding(4),
        finding("bridge", [*range(8), *range(100, 108)], people="xy"),
        *sliding(7)[4:],
    ]
    fold_all(store, clock, findings, batch=4)
    with closing(CrashingStore(tmp_path / "crashing.sqlite", at, after)) as crashing:
        crashed = 0
        for start in (0, 4):
            batch = [record(f) for f in findings[start : start + 4]]
            try:
                stage(crashing, clock).handle(batch)
            except UnavailableError:
                crashed += 1
                stage(crashing, clock).handle(batch)
        assert crashed == 1
        assert everything(crashing) == everything(store)


@pytest.mark.parametrize(
    ("kinds", "own", "corroborated"),
    [
        (("phone",), (), False),
        (("phone", "card"), (), True),
        (("phone",), ("PHONE",), False),
        (("phone",), ("NAME",), True),
    ],
)
def test_two_fields_of_one_customer_in_one_row_corroborate_each_other(
    store, clock, kinds, own, corroborated
):
    leak = finding("f", range(10), people="a", kinds=kinds)
    matches = tuple(m.model_copy(update={"own_fields": own}) for m in leak.matches)
    fold_all(store, clock, [leak.model_copy(update={"matches": matches})])
    (exposure,) = store.scroll(Exposure, DocumentFilter())
    assert exposure.corroborated is corroborated
    assert set(own) <= set(exposure.own_fields)


def test_customers_are_loaded_for_as_many_incidents_as_fit(monkeypatch):
    """Incidents with more customers than the limit are loaded alone."""
    monkeypatch.setattr(read, "HELD", 10)
    sizes = {"a": 6, "b": 4, "c": 1, "d": 30, "e": 5, "f": 5, "g": 0}
    assert [*read._split_families({name: (name,) for name in sizes}, sizes)] == [
        ["a", "b"],
        ["c"],
        ["d"],
        ["e", "f", "g"],
    ]


def test_document_rejected_by_the_store_dead_letters_its_record(store, clock, monkeypatch):
    monkeypatch.setattr(
        store, "put", lambda documents, _over=None: [WriteResult.REJECTED for _ in documents]
    )
    with pytest.raises(RecordError) as caught:
        stage(store, clock).handle([record(finding("f", range(10), people="a"))])
    assert caught.value.reason == "rejected"


@pytest.mark.parametrize(
    ("headers", "value", "reason"),
    [
        ({}, None, "schema"),
        ({"schema": "9"}, None, "schema"),
        ({"schema": "x"}, None, "schema"),
        ({"schema": "1"}, b"{}", "malformed"),
    ],
)
def test_invalid_record_is_rejected_with_its_reason(headers, value, reason):
    good = record(finding("f"))
    bad = type(good)(good.topic, 0, 1, 0.0, "bank", headers, good.value if value is None else value)
    with pytest.raises(RecordError) as caught:
        decode(bad)
    assert caught.value.reason == reason


def test_incident_with_expired_customers_is_frozen(store, clock):
    keep = StoreSettings()
    fold_all(store, clock, [finding("f", range(20), people="ab")])
    removed = expire(store, keep, clocks_at(WHEN + timedelta(days=181)))
    old = store.get(Incident, incident_id("f"))
    assert (removed.total(), store.count(Exposure, DocumentFilter()), old.customers) == (2, 0, 2)
    clock.advance(181 * 86400)
    fold_all(
        store, clock, [finding("g", range(20), people="ab"), finding("h", range(20), people="ab")]
    )
    new = store.get(Incident, incident_id("g"))
    assert (new.sightings, new.customers, new.linked) == (2, 2, (old.id,))
    frozen = store.get(Incident, old.id)
    assert (frozen.customers, frozen.sightings, frozen.linked) == (2, 1, (new.id,))
    assert frozen.frozen_at is not None


def test_confidence_fields_and_key_generations_of_one_person_are_merged(store, clock):
    capture = facts(fetched_at=WHEN + timedelta(hours=5), site="forum")
    weak, strong = finding("f", range(10), people="a"), finding("g", range(10), people="a")
    changed = match(
        subject=handle("a"),
        kind="card",
        form="md5",
        index_tag="new",
        confidence=99,
        fields=("CARD", "CVV"),
        row=7,
    )
    strong = strong.model_copy(update={"matches": (changed,), "capture": capture, "index_epoch": 2})
    fold_all(store, clock, [weak, strong])
    (exposure,) = store.scroll(Exposure, DocumentFilter())
    assert (exposure.kinds, exposure.forms, exposure.confidence) == (
        ("card", "phone"),
        ("md5", "plain"),
        99,
    )
    assert exposure.groups == (("CARD", "CVV"), ("NAME", "PHONE"))
    assert (exposure.first_seen, exposure.last_seen) == (WHEN, WHEN + timedelta(hours=5))
    assert (exposure.index_epoch, len(exposure.index_tags), exposure.corroborated) == (2, 2, False)
    assert incidents(store)[0].scenario == "X3", "fields of two rows do not add up to one row"
