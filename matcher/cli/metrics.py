"""Every metric that match emits.

Labels come from configuration and closed sets: tenant, kind, reason.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from matcher.unpack.protocol import REASONS as UNREAD
from matcher.watchlist.installation import TenantLists
from ullage.clock import Clock
from ullage.identifiers import kinds
from ullage.monitoring.heartbeat import CoverageMetrics, FarCounts, HeartbeatMetrics
from ullage.monitoring.metrics import BUCKETS, BUS, OTHER, LoopMetrics, limit_label
from ullage.records.incomplete import INCOMPLETE
from ullage.runtime.dead_letters import REASONS

ASSESSED = ("judged", "failed", "gone", "refused")
EVIDENCE = ("sealed", "failed", "full")


class MatchMetrics:
    """Counters of one match process; each known set of labels is there from the start, at 0.

    `behind_gap` adds what crawl in the outer zone says of its sites.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        tenants: Iterable[str],
        clock: Clock,
        *,
        behind_gap: bool = False,
    ) -> None:
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry)
        self.loop = LoopMetrics(registry, clock, (BUS,))
        self.pulse = HeartbeatMetrics(registry, "match", clock)
        self.coverage = CoverageMetrics(registry) if behind_gap else None
        self.counts = FarCounts(registry) if behind_gap else None
        self.evidence = EvidenceMetrics(registry)
        self.captures = counter("ullage_match_captures", "Posts processed.")
        self.bytes = counter("ullage_match_bytes", "Bytes of posts read.")
        self.findings = counter("ullage_match_findings", "Findings published.", ["tenant"])
        self.matches = counter(
            "ullage_match_matches", "Customer identifiers found.", ["tenant", "kind"]
        )
        self.candidates = counter("ullage_match_candidates", "Candidates looked up.")
        self.jargon_only = counter(
            "ullage_match_jargon_only", "Posts with jargon but no tenant's customer or brand."
        )
        self.dropped = counter(
            "ullage_match_dropped", "Posts that became dead letters.", ["reason"]
        )
        self.unknown_signers = counter(
            "ullage_match_unknown_signers", "Posts with an unknown signer; their site is `other`."
        )
        self.false_canaries = counter(
            "ullage_match_false_canaries",
            "Canary texts that crawl did not sign; not counted as canary posts.",
        )
        self.unread = counter(
            "ullage_match_unread",
            "Archive members, pages and values that were not fully read.",
            ["reason"],
        )
        self.incomplete = counter(
            "ullage_match_incomplete",
            "Posts not fully searched, by the limit or part that failed; each is also a dead"
            " letter, up to 50 for one fault.",
            ["reason"],
        )
        self.unread_offers = counter(
            "ullage_match_unread_offers",
            "Posts with jargon, no tenant's brand and content that was not readable.",
        )
        self.expired = counter(
            "ullage_match_expired_unread", "Posts that expired before match read them."
        )
        self.missing = counter("ullage_match_spool_missing", "Spool files that did not arrive.")
        self.damaged = counter("ullage_match_spool_damaged", "Damaged spool files.")
        self._create_list_gauges(gauge)
        self.lag_records = gauge("ullage_match_lag_records", "Posts waiting to be processed.")
        self.lag_seconds = gauge("ullage_match_lag_seconds", "Age of the oldest waiting post.")
        self.last_success = gauge(
            "ullage_match_last_success_timestamp_seconds", "When a post was last processed."
        )
        self.assessed = counter(
            "ullage_match_assessed_files",
            "Assessed files by outcome: judged, failed, gone (client disconnected), refused (queue"
            " full or not allowed).",
            ["outcome"],
        )
        self.wait = Histogram(
            "ullage_match_fetch_to_match_seconds",
            "Time from fetch to match.",
            buckets=BUCKETS,
            registry=registry,
        )
        self._begin((*sorted(tenants), OTHER))

    def _create_list_gauges(self, gauge: Callable[..., Gauge]) -> None:
        self._enrolled = set[str]()
        self.customers = gauge(
            "ullage_match_watchlist_customers",
            "Customers searched for; 0 if a tenant's customer list is missing, refused, expired or"
            " empty.",
            ["tenant"],
        )
        self.expires = gauge(
            "ullage_match_watchlist_expiry_timestamp_seconds",
            "When the newest customer list expires.",
            ["tenant"],
        )
        self.reload_success = gauge(
            "ullage_match_watchlist_last_reload_success",
            "1 if all customer lists were accepted at the last change.",
        )

    def _begin(self, tenants: tuple[str, ...]) -> None:
        self.reload_success.set(1)
        for tenant, kind in product(tenants, kinds()):
            self.matches.labels(tenant, kind)
        for tenant in tenants:
            self.findings.labels(tenant)
        for reason in (*REASONS, OTHER):
            self.dropped.labels(reason)
        for reason in INCOMPLETE:
            self.incomplete.labels(reason)
        for reason in UNREAD:
            self.unread.labels(reason)
        for outcome in ASSESSED:
            self.assessed.labels(outcome)

    def show_lists(self, used: Mapping[str, TenantLists], lacking: Iterable[str]) -> None:
        """Show these lists by tenant, and no customers for tenants that lack one.

        Tenants in neither lose their series.
        """
        shown = {
            **dict.fromkeys(lacking, 0),
            **{tenant: lists.customers for tenant, lists in used.items()},
        }
        for tenant, customers in shown.items():
            self.customers.labels(tenant).set(customers)
        for tenant, lists in used.items():
            self.expires.labels(tenant).set(lists.expires.timestamp())
        for tenant in self._enrolled - shown.keys():
            self.customers.remove(tenant)
            with contextlib.suppress(KeyError):  # none of its lists was ever used
                self.expires.remove(tenant)
        self._enrolled = {*shown}

    def lost(self, reason: str) -> None:
        """Count a capture that became a dead letter."""
        self.dropped.labels(limit_label(reason, REASONS)).inc()


class EvidenceMetrics:
    """What became of evidence; 0 from the start."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.outcomes = Counter(
            "ullage_match_evidence",
            "Evidence by outcome: `sealed` (encrypted and kept), `failed`, `full`"
            " (evidence.max_bytes reached).",
            ["outcome"],
            registry=registry,
        )
        self.kept = Gauge(
            "ullage_match_evidence_kept", "Encrypted evidence files.", registry=registry
        )
        self.opened = Gauge(
            "ullage_match_evidence_opened",
            "Times that evidence was opened or exported.",
            registry=registry,
        )
        self.over_budget = Gauge(
            "ullage_match_references_refused",
            "Requests for customer references that went beyond the tenant's daily budget.",
            registry=registry,
        )
        for outcome in EVIDENCE:
            self.outcomes.labels(outcome)
