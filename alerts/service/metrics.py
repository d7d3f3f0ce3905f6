"""Metrics of the alert service and of deadlines.

Counters are of this process; gauges are counted in the store again, so they are right after any
restart. Tenants that are not configured share the label `other`, so that nothing on the bus can
create a new series.
"""

from __future__ import annotations

import math
from collections import Counter as Counted
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import product
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from alerts.records import SEVERITIES, STATUSES, Background, Exposure, Origin, Sighting
from alerts.store import DocumentFilter, IncidentStore
from alerts.store.queries import NO_SCENARIO, Recent, count_incidents, count_recent
from ullage import log
from ullage.bus import Lag
from ullage.clock import Clock
from ullage.guard import DetectorFault
from ullage.monitoring.heartbeat import HeartbeatMetrics
from ullage.monitoring.metrics import (
    BUCKETS,
    BUS,
    OTHER,
    STORE,
    CanaryMetrics,
    LoopMetrics,
    limit_label,
)
from ullage.records import Finding
from ullage.records.incomplete import JUDGEMENTS
from ullage.runtime.dead_letters import REASONS
from ullage.verdict import load_verdict_rules

ORIGINS: tuple[str, ...] = get_args(Origin)


class AlertMetrics:
    """The metrics of one alert process; every known label set exists from the start, at 0."""

    def __init__(self, registry: CollectorRegistry, tenants: Iterable[str], clock: Clock) -> None:
        self._clock, self._tenants = clock, (*sorted(tenants), OTHER)
        self._scenarios = (
            NO_SCENARIO,
            *(scenario.id for scenario in load_verdict_rules().scenario),
            OTHER,
        )
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry)
        self.loop = LoopMetrics(registry, clock, (BUS, STORE))
        self.pulse = HeartbeatMetrics(registry, "alert", clock)
        self.canary = CanaryMetrics(registry, clock)
        self._findings = counter(
            "ullage_alert_findings_total", "Findings processed, repeats included.", ["tenant"]
        )
        self._dropped = counter(
            "ullage_alert_dropped_total", "Records that became dead letters.", ["reason"]
        )
        self._unjudged = counter(
            "ullage_alert_rule_failures_total",
            "Verdicts of which a rule failed; the incident says that a person must judge it.",
            ["reason"],
        )
        self._delay = Histogram(
            "ullage_alert_publish_to_incident_seconds",
            "Time from the publication of a post to its incident.",
            ["tenant"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._incidents = gauge(
            "ullage_alert_incidents", "Incidents in the store.", ["tenant", "severity", "status"]
        )
        self._exposed = gauge(
            "ullage_alert_exposed_customers",
            "Customers in incidents of the last 30 days, counted once per incident.",
            ["tenant", "scenario", "severity"],
        )
        self._recent = gauge(
            "ullage_alert_recent_incidents",
            "Incidents of the last 30 days.",
            ["tenant", "origin", "severity"],
        )
        self._exposures = gauge("ullage_alert_exposures", "Exposures in the store.", ["tenant"])
        self._sightings = gauge("ullage_alert_sightings", "Sightings in the store.", ["tenant"])
        self._background = gauge(
            "ullage_alert_background", "Benign posts in the store.", ["tenant"]
        )
        self._success = gauge(
            "ullage_alert_last_success_timestamp_seconds", "When findings were last processed."
        )
        self._lag = gauge("ullage_alert_lag_records", "Findings waiting to be processed.")
        self._lag_seconds = gauge("ullage_alert_lag_seconds", "Age of the oldest waiting finding.")
        self.revealed = gauge(
            "ullage_alert_originals_revealed",
            "Originals revealed by the busiest person within a shift.",
        )
        self.reveals_allowed = gauge(
            "ullage_alert_originals_allowed", "Reveals per shift before an alarm."
        )
        self.unexplained = gauge(
            "ullage_coverage_unexplained_sites",
            "Sites with an unexplained coverage gap in the last 24 hours, first readings apart.",
        )
        self._create_series()

    def _create_series(self) -> None:
        for tenant in self._tenants:
            self._findings.labels(tenant)
            self._delay.labels(tenant)
            self._exposures.labels(tenant)
            self._sightings.labels(tenant)
            self._background.labels(tenant)
        for labels in product(self._tenants, SEVERITIES, STATUSES):
            self._incidents.labels(*labels)
        self._set_recent(Recent())
        for reason in (*REASONS, OTHER):
            self._dropped.labels(reason)
        for part in JUDGEMENTS:
            self._unjudged.labels(part)

    def count_batch(self, findings: Sequence[Finding], opened: Sequence[Sighting]) -> None:
        """Count a batch of findings by tenant, and the delay from post to incident.

        `opened` are the first sightings of new incidents. The time of the last success becomes now.
        """
        for finding in findings:
            self._findings.labels(self._label(finding.tenant)).inc()
        for first in opened:
            if first.published_at is not None:
                delay = (first.grouped_at - first.published_at).total_seconds()
                self._delay.labels(self._label(first.tenant)).observe(max(0.0, delay))
        self._success.set(self._clock.wall())

    def count_failed_rule(self, fault: DetectorFault) -> None:
        """Count and report a rule of the verdict that failed."""
        log.get("alert").error("rule_failed", part=fault.part, error=fault.cause)
        self._unjudged.labels(limit_label(fault.part, JUDGEMENTS)).inc()

    def count_dropped(self, reason: str) -> None:
        """Count a record that became a dead letter."""
        self._dropped.labels(limit_label(reason, REASONS)).inc()

    def set_lag(self, lag: Lag) -> None:
        """Set how far behind the loop is."""
        self._lag.set(lag.records)
        self._lag_seconds.set(lag.seconds)

    def recount(self, store: IncidentStore) -> None:
        """Set the gauges to the store's current numbers; every incident has a work item."""
        configured = self._tenants[:-1]
        counts = count_incidents(store)
        for tenant, severity, status in product(configured, SEVERITIES, STATUSES):
            self._incidents.labels(tenant, severity, status).set(counts[tenant, severity, status])
        for tenant in configured:
            self._exposures.labels(tenant).set(
                store.count(Exposure, DocumentFilter({"tenant": (tenant,)}))
            )
            self._sightings.labels(tenant).set(
                store.count(Sighting, DocumentFilter({"tenant": (tenant,)}))
            )
            self._background.labels(tenant).set(
                store.count(Background, DocumentFilter({"tenant": (tenant,)}))
            )

    def recount_recent(self, store: IncidentStore) -> None:
        """Set the gauges of the last 30 days to the store's current numbers."""
        self._set_recent(count_recent(store, self._clock.now()))

    def _set_recent(self, recent: Recent) -> None:
        """Set every known series of the last 30 days.

        A series whose incidents left the window thus falls to 0.
        """
        customers = Counted[tuple[str, str, str]]()
        for (tenant, scenario, severity), count in recent.customers.items():
            customers[tenant, limit_label(scenario, self._scenarios), severity] += count
        for labels in product(self._tenants[:-1], self._scenarios, SEVERITIES):
            self._exposed.labels(*labels).set(customers[labels])
        for tenant, origin, severity in product(self._tenants[:-1], ORIGINS, SEVERITIES):
            self._recent.labels(tenant, origin, severity).set(
                recent.incidents[tenant, origin, severity]
            )

    def _label(self, tenant: str) -> str:
        return limit_label(tenant, self._tenants)


class DutyMetrics:
    """When notifications to authorities are due, and whether anybody has acknowledged them.

    A tenant's regime has a series as soon as it is configured: 0 for none, and NaN until alert
    has counted.
    """

    def __init__(self, registry: CollectorRegistry, regimes: Mapping[str, Sequence[str]]) -> None:
        self._regimes = regimes
        self._due = Gauge(
            "ullage_notification_due_timestamp_seconds",
            "Earliest open reporting deadline under a regime; 0 for none.",
            ["tenant", "regime"],
            registry=registry,
        )
        self._unheard = Gauge(
            "ullage_notification_unheard_incidents",
            "Unacknowledged incidents past half of the time to their reporting deadline.",
            ["tenant"],
            registry=registry,
        )
        self._known = Gauge(
            "ullage_notification_deadlines_known_timestamp_seconds",
            "Time up to which reporting deadlines are current; 0 before all incidents were read.",
            registry=registry,
        )
        for tenant, names in regimes.items():
            self._unheard.labels(tenant).set(math.nan)
            for regime in names:
                self._due.labels(tenant, regime).set(math.nan)

    def set_known_until(self, until: datetime) -> None:
        """Set the time up to which deadlines are current."""
        self._known.set(until.timestamp())

    def set_tenant(self, tenant: str, earliest: Mapping[str, float], unheard: int) -> None:
        """Set a tenant's earliest report deadlines and its number of unacknowledged incidents.

        `earliest` has Unix seconds by regime (0 is set for a missing one); `unheard` is the number
        of incidents that nobody acknowledged in time.
        """
        self._unheard.labels(tenant).set(unheard)
        for regime in self._regimes[tenant]:
            self._due.labels(tenant, regime).set(earliest.get(regime, 0.0))
