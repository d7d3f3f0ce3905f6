"""Assess a file for a program: upload a form, receive the verdict.

The form is that of the page. Nothing is kept for a later request.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from alerts.cases.lookups.lookup import PURPOSES
from alerts.web.api import PREFIX
from alerts.web.dependencies import Console, require_permission
from alerts.web.dropped_files import BusyError, NotJudgedError
from alerts.web.pages.assess import (
    BODY,
    HOW,
    MOST_GIVER,
    describe_refusal,
    receive_file,
    record_export,
)
from alerts.web.problems import MemberProblem, ProblemError

FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "title": "FileForm",
                    "type": "object",
                    "required": ["how", "giver", "purpose", "file"],
                    "properties": {
                        "how": {"type": "string", "enum": [one for one in HOW if one != "bought"]},
                        "giver": {
                            "type": "string",
                            "maxLength": MOST_GIVER,
                            "description": "Who provided it; may be empty",
                        },
                        "purpose": {"type": "string", "enum": [*PURPOSES]},
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "The last part of the form",
                        },
                    },
                }
            }
        },
    }
}
"""The form in the OpenAPI document; the route itself reads it as it arrives.

All members are required, so that clients send them in this order: what is known about a file has to
come before it.
"""


class OpenedIncident(BaseModel):
    """The incident of a tenant that the file's finding is in.

    `is_new` says whether the finding opened it. Without an incident, `why_not` gives the reason.
    """

    incident: str
    is_new: bool
    severity: str
    why_not: str


class AssessedFile(BaseModel):
    """The verdict, as `ullage assess --json` prints it.

    `opened` has the incidents by tenant if they were to be opened, `customers` the customers if
    they were requested.
    """

    verdict: dict[str, Any]
    opened: dict[str, OpenedIncident]
    customers: list[dict[str, str]] = []


def routes() -> APIRouter:
    """Return the routes of this module."""
    router = APIRouter(prefix=PREFIX, tags=["files"])

    @router.post(
        "/assess",
        operation_id="assess_file",
        dependencies=[BODY],
        response_model=AssessedFile,
        openapi_extra=FORM,
    )
    async def assessed(
        request: Request,
        site: Annotated[Console, require_permission("file.assess")],
        to_open: Annotated[bool, Query(alias="open")] = False,
        customers: bool = False,
    ) -> Response:
        """Assess a file without storing it.

        `open` opens an incident of it, `customers` lists the affected customers.
        """
        return await _assess(site, request, to_open=to_open, customers=customers)

    return router


async def _assess(site: Console, request: Request, *, to_open: bool, customers: bool) -> Response:
    """Return the assessment of the file in a form, as JSON.

    `to_open` opens incidents. With `customers`, which needs the permission `customers.export` and
    is written to the audit log, the pseudonyms are included. Status 400 without a body if the
    sender disconnects. Raises ProblemError if there is no verdict or the form is faulty.
    """
    if customers:
        site.principal.require("customers.export")
    try:
        name, _, refused = await receive_file(site, request, to_open=to_open)
    except ClientDisconnect:
        return Response(status_code=400)
    if refused:
        raise _to_problem(refused)
    dropped = site.held.get(name, site.principal)
    assert dropped is not None  # it was held just now
    opened = {tenant: incident._asdict() for tenant, incident in dropped.opened.items()}
    answer: dict[str, Any] = {"verdict": dropped.judged.verdict, "opened": opened}
    if customers:
        record_export(site, dropped)
        rows = csv.DictReader(io.StringIO(dropped.judged.customers))
        answer["customers"] = [{"pseudonym": row.pop("handle"), **row} for row in rows]
    return JSONResponse(answer)


def _to_problem(refused: Mapping[str, object]) -> ProblemError:
    """Return the problem of a refused form, or of match that is busy or not running."""
    error, (_, headers) = refused.get("file"), describe_refusal(refused)
    detail = "; ".join(f"{field}: {why}" for field, why in refused.items())
    if isinstance(error, BusyError | NotJudgedError):
        return ProblemError(
            "assessment_busy" if headers else "assessment_unavailable", detail, headers=headers
        )
    errors = [
        MemberProblem(member=field, code="invalid", detail=str(why))
        for field, why in refused.items()
    ]
    return ProblemError("invalid_request", detail, errors)
