"""Decide which signatures match trusts, sign its output, and encrypt evidence for tenants.

A captured post of an unknown signer, or one outside its visit's grant, is matched like any other,
but its site is `other`: nobody else can speak for a site of ours.

Heartbeats are passed on to every partition of topic `findings` after the posts before them are
matched and their findings durable. A heartbeat arrives one time per partition; a match process
passes on the first copy.

Evidence is encrypted at match time, since only then is the text available. Whether a finding is
`high` is decided by its own facts, as in `ullage assess`. Evidence that cannot be written is
counted and logged, and delays nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from matcher.cli.erasing import REFUSED
from matcher.cli.metrics import EvidenceMetrics
from matcher.cli.verdict import exposure_of
from matcher.match.capture_result import CaptureReading
from matcher.match.pipeline import Matcher
from ullage import log
from ullage.audit import read_entries
from ullage.audit.trail import FOLDER as AUDIT
from ullage.bus import CAPTURES, FINDINGS, Outgoing, Publisher, Record
from ullage.custody import OPENED, Pair, encode, manifest, pair_of
from ullage.custody.vault import FOLDER, Vault, VaultHeader
from ullage.errors import RecordError, UllageError
from ullage.monitoring.heartbeat import CoverageMetrics, FarCounts, HeartbeatMetrics
from ullage.monitoring.metrics import OTHER
from ullage.records import CAPTURE_SCHEMA, FINDING_SCHEMA, Capture, Finding
from ullage.records import heartbeat as beats
from ullage.records.heartbeat import Heartbeat
from ullage.runtime.dead_letters import find_taken_time
from ullage.runtime.worker import Bug, attempt
from ullage.security.capture_seal import CaptureOpener
from ullage.security.sealing import SealOpener
from ullage.security.signing import Signer, Verifier, record_parts
from ullage.settings import Context, Settings

FINDING = "finding"


class Reception:
    """The reader of topic `captures`.

    `unknown` is called for each capture whose site and time no known signer granted.
    """

    def __init__(
        self, opener: SealOpener, verifier: Verifier, unknown: Callable[[], None] = lambda: None
    ) -> None:
        self._opener, self.verifier, self._unknown = opener, verifier, unknown
        self._captures = CaptureOpener(opener, verifier)

    def capture(self, record: Record) -> Capture:
        """Return the capture in `record`.

        If its signer is unknown, or the grant does not cover its site and time, it is returned as
        one of the site OTHER without a category, and counted. Raises `RecordError`, which says why
        there is none: another schema, not authentic, malformed.
        """
        schema = _schema(record)
        if schema != CAPTURE_SCHEMA:
            raise RecordError("schema")
        plain, grant = self._captures.open(record.value, record.headers.get("key_id", ""))
        capture = Capture.decode(plain, schema)
        first = find_taken_time(
            CAPTURES, record.headers, record.value, record.timestamp, self._opener
        )
        if grant is not None and grant.covers(capture.site, first):
            return capture
        self._unknown()
        return capture.model_copy(update={"site": OTHER, "category": ""})

    def heartbeat(self, record: Record) -> Heartbeat:
        """Return the heartbeat in `record`.

        Raises `RecordError` `unknown_signer` if anybody could have sent it.
        """
        schema, key_id = _schema(record), record.headers.get("key_id", "")
        signed = self._opener.open(
            record.value, purpose=beats.PURPOSE, topic=CAPTURES, schema=schema, key_id=key_id
        )
        plain, known = self.verifier.disclose(signed, beats.PURPOSE)
        if not known:
            raise RecordError("unknown_signer")
        return Heartbeat.decode(plain, str(schema))


def _schema(record: Record) -> int:
    try:
        return int(record.headers["schema"])
    except (KeyError, ValueError):
        raise RecordError("malformed") from None


def outgoing(finding: Finding, signer: Signer) -> Outgoing:
    """Return a finding as a signed record.

    It is keyed by tenant, so that one alert worker does all of a tenant's grouping.
    """
    headers = {"tenant": finding.tenant, "id": finding.id, "schema": str(FINDING_SCHEMA)}
    value = finding.encode()
    return Outgoing(
        finding.tenant,
        value,
        headers | signer.headers(FINDING, *record_parts(FINDINGS, headers, value)),
    )


def passed_on(beat: Heartbeat, customers: Mapping[str, int], signer: Signer) -> Outgoing:
    """Return a heartbeat as it is passed on to `findings`, signed by match.

    `customers` is the number of customers of each tenant that match searches for.
    """
    bare = beat.without_crawl_details(customers)
    headers, value = bare.headers(), bare.encode()
    return Outgoing(
        bare.id,
        value,
        headers | signer.headers(beats.PURPOSE, *record_parts(FINDINGS, headers, value)),
    )


def is_behind_gap(settings: Settings) -> bool:
    """Return whether captures arrive as files from another zone.

    Its /metrics cannot be reached from here.
    """
    return (settings.bus.captures or settings.bus.url).startswith("spool:")


@dataclass(slots=True)
class Relay:
    """The relay of heartbeats (see the module).

    `coverage` and `counts` are set only behind a gap.
    """

    findings: Publisher
    signer: Signer
    pulse: HeartbeatMetrics
    coverage: CoverageMetrics | None = None
    counts: FarCounts | None = None

    def pass_on(self, beats: Iterable[Heartbeat], customers: Mapping[str, int]) -> None:
        """Pass on heartbeats, durably, with the number of customers of each tenant.

        A heartbeat that arrived before is skipped, since a newer one has been passed on. Also
        exports their coverage and counts as metrics. Raises UnavailableError if the bus is down.
        """
        for beat in beats:
            if not self.pulse.is_news(beat):
                continue
            self.findings.spread(passed_on(beat, customers, self.signer))
            self.pulse.record(beat)
            if self.coverage and beat.coverage:
                self.coverage.show(beat.origin, beat.coverage)
            if self.counts:
                self.counts.show(beat.origin, beat.counts)


SEVERITIES = ("high", "statutory")
"""Severities of findings whose capture is kept as evidence."""
UPKEEP_SECONDS = 3600.0


@dataclass(slots=True)
class Keeper:
    """The keeper of evidence for the tenants whose settings want it.

    Raises `ConfigError` at once if an officer's key is missing.
    """

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
        """Encrypt the capture of `reading` if its finding is high or above, before publication.

        Nothing is kept without the officers' keys, for a tenant with `evidence` off, or for further
        parts of a finding. A failure is counted and logged, never raised: detection comes first.
        """
        if (
            self._pair is None
            or finding.part > 1
            or not self.context.tenant(finding.tenant).evidence
        ):
            return
        try:
            failed = attempt(partial(self._judge, self._pair, matcher, reading, finding))
        except UllageError as error:
            failed = Bug(error)
        if isinstance(failed, Bug):  # whatever the error, detection comes first
            self.metrics.outcomes.labels("failed").inc()
            log.get("match").error(
                "evidence_failed", tenant=finding.tenant, error=type(failed.error).__name__
            )

    def _judge(
        self, pair: Pair, matcher: Matcher, reading: CaptureReading, finding: Finding
    ) -> None:
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
        head = VaultHeader(
            tenant=finding.tenant, finding=finding.id, sealed_at=now, officers=pair.ids
        )
        sealed = pair.seal(
            encode(manifest(reading.capture, finding, severity, now), reading.capture.body),
            head.place,
        )
        try:
            self.vault.put(head, sealed)
        except OSError as error:
            self.metrics.outcomes.labels("failed").inc()
            log.get("match").error(
                "evidence_failed", tenant=finding.tenant, error=str(error.strerror)
            )
        else:
            self._size += len(sealed)
            self.metrics.outcomes.labels("sealed").inc()

    def upkeep(self) -> None:
        """Once an hour, delete expired evidence without a hold, and update the metrics.

        They are the evidence kept, and how often it was opened.
        """
        if self.context.clock.monotonic() < self._due:
            return
        self._due = self.context.clock.monotonic() + UPKEEP_SECONDS
        if self.vault.root.is_dir():
            self.vault.expire(self.context.settings.evidence.days, self.context.running_time.read())
            self._size = self.vault.size()
            kept, faults = self.vault.scan()
            self.metrics.kept.set(len(kept) + len(faults))
            for fault in faults:
                log.get("match").error("evidence_damaged", error=str(fault))
        actions = Counter(entry.action for _, entry in read_entries(self.context.data / AUDIT))
        self.metrics.opened.set(sum(actions[action] for action in OPENED))
        self.metrics.over_budget.set(actions[REFUSED])


def check(context: Context) -> str:
    """Return the result of `ullage check` for evidence, all of which is read.

    Raises `ConfigError` if a tenant wants it and an officer's key is missing, `CorruptError` if
    some is damaged.
    """
    on = sorted(name for name, tenant in context.settings.tenants.items() if tenant.evidence)
    kept = f"{Vault(context.data / FOLDER).check()} kept"
    if not on:
        return f"off, {kept}"
    pair = pair_of(context.keys, context.settings.evidence.officers)
    return f"on for {', '.join(on)}, encrypted for {' and '.join(pair.ids)}, {kept}"


def parts(context: Context) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the parts that `ullage check` examines here."""
    yield "evidence", partial(check, context)
