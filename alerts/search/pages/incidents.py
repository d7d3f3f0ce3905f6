"""The list of incidents."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from alerts.incidents.status import UNDECIDED, tally
from alerts.noise.suppressions import suppressed
from alerts.read.heard import looked
from alerts.read.query import Filters, Listed, listed
from alerts.read.sellers import history, tokens_of
from alerts.records import SEVERITIES, STATUSES
from alerts.search.asked import Asked, Text
from alerts.search.may import may
from alerts.search.menu import Entry
from alerts.search.site import Site
from alerts.store import QueryError
from ullage.phrase import Phrase
from ullage.settings.tenants import UnknownTenantError

PAGE = 50
Reader = Annotated[Site, may("incident.read")]

MENU = Entry("/", Phrase("Incidents"), "incident.read", "work", 1, ("/incidents",))


def routes() -> APIRouter:
    """The routes of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def incidents(
        site: Reader,
        filters: Asked,
        after: Text = "",
    ) -> HTMLResponse:
        try:
            filters.where()
            site.known(filters.tenant)
            found = listed(site.store, filters, PAGE, after).gravest_first()
        except (QueryError, UnknownTenantError) as error:
            return list_page(site, Filters(), Listed((), ""), str(error))
        return list_page(site, filters, found, "")

    return router


def list_page(site: Site, filters: Filters, found: Listed, refused: str, status: int = 400) -> HTMLResponse:
    """The list, or in its place why there is none: `refused`, with that status."""
    chosen = {"tenant": filters.tenant, "severity": filters.severity, "status": filters.status}
    chosen |= {"place": filters.site, "kind": filters.kind, "q": filters.text, "seller": filters.seller}
    set_ones = {name: value for name, value in chosen.items() if value}
    counts = tally(site.store)
    silent = suppressed(site.store, [incident for incident, _ in found.rows], site.clock.now())
    return site.page(
        "incidents.html",
        status if refused else 200,
        rows=found.rows,
        silent=silent,
        seller=history(site.store, tokens_of(filters.seller), filters.tenant) if filters.seller else None,
        chosen=chosen,
        filtered=bool(set_ones),
        refused=refused,
        query=f"?{urlencode(set_ones)}" if set_ones else "",
        following=f"/?{urlencode({**set_ones, 'after': found.after})}" if found.after else "",
        open_by_severity={severity: counts["", severity, UNDECIDED] for severity in reversed(SEVERITIES)},
        empty=not counts.total(),
        behind=looked(site.store, site.clock.now()),
        severities=SEVERITIES,
        statuses=STATUSES,
    )
