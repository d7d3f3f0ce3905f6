"""Which index SQLite reads where its own choice would read a whole table: held by its plan, for of little no clock tells it."""

from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from alerts.clocks.duties import Owed
from alerts.desk.work import item_of
from alerts.records import Exposure, Incident, WorkItem
from alerts.store import Where, open_store, ways
from tests.alerts.builders import handle, incident

DAY = timedelta(days=1)


@pytest.fixture
def plans(store):
    """A function that gives what a scroll finds, and the first step of each statement's plan."""

    def of(kind, where, bound):
        asked, database = list[str](), store._database
        database.exec_trace = lambda _, sql, __: asked.append(sql) or True
        found = [one.id for one in store.scroll(kind, where)]
        database.exec_trace = None
        assert asked
        return found, [next(iter(database.execute(f"explain query plan {sql}", bound[: sql.count("?")])))[3] for sql in asked]

    return of


def test_customers_are_found_by_their_handle_however_many_a_tenant_has(leaked, store, plans) -> None:
    """SQLite takes a tenant for narrower than a list of handles, and would read all that it has."""
    where = Where({"tenant": ("bank",), "subject": (handle("a"), handle("nobody"))})
    found, steps = plans(Exposure, where, ("bank", "[]", -1))
    assert [store.get(Exposure, id_).subject for id_ in found] == [handle("a")]
    assert all("exposure_by_subject" in step for step in steps)


def test_customers_are_found_by_how_their_handle_begins(leaked, store, plans) -> None:
    start = handle("a")[:4]
    found, steps = plans(Exposure, Where(begins={"subject": start}), (start, f"{start}~", 0))
    assert [store.get(Exposure, id_).subject for id_ in found] == [handle("a")]
    assert "exposure_by_subject" in steps[0]
    assert all("PRIMARY KEY" in step for step in steps[1:])


@pytest.mark.parametrize("days", [None, 1])
def test_what_is_of_a_time_is_found_by_its_time(leaked, plans, clock, days) -> None:
    """SQLite would read all that is older on its way."""
    now = clock.as_clock().now()
    until = None if days is None else now + days * DAY
    found, steps = plans(Incident, Where(since=now - DAY, before=until), (2**62, 0, 0))
    assert found == [leaked]
    assert "incident_by_time" in steps[0]
    assert all("PRIMARY KEY" in step for step in steps[1:])


@pytest.fixture
def broad(monkeypatch) -> None:
    """As where so many documents have the words, or are of a filter, that the index with all columns is read."""
    monkeypatch.setattr(ways, "FEW", -1)


def item(id_: str, text: str, **changes: Any) -> WorkItem:
    return item_of(incident(id_, titles=(text,), **changes), Owed((), (), None))


def test_words_that_most_have_are_found_as_they_stand_after_every_write(store, data, broad) -> None:
    """What has them is worked out once; whoever writes, in this process or another, what they wrote counts at once."""
    where = Where({"stage": ("open",)}, text="银行")

    def found() -> list[str]:
        page = [one.id for one in store.search(WorkItem, where, order="burns").items]
        assert store.count(WorkItem, where) == len(page)
        firsts = store.firsts(WorkItem, where, "series", ["@1"], "burns")
        assert [(one.id, one.count) for one in firsts.values()] == ([(page[0], len(page))] if page else [])
        return page

    assert found() == []
    store.put([item(f"INC-{n}", text, series=("@1",)) for n, text in enumerate(["某银行客户", "别的", "银行 样本"])])
    assert found() == found() == ["INC-0", "INC-2"]
    store.put([item("INC-1", "银行", series=("@1",)), item("INC-0", "别的", series=("@1",))])
    assert found() == ["INC-1", "INC-2"]
    with closing(open_store("sqlite:///incidents.sqlite", data)) as other:
        other.put([item("INC-3", "银行", series=("@1",))])
        assert found() == ["INC-1", "INC-2", "INC-3"]
        other.delete(WorkItem, ["INC-3"])
        other.put([item("INC-4", "别的", series=("@1",))])
        assert found() == ["INC-1", "INC-2"], "though it may have the number of the one that is gone"
    store.delete(WorkItem, ["INC-1", "INC-2"])
    assert found() == []
    assert [one.id for one in store.search(WorkItem, Where(text="别的"), order="burns").items] == ["INC-0", "INC-4"]
    assert store.search(WorkItem, Where(text="·"), order="burns").items == ()
