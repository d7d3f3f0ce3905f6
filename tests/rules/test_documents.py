"""What the documents say exists: paths, commands, make targets; and the locks say what the
metadata says.
"""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from ullage import cli

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    p
    for p in (
        ROOT / name for name in ("README.md", "README.zh.md", "CONTRIBUTING.md", "SECURITY.md")
    )
    if p.exists()
]
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))
LOCKS = {
    "dev": (
        "crawl",
        "match",
        "parquet",
        "alert",
        "search",
        "intake",
        "matrix",
        "xmpp",
        "telegram",
        "docs",
        "dev",
    )
}
LOCKS |= {"assess": ("match",), "crawl": ("crawl",)}
LOCKS |= {"search": ("alert", "search")}
CODE = re.compile(r"`([^`\n]+)`|^(?:    |\$ )?((?:make|ullage) [^\n#]+)", re.MULTILINE)
PATH = re.compile(
    r"^(?:ullage|crawlers|matcher|alerts|deploy|harness|tests|docs|requirements|\.ci)"
    r"(?:/[\w.\-]+)*/?(?:\.\w+)?$"
)
NAMED = re.compile(r"^([\w./\-]+\.py):([A-Za-z_][\w.]*)$")
"""A function, class or method as documents name it: `matcher/match/pipeline.py:Matcher.read`."""
TEST = re.compile(r"^((?:harness|tests)/[\w/]+\.py)::(test_\w+)$")
"""A test as documents name it, the way pytest does."""
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def words(document: Path) -> list[str]:
    return [
        quoted or command for quoted, command in CODE.findall(document.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_every_path_and_link_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    paths = {word for word in words(document) if "/" in word and PATH.match(word)}
    # of `FOLDER/NAME.py`, which a reader writes, the folder
    named = {re.sub(r"/[A-Z]+\.\w+$", "", path) for path in paths}
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
    assert [link for link in LINK.findall(text) if not (document.parent / link).exists()] == []


def list_definitions(path: Path) -> set[str]:
    """Return functions, classes, methods and constants of a module, as `name` and `Class.name`."""
    definitions = set[str]()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names = _names(node)
        definitions |= names
        if isinstance(node, ast.ClassDef):
            definitions |= {f"{node.name}.{name}" for inner in node.body for name in _names(inner)}
    return definitions


def _names(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AnnAssign)
        else []
    )
    return {target.id for target in targets if isinstance(target, ast.Name)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_every_named_function_exists_in_its_file(document: Path) -> None:
    named = [match.groups() for match in map(NAMED.match, words(document)) if match]
    assert [
        f"{path}:{name}"
        for path, name in named
        if not (ROOT / path).exists() or name not in list_definitions(ROOT / path)
    ] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_every_named_test_exists(document: Path) -> None:
    named = [match.groups() for match in map(TEST.match, words(document)) if match]
    assert [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).exists() or name not in list_definitions(ROOT / path)
    ] == []


def test_each_veto_of_the_privacy_officer_has_its_own_test() -> None:
    page = (ROOT / "docs" / "privacy-impact.md").read_text(encoding="utf-8")
    vetoes = page.partition("| veto, if |")[2].partition("\n\n")[0].splitlines()[2:]
    tests_by_row = [re.findall(r"`((?:harness|tests)/[^`]+)`", row) for row in vetoes]
    assert len(tests_by_row) >= 30
    assert [row for row, tests in zip(vetoes, tests_by_row, strict=True) if len(tests) != 1] == []
    assert len({test for [test] in tests_by_row}) == len(tests_by_row)
    assert {row.split(" | ")[1] for row in vetoes} == {f"({n})" for n in range(1, 7)}, (
        "each measure of PIPL 51"
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_every_make_target_and_command_exists(document: Path) -> None:
    targets = set(
        re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    ours = set(cli.OWN) | set(PROJECT["entry-points"]["ullage.commands"])
    for word in words(document):
        program, *arguments = word.split()
        named = [w for w in arguments if re.fullmatch(r"[a-z][a-z\-]*", w)]
        if program == "make" and named:
            assert named[0] in targets, word
        if program == "ullage" and arguments and re.fullmatch(r"[a-z][a-z\-]*", arguments[0]):
            assert arguments[0] in ours, word


@pytest.mark.skipif(not (ROOT / "README.md").exists(), reason="README is not there")
def test_first_command_is_within_twenty_lines() -> None:
    top = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:20]
    assert any("make demo" in line for line in top)


def read_pins(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    return {
        m[1].replace("_", "-").lower(): m[2]
        for m in re.finditer(r"^([\w.\-]+)(?:\[[\w,\-]+\])?==(\S+)", text, re.MULTILINE)
    }


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_has_hashed_pins_of_the_metadata_and_names_no_index(lock: str) -> None:
    requirements = PROJECT["dependencies"] + [
        r for extra in LOCKS[lock] for r in PROJECT["optional-dependencies"][extra]
    ]
    pins = read_pins(lock)
    for requirement in map(Requirement, requirements):
        assert requirement.specifier.contains(pins[requirement.name.lower()]), requirement
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    assert text.count("--hash=sha256:") >= len(pins)
    assert not re.search(
        r"https?://|--(?:find-links|index-url|extra-index-url|trusted-host)"
        r"|^#.*/(?:home|root|work|tmp)/",
        text,
        re.MULTILINE,
    )


def test_locks_agree_and_a_verdict_needs_at_most_thirty_packages() -> None:
    whole = read_pins("dev")
    for lock in LOCKS:
        assert read_pins(lock).items() <= whole.items()
    assert len(read_pins("assess")) <= 30


def test_make_without_a_target_lists_every_target() -> None:
    out = subprocess.run(
        ["make", "-C", ROOT, "--no-print-directory"], capture_output=True, text=True, check=True
    ).stdout
    for target in ("env", "check", "test", "demo", "bench", "lock", "help"):
        assert f"make {target} " in out


def test_ci_entry_runs_the_tests_and_is_executable() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "make test" in script.read_text(encoding="utf-8")
    subprocess.run(["bash", "-n", script], check=True)


def test_old_interpreter_is_rejected_in_one_line(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = (3, 9);'
        ' exec(sys.argv[1])" "$2"\n'
    )
    old.chmod(0o755)
    process = subprocess.run(
        ["make", "-C", ROOT, "env", f"PYTHON={old}", f"VENV={tmp_path}/venv"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode != 0
    assert "ullage needs Python 3.11 or newer" in process.stderr
    assert not (tmp_path / "venv").exists()
