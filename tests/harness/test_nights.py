"""A sample of nights: they hold, a seed gives the same night each time, and planted bugs are found.

`make test` runs one of them; the others, which take a minute of a processor each, are `make
test-full`'s.

Each runs in a process of its own, as `make simulate` does: a night changes time, chance and the
disk for all of its process.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.simulate.__main__ import main

# some seconds a night, and minutes on a machine that is busy
pytestmark = pytest.mark.timeout(1800)
ROOT = Path(__file__).parents[2]


def simulate(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness.simulate", *words]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )


def trace(out: str) -> list[str]:
    """Return what a run prints, without how long it took."""
    return [line for line in out.splitlines() if " a minute; " not in line]


@pytest.mark.full
def test_simulation_holds_and_a_seed_gives_the_same_night() -> None:
    first, again = simulate("17"), simulate("17")
    assert first.returncode == 0, first.stdout[-4000:] + first.stderr[-4000:]
    assert len(trace(first.stdout)) > 100
    assert trace(first.stdout) == trace(again.stdout)


BUGS = {
    "found at once": {
        "taken-first": "chats acknowledged what was not appended to the bus",
        "told-first": "before it was written that it does",
        "goes-back": "moved back from",
    },
    "found at the end": {
        "values-of-all": "is 2 incidents",
        "kept-after-crash": "nobody reads them",
        "numbers-not-frozen": "its numbers do not stand",
    },
    "in human decisions": {
        "erased-return": "the erased customer is named by",
        "holds-ignored": "which is on hold",
        "frozen-takes-more": "takes a post after retention took exposures of it",
        "coverage-overwritten": "slots that it had",
    },
    "in key handling": {"keys-go-early": "key_destroyed"},
}
"""The words that tell of each: one night finds all of a kind."""


QUICKEST = "found at the end"


@pytest.mark.parametrize(
    "when",
    [pytest.param(when, marks=[pytest.mark.full] if when != QUICKEST else []) for when in BUGS],
)
def test_planted_bugs_are_found(when: str) -> None:
    result = simulate("1", "--bug", ",".join(BUGS[when]))
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    outcome = next(line for line in result.stdout.splitlines() if line.startswith("seed 1: "))
    assert [words for words in BUGS[when].values() if words not in outcome] == []


def test_unknown_bug_is_a_one_line_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["1", "--bug", "none-such"])
    assert ended.value.code == 2
    assert "there is no bug 'none-such'" in capsys.readouterr().err.splitlines()[-1]
