"""Where calls to the bus are made: in one thread of their own, one after the other.

A broker that stands still keeps its caller waiting for half a minute. On the loop every page under way would wait as well, run
into its own limit, and look as if the sites, or our way out, had failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

T = TypeVar("T")


class OnBus(Protocol):
    """Does an act on the bus and returns what it returns, while the loop goes on."""

    async def __call__(self, act: Callable[[], T]) -> T:
        """See the class."""


class BusThread:
    """The one thread that talks to the bus, so that no client of it is used by two."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "bus")

    async def __call__(self, act: Callable[[], T]) -> T:
        """See `OnBus`."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, act)

    def close(self) -> None:
        """Wait for the act under way; what waits behind it is not done."""
        self._thread.shutdown(wait=True, cancel_futures=True)
