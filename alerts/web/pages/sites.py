"""Show the sites: the state of each, when it was last read, and its last week."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
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
from ullage.records.heartbeat import DAY_HOURS, FIRST_READING, SEEN, WHY

MENU = MenuEntry("/sites", Phrase("Sites"), "coverage.read", "proof", 2)
WEEK = timedelta(days=7)


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
        verdict, tone = _verdict(rows, monitoring_status(site.store, now))
        return site.page(
            "state.html", sheet=StatePage(MENU.name, (section,), verdict if rows else None, tone)
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


def _state(row: SiteCoverage) -> TableCell:
    """Return how a site stands at present, with the reason where it is not read.

    A site that is not watched shows why. Without hours to judge it says "not assessed yet" or "not
    scheduled".
    """
    level, last = row.level_now, row.last_assessed
    if row.unwatched:
        return TableCell(Phrase(row.unwatched), tone="unsure")
    if has_gap(level):
        letters = row.pending[-1:] if row.is_blind_now else last.why if last else ""
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
