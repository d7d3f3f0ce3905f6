"""Who was told, and who looked."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from alerts.records.document import Document
from alerts.records.words import News, Severity
from ullage.records.base import MaybeMoment


class Notification(Document):
    """What one channel is to hear of one incident, and what became of it: the notification log, which a restart goes on from.

    `what` is the severity that it tells of, `repeat-N`, `grown-N` or `escalation-SEVERITY`; `why` says so in a word. It is
    pending until `due` at least. Those that go out together have one `message`, written before the first attempt: while
    nobody knows whether that arrived, it is tried again under the same id.
    """

    columns = ("tenant", "incident", "channel", "outcome")
    broad = ("channel", "outcome")
    time = "due"

    tenant: str
    incident: str
    at: datetime
    due: datetime
    channel: str
    what: str
    why: News
    severity: Severity
    published_at: MaybeMoment = None
    """Of a first message: when the post was published that opened the incident."""
    outcome: Literal["pending", "sent", "failed", "suppressed"] = "pending"
    message: str = ""
    attempts: int = 0
    sent_at: MaybeMoment = None


class Audit(Document):
    """Who looked at what, and why; never the value that was looked up."""

    columns = ("tenant", "who", "action")

    tenant: str
    at: datetime
    who: str
    action: str
    purpose: str
    case: str
    kinds: tuple[str, ...] = ()
    found: int = 0
