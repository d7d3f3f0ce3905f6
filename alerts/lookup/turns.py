"""Questions of those who wait at the same time, answered in one turn.

A turn asks the store and writes to the audit log, and takes a few milliseconds for one question, hardly more for ten. Whoever
comes during a turn waits for its end and is answered in the next with all that came meanwhile (group commit).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

from ullage.errors import UllageError, UnavailableError

Q = TypeVar("Q")
A = TypeVar("A")


@dataclass(slots=True, eq=False)
class _PendingRequest(Generic[Q, A]):
    question: Q
    size: int
    answer: A | UllageError | None = None


@dataclass(slots=True)
class Turns(Generic[Q, A]):
    """Questions of one event loop. `answer` is called in a thread, by one at a time, and gives one answer or error a question."""

    answer: Callable[[Sequence[Q]], Sequence[A | UllageError]]
    most: int
    """So much, by the sizes that are said, is answered in one turn; of one question more."""
    _waiting: deque[_PendingRequest[Q, A]] = field(default_factory=deque)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ask(self, question: Q, size: int = 1) -> A:
        """The answer, or its error raised; an error of a whole turn is that of all its questions."""
        mine = _PendingRequest[Q, A](question, size)
        self._waiting.append(mine)
        async with self._turn:
            while mine.answer is None:
                await run_in_threadpool(self._answer, self._taken())
        if isinstance(mine.answer, UllageError):
            raise mine.answer
        return mine.answer

    def _taken(self) -> list[_PendingRequest[Q, A]]:
        """The next questions in the order in which they came."""
        some = [self._waiting.popleft()]
        size = some[0].size
        while self._waiting and (size := size + self._waiting[0].size) <= self.most:
            some.append(self._waiting.popleft())
        return some

    def _answer(self, some: Sequence[_PendingRequest[Q, A]]) -> None:
        answers: Sequence[A | UllageError] = [UnavailableError("the question could not be answered")] * len(some)
        try:
            answers = self.answer([one.question for one in some])
        except UllageError as error:
            answers = [error] * len(some)
        finally:  # a fault of ours is raised to one of them, and leaves nobody waiting
            for one, answer in zip(some, answers, strict=True):
                one.answer = answer
