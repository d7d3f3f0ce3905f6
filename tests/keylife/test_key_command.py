"""`keys.command` with a real PKCS#11 token (SoftHSM 2, read by OpenSC): no secret key is a file,
and the work goes on.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

import deploy
from tests.keylife.conftest import BANK, House
from tests.matcher.bank import phone
from ullage.errors import ConfigError
from ullage.security.keys import KeyStore, list_generations

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
SCRIPT = Path(deploy.__file__).parent / "keys" / "pkcs11.sh"
NEEDS = "apt install softhsm2 opensc"
IS_HERE = MODULE.exists() and all(map(shutil.which, ("pkcs11-tool", "softhsm2-util")))
pytestmark = pytest.mark.skipif(not IS_HERE, reason=NEEDS)


class Token:
    """A token of its own, with a PIN in a file."""

    def __init__(self, folder: Path) -> None:
        (folder / "tokens").mkdir(parents=True)
        self.configuration = folder / "softhsm2.conf"
        self.configuration.write_text(
            f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n"
        )
        self.pin = folder / "pin"
        self.pin.write_text("123456\n")
        self.pin.chmod(0o600)
        self.command = (str(SCRIPT), str(MODULE), "ullage", str(self.pin))
        self.run(
            "softhsm2-util",
            "--init-token",
            "--free",
            "--label",
            "ullage",
            "--so-pin",
            "12345678",
            "--pin",
            "123456",
        )

    @property
    def surroundings(self) -> Mapping[str, str]:
        return {**os.environ, "SOFTHSM2_CONF": str(self.configuration), "PIN": "123456"}

    def run(self, *words: str) -> None:
        subprocess.run(words, env=self.surroundings, check=True, capture_output=True)

    def take(self, file: Path, name: str) -> None:
        """Put a key's file into the token, and destroy the file."""
        login = (
            "pkcs11-tool",
            "--module",
            str(MODULE),
            "--token-label",
            "ullage",
            "--login",
            "--pin",
            "env:PIN",
        )
        self.run(
            *login, "--write-object", str(file), "--type", "data", "--private", "--label", name
        )
        file.unlink()


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Token:
    token_ = Token(tmp_path / "hsm")
    monkeypatch.setenv("SOFTHSM2_CONF", str(token_.configuration))
    return token_


def test_pipeline_works_with_all_keys_from_a_token(house: House, token: Token) -> None:
    root = house.data / "keys"
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*.key"))
    assert "bank/match-1.key" in names
    for name in names:
        token.take(root / name, name)
    settings = house.data / "ullage.toml"
    settings.write_text(settings.read_text() + f"\n[keys]\ncommand = {json.dumps(token.command)}\n")
    away = House(house.data)
    away.post(f"{BANK[4]['name']}----{phone(4)}----{BANK[4]['resident_id']}")
    away.work()
    assert set(away.count_exposures()) == {away.handle(4)}
    assert list(root.rglob("*.key")) == []


def test_key_generations_of_a_command_come_from_the_inventory(house: House, token: Token) -> None:
    command_keys = KeyStore(house.data / "keys", token.command)
    assert (
        list_generations(command_keys, "bank", "match"),
        list_generations(command_keys, "bank", "index"),
    ) == (
        [1],
        [1],
    )
    (house.data / "keys" / "bank" / "match-1.key").unlink()
    assert list_generations(command_keys, "bank", "match") == [1]
    assert list_generations(KeyStore(house.data / "keys"), "bank", "match") == []


def test_missing_token_key_or_wrong_pin_is_a_one_line_error(house: House, token: Token) -> None:
    command_keys = KeyStore(house.data / "keys", token.command)
    with pytest.raises(
        ConfigError,
        match=r"keys\.command gave no key bank/match-1\.key \(CalledProcessError\): run it by hand",
    ):
        command_keys.read("bank/match-1.key")
    root = house.data / "keys"
    token.take(root / "capture.key", "capture.key")
    assert len(command_keys.read("capture.key")) == 32
    token.pin.write_text("999999\n")
    with pytest.raises(ConfigError, match=r"keys\.command gave no key capture\.key"):
        command_keys.read("capture.key")


def test_wrong_key_under_a_name_is_rejected_by_its_check_value(
    house: House, token: Token, tmp_path: Path
) -> None:
    other_key = tmp_path / "other"
    other_key.write_bytes(bytes(range(32)))
    token.take(other_key, "capture.key")
    with pytest.raises(ConfigError, match="does not match its check value in the inventory:"):
        KeyStore(house.data / "keys", token.command).read("capture.key")
