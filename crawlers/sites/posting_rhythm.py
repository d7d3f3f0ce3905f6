"""Learn a site's posting rhythm: how long a silence has to be before it is unusual.

The rhythm is learnt from the hours with new posts over the last `WINDOW_DAYS`. Each hour of the
day, separately for working days and weekends, has its own chance of a new post; with few
observations it is close to the site's mean. The chance that a silence lasts is the product, over
its hours, of the chance that no post appears. A night that is always silent counts for nothing, a
silent Tuesday morning for much. A silence is overdue when, by this chance, one so long happens
less than once in `quiet_days`; when it is a quarter longer than any earlier silence (busy and idle
days come in runs, which a product of hours does not model); and not before a minimum. Hours in
which the site could not be read are ignored.

China's public holidays differ from all other days: on nine of them people who keep them post
little, and others hardly less than usual. Such an hour is not learnt from, and counts for a tenth
of a weekend's. A busy site that falls silent then is noticed after days, and a site whose people
are away is not called quiet. Weekends that are worked count as working days.

The number of silences per year times the chance that one lasts is the return period, as for
floods. There is no threshold on a site's rate: a site with one post per week is judged by weeks,
one with a post per minute by hours.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from ullage.calendar import SATURDAY, load_china

HOUR = 3600.0
DAY_HOURS = 24
WINDOW_DAYS = 56
"""The length of the history that is used: eight of each day of the week."""
LEARN_DAYS = 7.0
"""The shortest history by which a site is judged: it must include nights and a weekend."""
LEAST_ARRIVALS = 6
"""The fewest hours with new posts; fewer show no rhythm."""
LONGER = 1.25
FLOOR_SECONDS = 3600.0
PRIOR_HOURS = 4.0
"""The number of hours of the site's mean with which each hour of the day begins."""
HORIZON_HOURS = 400 * DAY_HOURS
HOLIDAY_WEIGHT = 0.1
"""The weight of an hour on a public holiday, relative to an hour on a weekend."""
CHINA_HOURS = 8
"""By how many hours China's day begins before that of UTC."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC).date()
Span = tuple[float, float]


@lru_cache(maxsize=4096)
def _classify_day(day: int) -> tuple[bool, bool]:
    """Return whether a day (since 1970) is no working day in China, and whether it is a holiday."""
    calendar, when = load_china(), EPOCH + timedelta(days=day)
    return not calendar.is_working_day(
        when
    ) if when.year in calendar.years else when.weekday() >= SATURDAY, when in calendar.off


def _find_slot(hour: int) -> tuple[int, bool]:
    """Return the slot of an hour, and whether its day is a public holiday.

    Slots 0–23 are the hours (UTC) of working days in China, 24–47 those of other days.
    """
    idle, holiday = _classify_day((hour + CHINA_HOURS) // DAY_HOURS)
    return hour % DAY_HOURS + DAY_HOURS * idle, holiday


@dataclass(frozen=True, slots=True)
class SilenceModel:
    """The learnt rhythm of a site.

    `chance` is that of a new post in each slot, `longest` the longest silence in hours, and
    `silences` their number per day.
    """

    chance: tuple[float, ...]
    longest: float
    silences: float

    def predict_next(
        self, last_new: float, blind: Sequence[Span], quiet_days: float, floor: float
    ) -> float | None:
        """Return when the lack of a new post since `last_new` becomes unusual, in Unix seconds.

        `blind` are disjoint (begin, end) in Unix seconds, in order: hours that overlap one are
        skipped. A silence is unusual if one so long is expected less than once in `quiet_days`; it
        must also last `floor` seconds, an hour, and `LONGER` times the longest earlier silence. The
        result is the end of an hour; None if that is over `HORIZON_HOURS` away.
        """
        per_period = self.silences * quiet_days
        least = max(FLOOR_SECONDS, floor, self.longest * LONGER * HOUR)
        observed, chance = 0.0, 1.0
        first = int(last_new // HOUR) + 1
        dark = _Dark(blind)
        for hour in range(first, first + HORIZON_HOURS):
            if dark.covers(hour):
                continue
            slot, holiday = _find_slot(hour)
            weight = HOLIDAY_WEIGHT if holiday else 1.0
            chance *= 1.0 - self.chance[slot] * weight
            observed += HOUR * weight
            if chance * per_period < 1.0 and observed >= least:
                return (hour + 1) * HOUR
        return None


@dataclass(slots=True)
class _Dark:
    """The hours in which a site could not be read, completely or in part."""

    spans: Sequence[Span]
    _starts: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self._starts = [began for began, _ in self.spans]

    def covers(self, hour: int) -> bool:
        """Return whether a site could not be read in an hour, completely or in part."""
        place = bisect_right(self._starts, (hour + 1) * HOUR) - 1
        return place >= 0 and self.spans[place][1] > hour * HOUR


def learn(arrivals: Mapping[int, int], blind: Sequence[Span], now: float) -> SilenceModel | None:
    """Learn the rhythm of a site from its number of posts by hour (Unix seconds // 3600).

    `blind` are disjoint (begin, end) in Unix seconds, in order, when the site could not be read.
    Hours before the last `WINDOW_DAYS` and hours of public holidays are not learnt from. Returns
    None if the hours with posts span less than `LEARN_DAYS`, holidays included, or if fewer than
    `LEAST_ARRIVALS` of them are outside of holidays.
    """
    begin = int(now // HOUR) - WINDOW_DAYS * DAY_HOURS
    hours = sorted(hour for hour, posts in arrivals.items() if hour >= begin and posts > 0)
    if len(hours) < LEAST_ARRIVALS or (hours[-1] - hours[0]) / DAY_HOURS < LEARN_DAYS:
        return None
    dark, active = _Dark(blind), set(hours)
    observed, active_hours = [0.0] * (2 * DAY_HOURS), [0.0] * (2 * DAY_HOURS)
    longest = silence = 0
    unbroken = True
    for hour in range(hours[0], hours[-1] + 1):
        slot, holiday = _find_slot(hour)
        if hour in active:
            longest = max(longest, silence) if unbroken else longest
            silence, unbroken = 0, True
        elif holiday or dark.covers(hour):
            unbroken = False
            continue
        else:
            silence += 1
        if not holiday:
            observed[slot] += 1
            active_hours[slot] += hour in active
    if sum(active_hours) < LEAST_ARRIVALS:  # nearly all posts are from holidays
        return None
    mean = sum(active_hours) / sum(observed)
    chance = tuple(
        (c + PRIOR_HOURS * mean) / (s + PRIOR_HOURS)
        for c, s in zip(active_hours, observed, strict=True)
    )
    return SilenceModel(
        chance, float(longest), DAY_HOURS * (sum(active_hours) - 1) / (sum(observed) - 1)
    )


def describe(rhythm: SilenceModel | None) -> str:
    """Describe how often hours with new posts occur.

    The result is `every hour`, `5 hours a day`, `every day`, `every 3 days`, or `not known yet` for
    None.
    """
    if rhythm is None:
        return "not known yet"
    if rhythm.silences >= 20.0:
        return "every hour"
    if rhythm.silences >= 1.5:
        return f"{rhythm.silences:.0f} hours a day"
    return f"every {1 / rhythm.silences:.0f} days" if rhythm.silences < 2 / 3 else "every day"
