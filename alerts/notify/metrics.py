"""Metrics of notifications.

Labels are names of configured channels and tenants: nothing on the bus makes a series.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ullage.monitoring.metrics import BUCKETS, OTHER, limit_label

Came = Literal["sent", "failed", "suppressed", "given_up"]
OUTCOMES: tuple[Came, ...] = ("sent", "failed", "suppressed", "given_up")


class NotifyMetrics:
    """Declared once a process; each known set of labels is there from the start."""

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

    def reached(self, channels: Callable[[str], Collection[str]]) -> None:
        """Count the usable ones of `channels`, which gives those that are notified of a tenant's
        deadlines.
        """
        self._recipients = channels
        for tenant in self._tenants[:-1] or (OTHER,):
            self._channels.labels(tenant).set(len({*channels(tenant)} - self._unusable))

    def usable(self, channel: str, is_usable: bool) -> None:
        """Record whether a channel can be opened."""
        self._usable.labels(channel).set(is_usable)
        (self._unusable.discard if is_usable else self._unusable.add)(channel)
        self.reached(self._recipients)

    def came(self, channel: str, outcome: Came, count: int = 1) -> None:
        """What became of `count` notifications."""
        self._messages.labels(channel, outcome).inc(count)

    def oldest(self, channel: str, since: float) -> None:
        """`since` in Unix seconds, 0 for none."""
        self._oldest.labels(channel).set(since)

    def delivered(self, tenant: str, seconds: float) -> None:
        """A first message arrived, so long after the post."""
        self._delay.labels(limit_label(tenant, self._tenants)).observe(max(0.0, seconds))
