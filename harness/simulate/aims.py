"""Faults that every night has, each at a step of one kind: where a role tells somebody of what it
has done, or is about to.

A crash at random seldom strikes between an acknowledgement and what it acknowledges. So each role
dies right before and right after each such step of its own, some times a night; the seed says when.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from harness.simulate.script import DAY_TURNS_SECONDS, FAULTY_SECONDS

BEFORE, AFTER = False, True


@dataclass(frozen=True)
class Aim:
    """A fault of a kind that strikes at the next step of that name which a role makes, so many
    times a night.
    """

    kind: str
    role: str
    step: str
    is_after: bool
    times: int = 1
    since: float = 300.0
    until: float = FAULTY_SECONDS - 2400.0
    """Between these it is armed: the last visits of a site are of a process that stays."""

    @property
    def place(self) -> tuple[str, str, bool]:
        """Where it strikes."""
        return self.role, self.step, self.is_after


AIMS = (
    Aim("crash", "chats", "bus.append captures", BEFORE, 3),
    Aim("crash", "chats", "acknowledge", AFTER),
    Aim(
        "power",
        "chats",
        "acknowledge",
        AFTER,
        since=DAY_TURNS_SECONDS,
        until=DAY_TURNS_SECONDS + 600.0,
    ),
    Aim("crash", "crawl", "bus.append captures", BEFORE, 3),
    Aim("crash", "crawl", "bus.append captures", AFTER),
    Aim("crash", "match", "bus.append findings", BEFORE),
    Aim("crash", "match", "bus.commit captures", BEFORE),
    Aim("crash", "match", "bus.commit captures", AFTER, 3),
    Aim("power", "match", "bus.commit captures", AFTER),
    Aim("crash", "alert", "bus.commit findings", BEFORE),
    Aim("crash", "alert", "bus.commit findings", AFTER, 2),
    Aim("power", "alert", "bus.commit findings", AFTER),
    Aim("crash", "alert", "channel.send", BEFORE, 2),
    Aim("crash", "alert", "channel.send", AFTER, 2),
    Aim(
        "full",
        "crawl",
        "bus.append captures",
        AFTER,
        since=FAULTY_SECONDS - 2400.0,
        until=FAULTY_SECONDS - 1200.0,
    ),
)


def aims(rng: random.Random) -> Iterator[tuple[float, Aim]]:
    """Yield each aim with the moment at which it is armed."""
    for aim in AIMS:
        for _ in range(aim.times):
            yield rng.uniform(aim.since, aim.until), aim
