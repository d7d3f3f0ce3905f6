"""What `/v1` can be asked, as an OpenAPI document: what programs are made from, for whoever may log in or has a token."""

from __future__ import annotations

import copy
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse

from alerts.accounts import PERMISSIONS
from alerts.web.api import PREFIX
from alerts.web.dependencies import ANYBODY, logged_in, needed, routes_of

REFUSALS = {
    "400": "What was asked cannot be; the error says why and repeats nothing of it",
    "401": "No token, or none that is good",
    "403": "The token does not allow this, or another site's page has sent it",
    "404": "There is no such thing, or it is another tenant's",
    "405": "GET, HEAD and POST only",
    "411": "The length of the body is missing",
    "413": "The body is too large",
    "414": "The address is too long",
    "421": "Not a name of this console",
    "429": "Too often; Retry-After has the seconds to wait",
    "503": "The incident store cannot be reached; try again soon",
}
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "version": {"type": "string", "description": "Of the incident as it stands now"}},
}


def routes() -> APIRouter:
    """The routes of this file."""
    router = APIRouter(include_in_schema=False, prefix=PREFIX)

    @router.get("/openapi.json", dependencies=[logged_in()])
    def described(request: Request) -> JSONResponse:
        return JSONResponse(document(request.app))

    return router


def document(app: FastAPI) -> dict[str, Any]:
    """The document: FastAPI's, with who may ask, and every answer that a route can give."""
    found = copy.deepcopy(app.openapi())  # which is kept: what is added to it would be added again for each who asks
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Error"] = ERROR
    found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    found["security"] = [{"token": []}]
    needs = {
        (route.path, method.lower()): needed(route) - {ANYBODY} for route in routes_of(app) for method in route.methods or ()
    }
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            _complete(operation, needs[path, method])
    return found


def _complete(operation: dict[str, Any], needs: frozenset[str]) -> None:
    """What every route has: refusals, and the permission that it takes."""
    answers = operation["responses"]
    answers.pop("422", None)  # what is not as declared is answered 400, without repeating it
    json, text = {"schema": {"$ref": "#/components/schemas/Error"}}, {"schema": {"type": "string"}}
    for status, why in REFUSALS.items():
        answers.setdefault(status, {"description": why, "content": {"application/json": json, "text/plain": text}})
    words = [f"Needs `{one}`: {PERMISSIONS[one]}." for one in sorted(needs) if one in PERMISSIONS]
    operation["description"] = "\n\n".join(filter(None, (operation.get("description", ""), *words)))
