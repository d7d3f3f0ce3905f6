"""Whom match believes: captures and heartbeats are opened and their signatures looked at; what match publishes it signs.

A capture of a signer that is not known, or that its visit's grant does not cover, is matched like any, but its site is `other`:
nobody else can speak for a site of ours.

Heartbeats are passed on to every partition of topic `findings` after the captures before them are matched and their findings
durable, so one that arrives at alert says that all of that is done. Of one heartbeat's copies, one a partition, a match process
passes on the first that it sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ullage.bus import CAPTURES, FINDINGS, Outgoing, Publisher, Record
from ullage.errors import RecordError
from ullage.monitoring.heartbeat import CoverageMetrics, FarCounts, HeartbeatMetrics
from ullage.monitoring.metrics import OTHER
from ullage.records import CAPTURE_SCHEMA, FINDING_SCHEMA, Capture, Finding
from ullage.records import heartbeat as beats
from ullage.records.heartbeat import Heartbeat
from ullage.runtime.dead_letters import taken_at
from ullage.security.capture_seal import CaptureOpener
from ullage.security.sealing import SealOpener
from ullage.security.signing import Signer, Verifier, record_parts
from ullage.settings import Settings

FINDING = "finding"


class Reception:
    """Opens what lies on topic `captures`. `unknown` is told of each capture that nobody known granted for its site and time."""

    def __init__(self, opener: SealOpener, verifier: Verifier, unknown: Callable[[], None] = lambda: None) -> None:
        self._opener, self.verifier, self._unknown = opener, verifier, unknown
        self._captures = CaptureOpener(opener, verifier)

    def capture(self, record: Record) -> Capture:
        """The capture in `record`; RecordError says why there is none."""
        schema = _schema(record)
        if schema != CAPTURE_SCHEMA:
            raise RecordError("schema")
        plain, grant = self._captures.open(record.value, record.headers.get("key_id", ""))
        capture = Capture.decode(plain, schema)
        first = taken_at(CAPTURES, record.headers, record.value, record.timestamp, self._opener)
        if grant is not None and grant.covers(capture.site, first):
            return capture
        self._unknown()
        return capture.model_copy(update={"site": OTHER, "category": ""})

    def heartbeat(self, record: Record) -> Heartbeat:
        """The heartbeat in `record`; RecordError `unknown_signer` for one that anybody could have sent."""
        schema, key_id = _schema(record), record.headers.get("key_id", "")
        signed = self._opener.open(record.value, purpose=beats.PURPOSE, topic=CAPTURES, schema=schema, key_id=key_id)
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
    """A finding as a record: signed, and keyed by tenant, so that one alert worker owns a tenant's folding."""
    headers = {"tenant": finding.tenant, "id": finding.id, "schema": str(FINDING_SCHEMA)}
    value = finding.encode()
    return Outgoing(finding.tenant, value, headers | signer.headers(FINDING, *record_parts(FINDINGS, headers, value)))


def passed_on(beat: Heartbeat, customers: Mapping[str, int], signer: Signer) -> Outgoing:
    """A heartbeat as it goes on to `findings`, signed by match, which looks for so many `customers` of each tenant."""
    bare = beat.bare(customers)
    headers, value = bare.headers(), bare.encode()
    return Outgoing(bare.id, value, headers | signer.headers(beats.PURPOSE, *record_parts(FINDINGS, headers, value)))


def is_behind_gap(settings: Settings) -> bool:
    """Whether captures come through files from another zone, whose /metrics nobody here can ask."""
    return (settings.bus.captures or settings.bus.url).startswith("spool:")


@dataclass(slots=True)
class Relay:
    """See the module. `coverage` and `counts` are there only behind a gap."""

    findings: Publisher
    signer: Signer
    pulse: HeartbeatMetrics
    coverage: CoverageMetrics | None = None
    counts: FarCounts | None = None

    def pass_on(self, beats: Iterable[Heartbeat], customers: Mapping[str, int]) -> None:
        """Durable on return, with how many customers of each tenant are looked for.

        One that came before is passed over, since something newer has gone on already.
        """
        for beat in beats:
            if not self.pulse.is_news(beat):
                continue
            self.findings.spread(passed_on(beat, customers, self.signer))
            self.pulse.arrived(beat)
            if self.coverage and beat.coverage:
                self.coverage.show(beat.origin, beat.coverage)
            if self.counts:
                self.counts.show(beat.origin, beat.counts)
