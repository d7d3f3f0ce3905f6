"""What goes wrong in a night: at durable steps, between roles, with the disk and with the clock.

All of it from the seed.

A durable step is a commit, an fsync, an append, a call of the store. A crash is armed for one role
and strikes at one of its next steps, right before or right after it: over many seeds it strikes at
each. Some strike in every night (`harness.simulate.aims`).
"""

from __future__ import annotations

import errno
import os
import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial

import apsw

from harness.simulate.aims import Aim, aims
from harness.simulate.channels import NotificationLog
from harness.simulate.coverage import CoverageWatch
from harness.simulate.disk import Disk
from harness.simulate.process import RESTART_SECONDS, Process, Supervisor
from harness.simulate.timeline import Timeline, VirtualClock
from ullage.bus import Outgoing
from ullage.errors import UnavailableError

ROLES = ("crawl", "chats", "match", "alert")
BUS, STORE, FSYNC = "bus", "store", "fsync"
PARTS = {"crawl": (BUS,), "chats": (BUS,), "match": (BUS,), "alert": (BUS, STORE)}
KINDS = (
    "crash", "crash", "crash", "stop", "full", "cut", "cut", "slow", "lost reply", "twice", "late",
    "late", "clock", "calendar",
    "power", "double",
)  # fmt: skip
JUMPS = (3600.0, -3600.0)
DAY = 86_400.0
DAYS = (2 * DAY, 200 * DAY, -30 * DAY)
"""What a clock jumps by whose battery is empty, or that somebody set: it stays so for longer."""
LATE = (1, 2)
"""A late write arrives when the same was written so often: alert has tried again, and folded
more of the same.
"""
READERS = ("match", "alert")
"""Roles of which one process works at a time."""
LATE_SECONDS = 900.0
"""So long writes may come late, at least: one of them has to be made meanwhile."""
LONGER = 3
ASKED_SECONDS = 600.0
"""So soon a person looks at a clock that jumped by days."""
AIMED_SECONDS = 120.0
"""So long a disk is full that is so from a certain step on."""
MOST_STEPS = 40
"""Within so many steps an armed crash strikes."""


@dataclass
class Faults:
    """See the module. None of it happens once it is `calm`."""

    rng: random.Random
    timeline: Timeline
    clock: VirtualClock
    supervisor: Supervisor
    tell: Callable[[str, str], None]
    disk: Disk
    accept: Callable[[], None]
    """A person says that the clock is right."""
    calm: bool = False
    broken: dict[str, str] = field(default_factory=dict)
    """The first of each kind that was seen to go wrong on the way."""
    notices: NotificationLog = field(default_factory=NotificationLog)
    coverage: CoverageWatch = field(default_factory=CoverageWatch)
    steps: Counter[str] = field(default_factory=Counter)
    """Durable steps that were made, by role and what it was."""
    struck: Counter[str] = field(default_factory=Counter)
    """Faults that happened, by kind."""
    skewed: list[tuple[float, float]] = field(default_factory=list)
    """When the clock was wrong, in virtual time."""
    _armed: dict[str, tuple[int, bool, str]] = field(default_factory=dict)
    _aimed: list[Aim] = field(default_factory=list)
    _full_until: float = 0.0
    _until: dict[tuple[str, str, str], float] = field(default_factory=dict)
    """By fault, role and part, how long calls go wrong."""
    _held: list[tuple[frozenset[str], int, Callable[[], str]]] = field(default_factory=list)
    """Writes that are on their way: of which documents, how often these are to be written before
    it arrives, and what does it.
    """

    def plan(self, until: float, count: int) -> None:
        """Faults at random times before `until`, and those of every night."""
        for when, aim in aims(self.rng):
            self.timeline.at(when, partial(self._aimed.append, aim))
        for role in READERS:  # a commit that comes late is how an offset moves back
            self.timeline.at(
                self.rng.uniform(300.0, until / 2),
                partial(self._begin, "late", role, BUS, LATE_SECONDS * LONGER),
            )
        for _ in range(count):
            kind, when = self.rng.choice(KINDS), self.rng.uniform(300.0, until)
            role = self.rng.choice(ROLES)
            part, lasts = (
                self.rng.choice(PARTS[role]),
                self.rng.choice((20.0, 120.0, 900.0, 2400.0)),
            )
            if kind == "late":
                role = self.rng.choice(READERS)
                part, lasts = self.rng.choice(PARTS[role]), max(lasts, LATE_SECONDS)
            self.timeline.at(when, partial(self._begin, kind, role, part, lasts))
        self.timeline.at(
            since := self.rng.uniform(until / 2, until - LONGER * LATE_SECONDS), self._jump
        )
        self.timeline.at(since + 60.0, lambda: self._armed.setdefault("alert", (1, False, "crash")))

    def _jump(self) -> None:
        """Set the calendar ahead, so that whatever begins meanwhile finds everything old."""
        self.struck["calendar"] += 1
        self.set_clock(max(DAYS))
        self.timeline.at(self.timeline.now + LATE_SECONDS, lambda: self.set_clock(0.0))

    def end(self) -> None:
        """End all faults and set the clock right."""
        self.calm = True
        self._armed.clear()
        self._aimed.clear()
        self._until.clear()
        self._full_until = 0.0
        self.set_clock(0.0)
        self.timeline.at(self.timeline.now + ASKED_SECONDS, self.confirm)

    def confirm(self) -> None:
        """Let a person confirm the clock, or do it later while there is no power."""
        if any(process.dead for process in self.supervisor.running.values()):
            self.timeline.at(self.timeline.now + RESTART_SECONDS, self.confirm)
            return
        self.accept()

    def set_clock(self, skew: float) -> None:
        """Let wall time jump to so many seconds from the truth."""
        if skew == self.clock.skew:
            return
        now = self.timeline.now
        if self.clock.skew:
            self.skewed[-1] = (self.skewed[-1][0], now)
        if skew:
            self.skewed.append((now, float("inf")))
        self.tell("clock", f"jumps to {skew:+.0f} s")
        self.clock.skew = skew

    def _begin(self, kind: str, role: str, part: str, lasts: float) -> None:
        if self.calm:
            return
        if kind in {"crash", "power"}:
            self._armed[role] = (self.rng.randint(1, MOST_STEPS), self.rng.random() < 0.5, kind)
            return
        self.struck[kind] += 1
        self.tell("fault", f"{kind} {role} {part} {lasts:.0f} s")
        if kind == "stop":
            self.supervisor.running[role].stop.set()
        elif kind == "double":
            self.supervisor.double(role if role in READERS else self.rng.choice(READERS))
        elif kind == "full":
            self._full_until = self.timeline.now + lasts
        elif kind == "clock":
            self.set_clock(self.rng.choice(JUMPS))
            self.timeline.at(self.timeline.now + lasts, lambda: self.set_clock(0.0))
        elif kind == "calendar":
            self.set_clock(self.rng.choice(DAYS))
            if self.rng.random() < 0.5:  # and takes it for right, as it may have been wrong before
                self.timeline.at(self.timeline.now + ASKED_SECONDS, self.confirm)
            self.timeline.at(self.timeline.now + LONGER * lasts, lambda: self.set_clock(0.0))
        else:
            self._until[kind, role, part] = self.timeline.now + lasts

    # Durable steps.

    def before(self, process: Process, step: str) -> None:
        """Announce a step, before which the process may die or the disk be full."""
        if process.dead:
            self.supervisor.die(process)
        self.steps[f"{process.role} {step}"] += 1
        self._strike(process, step, after=False)
        if self.timeline.now < self._full_until:
            if step.startswith("commit "):
                raise apsw.FullError("database or disk is full")
            if step == FSYNC:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def after(self, process: Process, step: str) -> None:
        """Announce that a step was made; the process may die before it knows."""
        self._strike(process, step, after=True)

    def _strike(self, process: Process, step: str, *, after: bool) -> None:
        if kind := self._aimed_at(process, step, after) or self._counted_down(process, after):
            self._let(kind, process, step, after=after)

    def _aimed_at(self, process: Process, step: str, after: bool) -> str:
        matching = next(
            (aim for aim in self._aimed if aim.place == (process.role, step, after)), None
        )
        if matching is None:
            return ""
        self._aimed.remove(matching)
        return matching.kind

    def _counted_down(self, process: Process, after: bool) -> str:
        remaining, is_after, kind = self._armed.get(process.role, (0, False, ""))
        if not remaining or is_after is not after:
            return ""
        if remaining > 1:
            self._armed[process.role] = remaining - 1, is_after, kind
            return ""
        del self._armed[process.role]
        return kind

    def _let(self, kind: str, process: Process, step: str, *, after: bool) -> None:
        self.struck[kind] += 1
        self.tell("fault", f"{kind} {process.role} {'after' if after else 'before'} {step}")
        if kind == "full":
            self._full_until = self.timeline.now + AIMED_SECONDS
            return
        if kind == "power":
            image = self.disk.root.with_name(f"{self.disk.root.name}-image")
            self.tell("disk", f"lost {', '.join(self.disk.after_power(image)) or 'nothing'}")
            self.supervisor.cut(image, self.disk.root)
        self.supervisor.die(process)

    def sends(self, when: str) -> None:
        """Whoever sends a message may die right before or after it goes out."""
        process = self.supervisor.current
        assert process is not None, "only roles send"
        (self.before if when == "before" else self.after)(process, "channel.send")

    # Calls between roles and the parts that they share.

    def call(self, process: Process, part: str, what: str) -> None:
        """Let a call go out: others may come first, it may take long, or nobody may answer."""
        if process.dead:
            self.supervisor.die(process)
        slow = self._is("slow", process, part)
        self.timeline.wait(self.rng.uniform(0.5, 45.0) if slow else 0.0)
        self.before(process, f"{part}.{what}")
        if self._is("cut", process, part):
            raise UnavailableError(f"the {part} does not answer")

    def answer(self, process: Process, part: str, what: str) -> None:
        """Announce that a call was carried out; its answer may be lost on the way."""
        self.after(process, f"{part}.{what}")
        if self._is("lost reply", process, part) and self.rng.random() < 0.5:
            raise UnavailableError(f"the {part} has not answered")

    def is_late(self, process: Process, part: str) -> bool:
        """Return whether what goes out now arrives when nobody waits for it any more."""
        return self._is("late", process, part) and self.rng.random() < 0.5

    def hold(self, ids: Collection[str], act: Callable[[], str], *, times: int = 0) -> None:
        """Fail now, and do `act`, which tells what came of it, when of `ids` something was written
        again, by whatever process.

        That is so many `times`, by default any of `LATE`.
        """
        self._held.append((frozenset(ids), times or self.rng.choice(LATE), act))
        raise UnavailableError("it has not answered")

    def written(self, ids: Collection[str]) -> None:
        """Release what was held back of documents that are written now."""
        pending, self._held = self._held, []
        for of, times, act in pending:
            if times_left := times - (not of.isdisjoint(ids)):
                self._held.append((of, times_left, act))
            else:
                self.timeline.at(self.timeline.now, partial(self._arrive, act))

    def _arrive(self, act: Callable[[], str]) -> None:
        # what it had begun is undone first
        if any(process.dead for process in self.supervisor.running.values()):
            self.timeline.at(self.timeline.now + RESTART_SECONDS, partial(self._arrive, act))
            return
        self.tell("fault", f"arrives late: {act()}")

    def is_twice(self, process: Process, part: str) -> bool:
        """Return whether the network delivers this call a second time."""
        return self._is("twice", process, part) and self.rng.random() < 0.5

    def order(self, records: Sequence[Outgoing]) -> list[Outgoing]:
        """Return `records` in an order in which they may come to lie.

        Those with one key stay in their order, and different keys come in any.
        """
        ordered = list(records)
        if self.calm or len(ordered) < 2 or self.rng.random() < 0.5:
            return ordered
        keys = [record.key for record in ordered]
        self.rng.shuffle(keys)
        queues = {key: [record for record in ordered if record.key == key] for key in keys}
        return [queues[key].pop(0) for key in keys]

    def _is(self, kind: str, process: Process, part: str) -> bool:
        return self.timeline.now < self._until.get((kind, process.role, part), 0.0)
