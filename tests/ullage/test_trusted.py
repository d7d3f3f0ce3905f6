"""What a process goes by is read only from files that nobody else could have written."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from crawlers.sites.site import read_site
from ullage import setup
from ullage.bus.kafka.address import parse
from ullage.errors import ConfigError
from ullage.files import ownership
from ullage.files.atomic_write import write_new
from ullage.files.ownership import MAX_BYTES, check_folder, read_trusted
from ullage.security.keys import KeyStore
from ullage.settings import Context, load
from ullage.verdict import VERDICT
from ullage.vocabulary.lexicon import list_themes

SITE = (
    'platform = "bepasty"\nstart = ["https://p.example/"]\nlegal_basis = "PIPL 13"\nowner = "us"\n'
)
EVIL = 'keys.command = ["touch", "{}"]\n'


def a_configuration(data: Path) -> Path:
    (data / "ullage.toml").write_text("log_level = 'debug'\n")
    return data / "ullage.toml"


def a_site(data: Path) -> Path:
    (data / "sites.d").mkdir(exist_ok=True)
    (data / "sites.d" / "paste.toml").write_text(SITE)
    return data / "sites.d" / "paste.toml"


def some_rules(data: Path) -> Path:
    return VERDICT.install(data, VERDICT.load_shipped().text)


def a_lexicon(data: Path) -> Path:
    kind = next(iter(list_themes().values()))
    return kind.install(data, kind.load_shipped().text)


def a_key(data: Path) -> Path:
    KeyStore(data / "keys").make("bank/match-1.key")
    return data / "keys" / "bank" / "match-1.key"


def a_public_key(data: Path) -> Path:
    KeyStore(data / "keys").write("seal/20260921.pub", bytes(32))
    return data / "keys" / "seal" / "20260921.pub"


def an_inventory(data: Path) -> Path:
    a_key(data)
    return data / "inventory" / "command.json"


def a_text(data: Path) -> Path:
    (data / "keys" / "notify").mkdir(parents=True)
    write_new(b"https://h.example/\n", data / "keys" / "notify" / "soc")
    return data / "keys" / "notify" / "soc"


READERS: dict[Callable[[Path], Path], Callable[[Path], object]] = {
    a_configuration: load,
    a_site: lambda data: read_site(data / "sites.d" / "paste.toml"),
    some_rules: VERDICT.load_current,
    a_lexicon: next(iter(list_themes().values())).load_current,
    a_key: lambda data: KeyStore(data / "keys").read("bank/match-1.key"),
    a_public_key: lambda data: KeyStore(data / "keys").read("seal/20260921.pub"),
    an_inventory: lambda data: KeyStore(data / "keys").read("bank/match-1.key"),
    a_text: lambda data: KeyStore(data / "keys").read_lines("notify/soc"),
}
every_file = pytest.mark.parametrize(
    ("create", "read"), READERS.items(), ids=[create.__name__ for create in READERS]
)


@every_file
def test_private_file_is_read(
    tmp_path: Path, create: Callable[[Path], Path], read: Callable[[Path], object]
) -> None:
    create(tmp_path)
    read(tmp_path)


@every_file
@pytest.mark.parametrize("bit", [0o020, 0o002])
def test_file_writable_by_others_is_rejected_with_path_and_remedy(
    tmp_path: Path, create: Callable[[Path], Path], read: Callable[[Path], object], bit: int
) -> None:
    path = create(tmp_path)
    path.chmod(path.stat().st_mode | bit)
    with pytest.raises(ConfigError, match=r"chmod go-w|make it 0600") as caught:
        read(tmp_path)
    assert str(path) in str(caught.value)


@every_file
def test_parent_folder_writable_by_others_is_rejected(
    tmp_path: Path, create: Callable[[Path], Path], read: Callable[[Path], object]
) -> None:
    path = create(tmp_path)
    path.parent.chmod(0o777)
    with pytest.raises(ConfigError, match="chmod go-w") as caught:
        read(tmp_path)
    assert str(path.parent) in str(caught.value)


@every_file
def test_file_owned_by_somebody_else_is_rejected(
    tmp_path: Path,
    create: Callable[[Path], Path],
    read: Callable[[Path], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Root's are always taken, so whoever reads is made another user, and the file his who made
    it.
    """
    path = create(tmp_path)
    _pretend_owner(monkeypatch, path, 4242)
    with pytest.raises(
        ConfigError, match="belongs to uid 4242, neither root nor this user"
    ) as caught:
        read(tmp_path)
    assert str(path) in str(caught.value)


def _pretend_owner(monkeypatch: pytest.MonkeyPatch, path: Path, uid: int) -> None:
    real, number = os.fstat, path.stat().st_ino

    def report_owner(handle: int) -> os.stat_result:
        status = real(handle)
        fields = list(status)
        fields[4] = uid if status.st_ino == number else status.st_uid
        return os.stat_result(fields)

    monkeypatch.setattr(ownership.os, "fstat", report_owner)


@every_file
def test_symbolic_link_is_not_followed(
    tmp_path: Path, create: Callable[[Path], Path], read: Callable[[Path], object]
) -> None:
    path = create(tmp_path)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(
        ConfigError,
        match="is a symbolic link, which is not followed: replace it by a copy of the file",
    ) as caught:
        read(tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
@every_file
def test_pipe_or_folder_is_rejected_by_name_without_waiting(
    tmp_path: Path,
    create: Callable[[Path], Path],
    read: Callable[[Path], object],
    make: Callable[[Path, int], None],
) -> None:
    path = create(tmp_path)
    path.unlink()
    make(path, 0o700)
    with pytest.raises(ConfigError, match="is not a file") as caught:
        read(tmp_path)
    assert str(path) in str(caught.value)


def test_checked_file_is_the_one_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file is put there between open and look: it is not the one that is read."""
    path, real = a_key(tmp_path), os.fstat
    key = path.read_bytes()

    def swap_and_stat(handle: int) -> os.stat_result:
        status = real(handle)
        if status.st_ino == number:
            path.unlink()
            path.write_bytes(b"e" * 32)
        return status

    number = path.stat().st_ino
    monkeypatch.setattr(ownership.os, "fstat", swap_and_stat)
    assert read_trusted(path, secret=True) == key


def test_world_writable_configuration_runs_no_command(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    a_configuration(tmp_path).write_text(EVIL.format(mark))
    (tmp_path / "ullage.toml").chmod(0o666)
    with pytest.raises(ConfigError, match=r"ullage\.toml has mode 0666"):
        Context(tmp_path).keys.read("capture.key")
    assert not mark.exists()


def test_data_folder_writable_by_others_is_rejected(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigError, match="may write it"):
        load(tmp_path)


def test_folder_may_be_a_link_in_a_safe_place(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    KeyStore(tmp_path / "safe").make("capture.key")
    (tmp_path / "data" / "keys").symlink_to(tmp_path / "safe")
    content = (tmp_path / "safe" / "capture.key").read_bytes()
    assert KeyStore(tmp_path / "data" / "keys").read("capture.key") == content[:32]
    (tmp_path / "safe").chmod(0o770)
    with pytest.raises(ConfigError, match="may write it"):
        KeyStore(tmp_path / "data" / "keys").read("capture.key")


def test_file_over_a_mebibyte_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="is larger"):
        read_trusted(tmp_path / "big")


def test_missing_file_is_distinguished_from_an_invalid_one(tmp_path: Path) -> None:
    for path, root in (
        (tmp_path / "a", tmp_path),
        (tmp_path / "b" / "c", tmp_path),
        (tmp_path / "b" / "c", None),
    ):
        with pytest.raises(FileNotFoundError):
            read_trusted(path, root)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be read as a folder"):
        check_folder(tmp_path / "file")


def test_kafka_credentials_are_checked_the_same_way(tmp_path: Path) -> None:
    write_new(b"user\npassword\n", tmp_path / "login")
    query = "h:1?security=SASL_SSL&mechanism=PLAIN&credentials=link"
    (tmp_path / "link").symlink_to(tmp_path / "login")
    with pytest.raises(ConfigError, match="is a symbolic link"):
        parse(query, tmp_path)


def test_new_files_have_their_intended_mode_whatever_the_umask(tmp_path: Path) -> None:
    former = os.umask(0o077)
    try:
        context = Context(tmp_path / "data")
        list(setup.initialise(context))
        rules = VERDICT.install(context.data, VERDICT.load_shipped().text)
    finally:
        os.umask(former)
    modes = {p.relative_to(context.data): p.stat().st_mode & 0o777 for p in context.data.rglob("*")}
    assert {mode for path, mode in modes.items() if path.suffix == ".pub"} == {0o644}
    assert {mode for path, mode in modes.items() if path.suffix == ".key"} == {0o600}
    assert modes[Path("ullage.toml")] == modes[rules.relative_to(context.data)] == 0o644
    assert modes[Path("rules")] == 0o755
