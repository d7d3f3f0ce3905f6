"""Append concurrent captures together, so that they wait for the disk or the broker together.

`Appends` raises to each caller its own error and leaves the reaction to it: a visit postpones its
page. `PatientAppends` is for callers that must deliver: it waits while the bus is down, and tells
when match is too far behind.
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
"""Size of a group, and how long its first append waits for more; fetching a page takes longer."""
TURN_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class _PendingAppend:
    """The captures of one caller, and its wait until they are durable."""

    outbox: CaptureOutbox
    captures: Sequence[Capture]
    done: asyncio.Future[None]


@dataclass(slots=True)
class Appends:
    """Appends the captures of one event loop together; see the module."""

    on_bus: OnBus
    _waiting: list[_PendingAppend] = field(default_factory=list)
    _turn: asyncio.Task[None] | None = None

    async def append(self, outbox: CaptureOutbox, captures: Sequence[Capture]) -> None:
        """Append captures durably, in one group with those of other callers.

        No captures: nothing is done. Raises the error of `CaptureOutbox.append` that concerns these
        captures, not that of others. A cancelled caller withdraws captures that still wait; those
        that are being appended are not withdrawn.
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
            group = self._take_group()
            error = await self._try_append(group)
            if isinstance(error, RecordError) and len(group) > 1:  # find out whose it is
                for pending in group:
                    _resolve([pending], await self._try_append([pending]))
            else:
                _resolve(group, error)

    async def _try_append(self, group: Sequence[_PendingAppend]) -> BaseException | None:
        """Append a group; return its error, None where all of it is durable."""
        if not group:
            return None
        [error] = await asyncio.gather(
            self.on_bus(partial(_append_group, group)), return_exceptions=True
        )
        return error

    def _take_group(self) -> list[_PendingAppend]:
        """Remove and return waiting appends, oldest first.

        Together they have up to `TOGETHER_BYTES` (4 MiB) of text, but there is at least one.
        Returns [] if none waits.
        """
        size, count = 0, 0
        for waiting in self._waiting:
            size += sum(len(capture.body) for capture in waiting.captures)
            if count and size > TOGETHER_BYTES:
                break
            count += 1
        group, self._waiting[:count] = self._waiting[:count], []
        return group


def _append_group(group: Sequence[_PendingAppend]) -> None:
    records = [record for pending in group for record in pending.outbox.seal(pending.captures)]
    group[-1].outbox.put(records)


def _resolve(group: Sequence[_PendingAppend], error: BaseException | None) -> None:
    for pending in group:
        if pending.done.done():  # whoever waited has gone
            continue
        if error is None:
            pending.done.set_result(None)
        elif isinstance(error, asyncio.CancelledError):
            pending.done.cancel()
        else:
            pending.done.set_exception(error)


@dataclass(slots=True)
class PatientAppends:
    """Appends captures and waits while the bus is down; see the module.

    `outbox` creates a new outbox for each append, because seal keys rotate. `pause_seconds` is
    the lag of match beyond which nothing more should be accepted: it would expire unread.
    """

    bus: Bus
    outbox: Callable[[], CaptureOutbox]
    clock: Clock
    loop: LoopMetrics
    captured: Counter
    pause_seconds: float
    on_bus: BusThread = field(default_factory=BusThread)
    behind: bool = False
    """Whether match was too far behind at the last check."""
    up: bool = True
    """Whether the bus answered at the last call."""
    _appends: Appends = field(init=False)
    _fault: BaseException | None = None
    _broken: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._appends = Appends(self.on_bus)

    async def append(self, captures: Sequence[Capture]) -> None:
        """Append captures; they are durable on return, however long the bus is down.

        Raises RecordError where the bus refuses captures of that kind. Any further error is
        a fault that a new process may not have: `run` raises it too.
        """
        backoff = Backoff()
        while True:
            [error] = await asyncio.gather(self._append_now(captures), return_exceptions=True)
            if not isinstance(error, UnavailableError):
                break
            self._set_reachable(False)
            wait = backoff.next(error.retry_after)
            log.get("intake").warning("waiting", error=str(error), wait=round(wait, 1))
            await asyncio.sleep(wait)
        if error is None:
            self._set_reachable(True)
            self.captured.inc(len(captures))
            return
        if not isinstance(error, RecordError | asyncio.CancelledError):
            self._fault = error
            self._broken.set()
        raise error

    async def _append_now(self, captures: Sequence[Capture]) -> None:
        await self._appends.append(self.outbox(), captures)

    async def run(self) -> None:
        """Check forever how far match is behind.

        Raises the fault of an append, after which this process should end.
        """
        look_at = float("-inf")
        while self._fault is None:
            self.loop.record_turn()
            if self.clock.monotonic() >= look_at:
                await self._check_lag()
                look_at = self.clock.monotonic() + LOOK_SECONDS
            await asyncio.wait(
                [waiting := asyncio.ensure_future(self._broken.wait())], timeout=TURN_SECONDS
            )
            waiting.cancel()
        raise self._fault

    async def _check_lag(self) -> None:
        try:
            places = await self.on_bus(partial(self.bus.places, CAPTURES, READER))
        except UnavailableError:
            self._set_reachable(False)
            return
        self._set_reachable(True)
        self.behind = lag_of(places.values(), self.clock.wall()).seconds > self.pause_seconds

    def _set_reachable(self, up: bool) -> None:
        self.up = up
        self.loop.record_reachability(BUS, up)
