"""Every promise of README.md, SECURITY.md and docs/promises.md names a test that would fail, and
is still made in these words.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "promises.md"
DOCUMENTS = {"README": ROOT / "README.md", "SECURITY": ROOT / "SECURITY.md"}
ROW = re.compile(r"^\| (README|SECURITY) \| (.+?) \| `([^`]+)` \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
UNPROVEN = re.compile(
    r"^(Keyed hashes are de-identified|\| who gets|\| ---|\| a running match process)"
)
"""What says what does *not* hold, and the head of the table."""


def words(text: str) -> str:
    return " ".join(text.split())


def rows() -> list[tuple[str, str, str]]:
    return ROW.findall(PAGE.read_text(encoding="utf-8"))


def section(document: str, title: str) -> str:
    text = DOCUMENTS[document].read_text(encoding="utf-8")
    return re.split(r"^## ", text.split(f"## {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def promises_of_security() -> list[str]:
    """Return paragraphs and table rows of what is protected."""
    parts = re.split(r"\n\n", section("SECURITY", "What is protected").strip())
    lines = [
        line
        for part in parts
        for line in (part.splitlines() if part.startswith("|") else [words(part)])
    ]
    return [line for line in lines if not UNPROVEN.match(line)]


def promises_of_readme() -> list[str]:
    return [
        words(item)
        for item in re.split(r"^- ", section("README", "Guarantees"), flags=re.MULTILINE)[1:]
    ]


def test_table_is_read():
    assert len(rows()) > 30
    assert len(promises_of_security()) > 20
    assert len(promises_of_readme()) >= 4


def test_each_row_quotes_existing_words():
    texts = {name: words(path.read_text(encoding="utf-8")) for name, path in DOCUMENTS.items()}
    assert [
        (document, quote) for document, quote, _ in rows() if words(quote) not in texts[document]
    ] == []


@pytest.mark.parametrize("promise", [*promises_of_security(), *promises_of_readme()])
def test_each_promise_has_a_row(promise):
    document = "README" if promise in promises_of_readme() else "SECURITY"
    assert any(words(quote) in words(promise) for name, quote, _ in rows() if name == document), (
        promise
    )


def test_each_guarantee_of_the_page_names_a_test():
    text = PAGE.read_text(encoding="utf-8").split("\n## ", 1)[0]
    items = re.split(r"^- ", text, flags=re.MULTILINE)[1:]
    assert len(items) > 10
    assert [item[:60] for item in items if not TEST.search(item)] == []


def never_fails(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether a test is always skipped, or has nothing in it that can fail."""
    marks = [ast.unparse(mark) for mark in function.decorator_list]
    can_fail = any(isinstance(node, ast.Assert | ast.Call) for node in ast.walk(function))
    return any(re.search(r"mark\.(skip|xfail)\b", mark) for mark in marks) or not can_fail


def test_each_named_test_exists_and_runs():
    named = {match.groups() for match in TEST.finditer(PAGE.read_text(encoding="utf-8"))}
    assert len(named) > 40
    missing = []
    for path, name in sorted(named):
        tree = (
            ast.parse((ROOT / path).read_text(encoding="utf-8"))
            if (ROOT / path).exists()
            else ast.Module([], [])
        )
        functions = [
            function
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        if not any(function.name == name and not never_fails(function) for function in functions):
            missing.append(f"{path}::{name}")
    assert missing == []
