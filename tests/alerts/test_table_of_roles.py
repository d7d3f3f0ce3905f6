"""Every route of the desk × every role × another tenant's things, as the application has its
routes: a new one is in here.

What a route with an id in its path is tried with stands in `things`, by the part of the path before
the id; what must be posted to it so that it does something, in `BODIES`; None for a route that does
something with more than that: of it who may is tried alone. A route for which something is missing
there fails here.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from alerts.accounts import PERMISSIONS, ROLES
from alerts.cases.lookups.lookup import index_tags
from alerts.cases.suppressions import SuppressionConditions, Suppressions
from alerts.deadlines.outstanding import Duties
from alerts.records import Decision, incident_id
from alerts.store import DocumentFilter
from alerts.web.dependencies import ANYBODY, LOGGED_IN, list_permissions, list_routes
from tests.alerts.browser import ASKED, OURS, PHONE, Browser
from tests.alerts.builders import finding, fold_all, handle
from tests.factories import match
from tests.stores import on_server_too
from ullage.security import keys
from ullage.security.masking import Secret

A, B, NONE = incident_id("fa"), incident_id("fb"), "INC-AAAAAAAAAA"
BODIES = {
    "/incidents/{id_}/decisions": {"status": "acknowledged", "token": "0" * 16},
    "/incidents/{id_}/silence": {"what": "incident", "days": "3", "reason": "known"},
    "/suppressions/{id_}/lift": {"reason": "over"},
    "/exposed": ASKED,
    "/sellers": {"name": "nobody known"},
    "/incidents/filters": {"title": "night shift"},
    "/incidents/filters/remove": {"title": "night shift"},
    "/v1/incidents/{id_}/decisions": {"decision": "acknowledged"},
    "/v1/exposed": ASKED,
    "/v1/exposure": {"pseudonyms": [handle("a")]},
    "/v1/fraud-cases": {
        "incident": A,
        "pseudonym": handle("bank"),
        "outcome": "loss",
        "first_contact": "2020-01-05",
    },
    "/coverage/explain": None,
    "/incidents/{id_}/report": None,
    "/incidents/{id_}/customers.csv": None,
    "/incidents/{id_}/letter": None,
    "/incidents/{id_}/addresses": None,
    "/incidents/{id_}/references": None,
    "/incidents/{id_}/evidence": None,
    "/incidents/{id_}/evidence/approve": None,
    "/incidents/{id_}/evidence.tar": None,
    "/incidents/{id_}/references/answer": None,
    "/incidents/{id_}/references.csv": None,
    "/v1/assess": None,
    "/assess": None,
    "/assess/{name}/open": None,
    "/handover": None,
    "/handover/accept": None,
    "/incidents/bulk": None,
    "/accounts/add": None,
    "/accounts/roles": None,
    "/accounts/close": None,
    "/accounts/open": None,
    "/accounts/sessions": None,
    "/accounts/password": None,
    "/accounts/tokens": None,
    "/accounts/revoke": None,
}
ENDING = {"/logout", "/password", "/login"}
"""What is everybody's own, and would end the session with which the others are tried."""


class SampleId(NamedTuple):
    """What stands for an id: of the tenant that may be seen, of another one ("" for what is no
    tenant's), of nobody.
    """

    ours: str
    theirs: str
    none: str


@pytest.fixture
def things(desk, store, clock, context) -> dict[str, SampleId]:
    """Store an incident and a suppression of two tenants each, whose customers share a phone."""
    keys.make_tenant(context.keys, "zetalend")
    for name, tenant, values in (("fa", "bank", range(10)), ("fb", "zetalend", range(20, 30))):
        tag = index_tags(
            context.keys.read(f"{tenant}/index-1.key"), tenant, "phone", Secret(PHONE)
        )[0]
        leak_finding = finding(
            name, values, tenant=tenant, site=f"{tenant}-board", capture={"title": "内料 四件套"}
        )
        phone_match = match(subject=handle(tenant), index_tag=tag)
        fold_all(
            store,
            clock,
            [leak_finding.model_copy(update={"matches": (phone_match,), "alarm": False})],
        )
    noise = Suppressions(Duties(store, context.tenant, clock.as_clock()), context.trail())
    suppressions = [
        noise.suppress(t, SuppressionConditions(site=f"{t}-board"), days=3, by="Li", reason="known")
        for t in ("bank", "zetalend")
    ]
    return {
        "incidents": SampleId(A, B, NONE),
        "suppressions": SampleId(suppressions[0].id, suppressions[1].id, "SUP-AAAAAAAAAA"),
        "export": SampleId("csv", "", "docx"),
        # whoever dropped a file has its verdict: tests of that page
        "assess": SampleId("", "", "0" * 32),
    }


def application(desk: Browser) -> FastAPI:
    """Within all that wraps it."""
    app = desk.app
    while not isinstance(app, FastAPI):
        app = app._app
    return app


def calls(desk: Browser) -> Iterator[tuple[APIRoute, str, str]]:
    """Yield every route that needs a permission, with its method and the kind of its id."""
    for route in list_routes(application(desk)):
        if list_permissions(route) <= {ANYBODY, LOGGED_IN}:
            continue
        path_kinds = re.findall(r"([^/{]*)/\{[^}]*\}", route.path)
        assert len(path_kinds) <= 1, f"{route.path}: two ids"
        for method in route.methods:
            yield route, method, path_kinds[0] if path_kinds else ""


def ask(who: Browser, route: APIRoute, method: str, id_: str):
    path = re.sub(r"\{[^}]*\}", id_, route.path)
    if method == "GET":
        return who.get(path)
    assert route.path in BODIES, f"say in BODIES what is posted to {route.path}"
    body = BODIES[route.path] or {}
    if not path.startswith("/v1/"):
        return who.post(path, body)
    read = (
        {"if-match": who.get(path.removesuffix("/decisions")).headers.get("etag", '"0"')}
        if "/decisions" in path
        else {}
    )
    return who.ask("POST", path, json=body, headers={**OURS, **read})


@pytest.mark.parametrize("role", ROLES)
def test_role_has_exactly_its_permissions_within_its_tenants(role, desk, things, log_in):
    who, tried = log_in(role, tenants=["bank"]), 0
    for route, method, kind in calls(desk):
        assert not kind or kind in things, f"say in `things` what {route.path} is tried with"
        thing = things.get(kind, SampleId("", "", ""))
        allowed, at = list_permissions(route) <= ROLES[role], f"{role}: {method} {route.path}"
        if not allowed:
            refusal = 303 if route.path == "/" else 403
            for id_ in filter(None, (*thing, "" if kind else "-")):
                assert ask(who, route, method, id_).status_code == refusal, at
            tried += 1
            continue
        if thing.theirs:
            there, nowhere = (ask(who, route, method, id_) for id_ in (thing.theirs, thing.none))
            texts = [
                page_answer.text.replace(thing.theirs, "ID").replace(thing.none, "ID")
                for page_answer in (there, nowhere)
            ]
            assert (there.status_code, without_form_token(texts[0])) == (
                nowhere.status_code,
                without_form_token(texts[1]),
            ), at
            assert there.status_code in (400, 404), at
        tried += 1
        if kind and not thing.ours:
            assert ask(who, route, method, thing.none).status_code == 404, at
            continue
        answer = ask(who, route, method, thing.ours)
        bound = 400 if BODIES.get(route.path, {}) is not None else 401
        assert answer.status_code < bound, f"{at}: {answer.text[:300]}"
        assert B not in answer.text, at
        assert "zetalend" not in answer.text, at
    assert tried >= 12, "routes were found"


@on_server_too
def test_every_route_answers_with_the_rights_of_search(desk, things, log_in):
    """The permission is there; nothing of the store is denied, whatever somebody may see or do."""
    faults, tried = [], 0
    for route, method, kind in calls(desk):
        role = next((role for role in ROLES if list_permissions(route) <= ROLES[role]), None)
        if role is None:  # for programs alone: tests of the API
            continue
        thing = things.get(kind, SampleId("", "", ""))
        answer = ask(log_in(role, tenants=["bank"]), route, method, thing.ours or thing.none)
        if answer.status_code in (403, 500, 503) or "refuses the permission" in answer.text:
            faults.append(
                f"{role}: {method} {route.path}: {answer.status_code} {answer.text[:300]}"
            )
        tried += 1
    assert faults == []
    assert tried > 40, "routes were found"


def without_form_token(page: str) -> str:
    """Return a page without its form token, which is new each time."""
    return re.sub(r'name="token" value="[0-9a-f]{16}"', "", page)


@pytest.mark.parametrize(("role", "home"), [("agent", "/exposed"), ("operator", "/coverage")])
def test_user_without_incident_access_starts_on_a_permitted_page(role, home, log_in):
    answer = log_in(role).get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, home)


def test_user_with_all_tenants_sees_both(things, browser):
    page = browser.get("/").text
    assert A in page
    assert B in page
    assert browser.get(f"/incidents/{B}").status_code == 200


@pytest.mark.parametrize("how", ["page", "api"])
def test_lookup_searches_only_the_callers_tenants(things, log_in, store, context, how):
    who = log_in("agent", tenants=["zetalend"])
    answer = (
        who.post("/exposed", ASKED) if how == "page" else who.ask("POST", "/v1/exposed", json=ASKED)
    )
    assert answer.status_code == 200
    lookups = [entry for _, entry in entries(context) if entry.action == "lookup"]
    assert [lookup_entry.tenant for lookup_entry in lookups] == ["zetalend"]


def entries(context):
    from ullage import audit

    return audit.read_entries(context.data / "audit")


def test_bulk_action_does_not_touch_another_tenant(things, log_in, store):
    who = log_in("analyst", tenants=["bank"])
    for act in ("acknowledged", "assigned", "resolved", "false_positive"):
        answer = who.post(
            "/incidents/bulk", {"act": act, "id": B, "to": "me", "reason": "other", "note": "x"}
        )
        assert "zetalend" not in answer.text
    store.refresh()
    assert list(store.scroll(Decision, DocumentFilter())) == []


def test_filtering_by_another_tenant_equals_an_unknown_one(things, log_in):
    who = log_in("analyst", tenants=["bank"])
    for path in ("/", "/v1/incidents", "/v1/export/csv"):
        there, nowhere = (
            who.get(path, params={"tenant": tenant}) for tenant in ("zetalend", "nosuch")
        )
        assert there.status_code == nowhere.status_code == 400
        assert there.text.replace("zetalend", "T") == nowhere.text.replace("nosuch", "T")


def test_export_of_another_tenants_incident_equals_a_missing_one(things, log_in):
    who = log_in("analyst", tenants=["bank"])
    assert who.get(f"/v1/export/csv?id={B}").text == who.get(f"/v1/export/csv?id={NONE}").text
    assert B not in who.get("/v1/export/csv").text
    assert A in who.get("/v1/export/csv").text


def test_documented_role_table_is_current():
    from pathlib import Path

    text = (Path(__file__).parents[2] / "docs" / "accounts.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z]+\.[a-z]+)` \| [^|]+ \| (.+) \|$", text, re.MULTILINE)
    assert {name for name, _ in rows} == set(PERMISSIONS)
    for name, marks in rows:
        having = [role for role, mark in zip(ROLES, marks.split("|"), strict=True) if mark.strip()]
        assert having == [role for role in ROLES if name in ROLES[role]], name
