"""Customer references of an incident: asked for on its page, approved by others there, downloaded
by who asked.

Match resolves them over its socket while the answer is made; nothing of them is stored here or
stands in an address.
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
from alerts.web.pages.incident import GONE, RefusedForm, download, incident_page
from ullage.phrase import Phrase
from ullage.runtime.assessing import ReferenceApproval, folder_of

Typed = Annotated[str, Form(max_length=5_000)]
Asker = Annotated[Console, require_permission("references.ask")]
Approver = Annotated[Console, require_permission("references.approve")]


def routes() -> APIRouter:
    """The routes of this page."""
    router = APIRouter(include_in_schema=False)

    @router.post("/incidents/{id_}/references")
    def ask(
        site: Asker, id_: str, case: Typed = "", note: Typed = "", token: Typed = ""
    ) -> Response:
        said = {"case": case, "reason": note, "token": token}

        def made(incident: Incident) -> Response:
            validate_token(token)
            if not asyncio.run(Judge(folder_of(site.context)).can_resolve(incident.tenant)):
                raise QueryError(
                    "match cannot resolve pseudonyms of this tenant now: see below how to do it",
                    "case",
                )
            _references(site, incident).ask(incident, by=site.actor(), **said)
            return _back(id_)

        return _tried(site, id_, {"status": "references", "case": case, "note": note}, made)

    @router.post("/incidents/{id_}/references/answer")
    def answer(
        site: Approver,
        id_: str,
        entry: Typed = "",
        answer: Typed = "",
        note: Typed = "",
        token: Typed = "",
    ) -> Response:
        def made(incident: Incident) -> Response:
            validate_token(token)
            if answer not in ("approve", "refuse"):
                raise QueryError("approve the request, or refuse it", "note")
            said = {"by": site.actor(), "note": note, "token": token}
            _references(site, incident).answer(incident, entry, approve=answer == "approve", **said)
            return _back(id_)

        return _tried(site, id_, {"status": f"answer {entry}", "note": note}, made)

    @router.post("/incidents/{id_}/references.csv")
    def taken(site: Asker, id_: str, entry: Typed = "") -> Response:
        return _tried(
            site,
            id_,
            {"status": f"take {entry}", "note": ""},
            lambda incident: _file(site, incident, entry),
        )

    return router


def _references(site: Console, incident: Incident) -> References:
    needed = site.duties.tenant(incident.tenant).reference_approvals
    return References(Decisions(site.duties, site.trail), site.clock, needed)


def _back(id_: str) -> Response:
    return RedirectResponse(f"/incidents/{id_}#customers", 303)


def _tried(
    site: Console, id_: str, typed: dict[str, str], make: Callable[[Incident], Response]
) -> Response:
    """What `make` answers of the incident; its page where there is none to answer, with the
    reason.
    """
    incident = site.store.get(Incident, id_)
    if incident is None:
        return site.missing(GONE)
    try:
        return make(incident)
    except (QueryError, NotResolvedError) as error:
        at = error.members[0] if isinstance(error, QueryError) and error.members else "note"
        return incident_page(
            site, id_, RefusedForm(error, at, redact_form(typed) | {"status": typed["status"]})
        )


def _file(site: Console, incident: Incident, entry: str) -> Response:
    """The call list with customer references, which the audit log notes before it leaves."""
    request, pseudonyms = _references(site, incident).get_approved(incident, entry, by=site.actor())
    asked = request.asked
    approval = ReferenceApproval(
        incident=incident.id,
        case=asked.reference,
        reason=asked.note,
        by=asked.by,
        approved_by=request.approved_by,
    )
    found = asyncio.run(
        Judge(folder_of(site.context)).resolve(incident.tenant, approval, pseudonyms)
    )
    if not found:
        raise NotResolvedError(
            Phrase("none of these pseudonyms is in the encrypted references that match has")
        )
    text, count = customers_csv(site.store, incident, references=found)
    what = (
        f"incident {incident.id}: {count} pseudonyms, {len(found)} references, case"
        f" {asked.reference}"
    )
    site.trail.append(
        "incident.references_taken",
        what,
        actor=site.actor(),
        tenant=incident.tenant,
        reason=asked.note,
    )
    return download(text.encode(), "text/csv; charset=utf-8", f"{incident.id}-references.csv")
