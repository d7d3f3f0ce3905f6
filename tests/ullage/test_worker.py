"""The loop: retry what is down, put aside what is bad, keep the order, commit last."""

import errno
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from ullage.bus import Lag, Record
from ullage.clock import Backoff
from ullage.errors import ConfigError, CorruptError, ExhaustedError, RecordError, UnavailableError
from ullage.runtime.worker import (
    EMPTY_POLLS,
    GATHER_SECONDS,
    POLL_SECONDS,
    DeadRecord,
    Worker,
    WorkerMetrics,
    reach,
    run_until_answered,
)

T = TypeVar("T")


def record(offset: int, partitions: int = 1) -> Record:
    return Record("captures", offset % partitions, offset, 0.0, "k", {}, str(offset).encode())


class Stop(threading.Event):
    """Waits take no time; they are written down, and the `after`th one is interrupted by a stop."""

    def __init__(self, after: int | None = None) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.after = after

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        if self.after is not None and len(self.waits) >= self.after:
            self.set()
        return self.is_set()


@dataclass
class Feed:
    """A subscription on a list; `failures` are raised by the next calls of commit."""

    offsets: Sequence[int]
    committed: list[int] = field(default_factory=list)
    partitions: int = 1
    failures: list[Exception] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    late: int = 0
    timeouts: list[float] = field(default_factory=list)
    when_empty: Callable[[], None] = lambda: None
    at: int = 0

    def poll(self, max_records: int, timeout: float) -> list[Record]:
        self.late -= self.late > 0
        self.timeouts.append(timeout)
        got = (
            [record(o, self.partitions) for o in self.offsets[self.at : self.at + max_records]]
            if not self.late
            else []
        )
        self.at += len(got)
        if not got:
            self.when_empty()
        return got

    def commit(self, record: Record) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.committed.append(record.offset)

    def lag(self) -> Lag:
        return Lag(self.waiting.pop(0) if self.waiting else 0, 0.0)

    def close(self) -> None: ...


@dataclass
class Letters:
    put_aside: list[tuple[int, str]] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    def put(self, record: Record, reason: str) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.put_aside.append((record.offset, reason))


@dataclass
class Bench:
    """A worker with all that it touches; `bad` maps an offset to what handling it raises."""

    count: int = 10
    bad: dict[int, Exception] = field(default_factory=dict)
    batch: int = 4
    stop: Stop = field(default_factory=Stop)

    def __post_init__(self) -> None:
        self.feed, self.letters = Feed(range(self.count)), Letters()
        self.handled: list[int] = []
        self.calls: list[list[int]] = []
        self.counted: list[int] = []
        self.dropped: list[str] = []
        self.turns = 0

    def handle(self, records: Sequence[Record]) -> None:
        self.calls.append([r.offset for r in records])
        for r in records:
            if r.offset in self.bad:
                raise self.bad[r.offset]
        self.handled += [r.offset for r in records]

    def _alive(self) -> None:
        self.turns += 1

    def run(self, once: bool = True) -> int:
        metrics = WorkerMetrics(self.counted.append, self.dropped.append, self._alive)
        self.worker = Worker(
            "match",
            self.feed,
            self.handle,
            self.letters,
            self.stop,
            self.batch,
            Backoff(),
            metrics,  # type: ignore[arg-type]
        )
        return self.worker.run(once)


def failing_first(act: Callable[..., T], failures: list[Exception]) -> Callable[..., T]:
    """Return `act` so that it raises each of `failures` before it does anything."""

    def fail_first(*words: Any) -> T:
        if failures:
            raise failures.pop()
        return act(*words)

    return fail_first


def test_unavailable_bus_and_store_are_distinguished() -> None:
    bench, reports = Bench(count=2), list[tuple[str, bool]]()
    poll = failing_first(bench.feed.poll, [UnavailableError("poll")])
    bench.feed.poll = poll  # type: ignore[method-assign]
    metrics = WorkerMetrics(reached=lambda part, answers: reports.append((part, answers)))
    worker = Worker(
        "alert",
        bench.feed,
        failing_first(bench.handle, [UnavailableError("handle")] * 2),
        bench.letters,
        bench.stop,
        metrics=metrics,
        sink="store",  # type: ignore[arg-type]
    )
    assert worker.run(once=True) == 2
    assert reports[:2] == [("bus", False), ("bus", True)]
    assert reports[2:6] == [
        ("store", False),
        ("store", False),
        ("store", True),
        ("bus", True),
    ], "the commit is the bus's"


def test_batches_are_committed_after_they_are_handled() -> None:
    bench = Bench()
    assert bench.run() == 10
    assert bench.calls == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert bench.feed.committed == [3, 7, 9]
    assert (sum(bench.counted), bench.dropped) == (10, [])
    assert bench.turns == 4


def test_unavailable_part_is_retried_with_the_same_records() -> None:
    bench = Bench(count=3)
    handle = failing_first(bench.handle, [UnavailableError("store is down")] * 5)
    bench.handle = handle  # type: ignore[method-assign]
    assert bench.run() == 3
    assert bench.handled == [0, 1, 2]
    assert bench.letters.put_aside == []
    assert len(bench.stop.waits) == 5
    assert bench.stop.waits[4] > bench.stop.waits[0]


@pytest.mark.parametrize(
    "number",
    [errno.EIO, errno.ENOSPC, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN],
)
def test_disk_error_is_retried_and_makes_no_dead_letter(
    number: int,
) -> None:
    bench, failures = Bench(count=3), [OSError(number, os.strerror(number), "in-hand.note")] * 2
    bench.handle = failing_first(bench.handle, failures)  # type: ignore[method-assign]
    assert bench.run() == 3
    assert (bench.handled, bench.letters.put_aside, len(bench.stop.waits)) == ([0, 1, 2], [], 2)


def test_waits_reset_once_an_unavailable_part_has_answered() -> None:
    backoff, stop = Backoff(first=8.0, cap=500.0), Stop()
    run_until_answered(
        "match", failing_first(lambda: None, [UnavailableError("bus is down")] * 4), stop, backoff
    )
    assert max(stop.waits) > 8.0
    assert backoff.next() <= 8.0


def test_requested_wait_is_respected() -> None:
    bench = Bench(count=1)
    bench.feed.failures = [UnavailableError("slow down", retry_after=120.0)]
    bench.run()
    assert bench.stop.waits == [120.0]
    assert bench.feed.committed == [0]


def test_bad_record_becomes_a_dead_letter_and_the_others_continue() -> None:
    bench = Bench(bad={5: RecordError("malformed")})
    assert bench.run() == 10
    assert bench.letters.put_aside == [(5, "malformed")]
    assert bench.handled == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert (sum(bench.counted), bench.dropped) == (9, ["malformed"])


def test_only_dead_letters_are_a_fault_until_a_record_is_handled() -> None:
    bench = Bench(count=3, bad={n: RecordError("unknown_signer") for n in range(3)})
    bench.run()
    assert bench.worker.fault() == "the last 3 records became dead letters (unknown_signer)"
    bench = Bench(count=4, bad={n: RecordError("unknown_signer") for n in range(3)})
    bench.run()
    assert bench.worker.fault() == ""
    bench = Bench(count=3, bad={1: RecordError("malformed"), 2: RecordError("malformed")}, batch=1)
    bench.run()
    assert bench.worker.fault() == ""


def test_bug_in_the_handler_makes_a_dead_letter_and_stops_nothing() -> None:
    bench = Bench(bad={0: ZeroDivisionError("13800138000")})
    bench.run()
    assert bench.letters.put_aside == [(0, "internal")]
    assert bench.feed.committed[-1] == 9


@given(bad=st.sets(st.integers(0, 19)), batch=st.integers(1, 20))
def test_each_record_is_handled_or_dead_lettered_once_in_order(bad: set[int], batch: int) -> None:
    bench = Bench(count=20, bad={n: RecordError("malformed") for n in bad}, batch=batch)
    assert bench.run() == 20
    assert bench.handled == [n for n in range(20) if n not in bad]
    assert [offset for offset, _ in bench.letters.put_aside] == sorted(bad)
    assert bench.feed.committed == sorted(bench.feed.committed)
    assert bench.feed.committed[-1] == 19


@pytest.mark.parametrize("error", [ConfigError("key is gone"), CorruptError("store is damaged")])
def test_fatal_error_ends_the_worker_before_committing(error: Exception) -> None:
    bench = Bench(bad={5: error})
    with pytest.raises(type(error)):
        bench.run()
    assert bench.feed.committed == [3]
    assert bench.letters.put_aside == []


def test_nothing_is_committed_past_an_unwritten_dead_letter() -> None:
    bench = Bench(count=2, bad={0: RecordError("malformed")}, stop=Stop(after=3))
    bench.letters.failures = [UnavailableError("bus is down")] * 9
    assert bench.run() == 0
    assert bench.feed.committed == []
    assert bench.dropped == []


def test_stop_while_waiting_leaves_the_batch_uncommitted_and_uncounted() -> None:
    bench = Bench(bad={0: UnavailableError("store is down")}, stop=Stop(after=2))
    assert bench.run() == 0
    assert (bench.feed.committed, bench.counted) == ([], [])


def test_stop_while_the_commit_waits_does_not_count_the_batch() -> None:
    bench = Bench(stop=Stop(after=1))
    bench.feed.failures = [UnavailableError("bus is down")]
    assert bench.run() == 0
    assert bench.counted == []


def test_stop_during_a_batch_lets_it_finish_and_takes_no_other() -> None:
    bench = Bench()
    handle = bench.handle

    def stopping(records: Sequence[Record]) -> None:
        bench.stop.set()
        handle(records)

    bench.handle = stopping  # type: ignore[method-assign]
    assert bench.run(once=False) == 4
    assert bench.feed.committed == [3]


def test_worker_keeps_polling_until_stopped() -> None:
    bench = Bench(count=2)
    bench.feed.when_empty = lambda: bench.stop.set() if bench.turns > 3 else None
    assert bench.run(once=False) == 2
    assert bench.turns == 4
    assert bench.feed.timeouts == [POLL_SECONDS] * 4, "it does not ask in a circle"


def test_batch_of_several_partitions_is_committed_in_each() -> None:
    bench = Bench(count=7, batch=7)
    bench.feed.partitions = 3
    assert bench.run() == 7
    assert sorted(bench.feed.committed) == [4, 5, 6]


def test_once_waits_for_a_bus_that_returns_records_late() -> None:
    bench = Bench(count=2)
    bench.feed.late, bench.feed.waiting = 4, [2, 2, 2]
    assert bench.run(once=True) == 2


def test_once_does_not_wait_forever_for_records_of_another_consumer() -> None:
    bench = Bench(count=0)
    bench.feed.waiting = [1] * 1000
    assert bench.run(once=True) == 0
    assert bench.turns == EMPTY_POLLS + 1


def test_service_waits_for_unavailable_parts_at_start_but_once_does_not() -> None:
    failures: list[Exception] = [UnavailableError("bus is down")] * 2
    act = failing_first(lambda: "opened", failures)
    with capture_logs() as logs:
        assert reach("match", act, Stop(), once=False) == "opened"
    assert {line["role"] for line in logs} == {"match"}
    failures.append(UnavailableError("bus is down"))
    assert reach("match", act, Stop(after=1), once=False) is None
    failures.append(UnavailableError("bus is down"))
    with pytest.raises(UnavailableError):
        reach("match", act, Stop(), once=True)
    with pytest.raises(ConfigError):
        reach("match", lambda: (_ for _ in ()).throw(ConfigError("no topic")), Stop(), once=False)


@pytest.mark.parametrize(("failures", "expected"), [(0, [True]), (2, [False, False, True])])
def test_each_attempt_to_start_reports_whether_the_dependency_answers(
    failures: int, expected: list[bool]
) -> None:
    errors: list[Exception] = [UnavailableError("bus is down")] * failures
    reported = list[bool]()
    act = failing_first(lambda: "opened", errors)
    assert reach("match", act, Stop(), once=False, reached=reported.append) == "opened"
    assert reported == expected


class SuspiciousHandler:
    """Suspects every batch, and condemns records by their offset."""

    def __init__(self, condemned: set[int]) -> None:
        self.condemned, self.forgotten, self.held = condemned, list[int](), list[list[int]]()

    def suspects(self, _records: Sequence[Record]) -> bool:
        return True

    def condemns(self, record: Record) -> bool:
        return record.offset in self.condemned

    def forget(self, record: Record) -> None:
        self.forgotten.append(record.offset)

    def holding(self, records: Sequence[Record]) -> AbstractContextManager[None]:
        self.held.append([record.offset for record in records])
        return nullcontext()


def test_records_are_gathered_where_there_are_few() -> None:
    # two whole batches, and one of two that is waited behind
    bench = Bench(count=10, batch=4, stop=Stop(after=1))
    assert bench.run(once=False) == 10
    assert bench.stop.waits == [GATHER_SECONDS]


def worker_with(bench: Bench, hand: SuspiciousHandler) -> Worker:
    metrics = WorkerMetrics(bench.counted.append, bench.dropped.append)
    return Worker(
        "match",
        bench.feed,
        bench.handle,
        bench.letters,
        bench.stop,
        4,
        metrics=metrics,
        in_hand=hand,
    )  # type: ignore[arg-type]


def test_record_that_killed_a_process_is_quarantined_alone() -> None:
    bench, hand = Bench(count=6), SuspiciousHandler({1, 4})
    assert worker_with(bench, hand).run(once=True) == 6
    assert bench.calls == hand.held == [[0], [2], [3], [5]]
    assert bench.letters.put_aside == [(1, "quarantined"), (4, "quarantined")]
    assert (hand.forgotten, bench.feed.committed, bench.dropped) == (
        [*range(6)],
        [*range(6)],
        ["quarantined"] * 2,
    )


def test_unfinished_suspect_stays_one_and_blocks_later_records() -> None:
    bench, hand = (
        Bench(count=3, bad={1: UnavailableError("down")}, stop=Stop(after=2)),
        SuspiciousHandler(set()),
    )
    assert worker_with(bench, hand).run(once=True) == 1
    assert (hand.forgotten, bench.feed.committed, bench.handled) == ([0], [0], [0])


def test_partly_handled_record_is_dead_lettered_before_the_commit() -> None:
    bench = Bench(count=4)
    handle = bench.handle

    def partly(records: Sequence[Record]) -> list[DeadRecord]:
        handle(records)
        return [DeadRecord(r, "over_budget") for r in records if r.offset == 2]

    bench.handle = partly  # type: ignore[method-assign, assignment]
    bench.letters.failures = [UnavailableError("bus is down")]
    assert bench.run() == 4
    assert bench.letters.put_aside == [(2, "over_budget")]
    assert (bench.feed.committed, sum(bench.counted), bench.dropped) == ([3], 4, [])
    assert bench.calls == [[0, 1, 2, 3]], "the letter is tried again, not the batch"


def test_running_out_of_memory_ends_the_process_without_a_dead_letter() -> None:
    bench = Bench(bad={1: MemoryError()})  # type: ignore[dict-item]
    with pytest.raises(ExhaustedError, match="match ran out of memory"):
        bench.run()
    assert (bench.letters.put_aside, bench.feed.committed) == ([], [])
