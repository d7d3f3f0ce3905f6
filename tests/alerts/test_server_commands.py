"""The commands over a store on a real server: where they find its password, and what they then
do.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from alerts.cases.evidence import find_held
from alerts.records import CLASSES, incident_id
from alerts.store import open_configured_store
from tests.alerts.builders import finding, fold_all
from tests.factories import sign_finding_record
from tests.stores import ON_SERVERS, Backend, each_backend, keep
from ullage import setup
from ullage.bus import FINDINGS
from ullage.cli import app
from ullage.errors import ConfigError
from ullage.settings import Context

pytestmark = pytest.mark.servers
backend = each_backend(ON_SERVERS[-1])


@pytest.fixture
def folder(backend: Backend, tmp_path: Path):
    """Yield a data folder with the store's password among its keys."""
    with backend.url(tmp_path / "made", CLASSES) as url:
        data = tmp_path / "data"
        data.mkdir()
        (data / "ullage.toml").write_text(
            f'metrics = false\n[store]\nurl = "{url}"\n[tenants.bank]\n', encoding="utf-8"
        )
        list(setup.initialise(Context(data)))
        keep(data / "keys", backend.server.password)
        yield data


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setattr("ullage.runtime.service.stop_on_signals", lambda stop: None)

    def ran(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, ["--data", str(folder), *words])
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return ran


def test_every_command_finds_the_store_password(folder, run):
    context = Context(folder)
    context.bus().publisher(FINDINGS).append(
        [sign_finding_record(context.keys, finding("f", range(10), people="ab").encode())]
    )
    run("alert", "--once")
    (row,) = run("incidents", "list", "--json").stdout.splitlines()
    assert (json.loads(row)["id"], json.loads(row)["customers"]) == (incident_id("f"), 2)
    assert json.loads(run("incidents", "show", incident_id("f"), "--json").stdout)["customers"] == 2
    # the fault is that there is no watchlist
    assert "ok     incident store: 1 incidents" in run("check", code=1).stdout


def test_missing_store_password_is_reported_with_its_place(folder, run):
    (folder / "keys" / "store.password").unlink()
    for words in (
        ("alert", "--once"),
        ("search",),
        ("incidents", "list"),
        ("incidents", "show", "INC-A"),
    ):
        error = run(*words, code=1).exception
        assert error.exit_code == 2
        assert str(folder / "keys" / "store.password") in str(error)
    assert (
        f"FAULT  incident store: the store's password is missing: put it into {folder}"
        in run("check", code=1).stdout
    )


SAYS = {
    "hold": (
        "incidents",
        "hold",
        incident_id("f"),
        "--case",
        "2026-7",
        "--reason",
        "police report",
    ),
    "suppress": (
        "incidents",
        "suppress",
        "--tenant",
        "bank",
        "--site",
        "paste",
        "--reason",
        "test posts",
        "--days",
        "3",
    ),
    "explain": (
        "coverage",
        "explain",
        "--since",
        "2h",
        "--until",
        "1h",
        "--reason",
        "the site was moved",
    ),
}
"""What people say on a terminal, each of another class of documents."""
APPENDED_BY_ALERT = {"suppress"}
"""What alert appends too, where it completes what a second person confirmed."""


@pytest.fixture
def as_process(backend: Backend, data: Path, clock) -> Iterator[Callable[..., Result]]:
    """Yield a function that runs a command over one incident.

    It has the rights that the plan gives to a process.
    """
    with backend.share(data) as url:
        (data / "ullage.toml").write_text(
            f'metrics = false\n[store]\nurl = "{url}"\n[tenants.bank]\n', encoding="utf-8"
        )
        with contextlib.closing(open_configured_store(Context(data))) as store:
            fold_all(store, clock, [finding("f", range(10), people="ab")])

        def ran(process: str, *words: str) -> Result:
            backend.become(process, data / "keys")
            return CliRunner().invoke(app, ["--data", str(data), *words])

        yield ran


@pytest.mark.parametrize("what", SAYS)
def test_decisions_are_stored_only_where_search_runs(as_process, what):
    for process in ("desk",) if what in APPENDED_BY_ALERT else ("alert", "desk"):
        refused = as_process(process, *SAYS[what])
        assert isinstance(refused.exception, ConfigError), (
            process,
            refused.output,
            refused.exception,
        )
        assert "refuses the permission" in str(refused.exception)
        if process == "alert":  # which reads what this takes, and is refused when it writes
            assert "the user of search has it, so do this on that host" in str(refused.exception)
        assert "\n" not in str(refused.exception)
    result = as_process("search", *SAYS[what])
    assert result.exit_code == 0, (result.output, result.exception)


def test_sealed_addresses_are_read_by_console_but_not_by_search(as_process):
    words = ("evidence", "open", incident_id("f"), "--case", "2026-7", "--reason", "takedown")
    refused = as_process("search", *words)
    assert "refuses the permission" in str(refused.exception)
    assert "desk has it" in str(refused.exception)
    # which is known from looking
    assert "no encrypted original" in str(as_process("desk", *words).exception)


def test_hold_by_search_is_respected_by_alert(as_process, backend, data):
    incident = incident_id("f")
    context = Context(data)
    for words, standing in ((["hold"], {incident}), (["hold", "--end"], set())):
        result = as_process("search", "incidents", *words, *SAYS["hold"][2:])
        assert result.exit_code == 0, (result.output, result.exception)
        backend.become("alert", data / "keys")
        with contextlib.closing(open_configured_store(context)) as store:
            assert find_held(store) == standing
