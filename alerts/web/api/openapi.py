"""Describe the API as an OpenAPI document with examples, from which clients can be generated.

Anybody with a login or a token may read it. No value in the examples belongs to a real person.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from alerts.accounts import PERMISSIONS
from alerts.cases import incident_view
from alerts.cases.queue import ORDERS, ORIGINS, TABS
from alerts.notify.payload import WebhookMessage
from alerts.records import SEVERITIES, STATUSES, Decision, Exposure, Incident, Sighting
from alerts.web.api import PREFIX
from alerts.web.dependencies import ANYBODY, list_permissions, list_routes, require_login
from alerts.web.problems import CODES, MEDIA_TYPE, Code, Problem

PSEUDONYM, NOBODY = "3f0c9a52b7d84e16a1c57e90d2b64f38", "0" * 32
INCIDENT, OTHER = "INC-4TQ2M6ZKXA", "INC-7R3BWPL5DY"
ETAG = "9b1f04c6e7a2d358"


class Parameter(NamedTuple):
    """What a parameter is, and one value of it."""

    means: str
    example: Any


def _one_of(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


PARAMETERS: Mapping[str, Parameter] = {
    "tab": Parameter(f"One of {_one_of(TABS)}", "open"),
    "order": Parameter(f"One of {_one_of(ORDERS)}; a `-` before it reverses", "priority"),
    "tenant": Parameter("Of this tenant alone", "bank"),
    "severity": Parameter(f"One of {_one_of(SEVERITIES)}", "high"),
    "status": Parameter(f"One of {_one_of(STATUSES)}", "open"),
    "origin": Parameter(f"The leak source, one of {_one_of(ORIGINS)}", "unknown"),
    "scenario": Parameter("The id of a scenario", "X17"),
    "site": Parameter("Seen on this site", "paste"),
    "kind": Parameter("With an identifier of this kind", "phone"),
    "assignee": Parameter("Assigned to this person; `-` for nobody", "Wang Fang"),
    "q": Parameter("Words in titles, sites, terms and ids; never an identifier of a person", "VIP"),
    "seller": Parameter("The pseudonym of a seller", "@0a1b2c3d4e5f"),
    "since": Parameter(
        "Opened from then on: `2026-11-25`, `2026-11-25T06:00`, `12h` or `3d`", "3d"
    ),
    "until": Parameter("Opened before: as `since`", "12h"),
    "flat": Parameter("`1` lists each incident; empty lists one of each seller", "1"),
    "after": Parameter("The `after` of the page before; empty for the first page", ""),
    "limit": Parameter("Items on a page", 50),
    "id_": Parameter("The id of the incident", INCIDENT),
    "id": Parameter("These incidents alone; may be repeated", [INCIDENT]),
    "form": Parameter("The format", "csv"),
    "If-Match": Parameter("The `ETag` of the incident as it was read", f'"{ETAG}"'),
    "open": Parameter("Open an incident for what is found", False),
    "customers": Parameter("List the affected customers; needs `customers.export`", False),
}


class Example(NamedTuple):
    """One request and its answer; None where there is no body, or no JSON."""

    request: Any = None
    response: Any = None


SUMMARY: Mapping[str, Any] = {
    "id": "INC-4TQ2M6ZKXA",
    "tenant": "bank",
    "opened_at": "2026-09-21T14:13:20Z",
    "updated_at": "2026-09-21T14:13:20Z",
    "published_at": None,
    "publish_seconds": None,
    "severity": "medium",
    "exposure": 23,
    "scenario": "X17",
    "scenario_title": "Broad calling",
    "scenario_title_zh": "广撒网电话",
    "origin": "unknown",
    "origin_label": "",
    "customers": 1,
    "fields": ["NAME", "PHONE"],
    "rows": 0,
    "sightings": 1,
    "kinds": ["phone"],
    "sites": ["paste"],
    "titles": ["四件套"],
    "authors": [],
    "alarm": False,
    "incomplete": [],
    "linked": [],
    "sections": [],
    "claims": {
        "volume": None,
        "price": None,
        "currency": "",
        "contacts": [],
        "files": [],
        "size": None,
    },
    "newest_date": None,
    "joined": 0,
    "series": [],
    "gone": 0,
    "gone_at": None,
    "back": 0,
    "next_step": "Nothing to do now: it is kept and counted. Look again if more of it turns up.",
    "next_step_zh": "暂无需处置：已留存并计数。如出现更多内容再行查看。",
    "status": "open",
    "suppressed": None,
}
SIGHTING = {
    "rows": 0,
    "candidates": {"phone": 0},
    "failures": {},
    "longest_run": 0,
    "newest_date": None,
    "groups": [{"fields": ["NAME", "PHONE"], "rows": 0, "matched": 0, "corroborated": 0}],
    "logins": 0,
    "staff_logins": 0,
    "stealer_rows": 0,
    "cookies": 0,
    "staff_cookies": 0,
    "live_cookies": 0,
    "live_staff_cookies": 0,
    "session_cookies": 0,
    "cookies_until": None,
    "device_rows": 0,
    "own_cards": 0,
    "known_cards": 0,
    "own_card_rows": 0,
    "rows_of_others": 0,
    "unread": {},
    "id": "c81e5b07d94f3a62",
    "tenant": "bank",
    "incident": "INC-4TQ2M6ZKXA",
    "grouped_at": "2026-09-21T14:13:20Z",
    "linked": [],
    "site": "paste",
    "platform": "raw_paste",
    "kind": "paste",
    "category": "",
    "post_id": "c81e5b07d94f3a62",
    "capture": "5d1e7a90c3b24f68",
    "url": "https://paste.example/1",
    "title": "四件套",
    "author": "",
    "channel": "",
    "thread": "",
    "published_at": None,
    "fetched_at": "2026-09-21T12:00:00Z",
    "matched_at": "2026-09-21T12:00:00Z",
    "truncated": False,
    "alarm": False,
    "wanted": False,
    "epoch": 1,
    "index_epoch": 1,
    "watchlist": 2000,
    "parts": 1,
    "matches": 0,
    "customers": 0,
    "matched_rows": 0,
    "corroborated_rows": 0,
    "skeleton": "",
    "terms": {},
    "written": {},
    "brands": [],
    "bytes": 0,
    "suspicion": False,
    "minors": 0,
    "cohorts": [],
    "cohort_labels": 0,
    "honeytokens": [],
    "honeytokens_enrolled": 0,
    "cards_enrolled": 0,
    "private_attributes_comparable": 0,
    "private_attributes_agreeing": 0,
    "replayed": 0.0,
    "replay_of": "",
    "incomplete": [],
    "served": "",
    "claims": {
        "volume": None,
        "price": None,
        "currency": "",
        "contacts": [],
        "files": [],
        "size": None,
    },
    "parts_tied": [],
    "tied": False,
    "detached_from": "",
    "gone_at": None,
    "gone_how": "",
    "back_at": None,
}
CUSTOMER = {
    "id": "INC-4TQ2M6ZKXA:3f0c9a52b7d84e16a1c57e90d2b64f38",
    "tenant": "bank",
    "incident": "INC-4TQ2M6ZKXA",
    "kinds": ["phone"],
    "forms": ["plain"],
    "fields": ["NAME", "PHONE"],
    "own_fields": ["PHONE"],
    "groups": [["NAME", "PHONE"]],
    "sites": ["paste"],
    "sightings": ["c81e5b07d94f3a62"],
    "index_epoch": 1,
    "first_seen": "2026-09-21T12:00:00Z",
    "last_seen": "2026-09-21T12:00:00Z",
    "confidence": 80,
    "corroborated": False,
    "pseudonym": "3f0c9a52b7d84e16a1c57e90d2b64f38",
}
DECISION: Mapping[str, Any] = {
    "id": "INC-4TQ2M6ZKXA:0b1f3a5c7d9e2468",
    "tenant": "bank",
    "incident": "INC-4TQ2M6ZKXA",
    "at": "2026-09-21T15:02:11Z",
    "by": "Wang Fang via soar",
    "status": "acknowledged",
    "note": "seen",
    "regime": "",
    "stage": "",
    "reference": "",
    "sent_at": None,
    "act": "",
    "value": "",
    "about": "",
    "until": None,
    "no_reference": "",
    "facts": None,
    "ends": [],
    "confirmed_by": "",
}
FRAUD = {
    "customers": 1,
    "reported": 1,
    "loss": 1,
    "prevented": 0,
    "none": 0,
    "loss_rate": 1.0,
    "lost_minor_units": {"CNY": 1250000},
    "lost_bands": {},
}
DETAILS = {
    "opened_by": "c81e5b07d94f3a62",
    "first_seen": "2026-09-21T12:00:00Z",
    "last_seen": "2026-09-21T12:00:00Z",
    "row": 1,
    "notify": "nobody",
    "clock": "none",
    "minutes": 0,
    "reasons": [
        {
            "code": "X17",
            "points": 22,
            "evidence": "Broad calling: NAME PHONE",
            "evidence_zh": "广撒网电话：姓名、手机号",
        }
    ],
    "unit": 0.0,
    "replay_of": "",
    "origin_p": 1.0,
    "origin_reasons": [],
    "verified": 0,
    "agreeing": 0,
    "people_by_class": {"C": 1},
    "sensitive": 0,
    "minors": 0,
    "terms": [],
    "written": [],
    "brands": [],
    "skeleton": "",
    "part_of": "",
    "part_since": None,
    "parts": [],
    "apart": [],
    "frozen_at": None,
    "deadlines": [],
    "decide": None,
    "waiting_for_second_person": [],
    "sellers": [],
    "seen_after": "",
    "exposures_after": "",
}
PERSON = {
    "kinds": ["phone"],
    "answer": "exposed",
    "exposed": True,
    "found": [
        {
            "kinds": [{"en": "name", "zh": "姓名"}, {"en": "telephone number", "zh": "电话号码"}],
            "month": "2026-09",
            "scam": {"en": "Broad calling", "zh": "广撒网电话"},
            "protects": [
                {
                    "en": "A caller who knows your name is not thereby true.",
                    "zh": "对方知道姓名不代表身份真实。",
                }
            ],
            "approved": False,
            "script": {
                "en": "At present we warn our customers of callers who know your name.",
                "zh": "近期我们提醒客户警惕能叫出您姓名的陌生来电。",
            },
        }
    ],
    "listed_on": None,
    "script": None,
    "seen_alone": False,
    "about": "person",
    "value_found": True,
    "check": None,
    "coverage": {
        "worth": "imported",
        "since": None,
        "last": None,
        "unseen": {
            "en": "Not seen by it: closed groups and masked numbers.",
            "zh": "无法看到：封闭群组，以及中间位被遮盖的号码。",
        },
    },
}
EXPOSURE = {
    "items": [
        {
            "asked": "3f0c9a52b7d84e16a1c57e90d2b64f38",
            "state": "exposed",
            "risk": 19,
            "kinds": [{"en": "name", "zh": "姓名"}, {"en": "telephone number", "zh": "电话号码"}],
            "scenario": {"id": "X17", "title": {"en": "Broad calling", "zh": "广撒网电话"}},
            "first_seen": "2026-09-21T12:00:00Z",
            "last_seen": "2026-09-21T12:00:00Z",
            "why": [
                {"en": "stood together: name and phone", "zh": "同时出现：姓名、手机号"},
                {"en": "allows: Broad calling", "zh": "可用于：广撒网电话"},
                {"en": "one value agrees, which can be chance", "zh": "仅一项信息吻合，可能为偶然"},
                {"en": "seen last on 2026-09-21", "zh": "最近出现：2026-09-21"},
            ],
        },
        {
            "asked": "00000000000000000000000000000000",
            "state": "not_found",
            "risk": 0,
            "kinds": [],
            "scenario": None,
            "first_seen": None,
            "last_seen": None,
            "why": [
                {
                    "en": "not found; it is not known whether it is a customer's, "
                    "or whether everything was examined",
                    "zh": "未发现；无法确认是否登记有客户，或是否已全部查看",
                }
            ],
        },
    ],
    "coverage": {
        "worth": "imported",
        "said": "only imported files were examined; no crawler has reported yet",
        "since": None,
        "last": None,
        "kept_days": 180.0,
        "unseen": {
            "en": "Not seen by it: closed groups and masked numbers.",
            "zh": "无法看到：封闭群组，以及中间位被遮盖的号码。",
        },
    },
    "formula": {
        "risk": "base points of the scenario times "
        "1 - (days since last seen / life_days) ** (1 / speed)",
        "life_days": 180.0,
        "speed": 0.5,
        "source": "base points: ullage/verdict/rules.toml; decay: arXiv:1803.11052 (MISP)",
    },
    "terms": {
        "decides_alone": False,
        "purpose": "risk_engine",
        "not_for": ["credit", "marketing"],
        "holds_until": "2026-09-22T15:02:11Z",
        "said": {
            "en": "This may not decide alone (PIPL Art. 24).",
            "zh": "本结果不得作为自动化决策的唯一依据。",
        },
    },
}
EVENTS = {
    "items": [
        (
            "eyJhbGciOiJFZERTQSIsImtpZCI6IjQ1Y2UwZWJlYjE4ZDc5ZDMifQ"
            ".eyJmZWVkIjoiZWFjODE5OWMiLCJuIjoxfQ"
            ".-yxnQCYtXXfBXDC9AtBVSou7eZATRcLo"
        )
    ],
    "after": "eac8199c.ba10632447ded1985303d6127814ee70",
    "more": False,
}
COVERAGE = {
    "worth": "monitored",
    "said": "monitored since 2026-09-01, and every site was read",
    "since": None,
    "last": None,
}
DETAILED = {
    "fraud": FRAUD,
    "seen": [SIGHTING],
    "exposures": [CUSTOMER],
    "decisions": [DECISION],
    "version": ETAG,
}
CHANGE = {"decision": "acknowledged", "by": "Wang Fang", "note": "seen by orchestration"}
CHANGED = {
    "incident": INCIDENT,
    "at": DECISION["at"],
    "by": "Wang Fang via soar",
    "status": "acknowledged",
    "version": ETAG,
}
FRAUD_CASE = {
    "outcome": "loss",
    "first_contact": "2020-01-05",
    "known_fields": ["NAME", "LOAN"],
    "amount": 1_250_000,
    "currency": "CNY",
}
VERDICT = {
    "verdict": "exposed",
    "rows": 9,
    "tenants": [{"tenant": "bank", "customers": 9, "corroborated_rows": 9}],
}
EXAMPLES: Mapping[str, Example] = {
    "list_incidents": Example(None, {"items": [SUMMARY], "after": "", "coverage": COVERAGE}),
    "get_incident": Example(None, {**SUMMARY, **DETAILS, **DETAILED, "status": "acknowledged"}),
    "list_customers": Example(None, {"items": [CUSTOMER], "after": ""}),
    "list_sightings": Example(None, {"items": [SIGHTING], "after": ""}),
    "decide_incident": Example(
        CHANGE, {**CHANGED, "act": "", "value": "", "note": "seen by orchestration"}
    ),
    "export_incidents": Example(),
    "list_events": Example(None, EVENTS),
    "get_event_key": Example(
        None,
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "kid": "45ce0ebeb18d79d3",
            "x": "NCSP4RzhSpKd0BNsXkGNPlE7",
        },
    ),
    "screen_exposure": Example({"pseudonyms": [PSEUDONYM, NOBODY]}, EXPOSURE),
    "check_person": Example(
        {
            "value": "13800138000",
            "by": "Wang Fang",
            "purpose": "customer_enquiry",
            "case": "C-2026-1",
        },
        PERSON,
    ),
    "report_fraud_case": Example(
        {"incident": INCIDENT, "pseudonym": PSEUDONYM, **FRAUD_CASE},
        {"recorded": True, "fraud": FRAUD},
    ),
    "assess_file": Example(
        {
            "how": "colleague",
            "giver": "branch 12",
            "purpose": "incident_response",
            "file": "leak.csv",
        },
        {"verdict": VERDICT, "opened": {}},
    ),
}
"""By operation id."""
PROBLEM_EXAMPLE = {
    "type": "urn:problem-type:ullage:invalid_request",
    "title": "The request is invalid",
    "status": 400,
    "detail": "add or correct: limit",
    "code": "invalid_request",
    "errors": [
        {"member": "limit", "code": "out_of_range", "detail": "is out of range (at least 1)"}
    ],
}


WEBHOOK = {
    "type": "ullage.incidents",
    "id": "msg_5d1e7a90c3b24f68c81e5b07",
    "page": "https://ullage.bank.example/",
    "language": "en",
    "incidents": [
        {
            "id": INCIDENT,
            "severity": "high",
            "why": "new",
            "url": f"https://ullage.bank.example/incidents/{INCIDENT}",
        }
    ],
}
TAGS: Mapping[str, str] = {
    "incidents": "List incidents with their customers and sightings, decide on them, export them.",
    "events": "Follow what becomes of incidents, as signed events.",
    "people": "Ask whether customers are exposed, and report fraud cases.",
    "files": "Assess files.",
}
ON_CHANGES: frozenset[Code] = frozenset({"version_mismatch", "version_required"})
"""Problems of routes that take `If-Match` alone."""
ON_BODIES: frozenset[Code] = frozenset({"length_required", "body_too_large"})
"""Problems of routes that take a body alone."""
ON_FILES: frozenset[Code] = frozenset({"assessment_unavailable", "assessment_busy"})
REF = "#/components/schemas/{model}"
PROBLEM = {"schema": {"$ref": REF.format(model="Problem")}}
REQUEST_ID = {
    "description": "The id of the request, also in the audit log",
    "schema": {"type": "string"},
}
TEXT, OBJECT, VERSION = (
    {"type": "string"},
    {"type": "object"},
    {"type": "string", "description": "For `If-Match`"},
)
MAYBE = {"anyOf": [OBJECT, {"type": "null"}]}
NEXT = {"next_step": TEXT, "next_step_zh": TEXT, "suppressed": MAYBE}


def routes() -> APIRouter:
    """Return the routes of this module."""
    router = APIRouter(include_in_schema=False, prefix=PREFIX)

    @router.get("/openapi.json", dependencies=[require_login()])
    def show_document(request: Request) -> JSONResponse:
        request_source = request.state.asked
        return JSONResponse(
            build_document(request.app, f"{request_source.origin}{request_source.base}")
        )

    return router


def build_document(app: FastAPI, server: str) -> dict[str, Any]:
    """Return the OpenAPI document; `server` is the console's address.

    To FastAPI's document it adds the permissions, every problem that a route may answer with, and
    examples.
    """
    # which is kept: what is added to it would be added again for each who asks
    schema = copy.deepcopy(app.openapi())
    schema["servers"] = [{"url": server, "description": "This console"}]
    schema["tags"] = [
        {"name": name, "description": description} for name, description in TAGS.items()
    ]
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas |= _build_models(Problem) | _build_schemas()
    for page, item in (
        ("IncidentList", "IncidentSummary"),
        ("CustomerList", "Customer"),
        ("SightingList", "Sighting"),
    ):
        schemas[page]["properties"]["items"]["items"] = {"$ref": REF.format(model=item)}
    whole = schema["paths"][f"{PREFIX}/incidents/{{id_}}"]["get"]["responses"]["200"]["content"][
        "application/json"
    ]
    whole["schema"] = {"$ref": REF.format(model="IncidentDetails")}
    schema["webhooks"] = _build_webhooks()
    schemas |= _build_models(WebhookMessage)
    schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    schema["security"] = [{"token": []}]
    needs = {
        (route.path, method.lower()): list_permissions(route) - {ANYBODY}
        for route in list_routes(app)
        for method in route.methods or ()
    }
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            _complete_operation(operation, needs[path, method])
    return schema


def _build_models(model: type[BaseModel]) -> dict[str, Any]:
    """Build the schemas of a model and of those that it refers to."""
    described = model.model_json_schema(ref_template=REF, mode="validation")
    return {**described.pop("$defs"), model.__name__: described}


def _build_webhooks() -> dict[str, Any]:
    """Describe the request that a channel of kind `webhook` receives."""
    body = {"schema": {"$ref": REF.format(model="WebhookMessage")}, "example": WEBHOOK}
    headers = {
        "webhook-id": "The id of the message, the same at every attempt",
        "webhook-timestamp": "Unix seconds of the attempt: refuse what is older than 5 minutes",
        "webhook-signature": "`v1,` and the base64 of HMAC-SHA256 over `ID.TIMESTAMP.BODY`",
    }
    operation = {
        "summary": "Notify about incidents",
        "description": "Sent to each channel of kind `webhook` (Standard Webhooks 1.0).",
        "security": [],
        "parameters": [
            {"name": name, "in": "header", "required": True, "description": text, "schema": TEXT}
            for name, text in headers.items()
        ],
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {
            "200": {
                "description": 'Any 2xx is delivered, unless the body is JSON with `"ok": false`'
            }
        },
    }
    return {"incidents": {"post": operation}}


def _build_schemas() -> dict[str, Any]:
    """Build the schemas of the stored documents that routes return, by name.

    Members that the API hides are left out.
    """
    schemas = dict[str, Any]()
    status = {"status": {"type": "string", "enum": [*STATUSES]}}
    incident = _select_members(schemas, Incident, without=incident_view.HIDDEN["incident"])
    summary = {name: member for name, member in incident.items() if name in incident_view.SUMMARY}
    schemas["IncidentSummary"] = _object({**summary, **NEXT, **status}, "An incident in a list.")
    schemas["Sighting"] = _object(
        _select_members(schemas, Sighting, without=incident_view.HIDDEN["sighting"]),
        "One sighting of an incident.",
    )
    customer = _select_members(schemas, Exposure, without=incident_view.HIDDEN["customer"])
    schemas["Customer"] = _object(
        {**customer, "pseudonym": TEXT}, "A customer in an incident, by pseudonym."
    )
    schemas["Decision"] = _object(
        _select_members(schemas, Decision, without=incident_view.HIDDEN["decision"]),
        "What was decided of an incident.",
    )
    lists = {
        name: {"type": "array", "items": OBJECT}
        for name in ("deadlines", "sellers", "waiting_for_second_person")
    }
    lists |= {
        name: {"type": "array", "items": {"$ref": REF.format(model=item)}}
        for name, item in _LISTS.items()
    }
    more = {
        "decide": MAYBE,
        "fraud": OBJECT,
        "version": VERSION,
        "seen_after": TEXT,
        "exposures_after": TEXT,
    }
    schemas["IncidentDetails"] = _object(
        {**incident, **NEXT, **status, **lists, **more}, "An incident with what belongs to it."
    )
    return schemas


_LISTS = {"seen": "Sighting", "exposures": "Customer", "decisions": "Decision"}


def _select_members(
    schemas: dict[str, Any], kind: type[BaseModel], without: Collection[str]
) -> dict[str, Any]:
    """Return the visible members of a document; add what they refer to to `schemas`."""
    described = kind.model_json_schema(ref_template=REF, mode="serialization")
    shown = {
        name: member for name, member in described["properties"].items() if name not in without
    }
    waiting = _find_references(shown)
    while waiting:
        name = waiting.pop()
        if name not in schemas:
            schemas[name] = described["$defs"][name]
            waiting |= _find_references(schemas[name])
    return shown


def _find_references(schema: Any) -> set[str]:
    """Return the names of the components to which a schema refers."""
    if isinstance(schema, dict):
        name = (
            {schema["$ref"].rpartition("/")[2]}
            if isinstance(schema.get("$ref"), str)
            else set[str]()
        )
        return name.union(*map(_find_references, schema.values()))
    return set[str]().union(*map(_find_references, schema)) if isinstance(schema, list) else set()


def _object(members: Mapping[str, Any], said: str) -> dict[str, Any]:
    return {
        "type": "object",
        "description": said,
        "properties": dict(members),
        "required": sorted(members),
    }


def _complete_operation(operation: dict[str, Any], needs: frozenset[str]) -> None:
    """Add problems, the required permission and examples to an operation; `operation` is changed.

    Removes its answer 422, because what is not as declared is answered 400. Every operation needs
    an entry in EXAMPLES.
    """
    answers = operation["responses"]
    answers.pop("422", None)  # what is not as declared is answered 400
    changes = any(item["name"] == "If-Match" for item in operation.get("parameters", ()))
    for code, kind in CODES.items():
        if (
            (changes or code not in ON_CHANGES)
            and ("requestBody" in operation or code not in ON_BODIES)
            and ("files" in operation["tags"] or code not in ON_FILES)
        ):
            answer_object = answers.setdefault(
                str(kind.status), {"description": "", "content": {MEDIA_TYPE: PROBLEM}}
            )
            answer_object["description"] = ". ".join(
                filter(None, (answer_object["description"], f"`{code}`: {kind.title}"))
            )
    for answer in answers.values():
        answer["headers"] = {**answer.get("headers", {}), "X-Request-Id": REQUEST_ID}
    _add_examples(operation)
    words = [
        f"Needs `{item}`: {PERMISSIONS[item]}." for item in sorted(needs) if item in PERMISSIONS
    ]
    operation["description"] = "\n\n".join(filter(None, (operation.get("description", ""), *words)))


def _add_examples(operation: dict[str, Any]) -> None:
    """Add descriptions and examples of parameters and bodies to an operation, which is changed.

    Raises KeyError for a parameter that PARAMETERS, or an operation that EXAMPLES, does not have.
    """
    for parameter in operation.get("parameters", ()):
        means, parameter["example"] = PARAMETERS[parameter["name"]]
        parameter["description"] = means
    request, response = EXAMPLES[operation["operationId"]]
    for body, example in (
        (operation.get("requestBody", {}), request),
        (operation["responses"]["200"], response),
    ):
        for media in body.get("content", {}).values():
            if example is not None:
                media["example"] = example
    operation["responses"]["400"]["content"][MEDIA_TYPE] = {**PROBLEM, "example": PROBLEM_EXAMPLE}
