"""Virtual time, and who does something in it: tasks take turns, and time passes only while all of
them wait.

A task is a greenlet, so that the product's own loops, which wait by `Event.wait` or in an event
loop, run as they are. Of several that may go on the seed chooses; nothing else does, and so a seed
gives the same night each time.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import selectors
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

EPSILON = 1e-6
MOST_TURNS = 20_000
"""In one moment; who takes more turns does not let time pass."""
Ready = Callable[[], bool]


class ProcessDeath(SystemExit):
    """A task's process is dead. No `except Exception` holds it, and asyncio lets it through."""


@dataclass(eq=False, slots=True)
class Task:
    """Something that waits until `wake` (seconds of virtual time, for ever where it is infinite)
    or until it is `ready`.
    """

    name: str
    owner: Any
    run: greenlet
    wake: float = 0.0
    ready: Ready | None = None
    killed: bool = False

    def may_go_on(self, now: float) -> bool:
        """Return whether its wait is over."""
        return self.killed or self.wake <= now or (self.ready is not None and self.ready())


class Timeline:
    """See the module. `now` is in seconds since the beginning of the night."""

    def __init__(self, rng: random.Random) -> None:
        self.now = 0.0
        self._rng, self._hub, self._number = rng, getcurrent(), 0
        self._tasks: list[Task] = []
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._current: Task | None = None

    @property
    def current(self) -> Task | None:
        """The task whose turn it is; None outside."""
        return (
            self._current
            if self._current is not None and getcurrent() is self._current.run
            else None
        )

    def at(self, when: float, act: Callable[[], object]) -> None:
        """Do something at that time, between two turns."""
        self._number += 1
        heapq.heappush(self._events, (when, self._number, act))

    def spawn(
        self,
        name: str,
        act: Callable[[], object],
        owner: Any = None,
        then: Callable[[], object] = lambda: None,
    ) -> Task:
        """Start a task that runs `act` from now on, and `then` even if it is killed before.

        An exception that it raises is its own affair.
        """
        task: Task = Task(
            name, owner, greenlet(lambda: self._body(task, act, then), self._hub), self.now
        )
        self._tasks.append(task)
        return task

    def alive(self, task: Task) -> bool:
        """Return whether the task has not ended."""
        return task in self._tasks

    def wait(self, seconds: float | None, ready: Ready | None = None) -> None:
        """Let other tasks go on until so much time has passed (None: for ever), or it is `ready`.

        A task calls it.
        """
        task = self.current
        assert task is not None, "nobody waits outside a task"
        if task.killed:
            raise ProcessDeath
        task.wake = float("inf") if seconds is None else self.now + max(0.0, seconds)
        task.ready = ready
        running = asyncio._get_running_loop()
        asyncio._set_running_loop(None)  # others may have a loop of their own
        self._hub.switch()
        asyncio._set_running_loop(running)
        if task.killed:
            raise ProcessDeath

    def kill(self, owner: Any) -> None:
        """End all tasks of `owner`: where each of them waits, it finds itself dead."""
        for task in self._tasks:
            if task.owner is owner:
                task.killed = True

    def run(self, until: float) -> None:
        """Let time pass until then."""
        turns = 0
        while True:
            self._due()
            able = [task for task in self._tasks if task.may_go_on(self.now)]
            if able:
                turns += 1
                if turns > MOST_TURNS:
                    raise RuntimeError(
                        f"time stands still: {', '.join(task.name for task in able)}"
                    )
                self._turn(able[0] if len(able) == 1 else self._rng.choice(able))
                continue
            following = min(
                [task.wake for task in self._tasks] + [event[0] for event in self._events[:1]],
                default=float("inf"),
            )
            if following > until:
                self.now = max(self.now, until)
                return
            self.now, turns = max(self.now, following), 0

    def end(self) -> None:
        """Let nothing go on."""
        for task in self._tasks:
            task.killed = True
        while self._tasks:
            self._turn(self._tasks[0])

    def _due(self) -> None:
        while self._events and self._events[0][0] <= self.now:
            heapq.heappop(self._events)[2]()

    def _turn(self, task: Task) -> None:
        self._current = task
        task.run.switch()
        self._current = None
        if task.run.dead:
            self._tasks.remove(task)

    @staticmethod
    def _body(task: Task, act: Callable[[], object], then: Callable[[], object]) -> None:
        try:
            if not task.killed:
                act()
        except (ProcessDeath, GreenletExit):
            pass
        finally:
            then()


class _Selector(selectors.DefaultSelector):
    """Where it would wait for a socket, `wait` is asked to."""

    def __init__(self, wait: Callable[[float | None], None]) -> None:
        super().__init__()
        self._wait = wait

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout == 0 or (events := super().select(0)):
            return super().select(0) if timeout == 0 else events
        self._wait(timeout)
        return []


class Loop(asyncio.SelectorEventLoop):
    """An event loop in virtual time: where it would wait for a socket, others have their turn."""

    def __init__(self, timeline: Timeline) -> None:
        super().__init__(_Selector(self._wait))
        self._timeline, self._past = timeline, 0.0
        self._clock_resolution = EPSILON
        self.dead = False
        self.set_exception_handler(lambda *_: None)  # a task that was killed is retrieved by nobody

    def time(self) -> float:
        """Virtual seconds; a dead process's loop runs out without anybody else's time passing."""
        return self._timeline.now + self._past

    def _wait(self, timeout: float | None) -> None:
        if self.dead:
            self._past += timeout or 0.0
        else:
            self._timeline.wait(timeout)

    def bury(self) -> None:
        """Run out what a dead process has left: every task ends where it waits."""
        self.dead = True
        for _ in range(100):
            unfinished = asyncio.all_tasks(self)
            if not unfinished:
                break
            for task in unfinished:
                task.cancel()
            try:
                self.run_until_complete(asyncio.gather(*unfinished, return_exceptions=True))
            except (ProcessDeath, RuntimeError):  # one that dies once more stops the loop
                continue
        self.close()


@dataclass(slots=True)
class VirtualClock:
    """What the product takes for time: wall time may jump, the other never does."""

    timeline: Timeline
    began: float
    skew: float = field(default=0.0)

    def wall(self) -> float:
        """Unix seconds."""
        return self.began + self.timeline.now + self.skew

    def monotonic(self) -> float:
        """Seconds, as of a machine that has run for long."""
        return 1e6 + self.timeline.now
