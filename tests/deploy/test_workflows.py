"""The workflow files are valid, have the least rights, and what they use is pinned by commit."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROGRAMS = Path(sys.executable).parent
USES = re.compile(r"uses: (\S+)(.*)")


def run(program: str, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAMS / program, *words], capture_output=True, text=True, cwd=ROOT, check=False
    )


def test_workflows_exist() -> None:
    assert [path.stem for path in WORKFLOWS] == ["release", "test"]


def test_workflows_match_their_schema(tmp_path: Path) -> None:
    done = run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "runs_on:"))
    assert (
        run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", wrong).returncode
        == 1
    )


def test_zizmor_finds_no_fault() -> None:
    done = run("zizmor", "--offline", "--no-progress", "--persona=auditor", *WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit_with_their_version(path: Path) -> None:
    used = USES.findall(path.read_text(encoding="utf-8"))
    assert used
    assert [
        name
        for name, more in used
        if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", name + more)
    ] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_targets_and_files_of_the_workflows_exist(path: Path) -> None:
    text, makefile = (
        path.read_text(encoding="utf-8"),
        (ROOT / "Makefile").read_text(encoding="utf-8"),
    )
    for target in re.findall(r"make ([a-z-]+)", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for file in re.findall(r"(?:tests|\.ci|ullage)/[\w/.]+", text):
        assert (ROOT / file).exists(), file
