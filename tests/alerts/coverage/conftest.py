"""Alert as far as heartbeats go, for each test."""

import pytest

from tests.alerts.coverage.heartbeats import Alert
from tests.conftest import HeldClock


@pytest.fixture
def alert(store, clock: HeldClock) -> Alert:
    return Alert(store, clock)
