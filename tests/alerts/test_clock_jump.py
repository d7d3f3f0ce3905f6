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
def seen(store, clock, context):
    """A leak with twelve customers, and what is sealed of it."""
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
    started(store, context).turn()


def started(store, context: Context) -> Maintenance:
    """Alert's upkeep as a process that has just started has it."""
    metrics = AlertMetrics(CollectorRegistry(), ["bank"], context.clock)
    return Maintenance(
        store,
        StoreSettings(),
        RunningTime(context.data, context.clock),
        metrics,
        lambda: Lag(0, 0.0),
    )


def left(store) -> tuple[int, int, int]:
    store.refresh(*CLASSES)
    return tuple(store.count(kind, DocumentFilter()) for kind in (Exposure, Original, Incident))


@pytest.mark.usefixtures("seen")
@pytest.mark.parametrize("jump", [2, 31, 200, 2_000, -30])
def test_customers_and_originals_stay_through_a_jump_and_through_restarts_after_it(
    store, context, clock: HeldClock, jump: float
) -> None:
    running = started(store, context)
    running.turn()
    clock.jump(jump * DAY)
    for _ in range(3):
        clock.advance(EXPIRE_SECONDS)
        running.turn()
        started(store, context).turn()
        assert left(store) == (12, 1, 1)


@pytest.mark.usefixtures("seen")
@pytest.mark.parametrize("off", [200, -30])
def test_they_stay_when_the_machine_starts_with_a_wrong_clock(
    store, context, clock: HeldClock, off: float
) -> None:
    clock.restart(off * DAY)
    started(store, context).turn()
    clock.advance(40 * DAY)
    started(store, context).turn()
    assert left(store) == (12, 1, 1)


@pytest.mark.usefixtures("seen")
def test_once_the_time_is_accepted_each_goes_when_its_running_time_is_over(
    store, context, clock: HeldClock
) -> None:
    clock.advance(10 * DAY)
    clock.jump(200 * DAY)
    started(store, context).turn()
    RunningTime(context.data, context.clock).accept(lambda _: None)
    started(store, context).turn()
    assert left(store) == (12, 1, 1)
    clock.advance(21 * DAY)
    started(store, context).turn()
    assert left(store) == (12, 0, 1)
    clock.advance(150 * DAY)
    started(store, context).turn()
    assert left(store) == (0, 0, 1)


def test_what_came_while_the_clock_was_ahead_goes_with_the_rest(
    store, context, clock: HeldClock
) -> None:
    started(store, context).turn()
    clock.jump(2_000 * DAY)
    started(store, context).turn()
    fold_all(store, clock, [finding("f", range(10), people=range(12))])
    store.refresh(*CLASSES)
    clock.advance(3_600.0)
    clock.jump(-2_000 * DAY)
    started(store, context).turn()
    clock.advance(179 * DAY)
    started(store, context).turn()
    assert left(store)[0] == 12
    clock.advance(2 * DAY)
    started(store, context).turn()
    assert left(store)[0] == 0


@pytest.mark.usefixtures("seen")
def test_alert_that_was_away_for_long_deletes_what_it_must(
    store, context, clock: HeldClock
) -> None:
    clock.advance(181 * DAY)
    started(store, context).turn()
    assert left(store) == (0, 0, 1)
