"""Both buses against their bare clients doing the same: as durable, with the same rows, keys, headers and settings.

Appends and reads of 4 KiB, 64 KiB and 4 MiB, in batches of at most 100 records and 4 MiB. Wall time, ours and bare in turn, the
best of three rounds each: the disk and the broker are waited for, and are the same for both.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer

from harness.bench.table import ROUNDS, row
from ullage.bus import CAPTURES, Outgoing, Publisher, Retention, open_bus
from ullage.bus.kafka.address import parse
from ullage.bus.kafka.client import consumer_settings
from ullage.bus.kafka.publisher import producer_settings
from ullage.bus.sqlite import SCHEMA
from ullage.clock import Clock

KIB = 1024
SIZES = {"4 KiB": (4 * KIB, 4000), "64 KiB": (64 * KIB, 640), "4 MiB": (4 * KIB * KIB, 24)}
"""Bytes of a record, and how many a round."""
HEADERS = {"site": "pastes", "id": "c0ffee00c0ffee00", "schema": "1", "key_id": "20260921"}
KEEP = {CAPTURES: Retention(86400.0, 64 * 2**30)}
Act = Callable[[], object]


def in_turn(ours: Act, bare: Act) -> tuple[float, float]:
    """Seconds of the best round of each."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for act, own in zip((ours, bare), times, strict=True):
            start = time.monotonic()
            act()
            own.append(time.monotonic() - start)
    return min(times[0]), min(times[1])


def batches(size: int, count: int) -> list[list[Outgoing]]:
    """`count` records with keys of their own, as crawl would append them."""
    at_once = max(1, min(100, 4 * KIB * KIB // size))
    records = [Outgoing(secrets.token_hex(16), os.urandom(size), HEADERS) for _ in range(count)]
    return [records[start : start + at_once] for start in range(0, count, at_once)]


def tell(bus: str, size: str, count: int, what: str, seconds: tuple[float, float]) -> None:
    """A line of the table."""
    ours, bare = seconds
    row(f"{bus} {what} {size}, records/s", f"{count / ours:,.0f}", f"client {count / bare:,.0f}", bare / ours)


def sqlite(folder: Path) -> None:
    """The embedded bus against the standard library's SQLite."""
    for size in SIZES:
        _sqlite(folder / size.replace(" ", ""), size)


def _sqlite(folder: Path, size: str) -> None:
    length, count = SIZES[size]
    sent = batches(length, count)
    bus = open_bus("sqlite:///bus", folder, KEEP, Clock())
    publisher = bus.publisher(CAPTURES)
    plain = sqlite3.connect(folder / "plain.sqlite", isolation_level=None)
    for line in ("pragma journal_mode=wal", "pragma synchronous=full", "pragma secure_delete=on"):
        plain.execute(line)
    plain.executescript(SCHEMA)
    tell("sqlite", size, count, "append", in_turn(partial(_append, publisher, sent), lambda: _insert(plain, sent)))

    def read() -> None:
        subscription = bus.subscribe(CAPTURES, secrets.token_hex(4))
        while subscription.poll(len(sent[0]), 0.0):
            pass
        subscription.close()

    tell("sqlite", size, count * ROUNDS, "read", in_turn(read, lambda: _select(plain, len(sent[0]))))
    publisher.close()
    plain.close()


def _insert(plain: sqlite3.Connection, sent: Sequence[Sequence[Outgoing]]) -> None:
    for batch in sent:
        now = time.time()
        plain.execute("begin immediate")
        plain.executemany(
            "insert into records (timestamp, key, headers, value) values (?, ?, ?, ?)",
            [(now, r.key, json.dumps(r.headers), r.value) for r in batch],
        )
        plain.execute("commit")


def _select(plain: sqlite3.Connection, at_once: int) -> None:
    place = 1
    page = "select offset, timestamp, key, headers, value from records where offset >= ? order by offset limit ?"
    while rows := plain.execute(page, (place, at_once)).fetchall():
        for found in rows:
            json.loads(found[3])
        place = rows[-1][0] + 1


def kafka(folder: Path, url: str) -> None:
    """The broker's bus against kafka-python with the same settings."""
    for size in SIZES:
        _kafka(folder, f"{url}?create=1&partitions=2&prefix={secrets.token_hex(4)}.", size)


def _kafka(folder: Path, url: str, size: str) -> None:
    length, count = SIZES[size]
    sent = batches(length, count)
    bus, other = open_bus(f"{url}ours.", folder, KEEP, Clock()), open_bus(f"{url}bare.", folder, KEEP, Clock())
    publisher = bus.publisher(CAPTURES)
    other.publisher(CAPTURES).close()  # makes the topic
    address = parse(f"{url}bare.".partition("://")[2], folder)
    topic, producer = address.topic(CAPTURES), KafkaProducer(**producer_settings(address))
    publisher.append(sent[0][:1])
    producer.send(topic, sent[0][0].value).get(30)  # both are connected
    append = in_turn(partial(_append, publisher, sent), partial(_send, producer, topic, sent))
    tell("kafka", size, count, "append", append)
    total = count * ROUNDS + 1

    def read() -> None:
        subscription, left = bus.subscribe(CAPTURES, secrets.token_hex(4)), total
        while left > 0:
            left -= len(subscription.poll(100, 5.0))
        subscription.close()

    def bare() -> None:
        consumer, left = KafkaConsumer(topic, **consumer_settings(address, secrets.token_hex(4))), total
        while left > 0:
            left -= sum(map(len, consumer.poll(timeout_ms=5000, max_records=100).values()))
        consumer.close()

    tell("kafka", size, total, "read", in_turn(read, bare))
    producer.close()
    bus.close()
    other.close()


def _append(publisher: Publisher, sent: Sequence[Sequence[Outgoing]]) -> None:
    for batch in sent:
        publisher.append(batch)


def _send(producer: KafkaProducer, topic: str, sent: Sequence[Sequence[Outgoing]]) -> None:
    for batch in sent:
        headers = [(name, value.encode()) for name, value in HEADERS.items()]
        waiting = [producer.send(topic, r.value, r.key.encode(), headers) for r in batch]
        for future in waiting:
            future.get(120)
