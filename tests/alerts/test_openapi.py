"""The OpenAPI document is valid, complete, and illustrated with examples that fit its own
schemas.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from alerts.notify import WORDS, IncidentSummary, Message, MessageEntry
from alerts.web.api.openapi import EXAMPLES, PARAMETERS
from alerts.web.problems import CODES, MEDIA_TYPE
from tests.alerts.browser import HOST

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

OPERATIONS = {
    "list_incidents", "get_incident", "list_customers", "list_sightings", "decide_incident",
    "export_incidents", "list_events",
    "get_event_key", "screen_exposure", "check_person", "report_fraud_case", "assess_file",
}  # fmt: skip
"""Their names are those of functions in generated clients: none is ever renamed."""


@pytest.fixture
def document(browser) -> dict:
    return browser.get("/v1/openapi.json").json()


def operations(document: dict):
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def validator(document: dict, schema: dict) -> Validator:
    """Return a validator for one schema that may refer to the document's components."""
    # two seconds to load, which every worker would spend to collect
    from jsonschema import Draft202012Validator

    return Draft202012Validator({**schema, "components": document["components"]})


def test_openapi_document_is_valid(document) -> None:
    from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

    assert [str(error.message) for error in OPENAPI_31_VALIDATOR.iter_errors(document)] == []
    if importlib.util.find_spec("openapi_spec_validator"):
        importlib.import_module("openapi_spec_validator").validate(document)


def test_every_operation_has_name_tag_and_description(document) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert (len(names), set(names)) == (len(OPERATIONS), OPERATIONS)
    tags = {operation["name"]: operation["description"] for operation in document["tags"]}
    assert all(tags.values())
    assert {
        tag for _, _, operation in operations(document) for tag in operation["tags"]
    } == tags.keys()
    assert all(operation["description"] for _, _, operation in operations(document))


def test_server_is_the_requested_address(browser, document) -> None:
    assert [server["url"] for server in document["servers"]] == [f"http://{HOST}"]
    assert browser.get("/v1/openapi.json").json() == document


def test_every_problem_is_documented_where_it_can_occur(document) -> None:
    for _, method, operation in operations(document):
        errors_by_status = {
            status: answer for status, answer in operation["responses"].items() if status != "200"
        }
        changes, files = (
            operation["operationId"] == "decide_incident",
            operation["tags"] == ["files"],
        )
        statuses = {str(kind.status) for kind in CODES.values()} - (
            set() if changes else {"412", "428"}
        )
        statuses -= set() if method == "post" else {"411", "413"}
        assert set(errors_by_status) == statuses
        assert all(answer["content"].keys() == {MEDIA_TYPE} for answer in errors_by_status.values())
        assert ("assessment_busy" in errors_by_status["503"]["description"]) == files
    assert all(
        "X-Request-Id" in answer["headers"]
        for _, _, operation in operations(document)
        for answer in operation["responses"].values()
    )


def test_every_body_and_answer_has_a_valid_example(document) -> None:
    assert EXAMPLES.keys() == OPERATIONS
    for _, _, operation in operations(document):
        bodies = [
            operation.get("requestBody", {"content": {}}),
            operation["responses"]["200"],
            operation["responses"]["400"],
        ]
        for media, content in [pair for body in bodies for pair in body["content"].items()]:
            if (
                media in ("application/json", MEDIA_TYPE, "multipart/form-data")
                and operation["operationId"] != "export_incidents"
            ):
                errors = validator(document, content["schema"]).iter_errors(content["example"])
                assert [
                    (operation["operationId"], error.json_path, error.message) for error in errors
                ] == []


def test_every_parameter_has_a_description_and_valid_example(document) -> None:
    named = {
        parameter["name"]
        for _, _, operation in operations(document)
        for parameter in operation.get("parameters", ())
    }
    assert named == PARAMETERS.keys()
    for _, _, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], parameter["name"]
            validator(document, parameter["schema"]).validate(parameter["example"])


def test_webhook_is_described_as_it_is_sent(document) -> None:
    (operation,) = document["webhooks"]["incidents"].values()
    content = operation["requestBody"]["content"]["application/json"]
    body = validator(document, content["schema"])
    body.validate(content["example"])
    facts = IncidentSummary(
        "bank", 3, ("Calls", "电话"), ("paste",), ("Wait.", "等待。"), at_least=True
    )
    for why in WORDS:
        for shown in (None, facts):
            entry = MessageEntry("INC-A", "high", why, "https://page/INC-A", shown, series="s")
            body.validate(Message("msg_1", (entry,), "https://page").payload())
    reasons = document["components"]["schemas"]["NotifiedIncident"]["properties"]["why"]
    assert set(WORDS) == set(reasons["enum"])
    assert all(f"`{why}`" in reasons["description"] for why in WORDS)


def test_every_component_is_referenced(document) -> None:
    text = str(document)
    assert [
        name
        for name in document["components"]["schemas"]
        if f"#/components/schemas/{name}'" not in text
    ] == []
