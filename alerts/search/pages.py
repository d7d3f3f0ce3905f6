"""The list of incidents, one incident, and decisions on it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Annotated
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from alerts.clocks.duties import RULINGS, Duty, status_with_report
from alerts.clocks.regimes import is_stage, regimes, regimes_of
from alerts.clocks.shown import clock_words
from alerts.noise.suppressions import suppressed
from alerts.query import Filters, Listed, listed, whole
from alerts.records import SEVERITIES, STATUSES, Decision, Incident
from alerts.search.asked import Asked, Text
from alerts.search.site import Site
from alerts.status import UNDECIDED, status_of, tally
from alerts.store import QueryError, Where
from alerts.typed import checked_ground, checked_name, checked_note

PAGE = 50
ACTIONS = {
    "acknowledged": "Acknowledge · 受理",
    "confirmed": "Confirm · 确认",
    "resolved": "Resolve · 处置完毕",
    "false_positive": "False positive · 误报",
    "note": "Note only · 仅备注",
}
Typed = Annotated[str, Form()]


def routes(site: Site) -> APIRouter:
    """The routes of this module over `site`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def incidents(
        filters: Asked,
        after: Text = "",
    ) -> HTMLResponse:
        try:
            found = listed(site.store, filters, PAGE, after)
        except QueryError as error:
            return _list_page(site, Filters(), Listed((), ""), str(error))
        return _list_page(site, filters, found, "")

    @router.get("/incidents/{id_}")
    def incident(id_: str) -> HTMLResponse:
        return _incident_page(site, id_)

    @router.post("/incidents/{id_}/decisions")
    def decide(id_: str, by: Typed = "", status: Typed = "", note: Typed = "", token: Typed = "") -> Response:
        found = site.store.get(Incident, id_)
        if found is None:
            return _missing(site)
        try:
            _keep(site, _decision(site, found, by, status, note, token))
        except QueryError as error:
            return _incident_page(site, id_, str(error))
        return RedirectResponse(f"/incidents/{found.id}#decisions", 303)

    return router


def _decision(site: Site, incident: Incident, by: str, status: str, note: str, token: str) -> Decision:
    """A decision from its form. The token makes a form that is sent twice one decision."""
    status, regime, stage = _chosen(site, incident, status)
    if len(token) != 16 or not set(token) <= set("0123456789abcdef"):
        raise QueryError("the form is not one of ours: open the incident again")
    if status == "note" and not regime and not note.strip():
        raise QueryError("a note without text says nothing")
    return Decision.model_validate(
        {
            "id": f"{incident.id}:{token}",
            "tenant": incident.tenant,
            "incident": incident.id,
            "at": site.clock.now(),
            "by": checked_name(by),
            "status": status,
            "note": checked_ground(note) if stage in RULINGS else checked_note(note),
            "regime": regime,
            "stage": stage,
        }
    )


def _chosen(site: Site, incident: Incident, typed: str) -> tuple[str, str, str]:
    """Status, regime and stage of what was chosen: an action, `reported REGIME STAGE`, `applies REGIME` or `waived REGIME`."""
    if typed in ACTIONS:
        return typed, "", ""
    status, regime, stage = [*typed.split(" "), "", ""][:3]
    if status in RULINGS and regime in regimes():
        return "note", regime, status
    if status != "reported" or not is_stage(regime, stage):
        raise QueryError(f"a decision is one of {', '.join(ACTIONS)}, or a report under a regime")
    decided = site.store.scroll(Decision, Where({"incident": (incident.id,)}))
    return status_with_report(status_of(decided)), regime, stage


def _keep(site: Site, decision: Decision) -> None:
    """Store a decision, and the audit entry of it first; the same form sent again adds neither."""
    if site.store.get(Decision, decision.id) is None:
        what = " ".join(filter(None, (f"incident {decision.incident}: {decision.status}", decision.regime, decision.stage)))
        site.trail.append("incident.decide", what, actor=decision.by, tenant=decision.tenant, reason=decision.note)
        site.store.create([decision])


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


def _list_page(site: Site, filters: Filters, found: Listed, refused: str) -> HTMLResponse:
    chosen = {"tenant": filters.tenant, "severity": filters.severity, "status": filters.status}
    chosen |= {"place": filters.site, "kind": filters.kind, "q": filters.text}
    set_ones = {name: value for name, value in chosen.items() if value}
    counts = tally(site.store)
    silent = suppressed(site.store, [incident for incident, _ in found.rows], site.clock.now())
    return site.page(
        "list.html",
        400 if refused else 200,
        rows=found.rows,
        silent=silent,
        chosen=chosen,
        filtered=bool(set_ones),
        refused=refused,
        query=f"?{urlencode(set_ones)}" if set_ones else "",
        following=f"/?{urlencode({**set_ones, 'after': found.after})}" if found.after else "",
        open_by_severity={severity: counts["", severity, UNDECIDED] for severity in reversed(SEVERITIES)},
        empty=not counts.total(),
        severities=SEVERITIES,
        statuses=STATUSES,
    )


def _incident_page(site: Site, id_: str, refused: str = "") -> HTMLResponse:
    found = whole(site.store, id_)
    if found is None:
        return _missing(site)
    now, zone = site.clock.now(), ZoneInfo(site.duties.tenant(found.incident.tenant).zone)
    duties = site.duties.of(found.incident, found.decisions)
    shown = {"found": found, "clocks": [clock_words(duty, now, zone) for duty in duties]}
    shown |= {
        "rulings": _rulings(site, found.incident, duties),
        "silence": suppressed(site.store, [found.incident], now).get(id_),
    }
    status, token = 400 if refused else 200, secrets.token_hex(8)
    return site.page("incident.html", status, **shown, actions=ACTIONS, token=token, refused=refused)


def _missing(site: Site) -> HTMLResponse:
    return site.page(
        "problem.html", 404, title="Not here", message="There is no such incident; it may have passed its retention."
    )
