"""What is sealed needs two keys, belongs to its finding, and says if a byte of it is another."""

import errno
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests import factories
from tests.factories import WHEN, clocks_at
from tests.ullage.custody.support import BODY, OFFICERS, PASSPHRASES, make_manifest, officers, seal
from ullage.custody import decode, encode, make_officer, manifest, open_sealed, pair_of, private_key
from ullage.custody.vault import Vault
from ullage.errors import ConfigError, CorruptError, RecordError
from ullage.security.keys import KEY_BYTES, KeyStore, with_check_value


@pytest.fixture
def keys(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "keys")


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "evidence")


def private(folder: Path, *names: str):
    return [private_key(folder / f"{name}.pem", PASSPHRASES.__getitem__) for name in names]


def test_damaged_public_key_seals_nothing(tmp_path, keys, vault):
    officers(tmp_path, keys)
    public = keys.root / "evidence" / "li.pub"
    content = public.read_bytes()
    assert content == (tmp_path / "li.pub").read_bytes()
    for place in (0, 31, 36):  # of the key, and of its check value
        public.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(
            ConfigError, match=r"li\.pub does not match its own check value: restore"
        ):
            pair_of(keys, OFFICERS)
    public.write_bytes(content)
    pair_of(keys, OFFICERS)


def test_failure_to_open_an_evidence_file_gives_the_reason(tmp_path, keys, vault, monkeypatch):
    pair = officers(tmp_path, keys)
    monkeypatch.setattr(os, "open", Mock(side_effect=OSError(errno.EMFILE, "too many open files")))
    with pytest.raises(OSError, match="too many open files"):
        seal(vault, pair)


def test_two_officer_keys_open_evidence_and_one_does_not(tmp_path, keys, vault):
    pair = officers(tmp_path, keys)
    head = seal(vault, pair)
    [item] = vault.items()
    officer_keys = private(tmp_path, "wang", "li")  # in any order
    opened, body = decode(
        open_sealed(vault.read_sealed(item), head.place, head.officers, officer_keys)
    )
    assert body == BODY
    assert opened.capture["headers"] == [
        ["Server", "nginx"],
        ["Date", "Mon, 21 Sep 2026 12:00:00 GMT"],
    ]
    assert [step.role for step in opened.process] == ["crawl", "match", "match"]
    for too_few in (officer_keys[:1], officer_keys[1:], [officer_keys[0], officer_keys[0]]):
        with pytest.raises(RecordError, match="key_destroyed"):
            open_sealed(vault.read_sealed(item), head.place, head.officers, too_few)


def test_key_of_another_officer_does_not_open_evidence(tmp_path, keys, vault):
    pair = officers(tmp_path, keys)
    make_officer(tmp_path, "zhao", PASSPHRASES["zhao.pem"])
    head = seal(vault, pair)
    [item] = vault.items()
    with pytest.raises(RecordError, match="key_destroyed"):
        open_sealed(
            vault.read_sealed(item), head.place, head.officers, private(tmp_path, "li", "zhao")
        )


def test_evidence_opens_only_whole_and_under_its_own_finding(tmp_path, keys, vault):
    pair = officers(tmp_path, keys)
    head = seal(vault, pair)
    [item] = vault.items()
    officer_keys, sealed = private(tmp_path, "li", "wang"), vault.read_sealed(item)
    for place, data in (
        ("bank/other", sealed),
        ("shop/f1d0", sealed),
        (head.place, sealed[:-1]),
        (head.place, sealed[:99] + bytes([sealed[99] ^ 1]) + sealed[100:]),
    ):
        with pytest.raises(RecordError, match="not_authentic"):
            open_sealed(data, place, head.officers, officer_keys)


def test_manifest_detects_changed_evidence():
    evidence, _ = make_manifest()
    assert decode(encode(evidence, BODY)) == (evidence, BODY)
    with pytest.raises(RecordError, match="digest"):
        decode(encode(evidence, BODY + b" "))
    with pytest.raises(RecordError, match="digest"):
        decode(
            encode(
                evidence.model_copy(update={"capture": {**evidence.capture, "author": "another"}}),
                BODY,
            )
        )
    for data in (b"", b"\0\0\0\5{}", b"\xff\xff\xff\xff", encode(evidence, BODY)[5:]):
        with pytest.raises(RecordError, match="malformed"):
            decode(data)


def test_manifest_names_the_collector():
    assert [manifest_of(platform).process[0].role for platform in ("bepasty", "ingest")] == [
        "crawl",
        "ingest",
    ]


def manifest_of(platform: str):
    return manifest(factories.capture(platform=platform), factories.finding(), "high", WHEN)


def test_only_tenant_finding_time_and_officers_are_in_clear(tmp_path, keys, vault):
    seal(vault, officers(tmp_path, keys))
    [item] = vault.items()
    written = item.path.read_bytes()
    assert not any(
        word in written
        for word in ("张三".encode(), b"15400000001", b"vexTrout", b"nginx", b"127.0.0.1")
    )
    assert stat.S_IMODE(item.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(item.path.parent.stat().st_mode) == 0o700
    assert [id_.partition(".")[0] for id_ in item.head.officers] == list(OFFICERS)


def test_repeated_finding_writes_nothing(tmp_path, keys, vault):
    pair = officers(tmp_path, keys)
    seal(vault, pair)
    [before] = [item.path.read_bytes() for item in vault.items()]
    seal(vault, pair)
    assert [item.path.read_bytes() for item in vault.items()] == [before]
    assert [path.name for path in vault.root.glob("*/*")] == ["f1d0.evidence"]


@pytest.mark.parametrize("finding", ["", "../keys/li", "f1d0/x", "F 1"])
def test_invalid_finding_id_reaches_no_file(vault, finding):
    with pytest.raises(ConfigError, match="not the id of a finding"):
        vault.has("bank", finding)


def test_old_evidence_expires_unless_held(tmp_path, keys, vault):
    pair = officers(tmp_path, keys)
    for name in ("a", "b", "c"):
        seal(vault, pair, name)
    seal(vault, pair, "young", sealed_at=WHEN + timedelta(days=100))
    assert vault.hold(["b", "nobody"]) == 1
    later = WHEN + timedelta(days=181)
    (vault.root / "bank" / "x.partial7").write_bytes(b"a crash left this")
    assert vault.expire(180, clocks_at(later)) == 2
    assert [item.head.finding for item in vault.items()] == ["b", "young"]
    assert vault.release(["b"]) == 1
    assert vault.expire(180, clocks_at(later)) == 1
    assert vault.release(["b"]) == 0


def test_abandoned_draft_is_removed_eventually(vault, tmp_path, keys):
    seal(vault, officers(tmp_path, keys))
    draft = vault.root / "bank" / "x.partial7"
    draft.write_bytes(b"half")
    vault.expire(100_000, clocks_at(datetime.now(UTC)))
    assert draft.exists()
    vault.expire(100_000, clocks_at(datetime.now(UTC) + timedelta(hours=2)))
    assert not draft.exists()


def test_finding_is_found_only_by_its_exact_id(tmp_path, keys, vault):
    seal(vault, officers(tmp_path, keys))
    assert vault.find("f1d0").head.tenant == "bank"
    for name in ("f1d1", "*", "../bank/f1d0", ""):
        with pytest.raises(ConfigError, match="no evidence of that finding"):
            vault.find(name)


def test_evidence_file_with_a_damaged_header_is_named(tmp_path, keys, vault):
    seal(vault, officers(tmp_path, keys))
    [item] = vault.items()
    item.path.write_bytes(b"x" + item.path.read_bytes())
    with pytest.raises(CorruptError, match=r"f1d0\.evidence is damaged"):
        list(vault.items())


# --- the officers' keys


def test_officer_key_has_a_passphrase_and_is_never_overwritten(tmp_path):
    pem, public = make_officer(tmp_path, "li", PASSPHRASES["li.pem"])
    assert b"ENCRYPTED" in pem.read_bytes()
    assert stat.S_IMODE(pem.stat().st_mode) == 0o600
    half = private(tmp_path, "li")[0].public_key().public_bytes_raw()
    assert public.read_bytes() == with_check_value(half, "evidence/li.pub")
    with pytest.raises(ConfigError, match="never overwritten"):
        make_officer(
            tmp_path,
            "li",
            "another passphrase",
        )
    with pytest.raises(ConfigError, match="at least 12"):
        make_officer(tmp_path, "wang", "short")


def test_unsafe_or_invalid_private_key_file_is_rejected(tmp_path):
    pem, _ = make_officer(tmp_path, "li", PASSPHRASES["li.pem"])
    with pytest.raises(
        ConfigError,
        match="cannot be decrypted: check the passphrase, and that it is an officer's key",
    ):
        private_key(pem, lambda _: "not the passphrase")
    pem.chmod(0o640)
    with pytest.raises(ConfigError, match="mode 0640"):
        private(tmp_path, "li")
    bad_key = tmp_path / "other.pem"
    bad_key.touch(0o600)
    for content in (
        b"",
        Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ),
    ):
        bad_key.write_bytes(content)
        with pytest.raises(
            ConfigError,
            match=r"cannot be decrypted: check the passphrase|pem is not an officer's key",
        ):
            private_key(bad_key, lambda _: "")
    with pytest.raises(ConfigError, match="does not exist"):
        private_key(tmp_path / "gone.pem", lambda _: "")


def test_two_officers_need_different_keys(tmp_path, keys):
    _, public = make_officer(tmp_path, "li", PASSPHRASES["li.pem"])
    for name in OFFICERS:
        keys.write(f"evidence/{name}.pub", public.read_bytes()[:KEY_BYTES])  # without whose it is
    for named in (OFFICERS, ("li",), ()):
        with pytest.raises(ConfigError, match="name two officers"):
            pair_of(keys, named)
    with pytest.raises(ConfigError, match=r"key evidence/zhao\.pub is not in"):
        pair_of(keys, ("li", "zhao"))
