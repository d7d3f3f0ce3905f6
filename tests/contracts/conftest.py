"""The store that a contract is held over: the one of its module's `url`."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from alerts.store import IncidentStore, open_store


@pytest.fixture
def store(url: str, tmp_path: Path) -> Iterator[IncidentStore]:
    with closing(open_store(url, tmp_path)) as opened:
        yield opened
