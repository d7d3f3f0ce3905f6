"""Every path that documents, harness, Makefile and CI name exists in the repository."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from harness.mutants.areas import AREAS

ROOT = Path(__file__).parents[2]
NAMING = re.compile(
    r"(Makefile|[A-Z]+(\.zh)?\.md|pyproject\.toml|mkdocs\.yml|\.ci/.+|docs/.+\.md|harness/.+"
    r"|tests/[^/]+\.md|tests/rules/.+\.py)"
)
"""The files whose text is searched for paths, by their own path."""
EXEMPT = {"CHANGELOG.md", "tests/rules/test_lanes.py", "tests/rules/test_named_paths.py"}
"""Files that may name what is no more, or what they invent."""
TOP = "alerts|crawlers|deploy|docs|harness|matcher|requirements|tests|ullage"
PATH = re.compile(rf"(?<![\w./~-])(?:(?:\.\.?/)*)((?:{TOP})/[\w./-]*\w)([/-]?[*{{<$(%])?")
MODULE = re.compile(rf"-m ((?:{TOP})(?:\.\w+)+)")
PLACEHOLDER = re.compile(r"[A-Z]{2,}\.(?!md)|[A-Z]{2,}$")
"""A word in capitals stands for the reader's own name, as in `crawlers/presets/NAME.toml`."""


def list_tracked() -> set[str]:
    """Return the files that git keeps or would keep."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {line for line in lines.splitlines() if (ROOT / line).exists()}


TRACKED = list_tracked()
FOLDERS = {str(folder) for path in TRACKED for folder in PurePosixPath(path).parents}


def find_paths(text: str) -> Iterator[tuple[int, str]]:
    """Yield line number and path of each path and each `-m` module in `text`; a path that goes
    on as a pattern ends in `*`.
    """
    for number, line in enumerate(text.splitlines(), 1):
        for match in PATH.finditer(line):
            path, pattern = match.groups()
            if not PLACEHOLDER.search(path):
                yield number, f"{path}*" if pattern else path
        for match in MODULE.finditer(line):
            yield number, match.group(1).replace(".", "/")


def exists(path: str) -> bool:
    """Return whether a file or folder has this path; a Python file may be named without its
    ending.
    """
    if path.endswith("*"):
        return any(name.startswith(path[:-1]) for name in TRACKED)
    return path in TRACKED or path in FOLDERS or f"{path}.py" in TRACKED


@pytest.mark.parametrize(
    "file", sorted(path for path in TRACKED - EXEMPT if NAMING.fullmatch(path))
)
def test_paths_in_a_file_exist(file: str) -> None:
    try:
        text = (ROOT / file).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        pytest.skip("no text")
    missing = [f"{file}:{number}: {path}" for number, path in find_paths(text) if not exists(path)]
    assert missing == []


@pytest.mark.parametrize("area", AREAS)
def test_every_file_and_test_of_a_mutation_area_exists(area: str) -> None:
    assert [path for path in (*AREAS[area].files, *AREAS[area].tests) if not exists(path)] == []


def test_missing_path_is_found() -> None:
    text = (
        "see `ullage/bus/router.py`, tests/nowhere/ and\n[this](../docs/gone.md), not"
        " example.org/docs/x\n"
    )
    text += "make: -m harness.gone docs/none-*.md alerts/web/NAME.html"
    assert list(find_paths(text)) == [
        (1, "ullage/bus/router.py"),
        (1, "tests/nowhere"),
        (2, "docs/gone.md"),
        (3, "docs/none*"),
        (3, "harness/gone"),
    ]
    assert not any(exists(path) for _, path in find_paths(text))
    assert exists("ullage/bus")
    assert exists("ullage/bus/sqlite.py")
    assert exists("deploy/systemd/ullage*")


def test_tests_that_ci_selects_by_name_exist() -> None:
    selected = re.findall(r'stage test-faults ONLY="(\w+)"', (ROOT / ".ci/run").read_text("utf-8"))
    names = {
        name
        for path in (ROOT / "tests" / "faults").glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert selected
    assert [word for word in selected if not any(word in name for name in names)] == []
