"""The demo, as a newcomer runs it: it plants, finds, and checks itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploy.demo import plant
from ullage.supervisor import command

pytestmark = pytest.mark.flow


def test_demo_finds_what_it_planted_and_leaves_no_process(tmp_path: Path, site_programs: Path) -> None:
    (tmp_path / "sites-venv").symlink_to(site_programs.parent)
    done = subprocess.run(command(tmp_path, "demo", "--once"), capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "none lost, none double, none false" in done.stdout
    assert "Traceback" not in done.stderr
    running = [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path).encode() in _read(p)]
    assert running == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_the_plan_holds_what_the_issue_asks_for() -> None:
    plan = plant.plan()
    assert len(plan.customers) == plant.CUSTOMERS == 2_000
    assert max(post.body.count("\n") for post in plan.posts) == 2_000
    assert sum(bool(post.thread) for post in plan.posts) > 45
    assert 0 < len(plan.expected) < plant.LEAKED == 400
