"""Topic `captures` on one bus and the rest on another: match behind a gap reads a spool and publishes to its own zone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ullage.bus import CAPTURES, Bus, Lag, PartitionPosition, Publisher, Subscription


@dataclass(frozen=True, slots=True)
class RoutedBus:
    """See the module."""

    captures: Bus
    rest: Bus

    def _of(self, topic: str) -> Bus:
        return self.captures if topic == CAPTURES else self.rest

    def publisher(self, topic: str) -> Publisher:
        """See `Bus.publisher`."""
        return self._of(topic).publisher(topic)

    def subscribe(self, topic: str, group: str) -> Subscription:
        """See `Bus.subscribe`."""
        return self._of(topic).subscribe(topic, group)

    def lag(self, topic: str, group: str) -> Lag:
        """See `Bus.lag`."""
        return self._of(topic).lag(topic, group)

    def places(self, topic: str, group: str) -> Mapping[int, PartitionPosition]:
        """See `Bus.places`."""
        return self._of(topic).places(topic, group)

    def check(self, topic: str) -> None:
        """See `Bus.check`."""
        self._of(topic).check(topic)

    def expire(self) -> int:
        """See `Bus.expire`; each of the two was opened with the retention of its own topics."""
        return self.captures.expire() + self.rest.expire()

    def close(self) -> None:
        """Close both."""
        self.captures.close()
        self.rest.close()
