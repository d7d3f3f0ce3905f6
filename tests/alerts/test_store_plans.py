"""Which index SQLite reads where its own choice would read a whole table: held by its plan, for of little no clock tells it."""

from datetime import timedelta

import pytest

from alerts.records import Exposure, Incident
from alerts.store import Where
from tests.alerts.builders import handle

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
