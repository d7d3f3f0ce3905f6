"""Heartbeats on their way through match: opened, noted, and passed on to every partition of topic `findings`.

They are passed on after the captures before them are matched and their findings durable, so one that arrives at alert says that
all of that is done. Of one heartbeat's copies, one a partition, a match process passes on the first that it sees.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ullage.bus import CAPTURES, Outgoing, Publisher, Record
from ullage.errors import RecordError
from ullage.pulse import CoverageMetrics, FarCounts, Pulse
from ullage.records.heartbeat import PURPOSE, Heartbeat
from ullage.sealing import Opener
from ullage.settings import Settings


def open_heartbeat(record: Record, opener: Opener) -> Heartbeat:
    """Unseal and decode one; RecordError says why it cannot be."""
    try:
        schema, key_id = record.headers["schema"], record.headers["key_id"]
        plain = opener.open(record.value, purpose=PURPOSE, topic=CAPTURES, schema=int(schema), key_id=key_id)
    except (KeyError, ValueError) as error:
        raise RecordError("malformed") from error
    return Heartbeat.decode(plain, schema)


def is_behind_gap(settings: Settings) -> bool:
    """Whether captures come through files from another zone, whose /metrics nobody here can ask."""
    return (settings.bus.captures or settings.bus.url).startswith("spool:")


@dataclass(slots=True)
class Relay:
    """See the module. `coverage` and `counts` are there only behind a gap."""

    findings: Publisher
    pulse: Pulse
    coverage: CoverageMetrics | None = None
    counts: FarCounts | None = None

    def pass_on(self, beats: Iterable[Heartbeat]) -> None:
        """Durable on return; one that came before is passed over, since something newer has gone on already."""
        for beat in beats:
            if not self.pulse.is_news(beat):
                continue
            bare = beat.bare()
            self.findings.spread(Outgoing(bare.id, bare.encode(), bare.headers()))
            self.pulse.arrived(beat)
            if self.coverage and beat.coverage:
                self.coverage.show(beat.origin, beat.coverage)
            if self.counts:
                self.counts.show(beat.origin, beat.counts)
