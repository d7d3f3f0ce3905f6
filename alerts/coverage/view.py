"""Render the coverage of sites as text for a terminal, and as JSON.

A table has one row per site and one column per hour: the number of new posts, × for a gap, or a
mark that `build_legend` explains. Below it are the gaps in words, merged if several sites have the
same one, and totals. The functions only format a `CoverageWindow` (`alerts.coverage.hours`), and
none decides what is covered.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from rich.table import Table
from rich.text import Text

from alerts.coverage.hours import CoverageHour, CoverageWindow, Gap, SiteCoverage
from alerts.coverage.signed_days import DayCheck
from alerts.records.typed_time import parse_typed_time
from ullage.display import moment, safe
from ullage.errors import ConfigError
from ullage.phrase import Phrase
from ullage.records.heartbeat import WHY

NO_BEGINNING = Phrase('invalid start: use "yesterday 18:00", 2026-11-25T18:00, 18:00 or 12h')
NO_END = Phrase('invalid end: use "yesterday 18:00", 2026-11-25T18:00, 18:00 or 12h')


def read_time(typed: str, now: datetime, zone: ZoneInfo, *, ends: bool = False) -> datetime:
    """Parse a moment that a person typed; the result is in the time zone of `now`.

    For the formats, see `alerts.records.typed_time`. Raises ConfigError for anything else, which
    explains the formats; `ends` says that its message is about an end.
    """
    at = parse_typed_time(typed, now, zone)
    if at is None:
        raise ConfigError(NO_END if ends else NO_BEGINNING)
    return at


COLUMNS = 24
NARROWER = (COLUMNS, 12, 8, 6)
"""Hours in a table for the terminal, the most that fit."""
SHOWN = 40
"""Sites in the table; those with gaps first."""
NAME_WIDTH, CELL_WIDTH = 27, 3
MANY = 100
"""Posts of an hour from which on `>99` is shown, so that a night fits 100 columns."""
NAMED = 5
"""Most sites of a gap that are listed by name."""
STYLES = {"seen": "green", "blind": "bold red", "partly": "red", "off": "dim", "open": "dim"}
CANARY = "canary posts reported"


@dataclass(frozen=True, slots=True)
class SharedGap:
    """Gaps of several sites with the same time, reasons and explanation.

    `why` are the letters of the reasons. `explained` is a text with the author and time of the
    explanation, "" without one.
    """

    since: datetime
    until: datetime
    why: str
    explained: str
    sites: tuple[str, ...]


def build_tables(
    window: CoverageWindow, zone: tzinfo, rows: Sequence[SiteCoverage], width: int
) -> Iterator[Table]:
    """Yield tables for a terminal of `width` columns, with a row per site and a column per hour.

    A table has 24 hours, or fewer if the terminal is narrow. Hours are shown in `zone`. If the
    window has canary posts, a last row marks their hours. Without rows or
    hours, nothing is yielded.
    """
    hours = [cell.at for cell in rows[0].cells] if rows else []
    fitting = (n for n in NARROWER if NAME_WIDTH + n * CELL_WIDTH <= width)
    count = next(fitting, NARROWER[-1])
    for first in range(0, len(hours), count):
        block = hours[first : first + count]
        table = Table("site", box=None, padding=0, header_style="bold")
        table.columns[0].max_width, table.columns[0].overflow = NAME_WIDTH, "fold"
        for at in block:
            table.add_column(
                _format_head(at, block[0], zone), justify="right", width=CELL_WIDTH, no_wrap=True
            )
        for row in rows:
            table.add_row(
                Text(safe(row.site) + " "), *map(_format_cell, row.cells[first : first + count])
            )
        if window.canaries:
            table.add_row(
                Text(CANARY, "dim"),
                *(Text("✓" if at in window.canaries else "", "dim") for at in block),
            )
        yield table


def _format_head(at: datetime, first: datetime, zone: tzinfo) -> str:
    """Return the local hour of a cell, with the day where one begins."""
    local = at.astimezone(zone)
    day = f"{local:%d}." if at == first or not local.hour else ""
    return "\n".join((day, f"{local:%H}", *([f"{local:%M}"] if local.minute else ())))


def _format_cell(cell: CoverageHour) -> Text:
    """Return the text of an hour: its posts, or `×` or `~` with the letter of the reason.

    `~` marks a partly covered hour.
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


def select_rows(window: CoverageWindow, everything: bool) -> Sequence[SiteCoverage]:
    """Return the sites to show in a table: at most 40, or all if `everything` is true.

    If there are more than 40, sites with unexplained gaps come first, then those with explained
    gaps, then the others, each by name.
    """
    if everything or len(window.rows) <= SHOWN:
        return window.rows
    return sorted(
        window.rows,
        key=lambda row: (all(gap.explained for gap in row.gaps), not row.gaps, row.site),
    )[:SHOWN]


def merge_gaps(gaps: Iterable[Gap], zone: tzinfo | None = None) -> list[SharedGap]:
    """Return the gaps, merged where several sites have the same time, reasons and explanation.

    They are sorted by their beginning. `zone` is that of the moment in an explanation's text.
    """
    sites = defaultdict[tuple[datetime, datetime, str, str], list[str]](list)
    for gap in gaps:
        explanation = gap.explained
        words = (
            f"{explanation.reason} ({explanation.by}, {moment(explanation.at, zone)})"
            if explanation
            else ""
        )
        sites[gap.since, gap.until, gap.why, words].append(gap.site)
    return [SharedGap(*key, tuple(names)) for key, names in sorted(sites.items())]


def format_gaps(window: CoverageWindow, zone: tzinfo) -> Iterator[str]:
    """Yield a line of text for all sites that share a gap: time, sites, reasons, explanation.

    Times are in `zone`. Lines are sorted by the beginning of the gap.
    """
    for gap in merge_gaps(window.gaps(), zone):
        end = f"explained: {gap.explained}" if gap.explained else "NOT EXPLAINED"
        why = ", ".join(map(str, list_reasons(gap)))
        yield (
            f"{format_span(gap.since, gap.until, zone)}"
            f"  {name_sites(gap, len(window.rows), NAMED)}: {why}; {end}"
        )


def name_sites(gap: SharedGap, sites: int, most: int) -> Phrase | str:
    """Return the names of the sites with a gap, or only their number if they are more than `most`.

    `sites` is the number of all sites, which is stated beside that number.
    """
    if len(gap.sites) > most:
        return Phrase("%(some)s of %(sites)s sites", some=len(gap.sites), sites=sites)
    return ", ".join(map(safe, gap.sites))


def list_reasons(gap: SharedGap) -> tuple[Phrase, ...]:
    """Return the reasons of a coverage gap in words, one phrase each, most common first."""
    return tuple(Phrase(WHY[letter]) for letter in gap.why)


def format_span(since: datetime, until: datetime, zone: tzinfo) -> Phrase:
    """Format a time in `zone` with its length: `2026-11-25 18:00–20:30 (2 h 30)`.

    An end on another day has its month and day.
    """
    start, end_ = since.astimezone(zone), until.astimezone(zone)
    hours, minutes = divmod(round((until - since) / timedelta(minutes=1)), 60)
    minutes_text, end = (
        f"{minutes:02d}",
        f"{end_:{'%H:%M' if start.date() == end_.date() else '%m-%d %H:%M'}}",
    )
    length = (
        Phrase("%(hours)s h %(minutes)s", hours=hours, minutes=minutes_text)
        if hours
        else Phrase("%(minutes)s min", minutes=minutes)
    )
    return Phrase(
        "%(since)s–%(until)s (%(long)s)",
        since=start.strftime("%Y-%m-%d %H:%M"),
        until=end,
        long=length,
    )


def build_legend(rows: Sequence[SiteCoverage]) -> str:
    """Return in one line of English what the marks and letters in the table of these sites mean.

    Only letters that occur in the table are explained.
    """
    letters = dict.fromkeys(
        letter for row in rows for cell in row.cells if cell.has_gap for letter in cell.why
    )
    meanings = "; ".join(f"{letter.replace('.', '× alone')}: {WHY[letter]}" for letter in letters)
    marks = (
        "number: covered, new posts; ×: coverage gap; ~: partly covered; ( ): explained; -: not"
        " scheduled; …: not assessed yet"
    )
    return f"{marks}{'. ' if meanings else ''}{meanings}"


def describe_beginning(window: CoverageWindow) -> Phrase | None:
    """Describe the part of the window about which the log makes no claim.

    That is the time before the log begins, or all of it. Returns None if the log began before the
    window.
    """
    if window.begins is None:
        return None
    if not window.has_begun:
        return Phrase("The coverage log had not begun by the end of this period.")
    return Phrase(
        "The coverage log begins at %(begins)s: no claim is made about the time before.",
        begins=window.begins,
    )


def begins_as_json(window: CoverageWindow) -> str | None:
    """Return the moment from which the log makes claims within the window, as ISO 8601.

    Returns None if the log had not begun by the end, because then having no gap is no claim.
    """
    return (window.begins or window.since).isoformat() if window.has_begun else None


def describe_exceptions(window: CoverageWindow) -> Iterator[Phrase]:
    """Yield lines about sites that are not monitored, then pending sites, then short-lived posts.

    Sites with the same reason share a line, except that each site with short-lived posts has its
    own.
    """
    why = sorted((row.unwatched, row.site) for row in window.rows if row.unwatched)
    for reason, group in groupby(why, key=lambda pair: pair[0]):
        sites = ", ".join(safe(site) for _, site in group)
        yield Phrase("known but not monitored: %(sites)s: %(why)s", sites=sites, why=Phrase(reason))
    late = sorted(
        (next((x for x in reversed(row.pending) if x in WHY), ""), row.site)
        for row in window.pending()
    )
    for letter, group in groupby(late, key=lambda pair: pair[0]):
        sites = ", ".join(safe(site) for _, site in group)
        last = Phrase(WHY[letter]) if letter else Phrase("covered so far")
        yield Phrase("pending, last 15 minutes: %(sites)s: %(why)s", sites=sites, why=last)
    for row in window.rows:
        if row.is_short_lived:
            yield Phrase(
                "may have been missed: on %(site)s posts stay up for about %(lives)s min, but"
                " visits are %(every)s min apart",
                site=safe(row.site),
                lives=max(1, row.lives // 60),
                every=row.revisit // 60 or 1,
            )


def compute_totals(window: CoverageWindow) -> Mapping[str, Any]:
    """Return the numbers of sites, hours, minutes, posts and gaps of a window, by name, for JSON.

    Hours and minutes are summed over sites. `hours_scheduled` and the minutes are of assessed hours
    in which a site was to be read. `hours_seen` are those that were covered for all 60 minutes,
    `hours_with_gaps` those without a covered minute, and `hours_partly` those that a gap covers in
    part. `pending` and `short_lived` are lists of site names; `unwatched` maps a site to the
    reason.
    """
    cells = [cell for row in window.rows for cell in row.cells]
    states, scheduled = (
        Counter([cell.state for cell in cells]),
        [cell for cell in cells if cell.is_scheduled],
    )
    covered, missed = (
        sum([cell.seen for cell in scheduled]),
        sum([cell.blind for cell in scheduled]),
    )
    return {
        "sites": len([row for row in window.rows if row.was_read or row.pending]),
        "covered_minutes": covered,
        "missed_minutes": missed,
        "scheduled_minutes": covered + missed,
        "hours_seen": len([cell for cell in scheduled if cell.is_full]),
        "hours_scheduled": len(scheduled),
        "hours_with_gaps": states["blind"],
        "hours_partly": states["partly"],
        "gap_minutes": sum([cell.blind for cell in cells if cell.has_gap]),
        "posts": sum([cell.posts for cell in cells]),
        "gaps": len(window.gaps()),
        "unexplained": len(window.find_unexplained()),
        "pending": [row.site for row in window.pending()],
        "short_lived": [row.site for row in window.rows if row.is_short_lived],
        "unwatched": {row.site: row.unwatched for row in window.rows if row.unwatched},
    }


def format_totals(window: CoverageWindow) -> str:
    """Return one line of English with the numbers of sites, hours, posts and gaps."""
    totals = compute_totals(window)
    bare = totals["unexplained"]
    end = (
        f"{bare} gap{'s' * (bare != 1)} NOT EXPLAINED"
        if bare
        else (
            f"{totals['gaps']} gap{'s' * (totals['gaps'] != 1)}, all explained"
            if totals["gaps"]
            else (
                "no gap so far"
                if totals["pending"]
                else "no gap"
                if window.has_begun
                else "nothing is claimed"
            )
        )
    )
    end += f", {len(totals['pending'])} pending" if totals["pending"] else ""
    return (
        f"{totals['sites']} sites, {totals['hours_seen']} of {totals['hours_scheduled']}"
        " site-hours seen,"
        f" {totals['posts']} posts; {end}"
    )


def gap_as_json(gap: Gap) -> dict[str, Any]:
    """Return a gap as a JSON object; `site` null stands for every site.

    Times are ISO 8601, `why` is a list of reasons in English, and `explained` is null without an
    explanation.
    """
    explanation = gap.explained
    return {
        "site": gap.site or None,
        "since": gap.since.isoformat(),
        "until": gap.until.isoformat(),
        "why": [WHY[letter] for letter in gap.why],
        "explained": (
            {
                "id": explanation.id,
                "by": explanation.by,
                "at": explanation.at.isoformat(),
                "reason": explanation.reason,
            }
            if explanation
            else None
        ),
    }


def as_json(coverage: CoverageWindow, sheets: Iterable[DayCheck]) -> Iterator[Mapping[str, Any]]:
    """Yield JSON objects whose `type` is `site`, `gap` or `sheet`, and at last one that is `total`.

    A site has its hours in `cells`, oldest first. A sheet is a checked day of `sheets`. Times are
    ISO 8601 or null. `gap_minutes` of an hour maps each reason, in English, to minutes.
    """
    for row in coverage.rows:
        cells = [
            {
                "hour": cell.at.isoformat(),
                "state": cell.state,
                "seen_minutes": cell.seen,
                "gap_minutes": {WHY[letter]: minutes for letter, minutes in cell.why.items()},
                "posts": cell.posts,
                "explained": cell.explained,
                "canary_told": cell.at in coverage.canaries,
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
    for gap in coverage.gaps():
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
        "since": coverage.since.isoformat(),
        "until": coverage.until.isoformat(),
        "judged_until": coverage.judged.isoformat(),
    }
    yield {
        "type": "total",
        **window,
        "log_begins": begins_as_json(coverage),
        **compute_totals(coverage),
    }
