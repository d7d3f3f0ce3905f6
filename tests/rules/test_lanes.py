"""How tests are distributed: one queue for `make test`, two lanes for long faults; no test is
dropped or run twice.
"""

import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from xdist.remote import Producer

from tests.running import work_queue
from tests.running.work_queue import FileQueue

ROOT = Path(__file__).parents[2]
OPTIONS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"][
    "ini_options"
]
LONG, WAITING, SHORT = (
    "tests/matcher/test_long.py",
    "tests/flow/test_kill.py",
    "tests/matcher/test_short.py",
)


def list_runs(*targets: str) -> list[list[str]]:
    """Return what these targets give pytest, each time that they run it."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    }
    words = ["make", "--dry-run", *targets]
    output = subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout
    return [
        shlex.split(line.partition("bin/pytest ")[2])
        for line in output.splitlines()
        if "bin/pytest " in line
    ]


def arguments(target: str) -> list[str]:
    """Return what a target that runs pytest once gives it."""
    (words,) = list_runs(target)
    return words


def test_two_lanes_together_run_every_test_once() -> None:
    ignored = [word.removeprefix("--ignore=") for word in arguments("faults-kills")]
    assert ignored == arguments("faults-damage"), (
        "the same marks and options, then the same paths: left out there, taken here"
    )
    paths = [word for word in ignored if word.startswith("tests/")]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [word for word in arguments("faults-kills") if word.startswith("tests/")] == []
    assert sorted(list_runs("test-faults")) == sorted(
        arguments(lane) for lane in ("faults-damage", "faults-kills")
    )


def test_make_test_runs_one_queue_of_all_folders() -> None:
    words = arguments("test")
    assert [word for word in words if "tests/" in word] == [], "a path would leave the others out"
    assert words[words.index("-n") + 1] == "auto"


def test_each_marked_test_is_run_by_some_target() -> None:
    marks = {mark.partition(":")[0] for mark in OPTIONS["markers"]}
    expressions = " ".join(
        words[words.index("-m") + 1]
        for target in TARGETS
        for words in list_runs(target)
        if "-m" in words
    )
    assert [mark for mark in marks if mark not in expressions.replace("not " + mark, "")] == []


TARGETS = (
    "test",
    "flow",
    "contracts",
    "test-full",
    "test-servers",
    "test-faults",
    "test-live",
    "test-deploy",
    "test-image",
)


def test_pytest_settings_apply_outside_the_tests_folder() -> None:
    """A setting that only the folder `tests` declares would end `make test-live` before its
    first test.
    """
    words = ["-q", "--collect-only", "-m", "live", "harness/live/console/test_below_a_path.py"]
    process = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, "test_below_a_path.py" in process.stdout) == (0, True), (
        process.stdout + process.stderr
    )


def test_files_named_by_the_queue_exist() -> None:
    named = [*OPTIONS["waiting_files"], *OPTIONS["long_files"]]
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> FileQueue:
    """Return the queue of a machine with two cores."""
    monkeypatch.setattr(work_queue, "count_cores", lambda: 2)
    options = {"long_files": [LONG], "waiting_files": ["tests/flow"]}
    return FileQueue(
        SimpleNamespace(getini=options.get, getvalue=lambda _: ["4*popen"]),
        Producer("", enabled=False),
    )


def test_longest_file_is_started_first(queue: FileQueue) -> None:
    assert queue.choose([SHORT, WAITING, LONG], "gw0") == LONG


def test_waiting_files_go_to_the_workers_beyond_the_cores(queue: FileQueue) -> None:
    assert queue.choose([SHORT, LONG, WAITING], "gw1") == LONG
    assert queue.choose([SHORT, LONG, WAITING], "gw2") == WAITING


def test_worker_without_files_of_its_kind_takes_the_rest(queue: FileQueue) -> None:
    assert queue.choose([WAITING], "gw0") == WAITING
    assert queue.choose([SHORT], "gw3") == SHORT
