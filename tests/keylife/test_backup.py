"""A backup that is taken while roles write, put back elsewhere: whole, and nothing is lost or
doubled when work goes on.
"""

import hashlib
import json
import re
import shutil
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from alerts.records import Claim, Incident
from alerts.store import DocumentFilter, open_configured_store
from tests.factories import WHEN
from tests.keylife.conftest import BANK, House
from tests.matcher.bank import phone
from ullage.audit import walk_all
from ullage.backup import CHUNK, MANIFEST, restore
from ullage.errors import ConfigError, CorruptError
from ullage.files.database import open_database


def back_up(house: House, to: Path) -> str:
    return house.done("backup", to / "copy", "--keys", to / "keys")


def restore_backup(house: House, to: Path) -> House:
    back = House(to / "back")
    output = back.ask("restore", to / "copy", "--keys", to / "keys").output
    faults = [line for line in output.splitlines() if line.startswith("FAULT")]
    # the house tells nobody
    assert [line for line in faults if not line.startswith("FAULT  notifications")] == []
    assert "ok     incident store" in output
    return back


def incidents(house: House) -> set[str]:
    with closing(open_configured_store(house.context)) as store:
        return {incident.id for incident in store.scroll(Incident, DocumentFilter())}


def test_restored_data_passes_check_and_is_the_same(house_with_leak: House, tmp_path: Path) -> None:
    output = back_up(house_with_leak, tmp_path)
    assert "keep them apart from it" in output
    assert not [path for path in (tmp_path / "copy").rglob("*") if path.suffix in (".key", ".pub")]
    back = restore_backup(house_with_leak, tmp_path)
    assert incidents(back) == incidents(house_with_leak)
    assert back.count_exposures() == house_with_leak.count_exposures()
    chains = walk_all(back.data / "audit", back.context.keys)
    assert [(chain.name, chain.faults) for chain in chains] == [("command", [])]
    assert chains[0].entries > 0
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (back.data / "keys").rglob("*.key")}
    assert modes == {0o600}


def test_records_in_flight_are_processed_once_after_a_restore(
    house_with_leak: House, tmp_path: Path
) -> None:
    house_with_leak.post(
        f"{phone(7)} {BANK[7]['resident_id']}", f"{phone(8)} {BANK[8]['resident_id']}"
    )
    # before match, in between, and after alert: of each the position is in the copy
    back_up(house_with_leak, tmp_path)
    house_with_leak.done("match", "--once")
    back = restore_backup(house_with_leak, tmp_path)
    back.work()
    house_with_leak.done("alert", "--once")
    assert back.count_exposures() == house_with_leak.count_exposures()
    assert {house_with_leak.handle(7), house_with_leak.handle(8)} <= back.count_exposures().keys()
    back.work()
    assert back.count_exposures() == house_with_leak.count_exposures()


def test_copy_taken_during_writes_is_of_one_moment(house_with_leak: House, tmp_path: Path) -> None:
    """A writer puts claims in pairs, one transaction a pair: every copy holds whole pairs."""
    stop, wrote = threading.Event(), threading.Event()
    store = open_configured_store(house_with_leak.context)

    def write() -> None:
        number = 0
        while not stop.is_set():
            pair = [
                Claim(id=f"bank:pair:{number}:{half}", tenant="bank", incident="INC-1", at=WHEN)
                for half in "ab"
            ]
            store.put(pair)
            wrote.set()
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for n in range(3):
            wrote.clear()
            assert wrote.wait(60)
            house_with_leak.done("backup", tmp_path / f"copy{n}")
    finally:
        stop.set()
        writer.join()
        store.close()
    for n in range(3):
        path = tmp_path / f"copy{n}" / "incidents.sqlite"
        with closing(apsw.Connection(str(path))) as copy:
            pairs = copy.execute(
                "select count(*) from claim where id like 'bank:pair:%' group by substr(id, 1,"
                " length(id) - 1)"
            )
            counts = {count for (count,) in pairs}
        assert counts == {2}


def test_backup_without_keys_says_so(house_with_leak: House, tmp_path: Path) -> None:
    output = house_with_leak.done("backup", tmp_path / "copy")
    assert (
        "it has no keys, and cannot be used without them: copy them with --keys, or restore"
        " them from KMS" in output
    )
    back = House(tmp_path / "back")
    result = back.ask("restore", tmp_path / "copy")
    assert result.exit_code == 1
    assert "no keys were restored" in result.output
    assert "FAULT  keys" in result.output


def private_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: ec.EllipticCurvePrivateKey, form: PrivateFormat, password: bytes = b"") -> bytes:
    return key.private_bytes(
        Encoding.PEM, form, BestAvailableEncryption(password) if password else NoEncryption()
    )


def keys_of_tls() -> dict[str, bytes]:
    """Return, by name below the data folder, a private key in each form that may lie there."""
    key = private_key()
    plain = pem(key, PrivateFormat.PKCS8)
    certificate = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    return {
        "tls/server.key": plain,
        "tls/console.pem": plain,
        "tls/chain-and-key.pem": certificate * 40 + plain,
        "cert": (
            b"-----BEGIN EC PARAMETERS-----\nBggq\n-----END EC PARAMETERS-----\n"
            + pem(key, PrivateFormat.TraditionalOpenSSL)
        ),
        "locked.txt": pem(key, PrivateFormat.PKCS8, b"synthetic"),
        "rules/notes.md": key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        "sites.d/account.json": json.dumps({"private_key": plain.decode()}).encode(),
        "evidence/windows.pem": plain.replace(b"\n", b"\r\n"),
        "behind.bin": bytes(CHUNK - 20) + plain,
        "intake.der": key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        "store.P12.old": b"0\x82\x01",
        "krb5.keytab": b"\x05\x02",
    }


def test_files_that_do_not_belong_are_left_out_and_named(
    house_with_leak: House, tmp_path: Path
) -> None:
    for name, content in keys_of_tls().items():
        (house_with_leak.data / name).parent.mkdir(exist_ok=True)
        (house_with_leak.data / name).write_bytes(content)
    (house_with_leak.data / "ca.pem").write_bytes(
        b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    )
    (house_with_leak.data / "rules" / "context.tsv").write_text(
        "-----BEGIN RSA PRIVATE KEY-----\tcredential\n", encoding="utf-8"
    )
    settings = house_with_leak.data / "ullage.toml"
    settings.write_text(
        settings.read_text(encoding="utf-8")
        + '[intake]\ncertificate = "ca.pem"\nkey = "intake.der"\n'
    )
    output = House(house_with_leak.data).done(
        "backup", tmp_path / "copy", "--keys", tmp_path / "keys"
    )
    for name in keys_of_tls():
        assert (
            f"not in it: {house_with_leak.data / name} does not belong in a backup: copy it by"
            " hand, and a key to where keys are kept" in output
        )
    copied = {
        str(path.relative_to(tmp_path))
        for path in tmp_path.glob("*/**/*")
        if path.is_relative_to(tmp_path / "copy")
    }
    assert not copied & {f"copy/{name}" for name in keys_of_tls()}
    assert {"copy/ca.pem", "copy/rules/context.tsv", "copy/incidents.sqlite"} <= copied
    left_out = {
        re.split(" is | does not ", line.removeprefix("not in it: "))[0]
        for line in output.splitlines()
        if "not in it: " in line
    }
    # customers in clear, which somebody left there
    lists = {str(path) for path in house_with_leak.data.glob("*.csv")}
    assert left_out == {str(house_with_leak.data / name) for name in keys_of_tls()} | lists


def test_link_is_left_out_and_named(house_with_leak: House, tmp_path: Path) -> None:
    (house_with_leak.data / "bus").rename(tmp_path / "elsewhere")
    (house_with_leak.data / "bus").symlink_to(tmp_path / "elsewhere")
    output = house_with_leak.done("backup", tmp_path / "copy")
    assert f"not in it: {house_with_leak.data / 'bus'} is a link" in output


def test_changed_byte_is_found_before_anything_is_restored(
    house_with_leak: House, tmp_path: Path
) -> None:
    back_up(house_with_leak, tmp_path)
    for name in ("incidents.sqlite", "audit/command/head.json", "backup.json"):
        copy = tmp_path / f"copy-{Path(name).stem}"
        shutil.copytree(tmp_path / "copy", copy)
        body = bytearray((copy / name).read_bytes())
        body[len(body) // 2] ^= 1
        (copy / name).write_bytes(body)
        refused = House(tmp_path / "back").ask("restore", copy)
        assert isinstance(refused.exception, CorruptError)
        assert name in str(refused.exception)
        assert not (tmp_path / "back").exists()
    (tmp_path / "copy" / "ullage.toml").unlink()
    assert isinstance(
        House(tmp_path / "back").ask("restore", tmp_path / "copy").exception, CorruptError
    )


def test_manifest_of_another_key_is_rejected_before_restoring(
    house_with_leak: House, tmp_path: Path
) -> None:
    back_up(house_with_leak, tmp_path)
    manifest = tmp_path / "copy" / MANIFEST
    body, _, signature, _ = manifest.read_bytes().split(b"\n")
    settings = tmp_path / "copy" / "ullage.toml"
    settings.write_text(settings.read_text() + '\n[keys]\ncommand = ["/bin/false"]\n')
    contents = json.loads(body)
    contents["files"]["ullage.toml"] = hashlib.sha256(settings.read_bytes()).hexdigest()
    body = json.dumps(contents, sort_keys=True).encode()
    manifest.write_bytes(
        b"\n".join((body, hashlib.sha256(body).hexdigest().encode(), signature, b""))
    )
    refused = House(tmp_path / "back").ask(
        "restore", tmp_path / "copy", "--keys", tmp_path / "keys"
    )
    assert isinstance(refused.exception, CorruptError)
    assert "was not signed with these keys (backup.key): nothing was restored" in str(
        refused.exception
    )
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("with_keys", [True, False])
def test_no_command_of_a_restored_configuration_runs_unconfirmed(
    house_with_leak: House, tmp_path: Path, *, with_keys: bool
) -> None:
    ran, program = tmp_path / "ran", tmp_path / "command"
    program.write_text(
        f"#!/bin/sh\necho $1 >> {ran}\n"
        f"od -An -v -tx1 {house_with_leak.data}/keys/$1 | tr -d ' \\n'\n"
    )
    program.chmod(0o700)
    settings = house_with_leak.data / "ullage.toml"
    settings.write_text(settings.read_text() + f'\n[keys]\ncommand = ["{program}"]\n')
    back_up(House(house_with_leak.data), tmp_path)
    ran.unlink()
    words = ["--keys", tmp_path / "keys"] if with_keys else []
    result = House(tmp_path / "back").ask("restore", tmp_path / "copy", *words)
    assert result.exit_code == 1
    assert not ran.exists()
    assert not (tmp_path / "back" / "ullage.toml").exists()
    assert f"then confirm it with `mv {tmp_path / 'back' / 'ullage.toml.restored'}" in result.output


def test_backup_of_another_version_is_named_before_restoring(
    house_with_leak: House, tmp_path: Path
) -> None:
    back_up(house_with_leak, tmp_path)
    manifest = tmp_path / "copy" / MANIFEST
    body = json.loads(manifest.read_bytes().splitlines()[0])
    for changed, reason in (
        ({"version": 2}, "is a backup of version 2, and this ullage reads 3"),
        ({"formats": {"audit": 7}}, "audit has version 7, and this ullage"),
    ):
        text = json.dumps({**body, **changed}, sort_keys=True).encode()
        manifest.write_bytes(text + b"\n" + hashlib.sha256(text).hexdigest().encode() + b"\n")
        refused = House(tmp_path / "back").ask("restore", tmp_path / "copy")
        assert isinstance(refused.exception, CorruptError)
        assert reason in str(refused.exception)
        assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("is_signed", [True, False])
@pytest.mark.parametrize(
    "name", ["incidents.sqlite", "elsewhere/cases.sqlite", "bus/captures.sqlite", "frontier.sqlite"]
)
def test_database_of_another_version_is_named_before_restoring(
    house_with_leak: House, tmp_path: Path, name: str, *, is_signed: bool
) -> None:
    path = house_with_leak.data / name
    if name == "elsewhere/cases.sqlite":  # a store by another name is known by the settings
        path.parent.mkdir()
        for file in house_with_leak.data.glob("incidents.sqlite*"):
            file.rename(path.parent / file.name.replace("incidents", "cases"))
        settings = house_with_leak.data / "ullage.toml"
        settings.write_text(
            f'[store]\nurl = "sqlite:///{name}"\n'
            + settings.read_text().replace("metrics = false\n", "")
        )
        house_with_leak = House(house_with_leak.data)
    with closing(open_database(path, "", 1)) as database:
        database.pragma("user_version", int(database.pragma("user_version")) + 1)
    back_up(house_with_leak, tmp_path)
    keys = ("--keys", tmp_path / "keys") if is_signed else ()
    refused = House(tmp_path / "back").ask("restore", tmp_path / "copy", *keys)
    assert isinstance(refused.exception, CorruptError)
    assert f"{tmp_path / 'copy' / name} has schema 2, and this ullage" in str(refused.exception)
    assert not (tmp_path / "back").exists()


def test_folder_that_is_not_a_data_folder_is_not_backed_up(
    house_with_leak: House, tmp_path: Path
) -> None:
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "ullage",
            "--data",
            str(house_with_leak.data.parent),
            "backup",
            str(tmp_path / "copy"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, (tmp_path / "copy").exists()) == (2, False)
    assert f"{house_with_leak.data.parent} is not set up" in result.stderr
    assert not (house_with_leak.data.parent / "audit").exists()


def test_invalid_request_is_rejected(house_with_leak: House, tmp_path: Path) -> None:
    for words, reason in {
        ("backup", house_with_leak.data / "within"): "is within the data folder",
        ("backup", house_with_leak.data): "is the data folder: name one outside",
        ("backup", tmp_path / "copy", "--keys", tmp_path / "copy"): "is the other one",
        (
            "backup",
            tmp_path / "copy",
            "--keys",
            tmp_path / "copy" / "keys",
        ): "is within the other one",
        (
            "backup",
            tmp_path / "keys" / "copy",
            "--keys",
            tmp_path / "keys",
        ): "is within the other one",
        (
            "backup",
            tmp_path / "copy",
            "--keys",
            house_with_leak.data / "keys" / "copy",
        ): "is within the data folder",
        ("restore", tmp_path): "is not empty",
    }.items():
        refused = house_with_leak.ask(*words)
        assert isinstance(refused.exception, ConfigError)
        assert reason in str(refused.exception)
    assert not list(tmp_path.glob("**/copy"))
    assert not (house_with_leak.data / "within").exists()
    for words in (
        ("restore", house_with_leak.data),
        ("restore", house_with_leak.data, "--keys", tmp_path / "no-keys"),
    ):
        assert f"{house_with_leak.data} is not a complete backup (" in str(
            House(tmp_path / "other").ask(*words).exception
        )


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../outside"])
def test_forged_backup_writes_nothing_outside_the_folder(
    house_with_leak: House, tmp_path: Path, name: str
) -> None:
    back_up(house_with_leak, tmp_path)
    manifest = tmp_path / "copy" / MANIFEST
    contents = json.loads(manifest.read_bytes().splitlines()[0])
    contents["files"][name] = ""
    body = json.dumps(contents, sort_keys=True).encode()
    manifest.write_bytes(body + b"\n" + hashlib.sha256(body).hexdigest().encode() + b"\n")
    with pytest.raises(CorruptError, match="outside the backup"):
        list(restore(House(tmp_path / "back").context, tmp_path / "copy", None))
    assert not (tmp_path / "back").exists()


def test_backup_is_rejected_while_a_dead_letter_is_replayed(
    house_with_leak: House, tmp_path: Path
) -> None:
    with (
        closing(house_with_leak.context.bus()) as bus,
        closing(bus.subscribe("dead-letters", "replay")),
    ):
        refused = house_with_leak.ask("backup", tmp_path / "copy")
    assert "dead-letters.replay is being consumed" in str(refused.exception)


def test_parts_on_servers_are_named_as_left_out(house_with_leak: House, tmp_path: Path) -> None:
    settings = house_with_leak.data / "ullage.toml"
    settings.write_text(
        '[bus]\nurl = "kafka://127.0.0.1:1?username=bus"\n'
        + settings.read_text().replace("metrics = false\n", "")
    )
    output = House(house_with_leak.data).done("backup", tmp_path / "copy")
    assert "not in it: the bus is on kafka://127.0.0.1:1, which needs its own backup" in output


def test_restored_database_counts_commits_and_accepts_more(
    house_with_leak: House, tmp_path: Path
) -> None:
    back_up(house_with_leak, tmp_path)
    back = restore_backup(house_with_leak, tmp_path)
    (back.data / "incidents.sqlite.commits").unlink()  # is written anew
    back.post(f"{phone(9)} {BANK[9]['resident_id']}")
    back.work()
    assert back.handle(9) in back.count_exposures()
    assert (back.data / "incidents.sqlite.commits").exists()
