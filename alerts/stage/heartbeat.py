"""What is on topic `findings` beside findings of real posts: heartbeats, and findings of canary posts. Neither is folded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from alerts.stage.canary import is_canary
from ullage.bus import Record
from ullage.monitoring.heartbeat import HeartbeatMetrics
from ullage.records.heartbeat import Heartbeat, is_heartbeat


@dataclass(frozen=True, slots=True)
class Dispatch:
    """The handler of alert's worker: findings go to `handle`, those of canaries to `canaries`; then heartbeats are noted."""

    handle: Callable[[Sequence[Record]], None]
    canaries: Callable[[Sequence[Record]], None]
    pulse: HeartbeatMetrics
    check: Callable[[Record], None]
    """RecordError for a record that nobody of ours signed."""
    heard: Sequence[Callable[[Heartbeat], None]] = ()
    """Told of each heartbeat that is news, in this order."""

    def __call__(self, records: Sequence[Record]) -> None:
        """Deal with a batch; RecordError for one that is damaged."""
        for record in records:
            self.check(record)
        beats = [Heartbeat.decode(r.value, r.headers.get("schema", "")) for r in records if is_heartbeat(r.headers)]
        rest = [record for record in records if not is_heartbeat(record.headers)]
        if findings := [record for record in rest if not is_canary(record)]:
            self.handle(findings)
        if canaries := [record for record in rest if is_canary(record)]:
            self.canaries(canaries)
        for beat in beats:
            if self.pulse.is_news(beat):
                for tell in self.heard:
                    tell(beat)
            self.pulse.arrived(beat)
