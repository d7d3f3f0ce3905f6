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
    """One bank, the real clock, and no role running."""
    context = Context(data)
    (data / "ullage.toml").write_text("metrics = false\n[tenants.bank]\n")
    enrol(context, "bank", CUSTOMERS, "none")
    return Context(data)


@pytest.fixture
def assess(bank: Context, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ullage.runtime.service.stop_on_signals", lambda stop: None)

    def ran(path: Path, *words: str, code: int = 0):
        done = CliRunner().invoke(app, command(bank.data, "assess", path, *words))
        assert done.exit_code == code, done.output
        return done

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


def stored(bank: Context, kind: type) -> list:
    store = open_configured_store(bank)
    try:
        return list(store.scroll(kind, DocumentFilter()))
    finally:
        store.close()


def test_open_folds_where_nobody_does_and_prints_the_number(
    assess, bank: Context, leak: Path
) -> None:
    done = assess(leak, "--open")
    [incident] = stored(bank, Incident)
    assert f"incident {incident.id} of tenant bank: opened, {incident.severity}" in done.stdout
    assert f"ullage incidents show {incident.id}" in done.stdout
    assert (incident.customers, incident.sites, done.stderr) == (60, ("assess",), "")
    shown = CliRunner().invoke(app, command(bank.data, "incidents", "show", incident.id))
    assert "Customers: 60" in shown.stdout


def test_the_number_as_json_and_what_it_joins(assess, bank: Context, leak: Path) -> None:
    [first] = json.loads(assess(leak, "--open", "--json").stdout)["incidents"]
    assert (first["tenant"], first["is_new"], first["why_not"]) == ("bank", True, "")
    again = json.loads(assess(leak, "--open", "--json").stdout)
    assert [(one["incident"], one["is_new"]) for one in again["incidents"]] == [
        (first["incident"], False)
    ]
    assert again["tenants"][0]["earlier"]["joins"] == first["incident"]
    assert len(stored(bank, Incident)) == 1
    assert len(stored(bank, Sighting)) == 2


def test_a_repost_is_recycled_and_the_incident_is_named(
    assess, bank: Context, leak: Path, tmp_path: Path
) -> None:
    before = assess(leak)
    assert "not compared with earlier incidents: there is no incident store here yet" in " ".join(
        before.stdout.split()
    )
    assert "OURS" in before.stdout
    assess(leak, "--open")
    [incident] = stored(bank, Incident)
    slice_ = tmp_path / "slice.csv"
    slice_.write_text("\n".join(rows(CUSTOMERS[20:50]).splitlines()[::-1]), encoding="utf-8")
    done = assess(slice_, "--json")
    [told] = json.loads(done.stdout)["tenants"]
    assert (told["origin"]["verdict"], told["earlier"]["incident"], told["earlier"]["share"]) == (
        "recycled",
        incident.id,
        1.0,
    )
    shown = " ".join(assess(slice_).stdout.split())
    assert "RECYCLED" in shown
    assert f"100% of these customers stood with the same fields in {incident.id}" in shown


def test_new_people_and_new_fields_are_no_repost(
    assess, bank: Context, leak: Path, tmp_path: Path
) -> None:
    assess(leak, "--open")
    other = tmp_path / "other.csv"
    for people, more in ((CUSTOMERS[60:], ""), (CUSTOMERS[:60], ",8万")):
        other.write_text(rows(people, more), encoding="utf-8")
        told = json.loads(assess(other, "--json").stdout)
        [verdict] = told["tenants"]
        assert (
            verdict["origin"]["verdict"],
            verdict["earlier"]["compared"],
            told["not_compared"],
        ) == ("ours", 1, "")
        assert verdict["earlier"]["incident"] == ""
    other.write_text(rows(CUSTOMERS[60:]), encoding="utf-8")
    assert "in none of 1 earlier incidents with these fields" in " ".join(
        assess(other).stdout.split()
    )


def test_comparing_writes_nothing(assess, bank: Context, leak: Path) -> None:
    assess(leak, "--open")

    def kept() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in bank.data.rglob("*") if path.is_file()}

    before = kept()
    assess(leak)
    assert kept() == before


def test_another_tenants_incident_is_not_ours_to_know(assess, bank: Context, leak: Path) -> None:
    assess(leak, "--open")
    enrol(bank, "other", CUSTOMERS[:60], "none")
    told = json.loads(assess(leak, "--json").stdout)["tenants"]
    assert {t["tenant"]: t["origin"]["verdict"] == "recycled" for t in told} == {
        "bank": True,
        "other": False,
    }


def test_a_store_that_cannot_be_asked_is_said(assess, bank: Context, leak: Path) -> None:
    (bank.data / "ullage.toml").write_text('[store]\nurl = "elasticsearch://127.0.0.1:1?plain=1"\n')
    told = json.loads(assess(leak, "--json").stdout)
    assert "127.0.0.1:1" in told["not_compared"]
    assert told["tenants"][0]["earlier"] is None
    shown = " ".join(assess(leak).stdout.split())
    assert "not compared with earlier incidents: " in shown


def test_without_alert_it_says_so(
    assess, bank: Context, leak: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ullage.incidents, "GROUP", "ullage.none")
    assert (
        "alert is not installed here" in json.loads(assess(leak, "--json").stdout)["not_compared"]
    )
    done = assess(leak, "--open", code=Exit.FAILED)
    assert "submitted; whether it was processed is not visible here" in done.stderr
    assert len(bank.bus().subscribe(FINDINGS, "alert").poll(9, 0.0)) == 1


def test_nothing_to_open_is_a_failure_that_says_so(assess, bank: Context, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("nobody")
    done = assess(path, "--open", code=Exit.FAILED)
    assert "no incident: nothing in it concerns a tenant" in done.stderr
    assert json.loads(assess(path, "--open", "--json", code=Exit.FAILED).stdout)["incidents"] == []


def test_what_alert_refuses_is_no_incident(
    assess, bank: Context, leak: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsigned(finding: Finding, signer: Signer) -> Outgoing:
        made = outgoing(finding, signer)
        return replace(made, headers={**made.headers, SIGNER: "somebody"})

    monkeypatch.setattr("matcher.cli.examine.outgoing", unsigned)
    done = assess(leak, "--open", code=Exit.FAILED)
    assert "ullage dead-letters" in done.stderr
    letters = bank.bus().subscribe("dead-letters", "test").poll(9, 0.0)
    assert [read(letter).reason for letter in letters] == ["unknown_signer"]


def test_a_daemon_that_runs_is_waited_for(assess, bank: Context, leak: Path) -> None:
    words = [sys.executable, "-m", "ullage", *command(bank.data, "alert")]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as daemon:
        try:
            while '"started"' not in daemon.stderr.readline():
                assert daemon.poll() is None
            draining = threading.Thread(target=daemon.stderr.read)
            draining.start()
            while not list(bank.data.rglob("findings.alert.lock")):
                assert daemon.poll() is None
            [told] = json.loads(assess(leak, "--open", "--json", "--wait", "120").stdout)[
                "incidents"
            ]
        finally:
            daemon.terminate()
        draining.join()
    assert told["incident"] == stored(bank, Incident)[0].id


def test_a_daemon_that_does_not_fold_in_time_is_said(assess, bank: Context, leak: Path) -> None:
    bus = bank.bus()
    consumer = bus.subscribe(FINDINGS, "alert")
    done = assess(leak, "--open", "--wait", "0", code=Exit.FAILED)
    assert "submitted, but not processed yet: is `ullage alert` running?" in done.stderr
    consumer.close()
    assert stored(bank, Incident) == []


def test_one_number_that_a_person_hands_in_is_an_incident(
    assess, bank: Context, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"警方提醒，法院判处一案，电话 {CUSTOMERS[0]['phone']}\n", encoding="utf-8")
    assess(path, "--open")
    assert [incident.customers for incident in stored(bank, Incident)] == [1]
