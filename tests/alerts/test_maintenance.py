"""What alert does between batches, at the times at which it is due."""

import contextlib
from collections.abc import Collection
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import pytest
from prometheus_client import CollectorRegistry

from alerts.cases.evidence import mark_evidence
from alerts.records import (
    CLASSES,
    Background,
    Claim,
    DutyRecord,
    Exposure,
    Hold,
    Holding,
    Incident,
    Original,
    Sighting,
    incident_id,
)
from alerts.records.document import Document
from alerts.service import upkeep
from alerts.service.metrics import AlertMetrics
from alerts.service.upkeep import EXPIRE_SECONDS, SHARE, Maintenance, erase, expire, remove
from alerts.store import DocumentFilter
from alerts.store.sqlite import SqliteStore
from tests.alerts.builders import finding, fold_all, handle
from tests.factories import WHEN, clocks_at
from tests.ullage.custody.support import officers, seal
from ullage.bus import Lag
from ullage.custody.vault import Vault
from ullage.errors import UnavailableError
from ullage.running_time import ClockReading, Old, RunningTime
from ullage.security.keys import KeyStore
from ullage.settings import StoreSettings


class RecordingStore(SqliteStore):
    """The embedded store, which remembers what it was asked to let go."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked: list[set[type[Document]]] = []

    def expunge(self, kinds: Collection[type[Document]]) -> None:
        self.asked.append(set(kinds))


def test_deleted_rows_are_expunged_at_once_and_at_the_next_run(tmp_path, clock):
    with contextlib.closing(RecordingStore(tmp_path / "i.sqlite")) as store:
        fold_all(store, clock, [finding("f", range(10), people="ab")])
        metrics = AlertMetrics(CollectorRegistry(), ["bank"], clock.as_clock())
        maintenance = Maintenance(
            store,
            StoreSettings(),
            RunningTime(tmp_path, clock.as_clock()),
            metrics,
            lambda: Lag(0, 0.0),
        )
        maintenance.turn()
        assert store.asked == []
        clock.advance(200 * 86400)
        for _ in range(3):
            maintenance.turn()
            maintenance.turn()  # not due again
            clock.advance(EXPIRE_SECONDS)
        assert store.asked == [{Exposure}, {Exposure}]


def test_slow_maintenance_takes_a_tenth_of_the_time(store, tmp_path, clock):
    metrics, began = AlertMetrics(CollectorRegistry(), ["bank"], clock.as_clock()), list[float]()

    def work() -> None:
        began.append(clock.seconds)
        clock.advance(20)

    running = RunningTime(tmp_path, clock.as_clock())
    maintenance = Maintenance(
        store, StoreSettings(), running, metrics, lambda: Lag(0, 0.0), step=work
    )
    for _ in range(500):
        maintenance.turn()
        clock.advance(1)
    gaps = [later - sooner for sooner, later in pairwise(began)]
    assert len(gaps) >= 2
    assert all(20 / SHARE <= gap <= 20 / SHARE + 2 for gap in gaps)


@pytest.fixture
def full(store, clock, monkeypatch):
    """Fill a store with several documents of each class, deleted one at a time."""
    monkeypatch.setattr(upkeep, "BATCH", 1)
    plain = [finding(f"plain-{n}", people=(f"p{n}",), fields=("PHONE",)) for n in range(3)]
    sealed = {"original": "sealed", "original_key": "k"}
    leaks = [
        finding(f"f{n}", range(n, n + 20, 2), people=("a", f"b{n}"), verified=12, **sealed)
        for n in range(3)
    ]
    fold_all(store, clock, [*plain, *leaks])
    store.put(
        [
            Original(id=f"o{n}", tenant="bank", incident="INC", at=WHEN, sealed="x", key_id="k")
            for n in range(3)
        ]
    )
    assert all(
        store.count(kind, DocumentFilter()) > 1
        for kind in (Exposure, Background, Original, Sighting, Incident, Holding)
    )
    return store


def test_deletions_are_counted_by_class_in_any_batches(full):
    there = {kind: n for kind in CLASSES if (n := full.count(kind, DocumentFilter()))}
    assert dict(expire(full, StoreSettings(), clocks_at(WHEN + timedelta(days=5000)))) == there
    assert {kind for kind in CLASSES if full.count(kind, DocumentFilter())} == set()


def test_erasure_counts_everything_it_deletes(full):
    whose = DocumentFilter({"tenant": ("bank",), "subject": (handle("a"),)})
    exposures = full.count(Exposure, whose)
    assert exposures > 1
    assert erase(full, "bank", handle("a"))[Exposure] == exposures
    ids = [document.id for document in full.scroll(Background, DocumentFilter())]
    assert remove(full, [(Background, ids[:1]), (Claim, []), (Background, ids[1:])]) == {
        Background: len(ids)
    }


def test_unreachable_part_is_reported_and_the_rest_is_retried(store, tmp_path, clock, registry):
    """Whether it is the bus or the store, by the part that was asked."""
    metrics, down, looked = (
        AlertMetrics(registry, ["bank"], clock.as_clock()),
        [True],
        list[float](),
    )

    def lag() -> Lag:
        if down:
            raise UnavailableError("the bus is down")
        return Lag(0, 0.0)

    running = RunningTime(tmp_path, clock.as_clock())
    more = lambda: looked.append(clock.seconds)  # noqa: E731
    maintenance = Maintenance(store, StoreSettings(), running, metrics, lag, recount_more=more)
    maintenance.turn()
    assert (up(registry, "bus"), looked) == (0.0, [])
    down.clear()
    maintenance.turn()
    assert (up(registry, "store"), len(looked)) == (1.0, 1)
    maintenance.turn()
    assert len(looked) == 1, "once a minute"
    clock.advance(60)
    maintenance.turn()
    assert len(looked) == 2
    maintenance.ledger = (refuse,)
    clock.advance(60)
    maintenance.turn()
    assert (up(registry, "store"), len(looked)) == (0.0, 2)


def refuse() -> None:
    raise UnavailableError("the store is down")


def up(registry: CollectorRegistry, part: str) -> float | None:
    return registry.get_sample_value("ullage_dependency_up", {"dependency": part})


def test_retention_spares_the_basis_of_running_deadlines(store, clock):
    fold_all(
        store,
        clock,
        [
            finding("f", range(10), people="ab"),
            finding("g", range(20, 30), people="c", site="other"),
        ],
    )
    protected, gone = (
        incident.id
        for incident in sorted(
            store.scroll(Incident, DocumentFilter()), key=lambda incident: -incident.customers
        )
    )
    duty = {"tenant": "bank", "regime": "pipl-57", "stage": "first", "opened_at": WHEN, "due": WHEN}
    store.put([DutyRecord(id=f"{protected}:d", incident=protected, state="running", **duty)])
    store.put([DutyRecord(id=f"{gone}:d", incident=gone, state="met", **duty)])
    expire(store, StoreSettings(incidents_days=365), clocks_at(WHEN + timedelta(days=5000)))
    assert [incident.id for incident in store.scroll(Incident, DocumentFilter())] == [protected]
    assert [incident.incident for incident in store.scroll(DutyRecord, DocumentFilter())] == [
        protected
    ]


def test_nothing_expires_before_its_age_is_certain(store, clock):
    begin, end = WHEN, WHEN + timedelta(days=1)
    fold_all(store, clock, [finding("f", range(10), people="abc")])
    first, second, third = store.scroll(Exposure, DocumentFilter())
    at = {
        first.id: begin - timedelta(hours=1),
        second.id: begin + timedelta(hours=1),
        third.id: end + timedelta(hours=1),
    }
    store.put(
        [each.model_copy(update={"last_seen": at[each.id]}) for each in (first, second, third)]
    )
    old = Old(((begin.timestamp(), end.timestamp()),))
    with patch.object(ClockReading, "older", return_value=old):
        expire(store, StoreSettings(), clocks_at(end))
    assert {each.id for each in store.scroll(Exposure, DocumentFilter())} == {first.id, third.id}


def test_evidence_of_a_held_incident_is_marked_before_expiry(store, tmp_path, clock):
    """A hold that another machine or a restored store brings reaches the evidence here within
    one run of retention.
    """
    vault = Vault(tmp_path / "evidence")
    pair = officers(tmp_path, KeyStore(tmp_path / "keys"))
    for name in ("kept", "other"):
        seal(vault, pair, name)
    fold_all(
        store,
        clock,
        [
            finding(name, range(n, n + 9), people=(name,))
            for n, name in ((0, "kept"), (50, "other"))
        ],
    )
    incident = incident_id("kept")
    hold = Hold(
        id=f"{incident}:1",
        tenant="bank",
        incident=incident,
        at=WHEN,
        by="Li",
        case="C",
        reason="court",
    )
    store.create([hold])
    metrics = AlertMetrics(CollectorRegistry(), ["bank"], clock.as_clock())
    running = RunningTime(tmp_path, clock.as_clock())
    Maintenance(store, StoreSettings(), running, metrics, lambda: Lag(0, 0.0), vault=vault).turn()
    assert {item.head.finding: item.held for item in vault.items()} == {
        "kept": True,
        "other": False,
    }
    assert mark_evidence(store, Vault(tmp_path / "none")) == 0
