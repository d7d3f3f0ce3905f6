"""A site's own rhythm: how long a silence has to be before it says something.

Learnt from the hours in which something new came, over the last `WINDOW_DAYS`. Each hour of the day, apart for working days and
weekends, has its own chance that something comes, drawn towards the site's mean where little was seen. The chance that a silence
lasts is the product over its hours of nothing coming; a night that is always silent says nothing, a silent Tuesday morning much.
A silence is overdue when one so long comes less than once in `quiet_days` by this chance, when it is a quarter longer than any
that the site had before (busy days and idle days come in runs, which a product of hours does not know), and not before a floor.
Hours in which we could not see the site teach nothing and count for nothing.

The number of silences a year times the chance that one lasts is the plain way to state how rare it is: a return period, as
for floods. No threshold is put on a site's rate: who posts once a week is judged by weeks, who posts once a minute by hours.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

HOUR = 3600.0
DAY_HOURS = 24
WINDOW_DAYS = 56
"""Eight of each day of the week."""
LEARN_DAYS = 7.0
"""A site is not judged before its history spans nights and a weekend."""
LEAST_ARRIVALS = 6
"""Hours with something new; fewer are no rhythm."""
LONGER = 1.25
FLOOR_SECONDS = 3600.0
PRIOR_HOURS = 4.0
"""How many hours of the site's mean each hour of the day begins with."""
HORIZON_HOURS = 400 * DAY_HOURS
THURSDAY = 3
"""The first day of Unix time, counted from Monday."""
Span = tuple[float, float]


def _slot(hour: int) -> int:
    """0–23 on working days, 24–47 on Saturday and Sunday, in UTC."""
    return hour % DAY_HOURS + (DAY_HOURS if (hour // DAY_HOURS + THURSDAY) % 7 >= 5 else 0)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """What was learnt. `chance` a slot; `longest` silence in hours; `silences` a day."""

    chance: tuple[float, ...]
    longest: float
    silences: float

    def expected_by(self, last_new: float, blind: Sequence[Span], quiet_days: float, floor: float) -> float | None:
        """When something new is overdue after `last_new` (Unix seconds); None if not within `HORIZON_HOURS`.

        `blind` are times, in order, in which the site could not be seen; `floor` in seconds.
        """
        per_period = self.silences * quiet_days
        least = max(FLOOR_SECONDS, floor, self.longest * LONGER * HOUR)
        seen, chance = 0.0, 1.0
        first = int(last_new // HOUR) + 1
        dark = _Dark(blind)
        for hour in range(first, first + HORIZON_HOURS):
            if dark.covers(hour):
                continue
            chance *= 1.0 - self.chance[_slot(hour)]
            seen += HOUR
            if chance * per_period < 1.0 and seen >= least:
                return (hour + 1) * HOUR
        return None


@dataclass(slots=True)
class _Dark:
    """Which hours are blind, wholly or in part."""

    spans: Sequence[Span]
    _starts: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self._starts = [began for began, _ in self.spans]

    def covers(self, hour: int) -> bool:
        place = bisect_right(self._starts, (hour + 1) * HOUR) - 1
        return place >= 0 and self.spans[place][1] > hour * HOUR


def learn(arrivals: Mapping[int, int], blind: Sequence[Span], now: float) -> Rhythm | None:
    """The rhythm of a site whose `arrivals` are posts by hour (Unix seconds // 3600); None while it is too new to tell.

    `blind` as for `Rhythm.expected_by`. What lies before the window is left out.
    """
    begin = int(now // HOUR) - WINDOW_DAYS * DAY_HOURS
    hours = sorted(hour for hour, posts in arrivals.items() if hour >= begin and posts > 0)
    if len(hours) < LEAST_ARRIVALS or (hours[-1] - hours[0]) / DAY_HOURS < LEARN_DAYS:
        return None
    dark, active = _Dark(blind), set(hours)
    seen, came = [0.0] * (2 * DAY_HOURS), [0.0] * (2 * DAY_HOURS)
    longest = silence = 0
    unbroken = True
    for hour in range(hours[0], hours[-1] + 1):
        if hour in active:
            longest = max(longest, silence) if unbroken else longest
            silence, unbroken = 0, True
        elif dark.covers(hour):
            unbroken = False
            continue
        else:
            silence += 1
        seen[_slot(hour)] += 1
        came[_slot(hour)] += hour in active
    mean = sum(came) / sum(seen)
    chance = tuple((c + PRIOR_HOURS * mean) / (s + PRIOR_HOURS) for c, s in zip(came, seen, strict=True))
    return Rhythm(chance, float(longest), DAY_HOURS * (len(hours) - 1) / (sum(seen) - 1))


def text(rhythm: Rhythm | None) -> str:
    """In a few words, for people: `about 3 an hour` is not known, how often something comes is."""
    if rhythm is None:
        return "not known yet"
    if rhythm.silences >= 20.0:
        return "every hour"
    if rhythm.silences >= 1.5:
        return f"{rhythm.silences:.0f} hours a day"
    return f"every {1 / rhythm.silences:.0f} days" if rhythm.silences < 2 / 3 else "every day"
