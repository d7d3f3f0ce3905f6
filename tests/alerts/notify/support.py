"""A channel that remembers, incidents in few words, and settings."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from alerts.http_post import UndeliveredError
from alerts.notify import Message
from alerts.notify.channels.webhook import read_key, signature
from alerts.records import Incident, Notification
from alerts.store import DocumentFilter, IncidentStore
from tests.alerts import builders
from tests.conftest import NOON
from ullage.settings import NotifySettings

T0 = datetime.fromtimestamp(NOON, UTC)


@dataclass
class RecordingChannel:
    """Takes every message, unless told to fail: then with the errors of `failing`, the last of
    them for ever.
    """

    sent: list[Message] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    failing: list[UndeliveredError] = field(default_factory=list)

    def send(self, message: Message) -> None:
        self.tried.append(message.id)
        if self.failing:
            raise self.failing[0] if len(self.failing) == 1 else self.failing.pop(0)
        self.sent.append(message)

    def reach(self) -> str:
        return "here"

    @property
    def told(self) -> list[list[tuple[str, str, str]]]:
        """Of each message, incident, severity and why of each entry."""
        return [[(e.incident, e.severity, e.why) for e in message.entries] for message in self.sent]


def notify_settings(channels: Iterable[str] = ("soc",), **changes: Any) -> NotifySettings:
    """Return settings with one route of medium and above to the first channel.

    It escalates to the second if there is one.
    """
    names = list(channels)
    route = {"channels": names[:1], "escalate_to": names[1:2], **changes.pop("route", {})}
    detail = changes.pop("detail", {})
    tables = {name: {"detail": detail.get(name, "minimal")} for name in names}
    fields = {"channels": tables, "routes": {"all": route}, "group_seconds": 20, **changes}
    return NotifySettings.model_validate(fields)


def incident(name: str = "A", severity: str = "high", **changes: Any) -> Incident:
    fields = {
        "severity": severity,
        "scenario": "X1",
        "origin": "ours",
        "clock": "none",
        "customers": 48,
        "kinds": (),
    }
    fields |= {"published_at": T0 - timedelta(seconds=90), "publish_seconds": 90.0}
    return builders.incident(f"INC-{name}", T0, **{**fields, **changes})


def store_all(store: IncidentStore, incidents: Collection[Incident]) -> list[Incident]:
    store.put(list(incidents))
    store.refresh()
    return list(incidents)


def log_of(store: IncidentStore, **columns: str) -> dict[str, Notification]:
    """Return the notification log, by what follows the incident in its ids."""
    where = DocumentFilter({name: (value,) for name, value in columns.items()})
    return {notification.id: notification for notification in store.scroll(Notification, where)}


def sign_headers(key: str, id_: str, body: bytes) -> dict[str, str]:
    """Return the headers of a webhook signed with `key`."""
    proof = signature(read_key(key), id_, str(int(NOON)), body)
    return {"webhook-id": id_, "webhook-timestamp": str(int(NOON)), "webhook-signature": proof}
