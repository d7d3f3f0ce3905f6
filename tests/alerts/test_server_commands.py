"""The commands over a store on a real server: where they find its password, and what they then do."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from alerts.records import CLASSES, incident_id
from tests.alerts.builders import finding
from tests.factories import signed
from tests.stores import ON_SERVERS, Backend, each_backend, keep
from ullage import setup
from ullage.bus import FINDINGS
from ullage.cli import app
from ullage.settings import Context

pytestmark = pytest.mark.servers
backend = each_backend(ON_SERVERS[-1])


@pytest.fixture
def folder(backend: Backend, tmp_path: Path):
    """A data folder whose keys, and with them the store's password, are not in the usual place."""
    with backend.url(tmp_path / "made", CLASSES) as url:
        data = tmp_path / "data"
        data.mkdir()
        (data / "ullage.toml").write_text(
            f'metrics = false\n[store]\nurl = "{url}"\n[keys]\nfolder = "elsewhere"\n[tenants.bank]\n', encoding="utf-8"
        )
        list(setup.initialise(Context(data)))
        keep(data / "elsewhere", backend.server.password)
        yield data


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setattr("ullage.runtime.role.stop_on_signals", lambda stop: None)

    def ran(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, ["--data", str(folder), *words])
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return ran


def test_every_command_finds_the_password_in_the_key_folder_of_the_settings(folder, run):
    context = Context(folder)
    context.bus().publisher(FINDINGS).append([signed(context.keys, finding("f", range(10), people="ab").encode())])
    run("alert", "--once")
    (row,) = run("incidents", "list", "--json").stdout.splitlines()
    assert (json.loads(row)["id"], json.loads(row)["customers"]) == (incident_id("f"), 2)
    assert json.loads(run("incidents", "show", incident_id("f"), "--json").stdout)["customers"] == 2
    assert "ok     incident store: 1 incidents" in run("check", code=1).stdout  # the fault is that there is no watchlist


def test_without_the_password_each_command_says_where_to_put_it(folder, run):
    (folder / "elsewhere" / "store.password").unlink()
    for words in (("alert", "--once"), ("search",), ("incidents", "list"), ("incidents", "show", "INC-A")):
        error = run(*words, code=1).exception
        assert error.exit_code == 2
        assert str(folder / "elsewhere" / "store.password") in str(error)
    assert f"FAULT  incident store: the store's password is missing: put it into {folder}" in run("check", code=1).stdout
