"""What every test beside a real server leaves behind is gone before the next."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def collect_sockets() -> Iterator[None]:
    """Free sockets that kafka-python leaves to the collector when they are refused, before
    another test is blamed for them.
    """
    yield
    gc.collect()
