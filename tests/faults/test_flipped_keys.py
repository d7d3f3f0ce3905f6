"""A flipped bit of a key makes another key, under which nobody is found.

It is seen by whoever uses the key, and by `check`.

In a folder that was set up, with a list loaded and nothing else: what there is to compare with is
what the keys themselves made.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import structlog
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from alerts.accounts.accounts import Accounts
from alerts.store import open_configured_store
from alerts.web.app import create_app
from crawlers.frontier.database import open_frontier
from crawlers.intake.cli import take
from crawlers.metrics import CrawlMetrics
from crawlers.scheduling.scheduler import Scheduler
from matcher.cli.loading import build_matcher
from tests.matcher.bank import customer, to_csv
from ullage.cli import app
from ullage.errors import ConfigError, CorruptError
from ullage.security import keys
from ullage.security.keys import KeyStore
from ullage.settings import Context

PLACES = (0, 100, 255)
"""Bits of a key: the first and the last of all, which X25519 itself passes over, and one within."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that was set up and into which a list was loaded by the commands."""
    data = tmp_path_factory.mktemp("flipped") / "data"
    (data.parent / "bank.csv").write_text(
        to_csv([customer(n) for n in range(20)]), encoding="utf-8"
    )
    for words in (
        ["init"],
        ["watchlist", "load", str(data.parent / "bank.csv"), "--tenant", "bank"],
    ):
        result = CliRunner().invoke(app, ["--data", str(data), *words])
        assert result.exit_code == 0, result.output
    return data


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """`match` in this process takes them for itself."""
    former = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.fixture
def data(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path / "data")
    return tmp_path / "data"


def run(data: Path, *words: str) -> tuple[int, str]:
    """Return the exit code and all output of a command."""
    result = CliRunner().invoke(app, ["--data", str(data), *words])
    return (
        result.exception.exit_code
        if isinstance(result.exception, (ConfigError, CorruptError))
        else result.exit_code
    ), f"{result.output}{result.exception or ''}"


def match(data: Path) -> None:
    run_or_raise(data, "match", "--once")


def assess(data: Path) -> None:
    (data.parent / "leak.csv").write_text(f"{customer(1)['phone']}\n")
    run_or_raise(data, "assess", str(data.parent / "leak.csv"))


def run_or_raise(data: Path, *words: str) -> None:
    result = CliRunner().invoke(app, ["--data", str(data), *words])
    structlog.reset_defaults()  # the command's log goes to an output that is closed now
    if isinstance(result.exception, Exception):
        raise result.exception


def search(data: Path) -> None:
    """Do all that `ullage search` does before it serves."""
    context = Context(data)
    with (
        closing(open_configured_store(context)) as store,
        closing(Accounts(data, context.clock)) as accounts,
    ):
        create_app(context, store, accounts, CollectorRegistry(), frozenset())


def load(data: Path) -> None:
    (data.parent / "bank.csv").write_text(
        to_csv([customer(n) for n in range(20)]), encoding="utf-8"
    )
    run_or_raise(data, "watchlist", "load", str(data.parent / "bank.csv"), "--tenant", "bank")


def ingest(data: Path) -> None:
    with (data.parent / "empty").open("w+b") as source:
        take(Context(data), source)


def crawl(data: Path) -> None:
    """Do all that `ullage crawl` does before its first round."""
    context = Context(data)
    Scheduler(context, [], CrawlMetrics(CollectorRegistry(), context.clock))


def frontier(data: Path) -> None:
    open_frontier(Context(data)).close()


def resolve(data: Path) -> None:
    (data.parent / "handles").write_text("00" * 16)
    run_or_raise(
        data, "subjects", "resolve", str(data.parent / "handles"), "--case", "1", "--reason", "test"
    )


USERS: dict[str, tuple[Callable[[Path], None], ...]] = {
    "bank/match-1.key": (match, assess, load),
    "bank/index-1.key": (match, assess, search, load),
    "bank/handle.key": (load,),
    "bank/sign.key": (load,),
    "bank/verify.pub": (match, assess, load),
    "bank/resolver.key": (resolve, load),
    "bank/resolver.pub": (load,),
    "capture.key": (match, assess),
    "frontier.key": (ingest, frontier, crawl),
    "seal/*.key": (match,),
    "seal/*.pub": (match, ingest, crawl),
    "sign/crawl.key": (crawl,),
    "sign/match.key": (match,),
    "sign/ingest.key": (ingest,),
    "audit/command.key": (load, resolve),
}
"""Who uses which key."""


def flip(file: Path, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(bytes(content))


def one(data: Path, pattern: str) -> Path:
    [file] = (data / "keys").glob(pattern)
    return file


def faulty(data: Path) -> str:
    """Return the fault that `check` reports of the keys."""
    code, output = run(data, "check")
    assert code == 1, output
    [line] = [line for line in output.splitlines() if line.startswith("FAULT  keys: ")]
    return line


def sound(data: Path) -> None:
    """Check that `check` reports nothing but that no channel for notifications is set up."""
    _, output = run(data, "check")
    assert [line[:33] for line in output.splitlines() if line.startswith("FAULT")] == [
        "FAULT  notifications: no recipien"
    ]


@pytest.mark.parametrize("bit", PLACES)
def test_check_reads_every_key_and_names_damage_and_remedy(data: Path, bit: int) -> None:
    names = keys.list_files(KeyStore(data / "keys"))
    assert len(names) >= 18
    sound(data)
    for name in names:
        content = (data / "keys" / name).read_bytes()
        flip(data / "keys" / name, bit)
        assert f"key {data / 'keys' / name} does not match its own check value" in (
            fault := faulty(data)
        )
        assert "restore it from its copy" in fault
        (data / "keys" / name).write_bytes(content)
    sound(data)


@pytest.mark.parametrize("bit", PLACES)
@pytest.mark.parametrize("pattern", USERS)
def test_use_of_a_flipped_key_stops_with_file_and_remedy(
    data: Path, pattern: str, bit: int
) -> None:
    flip(file := one(data, pattern), bit)
    for use in USERS[pattern]:
        with pytest.raises(ConfigError, match="restore") as caught:
            use(data)
        assert str(file) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pattern", USERS)
def test_truncated_or_empty_key_is_rejected(data: Path, pattern: str) -> None:
    file = one(data, pattern)
    content = file.read_bytes()
    for length in (0, 1, 31):
        file.write_bytes(content[:length])
        for use in USERS[pattern][:1]:
            with pytest.raises(
                ConfigError, match=f"has {length} bytes instead of 37: restore it"
            ) as caught:
                use(data)
            assert str(file) in str(caught.value)
        assert str(file) in faulty(data)


@pytest.mark.parametrize("pattern", USERS)
def test_key_with_a_damaged_check_value_is_rejected(data: Path, pattern: str) -> None:
    flip(file := one(data, pattern), 8 * 36)
    with pytest.raises(ConfigError, match="restore") as caught:
        USERS[pattern][0](data)
    assert str(file) in str(caught.value)
    faulty(data)


@pytest.mark.parametrize("pattern", USERS)
def test_replaced_key_is_detected_by_the_inventory(data: Path, pattern: str) -> None:
    file = one(data, pattern)
    name = str(file.relative_to(data / "keys"))
    file.write_bytes(keys.with_check_value(bytes(range(32)), name))
    for use in USERS[pattern]:
        with pytest.raises(
            ConfigError, match="does not match its check value in the inventory: restore it"
        ) as caught:
            use(data)
        assert str(file) in str(caught.value)
    faulty(data)


def test_key_without_a_check_value_is_read_if_the_inventory_lists_it(data: Path) -> None:
    path, unlisted = data / "keys" / "capture.key", data / "keys" / "other.key"
    key = path.read_bytes()[:32]
    path.write_bytes(key)
    assert KeyStore(data / "keys").read("capture.key") == key
    unlisted.write_bytes(key)
    unlisted.chmod(0o600)
    with pytest.raises(
        ConfigError, match=r"other\.key has no check value and is not in the inventory"
    ):
        KeyStore(data / "keys").read("other.key")


def test_keys_left_by_a_killed_load_are_ignored(data: Path) -> None:
    shutil.copytree(data / "keys" / "bank", data / "keys" / ".new-killed" / "shop")
    sound(data)


def test_all_keys_work_without_a_fault(data: Path) -> None:
    for use in {use for uses in USERS.values() for use in uses}:
        use(data)


# what the keys made carries their check values, wherever the key files come from


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("bank/match-1.key", match),
        ("bank/index-1.key", match),
        ("bank/verify.pub", match),
        ("bank/handle.key", load),
        ("bank/sign.key", load),
        ("frontier.key", frontier),
        ("audit/command.key", load),
    ],
)
def test_valid_replacement_key_is_rejected_by_existing_data(
    data: Path, name: str, use: Callable[[Path], None]
) -> None:
    frontier(data)
    file = data / "keys" / name
    content = file.read_bytes()
    inventory = Context(data).inventory
    inventory.strike(f"keys/{name}")
    file.write_bytes(keys.with_check_value(bytes(range(32)), name))
    with pytest.raises((ConfigError, CorruptError)) as caught:
        use(data)
    assert file.name in str(caught.value)
    file.write_bytes(content)
    use(data)


def test_swapped_keys_are_detected(data: Path) -> None:
    match_key, index_key = (
        data / "keys" / "bank" / "match-1.key",
        data / "keys" / "bank" / "index-1.key",
    )
    first, second = match_key.read_bytes(), index_key.read_bytes()
    match_key.write_bytes(second)
    index_key.write_bytes(first)
    with pytest.raises(ConfigError, match="does not match its own check value"):
        build_matcher(Context(data))
