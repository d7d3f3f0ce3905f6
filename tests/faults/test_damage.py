"""R13 in full length: every file of the data folder at two hundred places each, and what `ullage check` then says of it."""

from __future__ import annotations

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


@pytest.mark.parametrize("name", [*NAMES, *MORE])
def test_check_finds_what_a_reader_refuses(whole: Path, name: str, tmp_path: Path) -> None:
    damaged = Damaged(whole, name)
    for kind in (flips, cuts):
        for what, content in kind(damaged.name, damaged.content, COMMANDS):
            dealt = damaged.judge(content, what)
            data = tmp_path / "data"
            shutil.copytree(whole, data)
            (data / damaged.name).write_bytes(content)
            done = subprocess.run(
                [sys.executable, "-m", "ullage", "--data", data, "check"],
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            shutil.rmtree(data)
            assert "Traceback" not in done.stderr, (what, done.stderr)
            assert "internal error" not in done.stderr, (what, done.stderr)
            if dealt in ("refused", "said"):
                assert done.returncode in (Exit.FAILED, Exit.USAGE), (damaged.name, what, done.stdout)
