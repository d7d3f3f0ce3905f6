"""Parse the times that people type: one grammar for all options, fields and forms."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta, tzinfo

from ullage.clock import parse_moment

DAYS = {"today": 0, "yesterday": 1}
AGO = re.compile(r"([0-9]{1,4})([hd])")
TIME_OF_DAY = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")


def parse_typed_time(typed: str, now: datetime, zone: tzinfo) -> datetime | None:
    """Parse a moment that a person typed, in the time zone of `now`; None if it is not one.

    Formats are `12h` or `3d` (before `now`), `today` or `yesterday` with or without a time, a time
    such as `18:00` (the latest one that has passed), and ISO 8601; all but the first are in `zone`
    unless they name their own. An hour that occurs twice because clocks are set back means the
    first one; a skipped hour is read as if it existed.
    """
    words, local = typed.strip().split(), now.astimezone(zone)
    if len(words) == 1 and (ago := AGO.fullmatch(words[0])):
        return now - timedelta(**{"hours" if ago[2] == "h" else "days": int(ago[1])})
    if words and words[0] in DAYS and len(words) <= 2:
        at = _parse_time_of_day(words[1]) if len(words) == 2 else time()
        if at is not None:
            day = local.date() - timedelta(days=DAYS[words[0]])
            return datetime.combine(day, at, zone).astimezone(now.tzinfo)
    if len(words) == 1 and (at := _parse_time_of_day(words[0])) is not None:
        there = datetime.combine(local.date(), at, zone)
        if there > local:
            there = datetime.combine(local.date() - timedelta(days=1), at, zone)
        return there.astimezone(now.tzinfo)
    aware = parse_moment(" ".join(words), zone)
    return aware.astimezone(now.tzinfo) if aware else None


def _parse_time_of_day(word: str) -> time | None:
    match = TIME_OF_DAY.fullmatch(word)
    return time(int(match[1]), int(match[2])) if match else None
