"""Canary posts: posts of our own, on a site of our own, about people who do not exist, whose way to a notification is timed.

Crawl publishes and collects them like any site's, match finds the people in the watchlist of a reserved tenant, alert decides on
them as on any finding and sends what comes of it nowhere. They are no incident, page nobody and count as no tenant's.
Not to be confused with canary *customers*, whom a tenant puts into its own lists to see where a leak came from.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, Histogram

from ullage.clock import Clock
from ullage.metrics import BUCKETS

TENANT = "ullage-canary"
"""The reserved tenant; no table of `ullage.toml` may have its name."""


class CanaryMetrics:
    """How canary posts fare, as alert sees it."""

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self._clock, self._newest = clock, 0.0
        self._way = Histogram(
            "ullage_canary_publish_to_notification_seconds",
            "From the publication of a canary post to the notification that a person would have had.",
            buckets=BUCKETS,
            registry=registry,
        )
        self._success = Gauge(
            "ullage_canary_last_success_timestamp_seconds",
            "When a canary post last came to its notification, 0 for never since the start.",
            registry=registry,
        )
        self.interval = Gauge(
            "ullage_canary_interval_seconds", "How often a canary post is to be published, 0 while none is.", registry=registry
        )

    def notified(self, published: float) -> None:
        """A canary post published at that moment (Unix seconds) came through; one that comes again is not timed again."""
        if published > self._newest:
            self._newest = published
            self._way.observe(max(0.0, self._clock.wall() - published))
            self._success.set(self._clock.wall())
