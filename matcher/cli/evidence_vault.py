"""Seals what was posted, for tenants that turned evidence on: at match time, because only then is the text there.

Whether a finding is `high` is judged by its own facts, as `ullage assess` judges a file; what many findings add up to is known
later and elsewhere, when the text is gone. Detection goes first: evidence that cannot be written is counted and logged, and
holds nothing up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from matcher.cli.metrics import EvidenceMetrics
from matcher.cli.references import REFUSED
from matcher.cli.verdict import exposure_of
from matcher.match.capture_result import CaptureReading
from matcher.match.pipeline import Matcher
from ullage import log
from ullage.audit import entries
from ullage.audit.trail import FOLDER as AUDIT
from ullage.custody import OPENED, Pair, encode, manifest, pair_of
from ullage.custody.vault import FOLDER, Vault, VaultHeader
from ullage.errors import UllageError
from ullage.records import Finding
from ullage.runtime.worker import Bug, attempt
from ullage.settings import Context

SEVERITIES = ("high", "statutory")
"""Of a finding whose capture is sealed."""
UPKEEP_SECONDS = 3600.0


@dataclass(slots=True)
class Keeper:
    """Seals for the tenants of the settings that want it; ConfigError at once when an officer's key is missing."""

    context: Context
    metrics: EvidenceMetrics
    vault: Vault = field(init=False)
    _pair: Pair | None = field(init=False)
    _size: int = field(init=False)
    _due: float = 0.0

    def __post_init__(self) -> None:
        settings = self.context.settings
        self.vault = Vault(self.context.data / FOLDER)
        wanted = any(tenant.evidence for tenant in settings.tenants.values())
        self._pair = pair_of(self.context.keys, settings.evidence.officers) if wanted else None
        self._size = self.vault.size()

    def keep(self, matcher: Matcher, reading: CaptureReading, finding: Finding) -> None:
        """Seal the capture of `reading` for a finding of it that is high or above; before that is published."""
        if self._pair is None or finding.part > 1 or not self.context.tenant(finding.tenant).evidence:
            return
        try:
            failed = attempt(partial(self._judge, self._pair, matcher, reading, finding))
        except UllageError as error:
            failed = Bug(error)
        if isinstance(failed, Bug):  # whatever it is, detection goes first
            self.metrics.outcomes.labels("failed").inc()
            log.get("match").error("evidence_failed", tenant=finding.tenant, error=type(failed.error).__name__)

    def _judge(self, pair: Pair, matcher: Matcher, reading: CaptureReading, finding: Finding) -> None:
        [lists] = [one for one in matcher.lists if one.tenant == finding.tenant]
        exposure = exposure_of(self.context, reading, finding.statistics, lists)
        if exposure.severity in SEVERITIES:
            self._seal(pair, reading, finding, exposure.severity)

    def _seal(self, pair: Pair, reading: CaptureReading, finding: Finding, severity: str) -> None:
        if self.vault.has(finding.tenant, finding.id):
            return
        if self._size + len(reading.capture.body) > self.context.settings.evidence.max_bytes:
            self.metrics.outcomes.labels("full").inc()
            log.get("match").error("evidence_full", tenant=finding.tenant)
            return
        now = self.context.clock.now()
        head = VaultHeader(tenant=finding.tenant, finding=finding.id, sealed_at=now, officers=pair.ids)
        sealed = pair.seal(encode(manifest(reading.capture, finding, severity, now), reading.capture.body), head.place)
        try:
            self.vault.put(head, sealed)
        except OSError as error:
            self.metrics.outcomes.labels("failed").inc()
            log.get("match").error("evidence_failed", tenant=finding.tenant, error=str(error.strerror))
        else:
            self._size += len(sealed)
            self.metrics.outcomes.labels("sealed").inc()

    def upkeep(self) -> None:
        """Once an hour: let go of what is old and not held, count what is kept and how often somebody opened it."""
        if self.context.clock.monotonic() < self._due:
            return
        self._due = self.context.clock.monotonic() + UPKEEP_SECONDS
        if self.vault.root.is_dir():
            self.vault.expire(self.context.settings.evidence.days, self.context.running_time.read())
            self._size = self.vault.size()
            kept, faults = self.vault.looked_through()
            self.metrics.kept.set(len(kept) + len(faults))
            for fault in faults:
                log.get("match").error("evidence_damaged", error=str(fault))
        actions = Counter(entry.action for _, entry in entries(self.context.data / AUDIT))
        self.metrics.opened.set(sum(actions[action] for action in OPENED))
        self.metrics.over_budget.set(actions[REFUSED])


def check(context: Context) -> str:
    """What `ullage check` says of evidence, all of which is read.

    ConfigError when a tenant wants it and an officer's key is not there, CorruptError when some is damaged.
    """
    on = sorted(name for name, tenant in context.settings.tenants.items() if tenant.evidence)
    kept = f"{Vault(context.data / FOLDER).check()} kept"
    if not on:
        return f"off, {kept}"
    pair = pair_of(context.keys, context.settings.evidence.officers)
    return f"on for {', '.join(on)}, encrypted for {' and '.join(pair.ids)}, {kept}"


def parts(context: Context) -> Iterator[tuple[str, Callable[[], str]]]:
    """What `ullage check` looks at here."""
    yield "evidence", partial(check, context)
