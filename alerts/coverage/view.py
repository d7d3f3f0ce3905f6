"""Answer what people ask about coverage, as text and as JSON."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from datetime import time as time_of_day
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from rich.table import Table
from rich.text import Text

from alerts.coverage.hours import CoverageHour, CoverageWindow, Gap, SiteCoverage
from alerts.coverage.signed_days import DayCheck
from ullage.clock import parse_moment
from ullage.display import moment, safe
from ullage.errors import ConfigError
from ullage.phrase import Phrase
from ullage.records.heartbeat import WHY

DAYS = {"today": 0, "yesterday": 1}
NO_BEGINNING = Phrase('invalid start: use "yesterday 18:00", 2026-11-25T18:00, 18:00 or 12h')
NO_END = Phrase('invalid end: use "yesterday 18:00", 2026-11-25T18:00, 18:00 or 12h')
AGO = re.compile(r"([0-9]{1,4})([hd])")
TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")


def read_time(typed: str, now: datetime, zone: ZoneInfo, *, ends: bool = False) -> datetime:
    """The moment that was typed, for the end of a time if it `ends` one; ConfigError says which,
    and how to write one.

    Where clocks are set back an hour comes twice, and the first of the two is meant; an hour that
    is skipped is read as if it had not been.
    """
    words, local = typed.strip().split(), now.astimezone(zone)
    if len(words) == 1 and (ago := AGO.fullmatch(words[0])):
        return now - timedelta(**{"hours" if ago[2] == "h" else "days": int(ago[1])})
    if words and words[0] in DAYS and len(words) <= 2:
        at = _time(words[1]) if len(words) == 2 else time_of_day()
        if at is not None:
            return datetime.combine(
                local.date() - timedelta(days=DAYS[words[0]]), at, zone
            ).astimezone(now.tzinfo)
    if len(words) == 1 and (at := _time(words[0])) is not None:
        there = datetime.combine(local.date(), at, zone)
        return (
            there
            if there <= local
            else datetime.combine(local.date() - timedelta(days=1), at, zone)
        ).astimezone(now.tzinfo)
    aware = parse_moment(" ".join(words), zone)
    if aware is None:
        raise ConfigError(NO_END if ends else NO_BEGINNING)
    return aware.astimezone(now.tzinfo)


def _time(word: str) -> time_of_day | None:
    found = TIME.fullmatch(word)
    return time_of_day(int(found[1]), int(found[2])) if found else None


COLUMNS = 24
SHOWN = 40
"""Sites in the table; those with gaps first."""
NAME_WIDTH, CELL_WIDTH = 27, 3
MANY = 100
"""Posts of an hour that are shown as more than 99: a night fits 100 columns."""
NAMED = 5
"""Sites that a gap of many is said of by name."""
STYLES = {"seen": "green", "blind": "bold red", "partly": "red", "off": "dim", "open": "dim"}
CANARY = "canary posts reported"


@dataclass(frozen=True, slots=True)
class SharedGap:
    """Gaps of several sites at the same time, for the same reason, explained alike."""

    since: datetime
    until: datetime
    why: str
    explained: str
    sites: tuple[str, ...]


def tables(seen: CoverageWindow, zone: tzinfo, rows: Sequence[SiteCoverage]) -> Iterator[Table]:
    """The cells, a table for every 24 hours."""
    hours = [cell.at for cell in rows[0].cells] if rows else []
    for first in range(0, len(hours), COLUMNS):
        some = hours[first : first + COLUMNS]
        made = Table("site", box=None, padding=0, header_style="bold")
        made.columns[0].max_width, made.columns[0].no_wrap, made.columns[0].overflow = (
            NAME_WIDTH,
            True,
            "ellipsis",
        )
        for at in some:
            made.add_column(
                _head(at, some[0], zone), justify="right", width=CELL_WIDTH, no_wrap=True
            )
        for row in rows:
            made.add_row(
                Text(safe(row.site) + " "), *map(_cell, row.cells[first : first + COLUMNS])
            )
        if seen.canaries:
            made.add_row(
                Text(CANARY, "dim"),
                *(Text("✓" if at in seen.canaries else "", "dim") for at in some),
            )
        yield made


def _head(at: datetime, first: datetime, zone: tzinfo) -> str:
    """The local hour that a cell begins with, with the day where one begins."""
    local = at.astimezone(zone)
    day = f"{local:%d}." if at == first or not local.hour else ""
    return "\n".join((day, f"{local:%H}", *([f"{local:%M}"] if local.minute else ())))


def _cell(cell: CoverageHour) -> Text:
    """Return the posts of an hour that was covered; else `×`, or `~` where it was in part, and
    the reason's letter.
    """
    letter = next(iter(cell.why), "").replace(".", "")
    if cell.is_covered:
        return Text(str(cell.posts) if cell.posts < MANY else f">{MANY - 1}", STYLES["seen"])
    if cell.has_gap:
        mark = "×" if cell.is_uncovered else "~"
        return (
            Text(f"({letter or mark})", "yellow")
            if cell.explained
            else Text(f"{mark}{letter}", STYLES[cell.state])
        )
    return Text({"off": "-", "open": "…"}[cell.state], STYLES[cell.state])


def shown(seen: CoverageWindow, everything: bool) -> Sequence[SiteCoverage]:
    """The sites of the table: those with gaps first where there are too many."""
    if everything or len(seen.rows) <= SHOWN:
        return seen.rows
    return sorted(
        seen.rows, key=lambda row: (all(gap.explained for gap in row.gaps), not row.gaps, row.site)
    )[:SHOWN]


def together(gaps: Iterable[Gap], zone: tzinfo | None = None) -> list[SharedGap]:
    """Gaps of the same time and reason as one."""
    sites = defaultdict[tuple[datetime, datetime, str, str], list[str]](list)
    for gap in gaps:
        said = gap.explained
        words = f"{said.reason} ({said.by}, {moment(said.at, zone)})" if said else ""
        sites[gap.since, gap.until, gap.why, words].append(gap.site)
    return [SharedGap(*key, tuple(names)) for key, names in sorted(sites.items())]


def gap_lines(seen: CoverageWindow, zone: tzinfo) -> Iterator[str]:
    """A line a gap."""
    for one in together(seen.gaps(), zone):
        end = f"explained: {one.explained}" if one.explained else "NOT EXPLAINED"
        why = ", ".join(map(str, reasons(one)))
        yield (
            f"{span(one.since, one.until, zone)}  {whose(one, len(seen.rows), NAMED)}: {why}; {end}"
        )


def whose(gap: SharedGap, sites: int, most: int) -> Phrase | str:
    """Whose gap it is, by name of at most so many."""
    if len(gap.sites) > most:
        return Phrase("%(some)s of %(sites)s sites", some=len(gap.sites), sites=sites)
    return ", ".join(map(safe, gap.sites))


def reasons(gap: SharedGap) -> tuple[Phrase, ...]:
    """Why there is a gap, in words."""
    return tuple(Phrase(WHY[letter]) for letter in gap.why)


def span(since: datetime, until: datetime, zone: tzinfo) -> Phrase:
    """A time from one moment to another, local, with how long it is."""
    one, other = since.astimezone(zone), until.astimezone(zone)
    hours, minutes = divmod(round((until - since) / timedelta(minutes=1)), 60)
    rest, end = (
        f"{minutes:02d}",
        f"{other:{'%H:%M' if one.date() == other.date() else '%m-%d %H:%M'}}",
    )
    long = (
        Phrase("%(hours)s h %(minutes)s", hours=hours, minutes=rest)
        if hours
        else Phrase("%(minutes)s min", minutes=minutes)
    )
    return Phrase(
        "%(since)s–%(until)s (%(long)s)", since=one.strftime("%Y-%m-%d %H:%M"), until=end, long=long
    )


def legend(rows: Sequence[SiteCoverage]) -> str:
    """What the letters in the table say."""
    letters = dict.fromkeys(
        letter for row in rows for cell in row.cells if cell.has_gap for letter in cell.why
    )
    said = "; ".join(f"{letter.replace('.', '× alone')}: {WHY[letter]}" for letter in letters)
    marks = (
        "number: covered, new posts; ×: coverage gap; ~: partly covered; ( ): explained; -: not"
        " scheduled; …: not assessed yet"
    )
    return f"{marks}{'. ' if said else ''}{said}"


def beginning(seen: CoverageWindow) -> Phrase | None:
    """Of which part nothing is claimed because the log begins within the time, or has not begun;
    None where it begins before.
    """
    if seen.begins is None:
        return None
    if not seen.has_begun:
        return Phrase("The coverage log had not begun by the end of this period.")
    return Phrase(
        "The coverage log begins at %(begins)s: no claim is made about the time before.",
        begins=seen.begins,
    )


def begins_as_json(seen: CoverageWindow) -> str | None:
    """From when on within the time the log speaks; None where it has not begun, so that no gap
    is no claim.
    """
    return (seen.begins or seen.since).isoformat() if seen.has_begun else None


def apart_lines(seen: CoverageWindow) -> Iterator[Phrase]:
    """What is known and not watched, what cannot be judged yet, and whose posts come and go too
    fast.
    """
    why = sorted((row.unwatched, row.site) for row in seen.rows if row.unwatched)
    for reason, group in groupby(why, key=lambda pair: pair[0]):
        sites = ", ".join(safe(site) for _, site in group)
        yield Phrase("known but not monitored: %(sites)s: %(why)s", sites=sites, why=Phrase(reason))
    late = sorted(
        (next((x for x in reversed(row.pending) if x in WHY), ""), row.site)
        for row in seen.pending()
    )
    for letter, group in groupby(late, key=lambda pair: pair[0]):
        sites = ", ".join(safe(site) for _, site in group)
        last = Phrase(WHY[letter]) if letter else Phrase("covered so far")
        yield Phrase("pending, last 15 minutes: %(sites)s: %(why)s", sites=sites, why=last)
    for row in seen.rows:
        if row.is_short_lived:
            yield Phrase(
                "may have been missed: on %(site)s posts stay up for about %(lives)s min, but"
                " visits are %(every)s min apart",
                site=safe(row.site),
                lives=max(1, row.lives // 60),
                every=row.revisit // 60 or 1,
            )


def totals(seen: CoverageWindow) -> Mapping[str, Any]:
    """Return what it comes to: sites, hours, minutes, posts and gaps; `hours_seen` are those
    covered for all their minutes.
    """
    cells = [cell for row in seen.rows for cell in row.cells]
    states, scheduled = (
        Counter([cell.state for cell in cells]),
        [cell for cell in cells if cell.is_scheduled],
    )
    covered, missed = (
        sum([cell.seen for cell in scheduled]),
        sum([cell.blind for cell in scheduled]),
    )
    return {
        "sites": len([row for row in seen.rows if row.was_read or row.pending]),
        "covered_minutes": covered,
        "missed_minutes": missed,
        "scheduled_minutes": covered + missed,
        "hours_seen": len([cell for cell in scheduled if cell.is_full]),
        "hours_scheduled": len(scheduled),
        "hours_with_gaps": states["blind"],
        "hours_partly": states["partly"],
        "gap_minutes": sum([cell.blind for cell in cells if cell.has_gap]),
        "posts": sum([cell.posts for cell in cells]),
        "gaps": len(seen.gaps()),
        "unexplained": len(seen.unexplained()),
        "pending": [row.site for row in seen.pending()],
        "short_lived": [row.site for row in seen.rows if row.is_short_lived],
        "unwatched": {row.site: row.unwatched for row in seen.rows if row.unwatched},
    }


def total_line(seen: CoverageWindow) -> str:
    """The same in a line."""
    told = totals(seen)
    bare = told["unexplained"]
    end = (
        f"{bare} gap{'s' * (bare != 1)} NOT EXPLAINED"
        if bare
        else (
            f"{told['gaps']} gap{'s' * (told['gaps'] != 1)}, all explained"
            if told["gaps"]
            else (
                "no gap so far"
                if told["pending"]
                else "no gap"
                if seen.has_begun
                else "nothing is claimed"
            )
        )
    )
    end += f", {len(told['pending'])} pending" if told["pending"] else ""
    return (
        f"{told['sites']} sites, {told['hours_seen']} of {told['hours_scheduled']} site-hours seen,"
        f" {told['posts']} posts; {end}"
    )


def gap_as_json(gap: Gap) -> dict[str, Any]:
    """A gap as a JSON object; `site` null is every site."""
    said = gap.explained
    return {
        "site": gap.site or None,
        "since": gap.since.isoformat(),
        "until": gap.until.isoformat(),
        "why": [WHY[letter] for letter in gap.why],
        "explained": (
            {
                "id": said.id,
                "by": said.by,
                "at": said.at.isoformat(),
                "reason": said.reason,
            }
            if said
            else None
        ),
    }


def as_json(seen: CoverageWindow, sheets: Iterable[DayCheck]) -> Iterator[Mapping[str, Any]]:
    """Everything, an object a line: sites, gaps, sheets, the total last."""
    for row in seen.rows:
        cells = [
            {
                "hour": cell.at.isoformat(),
                "state": cell.state,
                "seen_minutes": cell.seen,
                "gap_minutes": {WHY[letter]: minutes for letter, minutes in cell.why.items()},
                "posts": cell.posts,
                "explained": cell.explained,
                "canary_told": cell.at in seen.canaries,
            }
            for cell in row.cells
        ]
        facts = {"revisit_seconds": row.revisit or None, "posts_live_seconds": row.lives or None}
        yield {
            "type": "site",
            "site": row.site,
            "not_watched": row.unwatched or None,
            **facts,
            "cells": cells,
        }
    for gap in seen.gaps():
        yield {"type": "gap", **gap_as_json(gap)}
    for sheet in sheets:
        when = {"signed_at": sheet.signed_at, "stamped_at": sheet.stamped_at}
        times = {name: at.isoformat() if at else None for name, at in when.items()}
        yield {
            "type": "sheet",
            "day": sheet.day,
            "holds": sheet.holds,
            "said": str(sheet.said),
            "sha256": sheet.digest or None,
            **times,
        }
    window = {
        "since": seen.since.isoformat(),
        "until": seen.until.isoformat(),
        "judged_until": seen.judged.isoformat(),
    }
    yield {"type": "total", **window, "log_begins": begins_as_json(seen), **totals(seen)}
