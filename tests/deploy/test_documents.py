"""Documents show commands that there are, with options that they have."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from ullage import cli

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / f"{name}.md" for name in ("README", "README.zh", "CONTRIBUTING", "SECURITY")]
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))
SHOWN = re.compile(r"`(ullage [^`]+)`|^\s*(ullage [^\n]+)$", re.MULTILINE)


def split_commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each command, without remarks and marks between alternatives."""
    for found in SHOWN.finditer(text):
        yield shlex.split((found[1] or found[2]).split("#")[0].replace("·", " ").replace("…", " "))[
            1:
        ]


def fault(words: list[str]) -> str:
    """Return the first command or option that does not exist, "" for none."""
    command, value_follows = typer.main.get_command(cli.app), False
    for word in words:
        if word.startswith(("--", "[--")):
            name = word.strip("[]").partition("=")[0]
            option = next(
                (one for one in command.params if name in (*one.opts, *one.secondary_opts)), None
            )
            if option is None and name != "--help":
                return f"{command.name} has no option {name}"
            value_follows = option is not None and not getattr(option, "is_flag", False)
        elif value_follows:
            value_follows = False
        elif hasattr(command, "get_command"):
            group, command = command, command.get_command(None, word)
            if command is None:
                return f"{group.name} has no command {word}"
    return ""


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_commands_and_options_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert [found for words in split_commands(text) if (found := fault(words))] == []


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("`ullage --data DIR crwal SITE`", "has no command crwal"),
        ("`ullage incidents lost`", "incidents has no command lost"),
        ("ullage --data DIR incidents list --severe high", "list has no option --severe"),
        ("`ullage --date DIR check`", "has no option --date"),
    ],
)
def test_unknown_command_is_detected(line: str, wrong: str) -> None:
    (words,) = split_commands(line)
    assert fault(words).endswith(wrong)


def test_documents_show_commands() -> None:
    assert (
        sum(1 for path in DOCUMENTS for _ in split_commands(path.read_text(encoding="utf-8"))) > 80
    )
