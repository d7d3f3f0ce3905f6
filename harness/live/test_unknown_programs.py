"""`sites try` alone on real programs: what it writes reads every post."""

import os
import subprocess
from pathlib import Path

import pytest

from deploy.local.programs import ensure_environment
from harness.live.test_trial import GIVEN
from harness.reach.live import DEMO
from harness.reach.shapes import said
from harness.servers.unknown import PROGRAMS, REQUIREMENTS, UnknownProgram, threads
from tests.crawlers.conftest import Station
from ullage.errors import UnavailableError

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]
AT_ONCE = "allow_private = true\ndelay_seconds = 0\nconcurrency = 4"


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_file_written_by_try_reads_every_post_of_unknown_software(
    data: Path, tmp_path: Path, program: UnknownProgram
) -> None:
    station = Station(data)
    written = threads(replies=program.replies)
    try:
        binaries = ensure_environment(DEMO / "unknown-venv", REQUIREMENTS)
        with program.running(binaries, tmp_path / "program", written) as url:
            result = subprocess.run(
                station.words("sites", "try", url, "--name", "tried", *GIVEN),
                capture_output=True,
                text=True,
                check=False,
            )
            file = station.data / "sites.d" / "tried.toml"
            assert result.returncode == 0, result.stdout + result.stderr
            file.write_text(file.read_text().replace("allow_private = true", AT_ONCE))
            station.run("crawl", "tried", "--once")
    except UnavailableError as error:
        pytest.fail(str(error), pytrace=False) if os.environ.get("CI") else pytest.skip(str(error))
    captured = " ".join(map(said, station.captures()))
    assert [text for _, posts in written for text in posts if text not in captured] == []
