"""Run the loop of match and alert: poll, handle, commit.

This is the only place that decides between retry, dead letter and stop.

A batch is handled as a whole. If one of its records cannot be processed, the batch is halved until
that record is alone; it becomes a sealed dead letter and the other records continue. So a handler
may be called again with records that it has processed: every output has a deterministic id. If a
dependency is down, it is retried for ever with growing, jittered waits: that is back-pressure, not
a dead letter. A record that kills the process twice, alone, is quarantined by the next process
(`ullage.runtime.in_hand`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeVar

from ullage import log
from ullage.bus import Record, Subscription
from ullage.clock import Backoff
from ullage.errors import Action, ExhaustedError, RecordError, UllageError
from ullage.files.atomic_write import OF_A_DISK, disk_errors
from ullage.files.descriptors import OUT_OF_RESOURCES
from ullage.monitoring.metrics import BUS
from ullage.runtime.dead_letters import DeadLetters
from ullage.runtime.in_hand import InHand

POLL_SECONDS = 1.0
GATHER_SECONDS = 0.05
"""Pause for the next records after a small batch: twenty cost hardly more than five."""
EMPTY_POLLS = 120
"""With `once`, empty polls in a row while records remain.

They belong to another consumer, or are lost.
"""
MANY_IN_ROW = 3
"""So many dead letters in a row are not the fault of single records."""
T = TypeVar("T")


class DeadRecord(NamedTuple):
    """A record that was processed as far as possible, and becomes a dead letter for `reason`.

    The rest of its batch is not lost.
    """

    record: Record
    reason: str


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug of our own code that ended an attempt."""

    error: Exception


def attempt(act: Callable[[], T]) -> T | Bug:
    """Return the result of `act`, or a `Bug` with the exception that `act` raised.

    UllageError and MemoryError are raised again, because they decide what happens to a record.
    Other exceptions are caught, because a bug must stop neither other records nor more important
    work.
    """
    try:
        return act()
    except (UllageError, MemoryError):
        raise
    except Exception as error:
        return Bug(error)


def run_until_answered(
    stage: str,
    act: Callable[[], object],
    stop: threading.Event,
    backoff: Backoff,
    reached: Callable[[bool], None] = lambda _answers: None,
) -> bool:
    """Call `act` until it succeeds, and return True; return False if `stop` is set during a wait.

    Only an UllageError with the action RETRY is retried, after the next wait of `backoff`, and is
    logged under `stage`; every other exception passes through. `reached` is called with False after
    each failure that is retried and with True after the success, which also resets `backoff`.
    """
    while True:
        try:
            act()
        except UllageError as error:
            if error.action is not Action.RETRY:
                raise
            reached(False)
            wait = backoff.next(getattr(error, "retry_after", None))
            log.get(stage).warning("waiting", error=str(error), wait=round(wait, 1))
            if stop.wait(wait):
                return False
        else:
            reached(True)
            backoff.reset()
            return True


def reach(
    stage: str,
    act: Callable[[], T],
    stop: threading.Event,
    once: bool,
    reached: Callable[[bool], None] = lambda _answers: None,
) -> T | None:
    """Open a dependency of a service by calling `act`, and return the result of `act`.

    While the dependency is down (an UllageError with the action RETRY), the call is repeated with
    growing waits, and `reached` is called after each try with whether it answered. None if `stop`
    is set during a wait. With `once`, `act` is called one time, its error passes through, and
    `stop` and `reached` are not used.
    """
    if once:
        return act()
    opened: list[T] = []
    return (
        opened[0]
        if run_until_answered(stage, lambda: opened.append(act()), stop, Backoff(), reached)
        else None
    )


@dataclass(slots=True)
class WorkerMetrics:
    """Callbacks of the loop.

    `handled` records, `dropped` by reason, `alive` at every turn, `reached` with a dependency
    and whether it answers.
    """

    handled: Callable[[int], None] = lambda _count: None
    dropped: Callable[[str], None] = lambda _reason: None
    alive: Callable[[], None] = lambda: None
    reached: Callable[[str, bool], None] = lambda _part, _answers: None


@dataclass(slots=True)
class Worker:
    """The loop of one consumer.

    `handle` must make its outputs durable in the dependency `sink` before it returns. It
    returns records that become dead letters, if any.
    """

    stage: str
    subscription: Subscription
    handle: Callable[[Sequence[Record]], Sequence[DeadRecord] | None]
    dead_letters: DeadLetters
    stop: threading.Event
    batch: int = 64
    backoff: Backoff = field(default_factory=Backoff)
    metrics: WorkerMetrics = field(default_factory=WorkerMetrics)
    sink: str = BUS
    in_hand: InHand | None = None
    """Records on which the process died.

    Without it, a record that kills the process is retried forever.
    """
    _dropped_in_row: int = field(default=0, init=False)
    _dropped_for: str = field(default="", init=False)

    def fault(self) -> str:
        """Describe the latest failed records in a row, now dead letters; "" if fewer than 3.

        The text gives their number and the latest reason.
        """
        if self._dropped_in_row < MANY_IN_ROW:
            return ""
        return f"the last {self._dropped_in_row} records became dead letters ({self._dropped_for})"

    def run(self, once: bool = False) -> int:
        """Process records until `stop` is set; return the number committed, dead letters included.

        With `once`, it also ends when the group has no lag, or after EMPTY_POLLS polls without a
        record. The current batch is finished first, unless it waits for a dependency that is down.
        Raises ExhaustedError if a batch runs out of memory, and errors that are not to be retried.
        """
        processed, empty, wait = 0, 0, 0.0 if once else POLL_SECONDS
        while not self.stop.is_set():
            self.metrics.alive()
            records = self._poll(wait)
            if records:
                processed, empty = processed + self._process(records), 0
                if not once and len(records) < self.batch:
                    self.stop.wait(GATHER_SECONDS)
            elif once and (empty >= EMPTY_POLLS or not self._lags()):
                break
            # a broker takes seconds to hand out partitions, a spool waits for a missing file
            elif once:
                empty, wait = empty + 1, POLL_SECONDS
        return processed

    def _lags(self) -> bool:
        lags: list[int] = []
        self._retry(lambda: lags.append(self.subscription.lag().records))
        return bool(lags and lags[0])

    def _poll(self, seconds: float) -> list[Record]:
        records: list[Record] = []
        self._retry(lambda: records.extend(self.subscription.poll(self.batch, seconds)))
        return records

    def _process(self, records: Sequence[Record]) -> int:
        """Handle `records` and return how many are done: handled or set aside.

        Each is handled alone if the process died on one of them. Fewer than all are done only if it
        was told to stop.
        """
        if self.in_hand is None or not self.in_hand.suspects(records):
            return self._handle(records)
        processed = 0
        for record in records:
            dealt = (
                self._set_aside(record, "quarantined")
                if self.in_hand.condemns(record)
                else self._handle([record])
            )
            if not dealt:
                break
            self.in_hand.forget(record)
            processed += 1
        return processed

    def _handle(self, records: Sequence[Record]) -> int:
        """Handle `records`, commit them and return how many were committed; fewer if told to stop.

        If one is bad, they are halved until it is alone, and it becomes a dead letter, which counts
        as committed. Raises ExhaustedError if memory runs out.
        """
        asides: list[DeadRecord] = []
        holding = self.in_hand.holding if self.in_hand else nullcontext

        def act() -> None:
            # A disk that is full or fails, or a process without descriptors, is no fault of the
            # record that is in hand.
            with disk_errors(only=OF_A_DISK | OUT_OF_RESOURCES), holding(records):
                asides[:] = self.handle(records) or ()

        try:
            handled = attempt(partial(self._retry, act, self.sink))
        # no fault of the code: the same record may fit when it is alone, or in a larger process
        except MemoryError:
            raise ExhaustedError(
                f"{self.stage} ran out of memory: restart it, and it tries again record by record"
            ) from None
        except RecordError as error:
            return self._isolate(records, error.reason)
        if isinstance(handled, Bug):
            log.get(self.stage).error(
                "handler_failed", error=type(handled.error).__name__, records=len(records)
            )
            return self._isolate(records, "internal")
        put = handled and all(
            self._retry(partial(self.dead_letters.put, *aside)) for aside in asides
        )
        if not put or not self._commit(records):
            return 0
        self._dropped_in_row = 0
        self.metrics.handled(len(records))
        return len(records)

    def _commit(self, records: Sequence[Record]) -> bool:
        """Commit the last of `records` in each partition; False if told to stop before."""
        last = {record.partition: record for record in records}
        return all(
            self._retry(partial(self.subscription.commit, record)) for record in last.values()
        )

    def _isolate(self, records: Sequence[Record], reason: str) -> int:
        """Split a batch that failed, and set a lone record aside; return how many are committed."""
        if len(records) > 1:
            middle = len(records) // 2
            first = self._handle(records[:middle])
            return first + self._handle(records[middle:]) if first == middle else first
        return self._set_aside(records[0], reason)

    def _set_aside(self, record: Record, reason: str) -> int:
        """Write a dead letter for a record and commit it; return 1, or 0 if told to stop before."""
        put = self._retry(lambda: self.dead_letters.put(record, reason))
        if not put or not self._retry(lambda: self.subscription.commit(record)):
            return 0
        self._dropped_in_row, self._dropped_for = self._dropped_in_row + 1, reason
        self.metrics.dropped(reason)
        log.get(self.stage).warning(
            "record_dropped", reason=reason, topic=record.topic, offset=record.offset
        )
        return 1

    def _retry(self, act: Callable[[], object], part: str = BUS) -> bool:
        return run_until_answered(
            self.stage, act, self.stop, self.backoff, partial(self.metrics.reached, part)
        )
