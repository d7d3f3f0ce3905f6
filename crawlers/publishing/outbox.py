"""Sign and encrypt captures, and append them durably from one thread.

A `CaptureOutbox` is the only way from crawl to the bus: it seals each capture for match and appends
it; `append` returns when the captures are durable. A broker that does not answer blocks its caller
for half a minute; on the event loop every page under way would wait too, exceed its own limit, and
look as if the sites, or the egress, had failed. So a `BusThread` makes the calls. A bus that is
down raises UnavailableError, a capture that is too large RecordError.
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
    """Runs a call to the bus and returns its result, while the event loop continues."""

    async def __call__(self, act: Callable[[], T]) -> T:
        """Run `act` and return its result."""


class BusThread:
    """The only thread that uses the bus, so that no client is used by two threads."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "bus")

    async def __call__(self, act: Callable[[], T]) -> T:
        """Run `act` in the thread and return its result."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, act)

    def close(self) -> None:
        """Wait for the call under way, and cancel the calls behind it."""
        self._thread.shutdown(wait=True, cancel_futures=True)


BATCH = 100


def new_id() -> str:
    """Return a random id for a capture; it is visible beside the encrypted part."""
    return secrets.token_hex(16)


class CaptureOutbox:
    """Appends captures to their topic.

    A capture's id and site (a configured name or `other`) are in clear beside the encrypted part.
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
        """Append captures; they are durable on return.

        Raises UnavailableError while the bus is down, RecordError for a capture beyond the
        size limit.
        """
        self.put(self.seal(captures))

    def seal(self, captures: Sequence[Capture]) -> list[Outgoing]:
        """Sign and encrypt captures for `put`; raises RecordError as `append` does."""
        return [self._seal(capture) for capture in captures]

    def put(self, records: Sequence[Outgoing]) -> None:
        """Append records that `seal` returned; durable on return."""
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
