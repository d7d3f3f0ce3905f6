"""A store, in the data folder where the commands look for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from alerts.store import IncidentStore, open_store


@pytest.fixture
def store(data: Path) -> Iterator[IncidentStore]:
    opened = open_store("sqlite:///incidents.sqlite", data)
    yield opened
    opened.close()
