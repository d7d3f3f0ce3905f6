"""One station for all tests of this folder: it is entered once, and they run against it as it
goes on.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.programs import ensure_environment
from harness.live.station import Station, running
from harness.servers.monitoring import program
from ullage.errors import UnavailableError


@pytest.fixture(scope="session")
def monitoring() -> None:
    """Skip, saying what to install, without Prometheus and Alertmanager; in CI (`CI` is set)
    that is a failure.
    """
    try:
        for name in ("prometheus", "prometheus-alertmanager", "promtool", "amtool"):
            program(name)
    except UnavailableError as error:
        pytest.fail(str(error), pytrace=False) if os.environ.get("CI") else pytest.skip(str(error))


@pytest.fixture(scope="session")
def station(monitoring: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    programs = ensure_environment(Path(__file__).parents[2] / ".demo" / "sites-venv")
    with running(tmp_path_factory.mktemp("station"), programs) as running_station:
        yield running_station
