"""`make fuzz` finds what a fixed set of examples does not, says so, and keeps it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROPERTIES = """
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

class Counter(RuleBasedStateMachine):
    @rule(number=st.integers())
    def count(self, number):
        assert number == number

TestCounter = Counter.TestCase

@given(st.integers())
def test_true(number):
    assert number == number

@given(st.integers(min_value=0))
def test_false(number):
    assert number < 1000

def test_no_property():
    raise AssertionError("this is not searched")
"""


def environment() -> dict[str, str]:
    """Return the environment of the project's own folder.

    Its settings of pytest leave out a plugin that takes a second to load.
    """
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "-p no:schemathesis"}


def fuzz(folder: Path, seconds: float, *words: str) -> subprocess.CompletedProcess[str]:
    command = (
        sys.executable,
        "-m",
        "harness.fuzz",
        str(seconds / 60),
        "-p",
        "tests.conftest",
        *words,
    )
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )


def read_counts(output: str) -> tuple[int, ...]:
    [line] = re.findall(
        r"fuzz: (\d+) properties, ([\d,]+) examples, (\d+) rounds, [\d.]+ minutes; (\d+) failed",
        output,
    )
    return tuple(int(number.replace(",", "")) for number in line)


def test_failing_property_is_printed_kept_and_skipped_in_the_next_round(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(PROPERTIES)
    process = fuzz(tmp_path, 1, "test_some.py")
    properties, examples, rounds, failed = read_counts(process.stdout)
    assert (process.returncode, properties, failed) == (1, 3, 1), process.stdout
    assert "number=1000" in process.stdout
    assert "1 failed: test_some.py::test_false\n" in process.stdout
    assert rounds >= 1, "a machine that is busy may come to no second"
    assert examples > 100
    assert any(path.is_file() for path in (tmp_path / ".hypothesis" / "examples").rglob("*"))


@pytest.mark.parametrize(
    ("name", "status"), [("test_true", 0), ("TestCounter", 0), ("test_no_property", 5)]
)
def test_exit_status_reports_failures_or_an_empty_search(
    tmp_path: Path, name: str, status: int
) -> None:
    (tmp_path / "test_some.py").write_text(PROPERTIES)
    process = fuzz(tmp_path, 1, f"test_some.py::{name}")
    assert process.returncode == status
    assert (read_counts(process.stdout)[1] > 0) == (status == 0)


def test_examples_of_a_plain_run_are_the_same_each_time(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(
        "import pathlib\nfrom hypothesis import given, strategies as st\n@given(st.text())\ndef"
        " test_it(text):\n    with open('drawn', 'a') as file:\n        print(ascii(text),"
        " file=file)\n"
    )
    drawn = []
    for _ in range(2):
        command = (sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "test_some.py")
        subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, check=True)
        drawn.append((tmp_path / "drawn").read_text())
        (tmp_path / "drawn").unlink()
    assert drawn[0] == drawn[1]
    assert not (tmp_path / ".hypothesis" / "examples").exists()
