"""What is on a bus stays there however the wall clock is set, and goes when it has lain there
for as long as it may.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import HeldClock
from tests.factories import outgoing
from ullage.bus import CAPTURES, Bus, Retention, open_bus

HOUR, DAY = 3600.0, 86_400.0
KEEP = {CAPTURES: Retention(DAY, 2**30)}
POSTS = 90
Service = Callable[[], Bus]


@pytest.fixture(params=["sqlite:///bus", "spool:///bus?wait=0"])
def service(request: pytest.FixtureRequest, tmp_path: Path, clock: HeldClock) -> Iterator[Service]:
    """Open the bus as another process does."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(
            contextlib.closing(open_bus(request.param, tmp_path, KEEP, clock.as_clock()))
        )


def put(bus: Bus, count: int) -> None:
    publisher = bus.publisher(CAPTURES)
    for number in range(count):
        publisher.append([outgoing(str(number))])
    publisher.close()


def waiting(bus: Bus) -> int:
    return sum(place.waiting for place in bus.places(CAPTURES, "match").values())


@pytest.mark.parametrize("jump", [2 * DAY, 200 * DAY, -30 * DAY, 30 * DAY + 1])
def test_unread_posts_survive_a_clock_jump(service: Service, clock: HeldClock, jump: float) -> None:
    put(service(), POSTS)
    clock.advance(HOUR)
    clock.jump(jump)
    assert (service().expire(), waiting(service())) == (0, POSTS)
    clock.advance(2 * DAY)
    assert (service().expire(), waiting(service())) == (0, POSTS)


@pytest.mark.parametrize("jump", [2 * DAY, -30 * DAY])
def test_posts_expire_by_running_time_once_the_clock_is_corrected(
    service: Service, clock: HeldClock, jump: float
) -> None:
    put(service(), POSTS)
    clock.advance(HOUR)
    clock.jump(jump)
    service().expire()
    put(service(), 5)
    clock.advance(HOUR)
    clock.jump(-jump)
    put(service(), 7)
    assert service().expire() == 0
    clock.advance(22 * HOUR + 60)
    assert service().expire() == POSTS
    clock.advance(HOUR)
    assert service().expire() == 5
    clock.advance(HOUR)
    assert service().expire() == 7


def test_clock_change_under_an_hour_changes_nothing(service: Service, clock: HeldClock) -> None:
    put(service(), POSTS)
    clock.jump(-1800.0)
    service().expire()
    clock.advance(DAY + HOUR)
    assert service().expire() == POSTS


def test_posts_expire_after_a_downtime_longer_than_retention(
    service: Service, clock: HeldClock
) -> None:
    put(service(), POSTS)
    clock.advance(26 * HOUR)
    assert service().expire() == POSTS


@pytest.mark.parametrize("off", [2 * HOUR, 60 * HOUR, 200 * DAY, -2 * HOUR])
def test_unconfirmed_time_after_a_reboot_deletes_nothing(
    service: Service, clock: HeldClock, off: float
) -> None:
    put(service(), POSTS)
    clock.restart(off)
    assert service().expire() == 0
    clock.advance(2 * DAY)
    assert service().expire() == 0


def test_expiry_continues_after_a_reboot_within_the_hour(
    service: Service, clock: HeldClock
) -> None:
    put(service(), POSTS)
    for _ in range(24):
        clock.advance(HOUR / 2)
        service().expire()
        clock.restart(HOUR / 2)
        service().expire()
    clock.advance(60)
    assert service().expire() == POSTS
