"""The store as somebody sees it who is not concerned with every tenant."""

import pytest

from alerts.cases.incident_list import Filters, page_of, whole
from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Work
from alerts.records import (
    CLASSES,
    CollectorHeartbeat,
    Decision,
    Exposure,
    Incident,
    Sighting,
    WorkItem,
    incident_id,
)
from alerts.records.document import Excerpt, QueryError
from alerts.store import DocumentFilter, First, WriteResult
from alerts.store.queries import tally
from alerts.store.tenant_view import StoreWithin
from tests.alerts.builders import finding, fold_all
from tests.factories import WHEN
from ullage.settings import Tenant

A, B = incident_id("fa"), incident_id("fb")


@pytest.fixture
def two(store, clock):
    """An incident of `bank` and one of `shop`, as somebody of `bank` sees them."""
    fold_all(store, clock, [finding("fa", range(10), people="a")])
    fold_all(store, clock, [finding("fb", range(20, 30), people="b", tenant="shop")])
    assert {one.tenant for one in store.scroll(Incident, DocumentFilter())} == {"bank", "shop"}
    Work(Duties(store, lambda _: Tenant(), clock.as_clock())).complete()
    return StoreWithin(store, frozenset({"bank"}))


def test_another_tenant_is_not_there_by_any_way(two):
    assert (two.get(Incident, A).id, two.get(Incident, B)) == (A, None)
    assert set(two.mget(Incident, [A, B])) == {A}
    assert two.count(Incident, DocumentFilter()) == 1
    assert two.count(Incident, DocumentFilter({"tenant": ("shop",)})) == 0
    assert two.count(Incident, DocumentFilter({"tenant": ("shop", "bank")})) == 1
    assert [one.id for one in two.search(Incident, DocumentFilter()).items] == [A]
    assert two.search(Incident, DocumentFilter({"tenant": ("shop",)})).items == ()
    for kind in (Sighting, Exposure):
        assert {one.tenant for one in two.scroll(kind, DocumentFilter())} == {"bank"}
        assert list(two.scroll(kind, DocumentFilter({"incident": (B,)}))) == []


def test_what_is_counted_apart_or_found_by_a_set_is_its_own(two):
    assert two.firsts(Incident, DocumentFilter(), "sites", ["paste", "forum"], "time") == {
        "paste": First(A, 1)
    }
    assert (
        two.firsts(Incident, DocumentFilter({"tenant": ("shop",)}), "sites", ["paste"], "time")
        == {}
    )
    assert two.counts(
        Incident, DocumentFilter(), [DocumentFilter({"tenant": ("shop",)}), DocumentFilter()]
    ) == [0, 1]
    assert two.counts(Incident, DocumentFilter({"tenant": ("shop",)}), [DocumentFilter()]) == [0]
    assert [one.values for one in two.tally(Incident, DocumentFilter(), ("tenant",))] == [("bank",)]
    assert two.tally(Incident, DocumentFilter({"tenant": ("shop",)}), ("tenant",)) == []


def test_what_is_added_up_is_its_own(two):
    """Work items have numbers to add up; those of the other tenant are not among them."""
    [mine] = two.tally(WorkItem, DocumentFilter(), ("tenant",), "customers")
    assert (mine.values, mine.count, mine.total) == (("bank",), 1, 1)


@pytest.mark.parametrize("customers", [None, {}, {"bank": 3, "shop": 7}, {"shop": 7}])
def test_of_customers_that_are_looked_for_it_is_told_of_its_own(two, store, customers):
    store.put(
        [CollectorHeartbeat(id="crawl-1", first=WHEN, last=WHEN, enrolled=10, customers=customers)]
    )
    theirs = customers and {one: count for one, count in customers.items() if one == "bank"}
    told = two.get(CollectorHeartbeat, "crawl-1")
    assert (told.customers, told.enrolled) == (
        theirs,
        None if theirs is None else sum(theirs.values()),
    )
    assert [*two.scroll(CollectorHeartbeat, DocumentFilter())] == [told]


def test_what_is_of_nobody_is_not_counted_or_found_by_a_store_that_cannot_narrow_it(two):
    for kind in (CollectorHeartbeat, *(kind for kind in CLASSES if "tenants" in kind.model_fields)):
        for ask in (two.count, two.search):
            with pytest.raises(NotImplementedError):
                ask(kind, DocumentFilter())


def test_what_reads_it_counts_its_own_alone(two):
    assert sum(tally(two).values()) == 1
    assert [incident.id for incident in page_of(two, Filters(), 9).items] == [A]
    assert whole(two, B) is None


@pytest.mark.parametrize(
    "kind",
    [kind for kind in CLASSES if "tenant" in kind.model_fields],
    ids=lambda kind: kind.__name__,
)
def test_every_class_that_has_tenants_is_narrowed_by_them(two, kind):
    """A store filters by columns alone: a class with a tenant that is no column could not be
    kept apart.
    """
    assert "tenant" in kind.columns or "tenant" in kind.sets
    assert all(one.tenant == "bank" for one in two.scroll(kind, DocumentFilter()))


def test_what_is_of_another_tenant_is_not_written(two, store, clock):
    made = Decision(
        id=f"{B}:1",
        tenant="shop",
        incident=B,
        at=clock.as_clock().now(),
        by="Li",
        status="resolved",
    )
    for write in (two.create, two.put):
        with pytest.raises(QueryError):
            write([made.model_copy(update={"tenant": "bank", "id": "x"}), made])
    assert store.count(Decision, DocumentFilter()) == 0


def test_what_others_wrote_meanwhile_is_not_written_over(two, store):
    read = {id_: one.version for id_, one in two.read(Incident, [A]).items()}
    newer = store.get(Incident, A).model_copy(update={"customers": 99})
    store.put([newer])
    assert two.put([newer.model_copy(update={"customers": 1})], read) == [WriteResult.CONFLICT]
    assert two.get(Incident, A) == newer


class TenantExcerpt(Excerpt):
    tenant: str


def test_excerpts_are_of_its_own(two):
    assert {one.tenant for one in two.excerpts(Exposure, DocumentFilter(), TenantExcerpt)} == {
        "bank"
    }
    assert [*two.excerpts(Exposure, DocumentFilter({"tenant": ("shop",)}), TenantExcerpt)] == []


def test_nobody_sees_anything(store, clock):
    fold_all(store, clock, [finding("fa", range(10), people="a")])
    none = StoreWithin(store, frozenset())
    assert (
        none.count(Incident, DocumentFilter()),
        none.search(Incident, DocumentFilter()).items,
        none.get(Incident, A),
    ) == (
        0,
        (),
        None,
    )
