"""Every error of the API is a problem document (RFC 9457) with a code, and repeats nothing that
was sent.
"""

import pytest

from alerts.records import incident_id
from alerts.web import auth, problems
from alerts.web.problems import CODES, MEDIA_TYPE, TYPE
from tests.alerts.browser import PHONE, Browser
from ullage.errors import UnavailableError

SENT = "Wang13800138000"
"""What is sent where it does not belong, and may stand in no answer."""
NONE = incident_id("0")
OCTETS = {"content-type": "application/json"}


@pytest.fixture
def program(desk, accounts):
    """Asks as a program that may read, decide and look people up."""
    scope = [
        "incident.read",
        "incident.decide",
        "incident.close",
        "incident.export",
        "person.check",
        "outcome.report",
    ]
    secret = accounts.add_token("soar", scope, ["bank"], purpose="test", days=1, by="test")[1]

    def ask(method: str, path: str, headers=(), **more):
        return Browser(desk.app).ask(
            method, path, headers={"authorization": f"Bearer {secret}", **dict(headers)}, **more
        )

    return ask


def check_problem(answer, code: str) -> dict:
    """Check that an answer is a problem with `code` that repeats no input; return it."""
    kind = CODES[code]
    assert answer.headers["content-type"] == MEDIA_TYPE, answer.text
    document = answer.json()
    head = (document["code"], document["type"], document["status"], document["title"])
    assert (*head, answer.status_code) == (code, TYPE + code, kind.status, kind.title, kind.status)
    assert document["detail"]
    for value in (SENT, PHONE):
        assert value not in answer.text + str(answer.headers)
    return document


def members(document: dict) -> list[tuple[str, str]]:
    return [(error["member"], error["code"]) for error in document.get("errors", ())]


def test_head_is_answered_wherever_get_is(program) -> None:
    for path in ("/v1/incidents", "/healthz"):
        answer, whole = program("HEAD", path), program("GET", path)
        assert (answer.status_code, answer.content) == (whole.status_code, b"")


def test_allow_names_the_methods_of_the_path(program) -> None:
    assert program("POST", "/v1/incidents", OCTETS).headers["allow"] == "GET, HEAD"
    assert program("DELETE", "/v1/fraud-cases", OCTETS).headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (("GET", f"/v1/{SENT}"), "not_found"),
        (("GET", "/v1"), "not_found"),
        (("GET", f"/v1/incidents/{SENT}"), "not_found"),
        (("GET", f"/v1/incidents/{NONE}/customers"), "not_found"),
        (("POST", "/v1/incidents", OCTETS), "method_not_allowed"),
        (("DELETE", "/v1/incidents"), "method_not_allowed"),
        (("GET", f"/v1/incidents?q={'a' * 3_000}"), "address_too_long"),
        (("GET", "/v1/incidents", {"host": SENT}), "unknown_host"),
        (("GET", "/v1/incidents", {"authorization": f"Bearer {SENT}"}), "unauthenticated"),
        (("GET", "/v1/incidents", {"authorization": ""}), "unauthenticated"),
        (("POST", "/v1/fraud-cases", {"sec-fetch-site": "cross-site"}), "foreign_origin"),
        (("GET", "/v1/export/csv", {"sec-fetch-site": "cross-site"}), "foreign_origin"),
        (("POST", "/v1/exposure", OCTETS), "forbidden"),
        (("POST", "/v1/fraud-cases", {**OCTETS, "content-length": "1000000"}), "body_too_large"),
        (("POST", "/v1/fraud-cases", {**OCTETS, "content-length": SENT}), "invalid_request"),
        (
            ("POST", "/v1/fraud-cases", {**OCTETS, "transfer-encoding": "chunked"}),
            "length_required",
        ),
    ],
    ids=lambda one: str(one)[:60],
)
def test_every_rejection_is_a_problem_document(phone_incident, program, asked, code) -> None:
    method, path, *headers = asked
    answer = program(method, path, *headers)
    check_problem(answer, code)
    assert ("allow" in answer.headers) == (code == "method_not_allowed")
    assert ("www-authenticate" in answer.headers) == (code == "unauthenticated")


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("limit=0", [("limit", "out_of_range")]),
        (f"limit={SENT}", [("limit", "invalid")]),
        (f"q={'a' * 1_001}", [("q", "too_long")]),
        (f"{SENT}=1", [("", "unknown")]),
        (f"limt=1&{SENT}=1", [("", "unknown"), ("", "unknown")]),
        ("tab=open&tab=all", [("tab", "invalid")]),
        (f"tab={SENT}", [("tab", "invalid")]),
        (f"order={SENT}", [("order", "invalid")]),
        (f"origin={SENT}", [("origin", "invalid")]),
        (f"severity={SENT}", [("severity", "invalid")]),
        (f"status={SENT}", [("status", "invalid")]),
        (f"seller={SENT}", [("seller", "invalid")]),
        (f"since={SENT}", [("since", "invalid")]),
        (f"until={SENT}", [("until", "invalid")]),
        (f"after={SENT}", [("after", "invalid")]),
        (f"q={PHONE}", [("q", "invalid")]),
        (f"assignee={PHONE}", [("assignee", "invalid")]),
        (f"tenant={SENT}", [("tenant", "invalid")]),
        ("tenant=otherbank", [("tenant", "invalid")]),
    ],
)
def test_invalid_parameter_is_named(phone_incident, program, query, wrong) -> None:
    assert (
        members(check_problem(program("GET", f"/v1/incidents?{query}"), "invalid_request")) == wrong
    )


def test_unknown_parameter_is_named_by_place_and_nearest_name(program) -> None:
    answer = program("GET", "/v1/incidents?tab=open&limt=1")
    (wrong,) = check_problem(answer, "invalid_request")["errors"]
    assert wrong["detail"] == "parameter 2 of the address is unknown: did you mean limit?"


@pytest.mark.parametrize("framing", [{"transfer-encoding": "chunked"}, {"content-length": "99999"}])
def test_method_without_a_body_is_never_about_its_length(program, framing) -> None:
    problem = check_problem(program("GET", "/v1/incidents", framing), "invalid_request")
    assert [member for member, _ in members(problem)] == [*framing]


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"decision": SENT}, [("decision", "invalid")]),
        ({}, [("decision", "missing")]),
        ({"decision": "note", "note": "x" * 501}, [("note", "invalid")]),
        ({"decision": "note", "note": PHONE}, [("note", "invalid")]),
        ({"decision": "note", "note": "called", "by": PHONE}, [("by", "invalid")]),
        ({"decision": "note", SENT: SENT}, [("", "unknown")]),
        ({"decision": "false_positive", "days": 1_001}, [("days", "out_of_range")]),
        ({"decision": "false_positive", "reason": SENT}, [("reason", "invalid")]),
        ({"decision": "acknowledged", "state": "sent"}, [("state", "invalid")]),
        ([SENT], [("", "invalid")]),
    ],
    ids=lambda one: str(one)[:40],
)
def test_invalid_member_is_named(phone_incident, program, body, wrong) -> None:
    version = program("GET", f"/v1/incidents/{phone_incident}").headers["etag"]
    answer = program(
        "POST", f"/v1/incidents/{phone_incident}/decisions", {"if-match": version}, json=body
    )
    assert members(check_problem(answer, "invalid_request")) == wrong


def test_list_member_is_named_by_its_index(desk, accounts) -> None:
    secret = accounts.add_token(
        "engine", ["exposure.ask"], ["bank"], purpose="risk_engine", days=1, by="test"
    )[1]
    body = {"pseudonyms": ["0" * 32, SENT]}
    answer = Browser(desk.app).ask(
        "POST", "/v1/exposure", json=body, headers={"authorization": f"Bearer {secret}"}
    )
    (wrong,) = check_problem(answer, "invalid_request")["errors"]
    assert (wrong["member"], wrong["code"]) == ("pseudonyms.1", "invalid")
    assert "^[0-9a-f]{32}$" in wrong["detail"]


@pytest.mark.parametrize("body", [f"{{{SENT}", "", SENT])
def test_invalid_json_is_a_problem_of_the_whole_body(phone_incident, program, body) -> None:
    document = check_problem(
        program("POST", "/v1/fraud-cases", OCTETS, content=body), "invalid_request"
    )
    assert [member for member, _ in members(document)] == [""]


def test_change_problem_names_the_missing_or_current_version(phone_incident, program) -> None:
    body = {"decision": "acknowledged"}
    without = check_problem(
        program("POST", f"/v1/incidents/{phone_incident}/decisions", json=body), "version_required"
    )
    assert members(without) == [("If-Match", "missing")]
    late = program(
        "POST",
        f"/v1/incidents/{phone_incident}/decisions",
        {"if-match": '"0123456789abcdef"'},
        json=body,
    )
    assert f'"{check_problem(late, "version_mismatch")["version"]}"' == late.headers["etag"]


def test_missing_permission_is_named(phone_incident, program) -> None:
    version = program("GET", f"/v1/incidents/{phone_incident}").headers["etag"]
    answer = program(
        "POST",
        f"/v1/incidents/{phone_incident}/decisions",
        {"if-match": version},
        json={"decision": "assigned"},
    )
    assert "incident.assign" in check_problem(answer, "forbidden")["detail"]


def test_too_many_wrong_tokens_must_wait(desk, program) -> None:
    answers = [
        program("GET", "/v1/incidents", {"authorization": f"Bearer {SENT}"})
        for _ in range(auth.WRONG_TOKENS + 1)
    ]
    check_problem(answers[-1], "rate_limited")
    assert int(answers[-1].headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyError(SENT), "internal_error"), (UnavailableError(f"no {SENT}"), "unavailable")],
    ids=["fault", "away"],
)
def test_internal_fault_is_a_problem_without_details(
    phone_incident, program, monkeypatch, error, code
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr("alerts.web.api.incidents.load_details", broken)
    check_problem(program("GET", f"/v1/incidents/{phone_incident}"), code)


def test_pages_answer_with_pages(browser) -> None:
    for path in ("/nowhere", "/?tab=none", "/?colour=red", f"/incidents/{NONE}"):
        assert browser.get(path).headers["content-type"].startswith("text/html"), path


def test_each_status_has_a_code_and_each_member_code_a_text() -> None:
    assert {
        problems.convert_status(status, "").code for status in (400, 404, 405, 422, 500, 503)
    } <= CODES.keys()
    assert set(problems.MEMBER_CODES) == {
        "missing",
        "unknown",
        "too_long",
        "too_short",
        "out_of_range",
        "invalid",
    }
    assert problems.convert_status(422, "").status == 422
