"""The words that records are written in: closed lists, in the order in which they are shown."""

from __future__ import annotations

from typing import Literal, get_args

from ullage.verdict.rules import ClockWord, Origin, Severity, Told

__all__ = ["SEVERITIES", "STATUSES", "Act", "ClockWord", "News", "Origin", "Severity", "Sketched", "Status", "Told"]

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
Status = Literal["open", "acknowledged", "confirmed", "reported", "resolved", "false_positive"]
STATUSES: tuple[Status, ...] = get_args(Status)
Act = Literal["", "assigned", "due", "takedown", "detached", "linked", "unlinked", "excused", "returned"]
"""What is done of an incident that gives it no status; an excuse is why it is a false positive, after which it may return."""
News = Literal["new", "raised", "grown", "unacknowledged", "escalated"]
Sketched = Literal["candidates", "shingles"]
