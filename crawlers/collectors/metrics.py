"""Metrics of `ullage collect`. Labels are names of channel files and values of closed sets."""

from __future__ import annotations

from collections.abc import Collection
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from crawlers.collectors.channel_log import ChannelState
from crawlers.collectors.session import Reason, Unread
from ullage.clock import Clock
from ullage.monitoring.metrics import BUS, LoopMetrics

REASONS: tuple[Reason, ...] = get_args(Reason)
FILE_OUTCOMES = ("read", *get_args(Unread))


class CollectMetrics:
    """The collector's metrics: messages by channel, and the reasons for coverage gaps."""

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self.loop = LoopMetrics(registry, clock, (BUS,))

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"ullage_collect_{name}", text, labels, registry=registry)

        self.captures = Counter(
            "ullage_collect_captures_total", "Captured posts stored on the bus.", registry=registry
        )
        self.gaps = Counter(
            "ullage_collect_gaps_total", "Gaps by outcome.", ["outcome"], registry=registry
        )
        self.refused = Counter(
            "ullage_collect_messages_refused_total",
            "Invalid messages by reason.",
            ["reason"],
            registry=registry,
        )
        self.files = Counter(
            "ullage_collect_files_total",
            "Files in messages by outcome.",
            ["outcome"],
            registry=registry,
        )
        self.faults = gauge("channel_file_faults", "Channel files that cannot be read.")
        self._blind = gauge(
            "channel_blind", "1 while a channel is not fully read, by reason.", "site", "reason"
        )
        self._seen = gauge("channel_messages", "Distinct messages read from a channel.", "site")
        self._success = gauge(
            "channel_last_success_timestamp_seconds", "When a channel was last read.", "site"
        )
        self._known: set[str] = set()
        for outcome in ("filled", "lost"):
            self.gaps.labels(outcome)
        for outcome in FILE_OUTCOMES:
            self.files.labels(outcome)

    def show(self, standings: Collection[ChannelState]) -> None:
        """Set the gauges from these states, and remove those of other channels."""
        for standing in standings:
            for reason in REASONS:
                self._blind.labels(standing.name, reason).set(standing.reason == reason)
            self._seen.labels(standing.name).set(standing.seen)
            if standing.last_success:
                self._success.labels(standing.name).set(standing.last_success)
        names = {standing.name for standing in standings}
        for gone in self._known - names:
            self._blind.remove_by_labels({"site": gone})
            self._seen.remove(gone)
            self._success.remove_by_labels({"site": gone})
        self._known = names
