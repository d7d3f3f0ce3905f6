"""Signs captures, seals them to match's public key and makes them durable on the bus: the only door out of this stage."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from ullage.bus import CAPTURES, Outgoing, Publisher
from ullage.records import CAPTURE_SCHEMA, Capture
from ullage.security.sealing import Sealer
from ullage.security.signing import Signer

BATCH = 100
PURPOSE = "capture"


def new_id() -> str:
    """A capture's id: random, since it stands in clear beside the seal."""
    return secrets.token_hex(16)


class CaptureOutbox:
    """Appends to topic `captures`. In clear beside the seal stand a capture's id and site: a configured name or `other`."""

    def __init__(self, publisher: Publisher, sealer: Sealer, signer: Signer) -> None:
        self._publisher, self._sealer, self._signer = publisher, sealer, signer

    def append(self, captures: Sequence[Capture]) -> None:
        """Durable on return. Raises UnavailableError while the bus is down, RecordError for a capture beyond the size limit."""
        self.put(self.seal(captures))

    def seal(self, captures: Sequence[Capture]) -> list[Outgoing]:
        """What `put` takes; RecordError as of `append`."""
        return [self._seal(capture) for capture in captures]

    def put(self, records: Sequence[Outgoing]) -> None:
        """Append what is sealed."""
        for first in range(0, len(records), BATCH):
            self._publisher.append(records[first : first + BATCH])

    def _seal(self, capture: Capture) -> Outgoing:
        signed = self._signer.enclose(capture.encode(), PURPOSE)
        sealed = self._sealer.seal(signed, purpose=PURPOSE, topic=CAPTURES, schema=CAPTURE_SCHEMA)
        headers = {"site": capture.site, "id": capture.id, "schema": str(CAPTURE_SCHEMA), "key_id": self._sealer.key_id}
        return Outgoing(capture.id, sealed, headers)
