"""Request the customer references of an incident, approve such requests, and download the result.

Other people approve what one person requests. Match resolves the references over its socket while
the response is sent; none is stored here or appears in an address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response

from alerts.cases.decisions import Decisions
from alerts.cases.incident_list import customers_csv
from alerts.cases.references import References
from alerts.records import Incident
from alerts.records.document import QueryError
from alerts.web.dependencies import Console, redact_form, require_permission
from alerts.web.dropped_files import Judge, NotResolvedError
from alerts.web.incident_changes import validate_token
from alerts.web.pages.incident import GONE, download, show_incident
from alerts.web.refused_form import RefusedForm
from ullage.phrase import Phrase
from ullage.runtime.assessing import ReferenceApproval, folder_of

Typed = Annotated[str, Form(max_length=5_000)]
Asker = Annotated[Console, require_permission("references.ask")]
Approver = Annotated[Console, require_permission("references.approve")]


def routes() -> APIRouter:
    """Return the routes of this page."""
    router = APIRouter(include_in_schema=False)

    @router.post("/incidents/{id_}/references")
    def ask(
        site: Asker, id_: str, case: Typed = "", note: Typed = "", token: Typed = ""
    ) -> Response:
        details = {"case": case, "reason": note, "token": token}

        def make_request(incident: Incident) -> Response:
            validate_token(token)
            if not asyncio.run(Judge(folder_of(site.context)).can_resolve(incident.tenant)):
                raise QueryError(
                    "match cannot resolve pseudonyms of this tenant now: see below how to do it",
                    "case",
                )
            _open_references(site, incident).ask(incident, by=site.actor(), **details)
            return _redirect_to_customers(id_)

        return _answer_form(
            site, id_, {"status": "references", "case": case, "note": note}, make_request
        )

    @router.post("/incidents/{id_}/references/answer")
    def answer(
        site: Approver,
        id_: str,
        entry: Typed = "",
        answer: Typed = "",
        note: Typed = "",
        token: Typed = "",
    ) -> Response:
        def record_answer(incident: Incident) -> Response:
            validate_token(token)
            if answer not in ("approve", "refuse"):
                raise QueryError("approve the request, or refuse it", "note")
            details = {"by": site.actor(), "note": note, "token": token}
            _open_references(site, incident).answer(
                incident, entry, approve=answer == "approve", **details
            )
            return _redirect_to_customers(id_)

        return _answer_form(site, id_, {"status": f"answer {entry}", "note": note}, record_answer)

    @router.post("/incidents/{id_}/references.csv")
    def download_references(site: Asker, id_: str, entry: Typed = "") -> Response:
        return _answer_form(
            site,
            id_,
            {"status": f"take {entry}", "note": ""},
            lambda incident: _build_call_list(site, incident, entry),
        )

    return router


def _open_references(site: Console, incident: Incident) -> References:
    needed = site.duties.tenant(incident.tenant).reference_approvals
    return References(Decisions(site.duties, site.trail), site.clock, needed)


def _redirect_to_customers(id_: str) -> Response:
    return RedirectResponse(f"/incidents/{id_}#customers", 303)


def _answer_form(
    site: Console, id_: str, typed: dict[str, str], make: Callable[[Incident], Response]
) -> Response:
    """Return what `make` answers for the incident.

    If the incident is gone or `make` refuses, the incident page shows the reason. Handled so are
    QueryError and NotResolvedError; other errors are raised.
    """
    incident = site.store.get(Incident, id_)
    if incident is None:
        return site.missing(GONE)
    try:
        return make(incident)
    except (QueryError, NotResolvedError) as error:
        at = error.members[0] if isinstance(error, QueryError) and error.members else "note"
        return show_incident(
            site, id_, RefusedForm(error, at, redact_form(typed) | {"status": typed["status"]})
        )


def _build_call_list(site: Console, incident: Incident, entry: str) -> Response:
    """Return the call list with customer references; it is logged before it is sent.

    `entry` is the approved request. Pseudonyms without a reference stay in the list without one.
    Raises NotResolvedError if none of the pseudonyms has a reference here, or match does not
    answer.
    """
    request, pseudonyms = _open_references(site, incident).get_approved(
        incident, entry, by=site.actor()
    )
    details = request.request
    approval = ReferenceApproval(
        incident=incident.id,
        case=details.reference,
        reason=details.note,
        by=details.by,
        approved_by=request.approved_by,
    )
    references = asyncio.run(
        Judge(folder_of(site.context)).resolve(incident.tenant, approval, pseudonyms)
    )
    if not references:
        raise NotResolvedError(
            Phrase(
                "none of these pseudonyms is in the encrypted references that match"
                " has: install those of the current list"
            )
        )
    text, count = customers_csv(site.store, incident, references=references)
    what = (
        f"incident {incident.id}: {count} pseudonyms, {len(references)} references, case"
        f" {details.reference}"
    )
    site.trail.append(
        "incident.references_taken",
        what,
        actor=site.actor(),
        tenant=incident.tenant,
        reason=details.note,
    )
    return download(text.encode(), "text/csv; charset=utf-8", f"{incident.id}-references.csv")
