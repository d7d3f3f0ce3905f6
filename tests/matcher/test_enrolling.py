"""A failed `watchlist load` leaves no tenant behind, and harms none that was there."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from matcher.cli import watchlist as command
from matcher.watchlist import installation
from tests.matcher.bank import to_csv
from tests.matcher.conftest import BANK
from tests.matcher.test_watchlist_command import files
from ullage.errors import ConfigError, CorruptError
from ullage.security.keys import KeyStore
from ullage.settings import Context
from ullage.settings.tenants import find_tenants

POOR = "customer_ref,phone\n" + "C1,15400000001\n" * 9 + "C2,777\n"


@pytest.fixture
def context(data: Path) -> Context:
    """Return a context at the real clock, by which the command line runs."""
    return Context(data)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "export.csv"
    path.write_text(to_csv(BANK), encoding="utf-8")
    return path


def fail(*_, **__):
    raise CorruptError("broken")


LAST = "the way back cannot be put in place"
"""By then a list of a tenant that was there is in use, and whole."""
STEPS = {
    "the list is poor": None,
    "there is no list": None,
    "the digests are unknown": None,
    "the totals differ": None,
    "the audit log is broken": ("ullage.audit.trail.Trail.append", fail),
    "installing it fails": ("matcher.watchlist.installation.install", fail),
    LAST: ("pathlib.Path.replace", None),
}


@pytest.fixture
def failing(ullage, export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that lets a load (or build) fail at a step, and returns the error."""

    def fail(step: str, *words: object) -> BaseException | None:
        more: list[object] = []
        if step == "the list is poor":
            export.write_text(POOR, encoding="utf-8")
        elif step == "there is no list":
            export.unlink()
        elif step == "the digests are unknown":
            more = ["--digests", "some"]
        elif step == "the totals differ":
            (tmp_path / "totals").write_text("rows 11\n", encoding="utf-8")
            more = ["--control", tmp_path / "totals"]
        elif step == LAST:
            real = Path.replace

            def refusing(self: Path, target: Path) -> Path:
                if Path(target).suffix == ".subjects" and Path(target).parent.name == "building":
                    raise OSError(28, "No space left on device")
                return real(self, target)

            monkeypatch.setattr(Path, "replace", refusing)
        else:
            monkeypatch.setattr(*STEPS[step])
        return ullage(
            "watchlist", *(words or ("load",)), export, "--tenant", "bank", *more
        ).exception

    return fail


@pytest.mark.parametrize("step", STEPS)
def test_failed_load_leaves_no_trace_of_a_new_tenant(failing, context: Context, step: str) -> None:
    before = files(context.data)
    assert isinstance(failing(step), ConfigError | CorruptError | OSError)
    after = files(context.data)
    gone, new = before.keys() - after.keys(), after.keys() - before.keys()
    assert (gone, {name for name in new if not name.startswith(("audit/", "keys/audit/"))}) == (
        set(),
        set(),
    )
    assert find_tenants(context) == set()
    assert not [
        path
        for path in context.data.rglob("*")
        if "bank" in path.name or path.name.startswith((".new-", "build-"))
    ]


def without_audit(folder: Path) -> dict[str, str]:
    """Return the files and their contents, except the audit log, which records the failure."""
    return {
        name: digest
        for name, digest in files(folder).items()
        if not name.startswith(("audit/", "keys/audit/"))
    }


@pytest.mark.parametrize("step", [step for step in STEPS if step != LAST])
def test_failed_load_leaves_an_existing_tenant_unchanged(
    ullage, failing, context, export, step: str
) -> None:
    assert ullage("watchlist", "load", export, "--tenant", "bank").exit_code == 0
    before = without_audit(context.data)
    assert isinstance(failing(step), ConfigError | CorruptError | OSError)
    assert without_audit(context.data) == before


@pytest.mark.parametrize(
    "step", ["the list is poor", "there is no list", "the digests are unknown", "the totals differ"]
)
def test_failed_build_creates_no_tenant(
    failing, context: Context, tmp_path: Path, step: str
) -> None:
    before = files(context.data)
    assert isinstance(failing(step, "build", "--output", tmp_path / "out"), ConfigError | OSError)
    assert files(context.data) == before
    assert not list((tmp_path / "out").glob("*"))


def test_same_command_works_after_a_failure(
    failing, ullage, export: Path, context: Context
) -> None:
    failing("the list is poor")
    export.write_text(to_csv(BANK), encoding="utf-8")
    assert ullage("watchlist", "load", export, "--tenant", "bank").exit_code == 0
    assert installation.tenants(context.data) == ["bank"]


def test_concurrent_creation_does_not_replace_tenant_keys(
    ullage, export, context, monkeypatch
) -> None:
    real = command._note

    def meanwhile(*given) -> None:
        monkeypatch.setattr(command, "_note", real)
        assert ullage("watchlist", "load", export, "--tenant", "bank").exit_code == 0
        real(*given)

    monkeypatch.setattr(command, "_note", meanwhile)
    assert "was created by another command meanwhile" in str(
        ullage("watchlist", "load", export, "--tenant", "bank").exception
    )
    assert installation.tenants(context.data) == ["bank"]
    assert [len(tenant.epochs) for tenant in installation.load(Context(context.data))] == [1]


KILLED = """
import os, signal, sys
from matcher.watchlist.build import Builder
Builder.build = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
from ullage import cli
sys.argv = ["ullage", *sys.argv[1:]]
cli.main()
"""


def test_killed_load_leaves_no_tenant(data: Path, export: Path) -> None:
    words = [
        sys.executable,
        "-c",
        KILLED,
        "--data",
        str(data),
        "watchlist",
        "load",
        str(export),
        "--tenant",
        "bank",
    ]
    result = subprocess.run(words, capture_output=True, check=False, env={**os.environ})
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert find_tenants(Context(data)) == set()
    assert not (data / "keys" / "bank").exists()


def test_mistyped_data_folder_gets_no_tenant(ullage, tmp_path: Path, export: Path) -> None:
    from typer.testing import CliRunner

    from ullage.cli import app

    result = CliRunner().invoke(
        app,
        ["--data", str(tmp_path / "typo"), "watchlist", "load", str(export), "--tenant", "bank"],
    )
    assert "is not set up" in str(result.exception)
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("update", "FILE"),
        ("rotate-key",),
        ("rotate-key", "--retire"),
        ("show",),
    ],
    ids=" ".join,
)
def test_unknown_tenant_fails_every_command(
    ullage, bank: Context, export: Path, words: tuple[str, ...]
) -> None:
    arguments = [export if word == "FILE" else word for word in words]
    error = ullage("watchlist", *arguments, "--tenant", "bnak").exception
    assert (error.exit_code, str(error)) == (2, "tenant bnak is unknown: use bank")
    assert KeyStore(bank.keys.root).exists("bank/match-1.key")


def test_resolving_for_unknown_tenant_fails(ullage, export: Path, tmp_path: Path) -> None:
    ullage("watchlist", "load", export, "--tenant", "bank")
    (tmp_path / "handles").write_text("f" * 32, encoding="utf-8")
    error = ullage(
        "subjects",
        "resolve",
        tmp_path / "handles",
        "--case",
        "1",
        "--reason",
        "x",
        "--tenant",
        "bnak",
    ).exception
    assert str(error) == "tenant bnak is unknown: use bank"


def test_stats_cover_one_tenant_or_all(ullage, bank: Context) -> None:
    assert ullage("watchlist", "show", "--tenant", "bank").stdout.startswith(
        "bank key generation 1: 10 customers"
    )


def test_stats_report_when_nothing_is_installed(ullage) -> None:
    assert "no customer list is installed here" in ullage("watchlist", "show").stderr
