"""Whom match believes: captures and heartbeats are opened and their signatures looked at; what match publishes it signs.

A capture of a signer that is not known is matched like any, but its site is `other`: nobody else can speak for a site of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ullage.bus import CAPTURES, FINDINGS, Outgoing, Record
from ullage.errors import RecordError
from ullage.monitoring.metrics import OTHER
from ullage.records import FINDING_SCHEMA, SIGNED_SINCE, Capture, Finding
from ullage.records import heartbeat as beats
from ullage.records.heartbeat import Heartbeat
from ullage.runtime.cutover import Cutover
from ullage.security.sealing import Opener
from ullage.security.signing import Signer, Verifier, record_parts

PURPOSE = "capture"
FINDING = "finding"


@dataclass(slots=True)
class Reception:
    """Opens what lies on topic `captures`. `unknown` is told of each capture whose signer is not known."""

    opener: Opener
    verifier: Verifier
    cutover: Cutover
    unknown: Callable[[], None] = field(default=lambda: None)

    def capture(self, record: Record) -> Capture:
        """The capture in `record`; RecordError says why there is none."""
        schema = _schema(record)
        plain, known = self._opened(record, PURPOSE, schema, signed=schema >= SIGNED_SINCE)
        capture = Capture.decode(plain, schema)
        if known:
            return capture
        self.unknown()
        return capture.model_copy(update={"site": OTHER, "category": ""})

    def heartbeat(self, record: Record) -> Heartbeat:
        """The heartbeat in `record`; RecordError `unknown_signer` or `downgrade` for one that anybody could have sent."""
        schema = _schema(record)
        signed = schema >= beats.HEARTBEAT_SCHEMA
        plain, known = self._opened(record, beats.PURPOSE, schema, signed=signed)
        if not known:
            raise RecordError("unknown_signer" if signed else "downgrade")
        return Heartbeat.decode(plain, str(schema))

    def _opened(self, record: Record, purpose: str, schema: int, *, signed: bool) -> tuple[bytes, bool]:
        """What was sealed, and whether it is by somebody known."""
        key_id = record.headers.get("key_id", "")
        plain = self.opener.open(record.value, purpose=purpose, topic=CAPTURES, schema=schema, key_id=key_id)
        return self.verifier.disclose(plain, purpose) if signed else (plain, self.cutover.accepts(record))


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


def passed_on(beat: Heartbeat, enrolled: int, signer: Signer) -> Outgoing:
    """A heartbeat as it goes on to `findings`, signed by match, which looks for `enrolled` customers."""
    bare = beat.bare(enrolled)
    headers, value = bare.headers(), bare.encode()
    return Outgoing(bare.id, value, headers | signer.headers(beats.PURPOSE, *record_parts(FINDINGS, headers, value)))
