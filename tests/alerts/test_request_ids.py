"""Every answer names its request, and so does each audit entry that the request causes."""

import re

import pytest

from alerts.cases.lookups.lookup import PURPOSES, Lookup
from alerts.cases.lookups.screening import ExposureQuery, screen_customers
from alerts.web.static_files import find_static_path
from tests.alerts.browser import PHONE, Browser
from tests.alerts.builders import handle
from ullage import audit
from ullage.audit.trail import REQUEST, PendingEntry

OURS = re.compile(r"[a-z]{20}")


def entries(context) -> list[audit.AuditEntry]:
    return [entry for _, entry in audit.read_entries(context.data / "audit")]


def ask_as_program(accounts, app, scope, purpose="test"):
    secret = accounts.add_token("program", scope, ["bank"], purpose=purpose, days=1, by="test")[1]

    def ask(method: str, path: str, request: str = "", version: str = "", **more):
        sent = {"authorization": f"Bearer {secret}", "x-request-id": request, "if-match": version}
        headers = {name: value for name, value in sent.items() if value}
        return Browser(app).ask(method, path, headers=headers, **more)

    return ask


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/login",
        "/healthz",
        "/nowhere",
        "/v1/incidents",
        "/v1/nowhere",
        find_static_path("ullage.css"),
    ],
)
def test_every_answer_has_its_own_request_id(desk, path) -> None:
    ids = {desk.get(path).headers["x-request-id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(OURS.fullmatch(request_id) for request_id in ids)


def test_rejections_and_faults_have_a_request_id(phone_incident, browser, monkeypatch) -> None:
    assert OURS.fullmatch(browser.ask("DELETE", "/v1/incidents").headers["x-request-id"])
    assert OURS.fullmatch(browser.get("/", headers={"host": "elsewhere"}).headers["x-request-id"])
    monkeypatch.setattr("alerts.web.api.incidents.load_details", None)
    answer = browser.get(f"/v1/incidents/{phone_incident}")
    assert (answer.status_code, OURS.fullmatch(answer.headers["x-request-id"]) is not None) == (
        500,
        True,
    )


def test_log_of_a_fault_names_the_request(phone_incident, browser, monkeypatch, log_stream) -> None:
    monkeypatch.setattr("alerts.web.api.incidents.load_details", None)
    browser.get(f"/v1/incidents/{phone_incident}", headers={"x-request-id": "trace-7"})
    assert '"request": "trace-7"' in browser.log.getvalue() + log_stream.getvalue()


@pytest.mark.parametrize("given", ["trace-7", "0af7651916cd43dd", "A_b-9", "x" * 64])
def test_callers_plain_request_id_is_kept(desk, given) -> None:
    assert desk.get("/healthz", headers={"x-request-id": given}).headers["x-request-id"] == given


@pytest.mark.parametrize(
    "given",
    [
        "",
        "x" * 65,
        "a b",
        "a@bank.example",
        PHONE,
        f"id-{PHONE}",
        'a"b',
        "é".encode("latin-1"),
        "a.b",
    ],
)
def test_unsafe_request_id_is_replaced(desk, given) -> None:
    assert OURS.fullmatch(
        desk.get("/healthz", headers={"x-request-id": given}).headers["x-request-id"]
    )


def test_changes_are_audited_under_their_request_id(
    phone_incident, desk, accounts, context
) -> None:
    ask = ask_as_program(
        accounts, desk.app, ["incident.read", "incident.decide", "incident.export", "person.check"]
    )
    version = ask("GET", f"/v1/incidents/{phone_incident}").headers["etag"]
    body = {"decision": "confirmed"}
    assert (
        ask(
            "POST", f"/v1/incidents/{phone_incident}/decisions", "decide-1", version, json=body
        ).status_code
        == 200
    )
    assert ask("GET", "/v1/export/csv", "export-1").status_code == 200
    person = {"value": PHONE, "purpose": next(iter(PURPOSES)), "case": "C-1"}
    assert ask("POST", "/v1/exposed", "person-1", json=person).status_code == 200
    request_ids = {entry.action: entry.request for entry in entries(context) if entry.request}
    assert (
        request_ids["incident.decide"],
        request_ids["incident.export"],
        request_ids["lookup"],
    ) == (
        "decide-1",
        "export-1",
        "person-1",
    )
    assert [
        chain.name for chain in audit.walk_all(context.data / "audit", context.keys) if chain.faults
    ] == []


def test_risk_engine_request_id_is_audited(phone_incident, desk, accounts, context) -> None:
    ask = ask_as_program(accounts, desk.app, ["exposure.ask"], "risk_engine")
    assert (
        ask("POST", "/v1/exposure", "engine-1", json={"pseudonyms": [handle("a")]}).status_code
        == 200
    )
    assert [entry.request for entry in entries(context) if entry.action == "exposure"] == [
        "engine-1"
    ]


def test_batched_requests_keep_their_own_ids(phone_incident, store, context) -> None:
    lookup = Lookup(store, context.keys, ("bank",), context.clock, context.trail())
    token = REQUEST.set("of whoever is answered first")
    try:
        screen_customers(
            [ExposureQuery(lookup, [handle("a")], [], "one", f"engine-{n}") for n in range(2)],
            context.trail(),
            180.0,
        )
    finally:
        REQUEST.reset(token)
    assert [entry.request for entry in entries(context) if entry.action == "exposure"] == [
        "engine-0",
        "engine-1",
    ]


def test_entries_without_a_request_have_no_id(context) -> None:
    trail = context.trail("test")
    trail.append("rules.use", "rules", actor="Li")
    token = REQUEST.set("mine")
    try:
        trail.append_all(
            [
                PendingEntry("rules.use", "rules", "Li"),
                PendingEntry("rules.use", "rules", "Li", request="other"),
            ]
        )
    finally:
        REQUEST.reset(token)
    assert [entry.request for entry in entries(context)] == ["", "mine", "other"]
    lines = (context.data / "audit" / "test" / "0000000001.jsonl").read_text().splitlines()
    assert ['"request"' in line for line in lines] == [False, True, True]
    assert not audit.walk(context.data / "audit" / "test", context.keys).faults
