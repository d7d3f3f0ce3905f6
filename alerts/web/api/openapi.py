"""What `/v1` can be asked, as an OpenAPI document: what programs are made from, for whoever may log in or has a token."""

from __future__ import annotations

import copy
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse

from alerts.accounts import PERMISSIONS
from alerts.web.api import PREFIX
from alerts.web.dependencies import ANYBODY, logged_in, needed, routes_of
from alerts.web.problems import CODES, MEDIA_TYPE, Code, Problem

ON_CHANGES: frozenset[Code] = frozenset({"version_mismatch", "version_required"})
"""Problems of routes that take `If-Match` alone."""


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
    described = Problem.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    schemas |= {**described.pop("$defs"), "Problem": described}
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
    """What every route has: problems, and the permission that it takes."""
    answers = operation["responses"]
    answers.pop("422", None)  # what is not as declared is answered 400
    changes = any(one["name"] == "If-Match" for one in operation.get("parameters", ()))
    for code, kind in CODES.items():
        if code not in ON_CHANGES or changes:
            told = answers.setdefault(str(kind.status), {"description": "", "content": {MEDIA_TYPE: PROBLEM}})
            told["description"] = ". ".join(filter(None, (told["description"], f"`{code}`: {kind.title}")))
    words = [f"Needs `{one}`: {PERMISSIONS[one]}." for one in sorted(needs) if one in PERMISSIONS]
    operation["description"] = "\n\n".join(filter(None, (operation.get("description", ""), *words)))


PROBLEM = {"schema": {"$ref": "#/components/schemas/Problem"}}
