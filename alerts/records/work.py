"""What is to be done of one incident: the line by which a queue finds and orders it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

from alerts.records.document import Document
from alerts.records.words import SEVERITIES, Origin, Severity, Status

TASK = "task"
NEVER = 2**52
"""Stands for no time at all where times are ordered; exact in any JSON."""
TIER = 10**11
"""More than any second of our time."""


class WorkItem(Document):
    """Follows from an incident, its decisions and what was told of it (`alerts.desk.work`); nothing stands here alone.

    The id is the incident's. `part` is what another incident answers for, `closed` what is closed and has no clock that runs.
    """

    columns = ("tenant", "stage", "status", "severity", "origin", "scenario", "assignee")
    sets = ("sites", "kinds", "series")
    orders = ("burns", "due", "grave", "exposure", "customers")
    time = "opened_at"
    broad = ("tenant", "stage", "status", "severity", "origin", "scenario", "assignee")
    tallied = (("stage", "severity", "tenant"), ("stage", "assignee", "tenant"))
    narrow = ("stage", "burns")
    searchable = True

    tenant: str
    opened_at: datetime
    stage: Literal["open", "closed", "part"]
    status: Status
    severity: Severity
    origin: Origin
    scenario: str
    sites: tuple[str, ...]
    kinds: tuple[str, ...]
    series: tuple[str, ...]
    exposure: int
    customers: int
    texts: tuple[str, ...] = ()
    """What free text finds."""
    assignee: str = ""
    due_at: datetime | None = None
    """When the next thing is due of it; None where nothing is."""
    due_for: str = ""
    """What that is: `task` (set by a person), `decide`, or a regime and its stage."""
    is_sure: bool = False
    """It is late once that has passed: nothing about it is unread or waits for a decision."""
    running: tuple[str, ...] = ()
    """Regime and stage of each clock that runs."""

    @property
    def due(self) -> int:
        """The second at which it is due; without one, far away."""
        return round(self.due_at.timestamp()) if self.due_at else NEVER

    @property
    def grave(self) -> int:
        """How severe it is, as a number."""
        return SEVERITIES.index(self.severity)

    @property
    def burns(self) -> int:
        """By this the most urgent stands first: what is due, soonest first; then by severity, and of equals the oldest."""
        if self.stage != "open":
            return 9 * TIER - round(self.opened_at.timestamp())
        if self.due_at:
            return self.due
        return (len(SEVERITIES) - self.grave) * TIER + round(self.opened_at.timestamp())

    def words(self) -> Iterable[str]:
        """Those of the incident."""
        return self.texts

    def left(self, now: datetime) -> timedelta | None:
        """Time until it is due, negative when that has passed."""
        return self.due_at - now if self.due_at else None
