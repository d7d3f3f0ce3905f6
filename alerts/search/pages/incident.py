"""One incident, and decisions on it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from alerts.clocks.duties import Duty
from alerts.clocks.regimes import regimes_of
from alerts.clocks.render import clock_words
from alerts.decisions.decide import TOKEN_BYTES, Decisions, needed_for
from alerts.noise.suppressions import suppressed
from alerts.read.query import whole
from alerts.records import Incident
from alerts.search.asked import Text
from alerts.search.may import may
from alerts.search.site import Site
from alerts.store import QueryError
from ullage.phrase import Phrase

ACTIONS = {
    "acknowledged": "Acknowledge · 受理",
    "confirmed": "Confirm · 确认",
    "resolved": "Resolve · 处置完毕",
    "false_positive": "False positive · 误报",
    "telling_approved": "DPO: customers may be told · 个保负责人批准告知客户",
    "telling_withdrawn": "DPO: not to be told any more · 撤回批准",
    "note": "Note only · 仅备注",
}
Typed = Annotated[str, Form()]
Reader = Annotated[Site, may("incident.read")]
Decider = Annotated[Site, may("incident.decide")]


def routes() -> APIRouter:
    """The routes of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/incidents/{id_}")
    def incident(site: Reader, id_: str, after: Text = "") -> HTMLResponse:
        return _incident_page(site, id_, after=after)

    @router.post("/incidents/{id_}/decisions")
    def decide(site: Decider, id_: str, status: Typed = "", note: Typed = "", token: Typed = "") -> Response:
        found = site.store.get(Incident, id_)
        if found is None:
            return _missing(site)
        try:
            if len(token) != 2 * TOKEN_BYTES or not set(token) <= set("0123456789abcdef"):
                raise QueryError("the form is not one of ours: open the incident again")
            if status == "reported":
                raise QueryError("say under which rule it was reported, and which report that was")
            who = site.principal
            who.require(needed_for(status))
            Decisions(site.store, site.trail).make(
                found, status, by=site.actor(), note=note, token=token, roles=site.principal.roles
            )
        except QueryError as error:
            return _incident_page(site, id_, str(error))
        return RedirectResponse(f"/incidents/{found.id}#decisions", 303)

    return router


def _rulings(site: Site, incident: Incident, duties: Iterable[Duty]) -> dict[str, str]:
    """What may be decided of the regimes of an incident's tenant, by the value of the form."""
    asking = {duty.regime.id for duty in duties if duty.state not in ("met", "waived")}
    found = {}
    for regime in regimes_of(incident.tenant, site.duties.tenant(incident.tenant)):
        if regime.id in asking:
            found[f"waived {regime.id}"] = f"Not due: {regime.id} · 无需报告"
        else:
            found[f"applies {regime.id}"] = f"Applies: {regime.id} · 适用"
    return found


def _incident_page(site: Site, id_: str, refused: str = "", after: str = "") -> HTMLResponse:
    """One incident; its customers are those behind the mark `after`."""
    found = whole(site.store, id_, after=after)
    if found is None:
        return _missing(site)
    now, zone = site.clock.now(), ZoneInfo(site.duties.tenant(found.incident.tenant).zone)
    duties = site.duties.of(found.incident, found.decisions)
    decide = site.duties.decides([found.incident]).get(id_)
    shown = {
        "found": found,
        "after": after,
        "clocks": [clock_words(duty, now, zone) for duty in duties],
        "decide": decide.words(now, zone) if decide else None,
        "rulings": _rulings(site, found.incident, duties),
        "silence": suppressed(site.store, [found.incident], now).get(id_),
    }
    status, token = 400 if refused else 200, secrets.token_hex(TOKEN_BYTES)
    return site.page("incident.html", status, **shown, actions=ACTIONS, token=token, refused=refused)


def _missing(site: Site) -> HTMLResponse:
    return site.missing(Phrase("There is no such incident; it may have passed its retention."))
