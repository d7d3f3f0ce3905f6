"""A list that would lose a tenant, or more than a tenth of its customers, is refused unless
somebody says that it is meant.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from matcher.cli.loading import known_here
from matcher.watchlist import installation
from matcher.watchlist.installation import SIZES, Sizes
from tests.matcher.bank import command, customer, to_csv
from ullage import setup
from ullage.audit.trail import FOLDER as AUDIT
from ullage.audit.verify import list_watchlist_changes
from ullage.cli import app
from ullage.commands import READERS, _parts
from ullage.errors import ConfigError, CorruptError
from ullage.settings import Context

Ullage = Callable[..., Result]
ALL = 300


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, fresh_data: Path) -> Path:
    """Return a data folder with 300 customers, to be copied."""
    folder = shutil.copytree(fresh_data, tmp_path_factory.mktemp("large") / "data")
    words = command(
        folder,
        "watchlist",
        "load",
        write(folder.parent, ALL),
        "--tenant",
        "bank",
        "--digests",
        "none",
    )
    assert CliRunner().invoke(app, words).exit_code == 0
    return folder


@pytest.fixture
def bank(context: Context, large: Path) -> Context:
    shutil.copytree(large, context.data, dirs_exist_ok=True)
    return Context(context.data)


def write(folder: Path, count: int, name: str = "list.csv") -> Path:
    path = folder / name
    path.write_text(to_csv([customer(number) for number in range(count)]), encoding="utf-8")
    return path


def customers(context: Context) -> int:
    [lists] = installation.load(context)
    return lists.customers


def loads(context: Context) -> int:
    return sum(
        entry.action == "watchlist.load" for entry in list_watchlist_changes(context.data / AUDIT)
    )


def load(ullage: Ullage, path: Path, *more: str) -> Result:
    return ullage("watchlist", "load", path, "--tenant", "bank", "--digests", "none", *more)


@pytest.mark.parametrize(
    ("count", "is_refused"),
    [(0, True), (5, True), (269, True), (270, False), (300, False), (400, False)],
)
def test_load_refuses_a_list_that_shrank(
    bank: Context, ullage: Ullage, tmp_path: Path, count: int, is_refused: bool
) -> None:
    result = load(ullage, write(tmp_path, count))
    assert isinstance(result.exception, ConfigError) == is_refused
    assert customers(bank) == (ALL if is_refused else count)
    if is_refused:
        assert loads(bank) == 1, "what was refused was not done"


def test_load_with_shrink_option_sets_the_new_size(
    bank: Context, ullage: Ullage, tmp_path: Path
) -> None:
    assert load(ullage, write(tmp_path, 5), "--shrink").exit_code == 0
    assert customers(bank) == Sizes(bank.data, bank.keys).count_customers("bank") == 5
    assert load(ullage, write(tmp_path, 6)).exit_code == 0
    assert isinstance(load(ullage, write(tmp_path, 5)).exception, ConfigError)


def test_size_is_compared_even_without_the_installed_folder(
    bank: Context, ullage: Ullage, tmp_path: Path
) -> None:
    (bank.data / installation.FOLDER).rename(tmp_path / "away")
    assert "instead of 300" in str(load(ullage, write(tmp_path, 5)).exception)
    assert load(ullage, write(tmp_path, 300)).exit_code == 0


def test_install_refuses_a_list_that_shrank(bank: Context, ullage: Ullage, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert (
        ullage(
            "watchlist", "build", write(tmp_path, 5), "--tenant", "bank", "--output", out
        ).exit_code
        == 0
    )
    words = ("watchlist", "load", out / "bank.watchlist", "--tenant", "bank")
    assert isinstance(ullage(*words).exception, ConfigError)
    assert customers(bank) == ALL
    assert ullage(*words, "--shrink").exit_code == 0
    assert customers(bank) == 5


def test_key_rotation_refuses_a_list_that_shrank(
    bank: Context, ullage: Ullage, tmp_path: Path
) -> None:
    assert ullage("watchlist", "rotate-key", "--tenant", "bank").exit_code == 0
    assert isinstance(load(ullage, write(tmp_path, 5)).exception, ConfigError)
    assert load(ullage, write(tmp_path, 290)).exit_code == 0
    assert ullage("watchlist", "rotate-key", "--tenant", "bank", "--retire").exit_code == 0
    assert customers(bank) == 290


@pytest.mark.usefixtures("bank")
def test_build_refuses_a_list_smaller_than_the_last(ullage: Ullage, tmp_path: Path) -> None:
    words = ("watchlist", "build", "--tenant", "bank", "--output", tmp_path / "out")
    assert ullage(*words, write(tmp_path, 300)).exit_code == 0
    assert isinstance(ullage(*words, write(tmp_path, 200)).exception, ConfigError)
    assert ullage(*words, write(tmp_path, 200), "--shrink").exit_code == 0


@pytest.mark.parametrize("out", [False, True])
def test_update_refuses_removing_too_many_customers(
    bank: Context, ullage: Ullage, tmp_path: Path, out: bool
) -> None:
    more: tuple[object, ...] = ("--output", tmp_path / "out") if out else ()
    if out:
        assert (
            ullage("watchlist", "build", write(tmp_path, 300), "--tenant", "bank", *more).exit_code
            == 0
        )
    gone = tmp_path / "gone.csv"

    def remove(first: int, last: int, *words: str) -> Result:
        gone.write_text(
            "customer_ref\n"
            + "".join(f"{customer(n)['customer_ref']}\n" for n in range(first, last))
        )
        return ullage("watchlist", "update", "--remove", gone, "--tenant", "bank", *more, *words)

    assert isinstance(remove(0, 31).exception, ConfigError)
    assert remove(0, 30).exit_code == 0
    assert isinstance(remove(30, 60).exception, ConfigError)
    assert remove(30, 60, "--shrink").exit_code == 0
    assert out or customers(bank) == 240


def test_erasure_is_always_allowed_and_lowers_the_expected_size(
    bank: Context, ullage: Ullage, tmp_path: Path
) -> None:
    [lists] = installation.load(bank)
    handles = lists.epochs[0].list.handles(
        lists.epochs[0].list.main.rows_of(lists.epochs[0].list.main.arrays["handle"])
    )
    for handle in [
        pseudonym for pseudonym in handles if pseudonym != lists.epochs[0].list.header.self_test
    ][:40]:
        assert (
            ullage(
                "erase",
                "--case",
                "C-1",
                "--reason",
                "asked",
                "--tenant",
                "bank",
                "--subject",
                handle,
            ).exit_code
            == 0
        )
    assert Sizes(bank.data, bank.keys).count_customers("bank") == 260
    assert load(ullage, write(tmp_path, 260)).exit_code == 0


def test_tampered_size_is_rejected(bank: Context, ullage: Ullage, tmp_path: Path) -> None:
    path = bank.data / SIZES / "bank.size"
    path.write_text(path.read_text().replace("300", "3"))
    with pytest.raises(CorruptError):
        Sizes(bank.data, bank.keys).count_customers("bank")
    assert isinstance(load(ullage, write(tmp_path, 5)).exception, CorruptError)
    assert load(ullage, write(tmp_path, 5), "--shrink").exit_code == 0


def test_check_scan_and_assess_report_missing_customers(
    bank: Context, ullage: Ullage, tmp_path: Path
) -> None:
    def run_check() -> str:
        lines = setup.check(bank, READERS, _parts(bank))
        return next(line for line in lines if " watchlists: " in line)

    assert run_check().startswith("ok")
    load(ullage, write(tmp_path, 5), "--shrink")
    Sizes(bank.data, bank.keys).write("bank", ALL)  # as if a small list had been put there by hand
    assert run_check().startswith("FAULT")
    with pytest.raises(ConfigError, match="5 customers instead of 300"):
        known_here(bank)
    installation.path_of(bank.data, "bank", 1).unlink()
    assert "tenants without a valid list: bank" in run_check()
