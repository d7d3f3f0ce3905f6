"""Know the working days of mainland China.

Working days are weekdays without public holidays, plus the weekend days that are worked instead.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib import resources

SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Calendar:
    """Working days of some `years`: `off` are holidays, `on` worked Saturdays and Sundays."""

    years: frozenset[int]
    off: frozenset[date]
    on: frozenset[date]

    def is_working_day(self, day: date) -> bool:
        """Return whether `day` is a working day; every day of an unknown year is."""
        if day.year not in self.years:
            return True
        return day in self.on or (day.weekday() < SATURDAY and day not in self.off)

    def add_working_days(self, day: date, working_days: int) -> date:
        """Return the `working_days`-th working day after `day`.

        `day` itself is not counted (民法典 201).
        """
        while working_days > 0:
            day += timedelta(days=1)
            working_days -= self.is_working_day(day)
        return day

    def list_unknown_years(self, first: date, last: date) -> tuple[int, ...]:
        """List the years between two days, both included, that the calendar does not cover."""
        return tuple(year for year in range(first.year, last.year + 1) if year not in self.years)


@cache
def load_china() -> Calendar:
    """Load the calendar of this version; `calendar.toml` names its sources."""
    rows = tomllib.loads(
        (resources.files(__package__) / "calendar.toml").read_text(encoding="utf-8")
    )["year"]
    return Calendar(
        frozenset(row["year"] for row in rows),
        frozenset(
            day
            for row in rows
            for first, last in row["off"]
            for day in _days(row["year"], first, last)
        ),
        frozenset(_day(row["year"], day) for row in rows for day in row["on"]),
    )


def _day(year: int, day: str) -> date:
    return date.fromisoformat(f"{year}-{day}")


def _days(year: int, first: str, last: str) -> Iterable[date]:
    start, end = _day(year, first), _day(year, last)
    return (start + timedelta(days=n) for n in range((end - start).days + 1))
