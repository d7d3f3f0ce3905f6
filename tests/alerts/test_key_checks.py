"""The store knows under which keys its facts were made: no other findings come in, and nobody
asks with other keys.
"""

from contextlib import closing

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from alerts.cases.lookups.lookup import Lookup
from alerts.grouping.stage import Alert
from alerts.records import Incident, KeyCheck, Sighting
from alerts.store import DocumentFilter, open_store
from alerts.web.app import create_app
from matcher.cli.loading import build_matcher
from matcher.match.findings import find_all
from tests.alerts.builders import finding, record, stage
from tests.conftest import HeldClock
from tests.factories import capture
from tests.matcher.bank import customer, enrol, phone
from ullage.errors import ConfigError, RecordError
from ullage.records import FINDING_SCHEMA
from ullage.security import keys
from ullage.security.keys import compute_check_value
from ullage.settings import Context

NAME = "bank/index-1.key"


@pytest.fixture
def alert(store, clock) -> Alert:
    return stage(store, clock)


def make_record(name: str, **checks: str):
    return record(finding(name, range(10), people="ab", key_checks={NAME: "aa" * 5, **checks}))


def test_first_finding_stores_the_key_check(alert, store) -> None:
    alert.handle([make_record("f"), make_record("g")])
    stored_check = store.get(KeyCheck, NAME)
    assert (stored_check.tenant, stored_check.value) == ("bank", "aa" * 5)


def test_finding_under_another_index_key_is_rejected_whole(alert, store) -> None:
    alert.handle([make_record("f")])
    for again in (alert, Alert(store, alert.clock, alert.tenant, alert.metrics)):
        with pytest.raises(RecordError) as refused:
            again.handle([make_record("g", **{NAME: "bb" * 5})])
        assert refused.value.reason == "another_key"
    assert store.count(Incident, DocumentFilter()) == 1
    assert store.get(KeyCheck, NAME).value == "aa" * 5
    alert.handle([make_record("h")])


def test_new_key_generation_has_its_own_check(alert, store) -> None:
    alert.handle(
        [
            make_record("f"),
            make_record("g", **{"bank/index-2.key": "bb" * 5}),
            record(finding("h", range(10, 20), people="c")),
        ]
    )
    assert {stored_check.id for stored_check in store.scroll(KeyCheck, DocumentFilter())} == {
        NAME,
        "bank/index-2.key",
    }


def test_changed_capture_key_is_logged_and_loses_nothing(alert, store) -> None:
    alert.handle([make_record("f", **{"capture.key": "11" * 5})])
    with capture_logs() as events:
        alert.handle([make_record("g", **{"capture.key": "22" * 5})])
    assert store.get(KeyCheck, "capture.key").value == "22" * 5
    assert [line["event"] for line in events] == ["capture_key_changed"]
    assert store.count(Sighting, DocumentFilter()) == 2


def test_match_names_its_keys(context: Context) -> None:
    enrol(context, "bank", [customer(n) for n in range(3)])
    [key_finding] = find_all(
        build_matcher(context), [capture(body=phone(1).encode())], context.clock.now()
    )
    expected_checks = {
        name: compute_check_value(context.keys.read(name), name) for name in (NAME, "capture.key")
    }
    assert key_finding.key_checks == expected_checks
    assert type(key_finding).decode(key_finding.encode(), FINDING_SCHEMA) == key_finding


def test_search_does_not_start_with_another_index_key(store, accounts, context: Context) -> None:
    keys.make_tenant(context.keys, "bank")
    store.create(
        [
            KeyCheck(
                id=NAME,
                tenant="bank",
                value=compute_check_value(context.keys.read(NAME), NAME),
                at=context.clock.now(),
            )
        ]
    )
    create_app(context, store, accounts, CollectorRegistry(), frozenset())
    key = context.keys.root / NAME
    context.inventory.strike(f"keys/{NAME}")
    key.write_bytes(keys.with_check_value(bytes(range(32)), NAME))
    with pytest.raises(
        ConfigError,
        match=r"index-1\.key is not the one that the incident store was written with: restore it",
    ):
        create_app(context, store, accounts, CollectorRegistry(), frozenset())
    assert not context.inventory.lists(f"keys/{NAME}"), "a refused key is not entered"


def test_store_in_another_folder_is_compared(tmp_path, context: Context, clock: HeldClock) -> None:
    keys.make_tenant(context.keys, "bank")
    with closing(open_store("sqlite:///other.sqlite", tmp_path)) as foreign_store:
        Lookup(
            foreign_store, context.keys, ("bank",), clock.as_clock(), context.trail("search")
        ).check_keys()
