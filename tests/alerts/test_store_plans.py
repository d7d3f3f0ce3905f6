"""Which index SQLite reads where its own choice would read a whole table: held by its plan, for
of little no clock tells it.
"""

from contextlib import closing
from datetime import UTC, timedelta
from typing import Any

import apsw
import pytest

from alerts.deadlines.outstanding import IncidentDeadlines, Moments
from alerts.deadlines.schedule import build_item
from alerts.records import CLASSES, Exposure, Incident, WorkItem
from alerts.store import DocumentFilter, open_store, sqlite_queries
from alerts.store.sqlite import _build_schema, table_name
from alerts.store.sqlite_queries import page_mark_after
from tests.alerts.builders import handle, incident
from tests.factories import WHEN

DAY = timedelta(days=1)
SORTED = "USE TEMP B-TREE FOR ORDER BY"


@pytest.fixture
def plans(store):
    """Return a function giving a scroll's ids and the first step of each statement's plan."""

    def explain_scroll(kind, where, bound):
        statements, database = list[str](), store._database
        database.exec_trace = lambda _, sql, __: statements.append(sql) or True
        ids = [document.id for document in store.scroll(kind, where)]
        database.exec_trace = None
        assert statements
        return ids, [
            next(iter(database.execute(f"explain query plan {sql}", bound[: sql.count("?")])))[3]
            for sql in statements
        ]

    return explain_scroll


def test_customers_are_found_by_pseudonym_with_an_index(phone_incident, store, plans) -> None:
    """SQLite takes a tenant for narrower than a list of handles, and would read all that it has."""
    where = DocumentFilter({"tenant": ("bank",), "subject": (handle("a"), handle("nobody"))})
    ids, steps = plans(Exposure, where, ("bank", "[]", -1))
    assert [store.get(Exposure, id_).subject for id_ in ids] == [handle("a")]
    assert all("exposure_by_subject" in step for step in steps)


def test_customers_are_found_by_pseudonym_prefix_with_an_index(
    phone_incident, store, plans
) -> None:
    start = handle("a")[:4]
    ids, steps = plans(Exposure, DocumentFilter(begins={"subject": start}), (start, f"{start}~", 0))
    assert [store.get(Exposure, id_).subject for id_ in ids] == [handle("a")]
    assert "exposure_by_subject" in steps[0]
    assert all("PRIMARY KEY" in step for step in steps[1:])


@pytest.fixture
def steps(store):
    """Return a function giving the steps in which the last statement of a query finds rows."""

    def explain_last(ask) -> list[str]:
        statements, database = list[tuple[str, Any]](), store._database
        database.exec_trace = lambda _, sql, bound: statements.append((sql, bound)) or True
        ask()
        database.exec_trace = None
        sql, bound = statements[-1]
        plan_steps = [step for *_, step in database.execute(f"explain query plan {sql}", bound)]
        return (
            plan_steps[plan_steps.index("MATERIALIZE found") + 1 : plan_steps.index("SCAN found")]
            if "SCAN found" in plan_steps
            else plan_steps
        )

    return explain_last


def test_customers_of_one_incident_are_narrowed_within_it(phone_incident, store, steps) -> None:
    """However many customers of others have the same value of a set."""
    where = DocumentFilter({"incident": (phone_incident,), "kinds": ("phone",)})
    first, then, last = steps(lambda: store.search(Exposure, where))
    assert first == "SEARCH exposure USING INDEX exposure_by_incident (incident=?)"
    assert "exposure_sets_by_n" in then
    assert last == SORTED
    assert {exposure.subject for exposure in store.search(Exposure, where).items} >= {handle("a")}
    assert "exposure_sets USING PRIMARY KEY" in " ".join(
        steps(lambda: store.search(Exposure, DocumentFilter({"kinds": ("phone",)})))
    )


@pytest.mark.parametrize(
    ("where", "is_collected"),
    [
        (DocumentFilter(ids=("INC-A",)), True),
        (DocumentFilter(text="客户"), True),
        (DocumentFilter({"kinds": ("phone",)}), True),
        (DocumentFilter(since=WHEN), True),
        (DocumentFilter(), False),
        (DocumentFilter({"tenant": ("bank",)}), False),
    ],
)
def test_few_results_are_sorted_and_many_read_in_order(store, steps, where, is_collected) -> None:
    plan_steps = steps(lambda: store.search(Incident, where))
    assert (SORTED in plan_steps) is is_collected


@pytest.mark.parametrize(
    ("where", "order", "first"),
    [
        (DocumentFilter({"stage": ("open",)}), "due", "SCAN workitem USING INDEX workitem_by_due"),
        (
            DocumentFilter({"stage": ("open",), "tenant": ("bank",)}),
            "",
            "SCAN workitem USING INDEX workitem_by_time",
        ),
        (
            DocumentFilter({"stage": ("open",)}, {"severity": ("low",)}),
            "due",
            "SCAN workitem USING INDEX workitem_by_due",
        ),
        (
            DocumentFilter({"stage": ("open",)}),
            "burns",
            "SEARCH workitem USING COVERING INDEX workitem_narrow (stage=?)",
        ),
        (
            DocumentFilter({"stage": ("open",), "severity": ("high",)}),
            "due",
            "SEARCH workitem USING COVERING INDEX workitem_narrow (stage=?)",
        ),
        (
            DocumentFilter({"stage": ("open",)}, text="客户"),
            "due",
            "SEARCH workitem USING COVERING INDEX workitem_narrow (stage=?)",
        ),
    ],
)
def test_long_list_is_read_along_a_fitting_index(
    store, steps, monkeypatch, where, order, first
) -> None:
    monkeypatch.setattr(sqlite_queries, "FEW", -1)
    assert steps(lambda: store.search(WorkItem, where, order=order))[0] == first
    monkeypatch.undo()
    assert SORTED in steps(lambda: store.search(WorkItem, where, order=order)), (
        "of little all is collected"
    )


def test_tally_reads_only_its_covering_index(store, steps, broad) -> None:
    tallied = DocumentFilter({"stage": ("open",), "tenant": ("bank",)})
    assert steps(lambda: store.tally(WorkItem, tallied, ("severity",))) == [
        "SEARCH workitem USING COVERING INDEX workitem_by_stage_severity_tenant (stage=?)"
    ]
    by_status = DocumentFilter({"stage": ("open",), "status": ("resolved",)})
    assert "workitem_narrow" in steps(lambda: store.tally(WorkItem, by_status, ("severity",)))[0]
    recent = DocumentFilter({"stage": ("open",), "tenant": ("bank",)}, since=WHEN)
    assert "workitem_narrow" in steps(lambda: store.tally(WorkItem, recent, ("severity",)))[0]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_document_class_has_tables_and_indexes_for_its_filters(kind) -> None:
    name, database = table_name(kind), apsw.Connection(":memory:")
    list(database.execute(_build_schema(kind)))
    tables = {
        table
        for (table,) in database.execute("select name from sqlite_schema where type = 'table'")
    }
    expected_tables = (
        {name}
        | ({f"{name}_sets"} if kind.sets else set())
        | ({f"{name}_words"} if kind.searchable else set())
    )
    assert {table for table in tables if not table.startswith(f"{name}_words_")} == expected_tables
    if kind.searchable:
        config_value = database.execute(
            f"select v from {name}_words_config where k = 'secure-delete'"
        ).get
        assert config_value == 1, "words of what was erased are overwritten"
    indexed = " ".join(
        sql
        for (sql,) in database.execute(
            "select sql from sqlite_schema where type = 'index' and sql not null"
        )
    )
    assert all(f"({column}, time)" in indexed for column in kind.columns)
    assert not kind.sets or f"on {name}_sets (n)" in indexed


@pytest.mark.parametrize("order", ["", "time", "-time", "burns", "-due", "exposure"])
def test_paging_continues_after_any_document(store, order) -> None:
    store.put([item(f"INC-{n}", "x", exposure=n % 3, customers=n) for n in range(6)])
    shown = store.search(WorkItem, DocumentFilter(), order=order).items
    for number, item_ in enumerate(shown):
        following = store.search(
            WorkItem, DocumentFilter(), after=page_mark_after(item_, order), order=order
        ).items
        assert [after.id for after in following] == [after.id for after in shown[number + 1 :]]


@pytest.mark.parametrize("days", [None, 1])
def test_recent_documents_are_found_by_time(phone_incident, plans, clock, days) -> None:
    """SQLite would read all that is older on its way."""
    now = clock.as_clock().now()
    until = None if days is None else now + days * DAY
    incidents, steps = plans(Incident, DocumentFilter(since=now - DAY, before=until), (2**62, 0, 0))
    assert incidents == [phone_incident]
    assert "incident_by_time" in steps[0]
    assert all("PRIMARY KEY" in step for step in steps[1:])


@pytest.fixture
def broad(monkeypatch) -> None:
    """Have queries read the index with all columns, as where most documents match."""
    monkeypatch.setattr(sqlite_queries, "FEW", -1)


def item(id_: str, text: str, **changes: Any) -> WorkItem:
    described = incident(id_, titles=(text,), **changes)
    undecided = IncidentDeadlines((), (), None, Moments(described.first_seen))
    return build_item(described, undecided, UTC)


def test_frequent_words_are_found_after_every_write(store, data, broad) -> None:
    """What has them is worked out once; whoever writes, in this process or another, what they
    wrote counts at once.
    """
    where = DocumentFilter({"stage": ("open",)}, text="银行")

    def find_in_both_ways() -> list[str]:
        page = [item_.id for item_ in store.search(WorkItem, where, order="burns").items]
        assert store.count(WorkItem, where) == len(page)
        firsts = store.firsts(WorkItem, where, "series", ["@1"], "burns")
        assert [(first.id, first.count) for first in firsts.values()] == (
            [(page[0], len(page))] if page else []
        )
        return page

    assert find_in_both_ways() == []
    store.put(
        [
            item(f"INC-{n}", text, series=("@1",))
            for n, text in enumerate(["某银行客户", "别的", "银行 样本"])
        ]
    )
    assert find_in_both_ways() == find_in_both_ways() == ["INC-0", "INC-2"]
    store.put([item("INC-1", "银行", series=("@1",)), item("INC-0", "别的", series=("@1",))])
    assert find_in_both_ways() == ["INC-1", "INC-2"]
    with closing(open_store("sqlite:///incidents.sqlite", data)) as second_store:
        second_store.put([item("INC-3", "银行", series=("@1",))])
        assert find_in_both_ways() == ["INC-1", "INC-2", "INC-3"]
        second_store.delete(WorkItem, ["INC-3"])
        second_store.put([item("INC-4", "别的", series=("@1",))])
        assert find_in_both_ways() == ["INC-1", "INC-2"], (
            "though it may have the number of the one that is gone"
        )
    store.delete(WorkItem, ["INC-1", "INC-2"])
    assert find_in_both_ways() == []
    assert [
        item_.id
        for item_ in store.search(WorkItem, DocumentFilter(text="别的"), order="burns").items
    ] == ["INC-0", "INC-4"]
    assert store.search(WorkItem, DocumentFilter(text="·"), order="burns").items == ()
