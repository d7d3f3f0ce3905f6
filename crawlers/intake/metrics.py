"""Metrics of `ullage intake`, in a registry that is passed in."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from ullage.clock import Clock
from ullage.monitoring.metrics import BUS, LoopMetrics

STATUSES = ("2xx", "4xx", "429", "5xx")


class IntakeMetrics:
    """Whether collectors get rid of what they have."""

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self.loop = LoopMetrics(registry, clock, (BUS,))
        self.requests = Counter("ullage_intake_requests_total", "Requests by status.", ["status"], registry=registry)
        self.captures = Counter("ullage_intake_captures_total", "Captured posts stored on the bus.", registry=registry)
        self.refused = Counter("ullage_intake_refused_lines_total", "Invalid posts.", registry=registry)
        self.waiting = Gauge("ullage_intake_waiting_bytes", "Size of requests waiting for the bus.", registry=registry)
        for status in STATUSES:
            self.requests.labels(status)

    def answered(self, status: int) -> None:
        """A request was answered so."""
        self.requests.labels("429" if status == 429 else f"{status // 100}xx").inc()
