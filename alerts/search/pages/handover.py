"""Handover: what is new, undecided, due and nobody's since the last shift, and where we were blind meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from alerts.coverage import render
from alerts.coverage.reader import CoverageReader, local
from alerts.coverage.report import verdict
from alerts.desk.cases import moment_past
from alerts.desk.queue import IncidentQueue
from alerts.desk.work import Work
from alerts.handover.shift import Handover, HandoverPart, handover
from alerts.search.menu import MenuEntry
from alerts.search.month import month
from alerts.search.pages.coverage import gap_shown
from alerts.search.permissions import may
from alerts.search.query_words import Text, repeatable
from alerts.search.site import Console
from alerts.store import QueryError
from ullage.phrase import Phrase
from ullage.settings.tenants import UnknownTenantError

MENU = MenuEntry("/handover", Phrase("Handover"), "incident.read coverage.read", "work", 2)
SHOWN = 5
"""Incidents of a part; the queue has all."""


def routes() -> APIRouter:
    """The route of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/handover", dependencies=[may("coverage.read")])
    def shown(site: Annotated[Console, may("incident.read")], since: Text = "", tenant: Text = "") -> HTMLResponse:
        typed = {"since": since, "tenant": tenant}
        try:
            site.known(tenant)
            zone, now = ZoneInfo(site.duties.tenant(tenant).zone), site.clock.now()
            return _page(site, typed, tenant, moment_past(since, zone, now) if since else None)
        except (QueryError, UnknownTenantError) as error:
            return _page(site, typed, "", None, refused=error)

    return router


def _page(
    site: Console, typed: dict[str, str], tenant: str, since: datetime | None, refused: Exception | None = None
) -> HTMLResponse:
    settings, ledger = site.context.settings, CoverageReader(site.context, site.store)
    queue = IncidentQueue(Work(site.duties), site.principal.name, site.shifts)
    found = handover(queue, settings.coverage.gap_minutes, tenant, since, SHOWN)
    gaps = render.together(found.blind.gaps(), ledger.zone)
    return site.page(
        "handover.html",
        400 if refused else 200,
        found=found,
        parts_shown=[*_parts(found, tenant)],
        verdict=verdict(found.blind, ()),
        unexplained=len(found.blind.unexplained()),
        gaps=[gap_shown(gap, found.blind, ledger) for gap in reversed(gaps)],
        coverage_query=urlencode({"since": local(found.since, ledger.zone)}),
        month=month(site, tenant),
        typed=repeatable(typed),
        refused=refused,
    )


def _parts(found: Handover, tenant: str) -> Iterator[tuple[Phrase, HandoverPart, str]]:
    """Each part with its title and its place in the queue."""
    new = {"tab": "all", "since": found.since.isoformat(timespec="seconds")}
    places = (new, {"status": "open"}, {"tab": "due"}, {"tab": "unassigned"})
    for (title, part), place in zip(found.parts().items(), places, strict=True):
        query = urlencode({**place, "flat": "1", **({"tenant": tenant} if tenant else {})})
        yield title, part, f"/?{query}"
