"""The command line: exit codes, one-line errors, no traceback, and stages that are not
installed.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.factories import outgoing
from ullage import __version__, cli, commands, errors
from ullage.bus import CAPTURES, DEAD_LETTERS, Record
from ullage.runtime import dead_letters
from ullage.security import keys
from ullage.settings import Context


def call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str
) -> tuple[int, str, str]:
    """Exit code, output and error output of `ullage WORDS`."""
    for hook in ("excepthook",):
        monkeypatch.setattr(sys, hook, getattr(sys, hook))
        monkeypatch.setattr(cli.threading, hook, getattr(cli.threading, hook))
    monkeypatch.setattr(sys, "argv", ["ullage", *words])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


@pytest.fixture
def ullage(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, data: Path):
    return lambda *words: call(capsys, monkeypatch, "--data", str(data), *words)


class Entry:
    """An entry point whose stage is missing a module, or raises what it is given."""

    def __init__(self, name: str, value: str, loaded: object) -> None:
        self.name, self.value, self.loaded = name, value, loaded

    def load(self) -> object:
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> dict[str, Entry]:
    """Return the entry points that the command line sees; empty to begin with."""
    entries: dict[str, Entry] = {}
    monkeypatch.setattr(
        importlib.metadata,
        "entry_points",
        lambda group, name=None: [e for e in entries.values() if name in (None, e.name)],
    )
    return entries


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("chek",), "No such command 'chek'. Did you mean 'check'? See `ullage --help`"),
        (("xyzzy",), "No such command 'xyzzy'. See `ullage --help`"),
        (("check", "--frobnicate"), "No such option: --frobnicate. See `ullage check --help`"),
        (("backup",), "Missing argument 'to'. See `ullage backup --help`"),
        (("audit", "lst"), "No such command 'lst'. Did you mean 'list'? See `ullage audit --help`"),
    ],
)
def test_usage_error_points_to_the_help(ullage, words: tuple[str, ...], line: str) -> None:
    assert ullage(*words) == (2, "", f"ullage: {line}\n")


def test_every_command_sets_a_narrow_umask(ullage) -> None:
    os.umask(0)
    assert ullage("--version")[0] == 0
    assert os.umask(0) == 0o077


def test_version_is_printed(ullage) -> None:
    assert ullage("--version") == (0, f"{__version__}\n", "")


def test_missing_command_prints_the_help_as_a_usage_error(ullage, stages: dict[str, Entry]) -> None:
    code, out, _ = ullage()
    assert code == 2
    assert "dead-letters" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("frobnicate",), "frobnicate"),
        (("--frobnicate",), "--frobnicate"),
        (("init", "superfluous"), "superfluous"),
        (("run", "--twice"), "--twice"),
    ],
)
def test_usage_error_is_one_line_and_code_2(
    ullage, stages: dict[str, Entry], words: tuple[str, ...], said: str
) -> None:
    code, out, err = ullage(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("ullage: ")
    assert said in err


def test_invalid_configuration_is_one_line_and_code_2(ullage, data: Path) -> None:
    (data / "ullage.toml").write_text("[match]\ncapture_bytes = 0\n")
    code, _, err = ullage("check")
    assert (code, err.count("\n")) == (2, 1)
    assert "match.capture_bytes" in err


def test_missing_extra_is_named_when_its_command_is_called(
    ullage, stages: dict[str, Entry]
) -> None:
    for name, value, extra in (
        ("crawl", "crawlers.cli:crawl", "crawl"),
        ("assess", "matcher.cli.match:assess", "match"),
        ("incidents", "alerts.service.process:incidents", "alert"),
        ("search", "alerts.cli.services:search", "search"),
        ("demo", "deploy.demo.command:demo", "all"),
    ):
        stages[name] = Entry(name, value, ModuleNotFoundError("x", name="x.y"))
        code, _, err = ullage(name, "--whatever", "x")
        extra_hint = "" if extra == "all" else f"ullage[{extra}] or "
        assert (code, err) == (2, f"ullage: {name} needs x.y: install {extra_hint}ullage[all]\n")


@pytest.mark.parametrize(
    ("command", "module", "extra"),
    [
        ("crawlers.intake.server:intake", "scrapy", "crawl"),  # its own extra would not bring it
        ("crawlers.intake.server:intake", "uvicorn.config", "intake"),
        ("alerts.cli.services:search", "uvicorn", "search"),
    ],
)
def test_named_extra_provides_the_missing_module(
    ullage, stages: dict[str, Entry], command: str, module: str, extra: str
) -> None:
    name = command.partition(":")[2]
    stages[name] = Entry(name, command, ModuleNotFoundError("x", name=module))
    assert (
        ullage(name)[2]
        == f"ullage: {name} needs {module}: install ullage[{extra}] or ullage[all]\n"
    )


def test_module_missing_at_run_time_is_named_with_its_extra(
    ullage, stages: dict[str, Entry]
) -> None:
    def fly() -> None:
        raise ModuleNotFoundError("x", name="docx.shared")

    stages["fly"] = Entry("fly", "alerts.service.process:fly", fly)
    assert ullage("fly") == (
        2,
        "",
        "ullage: this needs docx.shared: install ullage[alert] or ullage[all]\n",
    )


def test_help_lists_a_command_whose_extra_is_missing(
    ullage, stages: dict[str, Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    stages["crawl"] = Entry("crawl", "crawlers.cli:crawl", ModuleNotFoundError("x", name="scrapy"))
    monkeypatch.setitem(cli.EXTRAS, "crawl", ("no_such_module",))
    code, out, _ = ullage("--help")
    assert code == 0
    assert "needs the extra `crawl`" in out


def test_help_lists_a_command_without_a_prepared_line(ullage, stages: dict[str, Entry]) -> None:
    def fly() -> None:
        """Take off."""

    stages["fly"] = Entry("fly", "wings.command:fly", fly)
    assert "Take off." in ullage("--help")[1]


def test_help_imports_no_stage() -> None:
    script = (
        "import sys\nfrom ullage import cli\nsys.argv = ['ullage', '--help']\ntry:"
        " cli.main()\nexcept SystemExit: pass\n"
    )
    heavy = (
        "numpy",
        "hyperscan",
        "scrapy",
        "pydantic",
        "cryptography",
        "structlog",
        "rich",
        "matcher",
        "alerts",
        "crawlers",
    )
    script += f"print('loaded:', *(sys.modules.keys() & {{*{heavy}}}))"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "watchlist" in result.stdout
    assert result.stdout.splitlines()[-1] == "loaded:"


def test_help_has_the_summary_of_every_command() -> None:
    top = cli.typer.main.get_group(cli.app)
    help_lines = {
        name: " ".join(top.get_command(None, name).help.split("\n\n")[0].split())
        for name in top.list_commands(None)
    }
    assert help_lines == cli.HELP


MOST_COMMANDS = 67
"""One name for each thing that can be done: a new one replaces or joins another."""


def test_number_of_commands_is_limited() -> None:
    def leaves(command: Any, path: tuple[str, ...]) -> Iterator[str]:
        if not hasattr(command, "list_commands"):
            yield " ".join(path)
            return
        context = typer.Context(command)
        for name in command.list_commands(context):
            yield from leaves(command.get_command(context, name), (*path, name))

    leaf_commands = list(leaves(typer.main.get_command(cli.app), ()))
    assert len(leaf_commands) == len(set(leaf_commands)) <= MOST_COMMANDS, leaf_commands


def test_only_the_requested_stage_is_loaded(ullage, stages: dict[str, Entry]) -> None:
    stages["crawl"] = Entry("crawl", "crawlers.cli:crawl", AssertionError("loaded"))
    stages["match"] = Entry("match", "matcher.cli.match:match", lambda: cli.typer.echo("matched"))
    assert ullage("match") == (0, "matched\n", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("key is gone:\nmake it"), 2),
        (errors.UllageError("no"), 1),
        (PermissionError(13, "Permission denied", "/x/y"), 1),
    ],
)
def test_command_error_is_one_line_with_its_code(
    ullage, stages: dict[str, Entry], error: Exception, code: int
) -> None:
    def fail() -> None:
        raise error

    stages["match"] = Entry("match", "matcher.cli.match:match", fail)
    got, _, err = ullage("match")
    assert (got, err.count("\n")) == (code, 1)
    assert "Traceback" not in err


def test_init_check_and_config_show_work_in_sequence(ullage, data: Path) -> None:
    assert ullage("init")[::2] == (0, "")
    code, out, _ = ullage("check")
    assert code == 1
    assert "ok     keys" in out
    faults = sorted(line for line in out.splitlines() if not line.startswith("ok "))
    assert [fault.partition(", ")[0] for fault in faults[:1]] == [
        (
            "FAULT  notifications: no recipient for any incident: add"
            " [notify.channels.…] and [notify.routes.…] to ullage.toml"
        )
    ]
    assert faults[1].startswith("FAULT  watchlists: no customer list is valid: load one with")
    assert faults[2].startswith(
        "WARN   name that sites see: crawl.user_agent names security@example.com"
    )
    assert faults[3].startswith(
        "WARN   sites: 0 read, 0 crawled, 0 by ingest, so no site is monitored from here"
    )
    assert len(faults) == 4
    assert 'url = "sqlite:///bus"' in ullage("config", "show")[1]
    rows = [json.loads(line) for line in ullage("config", "show", "--json")[1].splitlines()]
    (zone,) = [row for row in rows if row["setting"] == "coverage.zone"]
    assert zone["value"] == zone["default"] == "Asia/Shanghai"
    (data / "keys" / "capture.key").unlink()
    code, out, _ = ullage("check")
    assert code == 1
    assert f"FAULT  inventory: {data}/keys/capture.key" in out


def test_check_has_json_output(ullage) -> None:
    ullage("init")
    code, out, _ = ullage("check", "--json")
    plain_code, plain, _ = ullage("check")
    parts = [json.loads(line) for line in out.splitlines()]
    assert code == plain_code
    assert [f"{item['state']} {item['part']}" for item in parts] == [
        f"{mark.lower()} {text.strip().partition(': ')[0]}"
        for mark, _, text in (line.partition(" ") for line in plain.splitlines())
    ]


def test_shell_completes_commands() -> None:
    environment = {
        **os.environ,
        "_ULLAGE_COMPLETE": "complete_bash",
        "COMP_WORDS": "ullage incidents li",
        "COMP_CWORD": "2",
    }
    result = subprocess.run(
        [Path(sys.executable).with_name("ullage")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert sorted(result.stdout.split()) == ["link", "list"]


def test_plan_lists_bus_and_stages_without_examining_anything(
    ullage, stages: dict[str, Entry], data: Path
) -> None:
    (data / "keys" / "capture.key").unlink()  # a fault that a look would find
    stages["alert"] = Entry(
        "alert",
        "alerts.service.process:plan",
        lambda context: iter([f"PUT index of {context.data.name}"]),
    )
    stages["match"] = Entry(
        "match", "matcher.cli.match:plan", ModuleNotFoundError("x", name="ahocorasick")
    )
    code, out, err = ullage("check", "--plan")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "# bus.url is sqlite: nothing has to be created, ullage makes its files itself",
        "PUT index of data",
        "# match is not installed here and may need more (it lacks ahocorasick)",
    ]


def test_plan_for_an_invalid_url_is_one_line_and_code_2(ullage, data: Path) -> None:
    (data / "ullage.toml").write_text('[bus]\nurl = "kafka://b:1?retention=1"\n')
    code, out, err = ullage("check", "--plan")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "bus.url: retention" in err


def test_every_registered_plan_can_be_loaded() -> None:
    entries = importlib.metadata.entry_points(group=commands.PLANS)
    assert {entry.name for entry in entries} == {"alert"}
    assert all(callable(entry.load()) for entry in entries)


def test_dead_letters_are_listed_replayed_and_gone_from_the_list(ullage, data: Path) -> None:
    context = Context(data)
    letters = dead_letters.DeadLetters(context.bus(), keys.load_sealer(context.keys), "match")
    letters.put(Record(CAPTURES, 0, 1, 0.0, "paste", {}, b"13800138000"), "malformed")
    code, out, _ = ullage("dead-letters", "--json")
    listed = json.loads(out)
    assert (code, listed["stage"], listed["topic"], listed["reason"]) == (
        0,
        "match",
        CAPTURES,
        "malformed",
    )
    assert "13800138000" not in out
    assert ullage("dead-letters", "--replay") == (0, "1 replayed\n", "")
    assert ullage("dead-letters") == (0, "No dead letters.\n", "")
    assert context.bus().lag(CAPTURES, "match").records == 1


def test_malformed_letter_stops_neither_the_list_nor_the_replay(ullage, data: Path) -> None:
    Context(data).bus().publisher(DEAD_LETTERS).append([outgoing("nonsense")])
    code, _, err = ullage("dead-letters", "--replay")
    assert (code, err) == (0, "")
    assert ullage("dead-letters") == (0, "No dead letters.\n", "")


CRASH = """
import sys
from ullage import cli
{setup}
sys.argv = ["ullage", "--version"]
import typer
cli.app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
@cli.app.command()
def act(version: bool = False):
    {act}
cli.main()
"""


@pytest.mark.parametrize(
    ("setup", "act"),
    [
        ("", "int('13800138000x')"),
        (
            "import threading",
            (
                "(t := threading.Thread(target=int, args=('13800138000x',))).start() or t.join();"
                " raise typer.Exit(1)"
            ),
        ),
    ],
    ids=["main thread", "other thread"],
)
def test_internal_error_is_one_line_of_kind_and_place(setup: str, act: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", CRASH.format(setup=setup, act=act)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "internal error (ValueError at " in result.stderr
    assert "13800138000" not in result.stderr


def test_stage_that_is_not_installed_has_no_services(stages: dict[str, Entry], data: Path) -> None:
    stages["crawl"] = Entry(
        "crawl", "crawlers.configured_services:roles_of", ModuleNotFoundError("x", name="scrapy")
    )
    stages["other"] = Entry("other", "wings.roles:roles_of", lambda context: lambda: ["fly"])
    assert [roles() for roles in commands._more_roles(Context(data))] == [["fly"]]


def test_closed_output_pipe_is_not_an_error(data: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run(
        [sys.executable, "-m", "ullage", "--data", data, "config", "show"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert (result.returncode, result.stderr) == (1, "")


def test_group_without_a_command_shows_its_help(ullage) -> None:
    code, printed, errors = ullage("config")
    assert (code, errors) == (2, "")
    assert printed.startswith("Usage: ullage config [OPTIONS] COMMAND [ARGS]...\n")
    assert "\n  show  Print every setting: its value, default, unit and reason.\n" in printed
