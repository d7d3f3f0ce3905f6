"""Dead letters: what could not be processed, sealed, with the reason, for a person to look at and replay.

The original record, whole, is sealed to match's public key, whatever it was; only stage, topic, reason and a random id are in
clear. A letter that was replayed `MAX_REPLAYS` times comes back no more: it is parked under the reason it last had.
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass

from ullage.bus import DEAD_LETTERS, Bus, Outgoing, Record
from ullage.errors import RecordError
from ullage.sealing import Opener, Sealer

SCHEMA = 1
PURPOSE = "dead-letter"
MAX_REPLAYS = 3
REPLAYS = "replays"


@dataclass(frozen=True, slots=True)
class Letter:
    """The clear part of a dead letter."""

    id: str
    stage: str
    topic: str
    reason: str
    timestamp: float
    replays: int


class DeadLetters:
    """Writes letters of one stage."""

    def __init__(self, bus: Bus, sealer: Sealer, stage: str) -> None:
        self._publisher, self._sealer, self._stage = bus.publisher(DEAD_LETTERS), sealer, stage

    def put(self, record: Record, reason: str) -> None:
        """Seal `record` and append it; durable on return."""
        original = {"key": record.key, "headers": dict(record.headers), "value": base64.b64encode(record.value).decode()}
        sealed = self._sealer.seal(json.dumps(original).encode(), purpose=PURPOSE, topic=record.topic, schema=SCHEMA)
        headers = {
            "id": secrets.token_hex(8),
            "stage": self._stage,
            "topic": record.topic,
            "reason": reason,
            "schema": str(SCHEMA),
            "key_id": self._sealer.key_id,
            REPLAYS: record.headers.get(REPLAYS, "0"),
        }
        self._publisher.append([Outgoing(headers["id"], sealed, headers)])

    def close(self) -> None:
        """Close the topic."""
        self._publisher.close()


def read(record: Record) -> Letter:
    """The clear part of a letter as it lies on the bus."""
    h = record.headers
    return Letter(h["id"], h["stage"], h["topic"], h["reason"], record.timestamp, int(h.get(REPLAYS, "0")))


def unseal(record: Record, opener: Opener) -> Outgoing:
    """The original record, ready to be appended to its topic again with one replay more.

    Raises RecordError `parked` after three replays, or what opening it raises.
    """
    letter = read(record)
    if letter.replays >= MAX_REPLAYS:
        raise RecordError("parked")
    plain = opener.open(
        record.value, purpose=PURPOSE, topic=letter.topic, schema=int(record.headers["schema"]), key_id=record.headers["key_id"]
    )
    original = json.loads(plain)
    headers = {**original["headers"], REPLAYS: str(letter.replays + 1)}
    return Outgoing(original["key"], base64.b64decode(original["value"]), headers)
