"""Entries of those who wait at the same time are written together, and each is durable before its writer goes on."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from alerts.lookup.together import Together
from ullage import audit
from ullage.audit.trail import Noted
from ullage.errors import CorruptError, UnavailableError


class Slow:
    """A trail whose first write waits until it is let go; it notes how many came at once."""

    def __init__(self, trail, error: Exception | None = None):
        self.trail, self.error, self.sizes = trail, error, []
        self.began, self.go = threading.Event(), threading.Event()

    def append_all(self, noted):
        self.sizes.append(len(noted))
        self.began.set()
        assert self.go.wait(60)
        if self.error and len(self.sizes) > 1:
            raise self.error
        return self.trail.append_all(noted)


class Queue(list):
    """Says when somebody has come."""

    def __init__(self):
        self.came = threading.Semaphore(0)

    def append(self, one):
        super().append(one)
        self.came.release()


def written(slow: Slow, count: int) -> tuple[Together, list]:
    """The first of `count` begins to write, the others come meanwhile; what became of each."""
    together = Together(slow)
    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(together.append, Noted("exposure", "call 0", "engine"))]
        assert slow.began.wait(60)
        queue = together._waiting = Queue()
        futures += [pool.submit(together.append, Noted("exposure", f"call {n}", "engine")) for n in range(1, count)]
        for _ in range(1, count):
            assert queue.came.acquire(timeout=60)
        slow.go.set()
        return together, [future.exception() for future in futures]


def test_who_comes_while_another_writes_is_written_with_all_that_came(context) -> None:
    slow = Slow(context.trail())
    _, errors = written(slow, 8)
    assert errors == [None] * 8
    assert slow.sizes == [1, 7]
    found = [entry for _, entry in audit.entries(context.data / "audit")]
    assert sorted(one.object for one in found) == [f"call {n}" for n in range(8)]
    assert [one.seq for one in found] == list(range(1, 9))
    assert [chain.faults for chain in audit.walk_all(context.data / "audit", context.keys)] == [[]]


@pytest.mark.parametrize(("error", "raised"), [(CorruptError("damaged"), CorruptError), (OSError("disk"), UnavailableError)])
def test_what_could_not_be_written_is_an_error_of_each_that_waited(context, error, raised) -> None:
    _, errors = written(Slow(context.trail(), error), 4)
    assert errors[0] is None
    assert len([one for one in errors[1:] if isinstance(one, (raised, OSError))]) == 3
    assert [entry.object for _, entry in audit.entries(context.data / "audit")] == ["call 0"]


def test_several_in_one_write_are_a_chain_as_if_they_came_one_by_one(context) -> None:
    trail = context.trail()
    trail.append("a", "first", actor="Li")
    made = trail.append_all([Noted("b", f"number {n}", "Li") for n in range(5)])
    trail.append("c", "last", actor="Li")
    found = [entry for _, entry in audit.entries(context.data / "audit")]
    assert [one.previous for one in found[1:]] == [one.digest for one in found[:-1]]
    assert found[1:6] == made
