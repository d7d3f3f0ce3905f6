"""The moments of an incident that clocks count from. Each is kept apart; which one counts is the regime's to say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from alerts.clocks.regimes import Since
from alerts.records import Decision, Incident, Notification


@dataclass(frozen=True, slots=True)
class Moments:
    """All aware, in UTC; None is what has not happened.

    `acknowledged` is the first decision by which a person showed that they know of it, `determined` the first that confirmed it.
    """

    first_seen: datetime
    alerted: datetime | None = None
    acknowledged: datetime | None = None
    determined: datetime | None = None
    resolved: datetime | None = None

    @classmethod
    def of(cls, incident: Incident, decisions: Iterable[Decision], sent: Iterable[Notification]) -> Moments:
        """From what is stored of `incident`: its decisions, and the notifications that were sent of it."""
        decided = sorted(decisions, key=lambda d: (d.at, d.id))
        knowing = {"acknowledged", "confirmed", "reported", "resolved"}
        return cls(
            incident.first_seen,
            min((n.sent_at for n in sent if n.sent_at is not None), default=None),
            next((d.at for d in decided if d.status in knowing or d.regime), None),
            next((d.at for d in decided if d.status == "confirmed"), None),
            next((d.at for d in reversed(decided) if d.status == "resolved"), None),
        )

    @property
    def learned(self) -> datetime | None:
        """When the tenant learned of it: by our alert, or by a person who acknowledged it before any was sent."""
        return min((m for m in (self.alerted, self.acknowledged) if m), default=None)

    def at(self, since: Since) -> datetime | None:
        """The moment of that name."""
        found: datetime | None = getattr(self, since)
        return found
