"""An incident store of each version that there was is opened by this one, and keeps what it holds.

`tests/data/stores.tar.xz` has a file of each version, as the last commit of that version wrote it: a leak of two customers that a
person confirmed, and a post that is background. The first version's is `tests/alerts/store_1.sql`. Who raises VERSION adds one
of the version before: without it these tests fail.
"""

import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from alerts.read.query import Filters, listed, whole
from alerts.records import VERSION, Background, Exposure, Incident, incident_id
from alerts.store import IncidentStore, Where, open_store
from tests.alerts.builders import finding, fold_all, handle
from tests.conftest import HeldClock

FILES = Path(__file__).parents[1] / "data" / "stores.tar.xz"


@pytest.fixture(params=range(2, VERSION))
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[IncidentStore]:
    """A store of that version, opened by this one."""
    with tarfile.open(FILES) as archive:
        archive.extractall(tmp_path, [archive.getmember(f"{request.param}/incidents.sqlite")], filter="data")
    with closing(open_store("sqlite:///incidents.sqlite", tmp_path / str(request.param))) as store:
        yield store


def test_what_it_holds_is_read_counted_and_found(older: IncidentStore) -> None:
    found = whole(older, incident_id("f"))
    assert found is not None
    assert (found.status, found.incident.customers, found.incident.sightings) == ("confirmed", 2, 1)
    assert {exposure.subject for exposure in found.exposures} == {handle("a"), handle("b")}
    assert [(one.by, one.status, one.note) for one in found.decisions] == [("Li", "confirmed", "seen")]
    assert [(row.id, status) for row, status in listed(older, Filters(), 5).rows] == [(incident_id("f"), "confirmed")]
    assert older.count(Exposure, Where({"kinds": ("card",)})) == 2
    assert [one.subject for one in older.scroll(Background, Where())] == [handle("c")]


def test_what_comes_joins_what_is_there(older: IncidentStore, clock: HeldClock) -> None:
    fold_all(older, clock, [finding("g", range(10), people="abd", kinds=("phone", "card"))])
    incident = older.get(Incident, incident_id("f"))
    assert incident is not None
    assert (incident.sightings, incident.customers) == (2, 3)


def test_it_has_the_tables_and_indexes_of_a_new_one(older: IncidentStore, tmp_path: Path) -> None:
    open_store("sqlite:///new.sqlite", tmp_path).close()
    (file,) = tmp_path.glob("*/incidents.sqlite")
    made = []
    for path in (file, tmp_path / "new.sqlite"):
        with closing(apsw.Connection(str(path))) as opened:
            made.append(opened.execute("select name, sql from sqlite_schema where sql is not null order by name").fetchall())
    assert made[0] == made[1]
