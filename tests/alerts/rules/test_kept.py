"""What is worked out once and kept up: who waits for it, and who does not."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from alerts.rules import kept as module
from alerts.rules.kept import SECONDS, SHARE, AsOf, Kept, unless
from tests.conftest import HeldClock
from ullage.errors import UnavailableError

STUCK_SECONDS = 60.0
"""Whoever has not answered by then waits for somebody who does not come."""


@dataclass
class Work:
    """Makes `1`, `2` and so on, or raises what is to be raised; each takes until it is let go, where `is_slow`."""

    clock: HeldClock
    is_slow: bool = False
    takes: float = 0.0
    error: Exception | None = None
    times: int = 0
    began: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    may_end: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __call__(self, _ended: threading.Event) -> int:
        self.times += 1
        self.began.release()
        if self.is_slow:
            assert self.may_end.acquire(timeout=STUCK_SECONDS)
        self.clock.advance(self.takes)
        if self.error:
            raise self.error
        return self.times

    def has_begun(self) -> None:
        """Wait for the next one."""
        assert self.began.acquire(timeout=STUCK_SECONDS)


@pytest.fixture
def work(clock: HeldClock) -> Work:
    return Work(clock)


@pytest.fixture
def kept(clock: HeldClock, work: Work) -> Kept[int]:
    return Kept(clock.as_clock(), work)


@pytest.fixture
def ask(kept: Kept[int]) -> Iterator[Callable[[], Future[AsOf[int]]]]:
    """Asks on another thread."""
    with ThreadPoolExecutor(4) as pool:
        yield lambda: pool.submit(kept.read)


def test_who_asks_for_what_is_being_made_gets_that(work, ask):
    work.is_slow = True
    first = ask()
    work.has_begun()
    others = [ask() for _ in range(3)]
    work.may_end.release()
    assert [one.result(STUCK_SECONDS).value for one in (first, *others)] == [1] * 4
    assert work.times == 1


def test_what_is_too_old_is_told_while_it_is_being_made_anew(kept, work, ask, clock):
    at = clock.as_clock().now()
    assert kept.read()[:2] == (1, at)
    clock.advance(SECONDS)
    work.began, work.is_slow = threading.Semaphore(0), True
    anew = ask()
    work.has_begun()
    assert kept.read()[:2] == (1, at), "and it says of when it is"
    work.may_end.release()
    assert anew.result(STUCK_SECONDS).value == kept.read().value == 2


def test_after_its_time_it_is_made_again(kept, clock):
    assert kept.read().value == 1
    clock.advance(SECONDS - 1)
    assert kept.read().value == 1
    clock.advance(1)
    assert kept.read() == AsOf(2, clock.as_clock().now(), clock.seconds, SECONDS)


def test_what_takes_long_is_made_less_often(kept, work, clock):
    work.takes = 60.0
    assert kept.read().seconds == pytest.approx(60 / SHARE)
    clock.advance(59 / SHARE)
    assert kept.read().value == 1
    clock.advance(1 / SHARE)
    assert kept.read().value == 2


def test_who_waits_for_work_that_fails_does_it_anew(work, ask):
    work.is_slow, work.error = True, OSError()
    first = ask()
    work.has_begun()
    second = ask()
    work.may_end.release()
    with pytest.raises(OSError):
        first.result(STUCK_SECONDS)
    work.has_begun()
    work.error = None
    work.may_end.release()
    assert second.result(STUCK_SECONDS).value == 2


def test_where_it_is_kept_up_it_is_made_before_anybody_asks(kept, work):
    with kept.kept_up():
        work.has_begun()
        assert kept.read().value == 1
    assert work.times == 1


def test_where_it_is_kept_up_it_is_made_anew_before_it_is_too_old(kept, work, clock, monkeypatch):
    """Nobody waits for it: the time in which it is still good passes, and then it is made once more without being asked for."""
    waits = []

    def passes(seconds: float) -> bool:
        waits.append(seconds)
        clock.advance(seconds)
        return len(waits) > 3

    monkeypatch.setattr(kept._ended, "wait", passes)
    with kept.kept_up():
        for _ in range(3):
            work.has_begun()
    assert waits[0] == 0
    assert all(0 < wait < SECONDS for wait in waits[1:])
    assert kept.read().value == work.times == 3


def test_a_store_that_is_down_is_asked_again_later(kept, work, monkeypatch):
    work.error = UnavailableError("down")
    waits = []

    def passes(seconds: float) -> bool:
        waits.append(seconds)
        work.error = None if len(waits) > 1 else work.error
        return len(waits) > 2

    monkeypatch.setattr(kept._ended, "wait", passes)
    with kept.kept_up():
        for _ in range(2):
            work.has_begun()
    assert waits[:2] == [0, SECONDS]
    assert kept.read().value == 2


def test_a_pass_ends_with_the_role_for_which_it_is_made(clock):
    read, began = [], threading.Event()

    def make(ended: threading.Event) -> None:
        for one in unless(ended, iter(range(10**9))):
            read.append(one)
            began.set()
            assert ended.wait(STUCK_SECONDS)

    kept = Kept(clock.as_clock(), make)
    with kept.kept_up():
        assert began.wait(STUCK_SECONDS)
    assert read == [0]


def test_a_store_that_does_not_answer_keeps_no_role_from_its_end(kept, work, monkeypatch):
    monkeypatch.setattr(module, "END_SECONDS", 0.01)
    work.is_slow = True
    with kept.kept_up():
        work.has_begun()
    work.may_end.release()
