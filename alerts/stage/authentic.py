"""Whom alert believes: a finding or a heartbeat is taken when match, or `assess`, signed it, and else becomes a dead letter.

Of schemas that had no signature only what lay on the topic before alert first ran as this version is taken
(`ullage.runtime.cutover`).
"""

from __future__ import annotations

from dataclasses import dataclass

from ullage.bus import FINDINGS, Record
from ullage.errors import RecordError
from ullage.records import finding, heartbeat
from ullage.records.heartbeat import PURPOSE, is_heartbeat
from ullage.runtime.cutover import Cutover
from ullage.security.signing import SIGNATURE, SIGNER, Verifier, record_parts


@dataclass(frozen=True, slots=True)
class Authentic:
    """Looks at records of topic `findings`."""

    verifier: Verifier
    cutover: Cutover

    def check(self, record: Record) -> None:
        """RecordError `downgrade`, `unknown_signer` or `not_authentic` for a record that anybody could have sent."""
        headers = record.headers
        beat = is_heartbeat(headers)
        purpose, since = (PURPOSE, heartbeat.SIGNED_SINCE) if beat else ("finding", finding.SIGNED_SINCE)
        schema = headers.get("schema", "")
        if not (schema.isascii() and schema.isdigit()):
            raise RecordError("schema")
        if int(schema) < since:
            if not self.cutover.accepts(record):
                raise RecordError("downgrade")
            return
        parts = record_parts(FINDINGS, headers, record.value)
        self.verifier.verify(headers.get(SIGNER, ""), headers.get(SIGNATURE, ""), purpose, *parts)
