"""A store file of an earlier version is brought up when it is opened, and keeps what it holds."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from alerts.decisions.command import duties_of
from alerts.noise.suppressions import Conditions, Desk
from alerts.read.query import Filters, listed, whole
from alerts.records import CLASSES, VERSION, Background, Decision, Exposure, Hold, Incident, Suppression, incident_id
from alerts.store import IncidentStore, Where, open_store
from alerts.store.sqlite import STEPS
from tests.alerts.builders import finding, fold_all, handle
from tests.alerts.noise.posts import post
from tests.upgrade.checksums import add_checksums
from ullage.files.database import CHECKED

FIRST = (Path(__file__).parent / "store_1.sql").read_text(encoding="utf-8")
SHAPE = "13 0b67efba"
"""VERSION, and a digest of what is indexed of every class. When the digest changes raise VERSION, see that a file of the version
before is brought up (a new class gets its tables; a filter that is new or changes needs a step that fills it), and note both."""


@pytest.fixture
def older(tmp_path: Path) -> Iterator[IncidentStore]:
    """A file as the first version made it, opened by this one."""
    with closing(apsw.Connection(str(tmp_path / "incidents.sqlite"))) as made:
        made.execute(FIRST)
    add_checksums(tmp_path / "incidents.sqlite")
    with closing(open_store("sqlite:///incidents.sqlite", tmp_path)) as store:
        yield store


def test_a_file_of_the_first_version_keeps_everything_and_takes_what_is_new(older, clock, context) -> None:
    id_ = incident_id("f")
    found = whole(older, id_)
    assert found is not None
    assert (found.status, found.incident.customers, {e.subject for e in found.exposures}) == (
        "confirmed",
        2,
        {handle("a"), handle("b")},
    )
    assert [i.id for i, _ in listed(older, Filters(text="四件套"), 5).rows] == [id_]
    assert older.count(Exposure, Where({"kinds": ("card",)})) == 2
    Desk(duties_of(context, older), context.trail()).suppress("bank", Conditions(site="paste"), days=3, by="Li", reason="known")
    fold_all(
        older, clock, [finding("g", range(10), people="ab", kinds=("phone", "card")), post().model_copy(update={"id": "alone"})]
    )
    assert older.get(Incident, id_).sightings == 2
    assert [older.count(kind, Where()) for kind in (Suppression, Background, Hold, Decision)] == [1, 1, 0, 1]


def test_an_older_file_then_has_the_tables_of_a_new_one(older, tmp_path: Path) -> None:
    open_store("sqlite:///new.sqlite", tmp_path).close()
    made = []
    for name in ("incidents", "new"):
        with closing(apsw.Connection(str(tmp_path / f"{name}.sqlite"))) as file:
            tables = file.execute("select name, sql from sqlite_schema where sql is not null order by name").fetchall()
            made.append((file.pragma("user_version"), tables))
    assert made[0] == made[1]
    assert made[0][0] == CHECKED | len(STEPS)
    assert len(STEPS) >= VERSION


def test_what_is_indexed_changes_with_the_version_alone() -> None:
    shape = {one.__name__: (one.columns, one.sets, one.time, one.searchable, one.orders, one.brief) for one in CLASSES}
    assert f"{VERSION} {hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:8]}" == SHAPE
