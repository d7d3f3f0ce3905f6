"""Scripted channels: they fail, are slow, refuse, or take a message and lose the answer. What arrived is kept."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from alerts.notify.channels import UndeliveredError
from alerts.notify.message import Message
from tests.simulate.timeline import Timeline


@dataclass(frozen=True)
class Arrived:
    """One incident in one message that came through, at a virtual time."""

    at: float
    message: str
    incident: str
    why: str


@dataclass
class ScriptedChannel:
    """A channel of the night; `moods` as of a site."""

    name: str
    timeline: Timeline
    rng: random.Random
    tell: Callable[[str, str], None]
    moods: list[tuple[float, float, str]] = field(default_factory=list)
    arrived: list[Arrived] = field(default_factory=list)
    lost: bool = False
    """Whether the last attempt may have arrived."""

    def send(self, message: Message) -> None:
        """See `Channel.send`."""
        now = self.timeline.now
        mood = next((mood for since, until, mood in self.moods if since <= now < until), "")
        self.lost = mood == "loses answers"
        if mood == "down":
            raise UndeliveredError("cannot be reached")
        if mood == "refuses":
            raise UndeliveredError("answers 429", retry_after=self.rng.choice((5.0, 60.0, 300.0)))
        self.timeline.wait(self.rng.uniform(5.0, 9.0) if mood == "slow" else 0.2)
        self.arrived += [Arrived(self.timeline.now, message.id, entry.incident, entry.why) for entry in message.entries]
        self.tell("channel", f"{self.name} has {message.id}: {', '.join(f'{one.incident} {one.why}' for one in message.entries)}")
        self.timeline.wait(0.1)
        if mood == "loses answers":
            raise UndeliveredError("broke off before it answered", maybe=True)

    def reach(self) -> str:
        """See `Channel.reach`."""
        return "scripted"
