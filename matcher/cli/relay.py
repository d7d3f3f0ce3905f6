"""Heartbeats on their way through match: opened, noted, and passed on to every partition of topic `findings`.

They are passed on after the captures before them are matched and their findings durable, so one that arrives at alert says that
all of that is done. Of one heartbeat's copies, one a partition, a match process passes on the first that it sees.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from matcher.cli.authentic import passed_on
from ullage.bus import Publisher
from ullage.monitoring.heartbeat import CoverageMetrics, FarCounts, Pulse
from ullage.records.heartbeat import Heartbeat
from ullage.security.signing import Signer
from ullage.settings import Settings


def is_behind_gap(settings: Settings) -> bool:
    """Whether captures come through files from another zone, whose /metrics nobody here can ask."""
    return (settings.bus.captures or settings.bus.url).startswith("spool:")


@dataclass(slots=True)
class Relay:
    """See the module. `coverage` and `counts` are there only behind a gap."""

    findings: Publisher
    signer: Signer
    pulse: Pulse
    coverage: CoverageMetrics | None = None
    counts: FarCounts | None = None

    def pass_on(self, beats: Iterable[Heartbeat], enrolled: int) -> None:
        """Durable on return, with how many customers are looked for.

        One that came before is passed over, since something newer has gone on already.
        """
        for beat in beats:
            if not self.pulse.is_news(beat):
                continue
            self.findings.spread(passed_on(beat, enrolled, self.signer))
            self.pulse.arrived(beat)
            if self.coverage and beat.coverage:
                self.coverage.show(beat.origin, beat.coverage)
            if self.counts:
                self.counts.show(beat.origin, beat.counts)
