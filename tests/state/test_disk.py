"""R11, R12: the frontier and the store on a disk that is full or fails.

A step is refused whole, and goes through afterwards.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.flow.test_disk import CONTROL, SYNCS, WRITES, FailingDisk

ROOT = Path(__file__).parents[2]
FILES = {"frontier": "frontier.sqlite", "store": "incidents.sqlite"}
FAULTS = {
    "full": (WRITES, errno.ENOSPC),
    "writes fail": (WRITES, errno.EIO),
    "syncs fail": (SYNCS, errno.EIO),
}
NOT_WAITED_FOR = {"list", "read"}
"""A page that is finished is not waited for until the disk has it
(`crawlers.frontier.database`): no sync, none that fails.
"""
WAITS = {"read and waiting"}
"""A page that waits is written with the next step, which the disk refuses in its place."""


def run(part: str, data: Path, fault: bytes, environment: dict[str, str]) -> Any:
    words = [sys.executable, "-m", "tests.state.failing", part, str(data), fault.hex()]
    result = subprocess.run(
        words,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what is read at the end on a disk that works, by part."""
    return {part: run(part, tmp_path_factory.mktemp(part), b"", {})["found"] for part in FILES}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("part", FILES)
def test_step_rejected_by_the_disk_is_undone_and_passes_afterwards(
    whole: dict[str, str], part: str, fault: str, tmp_path: Path
) -> None:
    what, number = FAULTS[fault]
    with closing(FailingDisk(tmp_path, what, number)) as disk:
        outcome = run(
            part, disk.folder / "data", CONTROL.pack(what, number, 0, 0), disk.environment
        )
    not_met = {step for step, message in outcome["messages"].items() if message == "done"}
    expected = WAITS if part == "frontier" else set()
    assert not_met == expected | (NOT_WAITED_FOR if expected and fault == "syncs fail" else set())
    for step, message in outcome["messages"].items():
        assert step in not_met or FILES[part] in message, (step, message)
        assert "\n" not in message
    assert outcome["found"] == whole[part]
