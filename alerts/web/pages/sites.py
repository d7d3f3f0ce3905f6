"""Sites: how each stands, when it was last read, and its week."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated
from urllib.parse import quote_plus

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from alerts.coverage.hours import CoverageHour as Hour
from alerts.coverage.hours import SiteCoverage, coverage
from alerts.coverage.report import CoverageReader
from alerts.web.dependencies import Console, may
from alerts.web.templating import MenuEntry, StatePage, TableCell, TableSection
from ullage.phrase import Phrase
from ullage.records.heartbeat import DAY_HOURS, SEEN, WHY

MENU = MenuEntry("/sites", Phrase("Sites"), "coverage.read", "proof", 2)
WEEK = timedelta(days=7)


def routes() -> APIRouter:
    """The route of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/sites")
    def shown(site: Annotated[Console, may("coverage.read")]) -> HTMLResponse:
        ledger, now = CoverageReader(site.context, site.store), site.clock.now()
        seen = coverage(site.store, now - WEEK, now, now)
        rows = sorted(((_state(row), row) for row in seen.rows), key=lambda pair: (pair[0].tone != "bad", pair[1].site))
        bad = sum(state.tone == "bad" for state, _ in rows)
        heads = (
            Phrase("Site"), Phrase("State"), Phrase("Last read"), Phrase("New posts in 24 hours"), Phrase("In 7 days"),
            Phrase("Coverage gaps in 7 days (hours)"), Phrase("Visit interval"),
        )  # fmt: skip
        section = TableSection(
            Phrase("Sites and channels"),
            heads,
            [_line(row, state, ledger) for state, row in rows],
            Phrase("The coverage log has no sites yet: no heartbeat from crawl. Run `ullage sites` on its host."),
            note=Phrase("as reported by crawl each hour; select a name to see its week"),
        )
        verdict = (
            Phrase("%(bad)s of %(all)s sites are not read at present.", bad=bad, all=len(rows))
            if bad
            else Phrase("All %(all)s active sites are being read.", all=len(rows))
        )
        sheet = StatePage(MENU.name, (section,), verdict if rows else None, "bad" if bad else "good")
        return site.page("state.html", sheet=sheet)

    return router


def _judged(row: SiteCoverage) -> Iterator[Hour]:
    """The latest first."""
    return (cell for cell in reversed(row.cells) if cell.state != "open")


def _state(row: SiteCoverage) -> TableCell:
    """How a site stood in the last hour that is judged."""
    if row.unwatched:
        return TableCell(Phrase(row.unwatched), tone="unsure")
    last = next(_judged(row), None)
    if row.pending and not row.is_blind_now and (last is None or last.state == "off"):
        return TableCell(Phrase("covered so far"), tone="good")
    if last is None:
        return TableCell(Phrase("not assessed yet"), tone="unsure")
    if last.state in ("blind", "partly"):
        return TableCell(tuple(Phrase(WHY[letter]) for letter in last.why), tone="bad" if last.state == "blind" else "unsure")
    return TableCell(Phrase("read"), tone="good") if last.state == "seen" else TableCell(Phrase("not scheduled"))


def _line(row: SiteCoverage, state: TableCell, ledger: CoverageReader) -> list[TableCell]:
    read = next((cell.at for cell in _judged(row) if cell.seen), None)
    yesterday = ledger.context.clock.now() - timedelta(days=1)
    day = [cell for cell in row.cells[-DAY_HOURS - 1 :] if cell.at >= yesterday]
    states = [cell.state for cell in row.cells]
    return [
        TableCell(row.site, f"/coverage?since=7d&site={quote_plus(row.site)}"),
        state,
        TableCell(read or (Phrase("in the last minutes") if SEEN in row.pending else Phrase("not in these 7 days"))),
        TableCell(sum([cell.posts for cell in day])),
        TableCell(sum([cell.posts for cell in row.cells])),
        TableCell(states.count("blind") + states.count("partly")),
        TableCell(Phrase("%(minutes)s min", minutes=max(1, row.revisit // 60)) if row.revisit else "–", right=True),
    ]
