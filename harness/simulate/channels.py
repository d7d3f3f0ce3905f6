"""Scripted channels: they fail, are slow, refuse, or take a message and lose the answer.

What arrived is kept.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from alerts.http_post import UndeliveredError
from alerts.notify import Message
from alerts.records import Notification
from harness.simulate.timeline import Timeline


@dataclass(frozen=True)
class Delivery:
    """One incident in one message that came through, at a virtual time."""

    at: float
    message: str
    incident: str
    why: str


@dataclass
class NotificationLog:
    """What stands in the log of notifications, watched from outside at every write: a line in
    `broken` for what must not be.

    A message goes out under an id that was written before, else it goes out as another one after a
    crash; and nothing is written as sent before it is, else nobody is told after one.
    """

    notices: dict[str, Notification] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    _arrived: set[tuple[str, str, str]] = field(default_factory=set)

    def stand(self, notices: Mapping[str, Notification]) -> None:
        """Replace the recorded notices."""
        self.notices.update(notices)
        for notice in notices.values():
            if (
                notice.outcome == "sent"
                and (notice.channel, notice.incident, notice.message) not in self._arrived
            ):
                self.broken.setdefault(
                    "sent",
                    f"{notice.what} of {notice.incident} on {notice.channel} is written as sent,"
                    " and was not",
                )

    def sent(self, channel: str, message: Message) -> None:
        """Record that a message arrived."""
        expected = {
            (notice.channel, notice.incident)
            for notice in self.notices.values()
            if notice.message == message.id
        }
        self._arrived |= {(channel, entry.incident, message.id) for entry in message.entries}
        if any((channel, entry.incident) not in expected for entry in message.entries):
            self.broken.setdefault(
                "unwritten",
                f"{message.id} went out on {channel} before it was written that it does",
            )


@dataclass
class ScriptedChannel:
    """A channel of the night; `moods` as of a site."""

    name: str
    timeline: Timeline
    rng: random.Random
    tell: Callable[[str, str], None]
    step: Callable[[str], None]
    """Told "before" and "after" a message goes out: its process may die there."""
    written: NotificationLog
    moods: list[tuple[float, float, str]] = field(default_factory=list)
    arrived: list[Delivery] = field(default_factory=list)
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
        self.step("before")
        self.written.sent(self.name, message)
        self.arrived += [
            Delivery(self.timeline.now, message.id, entry.incident, entry.why)
            for entry in message.entries
        ]
        self.tell(
            "channel",
            f"{self.name} has {message.id}:"
            f" {', '.join(f'{one.incident} {one.why}' for one in message.entries)}",
        )
        self.step("after")
        self.timeline.wait(0.1)
        if mood == "loses answers":
            raise UndeliveredError("broke off before it answered", maybe=True)

    def reach(self) -> str:
        """See `Channel.reach`."""
        return "scripted"
