"""A second `ullage run` on a data folder that one works on: it ends by itself and says who holds
what; the first goes on.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from deploy.demo.drive import configuration
from tests.flow.daemon import Daemon, until
from ullage.errors import Exit
from ullage.runtime.supervisor import command

pytestmark = pytest.mark.flow


def test_second_run_ends_and_names_the_running_process(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "ullage.toml").write_text(configuration("bank"), encoding="utf-8")
    with Daemon(data, tmp_path / "run.log") as daemon:
        daemon.ask("init")
        daemon.start()
        until(
            lambda: daemon.log.read_bytes().count(b'"started"') >= 3,
            "the roles of the first are at work",
        )
        first = set(daemon.roles())
        second = subprocess.run(
            command(data, "run"),
            env=os.environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert second.returncode == Exit.USAGE, second.stderr[-2000:]
        match = re.search(r"ullage: .* by another process \((\d+)\): stop it first", second.stderr)
        assert match, second.stderr[-2000:]
        assert int(match[1]) == daemon.process.pid, (
            "the supervisor that holds the folder, not one of its services"
        )
        assert "Traceback" not in second.stderr
        assert set(daemon.roles()) >= first
        assert daemon.stop() == 0
