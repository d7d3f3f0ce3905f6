"""What is worked out once and kept for some minutes: who waits for it, and who does not."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from alerts.rules.kept import SECONDS, AsOf, Kept
from tests.conftest import HeldClock

STUCK_SECONDS = 60.0
"""Whoever has not answered by then waits for somebody who does not come."""


@dataclass
class Slow:
    """Works something out in as long as it takes until it `may_end`."""

    value: str = "slow"
    times: int = 0
    began: threading.Event = field(default_factory=threading.Event)
    may_end: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> str:
        self.times += 1
        self.began.set()
        assert self.may_end.wait(STUCK_SECONDS)
        return self.value


@pytest.fixture
def kept(clock: HeldClock) -> Kept[str]:
    return Kept(clock.as_clock())


@pytest.fixture
def slow(kept: Kept[str], store, ask) -> Iterator[Slow]:
    """Is being worked out, as the answer to `slow`."""
    work = Slow()
    first = ask("slow", work)
    assert work.began.wait(STUCK_SECONDS)
    yield work
    work.may_end.set()
    assert first.result(STUCK_SECONDS).value == "slow"


@pytest.fixture
def ask(kept: Kept[str], store) -> Iterator[Callable[[str, Callable[[], str]], Future[AsOf[str]]]]:
    """Asks on another thread."""
    with ThreadPoolExecutor(4) as pool:
        yield lambda asked, make: pool.submit(kept.read, store, asked, make)


def never() -> str:
    pytest.fail("it is known already")


@pytest.fixture
def known(kept: Kept[str], store) -> str:
    return kept.read(store, "known", lambda: "known").value


def test_what_is_kept_is_told_while_something_else_is_worked_out(known, slow, ask):
    assert ask("known", never).result(STUCK_SECONDS).value == known
    assert not slow.may_end.is_set()


def test_who_asks_for_what_is_being_worked_out_gets_that(slow, ask):
    others = [ask("slow", never) for _ in range(3)]
    slow.may_end.set()
    assert {one.result(STUCK_SECONDS).value for one in others} == {"slow"}
    assert slow.times == 1


def test_one_thing_is_worked_out_at_a_time(slow, ask):
    other = ask("other", lambda: f"{slow.may_end.is_set()}")
    slow.may_end.set()
    assert other.result(STUCK_SECONDS).value == "True"


def test_who_waits_for_work_that_fails_does_it_anew(kept, store, ask):
    began, may_fail = threading.Event(), threading.Event()

    def fails() -> str:
        began.set()
        assert may_fail.wait(STUCK_SECONDS)
        raise OSError

    first = ask("asked", fails)
    assert began.wait(STUCK_SECONDS)
    second = ask("asked", lambda: "made")
    may_fail.set()
    with pytest.raises(OSError):
        first.result(STUCK_SECONDS)
    assert second.result(STUCK_SECONDS).value == "made"


def test_after_its_time_it_is_worked_out_again_and_what_is_over_is_dropped(kept, store, clock, known):
    clock.advance(SECONDS - 1)
    assert kept.read(store, "known", never).value == known
    clock.advance(1)
    assert kept.read(store, "other", lambda: "other").value == "other"
    assert len(kept._known) == 1
    assert kept.read(store, "known", lambda: "anew") == AsOf("anew", clock.as_clock().now(), clock.seconds + SECONDS)
