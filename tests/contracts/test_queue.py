"""The queue and what is done in it, over every incident store."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts.cases.queue import IncidentQueue, QueueFilter
from alerts.deadlines import schedule
from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Work
from alerts.records import Decision, Incident, Notification, Sighting, WorkItem
from alerts.records.document import Document, QueryError
from alerts.store import DocumentFilter, IncidentStore
from tests.alerts import builders
from tests.conftest import HeldClock
from tests.stores import ON_SERVERS, each_backend, make_shared_store
from ullage.settings import Tenant

T0 = datetime(2026, 9, 21, 12, 0, tzinfo=UTC)
backend = each_backend("sqlite", *ON_SERVERS)
url = make_shared_store()


@pytest.fixture
def queue(store: IncidentStore, clock: HeldClock) -> IncidentQueue:
    return IncidentQueue(
        Work(Duties(store, lambda _: Tenant(regimes=("pboc-2025",)), clock.as_clock())), "Li Wei"
    )


def put(store: IncidentStore, *incidents: Incident) -> None:
    store.put(incidents)
    store.refresh()


def incident(id_: str, minutes: int = 0, **changes: Any) -> Incident:
    return builders.incident(id_, T0 + timedelta(minutes=minutes), **changes)


def list_ids(queue: IncidentQueue, *, limit: int = 50, **view: Any) -> list[str]:
    """Return all rows, page after page."""
    ids, after, more = [], "", True
    while more:
        queue.work.store.refresh()
        page = queue.page(QueueFilter(**view), limit, after)
        ids += [row.incident.id for row in page.rows]
        after, more = page.after, bool(page.after)
    return ids


def test_incidents_without_a_deadline_are_sorted_by_severity_then_age(store, queue):
    put(
        store,
        incident("INC-1", 1),
        incident("INC-2", 2, severity="high"),
        incident("INC-3", 3, severity="high"),
    )
    assert list_ids(queue) == ["INC-2", "INC-3", "INC-1"]
    assert list_ids(queue, order="opened") == ["INC-3", "INC-2", "INC-1"]
    assert list_ids(queue, order="-opened") == ["INC-1", "INC-2", "INC-3"]
    assert list_ids(queue, order="-severity") == ["INC-1", "INC-2", "INC-3"]


def test_paging_continues_after_the_last_row_in_every_order(store, queue):
    severities = ("noise", "low", "high")
    put(
        store,
        *(
            incident(f"INC-{n}", n % 4, severity=severities[n % 3], customers=n % 5, exposure=n)
            for n in range(23)
        ),
    )
    for order in ("priority", "severity", "customers", "exposure", "opened"):
        for turned in (order, f"-{order}"):
            whole = list_ids(queue, order=turned)
            assert sorted(whole) == sorted(f"INC-{n}" for n in range(23)), turned
            assert list_ids(queue, limit=4, order=turned) == whole
    assert list_ids(queue, order="customers") == list_ids(queue, order="-customers")[::-1]


def test_filters_are_combined(store, queue):
    put(
        store,
        incident("INC-1", 1, origin="ours", scenario="loan", sites=("forum",), kinds=("card",)),
        incident(
            "INC-2",
            2,
            origin="ours",
            scenario="loan",
            sites=("paste",),
            kinds=("card",),
            severity="high",
        ),
        incident("INC-3", 3, origin="elsewhere", titles=("四件套",)),
    )
    assert list_ids(queue, origin="ours") == ["INC-2", "INC-1"]
    assert (
        list_ids(queue, origin="ours", site="forum")
        == list_ids(queue, scenario="loan", severity="low")
        == ["INC-1"]
    )
    assert list_ids(queue, kind="card", site="paste") == ["INC-2"]
    assert list_ids(queue, text="四件套") == ["INC-3"]
    assert list_ids(queue, opened_from=T0 + timedelta(minutes=2)) == ["INC-2", "INC-3"]
    assert list_ids(queue, opened_before=T0 + timedelta(minutes=2)) == ["INC-1"]


@pytest.mark.parametrize(
    "wrong",
    [{"tab": "x"}, {"order": "x"}, {"origin": "x"}, {"severity": "x"}, {"assignee": "13800138000"}],
)
def test_invalid_query_is_rejected_and_not_echoed(queue, wrong):
    with pytest.raises(QueryError) as caught:
        queue.page(QueueFilter(**wrong))
    assert "13800138000" not in str(caught.value)


def test_one_incident_stands_for_a_sellers_series_on_every_page(store, queue):
    series = {"series": ("@0a1b2c3d",)}
    put(
        store,
        *(incident(f"INC-S{n}", n, **series) for n in range(6)),
        *(incident(f"INC-{n}", n) for n in range(6)),
        incident("INC-S9", 9, severity="high", **series),
    )
    assert list_ids(queue, limit=3) == ["INC-S9", *(f"INC-{n}" for n in range(6))]
    assert queue.page(QueueFilter()).rows[0].folded == 6
    assert len(list_ids(queue, flat=True, limit=3)) == 13
    assert len(queue.page(QueueFilter(), limit=3).rows) == 3


def test_page_with_a_folded_series_queries_the_store_once(store, queue, monkeypatch):
    """What a question costs grows with what is stored; rows that are not shown cost next to
    nothing.
    """
    searched, search = [], store.search
    monkeypatch.setattr(
        store, "search", lambda kind, *rest: [searched.append(kind), search(kind, *rest)][1]
    )
    rows = [incident(f"INC-{n}", n, series=("@0a1b2c3d",) if n % 3 == 0 else ()) for n in range(60)]
    put(store, *rows)
    queue.page(QueueFilter())
    searched.clear()
    page = queue.page(QueueFilter(), limit=10)
    assert [row.incident.id for row in page.rows] == [
        row.id for row in rows if row.id == "INC-0" or not row.series
    ][:10]
    assert searched.count(WorkItem) == 1
    assert list_ids(queue, limit=10) == [
        row.id for row in rows if row.id == "INC-0" or not row.series
    ]


def test_closed_and_merged_incidents_are_in_no_open_tab(store, queue):
    put(store, incident("INC-1"), incident("INC-2"), incident("INC-3", part_of="INC-1"))
    closing_ = Decision(
        id="INC-2:a", tenant="bank", incident="INC-2", at=T0, by="Li", status="resolved"
    )
    store.create([closing_])
    queue.work.complete()
    queue.work.renew(["INC-2"])
    assert list_ids(queue) == ["INC-1"]
    assert list_ids(queue, tab="closed") == ["INC-2"]
    assert set(list_ids(queue, tab="all")) == {"INC-1", "INC-2"}
    assert queue.counts(QueueFilter())["open"] == 1


def test_row_shows_the_decision_even_if_its_item_lags(store, queue):
    """Whoever decides may die before the item is written."""
    put(store, incident("INC-1"))
    assert list_ids(queue) == ["INC-1"]
    store.create(
        [Decision(id="INC-1:a", tenant="bank", incident="INC-1", at=T0, by="Li", status="resolved")]
    )
    store.refresh()
    assert queue.page(QueueFilter()).rows[0].item.status == "resolved"
    assert list_ids(queue) == []


def test_due_incidents_come_first_soonest_first(store, queue, clock):
    """A clock runs from when somebody was told."""
    clocked = {"severity": "high", "origin": "ours", "clock": "run", "customers": 100}
    put(
        store,
        incident("INC-1", severity="statutory"),
        incident("INC-2", 1, **clocked),
        incident("INC-3", 2, **clocked),
    )
    for id_, minutes in (("INC-2", 5), ("INC-3", 1)):
        sent = builders_notification(id_, clock.as_clock().now() - timedelta(minutes=minutes))
        store.put([sent])
    store.refresh()
    assert list_ids(queue) == ["INC-2", "INC-3", "INC-1"]
    row = queue.page(QueueFilter()).rows[0]
    assert row.item.running
    assert row.item.due_at is not None
    assert list_ids(queue, tab="due") == ["INC-2", "INC-3"]


def builders_notification(incident_: str, at: datetime) -> Notification:
    return Notification(
        id=f"{incident_}:desk:high", tenant="bank", incident=incident_, at=at, due=at,
        channel="desk", what="high", why="new",
        severity="high", outcome="sent", sent_at=at,
    )  # fmt: skip


def test_class_without_a_number_cannot_be_sorted_by_it(store):
    with pytest.raises(QueryError):
        store.search(Sighting, DocumentFilter(), order="burns")
    with pytest.raises(QueryError):
        store.search(WorkItem, DocumentFilter(at_most={"doc": 1}))


class QueueReads:
    """A store that notes how it is read; everything goes to the one behind it."""

    def __init__(self, store: IncidentStore) -> None:
        self._store, self.read = store, list[str]()

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._store, name)
        if name not in {"scroll", "search"}:
            return attribute

        def reading(kind: type[Document], *rest: Any) -> Any:
            self.read += [name] if kind is Incident else []
            return attribute(kind, *rest)

        return reading


def test_missing_item_of_the_newest_incident_is_made_without_a_full_scan(store, queue, monkeypatch):
    monkeypatch.setattr(schedule, "BATCH", 2)
    put(store, *(incident(f"INC-{n}", n) for n in range(9)))
    assert queue.work.complete() == 9
    put(store, incident("INC-9", 9))
    watched: Any = QueueReads(store)
    assert Work(Duties(watched, lambda _: Tenant(), queue.work.duties.clock)).complete() == 1
    assert watched.read == ["search"]
    assert store.count(WorkItem, DocumentFilter()) == 10
    assert queue.work.complete() == 0
