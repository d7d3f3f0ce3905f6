"""Times as people type them, in the zone of the settings: `yesterday 18:00`, `today`, `18:00`, `2026-11-25 18:00`, `12h`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from datetime import time as time_of_day
from zoneinfo import ZoneInfo

from ullage.clock import in_range
from ullage.errors import ConfigError
from ullage.phrase import Phrase

DAYS = {"today": 0, "yesterday": 1}
NO_BEGINNING = Phrase('invalid start: use "yesterday 18:00", 2026-11-25T18:00, 18:00 or 12h')
NO_END = Phrase('invalid end: use "yesterday 18:00", 2026-11-25T18:00, 18:00 or 12h')
AGO = re.compile(r"([0-9]{1,4})([hd])")
TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")


def read_time(typed: str, now: datetime, zone: ZoneInfo, *, ends: bool = False) -> datetime:
    """The moment that was typed, for the end of a time if it `ends` one; ConfigError says which, and how to write one.

    Where clocks are set back an hour comes twice, and the first of the two is meant; an hour that is skipped is read as if it had
    not been.
    """
    words, local = typed.strip().split(), now.astimezone(zone)
    if len(words) == 1 and (ago := AGO.fullmatch(words[0])):
        return now - timedelta(**{"hours" if ago[2] == "h" else "days": int(ago[1])})
    if words and words[0] in DAYS and len(words) <= 2:
        at = _time(words[1]) if len(words) == 2 else time_of_day()
        if at is not None:
            return datetime.combine(local.date() - timedelta(days=DAYS[words[0]]), at, zone).astimezone(now.tzinfo)
    if len(words) == 1 and (at := _time(words[0])) is not None:
        there = datetime.combine(local.date(), at, zone)
        return (there if there <= local else datetime.combine(local.date() - timedelta(days=1), at, zone)).astimezone(now.tzinfo)
    try:
        given = datetime.fromisoformat(" ".join(words))
        aware = in_range(given if given.tzinfo else given.replace(tzinfo=zone))
    except ValueError:
        aware = None
    if aware is None:
        raise ConfigError(NO_END if ends else NO_BEGINNING)
    return aware.astimezone(now.tzinfo)


def _time(word: str) -> time_of_day | None:
    found = TIME.fullmatch(word)
    return time_of_day(int(found[1]), int(found[2])) if found else None
