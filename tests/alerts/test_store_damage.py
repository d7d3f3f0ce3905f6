"""A document that is not as it was written: an error of ours with file and id, and nothing of
what stood there.
"""

from contextlib import closing
from pathlib import Path

import pytest

from alerts.records import Exposure
from alerts.store import DocumentFilter, open_configured_store, open_store
from tests.contracts.test_incident_store import exposure
from ullage.errors import ConfigError, CorruptError
from ullage.files.database import transaction
from ullage.settings import Context


def test_store_that_is_gone_is_not_begun_anew(context: Context) -> None:
    open_configured_store(context).close()
    (context.data / "incidents.sqlite").unlink()
    with pytest.raises(ConfigError, match=r"incidents\.sqlite"):
        open_configured_store(context)


@pytest.mark.parametrize(
    "doc",
    [
        '{"id": "13800138000"',
        '{"id": "x", "bogus": "13800138000"}',
        '["13800138000"]',
        "",
        '{"id": "\\ud800"}',
    ],
)
def test_a_damaged_document_is_named_and_not_shown(tmp_path: Path, doc: str) -> None:
    with closing(open_store("sqlite:///incidents.sqlite", tmp_path)) as store:
        made = exposure("a", 10)
        store.put([made])
        with transaction(store._database):
            store._database.execute("update exposure set doc = ?", (doc,))
        for act in (
            lambda: store.get(Exposure, made.id),
            lambda: list(store.scroll(Exposure, DocumentFilter())),
            lambda: store.search(Exposure, DocumentFilter()),
        ):
            with pytest.raises(
                CorruptError, match=r"incidents\.sqlite: Exposure .*damaged.*restore"
            ) as told:
                act()
            assert made.id in str(told.value)
            assert "13800138000" not in str(told.value)
            assert told.value.__suppress_context__ or told.value.__context__ is None


def test_a_document_that_stands_in_anothers_place_is_not_his(tmp_path: Path) -> None:
    with closing(open_store("sqlite:///incidents.sqlite", tmp_path)) as store:
        one, other = exposure("a", 10), exposure("b", 10)
        store.put([one])
        with transaction(store._database):
            store._database.execute("update exposure set doc = ?", (other.model_dump_json(),))
        with pytest.raises(CorruptError, match=one.id):
            store.get(Exposure, one.id)
