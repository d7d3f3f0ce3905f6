"""Every answer names its request, and so does each audit entry that the request causes."""

import re

import pytest

from alerts.cases.lookups.lookup import PURPOSES, Lookup
from alerts.cases.screening import ExposureQuery, screened
from alerts.web.static_files import static_path
from tests.alerts.browser import PHONE, Browser
from tests.alerts.builders import handle
from ullage import audit
from ullage.audit.trail import REQUEST, PendingEntry

OURS = re.compile(r"[a-z]{20}")


def entries(context) -> list[audit.AuditEntry]:
    return [one for _, one in audit.entries(context.data / "audit")]


def asked_by(accounts, app, scope, purpose="test"):
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
        static_path("ullage.css"),
    ],
)
def test_every_answer_has_an_id_of_its_own(desk, path) -> None:
    ids = {desk.get(path).headers["x-request-id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(OURS.fullmatch(one) for one in ids)


def test_what_the_guard_refuses_and_what_breaks_has_one_too(leaked, browser, monkeypatch) -> None:
    assert OURS.fullmatch(browser.ask("DELETE", "/v1/incidents").headers["x-request-id"])
    assert OURS.fullmatch(browser.get("/", headers={"host": "elsewhere"}).headers["x-request-id"])
    monkeypatch.setattr("alerts.web.api.incidents.whole", None)
    answer = browser.get(f"/v1/incidents/{leaked}")
    assert (answer.status_code, OURS.fullmatch(answer.headers["x-request-id"]) is not None) == (
        500,
        True,
    )


def test_the_log_of_what_breaks_names_the_request(leaked, browser, monkeypatch, logged) -> None:
    monkeypatch.setattr("alerts.web.api.incidents.whole", None)
    browser.get(f"/v1/incidents/{leaked}", headers={"x-request-id": "trace-7"})
    assert '"request": "trace-7"' in browser.log.getvalue() + logged.getvalue()


@pytest.mark.parametrize("given", ["trace-7", "0af7651916cd43dd", "A_b-9", "x" * 64])
def test_a_plain_id_of_the_caller_is_taken_over(desk, given) -> None:
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
def test_any_other_is_not(desk, given) -> None:
    assert OURS.fullmatch(
        desk.get("/healthz", headers={"x-request-id": given}).headers["x-request-id"]
    )


def test_what_a_request_changes_is_recorded_under_its_id(leaked, desk, accounts, context) -> None:
    ask = asked_by(
        accounts, desk.app, ["incident.read", "incident.decide", "incident.export", "person.check"]
    )
    version = ask("GET", f"/v1/incidents/{leaked}").headers["etag"]
    asked = {"decision": "confirmed"}
    assert (
        ask(
            "POST", f"/v1/incidents/{leaked}/decisions", "decide-1", version, json=asked
        ).status_code
        == 200
    )
    assert ask("GET", "/v1/export/csv", "export-1").status_code == 200
    person = {"value": PHONE, "purpose": next(iter(PURPOSES)), "case": "C-1"}
    assert ask("POST", "/v1/exposed", "person-1", json=person).status_code == 200
    found = {one.action: one.request for one in entries(context) if one.request}
    assert (found["incident.decide"], found["incident.export"], found["lookup"]) == (
        "decide-1",
        "export-1",
        "person-1",
    )
    assert [
        chain.name for chain in audit.walk_all(context.data / "audit", context.keys) if chain.faults
    ] == []


def test_the_route_of_the_risk_engine_hands_its_request_on(leaked, desk, accounts, context) -> None:
    ask = asked_by(accounts, desk.app, ["exposure.ask"], "risk_engine")
    assert (
        ask("POST", "/v1/exposure", "engine-1", json={"pseudonyms": [handle("a")]}).status_code
        == 200
    )
    assert [one.request for one in entries(context) if one.action == "exposure"] == ["engine-1"]


def test_of_several_that_are_answered_together_each_has_its_own(leaked, store, context) -> None:
    lookup = Lookup(store, context.keys, ("bank",), context.clock, context.trail())
    token = REQUEST.set("of whoever is answered first")
    try:
        screened(
            [ExposureQuery(lookup, [handle("a")], [], "one", f"engine-{n}") for n in range(2)],
            context.trail(),
            180.0,
        )
    finally:
        REQUEST.reset(token)
    assert [one.request for one in entries(context) if one.action == "exposure"] == [
        "engine-0",
        "engine-1",
    ]


def test_entries_without_a_request_are_written_as_before(context) -> None:
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
    assert [one.request for one in entries(context)] == ["", "mine", "other"]
    lines = (context.data / "audit" / "test" / "0000000001.jsonl").read_text().splitlines()
    assert ['"request"' in line for line in lines] == [False, True, True]
    assert not audit.walk(context.data / "audit" / "test", context.keys).faults
