"""Questions of those who wait at the same time are answered together, and each has its own
answer or error.
"""

import asyncio
import threading

import pytest

from alerts.web.dependencies import Turns
from ullage import audit
from ullage.audit.trail import PendingEntry
from ullage.errors import ConfigError, CorruptError, UnavailableError


class SlowHandler:
    """Gives the letters of each question in capitals.

    Its first turn waits until it is let go; it notes what came at once.
    """

    def __init__(self, error: Exception | None = None):
        self.error, self.turns = error, []
        self.began, self.go = threading.Event(), threading.Event()

    def __call__(self, questions):
        self.turns.append(questions)
        self.began.set()
        assert self.go.wait(60)
        if self.error and len(self.turns) == 2:
            raise self.error
        return [
            ConfigError("none of ours") if question == "odd" else question.upper()
            for question in questions
        ]


def submit_while_busy(
    slow: SlowHandler, *questions: str | tuple[str, int], most: int = 1_000
) -> list:
    """Submit one request, queue the rest while it runs, and return all results."""

    async def all_of_them():
        turns = Turns(slow, most)
        tasks = [asyncio.create_task(_ask(turns, questions[0]))]
        assert await asyncio.to_thread(slow.began.wait, 60)
        tasks += [asyncio.create_task(_ask(turns, question)) for question in questions[1:]]
        await asyncio.sleep(0)  # each of them runs until it waits
        slow.go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(all_of_them())


async def _ask(turns: Turns, question):
    return await (turns.ask(*question) if isinstance(question, tuple) else turns.ask(question))


def test_requests_during_a_batch_form_the_next_batch() -> None:
    slow = SlowHandler()
    assert submit_while_busy(slow, "a", "b", "c", "d") == ["A", "B", "C", "D"]
    assert slow.turns == [["a"], ["b", "c", "d"]]


def test_error_is_returned_only_to_its_own_request() -> None:
    first, second, odd = submit_while_busy(SlowHandler(), "a", "b", "odd")
    assert (first, second, type(odd)) == ("A", "B", ConfigError)


@pytest.mark.parametrize("error", [CorruptError("damaged"), UnavailableError("down")])
def test_batch_error_reaches_each_of_its_requests_and_not_the_next_batch(error) -> None:
    slow = SlowHandler(error)
    answers = submit_while_busy(slow, "a", ("b", 1), ("c", 1), ("d", 1), most=2)
    assert answers == ["A", error, error, "D"]


def test_internal_fault_leaves_no_request_waiting() -> None:
    first, *results = submit_while_busy(SlowHandler(ValueError("a fault")), "a", "b", "c")
    assert first == "A"
    assert [type(result) for result in results] == [ValueError, UnavailableError]


def test_batch_has_a_maximum_weight_and_a_heavier_request_goes_alone() -> None:
    slow = SlowHandler()
    submit_while_busy(slow, "a", ("b", 600), ("c", 400), ("d", 1), ("e", 2_000), ("f", 1))
    assert slow.turns == [["a"], ["b", "c"], ["d"], ["e"], ["f"]]


def test_cancelled_request_delays_nobody() -> None:
    slow = SlowHandler()

    async def cancel_two():
        turns = Turns(slow, 1_000)
        first = asyncio.create_task(turns.ask("a"))
        assert await asyncio.to_thread(slow.began.wait, 60)
        second, third = asyncio.create_task(turns.ask("b")), asyncio.create_task(turns.ask("c"))
        await asyncio.sleep(0)
        first.cancel()
        second.cancel()
        slow.go.set()
        return await asyncio.gather(first, second, third, return_exceptions=True)

    first, second, third = asyncio.run(cancel_two())
    assert isinstance(first, asyncio.CancelledError)
    assert isinstance(second, asyncio.CancelledError)
    assert third == "C"
    assert slow.turns == [["a"], ["b", "c"]]


def test_entries_appended_together_form_the_same_chain_as_one_by_one(context) -> None:
    trail = context.trail()
    trail.append("a", "first", actor="Li")
    appended = trail.append_all([PendingEntry("b", f"number {n}", "Li") for n in range(5)])
    trail.append("c", "last", actor="Li")
    entries = [entry for _, entry in audit.read_entries(context.data / "audit")]
    assert [link.previous for link in entries[1:]] == [link.digest for link in entries[:-1]]
    assert entries[1:6] == appended
