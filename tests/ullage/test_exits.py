"""Exit codes: one table, which the code, the help and the document share."""

import ast
import importlib.metadata
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer.main

import ullage
from ullage import cli, errors
from ullage.errors import Exit
from ullage.runtime import supervisor

ROOT = Path(ullage.__file__).parents[1]
DOCUMENT = ROOT / "docs" / "exit-codes.md"
PACKAGES = ("ullage", "crawlers", "matcher", "alerts", "deploy")


def commands() -> dict[str, typer.core.TyperCommand]:
    """Map each command's words to the command."""

    def under(path: str, command) -> Iterator[tuple[str, object]]:
        nested = getattr(command, "commands", None)
        if nested is None or getattr(command, "invoke_without_command", False):
            yield path, command
        for name, subcommand in (nested or {}).items():
            yield from under(f"{path} {name}", subcommand)

    top = typer.main.get_group(cli.app)
    context = typer.Context(top)
    return {
        path: subcommand
        for name in top.list_commands(context)
        for path, subcommand in under(name, top.get_command(context, name))
    }


def rows(columns: int) -> set[tuple[str, ...]]:
    """Rows of the document's tables that have so many columns, without their heads."""
    cells = [
        line.strip("|").split("|")
        for line in DOCUMENT.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    cell_rows = {tuple(cell.strip() for cell in row) for row in cells if len(row) == columns}
    return {row for row in cell_rows if any(cell.isdigit() for cell in row)}


def test_exit_codes_are_as_documented() -> None:
    assert {code.name: int(code) for code in Exit} == {
        "DONE": 0,
        "FAILED": 1,
        "USAGE": 2,
        "NO_VERDICT": 3,
        "EXPOSED": 4,
        "GAP": 5,
    }
    assert set(errors.MEANING) == set(Exit)


def test_documentation_has_the_table_of_codes() -> None:
    assert rows(2) == {(str(int(code)), says) for code, says in errors.MEANING.items()}


def test_documentation_has_the_meaning_of_codes_by_command() -> None:
    assert rows(3) == {
        (name, str(int(code)), says)
        for name, codes in errors.COMMANDS.items()
        for code, says in codes.items()
    }


def test_commands_with_documented_codes_exist() -> None:
    assert set(errors.COMMANDS) <= set(commands())


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;]*m|[│╭╰─╮╯]", "", text))


@pytest.fixture
def program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[object, str, str]]:
    """Return a function that runs the whole command line in this process.

    Its stages are imported once. It returns code, output and errors.
    """
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # which the program would set
    for module in (sys, threading):
        monkeypatch.setattr(module, "excepthook", module.excepthook)

    def run(*words: object) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["ullage", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, *capsys.readouterr()

    return run


def test_program_ends_with_its_code(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ullage", "--data", tmp_path, "search", "--frobnicate"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (Exit.USAGE, "", 1)


@pytest.mark.parametrize("words", ["", *errors.COMMANDS])
def test_help_ends_with_the_exit_codes(
    program: Callable[..., tuple[object, str, str]], words: str
) -> None:
    code, help_text, _ = program(*words.split(), "--help")
    assert code == Exit.DONE
    for number, says in (errors.COMMANDS[words] if words else errors.MEANING).items():
        assert f"{number:d} {says}" in plain(help_text)


def test_no_command_returns_a_value_that_would_become_its_code() -> None:
    for path, command in commands().items():
        assert command.callback.__annotations__["return"] in ("None", None), path


def _name_of(function: ast.expr) -> str:
    """Without the module that it is of."""
    return (
        function.attr
        if isinstance(function, ast.Attribute)
        else function.id
        if isinstance(function, ast.Name)
        else ""
    )


def test_no_command_uses_a_bare_number_as_a_code() -> None:
    """A bare number in `typer.Exit(…)`, `sys.exit(…)`, `os._exit(…)` or `exit_code = …` is a code
    outside the table.

    `matcher/unpack` is a child of a command; what it ends with only the command sees.
    """
    numbers = []
    for package in PACKAGES:
        for path in set((ROOT / package).rglob("*.py")) - set(
            (ROOT / "matcher" / "unpack").iterdir()
        ):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                arguments = []
                if isinstance(node, ast.Call) and _name_of(node.func) in ("Exit", "exit", "_exit"):
                    arguments = node.args[:1]
                elif (
                    isinstance(node, ast.Assign)
                    and isinstance(node.targets[0], ast.Name)
                    and node.targets[0].id == "exit_code"
                ):
                    arguments = [node.value]
                numbers += [
                    f"{path}:{argument.lineno}"
                    for argument in arguments
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, int)
                ]
    assert numbers == []


@pytest.mark.parametrize(
    "entry", importlib.metadata.entry_points(group=cli.GROUP), ids=lambda entry: entry.name
)
def test_usage_error_of_every_command_is_2_in_one_line(
    program: Callable[..., tuple[object, str, str]], entry, tmp_path: Path
) -> None:
    code, output, wrong = program("--data", tmp_path, entry.name, "--frobnicate")
    assert (code, output, wrong.count("\n")) == (Exit.USAGE, "", 1)
    assert wrong.startswith("ullage: ")


def test_service_ended_by_a_signal_makes_run_once_fail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    monkeypatch.setattr(supervisor, "command", lambda *_: [sys.executable, "-c", killed])
    assert supervisor.run_once(tmp_path, ["match"]) == Exit.FAILED


HEEDING = """
import signal, sys
# a shell that runs the tests in the background has it ignored
signal.signal(signal.SIGINT, signal.default_int_handler)
from ullage import cli
sys.argv = ["ullage", *sys.argv[1:]]
cli.main()
"""


def test_interrupt_is_a_failure(tmp_path: Path) -> None:
    """`ullage ingest -` waits for its input; Ctrl-C ends it in one line."""
    command = [sys.executable, "-c", HEEDING, "--data", str(tmp_path / "data")]
    subprocess.run([*command, "init"], check=True, capture_output=True)
    with subprocess.Popen(
        [*command, "ingest", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdin.write("nonsense\n" * 10)
        process.stdin.flush()
        assert "line 1" in process.stderr.readline()  # it has begun to read
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == Exit.FAILED
    assert errors.splitlines()[-1] == "ullage: stopped"
