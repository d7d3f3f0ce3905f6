"""What is owed of an incident, as alert has worked it out last: by this it is counted and found."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from alerts.records.document import Document

HEARD = "heard"
"""Stands for a stage: by its `due` somebody is to have acknowledged the incident. No rule asks for that."""


def clock_of(tenant: str, which: str) -> str:
    """One clock of a tenant: that of a regime, or `HEARD`."""
    return f"{tenant} {which}"


class DutyRecord(Document):
    """One stage of one regime for one incident (`alerts.clocks.book`); nothing stands here alone.

    `since` and `due` are None while nothing is known to be due; `verified` is whether the rule's own text was read.
    """

    columns = ("tenant", "incident", "runs", "counts")
    broad = ("tenant",)

    tenant: str
    incident: str
    regime: str
    """"" of `HEARD`."""
    stage: str
    state: Literal["running", "waiting", "conditional", "met", "waived"]
    opened_at: datetime
    """When the incident was."""
    since: datetime | None = None
    due: datetime | None = None
    verified: bool = False
    met_at: datetime | None = None
    late: bool = False
    """Met after it was due."""

    @property
    def at(self) -> datetime:
        """When it is due, else when the incident was opened."""
        return self.due or self.opened_at

    @property
    def runs(self) -> str:
        """Of what runs, whose and which clock: what is due next of one is found at once; "" of all else."""
        return clock_of(self.tenant, self.regime or self.stage) if self.state == "running" else ""

    @property
    def counts(self) -> Literal["", "kept", "late", "missed"]:
        """As what it counts once it is due; "" of what was not asked for, and of a rule whose text was not read."""
        if self.due is None or not self.verified:
            return ""
        if self.state == "met":
            return "late" if self.late else "kept"
        return "missed" if self.state == "running" else ""


class DutiesKnown(Document):
    """Until when all that was told and decided is in the duty records. There is one."""

    at: datetime
