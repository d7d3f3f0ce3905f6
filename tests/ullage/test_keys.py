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


def test_a_made_key_is_random_private_and_made_once(store: KeyStore) -> None:
    key = store.make("capture.key")
    assert store.make("capture.key") == store.read("capture.key") == key
    assert store.make("frontier.key") != key
    assert stat.S_IMODE((store.root / "capture.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(store.root.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_secret_that_others_may_read_is_refused_naming_mode_and_remedy(
    store: KeyStore, mode: int
) -> None:
    store.make("capture.key")
    (store.root / "capture.key").chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode:04o}; make it 0600"):
        store.read("capture.key")


def test_a_key_of_the_wrong_length_is_refused_without_showing_it(store: KeyStore) -> None:
    store.make("capture.key")
    (store.root / "capture.key").write_bytes(b"tooshort")
    with pytest.raises(ConfigError, match="has 8 bytes") as caught:
        store.read("capture.key")
    assert "tooshort" not in str(caught.value)


def test_a_missing_key_says_where_it_was_looked_for(store: KeyStore) -> None:
    with pytest.raises(ConfigError, match=r"key capture\.key is not in .*keys: run `ullage init`"):
        store.read("capture.key")


def test_an_existing_key_is_never_overwritten(store: KeyStore) -> None:
    key = store.make("capture.key")
    with pytest.raises(FileExistsError):
        store.write("capture.key", bytes(32))
    assert store.read("capture.key") == key


def test_a_command_is_asked_by_name_for_secrets_but_not_for_public_halves(tmp_path: Path) -> None:
    key_command = command(tmp_path, "print((sys.argv[1].encode().hex() + '0' * 64)[:64])")
    store = KeyStore(tmp_path / "keys", key_command)
    assert store.read("capture.key").startswith(b"capture.key\0")
    with pytest.raises(ConfigError, match=r"seal/1\.pub is not in"):
        store.read("seal/1.pub")


@pytest.mark.parametrize("body", ["sys.exit(3)", "print('no hex: s3cret')", "print('é')"])
def test_a_command_that_fails_is_one_line_without_its_output(tmp_path: Path, body: str) -> None:
    with pytest.raises(ConfigError, match=r"keys\.command gave no key capture\.key") as caught:
        KeyStore(tmp_path, command(tmp_path, body)).read("capture.key")
    assert "s3cret" not in str(caught.value)


def test_a_program_that_does_not_exist_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="FileNotFoundError"):
        KeyStore(tmp_path, (str(tmp_path / "absent"),)).read("capture.key")


def test_a_credential_goes_before_the_file_and_is_listed(tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "seal.20260921.key").write_bytes(b"c" * 32)
    store = KeyStore(tmp_path / "keys", credentials=tmp_path / "credentials")
    store.write("seal/20260921.key", b"f" * 32)
    assert store.read("seal/20260921.key") == b"c" * 32
    assert store.list_names("seal", ".key") == ["seal/20260921.key"]
    assert set(keys.load_opener(store).private) == {"20260921"}


def test_a_command_opens_what_was_sealed_to_the_public_half_in_the_folder(tmp_path: Path) -> None:
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


def test_the_newest_public_key_seals_and_every_private_one_opens(store: KeyStore) -> None:
    keys.make_seal_pair(store, "20260920")
    older = keys.load_sealer(store).seal(b"older", **PLACE)
    keys.make_seal_pair(store, "20260921")
    assert keys.load_sealer(store).key_id == "20260921"
    assert keys.load_opener(store).open(older, **PLACE, key_id="20260920") == b"older"


def test_without_a_seal_key_the_way_out_is_named(store: KeyStore) -> None:
    with pytest.raises(ConfigError, match="run `ullage init`"):
        keys.load_sealer(store)


def test_what_was_sealed_under_a_destroyed_key_is_out_of_reach(store: KeyStore) -> None:
    keys.make_seal_pair(store, "20260921")
    sealed = keys.load_sealer(store).seal(b"plain", **PLACE)
    before = (store.root / "seal/20260921.key").read_bytes()
    store.destroy("seal/20260921.key")
    assert not store.exists("seal/20260921.key")
    assert not any(before in p.read_bytes() for p in store.root.rglob("*") if p.is_file())
    with pytest.raises(RecordError, match="key_destroyed"):
        keys.load_opener(store).open(sealed, **PLACE, key_id="20260921")


def test_a_pair_that_a_crash_left_half_made_is_completed(store: KeyStore) -> None:
    keys.make_seal_pair(store, "20260921")
    whole = store.read("seal/20260921.pub")
    (store.root / "seal/20260921.pub").unlink()
    keys.make_seal_pair(store, "20260921")
    assert store.read("seal/20260921.pub") == whole


def test_a_tenant_is_made_once_and_completed_after_a_crash(store: KeyStore) -> None:
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


def test_tenants_and_epochs_have_keys_of_their_own(store: KeyStore) -> None:
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


def test_files_that_are_no_epoch_are_passed_over(store: KeyStore) -> None:
    store.make("bank/match-1.key")
    store.make("bank/match-old.key")
    assert keys.list_generations(store, "bank", "match") == [1]


def test_a_text_secret_is_read_line_by_line_from_wherever_keys_are(tmp_path: Path) -> None:
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


def test_a_text_secret_that_is_missing_wide_or_no_text_is_refused_without_showing_it(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match=r"secret soc is not in .*: put it there, mode 0600"):
        KeyStore(tmp_path).read_lines("soc")
    (tmp_path / "soc").write_bytes(b"\xff\xfe hush")
    (tmp_path / "soc").chmod(0o640)
    with pytest.raises(ConfigError, match="mode 0640"):
        KeyStore(tmp_path).read_lines("soc")
    (tmp_path / "soc").chmod(0o600)
    with pytest.raises(ConfigError, match="not text") as caught:
        KeyStore(tmp_path).read_lines("soc")
    assert "hush" not in str(caught.value)
