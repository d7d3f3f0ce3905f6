"""Lanes of the Makefile that run side by side: what one leaves out another takes, so no test is dropped or run twice."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def runs(*targets: str) -> list[list[str]]:
    """What the targets give pytest, each time that they run it."""
    alone = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    words = ["make", "--dry-run", *targets]
    told = subprocess.run(words, cwd=ROOT, env=alone, capture_output=True, text=True, check=True).stdout
    return [shlex.split(line.partition("bin/pytest ")[2]) for line in told.splitlines() if "bin/pytest " in line]


def arguments(target: str) -> list[str]:
    """What a target that runs it once gives pytest."""
    (found,) = runs(target)
    return found


@pytest.mark.parametrize(("rest", "part"), [("units-alone", "units-waiting"), ("faults-kills", "faults-damage")])
def test_two_lanes_together_take_every_test_once(rest: str, part: str) -> None:
    left = [word.removeprefix("--ignore=") for word in arguments(rest)]
    assert left == arguments(part), "the same marks and options, then the same paths: left out there, taken here"
    paths = [word for word in left if word.startswith("tests/")]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [word for word in arguments(rest) if word.startswith("tests/")] == [], "all else is taken, whatever it is called"


def test_every_lane_is_run_once() -> None:
    lanes = ("contracts", "units-alone", "flow", "units-waiting", "faults-damage", "faults-kills")
    assert sorted(runs("test", "test-faults")) == sorted(arguments(lane) for lane in lanes)


def test_no_flow_test_lies_where_make_flow_does_not_look() -> None:
    """However it gets the mark, its file has the word."""
    folders = [word for word in arguments("flow") if word.startswith("tests/")]
    marked = [path for path in (ROOT / "tests").rglob("test_*.py") if re.search(r"mark\.flow|\"flow\"", path.read_text("utf-8"))]
    own = [Path(__file__), *(path for path in marked if str(path.relative_to(ROOT)).startswith(tuple(folders)))]
    assert sorted({*marked} - {*own}) == []
    assert len(own) > 15
