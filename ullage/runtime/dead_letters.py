"""Store and replay dead letters: records that could not be processed, with the reason.

A person looks at them and may replay them. The whole original record, as bytes (so that a record
of the largest size still fits the topic), is sealed to match's public key, whatever it was. Only
stage, topic, reason and a random id are in clear. A letter that was replayed `MAX_REPLAYS` times
is not replayed again: it stays parked under its last reason.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ullage.bus import DEAD_LETTERS, Bus, Outgoing, Publisher, Record, Subscription
from ullage.errors import RecordError
from ullage.records.base import frame, unframe
from ullage.security.sealing import Sealer, SealOpener

SCHEMA = 1
PURPOSE = "dead-letter"
MAX_REPLAYS = 3
REPLAYS = "replays"
TAKEN_AT, VOUCHED = "taken_at", "vouched"
"""Headers for the time at which the bus first took the record, and for a replay's proof of it.

A visit's grant is valid for hours.
"""
REPLAY_GROUP = "replay"
LIST_GROUP = "list"
BATCH = 100
POLL_SECONDS, EMPTY_POLLS = 1.0, 30
REASONS = (
    "schema",
    "malformed",
    "oversize",
    "not_authentic",
    "unknown_signer",
    "key_destroyed",
    "another_key",
    "rejected",
    "store_refused",
    "over_budget",
    "quarantined",
    "internal",
)
"""Reasons for which a record becomes a dead letter; a stage uses some of them."""


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
    """Writes the dead letters of one stage."""

    def __init__(self, bus: Bus, sealer: Sealer, stage: str) -> None:
        self._publisher, self._sealer, self._stage = bus.publisher(DEAD_LETTERS), sealer, stage

    def put(self, record: Record, reason: str) -> None:
        """Encrypt `record` and append it to the topic of dead letters, with `reason` in clear.

        The letter is durable on return. Raises UnavailableError while the bus is down.
        """
        clear = json.dumps(
            {"key": record.key, "headers": dict(record.headers), TAKEN_AT: record.timestamp}
        ).encode()
        plain = frame(clear, record.value)
        sealed = self._sealer.seal(plain, purpose=PURPOSE, topic=record.topic, schema=SCHEMA)
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
    """Return the clear part of a dead letter, without decrypting the original record.

    Raises RecordError `malformed` if a header is missing or the count of replays is no number.
    """
    h = record.headers
    try:
        return Letter(
            h["id"], h["stage"], h["topic"], h["reason"], record.timestamp, int(h.get(REPLAYS, "0"))
        )
    except (KeyError, ValueError):
        raise RecordError("malformed") from None


def unseal(record: Record, opener: SealOpener) -> Outgoing:
    """Return the original record of a dead letter, decrypted, to be appended to its topic again.

    Its count of replays is one higher, and its headers prove when the bus first received it. Raises
    RecordError `parked` after MAX_REPLAYS replays, `schema` for another version, `malformed`, or
    the error of decryption.
    """
    letter = read(record)
    if letter.replays >= MAX_REPLAYS:
        raise RecordError("parked")
    key_id, schema = record.headers.get("key_id", ""), record.headers.get("schema", "")
    if schema != str(SCHEMA):
        raise RecordError("schema")
    plain = opener.open(
        record.value, purpose=PURPOSE, topic=letter.topic, schema=SCHEMA, key_id=key_id
    )
    clear, value = unframe(plain)
    original = json.loads(clear)
    headers = {**original["headers"], REPLAYS: str(letter.replays + 1)}
    first = repr(find_taken_time(letter.topic, headers, value, original[TAKEN_AT], opener))
    mark = opener.vouch(letter.topic.encode(), first.encode(), value)
    return Outgoing(original["key"], value, {**headers, TAKEN_AT: first, VOUCHED: mark})


def find_taken_time(
    topic: str, headers: Mapping[str, str], value: bytes, timestamp: float, opener: SealOpener
) -> float:
    """Return when the bus first took a record (Unix seconds).

    That is the time in `headers` if a replay's proof for this topic, time and value is valid, else
    `timestamp`.
    """
    first = headers.get(TAKEN_AT, "")
    is_vouched = bool(first) and opener.is_vouched(
        headers.get(VOUCHED, ""), topic.encode(), first.encode(), value
    )
    return float(first) if is_vouched else timestamp


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """The result of `replay`: replayed letters, and remaining letters by reason."""

    replayed: int
    left: Mapping[str, int]


def replay(bus: Bus, opener: SealOpener) -> ReplayReport:
    """Append the original record of each waiting dead letter to its topic; return the counts.

    A letter that cannot be opened, or was replayed too often, is counted by reason; no later call
    tries it again. Each letter is replayed and then committed, so after a crash the last one may be
    replayed twice. Letters that arrive meanwhile wait for the next call.
    """
    subscription = bus.subscribe(DEAD_LETTERS, REPLAY_GROUP)
    publishers: dict[str, Publisher] = {}
    failures: Counter[str] = Counter()
    replayed = 0
    for record in _waiting(subscription):
        try:
            original, topic = unseal(record, opener), record.headers["topic"]
        except RecordError as error:
            failures[error.reason] += 1
        else:
            if topic not in publishers:
                publishers[topic] = bus.publisher(topic)
            publishers[topic].append([original])
            replayed += 1
        subscription.commit(record)
    for publisher in publishers.values():
        publisher.close()
    subscription.close()
    return ReplayReport(replayed, failures)


def waiting_or_parked(bus: Bus) -> Iterator[Letter]:
    """Yield the letters that a replay would take, and all parked ones, in the order of the bus.

    A letter is parked if it was replayed MAX_REPLAYS times. Invalid letters are left out. Nothing
    is committed.
    """
    places = bus.places(DEAD_LETTERS, REPLAY_GROUP)
    everything = bus.subscribe(DEAD_LETTERS, LIST_GROUP)
    for record in _waiting(everything):
        try:
            letter = read(record)
        except RecordError:  # an invalid letter; a replay counts it
            continue
        place = places.get(record.partition)
        if letter.replays >= MAX_REPLAYS or place is None or record.offset >= place.position:
            yield letter
    everything.close()


def _waiting(subscription: Subscription) -> Iterator[Record]:
    """Yield the records that the group has not handled by now, and no later ones.

    A broker takes seconds to return the first one.
    """
    waiting, empty = subscription.lag().records, 0
    while waiting > 0 and empty < EMPTY_POLLS:
        records = subscription.poll(min(waiting, BATCH), POLL_SECONDS)
        empty = 0 if records else empty + 1
        waiting -= len(records)
        yield from records
