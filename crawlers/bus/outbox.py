"""Signs captures, seals them to match's public key and makes them durable on the bus: the only door out of this stage."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from crawlers.bus.bus_thread import OnBus
from ullage.bus import CAPTURES, Outgoing, Publisher
from ullage.errors import RecordError
from ullage.records import Capture
from ullage.security.sealing import Sealer
from ullage.security.signing import Signer

BATCH = 100
TOGETHER_BYTES, TOGETHER_SECONDS = 4 * 1024 * 1024, 0.002
"""What is appended in one go, and how long the first of it waits for more: no page is fetched as quickly."""
PURPOSE = "capture"


def new_id() -> str:
    """A capture's id: random, since it stands in clear beside the seal."""
    return secrets.token_hex(16)


class Outbox:
    """Appends to topic `captures`. In clear beside the seal stand a capture's id and site: a configured name or `other`."""

    def __init__(self, publisher: Publisher, sealer: Sealer, signer: Signer) -> None:
        self._publisher, self._sealer, self._signer = publisher, sealer, signer

    def append(self, captures: Sequence[Capture]) -> None:
        """Durable on return. Raises UnavailableError while the bus is down, RecordError for a capture beyond the size limit."""
        self.put(self.seal(captures))

    def seal(self, captures: Sequence[Capture]) -> list[Outgoing]:
        """What `put` takes; RecordError as of `append`."""
        return [self._seal(capture) for capture in captures]

    def put(self, records: Sequence[Outgoing]) -> None:
        """Append what is sealed."""
        for first in range(0, len(records), BATCH):
            self._publisher.append(records[first : first + BATCH])

    def _seal(self, capture: Capture) -> Outgoing:
        signed = self._signer.enclose(capture.encode(), PURPOSE)
        schema = capture.schema_needed
        sealed = self._sealer.seal(signed, purpose=PURPOSE, topic=CAPTURES, schema=schema)
        headers = {"site": capture.site, "id": capture.id, "schema": str(schema), "key_id": self._sealer.key_id}
        return Outgoing(capture.id, sealed, headers)


@dataclass(slots=True, eq=False)
class _Waiting:
    """A page's captures, and who waits for them to be durable."""

    outbox: Outbox
    captures: Sequence[Capture]
    done: asyncio.Future[None]


@dataclass(slots=True)
class Appends:
    """Appends in one go what pages bring that are read side by side: the disk or the broker is waited for once, not for each."""

    on_bus: OnBus
    _waiting: list[_Waiting] = field(default_factory=list)
    _turn: asyncio.Task[None] | None = None

    async def append(self, outbox: Outbox, captures: Sequence[Capture]) -> None:
        """As `Outbox.append`; what is wrong with one page's captures is no other page's error."""
        if not captures:
            return
        mine = _Waiting(outbox, captures, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        if self._turn is None or self._turn.done():
            self._turn = asyncio.ensure_future(self._drain())
        await mine.done

    async def _drain(self) -> None:
        while self._waiting:
            await asyncio.sleep(TOGETHER_SECONDS)
            group = self._take()
            error = await self._appended(group)
            if isinstance(error, RecordError) and len(group) > 1:  # find out whose it is
                for one in group:
                    _tell([one], await self._appended([one]))
            else:
                _tell(group, error)

    async def _appended(self, group: Sequence[_Waiting]) -> BaseException | None:
        """What came of it, None where all of `group` is durable; whoever waits for it decides what to do."""
        [error] = await asyncio.gather(self.on_bus(partial(_append, group)), return_exceptions=True)
        return error

    def _take(self) -> list[_Waiting]:
        """Those that wait, up to `TOGETHER_BYTES`, but one at least."""
        size, count = 0, 0
        for waiting in self._waiting:
            size += sum(len(capture.body) for capture in waiting.captures)
            if count and size > TOGETHER_BYTES:
                break
            count += 1
        group, self._waiting[:count] = self._waiting[:count], []
        return group


def _append(group: Sequence[_Waiting]) -> None:
    records = [record for one in group for record in one.outbox.seal(one.captures)]
    group[-1].outbox.put(records)


def _tell(group: Sequence[_Waiting], error: BaseException | None) -> None:
    for one in group:
        if one.done.done():  # whoever waited has gone
            continue
        if error is None:
            one.done.set_result(None)
        elif isinstance(error, asyncio.CancelledError):
            one.done.cancel()
        else:
            one.done.set_exception(error)
