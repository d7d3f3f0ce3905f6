"""Read time and randomness through objects that are passed in, so that tests control both.

`Clock` reads three clocks, all in seconds: wall time, which is stored but can be set back;
monotonic time for durations within a process; and uptime for durations that outlive one. Every
`datetime` here is aware, in UTC and between the years 1970 and 2100; `in_range` and `parse_moment`
return None for any other. `Backoff` gives growing, random waits between retries. Code that wants to
know the time takes a `Clock` and never calls `time.time()` itself.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Moments outside this range are invalid.

Inside it, no time zone and no sum of days can overflow a `datetime`.
"""
UPTIME, BOOT = Path("/proc/uptime"), Path("/proc/sys/kernel/random/boot_id")


def read_uptime() -> float:
    """Return the seconds since this machine started, including sleep.

    Setting the wall clock does not change them. Never fails: without `/proc/uptime` the kernel's
    boot clock is read.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        return float(UPTIME.read_text(encoding="ascii").split()[0])
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def read_boot_id() -> str:
    """Return the kernel's id of the current boot; "" if the kernel gives none."""
    with contextlib.suppress(OSError, ValueError):
        return BOOT.read_text(encoding="ascii").strip()
    return ""


@dataclass(frozen=True, slots=True)
class Clock:
    """The sources of time, each a function that tests replace.

    `wall` returns Unix seconds, `monotonic` and `uptime` return seconds from an arbitrary start and
    from the start of the machine, `boot` the kernel's id of that start.
    """

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    uptime: Callable[[], float] = read_uptime
    boot: Callable[[], str] = read_boot_id

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        return datetime.fromtimestamp(self.wall(), UTC)


def in_range(moment: datetime | None) -> datetime | None:
    """Return `moment` as an aware time, or None if it is None or outside of 1970 to 2100.

    A naive time is taken as UTC.
    """
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        return aware if EARLIEST <= aware.astimezone(UTC) < LATEST else None
    except OverflowError:
        return None


def parse_moment(text: str, zone: tzinfo) -> datetime | None:
    """Parse an ISO 8601 time, in `zone` unless it names its own.

    Returns None if the text is not a time or is out of range.
    """
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        return None
    return in_range(local if local.tzinfo else local.replace(tzinfo=zone))


def ensure_after(now: datetime, earlier: Iterable[datetime]) -> datetime:
    """Return `now`, or a microsecond after the latest of `earlier` if that is later.

    So entries that are sorted by time stay in order when the clock is set back.
    """
    return max([now, *(moment + timedelta(microseconds=1) for moment in earlier)])


@dataclass(slots=True)
class Backoff:
    """Gives waits in seconds that double from `first` to `cap`.

    Each is reduced by a random 0–50 %, so that peers do not retry at the same moment.
    """

    first: float = 0.5
    cap: float = 2.0
    """Limits how late a recovery is noticed; a new page must pass within 10 seconds of it."""
    random: random.Random = field(default_factory=random.SystemRandom)
    _step: int = 0

    def next(self, at_least: float | None = None) -> float:
        """Return the seconds to wait before the next try, and double the wait after it.

        The result is at least `at_least`, such as the server's Retry-After, and at most an hour.
        """
        wait = min(self.cap, self.first * float(2 ** min(self._step, 16)))
        self._step += 1
        spread: float = wait * self.random.uniform(0.5, 1.0)
        return min(3600.0, max(spread, at_least or 0.0))

    def reset(self) -> None:
        """Start again with the first wait, after a success."""
        self._step = 0
