"""What `/v1` can be asked, as an OpenAPI document: what programs are made from, for whoever may log in or has a token."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from alerts.accounts import PERMISSIONS
from alerts.cases import incident_view
from alerts.records import STATUSES, Decision, Exposure, Incident, Sighting
from alerts.web import examples
from alerts.web.api import PREFIX
from alerts.web.dependencies import ANYBODY, logged_in, needed, routes_of
from alerts.web.examples import EXAMPLES, PARAMETERS
from alerts.web.problems import CODES, MEDIA_TYPE, Code, Problem

TAGS: Mapping[str, str] = {
    "incidents": "List incidents with their customers and sightings, decide on them, export them.",
    "events": "Follow what becomes of incidents, as signed events.",
    "people": "Ask whether customers are exposed, and report the outcomes of fraud cases.",
    "files": "Assess files.",
}
ON_CHANGES: frozenset[Code] = frozenset({"version_mismatch", "version_required"})
"""Problems of routes that take `If-Match` alone."""
ON_FILES: frozenset[Code] = frozenset({"assessment_unavailable", "assessment_busy"})
REF = "#/components/schemas/{model}"
PROBLEM = {"schema": {"$ref": REF.format(model="Problem")}}
REQUEST_ID = {"description": "The id of the request, also in the audit log", "schema": {"type": "string"}}
TEXT, OBJECT, VERSION = {"type": "string"}, {"type": "object"}, {"type": "string", "description": "For `If-Match`"}
MAYBE = {"anyOf": [OBJECT, {"type": "null"}]}
NEXT = {"next_step": TEXT, "next_step_zh": TEXT, "suppressed": MAYBE}


def routes() -> APIRouter:
    """The routes of this file."""
    router = APIRouter(include_in_schema=False, prefix=PREFIX)

    @router.get("/openapi.json", dependencies=[logged_in()])
    def described(request: Request) -> JSONResponse:
        asked = request.state.asked
        return JSONResponse(document(request.app, f"{asked.origin}{asked.base}"))

    return router


def document(app: FastAPI, server: str) -> dict[str, Any]:
    """The document: FastAPI's, with who may ask, every answer that a route can give, and examples; `server` is its address."""
    found = copy.deepcopy(app.openapi())  # which is kept: what is added to it would be added again for each who asks
    found["servers"] = [{"url": server, "description": "This console"}]
    found["tags"] = [{"name": name, "description": said} for name, said in TAGS.items()]
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas |= _problems() | _documents()
    for page, item in (("IncidentList", "IncidentSummary"), ("CustomerList", "Customer"), ("SightingList", "Sighting")):
        schemas[page]["properties"]["items"]["items"] = {"$ref": REF.format(model=item)}
    whole = found["paths"][f"{PREFIX}/incidents/{{id_}}"]["get"]["responses"]["200"]["content"]["application/json"]
    whole["schema"] = {"$ref": REF.format(model="IncidentDetails")}
    found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    found["security"] = [{"token": []}]
    needs = {
        (route.path, method.lower()): needed(route) - {ANYBODY} for route in routes_of(app) for method in route.methods or ()
    }
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            _complete(operation, needs[path, method])
    return found


def _problems() -> dict[str, Any]:
    described = Problem.model_json_schema(ref_template=REF, mode="serialization")
    return {**described.pop("$defs"), "Problem": described}


def _documents() -> dict[str, Any]:
    """The schemas of what routes show of the store's documents."""
    found = dict[str, Any]()
    status = {"status": {"type": "string", "enum": [*STATUSES]}}
    incident = _shown(found, Incident, without=incident_view.HIDDEN["incident"])
    summary = {name: one for name, one in incident.items() if name in incident_view.SUMMARY}
    found["IncidentSummary"] = _object({**summary, **NEXT, **status}, "An incident in a list.")
    found["Sighting"] = _object(_shown(found, Sighting, without=incident_view.HIDDEN["sighting"]), "One sighting of an incident.")
    customer = _shown(found, Exposure, without=incident_view.HIDDEN["customer"])
    found["Customer"] = _object({**customer, "pseudonym": TEXT}, "A customer in an incident, by pseudonym.")
    found["Decision"] = _object(_shown(found, Decision, without={"id"}), "What was decided of an incident.")
    lists = {name: {"type": "array", "items": OBJECT} for name in ("deadlines", "sellers")}
    lists |= {name: {"type": "array", "items": {"$ref": REF.format(model=item)}} for name, item in _LISTS.items()}
    more = {"decide": MAYBE, "fraud": OBJECT, "version": VERSION, "seen_after": TEXT, "exposures_after": TEXT}
    found["IncidentDetails"] = _object({**incident, **NEXT, **status, **lists, **more}, "An incident with what belongs to it.")
    return found


_LISTS = {"seen": "Sighting", "exposures": "Customer", "decisions": "Decision"}


def _shown(schemas: dict[str, Any], kind: type[BaseModel], without: Collection[str]) -> dict[str, Any]:
    """The members of a document that are shown; what they refer to joins `schemas`."""
    described = kind.model_json_schema(ref_template=REF, mode="serialization")
    shown = {name: one for name, one in described["properties"].items() if name not in without}
    waiting = _referred(shown)
    while waiting:
        name = waiting.pop()
        if name not in schemas:
            schemas[name] = described["$defs"][name]
            waiting |= _referred(schemas[name])
    return shown


def _referred(schema: Any) -> set[str]:
    """The names of the components to which a schema refers."""
    if isinstance(schema, dict):
        own = {schema["$ref"].rpartition("/")[2]} if isinstance(schema.get("$ref"), str) else set[str]()
        return own.union(*map(_referred, schema.values()))
    return set[str]().union(*map(_referred, schema)) if isinstance(schema, list) else set()


def _object(members: Mapping[str, Any], said: str) -> dict[str, Any]:
    return {"type": "object", "description": said, "properties": dict(members), "required": sorted(members)}


def _complete(operation: dict[str, Any], needs: frozenset[str]) -> None:
    """What every route has: problems, the permission that it takes, examples."""
    answers = operation["responses"]
    answers.pop("422", None)  # what is not as declared is answered 400
    changes = any(one["name"] == "If-Match" for one in operation.get("parameters", ()))
    for code, kind in CODES.items():
        if (changes or code not in ON_CHANGES) and ("files" in operation["tags"] or code not in ON_FILES):
            told = answers.setdefault(str(kind.status), {"description": "", "content": {MEDIA_TYPE: PROBLEM}})
            told["description"] = ". ".join(filter(None, (told["description"], f"`{code}`: {kind.title}")))
    for answer in answers.values():
        answer["headers"] = {**answer.get("headers", {}), "X-Request-Id": REQUEST_ID}
    _illustrate(operation)
    words = [f"Needs `{one}`: {PERMISSIONS[one]}." for one in sorted(needs) if one in PERMISSIONS]
    operation["description"] = "\n\n".join(filter(None, (operation.get("description", ""), *words)))


def _illustrate(operation: dict[str, Any]) -> None:
    """Put words and examples where they belong."""
    for one in operation.get("parameters", ()):
        means, one["example"] = PARAMETERS[one["name"]]
        one["description"] = means
    request, response = EXAMPLES[operation["operationId"]]
    for body, example in ((operation.get("requestBody", {}), request), (operation["responses"]["200"], response)):
        for media in body.get("content", {}).values():
            if example is not None:
                media["example"] = example
    operation["responses"]["400"]["content"][MEDIA_TYPE] = {**PROBLEM, "example": examples.PROBLEM}
