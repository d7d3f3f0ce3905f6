"""Waits grow, are spread, and are bounded."""

import random
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage import clock
from ullage.clock import (
    EARLIEST,
    LATEST,
    Backoff,
    Clock,
    ensure_after,
    in_range,
    read_boot_id,
    read_uptime,
)


def test_order_of_time_survives_a_clock_set_back() -> None:
    noon = datetime(2026, 9, 21, 12, tzinfo=UTC)
    assert ensure_after(noon, ()) == noon
    assert ensure_after(noon, [noon - timedelta(hours=1)]) == noon
    assert (
        noon + timedelta(hours=8)
        < ensure_after(noon, [noon, noon + timedelta(hours=8)])
        < noon + timedelta(hours=9)
    )


class MaximumRandom(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return b


def test_uptime_works_without_the_kernel_file(monkeypatch, tmp_path: Path) -> None:
    before = read_uptime()
    for content in (None, "", "x y"):
        if content is not None:
            (tmp_path / "uptime").write_text(content)
        monkeypatch.setattr(clock, "UPTIME", tmp_path / "uptime")
        assert before - 1 <= read_uptime() <= before + 60


def test_uptime_counts_suspended_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(clock, "UPTIME", tmp_path / "none")
    monkeypatch.setattr(
        time, "clock_gettime", {time.CLOCK_BOOTTIME: 90.0, time.CLOCK_MONOTONIC: 60.0}.__getitem__
    )
    assert read_uptime() == 90.0


@pytest.mark.parametrize(
    ("moment", "result"),
    [
        (None, None),
        # a site gave no zone
        (datetime(2026, 9, 21, 12), datetime(2026, 9, 21, 12, tzinfo=UTC)),  # noqa: DTZ001
        (EARLIEST, EARLIEST),
        (EARLIEST - timedelta(microseconds=1), None),
        (LATEST - timedelta(microseconds=1), LATEST - timedelta(microseconds=1)),
        (LATEST, None),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=8))), None),
    ],
)
def test_external_time_is_aware_and_in_range_or_none(
    moment: datetime | None, result: datetime | None
) -> None:
    assert in_range(moment) == result


def test_boot_without_a_kernel_id_has_no_name(monkeypatch, tmp_path: Path) -> None:
    assert read_boot_id() == read_boot_id() != ""
    monkeypatch.setattr(clock, "BOOT", tmp_path / "boot_id")
    assert read_boot_id() == ""


def test_waits_double_up_to_the_cap_and_reset_after_a_success() -> None:
    backoff = Backoff(first=1.0, cap=5.0, random=MaximumRandom())
    assert [backoff.next() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.reset()
    assert backoff.next() == 1.0


@given(tries=st.integers(0, 40), at_least=st.one_of(st.none(), st.floats(0, 1e6)))
def test_wait_is_half_to_whole_of_its_step_unless_more_is_requested(
    tries: int, at_least: float | None
) -> None:
    backoff = Backoff(first=0.5, cap=30.0)
    for _ in range(tries):
        backoff.next()
    step = min(30.0, 0.5 * 2.0 ** min(tries, 16))
    wait = backoff.next(at_least)
    assert (
        min(3600.0, max(step / 2, at_least or 0.0))
        <= wait
        <= min(3600.0, max(step, at_least or 0.0))
    )


def test_peers_wait_differently() -> None:
    waits = {Backoff(first=10.0).next() for _ in range(20)}
    assert len(waits) > 1


def test_now_is_wall_time_in_utc() -> None:
    assert Clock(wall=lambda: 1_790_000_000.0).now() == datetime(
        2026, 9, 21, 14, 13, 20, tzinfo=UTC
    )
