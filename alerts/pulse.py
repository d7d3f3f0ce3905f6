"""Heartbeats on topic `findings`: they say that the stages before alert work, and are no findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ullage.bus import Record
from ullage.pulse import Pulse
from ullage.records.heartbeat import Heartbeat, is_heartbeat


@dataclass(frozen=True, slots=True)
class WithHeartbeats:
    """The handler of alert's worker: findings go to `handle`, then the heartbeats behind them are noted."""

    handle: Callable[[Sequence[Record]], None]
    pulse: Pulse

    def __call__(self, records: Sequence[Record]) -> None:
        """Deal with a batch; RecordError for one that is damaged."""
        beats = [Heartbeat.decode(r.value, r.headers.get("schema", "")) for r in records if is_heartbeat(r.headers)]
        if findings := [record for record in records if not is_heartbeat(record.headers)]:
            self.handle(findings)
        for beat in beats:
            self.pulse.arrived(beat)
