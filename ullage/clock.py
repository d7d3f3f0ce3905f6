"""Time and chance are passed in, so that a test can hold them still."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""What is outside of these is no time of anything here: between them no zone and no sum of days
leads beyond what there is.
"""
UPTIME, BOOT = Path("/proc/uptime"), Path("/proc/sys/kernel/random/boot_id")


def since_start() -> float:
    """Seconds since this machine started, sleep included, whatever its wall clock is set to."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return float(UPTIME.read_text(encoding="ascii").split()[0])
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def boot_id() -> str:
    """What tells this start of this machine from any other; "" where the kernel does not say."""
    with contextlib.suppress(OSError, ValueError):
        return BOOT.read_text(encoding="ascii").strip()
    return ""


@dataclass(frozen=True, slots=True)
class Clock:
    """Wall time for what is stored, monotonic time for durations, uptime for what outlives a
    process; all in seconds.
    """

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    uptime: Callable[[], float] = since_start
    boot: Callable[[], str] = boot_id

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        return datetime.fromtimestamp(self.wall(), UTC)


def in_range(moment: datetime | None) -> datetime | None:
    """`moment`, which others gave, aware or taken for UTC; None for one that is outside of the
    range, whatever its zone.
    """
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        return aware if EARLIEST <= aware.astimezone(UTC) < LATEST else None
    except OverflowError:
        return None


def moment_in(typed: str, zone: tzinfo) -> datetime | None:
    """The moment that a person typed by ISO 8601, in `zone` unless it names one; None for what
    is none, or is out of range.
    """
    try:
        local = datetime.fromisoformat(typed)
    except ValueError:
        return None
    return in_range(local if local.tzinfo else local.replace(tzinfo=zone))


def behind(now: datetime, earlier: Iterable[datetime]) -> datetime:
    """`now`, or just behind the latest of `earlier`: what is put in order by its time stays so
    when the clock is set back.
    """
    return max([now, *(moment + timedelta(microseconds=1) for moment in earlier)])


@dataclass(slots=True)
class Backoff:
    """Waits that double from `first` to `cap` seconds, each spread over 50–100 % of itself:
    peers do not knock together.
    """

    first: float = 0.5
    cap: float = 2.0
    """What comes back is noticed within this; a fresh page must pass within 10 seconds of that."""
    random: random.Random = field(default_factory=random.SystemRandom)
    _step: int = 0

    def next(self, at_least: float | None = None) -> float:
        """Seconds to wait before the next try; never shorter than `at_least`, never longer than
        an hour.
        """
        wait = min(self.cap, self.first * float(2 ** min(self._step, 16)))
        self._step += 1
        spread: float = wait * self.random.uniform(0.5, 1.0)
        return min(3600.0, max(spread, at_least or 0.0))

    def reset(self) -> None:
        """Begin again with the first wait, after a success."""
        self._step = 0
