"""Times of day at which a site is left alone, as its file says: `night = ["23:30-06:00"]` in its `time_zone`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
DAY = timedelta(days=1)
Window = tuple[time, time]


@cache
def windows_of(texts: tuple[str, ...]) -> tuple[Window, ...]:
    """Beginnings and ends, which may lie after midnight; ValueError for what is none."""
    made = []
    for text in texts:
        found = WINDOW.fullmatch(text)
        if not found or found[1] + found[2] == found[3] + found[4]:
            raise ValueError("holds something that is no HH:MM-HH:MM")
        made.append((time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))))
    return tuple(made)


def nights(texts: tuple[str, ...], zone: str, since: float, until: float) -> list[tuple[float, float]]:
    """The times between two moments at which a site is left alone, all in Unix seconds, in order of their beginning."""
    return sorted(span for span in _spans(windows_of(texts), zone, since, until) if span[1] > since and span[0] < until)


def night_ends(texts: tuple[str, ...], zone: str, at: float) -> float:
    """When a site may be asked that is not to be at `at` (Unix seconds); `at` where it may."""
    if not texts:
        return at
    end = at
    for began, ended in nights(texts, zone, at - DAY.total_seconds(), at + 2 * DAY.total_seconds()):
        if began <= end < ended:  # one may begin as another ends
            end = ended
    return end


def _spans(windows: Sequence[Window], zone: str, since: float, until: float) -> Iterator[tuple[float, float]]:
    local = ZoneInfo(zone)
    day = datetime.fromtimestamp(since, UTC).astimezone(local).date() - DAY
    last = datetime.fromtimestamp(until, UTC).astimezone(local).date()
    while day <= last:
        for begin, end in windows:
            ends_on = day if begin < end else day + DAY
            yield datetime.combine(day, begin, local).timestamp(), datetime.combine(ends_on, end, local).timestamp()
        day += DAY
