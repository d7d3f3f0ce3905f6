"""Which of several alert processes sends on a channel: whoever first claims the present slot of time.

The embedded bus lets one alert process live, so it needs none of this. Behind Kafka there may be many; the store's `create` is
the one thing that tells two of them apart. Near the end of a slot its holder claims the next one before going on, so that an
attempt never reaches into somebody else's slot; clocks of hosts may differ by the margin. A holder that dies costs a slot.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from alerts.records import Claim
from alerts.store import IncidentStore
from ullage.clock import Clock

SLOT_SECONDS = 60
MARGIN_SECONDS = 5


@dataclass(slots=True)
class Lease:
    """One process's claim on one channel. `attempt` is the longest that one attempt may take, in seconds."""

    channel: str
    holder: str
    store: IncidentStore
    clock: Clock
    attempt: float
    _held: set[int] = field(default_factory=set)

    def holds(self) -> bool:
        """Claim what an attempt that begins now may reach into; asked before each message."""
        now = self.clock.wall()
        slots = range(int(now // SLOT_SECONDS), int((now + self.attempt + MARGIN_SECONDS) // SLOT_SECONDS) + 1)
        held = all(slot in self._held or self._claim(slot) for slot in slots)
        self._let_go([slot for slot in self._held if slot < slots[0]])
        return held

    def release(self) -> None:
        """Let another have the rest."""
        self._let_go(list(self._held))

    def _claim(self, slot: int) -> bool:
        claim = Claim(id=self._id(slot), tenant="", incident=self.holder, at=self.clock.now())
        if self.store.create([claim])[0]:
            self._held.add(slot)
        return slot in self._held

    def _let_go(self, slots: list[int]) -> None:
        if slots:
            self.store.delete(Claim, [self._id(slot) for slot in slots])
            self._held.difference_update(slots)

    def _id(self, slot: int) -> str:
        return f"notify:{self.channel}:{slot}"
