"""R13 in full length: every file of the data folder at two hundred places each, and what `ullage check` then says of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.state.test_damage import MORE, NAMES, Damaged, cuts, flips, whole
from ullage.exits import Exit

pytestmark = pytest.mark.faults
TIMES, COMMANDS = 200, 3
__all__ = ["whole"]


@pytest.mark.parametrize("name", [*NAMES, *MORE])
def test_each_file_at_two_hundred_places(whole: Path, name: str) -> None:
    damaged = Damaged(whole, name)
    for kind in (flips, cuts):
        for what, content in kind(damaged.name, damaged.content, TIMES):
            damaged.judge(content, what)


def check(data: Path, name: str) -> subprocess.CompletedProcess[str]:
    """`ullage check` of a folder that uses the file of that name: a spool is looked at only by whoever reads from it."""
    words = [sys.executable, "-m", "ullage", "--data", str(data), "check"]
    captures = {"ULLAGE_BUS__CAPTURES": "spool:///spool"} if name.startswith("spool/") else {}
    return subprocess.run(words, env={**os.environ, **captures}, capture_output=True, text=True, check=False, timeout=120)


def faults_in(said: str) -> set[str]:
    """The lines of `check` that say of a fault."""
    return {line for line in said.splitlines() if line.startswith("FAULT")}


@pytest.mark.parametrize("name", [*NAMES, *MORE])
def test_check_finds_what_a_reader_refuses(whole: Path, name: str, tmp_path: Path) -> None:
    damaged = Damaged(whole, name)
    shutil.copytree(
        whole, tmp_path / "whole"
    )  # check opens databases, and the next test wants them as a killed process left them
    known = faults_in(check(tmp_path / "whole", name).stdout)  # that of its sites and channel nothing is there any more
    for kind in (flips, cuts):
        for what, content in kind(damaged.name, damaged.content, COMMANDS):
            dealt = damaged.judge(content, what)
            data = tmp_path / "data"
            shutil.copytree(whole, data)
            (data / damaged.name).write_bytes(content)
            done = check(data, name)
            shutil.rmtree(data)
            assert "Traceback" not in done.stderr, (what, done.stderr)
            assert "internal error" not in done.stderr, (what, done.stderr)
            if dealt in ("refused", "said"):
                assert done.returncode == Exit.USAGE or faults_in(done.stdout) - known, (damaged.name, what, done.stdout)
