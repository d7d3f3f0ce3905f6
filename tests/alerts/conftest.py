"""A store, in the data folder where the commands look for it, and a log of the test's own."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from alerts.store import IncidentStore, open_store
from ullage import log


@pytest.fixture
def store(data: Path) -> Iterator[IncidentStore]:
    opened = open_store("sqlite:///incidents.sqlite", data)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def logged() -> io.StringIO:
    """What is logged; a command that an earlier test ran has left the log at a stream that is closed."""
    stream = io.StringIO()
    log.configure("debug", stream)
    return stream
