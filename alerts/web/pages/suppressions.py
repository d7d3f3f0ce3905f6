"""What is silenced and what is background: shown, made and lifted on the page."""

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
from alerts.web.dependencies import Console, require_permission
from alerts.web.incident_changes import find_actor
from alerts.web.templating import MenuEntry
from ullage.phrase import Phrase

Typed = Annotated[str, Form()]
Reader = Annotated[Console, require_permission("noise.read")]
Changer = Annotated[Console, require_permission("noise.change")]
MENU = MenuEntry("/noise", Phrase("Noise"), "noise.read", "proof", 3)


def routes() -> APIRouter:
    """The routes of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/noise")
    def noise(site: Reader) -> HTMLResponse:
        return _page(site)

    @router.post("/incidents/{id_}/silence")
    def silence(
        site: Changer,
        id_: str,
        what: Typed = "",
        reason: Typed = "",
        days: Annotated[int, Form()] = 0,
    ) -> Response:
        found = site.store.get(Incident, id_)
        if found is None:
            return site.missing(Phrase("This incident does not exist."))
        try:
            _desk(site).suppress(
                found.tenant, _conditions(found, what), days=days, by=site.actor(), reason=reason
            )
        except QueryError as error:
            return _page(site, error)
        return RedirectResponse(f"/incidents/{found.id}", 303)

    @router.post("/suppressions/{id_}/lift")
    def lift(site: Changer, id_: str, reason: Typed = "", incident: Typed = "") -> Response:
        try:
            _desk(site).lift(id_, by=site.actor(), reason=reason)
        except QueryError as error:
            return _page(site, error)
        came = site.store.get(Incident, incident) if incident else None
        return RedirectResponse(f"/incidents/{came.id}" if came else "/noise", 303)

    return router


def _desk(site: Console) -> Suppressions:
    return Suppressions(site.duties, site.trail, find_actor(site))


def _conditions(incident: Incident, what: str) -> SuppressionConditions:
    """What the form chose: this and what is like it, one of its sites, or its scenario."""
    kind, _, value = what.partition(" ")
    if kind == "incident":
        return SuppressionConditions(incident=incident.id)
    if kind == "site" and value in incident.sites:
        return SuppressionConditions(site=value)
    if kind == "rule" and value and value == incident.scenario:
        return SuppressionConditions(rule=value)
    raise QueryError("choose what to suppress: this incident, one of its sites, or its scenario")


def _page(site: Console, refused: QueryError | None = None) -> HTMLResponse:
    rules = {rule.id: rule for rule in site.background().rule}
    silenced = [
        (one, describe_conditions(one)) for one in find_active(site.store, site.clock.now())
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
