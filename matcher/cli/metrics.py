"""Every metric that match emits. Labels come from configuration and closed sets: tenant, kind, reason."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from matcher.unpack.protocol import REASONS as UNREAD
from matcher.watchlist.installation import TenantLists
from ullage.clock import Clock
from ullage.identifiers import kinds
from ullage.monitoring.heartbeat import CoverageMetrics, FarCounts, HeartbeatMetrics
from ullage.monitoring.metrics import BUCKETS, BUS, OTHER, LoopMetrics, bounded
from ullage.records.incomplete import INCOMPLETE
from ullage.runtime.dead_letters import REASONS

ASSESSED = ("judged", "failed", "gone", "refused")
EVIDENCE = ("sealed", "failed", "full")


class MatchMetrics:
    """Counters of one match process; each known set of labels is there from the start, at 0.

    `behind_gap` adds what crawl in the outer zone says of its sites.
    """

    def __init__(self, registry: CollectorRegistry, tenants: Iterable[str], clock: Clock, *, behind_gap: bool = False) -> None:
        self.loop = LoopMetrics(registry, clock, (BUS,))
        self.pulse = HeartbeatMetrics(registry, "match", clock)
        self.coverage = CoverageMetrics(registry) if behind_gap else None
        self.counts = FarCounts(registry) if behind_gap else None
        self.evidence = EvidenceMetrics(registry)
        self.captures = Counter("ullage_match_captures", "Captures dealt with.", registry=registry)
        self.bytes = Counter("ullage_match_bytes", "Bytes of captures' bodies read.", registry=registry)
        self.findings = Counter("ullage_match_findings", "Findings published.", ["tenant"], registry=registry)
        self.matches = Counter("ullage_match_matches", "Identifiers of customers found.", ["tenant", "kind"], registry=registry)
        self.candidates = Counter("ullage_match_candidates", "Valid candidates tagged and looked up.", registry=registry)
        self.jargon_only = Counter(
            "ullage_match_jargon_only", "Captures with jargon and no tenant's customer or brand.", registry=registry
        )
        self.dropped = Counter("ullage_match_dropped", "Captures that became dead letters.", ["reason"], registry=registry)
        self.unknown_signers = Counter(
            "ullage_match_unknown_signers", "Captures whose signer is not known: their site is `other`.", registry=registry
        )
        self.false_canaries = Counter(
            "ullage_match_false_canaries",
            "Posts with the text of a canary post that crawl did not sign: they count as no canary.",
            registry=registry,
        )
        self.unread = Counter(
            "ullage_match_unread",
            "Members, pages and values of captures that were not read, or not wholly.",
            ["reason"],
            registry=registry,
        )
        self.incomplete = Counter(
            "ullage_match_incomplete",
            "Captures of which less than the whole was searched or judged; each is a dead letter too.",
            ["reason"],
            registry=registry,
        )
        self.unread_offers = Counter(
            "ullage_match_unread_offers",
            "Captures with jargon, no tenant's brand, and something that was not read: whose data it is nobody can tell.",
            registry=registry,
        )
        self.expired = Counter("ullage_match_expired_unread", "Captures that expired before match read them.", registry=registry)
        self.missing = Counter(
            "ullage_match_spool_missing", "Files of a spool that did not come: match is blind to them.", registry=registry
        )
        self.damaged = Counter("ullage_match_spool_damaged", "Files of a spool that cannot be read.", registry=registry)
        self.customers = Gauge(
            "ullage_match_watchlist_customers",
            "Customers that match looks for now; 0 of a tenant whose list is missing, refused, expired or empty.",
            ["tenant"],
            registry=registry,
        )
        self._enrolled = set[str]()
        self.expires = Gauge(
            "ullage_match_watchlist_expiry_timestamp_seconds", "When the newest watchlist expires.", ["tenant"], registry=registry
        )
        self.reload_success = Gauge(
            "ullage_match_watchlist_last_reload_success",
            "1 when the watchlists could be read at the last change, and none was refused because customers are missing in it.",
            registry=registry,
        )
        self.lag_records = Gauge("ullage_match_lag_records", "Captures not yet dealt with.", registry=registry)
        self.lag_seconds = Gauge("ullage_match_lag_seconds", "Age of the oldest capture not yet dealt with.", registry=registry)
        self.last_success = Gauge(
            "ullage_match_last_success_timestamp_seconds", "When the last capture was dealt with.", registry=registry
        )
        self.assessed = Counter(
            "ullage_match_assessed_files",
            "Files that were dropped on the page, by what became of them: judged, failed, gone (the client hung up), refused"
            " (too many waited, or who asked may not).",
            ["outcome"],
            registry=registry,
        )
        self.wait = Histogram(
            "ullage_match_fetch_to_match_seconds", "From fetched to matched.", buckets=BUCKETS, registry=registry
        )
        self._begin((*sorted(tenants), OTHER))

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
        """Show these lists by tenant, and of tenants that lack one that nobody is looked for."""
        shown = {**dict.fromkeys(lacking, 0), **{tenant: lists.customers for tenant, lists in used.items()}}
        for tenant, customers in shown.items():
            self.customers.labels(tenant).set(customers)
        for tenant, lists in used.items():
            self.expires.labels(tenant).set(lists.expires.timestamp())
        for tenant in self._enrolled - shown.keys():
            self.customers.remove(tenant)
            with contextlib.suppress(KeyError):  # a list of it was never used
                self.expires.remove(tenant)
        self._enrolled = {*shown}

    def lost(self, reason: str) -> None:
        """A capture became a dead letter."""
        self.dropped.labels(bounded(reason, REASONS)).inc()


class EvidenceMetrics:
    """What became of evidence; 0 from the start."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.outcomes = Counter(
            "ullage_match_evidence",
            "Captures for which evidence was due, by outcome: sealed, failed, full (no room by evidence.max_bytes).",
            ["outcome"],
            registry=registry,
        )
        self.kept = Gauge("ullage_match_evidence_kept", "Sealed files of evidence.", registry=registry)
        self.opened = Gauge(
            "ullage_match_evidence_opened", "How often evidence was opened or packed, by the audit log.", registry=registry
        )
        for outcome in EVIDENCE:
            self.outcomes.labels(outcome)
