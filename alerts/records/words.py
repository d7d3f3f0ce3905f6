"""The words that records are written in: closed lists, in the order in which they are shown."""

from __future__ import annotations

from typing import Literal, get_args

from ullage.verdict.rules import Severity

__all__ = ["SEVERITIES", "STATUSES", "News", "Origin", "Severity", "Sketched", "Status"]

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
Origin = Literal["ours", "partner", "elsewhere", "recycled", "fabricated", "unknown"]
Status = Literal["open", "acknowledged", "confirmed", "reported", "resolved", "false_positive"]
STATUSES: tuple[Status, ...] = get_args(Status)
News = Literal["new", "raised", "unacknowledged", "escalated"]
Sketched = Literal["candidates", "shingles"]
