"""Open the evidence of an incident by two officers: ask, approve, download one time.

The officers' key files and passphrases travel in the body of a form that is read in memory. Neither
they nor the opened evidence are stored, logged or shown again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, File, Form
from fastapi.responses import RedirectResponse, Response

from alerts.cases.evidence import vault_of
from alerts.cases.two_officers import OfficerKey, TwoOfficers
from alerts.records import Incident
from alerts.records.document import QueryError
from alerts.web.dependencies import Console, redact_form, require_permission
from alerts.web.pages.incident import GONE, download, show_incident
from alerts.web.refused_form import RefusedForm

Typed = Annotated[str, Form(max_length=5_000)]
KeyFile = Annotated[bytes, File(max_length=4_096)]
Officer = Annotated[Console, require_permission("evidence.open")]
TAR = "application/x-tar"


def routes() -> APIRouter:
    """Return the routes of this page."""
    router = APIRouter(include_in_schema=False)

    @router.post("/incidents/{id_}/evidence")
    def ask(site: Officer, id_: str, case: Typed = "", note: Typed = "") -> Response:
        def keep(incident: Incident) -> Response:
            _open_requests(site).ask(incident, by=site.actor(), case=case, reason=note)
            return RedirectResponse(f"/incidents/{id_}#seen", 303)

        return _answer_form(site, id_, {"status": "evidence", "case": case, "note": note}, keep)

    @router.post("/incidents/{id_}/evidence/approve")
    def approve(
        site: Officer, id_: str, entry: Typed = "", passphrase: Typed = "", key: KeyFile = b""
    ) -> Response:
        def release(incident: Incident) -> Response:
            officer = OfficerKey(key, passphrase)
            _open_requests(site).approve(incident, entry, by=site.actor(), officer=officer)
            return RedirectResponse(f"/incidents/{id_}#seen", 303)

        return _answer_form(site, id_, {"status": f"evidence {entry}", "note": ""}, release)

    @router.post("/incidents/{id_}/evidence.tar")
    def take(
        site: Officer, id_: str, entry: Typed = "", passphrase: Typed = "", key: KeyFile = b""
    ) -> Response:
        def pack(incident: Incident) -> Response:
            officer = OfficerKey(key, passphrase)
            tar = _open_requests(site).open(incident, entry, by=site.actor(), officer=officer)
            return download(tar, TAR, f"{id_}-evidence.tar")

        return _answer_form(site, id_, {"status": f"evidence {entry}", "note": ""}, pack)

    return router


def _open_requests(site: Console) -> TwoOfficers:
    return TwoOfficers(site.store, vault_of(site.context), site.trail, site.openings)


def _answer_form(
    site: Console, id_: str, typed: dict[str, str], make: Callable[[Incident], Response]
) -> Response:
    """Return what `make` answers for the incident; if it refuses, the incident with the reason."""
    incident = site.store.get(Incident, id_)
    if incident is None:
        return site.missing(GONE)
    try:
        return make(incident)
    except QueryError as error:
        at = error.members[0] if error.members else ""
        return show_incident(
            site, id_, RefusedForm(error, at, redact_form(typed) | {"status": typed["status"]})
        )
