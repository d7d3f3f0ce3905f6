"""A process of a role, as far as the kernel goes: what it holds goes with it, and what it wrote
stays.

When it dies nothing of it goes on: whatever unwinds meanwhile can neither write, sync nor remove a
file. Then its locks are free, its databases closed without a commit, and the supervisor begins a
new one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from harness.simulate.timeline import Loop, ProcessDeath, Timeline
from ullage.errors import CorruptError, UllageError

RESTART_SECONDS = 2.0
DARK_SECONDS = 60.0
"""So long the power is away."""
MOST_FAULTS = 5
"""A night in which so many processes ended for what should not be goes no further."""


@dataclass(eq=False)
class Process:
    """One life of a role."""

    role: str
    life: int
    stop: threading.Event = field(default_factory=threading.Event)
    dead: bool = False
    locks: set[int] = field(default_factory=set)
    databases: list[apsw.Connection] = field(default_factory=list)
    cramped: set[apsw.Connection] = field(default_factory=set)
    """Of these the ones that SQLite holds little of in memory."""
    loop: Loop | None = None

    def free(self) -> None:
        """Release what a dead process held, as a kernel does."""
        if self.loop is not None:
            self.loop.bury()
        while self.locks:  # a second call closes nothing of a later process
            with contextlib.suppress(OSError):
                os.close(self.locks.pop())
        while self.databases:
            self.databases.pop().close(True)


class Supervisor:
    """Runs roles, each again when it ends. `tell` hears what it sees."""

    def __init__(self, timeline: Timeline, tell: Callable[[str, str], None]) -> None:
        self._timeline, self._tell = timeline, tell
        self._roles: dict[str, Callable[[Process], object]] = {}
        self.running: dict[str, Process] = {}
        self.lives = 0
        self.faults: list[str] = []
        """Deaths that no fault explains: errors that are none of ours, and damage."""
        self.doubles: list[Process] = []
        self.ending = False
        self._begins_at = 0.0
        """Until then there is no power."""

    def uptime(self) -> float:
        """Seconds since the machine started."""
        return self._timeline.now - self._begins_at

    def boot(self) -> str:
        """Return what tells this start of the machine from others."""
        return f"since {self._begins_at:.0f}"

    @property
    def current(self) -> Process | None:
        """Whose turn it is."""
        task = self._timeline.current
        owner = task.owner if task else None
        return owner if isinstance(owner, Process) else None

    def start(self, role: str, main: Callable[[Process], object]) -> None:
        """Begin a role, and again whenever it ends."""
        self._roles[role] = main
        self._begin(role)

    def die(self, process: Process) -> None:
        """Cut the power of one process: raises in it if it is its turn."""
        if process.dead:
            raise ProcessDeath
        process.dead = True
        self._tell(process.role, "died")
        self._timeline.kill(process)
        if self.current is process:
            raise ProcessDeath

    def double(self, role: str) -> None:
        """Begin a second process of a role beside the first, as a person might; it has to see
        that, and end.
        """
        if self._timeline.now < self._begins_at:
            return
        self.lives += 1
        process = Process(role, self.lives)
        self.doubles.append(process)

        self._timeline.spawn(
            f"{role} again", lambda: self._run(process), process, lambda: self._later(process.free)
        )

    def cut(self, image: Path, root: Path) -> None:
        """Cut the power: every process dies.

        What `image` holds is on the disk when the power is back.
        """
        for process in (*self.running.values(), *self.doubles):
            if process is not self.current and not process.dead:
                process.dead = True
                self._tell(process.role, "died")
                self._timeline.kill(process)

        def back() -> None:
            shutil.rmtree(root)
            image.rename(root)

        self._begins_at = self._timeline.now + DARK_SECONDS
        self._timeline.at(self._begins_at, back)

    def _begin(self, role: str) -> None:
        if self.ending:
            return
        self.lives += 1
        process = self.running[role] = Process(role, self.lives)
        self._timeline.spawn(
            role,
            lambda: self._run(process),
            process,
            lambda: self._later(lambda: self._again(process)),
        )

    def _later(self, act: Callable[[], None]) -> None:
        self._timeline.at(self._timeline.now + RESTART_SECONDS, act)

    def attend(self, process: Process, run: Callable[[], object]) -> None:
        """Run a thread of a process; what ends it ends no other."""
        try:
            run()
        except Exception as error:  # noqa: BLE001 - as below
            self._blame(process, error)

    def _blame(self, process: Process, error: Exception) -> None:
        where = traceback.extract_tb(error.__traceback__)[-1]
        line = (
            f"{type(error).__name__} in {where.name} ({Path(where.filename).name}:{where.lineno}):"
            f" {error}"
        )
        self._tell(process.role, f"ended with a traceback: {line}")
        self._fault(f"{process.role} ended with a traceback: {line}")

    def _fault(self, what: str) -> None:
        self.faults.append(what)
        if len(self.faults) == MOST_FAULTS:
            self.ending = True

    def _run(self, process: Process) -> None:
        try:
            self._roles[process.role](process)
        except ProcessDeath:
            process.dead = True
        except (UllageError, OSError) as error:  # `ullage.cli` makes one line of either
            self._tell(process.role, f"ended: {type(error).__name__} {error}")
            if isinstance(error, CorruptError):
                self._fault(f"{process.role} found damage: {error}")
        except Exception as error:  # noqa: BLE001 - whatever it is, the night has found a fault
            self._blame(process, error)
        process.dead = True
        self._timeline.kill(process)

    def _again(self, process: Process) -> None:
        process.free()
        self._timeline.at(self._begins_at, lambda: self._begin(process.role))
