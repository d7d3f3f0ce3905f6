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
        return [ConfigError("none of ours") if one == "odd" else one.upper() for one in questions]


def asked(slow: SlowHandler, *questions: str | tuple[str, int], most: int = 1_000) -> list:
    """The first is being answered while the others come; what became of each."""

    async def all_of_them():
        turns = Turns(slow, most)
        tasks = [asyncio.create_task(_ask(turns, questions[0]))]
        assert await asyncio.to_thread(slow.began.wait, 60)
        tasks += [asyncio.create_task(_ask(turns, one)) for one in questions[1:]]
        await asyncio.sleep(0)  # each of them runs until it waits
        slow.go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(all_of_them())


async def _ask(turns: Turns, question):
    return await (turns.ask(*question) if isinstance(question, tuple) else turns.ask(question))


def test_who_comes_during_a_turn_is_answered_in_the_next_with_all_that_came() -> None:
    slow = SlowHandler()
    assert asked(slow, "a", "b", "c", "d") == ["A", "B", "C", "D"]
    assert slow.turns == [["a"], ["b", "c", "d"]]


def test_an_error_of_one_is_not_that_of_those_beside() -> None:
    first, second, odd = asked(SlowHandler(), "a", "b", "odd")
    assert (first, second, type(odd)) == ("A", "B", ConfigError)


@pytest.mark.parametrize("error", [CorruptError("damaged"), UnavailableError("down")])
def test_an_error_of_a_turn_is_that_of_each_in_it_and_the_next_turn_is_free(error) -> None:
    slow = SlowHandler(error)
    answers = asked(slow, "a", ("b", 1), ("c", 1), ("d", 1), most=2)
    assert answers == ["A", error, error, "D"]


def test_a_fault_of_ours_leaves_nobody_waiting() -> None:
    first, *others = asked(SlowHandler(ValueError("a fault")), "a", "b", "c")
    assert first == "A"
    assert [type(one) for one in others] == [ValueError, UnavailableError]


def test_a_turn_takes_so_much_in_order_and_a_larger_question_alone() -> None:
    slow = SlowHandler()
    asked(slow, "a", ("b", 600), ("c", 400), ("d", 1), ("e", 2_000), ("f", 1))
    assert slow.turns == [["a"], ["b", "c"], ["d"], ["e"], ["f"]]


def test_one_who_has_gone_is_answered_all_the_same_and_holds_nobody_up() -> None:
    slow = SlowHandler()

    async def gone():
        turns = Turns(slow, 1_000)
        first = asyncio.create_task(turns.ask("a"))
        assert await asyncio.to_thread(slow.began.wait, 60)
        second, third = asyncio.create_task(turns.ask("b")), asyncio.create_task(turns.ask("c"))
        await asyncio.sleep(0)
        first.cancel()
        second.cancel()
        slow.go.set()
        return await asyncio.gather(first, second, third, return_exceptions=True)

    first, second, third = asyncio.run(gone())
    assert isinstance(first, asyncio.CancelledError)
    assert isinstance(second, asyncio.CancelledError)
    assert third == "C"
    assert slow.turns == [["a"], ["b", "c"]]


def test_several_entries_in_one_write_are_a_chain_as_if_they_came_one_by_one(context) -> None:
    trail = context.trail()
    trail.append("a", "first", actor="Li")
    made = trail.append_all([PendingEntry("b", f"number {n}", "Li") for n in range(5)])
    trail.append("c", "last", actor="Li")
    found = [entry for _, entry in audit.entries(context.data / "audit")]
    assert [one.previous for one in found[1:]] == [one.digest for one in found[:-1]]
    assert found[1:6] == made
