"""What the page of rules works out of all incidents and posts, kept for some minutes, for it takes a pass over them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

from alerts.store import IncidentStore
from alerts.store.within import StoreWithin
from ullage.clock import Clock

SECONDS = 300.0
T = TypeVar("T")


class AsOf(NamedTuple, Generic[T]):
    """What was worked out, and of when it is."""

    value: T
    at: datetime
    until: float
    """On the steady clock, from when on it is worked out again."""


@dataclass(slots=True)
class Kept(Generic[T]):
    """Results by question, and by the tenants that whoever asks may see. Threads share it.

    One at a time works something out, for that is a pass over everything. Who asks for what is kept never waits for that.
    """

    clock: Clock
    _known: dict[Hashable, AsOf[T]] = field(default_factory=dict)
    """Never changed, only replaced, so that whoever reads it needs no lock."""
    _working: threading.Lock = field(default_factory=threading.Lock)

    def read(self, store: IncidentStore, asked: Hashable, make: Callable[[], T]) -> AsOf[T]:
        """What `make` makes, or made within the last `SECONDS`."""
        key = asked, store.tenants if isinstance(store, StoreWithin) else None
        if standing := self._standing(key):
            return standing
        with self._working:
            if standing := self._standing(key):  # whoever was waited for has worked it out
                return standing
            now, at = self.clock.monotonic(), self.clock.now()
            made = AsOf(make(), at, now + SECONDS)
            self._known = {one: known for one, known in self._known.items() if now < known.until} | {key: made}
            return made

    def _standing(self, key: Hashable) -> AsOf[T] | None:
        known = self._known.get(key)
        return known if known and self.clock.monotonic() < known.until else None
