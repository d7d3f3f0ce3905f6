"""R13 in full length: every file of the data folder at two hundred places each, and what `ullage
check` then says of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.checks import Checks
from tests.state.test_damage import MORE, NAMES, DamagedCopies, cuts, flips, whole
from ullage.errors import Exit

pytestmark = pytest.mark.faults
TIMES, COMMANDS = 200, 2
CARRIED = {"ULLAGE_BUS__CAPTURES": "spool:///spool"}
"""A spool is looked at only by whoever reads from it."""
__all__ = ["whole"]


@pytest.mark.parametrize("name", [*NAMES, *MORE])
def test_damage_at_two_hundred_places_of_each_file_is_handled(whole: Path, name: str) -> None:
    damaged = DamagedCopies(whole, name)
    damages = {
        content: what
        for kind in (flips, cuts)
        for what, content in kind(damaged.name, damaged.content, TIMES)
    }
    for content, what in damages.items():  # each once: a key of 32 bytes has fewer places than that
        damaged.judge(content, what)


@dataclass(frozen=True)
class CheckReport:
    """What `check` says of the whole folder: of its sites and channel nothing is there any more."""

    checks: Checks
    expected_faults: set[str]


@pytest.fixture(scope="module")
def sound(whole: Path) -> Iterator[CheckReport]:
    data = whole.parent / "sound"
    # check opens databases, and the tests want them as a killed process left them
    shutil.copytree(whole, data)
    with Checks() as checks:
        yield CheckReport(
            checks,
            faults_in(checks.check(data).stdout) | faults_in(checks.check(data, **CARRIED).stdout),
        )


def faults_in(said: str) -> set[str]:
    """Return the lines of `check` that report a fault."""
    return {line for line in said.splitlines() if line.startswith("FAULT")}


@pytest.mark.parametrize("name", [*NAMES, *MORE])
def test_check_finds_all_damage_that_a_reader_rejects(
    whole: Path, sound: CheckReport, name: str, tmp_path: Path
) -> None:
    damaged = DamagedCopies(whole, name)
    for kind in (flips, cuts):
        for what, content in kind(damaged.name, damaged.content, COMMANDS):
            dealt = damaged.judge(content, what)
            data = tmp_path / "data"
            shutil.copytree(whole, data)
            (data / damaged.name).write_bytes(content)
            process = sound.checks.check(data, **(CARRIED if name.startswith("spool/") else {}))
            shutil.rmtree(data)
            assert "Traceback" not in process.stderr, (what, process.stderr)
            assert "internal error" not in process.stderr, (what, process.stderr)
            if dealt in ("refused", "said"):
                assert (
                    process.returncode == Exit.USAGE
                    or faults_in(process.stdout) - sound.expected_faults
                ), (
                    damaged.name,
                    what,
                    process.stdout,
                )
