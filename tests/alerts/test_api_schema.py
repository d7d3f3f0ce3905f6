"""The API is as its document says: schemathesis asks a real server whatever the document allows,
and what it does not.
"""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from alerts.accounts import PEOPLE_ALONE, PERMISSIONS, PURPOSES
from alerts.records import incident_id
from alerts.web import auth

A = incident_id("f")
EXAMPLES = 10
"""Of each operation, as it is declared and as it is not: the same on every run.

`make fuzz` draws others.
"""
NOT_ASKED = [positive_data_acceptance]
"""That all of the right shape is accepted: a date may have passed, a mark be of another log, a
filter hold an identifier.
"""
TOO_MUCH = ["411", "412", "413", "414"]
"""Refusals that schemathesis does not count as such: of a length, of a version, of a body or an
address that is too long.
"""
ANY = [name for name in PERMISSIONS if name not in PEOPLE_ALONE and name not in PURPOSES]


@pytest.fixture
def patient(monkeypatch) -> None:
    """Remove the wait after many wrong tokens, which these tests send."""
    monkeypatch.setattr(auth, "WRONG_TOKENS", 100_000)


@pytest.fixture
def schema_and_headers(patient, address, accounts):
    """Return the schema served by the console, and the request headers for each operation."""

    def bearer(scope, purpose):
        _, token = accounts.add_token("tester", scope, ["*"], purpose=purpose, days=1, by="test")
        return {"Authorization": f"Bearer {token}"}

    of = {"/v1/exposure": bearer(["exposure.ask"], "risk_engine")}
    anybody = bearer(ANY, "a test")
    schema = schemathesis.openapi.from_url(f"{address}/v1/openapi.json", headers=anybody)
    rejected = schema.config.checks.negative_data_rejection
    rejected.expected_statuses = [*rejected.expected_statuses, *TOO_MUCH]
    return schema, lambda path: of.get(path, anybody)


def ways(operation, mode):
    """Yield strategies for an operation: any input, and for a path with an id, an existing id."""
    yield operation.as_strategy(generation_mode=mode)
    if "{" in operation.path:
        there = {"id_": A} if "{id_}" in operation.path else {"form": "csv"}
        yield operation.as_strategy(generation_mode=mode, path_parameters=there)


@pytest.mark.parametrize("mode", GenerationMode)
def test_api_matches_its_schema(schema_and_headers, mode) -> None:
    schema, headers_for = schema_and_headers
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) >= 10
    for operation, strategy in (
        (api_operation, way) for api_operation in operations for way in ways(api_operation, mode)
    ):
        headers = headers_for(operation.path)
        # match does not run: 503
        excluded = [*NOT_ASKED, *([not_a_server_error] if operation.path == "/v1/assess" else [])]

        @settings(
            max_examples=EXAMPLES, derandomize=True, deadline=None, database=None,
            phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=strategy)
        def check(case) -> None:
            # no address can say so
            assume(not any(value in ([], {}) for value in (case.query or {}).values()))
            # the loop's variables are read at once
            case.call_and_validate(headers=headers, excluded_checks=excluded)  # noqa: B023

        check()
