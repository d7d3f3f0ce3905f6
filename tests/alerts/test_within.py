"""The store as somebody sees it who is not concerned with every tenant."""

import pytest

from alerts.cases.incident_list import Filters, find_page, load_details
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
from alerts.store.queries import count_incidents
from alerts.store.tenant_view import StoreWithin
from tests.alerts.builders import finding, fold_all
from tests.factories import WHEN
from ullage.settings import Tenant

A, B = incident_id("fa"), incident_id("fb")


@pytest.fixture
def two(store, clock):
    """Return the store as a user of `bank` sees it, with one incident each of `bank` and `shop`."""
    fold_all(store, clock, [finding("fa", range(10), people="a")])
    fold_all(store, clock, [finding("fb", range(20, 30), people="b", tenant="shop")])
    assert {incident.tenant for incident in store.scroll(Incident, DocumentFilter())} == {
        "bank",
        "shop",
    }
    Work(Duties(store, lambda _: Tenant(), clock.as_clock())).complete()
    return StoreWithin(store, frozenset({"bank"}))


def test_other_tenants_documents_are_unreachable(two):
    assert (two.get(Incident, A).id, two.get(Incident, B)) == (A, None)
    assert set(two.mget(Incident, [A, B])) == {A}
    assert two.count(Incident, DocumentFilter()) == 1
    assert two.count(Incident, DocumentFilter({"tenant": ("shop",)})) == 0
    assert two.count(Incident, DocumentFilter({"tenant": ("shop", "bank")})) == 1
    assert [document.id for document in two.search(Incident, DocumentFilter()).items] == [A]
    assert two.search(Incident, DocumentFilter({"tenant": ("shop",)})).items == ()
    for kind in (Sighting, Exposure):
        assert {document.tenant for document in two.scroll(kind, DocumentFilter())} == {"bank"}
        assert list(two.scroll(kind, DocumentFilter({"incident": (B,)}))) == []


def test_counts_and_tallies_are_limited_to_the_tenant(two):
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
    assert [row.values for row in two.tally(Incident, DocumentFilter(), ("tenant",))] == [("bank",)]
    assert two.tally(Incident, DocumentFilter({"tenant": ("shop",)}), ("tenant",)) == []


def test_sums_are_limited_to_the_tenant(two):
    """Work items have numbers to add up; those of the other tenant are not among them."""
    [mine] = two.tally(WorkItem, DocumentFilter(), ("tenant",), "customers")
    assert (mine.values, mine.count, mine.total) == (("bank",), 1, 1)


@pytest.mark.parametrize("customers", [None, {}, {"bank": 3, "shop": 7}, {"shop": 7}])
def test_customer_counts_are_limited_to_the_tenant(two, store, customers):
    store.put(
        [CollectorHeartbeat(id="crawl-1", first=WHEN, last=WHEN, enrolled=10, customers=customers)]
    )
    theirs = customers and {
        tenant: count for tenant, count in customers.items() if tenant == "bank"
    }
    heartbeat = two.get(CollectorHeartbeat, "crawl-1")
    assert (heartbeat.customers, heartbeat.enrolled) == (
        theirs,
        None if theirs is None else sum(theirs.values()),
    )
    assert [*two.scroll(CollectorHeartbeat, DocumentFilter())] == [heartbeat]


def test_documents_without_a_tenant_are_hidden_if_they_cannot_be_filtered(two):
    for kind in (CollectorHeartbeat, *(kind for kind in CLASSES if "tenants" in kind.model_fields)):
        for ask in (two.count, two.search):
            with pytest.raises(NotImplementedError):
                ask(kind, DocumentFilter())


def test_readers_count_only_their_tenant(two):
    assert sum(count_incidents(two).values()) == 1
    assert [incident.id for incident in find_page(two, Filters(), 9).items] == [A]
    assert load_details(two, B) is None


@pytest.mark.parametrize(
    "kind",
    [kind for kind in CLASSES if "tenant" in kind.model_fields],
    ids=lambda kind: kind.__name__,
)
def test_every_class_with_tenants_is_filtered_by_tenant(two, kind):
    """A store filters by columns: a class whose tenant is no column could not be filtered."""
    assert "tenant" in kind.columns or "tenant" in kind.sets
    assert all(document.tenant == "bank" for document in two.scroll(kind, DocumentFilter()))


def test_documents_of_another_tenant_cannot_be_written(two, store, clock):
    decision = Decision(
        id=f"{B}:1",
        tenant="shop",
        incident=B,
        at=clock.as_clock().now(),
        by="Li",
        status="resolved",
    )
    for write in (two.create, two.put):
        with pytest.raises(QueryError):
            write([decision.model_copy(update={"tenant": "bank", "id": "x"}), decision])
    assert store.count(Decision, DocumentFilter()) == 0


def test_concurrent_change_is_not_overwritten(two, store):
    read = {id_: item.version for id_, item in two.read(Incident, [A]).items()}
    newer = store.get(Incident, A).model_copy(update={"customers": 99})
    store.put([newer])
    assert two.put([newer.model_copy(update={"customers": 1})], read) == [WriteResult.CONFLICT]
    assert two.get(Incident, A) == newer


class TenantExcerpt(Excerpt):
    tenant: str


def test_excerpts_are_limited_to_the_tenant(two):
    assert {
        excerpt.tenant for excerpt in two.excerpts(Exposure, DocumentFilter(), TenantExcerpt)
    } == {"bank"}
    assert [*two.excerpts(Exposure, DocumentFilter({"tenant": ("shop",)}), TenantExcerpt)] == []


def test_user_without_tenants_sees_nothing(store, clock):
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
