"""The words that records are written in: closed lists, in the order in which they are shown."""

from __future__ import annotations

from typing import Literal, get_args

from ullage.verdict.rules import ClockWord, Origin, Severity, Told

__all__ = [
    "SEVERITIES", "STATUSES", "Act", "Band", "ClockWord", "Fraud", "News", "Origin", "Severity", "Sketched", "Status", "Told",
]  # fmt: skip

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
Status = Literal["open", "acknowledged", "confirmed", "reported", "resolved", "false_positive"]
STATUSES: tuple[Status, ...] = get_args(Status)
Act = Literal["", "assigned", "due", "takedown", "detached", "linked", "unlinked", "excused", "returned"]
"""What is done of an incident that gives it no status; an excuse is why it is a false positive, after which it may return."""
News = Literal["new", "raised", "grown", "unacknowledged", "escalated"]
Sketched = Literal["candidates", "shingles"]
Fraud = Literal["loss", "prevented", "none"]
"""What came of a fraud case: money was lost, somebody stopped it, or there was no fraud."""
Band = Literal["under_3000", "3000_to_30000", "30000_to_500000", "from_500000"]
"""Of an amount in CNY, by the steps of 法释〔2011〕7 art. 1."""
