"""Work in a process of its own: an item that makes it raise, crash or hang costs no other item."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")
PATIENCE_SECONDS = 900.0


class IsolatedProcess(Generic[Item, Answer]):
    """A process that answers requests, started anew after each that it died of, or that took longer
    than `patience` seconds.

    `make` is called in the process, once, and returns what answers: a list of items in, one answer
    for each out.
    """

    def __init__(
        self,
        make: Callable[[], Callable[[Sequence[Item]], list[Answer]]],
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._make, self._patience = make, patience
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def answer_each(
        self, items: Sequence[Item], at_once: int
    ) -> Iterator[tuple[Item, Answer | None, str]]:
        """Yield each item with its answer, or with None and the fault: its type and place, or that
        the process died or hung.

        So many items go to the process `at_once`; where that fails, each of them goes there again
        alone.
        """
        for first in range(0, len(items), at_once):
            group = items[first : first + at_once]
            answers, fault = self.answer(group)
            if not fault:
                yield from ((item, answer, "") for item, answer in zip(group, answers, strict=True))
                continue
            for item in group:
                answers, fault = self.answer([item])
                yield item, None if fault else answers[0], fault

    def answer(self, items: Sequence[Item]) -> tuple[list[Answer], str]:
        """Return the answers to all `items` and "", or nothing and the fault."""
        fault = "the process died"
        with suppress(EOFError, ConnectionResetError, BrokenPipeError):
            self._connection.send(list(items))
            if self._connection.poll(self._patience):
                answers: list[Answer]
                answers, fault = self._connection.recv()
                if not fault:
                    return answers, ""
            else:
                fault = f"no answer in {self._patience:.0f} s"
        self._stop()
        self._start()
        return [], fault

    def _start(self) -> None:
        # a fork would copy the threads' locks, but not the threads
        context = multiprocessing.get_context("spawn")
        self._connection, child_end = context.Pipe()
        self._process = context.Process(target=_serve, args=(self._make, child_end))
        self._process.start()
        child_end.close()
        self._connection.recv()  # it is ready

    def _stop(self) -> None:
        self._connection.close()  # ends a process that waits for work
        self._process.join(5.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(
    make: Callable[[], Callable[[Sequence[Item]], list[Answer]]], connection: Connection
) -> None:
    """Answer requests until the other side closes the connection."""
    answer = make()
    connection.send("ready")
    with suppress(EOFError), _FaultReport(connection):
        while True:
            connection.send((answer(connection.recv()), ""))


class _FaultReport:
    """Sends type and place of an exception to the other side, and lets it end the process."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        """Hold nothing."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, EOFError):
            place = traceback.extract_tb(trace)[-1]
            self._connection.send(
                ([], f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}")
            )
