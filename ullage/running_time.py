"""Measure the age of data by running time, and require the wall clock to agree before any deletion.

Data is deleted when it is old, and a wall clock that somebody set ahead makes everything old. But
the kernel also counts the seconds since the machine started, including sleep, independently of the
wall clock. `RunningTime` keeps the last reading of both clocks in `DATA/clock`, and the total
*running time*, which only grows. If the wall clock moved more than an hour further than that, or
less far, it was set, or the machine was off for that long, and only a person can know which. Then
nothing is deleted until both agree again, or until `ullage check --accept-clock` confirms the wall
clock. Time that no clock confirms is never counted.

    wall      09:00 ─────────── 12:00 ┊ set ahead ┊ 10 Jan 09:00 ───── 10:00
    running       0 ──────────── 3 h                         3 h ─────  4 h
              └──── Span 1 ─────────┘               └────── Span 2 ───────┘

A `Span` is a piece of wall time through which the clock ran evenly. Spans give the age of a stamp
that was written while the clock was wrong. If several spans may have produced a stamp, the youngest
age counts. A disk that cannot store a reading raises UnavailableError, and nothing may be deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from ullage import log
from ullage.clock import Clock
from ullage.errors import UnavailableError
from ullage.files.atomic_write import disk_errors, wait_for_lock, write_whole
from ullage.inventory import Inventory
from ullage.records.base import STRICT

FOLDER, FILE = "clock", "record.json"
JUMP_SECONDS = 3600.0
DAY_SECONDS = 86_400.0
TURN_SECONDS = 60.0
"""Interval of readings while a service runs."""
AGREED_SECONDS = DAY_SECONDS
"""How long both clocks must agree before earlier readings are no longer compared.

Clocks drift by seconds a day.
"""
MOST_SPANS = 64
"""Spans that are stored; of older time it is only known that it came before."""


class Span(NamedTuple):
    """Wall time from `begin` to `end` through which the clock ran evenly.

    `since` and `until` are the running time at both.
    """

    begin: float
    end: float
    since: float
    until: float


class _ClockRecord(BaseModel):
    """The contents of the clock file."""

    model_config = STRICT

    boot: str
    uptime: FiniteFloat
    agreed: tuple[FiniteFloat, FiniteFloat]
    """Wall time and running time when both last agreed, or a person confirmed it."""
    spans: tuple[tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat], ...] = Field(
        min_length=1, max_length=MOST_SPANS
    )
    sha256: str = ""

    def with_digest(self) -> _ClockRecord:
        """Return this record with its digest."""
        bare = self.model_copy(update={"sha256": ""})
        return bare.model_copy(
            update={"sha256": hashlib.sha256(bare.model_dump_json().encode()).hexdigest()}
        )


Range = tuple[float, float]
TO_DO = "set the clock right, or where it is right say so with `ullage check --accept-clock`"


@dataclass(frozen=True, slots=True)
class Old:
    """The stamps that are old enough to delete, as ranges in Unix seconds.

    The start of a range is included, the end is not.
    """

    ranges: tuple[Range, ...] = ()

    def __contains__(self, stamp: float | datetime) -> bool:
        seconds = stamp.timestamp() if isinstance(stamp, datetime) else stamp
        return any(begin <= seconds < end for begin, end in self.ranges)

    @property
    def before(self) -> float:
        """The time before which every stamp is old.

        It is minus infinity if that is unknown.
        """
        return next((end for begin, end in self.ranges if begin == -math.inf), -math.inf)

    def moments(self) -> Iterator[tuple[datetime | None, datetime]]:
        """Yield the ranges as moments; None stands for a range without a beginning."""
        for begin, end in self.ranges:
            yield (
                None if begin == -math.inf else datetime.fromtimestamp(begin, UTC),
                datetime.fromtimestamp(end, UTC),
            )


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Both clocks at one moment, and what is known of the time before.

    `spans` is empty if the record is damaged.
    """

    wall: float
    boot: str
    uptime: float
    agreed: tuple[float, float]
    spans: tuple[Span, ...]

    @classmethod
    def first(cls, wall: float, uptime: float = 0.0, boot: str = "") -> ClockReading:
        """Return the first reading of a clock, which is assumed to be right."""
        return cls(wall, boot, uptime, (wall, 0.0), (Span(wall, wall, 0.0, 0.0),))

    @property
    def elapsed(self) -> float:
        """The total running time, in seconds."""
        return self.spans[-1].until if self.spans else 0.0

    @property
    def jump(self) -> float:
        """Seconds by which the wall clock is ahead of running time.

        Negative if it is behind.
        """
        wall, elapsed = self.agreed
        return self.wall - wall - (self.elapsed - elapsed)

    @property
    def is_suspended(self) -> bool:
        """Whether nothing may be deleted."""
        return not self.spans or abs(self.jump) > JUMP_SECONDS

    @property
    def said(self) -> str:
        """Return the time of the wall clock to the minute, in UTC."""
        return _minute(self.wall)

    def now(self) -> datetime:
        """Return the present moment.

        While the clocks disagree it is the earlier of both, so that no period ends too soon.
        """
        ahead = max(0.0, self.jump) if self.spans and self.is_suspended else 0.0
        return datetime.fromtimestamp(self.wall - ahead, UTC)

    def __str__(self) -> str:
        """Describe the clocks, and what to do if they disagree."""
        if not self.is_suspended:
            return f"the wall clock goes as running time does, {self.said}"
        effect = "nothing is deleted until then"
        if not self.spans:
            return (
                f"the record of the clocks in {FOLDER}/{FILE} is damaged or of a newer ullage:"
                f" {TO_DO}; {effect}"
            )
        return (
            f"the wall clock says {self.said}, running time makes it"
            f" {_minute(self.wall - self.jump)}: {TO_DO}; {effect}"
        )

    def later(self, wall: float, uptime: float, boot: str) -> ClockReading:
        """Return the reading that follows this one, from new values of both clocks.

        After a restart of the machine (another `boot`), time off counts up to JUMP_SECONDS (1 h)
        only. A wall clock that moves by over JUMP_SECONDS more or less than the running time begins
        a new span.
        """
        last = self.spans[-1]
        gap, same = wall - last.end, boot == self.boot and uptime >= self.uptime
        # after a restart of the machine, no clock confirms a longer time
        off = gap if 0.0 <= gap <= JUMP_SECONDS else 0.0
        passed = uptime - self.uptime if same else off
        elapsed = last.until + passed
        if abs(gap - passed) > JUMP_SECONDS:
            ended = last._replace(end=last.end + passed, until=elapsed)
            spans = (*self.spans[:-1], ended, Span(wall - passed, wall, last.until, elapsed))
        else:
            spans = (
                *self.spans[:-1],
                last._replace(begin=min(last.begin, wall), end=wall, until=elapsed),
            )
        reading = ClockReading(wall, boot, uptime, self.agreed, spans[-MOST_SPANS:])
        is_agreed = not reading.is_suspended and (
            not same or elapsed - self.agreed[1] >= AGREED_SECONDS
        )
        return reading.with_accepted_clock() if is_agreed else reading

    def with_accepted_clock(self) -> ClockReading:
        """Return this reading with the wall clock accepted as right from now on."""
        return ClockReading(
            self.wall, self.boot, self.uptime, (self.wall, self.elapsed), self.spans
        )

    def older(self, seconds: float, *, witnessed: bool = False) -> Old:
        """Return the stamps that are at least `seconds` old; none while the clocks disagree.

        Stamps before the first reading are as old as the wall clock says; with `witnessed` they
        count as being as old as that reading.
        """
        if self.is_suspended:
            return Old()
        target, old, young = self.elapsed - seconds, list[Range](), list[Range]()
        for number, span in enumerate(self.spans):
            begin, end = span.begin, math.nextafter(span.end, math.inf)
            limit = end if target >= span.until else span.end - (span.until - target)
            if number == 0 and (target >= span.since or not (witnessed or span.since)):
                begin = -math.inf
            # stamps from the gap, written by others
            elif number and target >= span.since and self.spans[number - 1].end < begin:
                old.append((self.spans[number - 1].end, min(begin, self.wall - seconds)))
            old.append((begin, limit))
            young.append((max(limit, span.begin), end))
        return Old(tuple(_without(old, young)))


def _minute(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _without(ranges: list[Range], holes: list[Range]) -> Iterator[Range]:
    """Yield the parts of `ranges` outside of `holes`, none of them empty."""
    for hole_begin, hole_end in holes:
        pieces = [
            ((begin, min(end, hole_begin)), (max(begin, hole_end), end)) for begin, end in ranges
        ]
        ranges = (
            [piece for pair in pieces for piece in pair if piece[0] < piece[1]]
            if hole_begin < hole_end
            else ranges
        )
    yield from (span for span in ranges if span[0] < span[1])


@dataclass(slots=True)
class RunningTime:
    """The clock record of a data folder, shared by all of its processes."""

    data: Path
    clock: Clock
    inventory: Inventory | None = None
    """Lists the record when it is first written."""
    _read_at: float = field(default=-math.inf)

    @property
    def path(self) -> Path:
        """The clock file."""
        return self.data / FOLDER / FILE

    def turn(self) -> None:
        """Read both clocks and store the reading, if the last one is a minute old.

        Never fails because of the disk: if it cannot store the reading, the next call tries again.
        """
        now = self.clock.uptime()
        if 0.0 <= now - self._read_at < TURN_SECONDS:
            return
        with contextlib.suppress(UnavailableError):
            self.read()
            self._read_at = now

    def read(self) -> ClockReading:
        """Read both clocks, and store the reading durably.

        A reading after damage of the record has no spans and is not stored. Logs when deletion is
        suspended by a jump of the clock, and when it goes on. Raises UnavailableError if the disk
        cannot store it; nothing may be deleted then.
        """
        with disk_errors(), self._alone():
            before = self._before()
            reading = self._next(before)
            if reading.spans:
                self._write(reading)
                if before is None and self.inventory is not None:
                    self.inventory.enter(self.path)
        if reading.is_suspended and not (before and before.is_suspended):
            log.get("clock").error("retention_suspended", seconds=round(reading.jump))
        elif before and before.is_suspended and not reading.is_suspended:
            log.get("clock").info("retention_resumed")
        return reading

    def look(self) -> ClockReading:
        """Return a reading of both clocks as of now, without storing it."""
        return self._next(self._before())

    def deadline_clock(self) -> Clock:
        """Return a clock for deadlines that cannot be undone.

        While the clocks disagree it shows the earlier of both.
        """
        return replace(self.clock, wall=lambda: self.look().now().timestamp())

    def accept(self, note: Callable[[ClockReading], None]) -> ClockReading:
        """Accept the wall clock as right from now on, and return the new reading.

        `note` is called first, with the reading that was found; if it raises, nothing is accepted.
        Raises UnavailableError if the disk cannot store it.
        """
        note(self.look())
        with disk_errors(), self._alone():
            reading = self._next(self._before())
            accepted = (
                reading.with_accepted_clock()
                if reading.spans
                else ClockReading.first(reading.wall, reading.uptime, reading.boot)
            )
            self._write(accepted)
        log.get("clock").info("retention_resumed")
        return accepted

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with wait_for_lock(folder / "lock"):
            yield

    def _next(self, before: ClockReading | None) -> ClockReading:
        wall, uptime, boot = self.clock.wall(), self.clock.uptime(), self.clock.boot()
        if before is None:
            return ClockReading.first(wall, uptime, boot)
        return (
            before.later(wall, uptime, boot)
            if before.spans
            else ClockReading(wall, boot, uptime, (wall, 0.0), ())
        )

    def _before(self) -> ClockReading | None:
        """Return the last reading, or None if there was none.

        A reading without spans means that the record is damaged or was lost.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            if self.inventory is None or not self.inventory.lists(self.path):
                return None
            content = b""
        try:
            record = _ClockRecord.model_validate_json(content)
        except ValidationError:
            record = None
        if record is None or record != record.with_digest():
            return ClockReading(0.0, "", 0.0, (0.0, 0.0), ())
        spans = tuple(Span(*span) for span in record.spans)
        return ClockReading(spans[-1].end, record.boot, record.uptime, record.agreed, spans)

    def _write(self, reading: ClockReading) -> None:
        record = _ClockRecord(
            boot=reading.boot, uptime=reading.uptime, agreed=reading.agreed, spans=reading.spans
        )
        write_whole(record.with_digest().model_dump_json().encode(), self.path, lasts=False)
