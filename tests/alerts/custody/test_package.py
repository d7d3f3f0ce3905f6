"""An evidence package is reproducible, has no value, and is verified with nothing but ullage."""

import io
import json
import os
import subprocess
import sys
import tarfile

import pytest
from typer.testing import CliRunner

from alerts.cases.evidence.package import build_package
from alerts.cases.evidence.package_file import MANIFEST, verify_package
from alerts.coverage.signed_days import Sheets, load_authority
from alerts.records import Incident, incident_id
from tests.alerts.builders import finding, fold_all, handle
from tests.alerts.coverage.heartbeats import DAY, HOUR, NINE, Alert
from tests.alerts.coverage.test_sheet import authority  # noqa: F401 - a fixture
from tests.alerts.test_outgoing import SECRET_REASON
from tests.ullage.custody.support import officers, seal
from ullage.audit import read_entries
from ullage.audit.bait import record
from ullage.cli import app
from ullage.custody.vault import Vault
from ullage.errors import ConfigError, CorruptError, UnavailableError
from ullage.security import keys

A = incident_id("f1d0")
PLANTED = (
    "13800138000",
    "李雷雷",
    "hunter2secret",
    "seller-alias",
    "Partner AG",
    "partner lost it",
)
WROTE = {
    "title": "低价出 13800138000 李雷雷", "author": "seller-alias",
    "url": "http://x.example/hunter2secret",
}  # fmt: skip


@pytest.fixture
def leak(data, tmp_path, context, store, clock) -> str:
    """Store two posts of one incident with honeytokens; one original is sealed, one held."""
    keys.load_signer(context.keys, "alert")
    fold_all(
        store,
        clock,
        [finding(n, range(10), people="abc", capture=WROTE) for n in ("f1d0", "f1d1")],
    )
    seal(Vault(data / "evidence"), officers(tmp_path, context.keys), "f1d0")
    update = {
        "origin": "partner", "origin_label": "Partner AG", "reasons": (SECRET_REASON,),
        "origin_reasons": (
            SECRET_REASON.model_copy(
                update={"evidence": "3 honeytokens of 1 partner", "evidence_zh": "诱饵数据3条"}
            ),
        ),
    }  # fmt: skip
    store.put([store.get(Incident, A).model_copy(update=update)])
    trail = context.trail()
    record(trail, "bank", "Partner AG", 300, "ab" * 32, actor="Li")
    trail.append("incident.hold", A, actor="Wang", tenant="bank", reason="partner lost it")
    trail.append("incident.hold", "INC-OTHER", actor="Wang", tenant="bank", reason="another")
    return A


def members(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def test_package_states_source_reasons_custody_and_what_is_missing(context, store, leak):
    parts = members(build_package(context, store, leak))
    english, chinese = (parts[f"statement.{tag}.txt"].decode() for tag in ("en", "zh"))
    assert "holds honeytokens that only one partner received" in english
    assert "- 3 honeytokens of 1 partner" in english
    assert "Wang  incident.hold" in english
    assert "1 of 2 posts have no encrypted original on this machine" in english
    assert "No time-stamping authority (RFC 3161) is configured" in english
    assert "list of 300 honeytokens for one partner" in english
    assert "含仅提供给一家合作方的诱饵数据" in chinese
    assert "- 诱饵数据3条" in chinese
    assert "未配置时间戳服务机构" in chinese
    facts = json.loads(parts["facts.json"])
    assert [bool(post["encrypted_sha256"]) for post in facts["sightings"]] == [True, False]
    assert facts["statement"] is None
    rows = [json.loads(line) for line in parts["custody.jsonl"].splitlines()]
    assert [(row["actor"], row["object"]) for row in rows] == [("Wang", A)]


def test_unchanged_incident_gives_the_same_bytes_later(context, store, leak, clock, run):
    first = build_package(context, store, leak)
    assert run("evidence", "pack", leak, "--output", "one.tar").exit_code == 0
    clock.seconds += 90 * 86_400
    assert build_package(context, store, leak) == first


def test_changed_records_change_the_package(context, store, leak):
    first = build_package(context, store, leak)
    context.trail().append("incident.release", A, actor="Wang", tenant="bank")
    assert build_package(context, store, leak) != first


def test_package_contains_no_value_name_or_typed_reason(context, store, leak):
    content = build_package(context, store, leak).decode()
    people = [handle(person) for person in "abc"]
    assert [text for text in (*PLANTED, *people, "internal scoring") if text in content] == []


@pytest.fixture
def run(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(app, ["--data", str(data), *words])


def test_package_is_verified_elsewhere_with_nothing_but_ullage(run, leak, tmp_path):
    packed = run("evidence", "pack", leak, "--output", "one.tar")
    assert packed.exit_code == 0, packed.output
    key = packed.output.partition("signed with the key ")[2][:64]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "one.tar").write_bytes((tmp_path / "one.tar").read_bytes())
    command = [sys.executable, "-m", "ullage", "evidence", "verify", "one.tar", "--signer", key]
    checked = subprocess.run(
        command, cwd=elsewhere, capture_output=True, text=True, check=False,
        env={**os.environ, "HOME": str(elsewhere)},
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    assert f"parts of {A}" in checked.stdout
    assert sorted(path.name for path in elsewhere.iterdir()) == ["one.tar"]
    assert run("evidence", "verify", "one.tar", "--signer", "0" * 64).exit_code == 1
    assert "compare it with what the organization" in run("evidence", "verify", "one.tar").output


def test_packing_is_audited_with_the_digest_and_never_overwrites(run, leak, data, tmp_path):
    run("evidence", "pack", leak, "--output", "one.tar")
    *_, (_, entry) = read_entries(data / "audit")
    assert entry.action == "evidence.package"
    assert entry.object.startswith(f"incident {A}: evidence package, SHA-256 ")
    assert (tmp_path / "one.tar").stat().st_mode & 0o777 == 0o600
    again = run("evidence", "pack", leak, "--output", "one.tar")
    assert isinstance(again.exception, ConfigError)


def test_every_changed_byte_is_noticed(context, store, leak):
    content = build_package(context, store, leak)
    for place in range(0, len(content), 97):
        changed = bytearray(content)
        changed[place] ^= 1
        with pytest.raises(CorruptError):
            verify_package(bytes(changed))


@pytest.mark.parametrize("addition", [b"more", b"\0" * 10_240])
def test_bytes_after_the_package_are_noticed(context, store, leak, addition):
    with pytest.raises(CorruptError):
        verify_package(build_package(context, store, leak) + addition)


@pytest.mark.parametrize("content", [b"", b"\0" * 10_240, b"PK\3\4", os.urandom(4096)])
def test_other_files_are_no_package(content):
    with pytest.raises(CorruptError, match="not an evidence package"):
        verify_package(content)


def test_replaced_part_with_a_fitting_manifest_is_noticed(context, store, leak):
    parts = members(build_package(context, store, leak))
    manifest = json.loads(parts[MANIFEST])
    parts["facts.json"] = b"{}\n"
    manifest["parts"]["facts.json"]["bytes"] = 3
    parts[MANIFEST] = json.dumps(manifest).encode()
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, body in sorted(parts.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(body), 0o600
            tar.addfile(member, io.BytesIO(body))
    with pytest.raises(CorruptError, match=MANIFEST):
        verify_package(file.getvalue())


def test_machine_without_the_key_of_alert_writes_no_package(context, store, leak, data):
    (data / "keys" / "sign" / "alert.key").unlink()
    with pytest.raises(ConfigError, match="needs alert's key"):
        build_package(context, store, leak)


def test_unknown_incident_is_a_usage_error(run, leak):
    refused = run("evidence", "pack", "INC-NONE", "--output", "one.tar")
    assert isinstance(refused.exception, ConfigError)


def test_signed_days_and_both_time_stamps_are_checked(
    context,
    store,
    leak,
    clock,
    data,
    authority,  # noqa: F811
    run,
    tmp_path,
):
    url, root = authority
    monitor = Alert(store, clock)
    monitor.hears(NINE, NINE + HOUR)
    monitor.at(NINE + DAY)
    signer = keys.load_signer(context.keys, "alert")
    Sheets(store, monitor.clock.as_clock(), signer, load_authority(root, url)).sign_due()
    with (data / "ullage.toml").open("a") as settings:
        settings.write(f'\n[coverage]\ntimestamp_url = "{url}"\ntimestamp_ca = "{root}"\n')
    assert run("evidence", "pack", leak, "--output", "one.tar").exit_code == 0
    plain = run("evidence", "verify", "one.tar").output
    assert "signed days of coverage: 1, 1 time-stamped (not checked: give --authority)" in plain
    assert "time stamp of the package: not checked: give --authority" in plain
    checked = run("evidence", "verify", "one.tar", "--authority", str(root)).output
    assert "signed days of coverage: 1, 1 time-stamped (checked)" in checked
    assert "time stamp of the package: 20" in checked
    stamp = (tmp_path / "one.tar.tsr").read_bytes()
    (tmp_path / "one.tar.tsr").write_bytes(stamp[:-40] + b"A" * 40)
    refused = run("evidence", "verify", "one.tar", "--authority", str(root))
    assert isinstance(refused.exception, CorruptError)


def test_authority_that_cannot_be_reached_leaves_no_package(
    data,
    run,
    leak,
    tmp_path,
    authority,  # noqa: F811
):
    with (data / "ullage.toml").open("a") as settings:
        settings.write(
            '\n[coverage]\ntimestamp_url = "http://127.0.0.1:1/"\n'
            f'timestamp_ca = "{authority[1]}"\n'
        )
    refused = run("evidence", "pack", leak, "--output", "one.tar")
    assert isinstance(refused.exception, UnavailableError)
    assert not (tmp_path / "one.tar").exists()
