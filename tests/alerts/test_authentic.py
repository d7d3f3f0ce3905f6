"""Nobody but match can bring a finding into an incident."""

from contextlib import closing
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from alerts.records import Incident, incident_id
from alerts.service.intake import Authentic
from alerts.store import DocumentFilter
from tests.alerts.builders import finding
from tests.factories import sign_finding_record
from ullage.bus import FINDINGS, Outgoing, Record
from ullage.cli import app
from ullage.records import FINDING_SCHEMA
from ullage.records.heartbeat import HEARTBEAT_SCHEMA, PURPOSE, Heartbeat
from ullage.runtime.dead_letters import read
from ullage.security import keys
from ullage.security.signing import Signer, record_parts
from ullage.settings import Context

GOOD = finding("f", range(10), people="ab").encode()
FORGED = finding("forged", range(50, 60), people="cd")


@pytest.fixture
def alert(data, monkeypatch):
    """Return a function that runs `ullage alert --once` on what is on the bus.

    It returns the incidents' ids and the reasons of dead letters.
    """
    monkeypatch.setattr("ullage.runtime.service.stop_on_signals", lambda stop: None)
    (data / "ullage.toml").write_text("metrics = false\n[tenants.bank]\n")

    def ran(context: Context, store, *records: Outgoing) -> tuple[set[str], list[str]]:
        context.bus().publisher(FINDINGS).append(list(records))
        result = CliRunner().invoke(app, ["--data", str(data), "alert", "--once"])
        assert result.exit_code == 0, result.output
        with closing(context.bus().subscribe("dead-letters", "test")) as subscription:
            letters = subscription.poll(20, 0.0)
        return {i.id for i in store.scroll(Incident, DocumentFilter())}, [
            read(letter).reason for letter in letters
        ]

    return ran


def stranger() -> Signer:
    return Signer(Ed25519PrivateKey.generate())


def test_findings_signed_by_match_or_assess_are_grouped(context: Context, store, alert) -> None:
    second = sign_finding_record(
        context.keys, finding("g", range(90, 99), people="c").encode(), id_="g", role="assess"
    )
    assert alert(context, store, sign_finding_record(context.keys, GOOD), second) == (
        {incident_id("f"), incident_id("g")},
        [],
    )


def test_unsigned_finding_is_a_dead_letter(context: Context, store, alert) -> None:
    headers = {"tenant": "bank", "id": "forged", "schema": str(FINDING_SCHEMA)}
    unsigned = Outgoing("bank", FORGED.encode(), headers)
    assert alert(context, store, unsigned, sign_finding_record(context.keys, GOOD)) == (
        {incident_id("f")},
        ["unknown_signer"],
    )


@pytest.mark.parametrize("schema", ["", "x", "-1", "\u0663", "0", "2", "01"])
def test_finding_of_unknown_schema_is_a_dead_letter(
    context: Context, store, alert, schema: str
) -> None:
    odd = sign_finding_record(context.keys, FORGED.encode(), id_="forged")
    odd = Outgoing(odd.key, odd.value, {**odd.headers, "schema": schema})
    assert alert(context, store, odd, sign_finding_record(context.keys, GOOD)) == (
        {incident_id("f")},
        ["schema"],
    )


def test_signature_of_an_unknown_signer_is_rejected(context: Context, store, alert) -> None:
    headers = {"tenant": "bank", "id": "forged", "schema": str(FINDING_SCHEMA)}
    by = stranger().headers("finding", *record_parts(FINDINGS, headers, FORGED.encode()))
    assert alert(context, store, Outgoing("bank", FORGED.encode(), headers | by)) == (
        set(),
        ["unknown_signer"],
    )


@pytest.mark.parametrize("change", ["value", "tenant", "id", "signature"])
def test_changed_finding_is_rejected(context: Context, store, alert, change: str) -> None:
    message = sign_finding_record(context.keys, GOOD)
    value = (
        message.value.replace(b'"customers":', b'"customers":1')
        if change == "value"
        else message.value
    )
    headers = dict(message.headers)
    if change in headers:
        headers[change] = ("00" if not headers[change].startswith("00") else "11") + headers[
            change
        ][2:]
    assert alert(context, store, Outgoing(message.key, value, headers)) == (
        set(),
        ["not_authentic"],
    )


def test_heartbeat_not_signed_by_match_is_rejected(context: Context, store, alert) -> None:
    beat = Outgoing(
        "b", b"{}", {"record": "heartbeat", "id": "0" * 32, "schema": str(HEARTBEAT_SCHEMA)}
    )
    assert alert(context, store, beat) == (set(), ["unknown_signer"])


def test_heartbeat_that_match_signed_is_authentic(context: Context) -> None:
    beat = Heartbeat(id="0" * 32, origin="crawl", inserted_at=datetime(2026, 9, 21, tzinfo=UTC))
    headers, value = beat.headers(), beat.encode()
    by = keys.load_signer(context.keys, "match").headers(
        PURPOSE, *record_parts(FINDINGS, headers, value)
    )
    Authentic(keys.load_verifier(context.keys, FINDINGS)).check(
        Record(FINDINGS, 0, 1, 0.0, beat.id, headers | by, value)
    )


def test_capture_signers_cannot_sign_findings(context: Context, store, alert) -> None:
    headers = {"tenant": "bank", "id": "forged", "schema": str(FINDING_SCHEMA)}
    by = keys.load_signer(context.keys, "crawl").headers(
        "finding", *record_parts(FINDINGS, headers, FORGED.encode())
    )
    assert alert(context, store, Outgoing("bank", FORGED.encode(), headers | by)) == (
        set(),
        ["unknown_signer"],
    )
