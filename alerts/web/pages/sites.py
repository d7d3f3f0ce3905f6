"""Show the sites: the state of each, when it was last read, and its last week."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Annotated
from urllib.parse import quote_plus

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from alerts.coverage.hours import SiteCoverage, read_coverage
from alerts.coverage.judgement import CoverageEvidence, has_gap, is_covered, is_pending, judge
from alerts.coverage.monitoring_status import MonitoringStatus, monitoring_status
from alerts.coverage.report import CoverageReader
from alerts.web.dependencies import Console, require_permission
from alerts.web.templating import MenuEntry, StatePage, TableCell, TableSection, Tone
from ullage.phrase import Phrase
from ullage.records.heartbeat import DAY_HOURS, FIRST_READING, SEEN, UNHEARD, WHY

MENU = MenuEntry("/sites", Phrase("Sites"), "coverage.read", "proof", 2)
WEEK = timedelta(days=7)
REMEDIES: Mapping[str, Phrase] = {
    UNHEARD: Phrase("check that crawl runs on its host: `ullage status`"),
    "f": Phrase("correct its file in `sites.d`; `ullage check` names the fault"),
    "n": Phrase("wait for its first visit; `ullage sites` says when"),
    "e": Phrase("restore the network of crawl's host, or its proxy"),
    "p": Phrase("raise `revisit_seconds` in its file; `ullage sites` says what waits"),
    "u": Phrase("wait a day; if it moved, correct `start`; if it is gone, pause it"),
    "b": Phrase(
        "raise `delay_seconds` and `revisit_seconds` in its file, or ask the owner named there"
    ),
    "r": Phrase("robots.txt is obeyed; ask the owner named in its file"),
    "l": Phrase("a person logs in again and stores the session in `keys/session/NAME`"),
    "y": Phrase("`ullage sites try SITE`, then correct `start` or `[options]`"),
    "m": Phrase("`ullage sites` names what was skipped or waits"),
    "a": Phrase("wait; `ullage sites` says how many pages are left"),
    "x": Phrase("the owner named in its file sets `expires` again"),
    "w": Phrase("load the customer list: `ullage watchlist load`"),
}
"""What to do about each reason of `WHY`."""


def routes() -> APIRouter:
    """Return the route of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/sites")
    def show_sites(site: Annotated[Console, require_permission("coverage.read")]) -> HTMLResponse:
        ledger, now = CoverageReader(site.context, site.store), site.clock.now()
        week = read_coverage(site.store, now - WEEK, now, now)
        rows = sorted(week.rows, key=lambda row: (not has_gap(row.level_now), row.site))
        heads = (
            Phrase("Site"), Phrase("State"), Phrase("Last read"), Phrase("New posts in 24 hours"),
            Phrase("In 7 days"),
            Phrase("Coverage gaps in 7 days (hours)"), Phrase("Visit interval"),
        )  # fmt: skip
        section = TableSection(
            Phrase("Sites and channels"),
            heads,
            [_line(row, ledger) for row in rows],
            Phrase(
                "The coverage log has no sites yet: no heartbeat from crawl. Run `ullage sites` on"
                " its host."
            ),
            note=Phrase("as reported by crawl each hour; select a name to see its week"),
        )
        unread = [row for row in rows if has_gap(row.level_now)]
        sections = (_build_repair_table(unread), section) if unread else (section,)
        verdict, tone = _verdict(rows, monitoring_status(site.store, now))
        return site.page(
            "state.html", sheet=StatePage(MENU.name, sections, verdict if rows else None, tone)
        )

    return router


def _verdict(rows: Sequence[SiteCoverage], status: MonitoringStatus) -> tuple[Phrase, Tone]:
    """Return whether all sites are being read now, and the tone of that.

    It is good only if every site is read and the incident list can be trusted.
    """
    levels = Counter(row.level_now for row in rows)
    missed, pending, covered = (
        levels["uncovered"] + levels["partly"],
        levels["pending"],
        levels["covered"],
    )
    level, monitored = (
        judge(CoverageEvidence(covered, missed, pending, levels["imported"])),
        covered + missed + pending,
    )
    text = {
        "pending": Phrase(
            "%(count)s of %(all)s sites cannot be assessed yet.", count=pending, all=monitored
        ),
        "covered": Phrase("All %(all)s active sites are being read.", all=monitored),
        "imported": Phrase("No site is read here."),
        "nothing": Phrase("No site is scheduled at present."),
    }.get(
        level,
        Phrase(
            "%(bad)s of %(all)s sites are not read, or not completely, at present.",
            bad=missed,
            all=monitored,
        ),
    )
    tone: Tone = "bad" if has_gap(level) else "unsure"
    if is_covered(level):
        tone = "good" if status.is_trusted and not status.is_imported_only else "bad"
        text = (
            text if tone == "good" else Phrase("Coverage is incomplete: %(why)s.", why=status.said)
        )
    if levels["imported"]:
        text = Phrase(
            "%(text)s %(count)s sites are only imported.", text=text, count=levels["imported"]
        )
    return text, tone


def _build_repair_table(rows: Sequence[SiteCoverage]) -> TableSection:
    """Return the sites that are not read, with the cause, since when, and what to do."""
    heads = (Phrase("Site"), Phrase("Cause"), Phrase("Not read since"), Phrase("What to do"))
    return TableSection(
        Phrase("What needs to be done"),
        heads,
        [
            [
                TableCell(row.site),
                _state(row),
                TableCell(_find_gap_start(row)),
                TableCell(tuple(REMEDIES[letter] for letter in _find_causes(row))),
            ]
            for row in rows
        ],
        Phrase("Nothing."),
        note=Phrase("the console cannot change what crawl reads; run commands on crawl's host"),
        more=Phrase(
            "Try a site now: `ullage sites try SITE`. Pause it: set `enabled = false` in"
            " `sites.d/SITE.toml`; crawl follows at its next round, and the coverage report says"
            " that the site was switched off."
        ),
    )


def _find_causes(row: SiteCoverage) -> str:
    """Return the letters of the reasons why a site is not read at present."""
    last = row.last_assessed
    letters = row.pending[-1:] if row.is_blind_now else "".join(last.why) if last else ""
    return letters or UNHEARD


def _find_gap_start(row: SiteCoverage) -> datetime | Phrase:
    """Return since when a site has not been read without a break, as far as the week shows."""
    unread = list(takewhile(lambda cell: not cell.seen or cell.has_gap, reversed(row.cells)))
    blind = [cell.at for cell in unread if cell.has_gap]
    return blind[-1] if blind else Phrase("in the last minutes")


def _state(row: SiteCoverage) -> TableCell:
    """Return how a site stands at present, with the reason where it is not read.

    A site that is not watched shows why. Without hours to judge it says "not assessed yet" or "not
    scheduled".
    """
    level = row.level_now
    if row.unwatched:
        return TableCell(Phrase(row.unwatched), tone="unsure")
    if has_gap(level):
        letters = _find_causes(row)
        return TableCell(
            tuple(Phrase(WHY[letter]) for letter in letters),
            tone="unsure" if letters == FIRST_READING else "bad",
        )
    if is_covered(level):
        return TableCell(Phrase("read") if row.was_read else Phrase("covered so far"), tone="good")
    if is_pending(level):
        return TableCell(Phrase("not assessed yet"), tone="unsure")
    return TableCell(Phrase("not scheduled"))


def _line(row: SiteCoverage, ledger: CoverageReader) -> list[TableCell]:
    read = next(
        (cell.at for cell in reversed(row.cells) if cell.seen and not is_pending(cell.level)), None
    )
    yesterday = ledger.context.clock.now() - timedelta(days=1)
    day = [cell for cell in row.cells[-DAY_HOURS - 1 :] if cell.at >= yesterday]
    return [
        TableCell(row.site, f"/coverage?since=7d&site={quote_plus(row.site)}"),
        _state(row),
        TableCell(
            read
            or (
                Phrase("in the last minutes")
                if SEEN in row.pending
                else Phrase("not in these 7 days")
            )
        ),
        TableCell(sum([cell.posts for cell in day])),
        TableCell(sum([cell.posts for cell in row.cells])),
        TableCell(sum([cell.has_gap for cell in row.cells])),
        TableCell(
            Phrase("%(minutes)s min", minutes=max(1, row.revisit // 60)) if row.revisit else "–",
            right=True,
        ),
    ]
