"""From a moment and a rule's words to the second that something is due.

Hours are counted from the moment on, in absolute time: a change to or from daylight saving neither adds nor takes one. Days are
counted from the next day on and end at 24:00 of the last (民法典 201, 203), in the tenant's zone. A last day that is a holiday is
not moved, as the code would allow: the earlier answer is the safe one. Everything is given back in UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum

from ullage.calendar import Calendar
from ullage.files.faults import quoted


class Unit(StrEnum):
    """What a rule counts in."""

    MINUTES = "min"
    HOURS = "h"
    DAYS = "days"
    WORKING_DAYS = "working days"
    SAME_DAY = "same day"


RULE = re.compile(r"(?:(?P<amount>[1-9][0-9]{0,3}) (?P<unit>min|h|days|working days)|(?P<today>same day))")
SOONEST = timedelta(minutes=5)
UNITS_ZH = {Unit.MINUTES: "分钟", Unit.HOURS: "小时", Unit.DAYS: "日", Unit.WORKING_DAYS: "个工作日"}


@dataclass(frozen=True, slots=True)
class Period:
    """A period as a rule states it; `amount` is 0 for the same day."""

    amount: int
    unit: Unit

    @classmethod
    def read(cls, text: str) -> Period:
        """From `"30 min"`, `"4 h"`, `"30 days"`, `"5 working days"` or `"same day"`; ValueError for anything else."""
        found = RULE.fullmatch(text)
        if found is None:
            raise ValueError(f"{quoted(text)} is no period: use '30 min', '4 h', '30 days', '5 working days' or 'same day'")
        return cls(0, Unit.SAME_DAY) if found["today"] else cls(int(found["amount"]), Unit(found["unit"]))

    def __str__(self) -> str:
        return "the same day" if self.unit is Unit.SAME_DAY else f"{self.amount} {self.unit}"

    def in_chinese(self) -> str:
        """The same in Chinese."""
        return "当日" if self.unit is Unit.SAME_DAY else f"{self.amount}{UNITS_ZH[self.unit]}"


@dataclass(frozen=True, slots=True)
class Deadline:
    """When something is due, in UTC. `unknown_years` had no calendar: every day of theirs was counted as worked."""

    at: datetime
    unknown_years: tuple[int, ...] = ()


def half_of(left: timedelta) -> timedelta:
    """How long somebody has to acknowledge what is due after `left`: half of it, and five minutes however little is left."""
    return max(SOONEST, left / 2)


def deadline(start: datetime, within: Period, zone: tzinfo, calendar: Calendar) -> Deadline:
    """When `within` of the aware moment `start` is over."""
    if within.unit in (Unit.MINUTES, Unit.HOURS):
        seconds = within.amount * (60 if within.unit is Unit.MINUTES else 3600)
        return Deadline(start.astimezone(UTC) + timedelta(seconds=seconds))
    first = start.astimezone(zone).date()
    if within.unit is not Unit.WORKING_DAYS:
        return Deadline(_end_of(first + timedelta(days=within.amount), zone))
    last = calendar.after(first, within.amount)
    return Deadline(_end_of(last, zone), calendar.unknown(first + timedelta(days=1), last))


def _end_of(day: date, zone: tzinfo) -> datetime:
    """24:00 of `day`, told as its last second so that it still bears the day's date."""
    following = datetime.combine(day + timedelta(days=1), time(), zone)
    return following.astimezone(UTC) - timedelta(seconds=1)
