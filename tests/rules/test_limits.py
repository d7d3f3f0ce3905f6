"""Limits of tests: they hold for work done and not for the clock, and a broken fixture is one
failure.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import limits

ROOT = Path(__file__).parents[2]
HOOKS = """
from tests.running.limits import (
    pytest_fixture_setup,
    pytest_runtest_makereport,
    pytest_timeout_set_timer,
)
"""


def run_pytest(folder: Path, test: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a file of tests with the hooks of this suite in a process of its own."""
    (folder / "conftest.py").write_text(HOOKS)
    (folder / "test_it.py").write_text(test)
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rs",
        "-p",
        "no:randomly",
        "-p",
        "no:xdist",
        "-p",
        "no:cacheprovider",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*words, *options], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_broken_shared_fixture_is_one_failure(tmp_path: Path) -> None:
    result = run_pytest(
        tmp_path,
        """
import pytest

@pytest.fixture(scope="module")
def broken():
    raise ValueError("out of order")

@pytest.fixture
def for_each():
    raise ValueError("each time anew")

@pytest.mark.parametrize("n", range(4))
def test_shared(broken, n): pass

@pytest.mark.parametrize("n", range(2))
def test_own(for_each, n): pass

def test_other(): pass
""",
    )
    assert "1 passed, 3 skipped, 3 errors" in result.stdout, result.stdout
    assert "fixture 'broken' failed: see test_it.py::test_shared[0]" in result.stdout.replace(
        "\n", " "
    )
    assert result.returncode == 1


BUSY = """
import os, time

os.getloadavg = lambda: ({load}, 0.0, 0.0)

def test_that_takes_a_second():
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        time.sleep(0.01)
"""


@pytest.mark.parametrize(("load", "outcome"), [(0.0, "1 failed"), (1e6, "1 passed")])
def test_time_on_a_busy_machine_counts_for_less(tmp_path: Path, load: float, outcome: str) -> None:
    result = run_pytest(tmp_path, BUSY.format(load=load), "--timeout", "0.3")
    assert outcome in result.stdout, result.stdout


@pytest.mark.parametrize(("load", "share"), [(0.0, 1.0), (2.0, 1.0), (8.0, 0.25)])
def test_share_of_a_core_is_measured(
    monkeypatch: pytest.MonkeyPatch, load: float, share: float
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    assert limits.idle_share() == share
