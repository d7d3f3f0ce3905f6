"""What alert does between batches, at the times at which it is due."""

import contextlib
from collections.abc import Collection
from itertools import pairwise
from pathlib import Path

from prometheus_client import CollectorRegistry

from alerts.maintenance.schedule import EXPIRE_SECONDS, SHARE, Maintenance
from alerts.metrics import AlertMetrics
from alerts.records import Exposure
from alerts.records.document import Document
from alerts.store.sqlite import SqliteStore
from tests.alerts.builders import finding, fold_all
from ullage.bus import Lag
from ullage.running_time import RunningTime
from ullage.settings import StoreSettings


class Asked(SqliteStore):
    """The embedded store, which remembers what it was asked to let go."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked: list[set[type[Document]]] = []

    def expunge(self, kinds: Collection[type[Document]]) -> None:
        self.asked.append(set(kinds))


def test_what_a_run_removed_is_expunged_by_it_and_once_more_by_the_next(tmp_path, clock):
    with contextlib.closing(Asked(tmp_path / "i.sqlite")) as store:
        fold_all(store, clock, [finding("f", range(10), people="ab")])
        metrics = AlertMetrics(CollectorRegistry(), ["bank"], clock.as_clock())
        maintenance = Maintenance(store, StoreSettings(), RunningTime(tmp_path, clock.as_clock()), metrics, lambda: Lag(0, 0.0))
        maintenance.turn()
        assert store.asked == []
        clock.advance(200 * 86400)
        for _ in range(3):
            maintenance.turn()
            maintenance.turn()  # not due again
            clock.advance(EXPIRE_SECONDS)
        assert store.asked == [{Exposure}, {Exposure}]


def test_what_grows_with_the_history_takes_a_tenth_of_the_time_however_long_it_takes(store, tmp_path, clock):
    metrics, began = AlertMetrics(CollectorRegistry(), ["bank"], clock.as_clock()), list[float]()

    def work() -> None:
        began.append(clock.seconds)
        clock.advance(20)

    running = RunningTime(tmp_path, clock.as_clock())
    maintenance = Maintenance(store, StoreSettings(), running, metrics, lambda: Lag(0, 0.0), step=work)
    for _ in range(500):
        maintenance.turn()
        clock.advance(1)
    gaps = [later - sooner for sooner, later in pairwise(began)]
    assert len(gaps) >= 2
    assert all(20 / SHARE <= gap <= 20 / SHARE + 2 for gap in gaps)
