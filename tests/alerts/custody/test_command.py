"""Evidence on the command line: listed by anybody, opened by two, held for a case, and all of it
in the audit log.
"""

import json
import stat
import tarfile
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alerts.cases.evidence import Holds, find_held
from alerts.records import (
    CLASSES,
    Decision,
    Exposure,
    Hold,
    Holding,
    Incident,
    Notification,
    Sighting,
    incident_id,
)
from alerts.service.upkeep import Maintenance, expire
from alerts.store import DocumentFilter
from tests.alerts.builders import finding, fold_all
from tests.factories import clocks_at
from tests.ullage.custody.support import BODY, OFFICERS, PASSPHRASES, officers, seal
from ullage.audit import read_entries
from ullage.cli import app
from ullage.custody import digest, make_officer
from ullage.custody.vault import Vault
from ullage.errors import ConfigError, CorruptError
from ullage.running_time import RunningTime
from ullage.settings import Context, StoreSettings

A = incident_id("f1d0")
CASE = ("--case", "2026-7", "--reason", "police report")


@pytest.fixture
def vault(data, tmp_path, context, store, clock) -> Vault:
    """Two findings of one incident and one of another, all sealed."""
    fold_all(
        store,
        clock,
        [finding(n, range(10), people="ab") for n in ("f1d0", "f1d1")]
        + [finding("f2", range(50, 60), people="c")],
    )
    pair, vault = officers(tmp_path, context.keys), Vault(data / "evidence")
    for name in ("f1d0", "f1d1", "f2"):
        seal(vault, pair, name)
    return vault


@pytest.fixture
def run(data, tmp_path):
    keys = [word for name in OFFICERS for word in ("--key", str(tmp_path / f"{name}.pem"))]

    def ran(
        *words: str, keys: list[str] = keys, typed: str = "\n".join([*PASSPHRASES.values()][:2])
    ):
        opening = words[1] == "open"
        return CliRunner().invoke(
            app, ["--data", str(data), *words, *(keys if opening else ())], input=typed + "\n"
        )

    return ran


def read_audit(data: Path) -> list[tuple[str, str, str]]:
    return [(entry.action, entry.object, entry.reason) for _, entry in read_entries(data / "audit")]


def test_list_shows_incidents_without_opening_evidence(data, vault, run):
    rows = [json.loads(line) for line in run("evidence", "list", "--json").output.splitlines()]
    assert [(row["finding"], row["incident"], row["held"]) for row in rows] == [
        ("f1d0", A, False), ("f1d1", A, False), ("f2", incident_id("f2"), False),
    ]  # fmt: skip
    assert "li, wang" in run("evidence", "list").output
    assert read_audit(data) == []


def test_two_officers_open_evidence_after_an_audit_entry(data, vault, run):
    shown = run("evidence", "open", "f1d0", *CASE)
    assert shown.exit_code == 0, shown.output
    assert "张三----15400000001----Qk7!vexTrout" in shown.output
    assert f"sha256     {digest(BODY)}  body" in shown.output
    assert "header     Server: nginx" in shown.output
    assert "process    2026-09-21T12:00:05+00:00  match: rated high" in shown.output
    assert read_audit(data) == [
        ("evidence.open", "finding f1d0, keys of li and wang", "case 2026-7: police report")
    ]


def test_evidence_text_cannot_control_a_terminal(data, context, vault, run, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "tests.ullage.custody.support.BODY", b"a\x1b[31mred\xff\n" + b"more\n" * 300
    )
    from tests.ullage.custody import support
    from ullage.custody import pair_of

    support.seal(vault, pair_of(context.keys, OFFICERS), "f3")
    shown = run("evidence", "open", "f3", *CASE).output
    assert r"a\x1b[31mred\xff" in shown
    assert "\x1b" not in shown
    assert "… 101 more lines" in shown


@pytest.mark.parametrize(
    ("keys", "typed", "said"),
    [
        (["li"], "correct horse 1", "two officers open evidence together"),
        (["li", "li"], "correct horse 1\ncorrect horse 1", "give their keys with --key"),
        (["li", "zhao"], "correct horse 1\ncorrect horse 3", "give their keys with --key"),
        (["li", "wang"], "correct horse 1\nwrong", "check the passphrase"),
    ],
)
def test_invalid_officers_or_passphrases_open_nothing(
    data, tmp_path, vault, run, keys, typed, said
):
    make_officer(tmp_path, "zhao", PASSPHRASES["zhao.pem"])
    words = [word for name in keys for word in ("--key", str(tmp_path / f"{name}.pem"))]
    refused = run("evidence", "open", "f1d0", *CASE, keys=words, typed=typed)
    assert isinstance(refused.exception, ConfigError)
    assert said in str(refused.exception)
    assert "vexTrout" not in refused.output
    assert [action for action, _, _ in read_audit(data)] in ([], ["evidence.refused"])
    assert ("give their keys" in said) == bool(read_audit(data))


def test_damaged_file_is_distinguished_from_a_wrong_key(data, vault, run):
    path = vault.find("f1d0").path
    written = path.read_bytes()
    path.write_bytes(written[:-9] + bytes([written[-9] ^ 1]) + written[-8:])
    refused = run("evidence", "open", "f1d0", *CASE)
    assert isinstance(refused.exception, CorruptError)
    assert [action for action, _, _ in read_audit(data)] == ["evidence.refused"]


def test_pack_contains_the_whole_incident_with_checksums(data, tmp_path, vault, run):
    out = tmp_path / "case.tar"
    packed = run("evidence", "open", A, "--output", str(out), *CASE)
    assert packed.exit_code == 0, packed.output
    assert "2 findings in clear" in packed.output
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    with tarfile.open(out) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}
    assert set(files) == {
        "SHA256SUMS",
        *(f"{n}/{part}" for n in ("f1d0", "f1d1") for part in ("body", "manifest.json")),
    }
    sums = dict(
        reversed(line.split("  ")) for line in files.pop("SHA256SUMS").decode().splitlines()
    )
    assert sums == {name: digest(content) for name, content in files.items()}
    assert files["f1d0/body"] == BODY
    assert [action for action, _, _ in read_audit(data)] == ["evidence.pack"] * 2


def test_pack_is_never_partial_overwriting_or_in_the_data_folder(data, tmp_path, vault, run):
    there = tmp_path / "there"
    there.write_text("keep")
    for out, reason in ((data / "x.tar", "is in the data folder"), (there, "exists")):
        refused = run("evidence", "open", "f1d0", "--output", str(out), *CASE)
        assert reason in str(refused.exception)
    assert there.read_text() == "keep"
    vault.find("f1d1").path.write_bytes(vault.find("f1d1").path.read_bytes()[:-1])
    refused = run("evidence", "open", A, "--output", str(tmp_path / "half.tar"), *CASE)
    assert isinstance(refused.exception, CorruptError)
    assert not (tmp_path / "half.tar").exists()
    assert not (data / "x.tar").exists()


def test_keygen_creates_a_key_pair_and_explains_its_parts(tmp_path):
    result = CliRunner().invoke(
        app,
        ["evidence", "keygen", "chen", "--output", str(tmp_path)],
        input="correct horse 9\ncorrect horse 9\n",
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "chen.pem").exists()
    assert "copy" in result.output
    assert "correct horse" not in result.output


# --- holds


def test_held_incident_keeps_its_evidence_until_release(data, vault, run, store, clock):
    result = run("incidents", "hold", A, *CASE)
    assert result.exit_code == 0, result.output
    assert "with its evidence (2 here)" in result.output
    assert find_held(store) == {A}
    assert [item.head.finding for item in vault.items() if item.held] == ["f1d0", "f1d1"]
    assert "held" in run("evidence", "list").output
    later = clock.as_clock().now() + timedelta(days=400)
    assert vault.expire(180, clocks_at(later)) == 1
    assert "with its evidence (2 here)" in run("incidents", "hold", A, "--end", *CASE).output
    assert find_held(store) == set()
    assert vault.expire(180, clocks_at(later)) == 2
    assert [(action, what) for action, what, _ in read_audit(data)] == [
        ("incident.hold", A),
        ("incident.release", A),
    ]


def test_latest_hold_decision_counts_despite_a_clock_set_back(vault, store, clock, context):
    holds = Holds(store, vault, context.trail(), clock.as_clock())
    for word in (holds.set, holds.release, holds.set):
        word(A, by="Li", case="7", reason="police")
        clock.advance(-3600)
        assert find_held(store) == ({A} if word == holds.set else set())


def test_finding_without_an_incident_can_be_held(data, vault, run):
    assert "1 of 1 are kept" in run("incidents", "hold", "f2", *CASE).output
    assert [item.head.finding for item in vault.items() if item.held] == ["f2"]
    assert "1 of 1 may expire again" in run("incidents", "hold", "f2", "--end", *CASE).output
    assert not vault.find("f2").held
    assert "no evidence of that finding" in str(
        run("incidents", "hold", "f2", "nobody", *CASE).exception
    )
    assert [action for action, _, _ in read_audit(data)][:2] == ["evidence.keep", "evidence.let_go"]


def test_invalid_hold_or_release_is_reported(vault, run):
    assert "no incident with that id" in str(run("incidents", "hold", "INC-X", *CASE).exception)
    assert "not on hold" in str(run("incidents", "hold", A, "--end", *CASE).exception)


def test_nothing_of_a_held_incident_expires(data, vault, store, clock, context):
    holds = Holds(store, vault, context.trail(), clock.as_clock())
    store.put([
        Decision(id="d", tenant="bank", incident=A, at=clock.as_clock().now(), by="Li",
        status="confirmed"),
        Notification(
            id=f"{A}:soc:high", tenant="bank", incident=A, at=clock.as_clock().now(),
            due=clock.as_clock().now(), channel="soc",
            what="high", why="new", severity="high",
        ),
    ])  # fmt: skip
    holds.set(A, by="Li", case="7", reason="police")
    later = clock.as_clock().now() + timedelta(days=5_000)
    expire(store, StoreSettings(), clocks_at(later))
    counts = {
        kind.__name__: store.count(kind, DocumentFilter())
        for kind in CLASSES
        if store.count(kind, DocumentFilter())
    }
    assert counts == {
        "Sighting": 2,
        "Exposure": 2,
        "Holding": counts["Holding"],
        "Incident": 1,
        "Decision": 1,
        "Notification": 1,
        "Hold": 1,
    }
    assert {holding.incident for holding in store.scroll(Holding, DocumentFilter())} == {A}
    assert store.get(Incident, A).frozen_at is None
    holds.release(A, by="Li", case="7", reason="closed")
    expire(store, StoreSettings(), clocks_at(later + timedelta(days=5_000)))
    assert [
        store.count(kind, DocumentFilter())
        for kind in (Sighting, Exposure, Incident, Decision, Notification, Hold)
    ] == [0] * 6


def test_hold_covers_the_parts_of_an_incident(data, vault, store, clock, context):
    facts = store.get(Incident, A)
    [sighting, *_] = store.scroll(Sighting, DocumentFilter())
    [exposure, *_] = store.scroll(Exposure, DocumentFilter())
    store.put([
        facts.model_copy(update={"parts": ("INC-B",)}),
        facts.model_copy(update={"id": "INC-B", "part_of": A}),
        sighting.model_copy(update={"id": "f2", "incident": "INC-B"}),
        exposure.model_copy(update={"id": "e2", "incident": "INC-B"}),
    ])  # fmt: skip
    holds = Holds(store, vault, context.trail(), clock.as_clock())
    assert holds.set(A, by="Li", case="7", reason="police") == 3
    assert find_held(store) == {A, "INC-B"}
    expire(store, StoreSettings(), clocks_at(clock.as_clock().now() + timedelta(days=5_000)))
    assert store.get(Exposure, "e2") is not None
    assert store.get(Incident, "INC-B") is not None
    with pytest.raises(ConfigError, match="not on hold"):
        holds.release("INC-B", by="Li", case="7", reason="closed")
    holds.set("INC-B", by="Li", case="8", reason="another case")
    assert holds.release(A, by="Li", case="7", reason="closed") == 2
    assert find_held(store) == {"INC-B"}
    assert vault.find("f2").held


def test_new_evidence_of_a_held_incident_is_marked_within_the_hour(
    data, vault, store, clock, context, tmp_path
):
    Holds(store, vault, context.trail(), clock.as_clock()).set(
        A, by="Li", case="7", reason="police"
    )
    fold_all(store, clock, [finding("f1d9", range(10), people="ab")])
    from alerts.service.metrics import AlertMetrics
    from tests.alerts.test_maintenance import CollectorRegistry
    from ullage.bus import Lag
    from ullage.custody import pair_of

    seal(vault, pair_of(context.keys, OFFICERS), "f1d9")
    assert not vault.find("f1d9").held
    metrics = AlertMetrics(CollectorRegistry(), ["bank"], clock.as_clock())
    Maintenance(
        store,
        StoreSettings(),
        RunningTime(tmp_path, clock.as_clock()),
        metrics,
        lambda: Lag(0, 0.0),
        vault=vault,
    ).turn()
    assert vault.find("f1d9").held
    assert Context(data).settings.evidence.days == 180.0
    assert store.count(Hold, DocumentFilter()) == 1
