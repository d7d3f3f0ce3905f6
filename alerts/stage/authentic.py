"""Whom alert believes: a finding or a heartbeat is taken when match, or `assess`, signed it, and else becomes a dead letter."""

from __future__ import annotations

from dataclasses import dataclass

from ullage.bus import FINDINGS, Record
from ullage.errors import RecordError
from ullage.records import FINDING_SCHEMA
from ullage.records.heartbeat import HEARTBEAT_SCHEMA, PURPOSE, is_heartbeat
from ullage.security.signing import SIGNATURE, SIGNER, Verifier, record_parts


@dataclass(frozen=True, slots=True)
class Authentic:
    """Looks at records of topic `findings`."""

    verifier: Verifier

    def check(self, record: Record) -> None:
        """RecordError `schema` for a record of another version, `unknown_signer` or `not_authentic` for one of somebody else."""
        headers = record.headers
        purpose, schema = (PURPOSE, HEARTBEAT_SCHEMA) if is_heartbeat(headers) else ("finding", FINDING_SCHEMA)
        if headers.get("schema") != str(schema):
            raise RecordError("schema")
        parts = record_parts(FINDINGS, headers, record.value)
        self.verifier.verify(headers.get(SIGNER, ""), headers.get(SIGNATURE, ""), purpose, *parts)
