"""Sign and encrypt captures, and append them durably from one thread.

A broker that stands still keeps its caller waiting for half a minute. On the loop every page under
way would wait as well, run into its own limit, and look as if the sites, or our way out, had
failed.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from ullage.bus import Outgoing, Publisher
from ullage.records import CAPTURE_SCHEMA, Capture
from ullage.security.capture_seal import CaptureSealer
from ullage.security.sealing import Sealer
from ullage.security.signing import Signer

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


BATCH = 100


def new_id() -> str:
    """A capture's id: random, since it stands in clear beside the seal."""
    return secrets.token_hex(16)


class CaptureOutbox:
    """Appends captures to their topic.

    In clear beside the seal stand a capture's id and site: a configured name or `other`.
    """

    def __init__(
        self,
        publisher: Publisher,
        sealer: Sealer,
        signer: Signer,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._publisher, self._sealer = publisher, CaptureSealer(sealer, signer, wall)

    def append(self, captures: Sequence[Capture]) -> None:
        """Durable on return.

        Raises UnavailableError while the bus is down, RecordError for a capture beyond the size
        limit.
        """
        self.put(self.seal(captures))

    def seal(self, captures: Sequence[Capture]) -> list[Outgoing]:
        """What `put` takes; RecordError as of `append`."""
        return [self._seal(capture) for capture in captures]

    def put(self, records: Sequence[Outgoing]) -> None:
        """Append what is sealed."""
        for first in range(0, len(records), BATCH):
            self._publisher.append(records[first : first + BATCH])

    def _seal(self, capture: Capture) -> Outgoing:
        sealed = self._sealer.seal(capture.encode())
        headers = {
            "site": capture.site,
            "id": capture.id,
            "schema": str(CAPTURE_SCHEMA),
            "key_id": self._sealer.key_id,
        }
        return Outgoing(capture.id, sealed, headers)
