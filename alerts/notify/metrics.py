"""Define the metrics of notifications.

Labels are names of configured channels and tenants, so that data from the bus creates no series.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ullage.monitoring.metrics import BUCKETS, OTHER, limit_label

Came = Literal["sent", "failed", "suppressed", "given_up"]
OUTCOMES: tuple[Came, ...] = ("sent", "failed", "suppressed", "given_up")


class NotifyMetrics:
    """The metrics, declared once per process; each known label exists from the start."""

    def __init__(
        self, registry: CollectorRegistry, channels: Iterable[str], tenants: Iterable[str]
    ) -> None:
        self._tenants = (*sorted(tenants), OTHER)
        self._messages = Counter(
            "ullage_notifications_total",
            "Notifications by outcome: sent, failed attempt, suppressed as no longer needed, given"
            " up after a day.",
            ["channel", "outcome"],
            registry=registry,
        )
        self._oldest = Gauge(
            "ullage_notification_oldest_undelivered_timestamp_seconds",
            "Since when the oldest undelivered notification has been due; 0 for none.",
            ["channel"],
            registry=registry,
        )
        self._delay = Histogram(
            "ullage_publish_to_notification_seconds",
            "Time from the publication of a post to the first delivered notification.",
            ["tenant"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._channels = Gauge(
            "ullage_notification_channels",
            "Usable channels notified of a tenant's reporting deadlines whatever the routes say; at"
            " 0 there is no recipient.",
            ["tenant"],
            registry=registry,
        )
        self._usable = Gauge(
            "ullage_notification_channel_usable",
            "1 while the channel's secret can be read and is valid, 0 otherwise.",
            ["channel"],
            registry=registry,
        )
        self._unusable: set[str] = set()
        self._recipients: Callable[[str], Collection[str]] = lambda _tenant: ()
        for channel in channels:
            self._oldest.labels(channel)
            self._usable.labels(channel).set(1)
            for outcome in OUTCOMES:
                self._messages.labels(channel, outcome)
        for tenant in self._tenants:
            self._delay.labels(tenant)

    def set_recipients(self, channels: Callable[[str], Collection[str]]) -> None:
        """Set the function that finds the channels notified of a tenant's deadlines.

        The metric is the number of these channels that are usable. It is updated at once.
        """
        self._recipients = channels
        for tenant in self._tenants[:-1] or (OTHER,):
            self._channels.labels(tenant).set(len({*channels(tenant)} - self._unusable))

    def set_usable(self, channel: str, is_usable: bool) -> None:
        """Record whether a channel can be opened, and update the tenants' usable channels."""
        self._usable.labels(channel).set(is_usable)
        (self._unusable.discard if is_usable else self._unusable.add)(channel)
        self.set_recipients(self._recipients)

    def count_outcome(self, channel: str, outcome: Came, count: int = 1) -> None:
        """Add `count` to the number of notifications by `channel` that had this outcome."""
        self._messages.labels(channel, outcome).inc(count)

    def set_oldest(self, channel: str, since: float) -> None:
        """Set the due time of the oldest undelivered notification.

        `since` is in Unix seconds, 0 if there is none.
        """
        self._oldest.labels(channel).set(since)

    def observe_delay(self, tenant: str, seconds: float) -> None:
        """Record the seconds from a post to its first notification; a negative number counts as 0.

        A tenant that is not configured counts as `other`.
        """
        self._delay.labels(limit_label(tenant, self._tenants)).observe(max(0.0, seconds))
