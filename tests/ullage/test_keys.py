"""Keys come from a private file, a credential or a command; each epoch is its own; destroying
one is final.
"""

import stat
import sys
from pathlib import Path

import pytest

from ullage.errors import ConfigError, RecordError
from ullage.security import keys
from ullage.security.keys import KeyStore

PLACE = {"purpose": "capture", "topic": "captures", "schema": 1}


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "keys")


def command(tmp_path: Path, body: str) -> tuple[str, ...]:
    program = tmp_path / "kms.py"
    program.write_text(f"import sys\n{body}\n")
    return (sys.executable, str(program))


def test_made_key_is_random_private_and_made_once(store: KeyStore) -> None:
    key = store.make("capture.key")
    assert store.make("capture.key") == store.read("capture.key") == key
    assert store.make("frontier.key") != key
    assert stat.S_IMODE((store.root / "capture.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(store.root.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_secret_readable_by_others_is_rejected_with_mode_and_remedy(
    store: KeyStore, mode: int
) -> None:
    store.make("capture.key")
    (store.root / "capture.key").chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode:04o}; make it 0600"):
        store.read("capture.key")


def test_key_of_the_wrong_length_is_rejected_without_showing_it(store: KeyStore) -> None:
    store.make("capture.key")
    (store.root / "capture.key").write_bytes(b"tooshort")
    with pytest.raises(ConfigError, match="has 8 bytes") as caught:
        store.read("capture.key")
    assert "tooshort" not in str(caught.value)


def test_missing_key_error_names_the_folder(store: KeyStore) -> None:
    with pytest.raises(ConfigError, match=r"key capture\.key is not in .*keys: run `ullage init`"):
        store.read("capture.key")


def test_existing_key_is_never_overwritten(store: KeyStore) -> None:
    key = store.make("capture.key")
    with pytest.raises(FileExistsError):
        store.write("capture.key", bytes(32))
    assert store.read("capture.key") == key


def test_command_supplies_secrets_but_not_public_keys(tmp_path: Path) -> None:
    key_command = command(tmp_path, "print((sys.argv[1].encode().hex() + '0' * 64)[:64])")
    store = KeyStore(tmp_path / "keys", key_command)
    assert store.read("capture.key").startswith(b"capture.key\0")
    with pytest.raises(ConfigError, match=r"seal/1\.pub is not in"):
        store.read("seal/1.pub")


@pytest.mark.parametrize("body", ["sys.exit(3)", "print('no hex: s3cret')", "print('é')"])
def test_failing_command_is_a_one_line_error_without_its_output(tmp_path: Path, body: str) -> None:
    with pytest.raises(ConfigError, match=r"keys\.command gave no key capture\.key") as caught:
        KeyStore(tmp_path, command(tmp_path, body)).read("capture.key")
    assert "s3cret" not in str(caught.value)


def test_missing_program_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="FileNotFoundError"):
        KeyStore(tmp_path, (str(tmp_path / "absent"),)).read("capture.key")


def test_credential_takes_precedence_over_the_file_and_is_listed(tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "seal.20260921.key").write_bytes(b"c" * 32)
    store = KeyStore(tmp_path / "keys", credentials=tmp_path / "credentials")
    store.write("seal/20260921.key", b"f" * 32)
    assert store.read("seal/20260921.key") == b"c" * 32
    assert store.list_names("seal", ".key") == ["seal/20260921.key"]
    assert set(keys.load_opener(store).private) == {"20260921"}


def test_command_key_opens_what_was_sealed_to_the_public_key_here(tmp_path: Path) -> None:
    elsewhere = KeyStore(tmp_path / "kms")
    keys.make_seal_pair(elsewhere, "20260921")
    local = KeyStore(
        tmp_path / "here",
        command(
            tmp_path, f"print(open({str(elsewhere.root)!r} + '/' + sys.argv[1], 'rb').read().hex())"
        ),
    )
    local.write("seal/20260921.pub", elsewhere.read("seal/20260921.pub"))
    sealed = keys.load_sealer(local).seal(b"plain", **PLACE)
    assert keys.load_opener(local).open(sealed, **PLACE, key_id="20260921") == b"plain"


def test_newest_public_key_seals_and_every_private_one_opens(store: KeyStore) -> None:
    keys.make_seal_pair(store, "20260920")
    older = keys.load_sealer(store).seal(b"older", **PLACE)
    keys.make_seal_pair(store, "20260921")
    assert keys.load_sealer(store).key_id == "20260921"
    assert keys.load_opener(store).open(older, **PLACE, key_id="20260920") == b"older"


def test_missing_seal_key_names_the_command_to_run(store: KeyStore) -> None:
    with pytest.raises(ConfigError, match="run `ullage init`"):
        keys.load_sealer(store)


def test_data_sealed_under_a_destroyed_key_cannot_be_opened(store: KeyStore) -> None:
    keys.make_seal_pair(store, "20260921")
    sealed = keys.load_sealer(store).seal(b"plain", **PLACE)
    before = (store.root / "seal/20260921.key").read_bytes()
    store.destroy("seal/20260921.key")
    assert not store.exists("seal/20260921.key")
    assert not any(before in p.read_bytes() for p in store.root.rglob("*") if p.is_file())
    with pytest.raises(RecordError, match="key_destroyed"):
        keys.load_opener(store).open(sealed, **PLACE, key_id="20260921")


def test_incomplete_key_pair_is_completed(store: KeyStore) -> None:
    keys.make_seal_pair(store, "20260921")
    whole = store.read("seal/20260921.pub")
    (store.root / "seal/20260921.pub").unlink()
    keys.make_seal_pair(store, "20260921")
    assert store.read("seal/20260921.pub") == whole


def test_tenant_is_made_once_and_completed_after_a_crash(store: KeyStore) -> None:
    keys.make_tenant(store, "bank")
    before = {p: p.read_bytes() for p in store.root.rglob("*") if p.is_file()}
    assert len(before) == 9 + 1  # and that of the inventory
    for name in ("verify.pub", "resolver.pub"):
        (store.root / "bank" / name).unlink()
    keys.make_tenant(store, "bank")
    assert {p: p.read_bytes() for p in store.root.rglob("*") if p.is_file()} == before
    keys.load_verify_key(store, "bank").verify(
        keys.load_signing_key(store, "bank").sign(b"list"), b"list"
    )


def test_tenants_and_key_generations_have_separate_keys(store: KeyStore) -> None:
    for tenant in ("bank", "shop"):
        keys.make_tenant(store, tenant)
    store.make("bank/match-2.key")
    store.make("bank/match-10.key")
    assert keys.list_generations(store, "bank", "match") == [1, 2, 10]
    assert (
        keys.list_generations(store, "bank", "index")
        == keys.list_generations(store, "shop", "match")
        == [1]
    )
    assert (
        len({store.read(f"{t}/{n}-1.key") for t in ("bank", "shop") for n in ("match", "index")})
        == 4
    )


def test_unrelated_files_are_not_key_generations(store: KeyStore) -> None:
    store.make("bank/match-1.key")
    store.make("bank/match-old.key")
    assert keys.list_generations(store, "bank", "match") == [1]


def test_text_secret_is_read_by_line_from_any_key_source(tmp_path: Path) -> None:
    (tmp_path / "notify").mkdir()
    (tmp_path / "notify" / "soc").touch(0o600)
    (tmp_path / "notify" / "soc").write_text("https://h.example/x \n密\n\n", encoding="utf-8")
    assert KeyStore(tmp_path).read_lines("notify/soc") == ["https://h.example/x", "密"]
    store = KeyStore(tmp_path, command(tmp_path, "print('from', sys.argv[1]); print('two')"))
    assert store.read_lines("notify/soc") == ["from notify/soc", "two"]
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "notify.soc").write_text("a credential")
    assert KeyStore(tmp_path, ("false",), tmp_path / "given").read_lines("notify/soc") == [
        "a credential"
    ]


def test_invalid_text_secret_is_rejected_without_showing_it(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match=r"secret soc is not in .*: put it there, mode 0600"):
        KeyStore(tmp_path).read_lines("soc")
    (tmp_path / "soc").write_bytes(b"\xff\xfe hush")
    (tmp_path / "soc").chmod(0o640)
    with pytest.raises(ConfigError, match="mode 0640"):
        KeyStore(tmp_path).read_lines("soc")
    (tmp_path / "soc").chmod(0o600)
    with pytest.raises(ConfigError, match="must be text") as caught:
        KeyStore(tmp_path).read_lines("soc")
    assert "hush" not in str(caught.value)
