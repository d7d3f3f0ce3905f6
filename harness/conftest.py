"""The fixtures that every test has, for the live tests of this folder: no network but loopback,
a held clock, a data folder.
"""

from tests.conftest import (
    clock,
    context,
    data,
    fresh_data,
    no_log_left_behind,
    no_network,
    own_cache,
    umask_as_before,
)
from tests.running.limits import (
    pytest_fixture_setup,  # noqa: F401
    pytest_runtest_makereport,  # noqa: F401
    pytest_timeout_set_timer,  # noqa: F401
)
from tests.running.work_queue import pytest_addoption  # noqa: F401

__all__ = [
    "clock",
    "context",
    "data",
    "fresh_data",
    "no_log_left_behind",
    "no_network",
    "own_cache",
    "umask_as_before",
]
