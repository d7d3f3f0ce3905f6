"""Match seals what is high for tenants that want it, before it is published, and nothing else
ever.
"""

import shutil
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from matcher.cli.evidence_vault import Keeper, check
from matcher.cli.metrics import EvidenceMetrics
from tests.matcher.bank import customer, enrol
from tests.matcher.test_stage import MatchProcess
from tests.ullage.custody.support import OFFICERS, PASSPHRASES, officers
from ullage.custody import decode, digest, open_sealed, private_key
from ullage.custody.vault import Vault
from ullage.errors import ConfigError
from ullage.settings import Context, EvidenceSettings, Settings, Tenant

MANY = [customer(n) for n in range(60)]
LINES = [
    f"{c['name']}----{c['phone']}----{c['resident_id']}----Qk7!vex{n}" for n, c in enumerate(MANY)
]
HIGH = "\n".join(("姓名----手机----身份证----密码", *LINES))
LOW = f"{MANY[0]['name']}----{MANY[0]['phone']}\n{MANY[1]['name']}----{MANY[1]['phone']}\n"


@pytest.fixture(scope="module")
def bank_folder(tmp_path_factory):
    """Return a data folder with a bank of sixty and the public keys of two officers, made once."""
    from ullage import setup

    folder = tmp_path_factory.mktemp("evidence")
    context = Context(folder / "data")
    list(setup.initialise(context))
    enrol(context, "bank", MANY)
    officers(folder, context.keys)
    return folder


def running(bank_folder: Path, tmp_path: Path, evidence: bool = True, **changes) -> MatchProcess:
    """Match over a copy of that folder, with a bus of the test's own."""
    data = tmp_path / "data"
    if not data.exists():
        shutil.copytree(bank_folder / "data", data)
    settings = Settings(
        bus={"url": f"sqlite:///{tmp_path}/bus"},
        evidence=EvidenceSettings(officers=OFFICERS, **changes),
        tenants={"bank": Tenant(evidence=evidence)},
    )
    return MatchProcess(Context(data, settings=settings))


def count(one: MatchProcess, outcome: str) -> float:
    return one.registry.get_sample_value("ullage_match_evidence_total", {"outcome": outcome})


def test_high_severity_capture_is_stored_with_its_origin(bank_folder, tmp_path):
    match = running(bank_folder, tmp_path)
    match.put(HIGH, title="一手料", author="seller", url="http://127.0.0.1/42", headers=None)
    match.put(LOW, post_id="43")
    high, low = match.drain()
    vault = Vault(tmp_path / "data" / "evidence")
    [item] = vault.items()
    assert (item.head.tenant, item.head.finding) == ("bank", high.id)
    assert low.id != high.id
    keys = [private_key(bank_folder / f"{name}.pem", PASSPHRASES.__getitem__) for name in OFFICERS]
    manifest, body = decode(
        open_sealed(vault.read_sealed(item), item.head.place, item.head.officers, keys)
    )
    assert body == HIGH.encode()
    assert manifest.sha256["body"] == digest(HIGH.encode())
    assert manifest.sha256["finding"] == digest(high.encode())
    assert (manifest.capture["author"], manifest.capture["url"]) == (
        "seller",
        "http://127.0.0.1/42",
    )
    assert (manifest.severity, manifest.bytes) == ("high", len(HIGH.encode()))
    assert [count(match, outcome) for outcome in ("sealed", "failed", "full")] == [1.0, 0.0, 0.0]


def test_nothing_is_stored_where_no_tenant_enabled_evidence(bank_folder, tmp_path):
    vault = running(bank_folder, tmp_path, evidence=False)
    vault.put(HIGH)
    assert len(vault.drain()) == 1
    vault.stage.alive()
    assert not (tmp_path / "data" / "evidence").exists()


def test_repeated_capture_is_stored_once(bank_folder, tmp_path):
    vault = running(bank_folder, tmp_path)
    vault.put(HIGH)
    vault.put(HIGH)
    assert len({finding.id for finding in vault.drain()}) == 1
    assert len(list(Vault(tmp_path / "data" / "evidence").items())) == 1
    assert count(vault, "sealed") == 1.0


def test_stored_evidence_contains_no_plain_value(bank_folder, tmp_path):
    from tests.flow import sweep

    vault = running(bank_folder, tmp_path)
    vault.put(HIGH, title=f"{MANY[0]['name']} {MANY[0]['phone']}")
    vault.drain()
    assert count(vault, "sealed") == 1.0
    planted = [MANY[0]["name"], MANY[0]["phone"], MANY[0]["resident_id"], "Qk7!vex0"]
    assert sweep.files([tmp_path], planted) == []


def test_full_vault_or_disk_is_counted_and_delays_nothing(bank_folder, tmp_path, monkeypatch):
    vault = running(bank_folder, tmp_path, max_bytes=10)
    vault.put(HIGH)
    assert len(vault.drain()) == 1
    assert count(vault, "full") == 1.0

    def no_room(*_):
        raise OSError(28, "No space left on device")

    second_vault = running(bank_folder, tmp_path / "other")
    monkeypatch.setattr("ullage.custody.vault.os.link", no_room)
    second_vault.put(HIGH)
    assert len(second_vault.drain()) == 1
    assert count(second_vault, "failed") == 1.0
    assert list((tmp_path / "other" / "evidence").rglob("*.*")) == []


def test_upkeep_deletes_expired_evidence_hourly(bank_folder, tmp_path):
    vault = running(bank_folder, tmp_path, days=1e-9)
    vault.put(HIGH)
    vault.drain()
    keeper = Keeper(vault.context, EvidenceMetrics(CollectorRegistry()))
    keeper.upkeep()
    assert list(keeper.vault.items()) == []


def test_match_does_not_start_without_officer_keys(bank_folder, tmp_path):
    settings = Settings(
        evidence=EvidenceSettings(officers=("li", "nobody")),
        tenants={"bank": Tenant(evidence=True)},
    )
    context = Context(bank_folder / "data", settings=settings)
    for start in (
        lambda: Keeper(context, EvidenceMetrics(CollectorRegistry())),
        lambda: check(context),
    ):
        with pytest.raises(ConfigError, match=r"key evidence/nobody\.pub is not in"):
            start()


def test_check_names_tenants_and_officers(bank_folder):
    on = Settings(
        evidence=EvidenceSettings(officers=OFFICERS), tenants={"bank": Tenant(evidence=True)}
    )
    assert check(Context(bank_folder / "data", settings=on)).startswith(
        "on for bank, encrypted for li."
    )
    assert check(Context(bank_folder / "data", settings=Settings())) == "off, 0 kept"


def test_tenant_with_evidence_needs_two_officers():
    for named in ((), ("li",), ("li", "li"), ("a", "b", "c")):
        with pytest.raises(ValueError, match="must name two officers"):
            Settings(
                evidence=EvidenceSettings(officers=named), tenants={"bank": Tenant(evidence=True)}
            )
