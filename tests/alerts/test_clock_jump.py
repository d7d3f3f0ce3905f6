"""However the wall clock is set, alert deletes nothing before its running time is over, ends
nothing, and gives nothing up.
"""

import pytest
from prometheus_client import CollectorRegistry

from alerts.records import CLASSES, Exposure, Incident, Original, Sighting
from alerts.service.metrics import AlertMetrics
from alerts.service.upkeep import EXPIRE_SECONDS, Maintenance
from alerts.store import DocumentFilter
from tests.alerts.builders import finding, fold_all
from tests.conftest import HeldClock
from ullage.bus import Lag
from ullage.running_time import RunningTime
from ullage.settings import Context, StoreSettings

DAY = 86_400.0


@pytest.fixture
def store_leak(store, clock, context):
    """Store a leak with twelve customers and one sealed original."""
    fold_all(store, clock, [finding("f", range(10), people=range(12))])
    [sighting] = store.scroll(Sighting, DocumentFilter())
    store.create(
        [
            Original(
                id=sighting.id,
                tenant="bank",
                incident=sighting.incident,
                at=clock.as_clock().now(),
                sealed="x",
                key_id="k",
            )
        ]
    )
    store.refresh(*CLASSES)
    start_maintenance(store, context).turn()


def start_maintenance(store, context: Context) -> Maintenance:
    """Return maintenance as a newly started alert process has it."""
    metrics = AlertMetrics(CollectorRegistry(), ["bank"], context.clock)
    return Maintenance(
        store,
        StoreSettings(),
        RunningTime(context.data, context.clock),
        metrics,
        lambda: Lag(0, 0.0),
    )


def count_remaining(store) -> tuple[int, int, int]:
    store.refresh(*CLASSES)
    return tuple(store.count(kind, DocumentFilter()) for kind in (Exposure, Original, Incident))


@pytest.mark.usefixtures("store_leak")
@pytest.mark.parametrize("jump", [2, 31, 200, 2_000, -30])
def test_customers_and_originals_survive_a_clock_jump_and_restarts(
    store, context, clock: HeldClock, jump: float
) -> None:
    running = start_maintenance(store, context)
    running.turn()
    clock.jump(jump * DAY)
    for _ in range(3):
        clock.advance(EXPIRE_SECONDS)
        running.turn()
        start_maintenance(store, context).turn()
        assert count_remaining(store) == (12, 1, 1)


@pytest.mark.usefixtures("store_leak")
@pytest.mark.parametrize("off", [200, -30])
def test_customers_survive_a_start_with_a_wrong_clock(
    store, context, clock: HeldClock, off: float
) -> None:
    clock.restart(off * DAY)
    start_maintenance(store, context).turn()
    clock.advance(40 * DAY)
    start_maintenance(store, context).turn()
    assert count_remaining(store) == (12, 1, 1)


@pytest.mark.usefixtures("store_leak")
def test_documents_expire_by_running_time_once_the_clock_is_accepted(
    store, context, clock: HeldClock
) -> None:
    clock.advance(10 * DAY)
    clock.jump(200 * DAY)
    start_maintenance(store, context).turn()
    RunningTime(context.data, context.clock).accept(lambda _: None)
    start_maintenance(store, context).turn()
    assert count_remaining(store) == (12, 1, 1)
    clock.advance(21 * DAY)
    start_maintenance(store, context).turn()
    assert count_remaining(store) == (12, 0, 1)
    clock.advance(150 * DAY)
    start_maintenance(store, context).turn()
    assert count_remaining(store) == (0, 0, 1)


def test_documents_stored_while_the_clock_was_ahead_expire_with_the_rest(
    store, context, clock: HeldClock
) -> None:
    start_maintenance(store, context).turn()
    clock.jump(2_000 * DAY)
    start_maintenance(store, context).turn()
    fold_all(store, clock, [finding("f", range(10), people=range(12))])
    store.refresh(*CLASSES)
    clock.advance(3_600.0)
    clock.jump(-2_000 * DAY)
    start_maintenance(store, context).turn()
    clock.advance(179 * DAY)
    start_maintenance(store, context).turn()
    assert count_remaining(store)[0] == 12
    clock.advance(2 * DAY)
    start_maintenance(store, context).turn()
    assert count_remaining(store)[0] == 0


@pytest.mark.usefixtures("store_leak")
def test_alert_deletes_expired_documents_after_a_long_downtime(
    store, context, clock: HeldClock
) -> None:
    clock.advance(181 * DAY)
    start_maintenance(store, context).turn()
    assert count_remaining(store) == (0, 0, 1)
