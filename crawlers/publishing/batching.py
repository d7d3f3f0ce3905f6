"""Appends in one go what comes side by side, so that the disk or the broker is waited for once and
not for each.

`Appends` tells each of its own error and leaves what to do to whoever appends: a visit puts its
page off. `PatientAppends` is for those that have to get rid of what they have: it waits while the
bus is down, and says when match is too far behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from prometheus_client import Counter

from crawlers.publishing.backlog import LOOK_SECONDS, READER
from crawlers.publishing.outbox import BusThread, CaptureOutbox, OnBus
from ullage import log
from ullage.bus import CAPTURES, Bus, lag_of
from ullage.clock import Backoff, Clock
from ullage.errors import RecordError, UnavailableError
from ullage.monitoring.metrics import BUS, LoopMetrics
from ullage.records import Capture

TOGETHER_BYTES, TOGETHER_SECONDS = 4 * 1024 * 1024, 0.002
"""What is appended in one go, and how long the first of it waits for more: no page is fetched as
quickly.
"""
TURN_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class _PendingAppend:
    """What one has to append, and its wait until that is durable."""

    outbox: CaptureOutbox
    captures: Sequence[Capture]
    done: asyncio.Future[None]


@dataclass(slots=True)
class Appends:
    """See the module. One loop uses it."""

    on_bus: OnBus
    _waiting: list[_PendingAppend] = field(default_factory=list)
    _turn: asyncio.Task[None] | None = None

    async def append(self, outbox: CaptureOutbox, captures: Sequence[Capture]) -> None:
        """As `CaptureOutbox.append`; what is wrong with one's captures is no other's error.

        Who stops waiting takes back what waits.
        """
        if not captures:
            return
        mine = _PendingAppend(outbox, captures, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        if self._turn is None or self._turn.done():
            self._turn = asyncio.ensure_future(self._drain())
        try:
            await mine.done
        finally:
            if mine in self._waiting:
                self._waiting.remove(mine)

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

    async def _appended(self, group: Sequence[_PendingAppend]) -> BaseException | None:
        """What came of it, None where all of `group` is durable; whoever waits for it decides
        what to do.
        """
        if not group:
            return None
        [error] = await asyncio.gather(self.on_bus(partial(_append, group)), return_exceptions=True)
        return error

    def _take(self) -> list[_PendingAppend]:
        """Those that wait, up to `TOGETHER_BYTES`, but one at least."""
        size, count = 0, 0
        for waiting in self._waiting:
            size += sum(len(capture.body) for capture in waiting.captures)
            if count and size > TOGETHER_BYTES:
                break
            count += 1
        group, self._waiting[:count] = self._waiting[:count], []
        return group


def _append(group: Sequence[_PendingAppend]) -> None:
    records = [record for one in group for record in one.outbox.seal(one.captures)]
    group[-1].outbox.put(records)


def _tell(group: Sequence[_PendingAppend], error: BaseException | None) -> None:
    for one in group:
        if one.done.done():  # whoever waited has gone
            continue
        if error is None:
            one.done.set_result(None)
        elif isinstance(error, asyncio.CancelledError):
            one.done.cancel()
        else:
            one.done.set_exception(error)


@dataclass(slots=True)
class PatientAppends:
    """See the module. `outbox` is made anew for each append, since seal keys turn over.

    `pause_seconds` is the lag of match beyond which nothing more should be taken in: it would
    expire unread.
    """

    bus: Bus
    outbox: Callable[[], CaptureOutbox]
    clock: Clock
    loop: LoopMetrics
    captured: Counter
    pause_seconds: float
    on_bus: BusThread = field(default_factory=BusThread)
    behind: bool = False
    """Whether match is too far behind, as it was at the last look."""
    up: bool = True
    """Whether the bus answered when it was last asked."""
    _appends: Appends = field(init=False)
    _fault: BaseException | None = None
    _broken: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._appends = Appends(self.on_bus)

    async def append(self, captures: Sequence[Capture]) -> None:
        """Durable on return, however long the bus is down.

        RecordError where it takes none of that kind.

        Any other error is a fault that a new process may not have: `run` raises it as well.
        """
        backoff = Backoff()
        while True:
            [error] = await asyncio.gather(self._appended(captures), return_exceptions=True)
            if not isinstance(error, UnavailableError):
                break
            self._reached(False)
            wait = backoff.next(error.retry_after)
            log.get("intake").warning("waiting", error=str(error), wait=round(wait, 1))
            await asyncio.sleep(wait)
        if error is None:
            self._reached(True)
            self.captured.inc(len(captures))
            return
        if not isinstance(error, RecordError | asyncio.CancelledError):
            self._fault = error
            self._broken.set()
        raise error

    async def _appended(self, captures: Sequence[Capture]) -> None:
        await self._appends.append(self.outbox(), captures)

    async def run(self) -> None:
        """Look for ever how far match is behind; ends with the fault of an append, and then this
        process should.
        """
        look_at = float("-inf")
        while self._fault is None:
            self.loop.record_turn()
            if self.clock.monotonic() >= look_at:
                await self._look()
                look_at = self.clock.monotonic() + LOOK_SECONDS
            await asyncio.wait(
                [waiting := asyncio.ensure_future(self._broken.wait())], timeout=TURN_SECONDS
            )
            waiting.cancel()
        raise self._fault

    async def _look(self) -> None:
        try:
            places = await self.on_bus(partial(self.bus.places, CAPTURES, READER))
        except UnavailableError:
            self._reached(False)
            return
        self._reached(True)
        self.behind = lag_of(places.values(), self.clock.wall()).seconds > self.pause_seconds

    def _reached(self, up: bool) -> None:
        self.up = up
        self.loop.record_reachability(BUS, up)
