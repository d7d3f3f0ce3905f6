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


def test_missing_store_is_not_recreated(context: Context) -> None:
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
def test_damaged_document_is_named_and_not_shown(tmp_path: Path, doc: str) -> None:
    with closing(open_store("sqlite:///incidents.sqlite", tmp_path)) as store:
        document = exposure("a", 10)
        store.put([document])
        with transaction(store._database):
            store._database.execute("update exposure set doc = ?", (doc,))
        for act in (
            lambda: store.get(Exposure, document.id),
            lambda: list(store.scroll(Exposure, DocumentFilter())),
            lambda: store.search(Exposure, DocumentFilter()),
        ):
            with pytest.raises(
                CorruptError, match=r"incidents\.sqlite: Exposure .*damaged.*restore"
            ) as raised:
                act()
            assert document.id in str(raised.value)
            assert "13800138000" not in str(raised.value)
            assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_document_stored_under_another_id_is_detected(tmp_path: Path) -> None:
    with closing(open_store("sqlite:///incidents.sqlite", tmp_path)) as store:
        first, second = exposure("a", 10), exposure("b", 10)
        store.put([first])
        with transaction(store._database):
            store._database.execute("update exposure set doc = ?", (second.model_dump_json(),))
        with pytest.raises(CorruptError, match=first.id):
            store.get(Exposure, first.id)
