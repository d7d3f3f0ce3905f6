"""Pages, messages, help texts, alert rules, metrics and documents use the words of
`docs/glossary.md`, none that it rejects.
"""

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
import yaml

from deploy.documents.metrics import exposed
from tests.messages import read_catalogue
from ullage import cli

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs" / "glossary.md"
DOCUMENTS = [
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "README.md",
    ROOT / "README.zh.md",
    ROOT / "SECURITY.md",
    ROOT / "CONTRIBUTING.md",
]
TABLES = [
    path
    for folder in ("alerts", "ullage", "deploy/grafana")
    for path in sorted((ROOT / folder).rglob("*.toml"))
]
TEMPLATES = sorted((ROOT / "alerts").rglob("templates/*.html"))
NOT_PROSE = re.compile(
    r"```.*?```|^"
    r" {4}.*?$|`(?:[^`\n]|\n(?!\n))*`|<code>.*?</code>|<!--.*?-->|\]\([^)\n]*\)|%\(\w+\)s"
    r"|<style>.*?</style>|\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}|<[^>\n]*>"
    r"|\b[\w.-]+(?:/[\w.*-]+)+|\[\w+\.[\w.]+\]|\b\w+_\w+\b|\b\w*\.\w+\b|unix epoch",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)
"""Code, placeholders, mark-up and paths: they name an interface."""
ONE_MEANING = frozenset(
    (
        "acknowledged", "affected customer", "assess", "audit log", "benign post", "canary post",
        "coverage gap", "coverage log",
        "coverage report", "crawl host", "customer list", "customer registry", "encrypted",
        "evidence", "export",
        "exposure score", "false positive", "full coverage", "grouped", "heartbeat", "honeytoken",
        "imported", "keyed hash",
        "leak source", "outstanding report", "permission", "reporting deadline", "scenario",
        "seller", "severity", "suppressed",
        "takedown", "tenant", "token",
    )
)  # fmt: skip
"""Terms that mean one thing wherever they stand; "match" is also a service and "site" also any
web site.
"""
HAN = re.compile(r"[\u4e00-\u9fff]")
BANNED = ("that is known", "of before", "none of ours", "is meant", "there is no such")
"""Phrases that no native speaker would write in a message."""


class Entry(NamedTuple):
    """A line of the glossary."""

    term: str
    chinese: str
    rejected: tuple[str, ...]


def entries() -> list[Entry]:
    """Return all lines of the glossary's table."""
    rows = [
        line[1:-1].split("|")
        for line in GLOSSARY.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    return [
        Entry(term, chinese, tuple(filter(None, words.split(", "))))
        for term, chinese, _, words in rows[2:]
    ]


def pattern(words: list[str]) -> re.Pattern[str]:
    """Compile a search for `words`: English ones as whole words, Chinese ones anywhere."""
    either = "|".join(
        re.escape(word).replace(r"\ ", r"\s+") for word in sorted(words, key=len, reverse=True)
    )
    return re.compile(either if HAN.search(words[0]) else rf"\b(?:{either})\b", re.IGNORECASE)


REJECTED = [word for entry in entries() for word in entry.rejected]
ENGLISH = pattern([word for word in REJECTED if not HAN.search(word)])
CHINESE = pattern([word for word in REJECTED if HAN.search(word)])


def find_rejected_words(text: str) -> list[str]:
    """Return the rejected words in `text`, each with the words beside it."""
    prose = NOT_PROSE.sub(" ", text)
    matches = [*ENGLISH.finditer(prose), *CHINESE.finditer(prose)]
    return [
        " ".join(prose[max(0, match.start() - 40) : match.end() + 40].split()) for match in matches
    ]


def helps() -> Iterator[tuple[str, str]]:
    """Yield the help of every command and of its options."""

    def under(path: str, command: Any) -> Iterator[tuple[str, str]]:
        yield path, str(command.help or "")
        for option in command.params:
            yield f"{path} {option.name}", str(getattr(option, "help", None) or "")
        for name, subcommand in getattr(command, "commands", {}).items():
            yield from under(f"{path} {name}", subcommand)

    top = typer.main.get_group(cli.app)
    context = typer.Context(top)
    for name in top.list_commands(context):
        yield from under(name, top.get_command(context, name))


def annotations() -> Iterator[tuple[str, str]]:
    """Summary and description of every alert rule."""
    for path in sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.y*ml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    yield (
                        rule["alert"],
                        f"{rule['annotations']['summary']} {rule['annotations']['description']}",
                    )


def strings(value: object) -> Iterator[str]:
    """Yield every sentence or Chinese text within a table."""
    # else it is a value of a closed list
    if isinstance(value, str) and (" " in value or HAN.search(value)):
        yield value
    for item in (
        value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    ):
        yield from strings(item)


def test_glossary_lines_are_complete_and_reject_no_used_word() -> None:
    terms = [entry.term for entry in entries()]
    assert 60 <= len(terms) == len(set(terms))
    assert all(HAN.search(entry.chinese) for entry in entries())
    assert [
        entry for entry in entries() if find_rejected_words(f"{entry.term} {entry.chinese}")
    ] == []
    assert len(REJECTED) == len(set(REJECTED))


def test_rejected_word_is_found_in_prose_and_not_in_code() -> None:
    assert find_rejected_words("The desk shows\nhandles. 成案时间") != []
    assert len(find_rejected_words("The desk shows\nhandles. 成案时间")) == 3
    assert (
        find_rejected_words(
            "It is handled; `desk` and [a link](desk.md), %(desk)s, <code>desk</code>"
        )
        == []
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_use_no_rejected_word(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    rows = text.splitlines() if document == GLOSSARY else []
    text = (
        "\n".join(
            line.rpartition("|")[0].rpartition("|")[0] if line.startswith("|") else line
            for line in rows
        )
        or text
    )
    assert find_rejected_words(text) == []


def test_pages_and_messages_use_no_rejected_word() -> None:
    rejected = {
        message.id: find_rejected_words(f"{message.id}\n{message.string}")
        for message in read_catalogue()
        if message.id
    }
    assert {name: words for name, words in rejected.items() if words} == {}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_use_no_rejected_word(template: Path) -> None:
    assert find_rejected_words(template.read_text(encoding="utf-8")) == []


def test_help_texts_use_no_rejected_word() -> None:
    rejected = {name: find_rejected_words(text) for name, text in helps()}
    assert len(rejected) > 200, "too few: this looks at nothing"
    assert {name: words for name, words in rejected.items() if words} == {}


def test_alert_rules_and_metrics_use_no_rejected_word() -> None:
    texts = [*annotations(), *((metric.name, metric.help) for metric in exposed())]
    assert len(texts) > 100, "too few: this looks at nothing"
    assert [(name, words) for name, text in texts if (words := find_rejected_words(text))] == []


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.name)
def test_texts_of_reports_and_verdicts_use_no_rejected_word(table: Path) -> None:
    texts = strings(tomllib.loads(table.read_text(encoding="utf-8")))
    assert [words for text in texts if (words := find_rejected_words(text))] == []


@pytest.mark.parametrize(
    "entry",
    [entry for entry in entries() if entry.term in ONE_MEANING],
    ids=lambda entry: entry.term,
)
def test_term_has_one_chinese_word_in_all_messages(entry: Entry) -> None:
    term = re.compile(rf"\b{entry.term}s?\b", re.IGNORECASE)
    texts = {str(message.id): str(message.string) for message in read_catalogue() if message.id}
    translations = {
        english: chinese
        for english, chinese in texts.items()
        if term.search(NOT_PROSE.sub(" ", english))
    }
    assert translations, "no message has this term: take it off the list"
    assert {
        english: chinese
        for english, chinese in translations.items()
        if entry.chinese not in chinese
    } == {}


@pytest.mark.parametrize("package", ["ullage", "crawlers", "matcher", "alerts"])
def test_no_message_has_a_banned_phrase(package: str) -> None:
    faults = [
        f"{path}:{node.lineno}: {phrase}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in list_strings(ast.parse(path.read_text(encoding="utf-8")))
        for phrase in BANNED
        if phrase in str(node.value)
    ]
    assert faults == []


def list_strings(tree: ast.Module) -> list[ast.Constant]:
    """Return the string constants of a module, without its docstrings."""
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
    ]
