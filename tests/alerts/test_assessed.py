"""`ullage assess` and incidents: a re-post is known, and `--open` ends with the incident's
number, whoever folds.
"""

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import ullage.incidents
from alerts.records import Incident, Sighting
from alerts.store import DocumentFilter, open_configured_store
from matcher.cli.evidence_vault import outgoing
from tests.matcher.bank import command, customer, enrol
from ullage.bus import FINDINGS, Outgoing
from ullage.cli import app
from ullage.errors import Exit
from ullage.records import Finding
from ullage.runtime.dead_letters import read
from ullage.security.signing import SIGNER, Signer
from ullage.settings import Context

CUSTOMERS = [customer(n) for n in range(120)]


@pytest.fixture
def bank(data: Path) -> Context:
    """Return the context of one bank, with the real clock and no service running."""
    context = Context(data)
    (data / "ullage.toml").write_text("metrics = false\n[tenants.bank]\n")
    enrol(context, "bank", CUSTOMERS, "none")
    return Context(data)


@pytest.fixture
def assess(bank: Context, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ullage.runtime.service.stop_on_signals", lambda stop: None)

    def ran(path: Path, *words: str, code: int = 0):
        result = CliRunner().invoke(app, command(bank.data, "assess", path, *words))
        assert result.exit_code == code, result.output
        return result

    return ran


def rows(people: list[dict[str, str]], more: str = "") -> str:
    head = "姓名,手机号,身份证,借款金额" if more else "姓名,手机号,身份证"
    return "\n".join(
        [head, *(f"{p['name']},{p['phone']},{p['resident_id']}{more}" for p in people)]
    )


@pytest.fixture
def leak(tmp_path: Path) -> Path:
    path = tmp_path / "leak.csv"
    path.write_text(rows(CUSTOMERS[:60]), encoding="utf-8")
    return path


def read_stored(bank: Context, kind: type) -> list:
    store = open_configured_store(bank)
    try:
        return list(store.scroll(kind, DocumentFilter()))
    finally:
        store.close()


def test_open_groups_without_a_daemon_and_prints_the_incident(
    assess, bank: Context, leak: Path
) -> None:
    result = assess(leak, "--open")
    [incident] = read_stored(bank, Incident)
    assert f"incident {incident.id} of tenant bank: opened, {incident.severity}" in result.stdout
    assert f"ullage incidents show {incident.id}" in result.stdout
    assert (incident.customers, incident.sites, result.stderr) == (60, ("assess",), "")
    shown = CliRunner().invoke(app, command(bank.data, "incidents", "show", incident.id))
    assert "Customers: 60" in shown.stdout


def test_json_names_the_incident_that_a_repost_joins(assess, bank: Context, leak: Path) -> None:
    [first] = json.loads(assess(leak, "--open", "--json").stdout)["incidents"]
    assert (first["tenant"], first["is_new"], first["why_not"]) == ("bank", True, "")
    again = json.loads(assess(leak, "--open", "--json").stdout)
    assert [(item["incident"], item["is_new"]) for item in again["incidents"]] == [
        (first["incident"], False)
    ]
    assert again["tenants"][0]["earlier"]["joins"] == first["incident"]
    assert len(read_stored(bank, Incident)) == 1
    assert len(read_stored(bank, Sighting)) == 2


def test_repost_names_its_incident(assess, bank: Context, leak: Path, tmp_path: Path) -> None:
    before = assess(leak)
    assert "not compared with earlier incidents: no incident is stored here yet" in " ".join(
        before.stdout.split()
    )
    assert "OURS" in before.stdout
    assess(leak, "--open")
    [incident] = read_stored(bank, Incident)
    slice_ = tmp_path / "slice.csv"
    slice_.write_text("\n".join(rows(CUSTOMERS[20:50]).splitlines()[::-1]), encoding="utf-8")
    result = assess(slice_, "--json")
    [tenant_result] = json.loads(result.stdout)["tenants"]
    assert (
        tenant_result["origin"]["verdict"],
        tenant_result["earlier"]["incident"],
        tenant_result["earlier"]["share"],
    ) == (
        "recycled",
        incident.id,
        1.0,
    )
    shown = " ".join(assess(slice_).stdout.split())
    assert "RECYCLED" in shown
    assert f"100% of these customers appeared with the same fields in {incident.id}" in shown


def test_new_people_or_fields_are_not_a_repost(
    assess, bank: Context, leak: Path, tmp_path: Path
) -> None:
    assess(leak, "--open")
    other_file = tmp_path / "other.csv"
    for people, more in ((CUSTOMERS[60:], ""), (CUSTOMERS[:60], ",8万")):
        other_file.write_text(rows(people, more), encoding="utf-8")
        result = json.loads(assess(other_file, "--json").stdout)
        [verdict] = result["tenants"]
        assert (
            verdict["origin"]["verdict"],
            verdict["earlier"]["compared"],
            result["not_compared"],
        ) == ("ours", 1, "")
        assert verdict["earlier"]["incident"] == ""
    other_file.write_text(rows(CUSTOMERS[60:]), encoding="utf-8")
    assert "in none of 1 earlier incidents with the same fields" in " ".join(
        assess(other_file).stdout.split()
    )


def test_comparing_writes_nothing(assess, bank: Context, leak: Path) -> None:
    assess(leak, "--open")

    def snapshot() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in bank.data.rglob("*") if path.is_file()}

    before = snapshot()
    assess(leak)
    assert snapshot() == before


def test_incident_of_another_tenant_is_not_revealed(assess, bank: Context, leak: Path) -> None:
    assess(leak, "--open")
    enrol(bank, "other", CUSTOMERS[:60], "none")
    tenant_results = json.loads(assess(leak, "--json").stdout)["tenants"]
    assert {t["tenant"]: t["origin"]["verdict"] == "recycled" for t in tenant_results} == {
        "bank": True,
        "other": False,
    }


def test_unreachable_store_is_reported(assess, bank: Context, leak: Path) -> None:
    (bank.data / "ullage.toml").write_text('[store]\nurl = "elasticsearch://127.0.0.1:1?plain=1"\n')
    result = json.loads(assess(leak, "--json").stdout)
    assert "127.0.0.1:1" in result["not_compared"]
    assert result["tenants"][0]["earlier"] is None
    shown = " ".join(assess(leak).stdout.split())
    assert "not compared with earlier incidents: " in shown


def test_open_without_alert_reports_a_missing_confirmation(
    assess, bank: Context, leak: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ullage.incidents, "GROUP", "ullage.none")
    assert (
        "the part alert is not installed"
        in json.loads(assess(leak, "--json").stdout)["not_compared"]
    )
    result = assess(leak, "--open", code=Exit.FAILED)
    assert "submitted; this host cannot see whether it was processed" in result.stderr
    assert len(bank.bus().subscribe(FINDINGS, "alert").poll(9, 0.0)) == 1


def test_nothing_to_open_is_a_failure(assess, bank: Context, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("nobody")
    result = assess(path, "--open", code=Exit.FAILED)
    assert "no incident: the file contains nothing about a tenant" in result.stderr
    assert json.loads(assess(path, "--open", "--json", code=Exit.FAILED).stdout)["incidents"] == []


def test_finding_rejected_by_alert_opens_no_incident(
    assess, bank: Context, leak: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sign_as_stranger(finding: Finding, signer: Signer) -> Outgoing:
        message = outgoing(finding, signer)
        return replace(message, headers={**message.headers, SIGNER: "somebody"})

    monkeypatch.setattr("matcher.cli.examine.outgoing", sign_as_stranger)
    result = assess(leak, "--open", code=Exit.FAILED)
    assert "ullage dead-letters" in result.stderr
    letters = bank.bus().subscribe("dead-letters", "test").poll(9, 0.0)
    assert [read(letter).reason for letter in letters] == ["unknown_signer"]


def test_open_waits_for_a_running_daemon(assess, bank: Context, leak: Path) -> None:
    words = [sys.executable, "-m", "ullage", *command(bank.data, "alert")]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as daemon:
        try:
            while '"started"' not in daemon.stderr.readline():
                assert daemon.poll() is None
            draining = threading.Thread(target=daemon.stderr.read)
            draining.start()
            while not list(bank.data.rglob("findings.alert.lock")):
                assert daemon.poll() is None
            [tenant_result] = json.loads(assess(leak, "--open", "--json", "--wait", "120").stdout)[
                "incidents"
            ]
        finally:
            daemon.terminate()
        draining.join()
    assert tenant_result["incident"] == read_stored(bank, Incident)[0].id


def test_daemon_that_is_too_slow_is_reported(assess, bank: Context, leak: Path) -> None:
    bus = bank.bus()
    consumer = bus.subscribe(FINDINGS, "alert")
    result = assess(leak, "--open", "--wait", "0", code=Exit.FAILED)
    assert "submitted, but not processed yet: is `ullage alert` running?" in result.stderr
    consumer.close()
    assert read_stored(bank, Incident) == []


def test_single_imported_number_opens_an_incident(assess, bank: Context, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"警方提醒，法院判处一案，电话 {CUSTOMERS[0]['phone']}\n", encoding="utf-8")
    assess(path, "--open")
    assert [incident.customers for incident in read_stored(bank, Incident)] == [1]
