"""Show what a shift hands over to the next; write a handover, and accept one."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from alerts.cases.actions import parse_past_moment
from alerts.cases.decisions import TOKEN_BYTES
from alerts.cases.handovers import HandoverEntry, ShiftHandovers
from alerts.cases.queue import Handover, HandoverPart, IncidentQueue, handover
from alerts.coverage import view
from alerts.coverage.report import CoverageReader, to_typed, verdict
from alerts.deadlines.schedule import Work
from alerts.records import Incident
from alerts.records.document import QueryError
from alerts.web.dependencies import Console, Text, redact_form, require_permission
from alerts.web.incident_changes import validate_token
from alerts.web.pages.coverage import describe_gap
from alerts.web.templating import MenuEntry
from ullage.phrase import Phrase
from ullage.settings.tenants import UnknownTenantError

MENU = MenuEntry("/handover", Phrase("Handover"), "incident.read coverage.read", "work", 2)
INCIDENTS_SHOWN = 5
"""Incidents of a part; the queue has all."""
ENTRIES_SHOWN = 5
"""Earlier handovers that are listed."""
Typed = Annotated[str, Form(max_length=5_000)]
Reader = Annotated[Console, require_permission("incident.read")]
Decider = Annotated[Console, require_permission("incident.decide")]


def routes() -> APIRouter:
    """Return the routes of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/handover", dependencies=[require_permission("coverage.read")])
    def show_handover(site: Reader, since: Text = "", tenant: Text = "") -> HTMLResponse:
        return _show_page(site, {"since": since, "tenant": tenant})

    @router.post("/handover", dependencies=[require_permission("coverage.read")])
    def write_handover(
        site: Decider,
        since: Typed = "",
        tenant: Typed = "",
        to: Typed = "",
        note: Typed = "",
        token: Typed = "",
    ) -> Response:
        typed = {"since": since, "tenant": tenant, "to": to, "note": note}
        try:
            validate_token(token)
            ShiftHandovers(site.store, site.trail).write(
                _summarize(site, since, tenant),
                by=site.actor(),
                to=to,
                receivers=_list_receivers(site, tenant),
                note=note,
                token=token,
            )
        except (QueryError, UnknownTenantError) as error:
            return _show_page(site, typed, refused=error)
        return RedirectResponse("/handover#handovers", 303)

    @router.post("/handover/accept", dependencies=[require_permission("coverage.read")])
    def accept_handover(site: Decider, entry: Typed = "") -> Response:
        try:
            ShiftHandovers(site.store, site.trail).accept(entry, by=site.actor())
        except QueryError as error:
            return _show_page(site, {"since": "", "tenant": ""}, refused=error)
        return RedirectResponse("/handover#handovers", 303)

    return router


def _summarize(site: Console, since: str, tenant: str) -> Handover:
    """Return the handover of the period that the page's form names.

    Raises QueryError if its beginning is invalid, UnknownTenantError for an unknown tenant.
    """
    site.require_known_tenant(tenant)
    zone = ZoneInfo(site.duties.tenant(tenant).zone)
    start = parse_past_moment(since, zone, site.clock.now()) if since else None
    queue = IncidentQueue(Work(site.duties), site.principal.name, site.shifts)
    return handover(queue, tenant, start, INCIDENTS_SHOWN)


def _list_receivers(site: Console, tenant: str) -> list[str]:
    """Return who may take over from the principal, by name: who may decide on the incidents."""
    tenants = [tenant] if tenant else [*site.tenants] or [""]
    names = {
        name
        for visible in tenants
        for name in site.door.accounts.list_names_with("incident.decide", visible)
    }
    return sorted(names - {site.principal.name})


def _show_page(
    site: Console, typed: dict[str, str], refused: Exception | None = None
) -> HTMLResponse:
    tenant = typed["tenant"]
    try:
        details = _summarize(site, typed["since"], tenant)
    except (QueryError, UnknownTenantError) as error:
        details, tenant, refused = _summarize(site, "", ""), "", error
        at = "since"
    else:
        at = refused.members[0] if isinstance(refused, QueryError) and refused.members else ""
    ledger = CoverageReader(site.context, site.store)
    gaps = view.merge_gaps(details.blind.gaps(), ledger.zone)
    entries = ShiftHandovers(site.store, site.trail).list_own(site.principal.name)
    return site.page(
        "handover.html",
        400 if refused else 200,
        found=details,
        parts_shown=[*_list_parts(details, tenant)],
        rows=[row for row, _ in details.rows()],
        verdict=verdict(details.blind, ()),
        unexplained=len(details.blind.find_unexplained()),
        gaps=[describe_gap(gap, details.blind, ledger) for gap in reversed(gaps)],
        coverage_query=urlencode({"since": to_typed(details.since, ledger.zone)}),
        waiting=[*_list_waiting(site, entries)],
        entries=entries[:ENTRIES_SHOWN],
        receivers=_list_receivers(site, tenant),
        token=secrets.token_hex(TOKEN_BYTES),
        typed={"to": "", "note": "", **redact_form(typed)},
        refused=refused,
        at=at,
    )


def _list_waiting(
    site: Console, entries: list[HandoverEntry]
) -> Iterator[tuple[HandoverEntry, list[Incident]]]:
    """Yield the handovers that wait for the principal, each with its incidents that are visible."""
    for entry in entries:
        if entry.is_waiting_for(site.principal.name):
            incidents = site.store.mget(Incident, entry.handover.incidents)
            yield entry, [incidents[id_] for id_ in entry.handover.incidents if id_ in incidents]


def _list_parts(details: Handover, tenant: str) -> Iterator[tuple[Phrase, HandoverPart, str]]:
    """Yield each part with its title and its address in the incident list."""
    new = {"tab": "all", "since": details.since.isoformat(timespec="seconds")}
    places = (new, {"status": "open"}, {"tab": "due"}, {"tab": "unassigned"})
    for (title, part), place in zip(details.parts().items(), places, strict=True):
        query = urlencode({**place, "flat": "1", **({"tenant": tenant} if tenant else {})})
        yield title, part, f"/?{query}"
