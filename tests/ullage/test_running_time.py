"""Running time: when the wall clock is believed, and how old stamps are that it made while it
was wrong.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import NOON, HeldClock
from ullage.clock import Clock
from ullage.running_time import DAY_SECONDS as DAY
from ullage.running_time import MOST_SPANS, ClockReading, RunningTime

HOUR = 3600.0


@pytest.fixture
def service(tmp_path: Path, clock: HeldClock) -> RunningTime:
    running = RunningTime(tmp_path, clock.as_clock())
    running.read()
    return running


def again(service: RunningTime) -> RunningTime:
    """Return the same running time as another process sees it."""
    return RunningTime(service.data, service.clock)


@pytest.mark.parametrize("jump", [HOUR + 1, 2 * DAY, 200 * DAY, -HOUR - 1, -30 * DAY])
def test_clock_jump_stops_expiry_until_a_person_accepts_the_clock(
    service: RunningTime, clock: HeldClock, jump: float
) -> None:
    clock.advance(10 * DAY)
    assert NOON in service.read().older(DAY)
    clock.jump(jump)
    for _ in range(3):
        reading = again(service).read()
        assert reading.is_suspended
        assert reading.jump == pytest.approx(jump)
        assert reading.older(0.0).ranges == ()
        clock.advance(10 * DAY)
    noted: list[ClockReading] = []
    assert not service.accept(noted.append).is_suspended
    assert [round(jump_note.jump) for jump_note in noted] == [round(jump)]
    assert not again(service).read().is_suspended


@pytest.mark.parametrize("jump", [HOUR - 1, -HOUR + 1, 0.0])
def test_change_under_an_hour_is_not_a_jump(
    service: RunningTime, clock: HeldClock, jump: float
) -> None:
    clock.advance(60)
    clock.jump(jump)
    assert not service.read().is_suspended


def test_many_small_steps_within_a_day_are_one_jump(service: RunningTime, clock: HeldClock) -> None:
    for _ in range(3):
        clock.advance(60)
        clock.jump(1800.0)
        service.read()
    assert again(service).read().is_suspended


def test_slow_clock_drift_is_accepted_for_years(service: RunningTime, clock: HeldClock) -> None:
    for _ in range(3 * 365):
        clock.advance(DAY)
        clock.jump(20.0)
        service.read()
    assert not service.read().is_suspended


def test_expiry_resumes_when_the_clock_is_corrected(service: RunningTime, clock: HeldClock) -> None:
    clock.jump(200 * DAY)
    assert service.read().is_suspended
    clock.advance(5 * HOUR)
    clock.jump(-200 * DAY)
    assert not again(service).read().is_suspended


def test_stamps_from_a_wrong_time_age_by_running_time(
    service: RunningTime, clock: HeldClock
) -> None:
    stamps = []
    for jump in (0.0, 200 * DAY, -200 * DAY - HOUR, -30 * DAY, 30 * DAY + HOUR):
        clock.jump(jump)
        service.read()
        clock.advance(HOUR)
        stamps.append(clock.seconds)
        clock.advance(HOUR)
        service.read()
    service.accept(lambda _: None)
    ages = [(len(stamps) - number) * 2 * HOUR - HOUR for number in range(len(stamps))]
    for stamp, age in zip(stamps, ages, strict=True):
        assert stamp not in service.read().older(age + HOUR), "it is younger"
    clock.advance(DAY)
    for stamp, age in zip(stamps, ages, strict=True):
        assert stamp in service.read().older(age + DAY - HOUR), "it is older"


def test_correct_stamps_do_not_expire_when_a_wrong_clock_is_accepted(
    service: RunningTime, clock: HeldClock
) -> None:
    clock.advance(10 * DAY)
    service.read()
    clock.jump(200 * DAY)
    service.accept(lambda _: None)
    old = service.read().older(30 * DAY)
    assert (NOON + DAY in old, NOON + 9 * DAY in old, clock.seconds in old) == (False, False, False)
    clock.advance(25 * DAY)
    old = service.read().older(30 * DAY)
    assert (NOON + DAY in old, NOON + 9 * DAY in old, clock.seconds in old) == (True, False, False)


def test_external_stamps_from_downtime_expire_eventually(
    service: RunningTime, clock: HeldClock
) -> None:
    clock.restart(60 * HOUR)
    assert service.read().is_suspended
    service.accept(lambda _: None)
    meanwhile = NOON + 30 * HOUR
    clock.advance(20 * HOUR)
    assert meanwhile not in service.read().older(DAY)
    clock.advance(5 * HOUR)
    assert meanwhile in service.read().older(DAY)


def test_stamp_before_the_first_reading_ages_by_wall_clock_or_witness(
    service: RunningTime, clock: HeldClock
) -> None:
    stamp = NOON - 2 * DAY
    assert stamp in service.read().older(DAY)
    assert stamp not in service.read().older(DAY, witnessed=True)
    clock.advance(DAY + 1)
    assert stamp in service.read().older(DAY, witnessed=True)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", "digit", "newer"])
def test_damaged_record_stops_expiry_until_accepted(
    service: RunningTime, clock: HeldClock, content: bytes | str
) -> None:
    whole = json.loads(service.path.read_bytes())
    changed = {"digit": {**whole, "uptime": whole["uptime"] + 1}, "newer": {**whole, "more": 1}}
    service.path.write_bytes(
        json.dumps(changed[content]).encode() if isinstance(content, str) else content
    )
    before = service.path.read_bytes()
    reading = again(service).read()
    assert (reading.is_suspended, reading.older(0.0).ranges, service.path.read_bytes()) == (
        True,
        (),
        before,
    )
    assert "damaged" in str(reading)
    assert reading.now() == datetime.fromtimestamp(clock.seconds, UTC)
    assert not service.accept(lambda _: None).is_suspended
    assert not again(service).read().is_suspended


def test_reading_writes_nothing(tmp_path: Path, clock: HeldClock) -> None:
    assert not RunningTime(tmp_path / "none", clock.as_clock()).look().is_suspended
    assert not any(tmp_path.iterdir())


def test_clocks_are_recorded_each_minute_and_retried_after_disk_errors(
    tmp_path: Path, clock: HeldClock
) -> None:
    running = RunningTime(tmp_path / "data", clock.as_clock())
    (tmp_path / "data").write_bytes(b"in the way")
    running.turn()
    (tmp_path / "data").unlink()
    running.turn()
    first = running.path.read_bytes()
    clock.advance(59)
    running.turn()
    assert running.path.read_bytes() == first
    clock.advance(1)
    running.turn()
    assert running.path.read_bytes() != first


def test_earlier_clock_counts_while_they_disagree(service: RunningTime, clock: HeldClock) -> None:
    clock.jump(200 * DAY)
    assert service.read().now() == datetime.fromtimestamp(NOON, UTC)
    clock.jump(-230 * DAY)
    assert service.read().now() == datetime.fromtimestamp(NOON - 30 * DAY, UTC)


def test_unsteady_clock_keeps_the_record_small(service: RunningTime, clock: HeldClock) -> None:
    for number in range(2 * MOST_SPANS):
        clock.advance(60)
        clock.jump((-1) ** number * (2 * DAY + number))
        service.read()
    assert len(service.read().spans) == MOST_SPANS
    service.accept(lambda _: None)
    assert NOON not in service.read().older(2 * DAY)
    clock.advance(10 * DAY)
    assert NOON in service.read().older(2 * DAY)


def test_uptime_does_not_depend_on_the_wall_clock() -> None:
    clock = Clock(wall=lambda: 0.0)
    first, second = clock.uptime(), clock.uptime()
    assert 0.0 < first <= second
    assert clock.boot() == clock.boot() != ""


STEPS = st.lists(
    st.tuples(
        st.floats(0, 40 * DAY),
        st.sampled_from(
            [0.0, 0.0, 0.0, 600.0, 2 * DAY, -2 * DAY, 200 * DAY, -200 * DAY, -30 * DAY]
        ),
    ),
    min_size=1,
    max_size=12,
)


@given(steps=STEPS, keep=st.floats(60.0, 60 * DAY))
def test_nothing_expires_early_and_everything_expires_eventually(
    steps: list[tuple[float, float]], keep: float
) -> None:
    """Whatever the wall clock does; small steps, of which there may be one a stretch, are the
    tolerance.
    """
    clock = HeldClock()
    reading, written = ClockReading.first(clock.seconds), list[tuple[float, float]]()

    def read() -> ClockReading:
        return reading.later(clock.wall(), clock.running(), "boot")

    for seconds, jump in steps:
        written.append((clock.wall(), clock.running()))
        for _ in range(3):
            clock.advance(seconds / 3)
            reading = read()
        clock.jump(jump)
        reading = read()
        for now in (reading, reading.with_accepted_clock()):
            for stamp, at in written:
                if stamp in now.older(keep):
                    assert clock.running() - at >= keep - 600.0 * len(steps) - 1
    reading = reading.with_accepted_clock()
    clock.advance(keep + DAY + 600.0 * len(steps))
    reading = read()
    assert all(
        stamp in reading.older(keep) or stamp > clock.wall() - keep - DAY for stamp, _ in written
    )
