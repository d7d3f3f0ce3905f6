"""Show suppressions and benign posts, and add or lift suppressions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from alerts.cases.suppressions import (
    SuppressionConditions,
    Suppressions,
    background_counts,
    describe_conditions,
    find_active,
)
from alerts.records import Incident
from alerts.records.document import QueryError
from alerts.web.dependencies import Console, redact_form, require_permission
from alerts.web.incident_changes import find_actor
from alerts.web.pages.incident import show_incident
from alerts.web.refused_form import RefusedForm, find_field
from alerts.web.templating import MenuEntry
from ullage.phrase import Phrase

Typed = Annotated[str, Form()]
Reader = Annotated[Console, require_permission("noise.read")]
Changer = Annotated[Console, require_permission("noise.change")]
MENU = MenuEntry("/noise", Phrase("Noise"), "noise.read", "proof", 3)


def routes() -> APIRouter:
    """Return the routes of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/noise")
    def noise(site: Reader) -> HTMLResponse:
        return _show_page(site)

    @router.post("/incidents/{id_}/silence")
    def silence(
        site: Changer,
        id_: str,
        what: Typed = "",
        reason: Typed = "",
        days: Typed = "",
    ) -> Response:
        target = site.store.get(Incident, id_)
        if target is None:
            return site.missing(Phrase("This incident does not exist."))
        try:
            _desk(site).suppress(
                target.tenant,
                _read_conditions(target, what),
                days=int(days) if days.isdecimal() else 0,
                by=site.actor(),
                reason=reason,
            )
        except QueryError as error:
            typed = {"status": "silence", "what": what, "days": days, "reason": reason}
            at = find_field("silence", error)
            return show_incident(site, id_, RefusedForm(error, at, redact_form(typed)))
        return RedirectResponse(f"/incidents/{target.id}", 303)

    @router.post("/suppressions/{id_}/lift")
    def lift(site: Changer, id_: str, reason: Typed = "", incident: Typed = "") -> Response:
        try:
            _desk(site).lift(id_, by=site.actor(), reason=reason)
        except QueryError as error:
            return _show_page(site, error)
        return_to = site.store.get(Incident, incident) if incident else None
        return RedirectResponse(f"/incidents/{return_to.id}" if return_to else "/noise", 303)

    return router


def _desk(site: Console) -> Suppressions:
    return Suppressions(site.duties, site.trail, find_actor(site))


def _read_conditions(incident: Incident, what: str) -> SuppressionConditions:
    """Return the conditions that the form chose.

    They are this incident and similar ones, one of its sites, or its scenario. Raises QueryError if
    the form chose none.
    """
    kind, _, value = what.partition(" ")
    if kind == "incident":
        return SuppressionConditions(incident=incident.id)
    if kind == "site" and value in incident.sites:
        return SuppressionConditions(site=value)
    if kind == "rule" and value and value == incident.scenario:
        return SuppressionConditions(rule=value)
    raise QueryError("choose what to suppress: this incident, one of its sites, or its scenario")


def _show_page(site: Console, refused: QueryError | None = None) -> HTMLResponse:
    rules = {rule.id: rule for rule in site.background().rule}
    silenced = [
        (suppression, describe_conditions(suppression))
        for suppression in find_active(site.store, site.clock.now())
    ]
    counts = background_counts(site.store)
    return site.page(
        "noise.html",
        400 if refused else 200,
        silenced=silenced,
        counts=counts,
        rules=rules,
        refused=refused,
    )
