"""What the incident store costs: loading exposures beside the bare client doing the same, then the
commonest questions.

`ULLAGE_BENCH_EXPOSURES` makes the load smaller for a try. Times are wall times of the store alone:
what is put is made between them, in batches, so that memory has a bound. Both stores run beside the
benchmark on the same cores.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import multiprocessing
import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from alerts.grouping.placement import find_holdings
from alerts.records import Decision, Exposure, Incident, build_holding, exposure_id
from alerts.records.document import Document
from alerts.store import PATIENCE, DocumentFilter, IncidentStore, open_store
from alerts.store.elasticsearch import ANSWERED, ElasticsearchStore
from alerts.store.elasticsearch_cluster import connect, index_name, read_url, serialize
from alerts.store.queries import statuses
from alerts.store.sqlite import SqliteStore
from alerts.store.sqlite_queries import to_microseconds
from deploy.local.elasticsearch import ADMIN, Server, elasticsearch
from tests.alerts.builders import incident
from ullage.errors import UnavailableError
from ullage.security.keys import KeyStore

Row = Callable[[str, str, str, float], None]
COUNT = int(os.environ.get("ULLAGE_BENCH_EXPOSURES", "1000000"))
BATCH, PEOPLE = 1000, 2000
CLIENTS, ROUNDS = (1, 8), 40
GOAL_MILLISECONDS = 100.0
T0 = datetime(2026, 1, 1, tzinfo=UTC)
WHO, WHAT = (
    ("某银行", "支付平台", "證券公司", "City Bank"),
    ("客户信息", "用户数据", "信用卡四件套", "VIP list", "手机号·姓名"),
)


def exposures(count: int) -> Iterator[list[Exposure]]:
    """Batches of synthetic exposures, the same at every run: 2,000 customers an incident, two to
    four tags a customer.
    """
    rng = random.Random(7)
    for start in range(0, count, BATCH):
        yield [_exposure(n, rng) for n in range(start, min(start + BATCH, count))]


def _exposure(n: int, rng: random.Random) -> Exposure:
    subject, incident, when = (
        rng.randbytes(16).hex(),
        f"INC-{n // PEOPLE:010d}",
        T0 + timedelta(seconds=n),
    )
    return Exposure(
        id=exposure_id(incident, subject), tenant=("bank", "shop")[n // PEOPLE % 2],
        incident=incident, subject=subject,
        kinds=("card", "phone"), forms=("plain",), fields=("NAME", "PHONE", "CARD"),
        own_fields=("PHONE",),
        groups=(("NAME", "PHONE", "CARD"),), sites=("paste",), sightings=(f"f{n // PEOPLE}",),
        index_tags=tuple(_tag(n, i) for i in range(2 + n % 3)), index_epoch=1, first_seen=when,
        last_seen=when,
        confidence=80, corroborated=True,
    )  # fmt: skip


def _tag(n: int, i: int) -> str:
    return hashlib.sha256(f"{n} {i}".encode()).hexdigest()[:32]


def _incident(n: int) -> Incident:
    return incident(
        f"INC-{n:010d}",
        T0 + timedelta(minutes=n),
        tenant=("bank", "shop")[n % 2],
        severity=("low", "medium", "high")[n % 3],
        sites=(f"site{n % 7}",),
        authors=(f"user{n % 50}",),
        sketch=tuple(f"{n:08x}{i:08x}" for i in range(256)),
        titles=(f"出售{WHO[n % 4]}{WHAT[n % 5]} {n}",),
    )


def others(count: int) -> Iterator[list[Document]]:
    """Yield the other documents that the questions need.

    These are the incidents, 256 claims of each, and a decision on every tenth.
    """
    incidents = range(max(1, count // PEOPLE))
    for n in incidents:
        yield [
            build_holding(
                "bank", f"INC-{n:010d}", (f"bank:candidates:{n:08x}{i:08x}" for i in range(256)), T0
            )
        ]
    yield [_incident(n) for n in incidents]
    yield [
        Decision(
            id=f"d{n}", tenant="bank", incident=f"INC-{n:010d}", at=T0, by="Li", status="confirmed"
        )
        for n in incidents
        if n % 10 == 0
    ]


@dataclass(frozen=True, slots=True)
class QueryRound:
    """What one round asks about, drawn anew each time."""

    incident: str
    page: Sequence[str]
    tags: Sequence[str]
    claims: Sequence[str]

    @classmethod
    def draw(cls, rng: random.Random) -> QueryRound:
        """Draw a round of queries.

        It has some incident, a page of 50 of them, twelve keyed hashes as a lookup makes, and a
        finding's claims.
        """
        n = rng.randrange(max(1, COUNT // PEOPLE))
        claims = [f"bank:candidates:{n:08x}{i:08x}" for i in range(256)]
        page = [f"INC-{max(0, n - i):010d}" for i in range(50)]
        return cls(
            f"INC-{n:010d}", page, [_tag(rng.randrange(COUNT), i) for i in range(12)], claims
        )


QUESTIONS: dict[str, Callable[[IncidentStore, QueryRound], object]] = {
    "page of incidents": lambda s, _: s.search(Incident, DocumentFilter(), 50),
    "page by filter": lambda s, _: s.search(
        Incident, DocumentFilter({"tenant": ("bank",), "severity": ("high",)}), 50
    ),
    "page by words": lambda s, _: s.search(Incident, DocumentFilter(text="银行 客户"), 50),
    "statuses of a page": lambda s, a: statuses(s, a.page),
    "count by severity": lambda s, _: s.count(Incident, DocumentFilter({"severity": ("high",)})),
    "one incident": lambda s, a: s.get(Incident, a.incident),
    "its newest customers": lambda s, a: s.search(
        Exposure, DocumentFilter({"incident": (a.incident,)}), 200
    ),
    "look-up of a person": lambda s, a: list(
        s.scroll(Exposure, DocumentFilter({"tenant": ("bank",), "index_tags": a.tags}))
    ),
    "exposures of a tenant": lambda s, _: s.count(Exposure, DocumentFilter({"tenant": ("bank",)})),
    "claims of a finding": lambda s, a: find_holdings(s, a.claims),
}


def ask(url: str, data: Path, seed: int) -> list[tuple[str, float]]:
    """Return the milliseconds of each question, asked ROUNDS times by one client."""
    rng, times = random.Random(seed), list[tuple[str, float]]()
    with contextlib.closing(open_store(url, data)) as store:
        for question in QUESTIONS.values():
            # the connection, and what a client loads on first use
            question(store, QueryRound.draw(rng))
        for _ in range(ROUNDS):
            queries = QueryRound.draw(rng)
            for name, question in QUESTIONS.items():
                start = time.monotonic()
                question(store, queries)
                times.append((name, (time.monotonic() - start) * 1000))
    return times


def questions(row: Row, what: str, url: str, data: Path) -> None:
    """Median and 99th percentile over all questions, then the slowest question's, with one
    client and with eight processes.
    """
    for clients in CLIENTS:
        with ProcessPoolExecutor(clients, multiprocessing.get_context("spawn")) as pool:
            times = [
                t
                for pending in [pool.submit(ask, url, data, seed) for seed in range(clients)]
                for t in pending.result()
            ]
        by_name = {name: sorted(t for n, t in times if n == name) for name in QUESTIONS}
        worst = max(by_name, key=lambda name: quantile(by_name[name], 0.99))
        p50, p99 = (quantile(sorted(t for _, t in times), q) for q in (0.5, 0.99))
        row(
            f"{what}, {clients} clients, ms",
            f"p50 {p50:.1f} p99 {p99:.1f}",
            f"goal p99 {GOAL_MILLISECONDS:.0f}",
            GOAL_MILLISECONDS / p99,
        )
        slow = quantile(by_name[worst], 0.99)
        row(
            f"  slowest: {worst}",
            f"p50 {quantile(by_name[worst], 0.5):.1f} p99 {slow:.1f}",
            "",
            GOAL_MILLISECONDS / slow,
        )


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which `share` of `ordered` lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


Sides = tuple[float, float]
"""Seconds of ours, seconds of the bare client."""


def race(
    ours: Callable[[Any], object],
    bare: Callable[[Any], object],
    made: Callable[[list[Exposure]], Any],
) -> Sides:
    """Load every exposure on both sides, a batch each in turn, so that both meet the same
    warm-up, size and neighbours.
    """
    seconds = [0.0, 0.0]
    for turn, batch in enumerate(exposures(COUNT)):
        acts = [(0, ours, batch), (1, bare, made(batch))]
        for side, act, arguments in acts if turn % 2 else reversed(acts):
            start = time.monotonic()
            act(arguments)
            seconds[side] += time.monotonic() - start
    return seconds[0], seconds[1]


def measure_embedded(row: Row, folder: Path) -> None:
    """Measure SQLite against `executemany` of the same rows.

    They go into the same tables and indexes, with a transaction per batch.
    """
    SqliteStore(folder / "bare.sqlite").close()
    numbers = itertools.count(1)

    def rows(batch: list[Exposure]) -> tuple[list[Any], list[Any]]:
        placed = list(zip(batch, numbers, strict=False))
        return (
            [
                (
                    n,
                    e.id,
                    to_microseconds(e.last_seen),
                    e.tenant,
                    e.incident,
                    e.subject,
                    e.model_dump_json(),
                )
                for e, n in placed
            ],
            [
                (field, value, n)
                for e, n in placed
                for field in Exposure.sets
                for value in getattr(e, field)
            ],
        )

    def write(given: tuple[list[Any], list[Any]]) -> None:
        bare.execute("begin immediate")
        bare.executemany("insert into exposure values (?, ?, ?, ?, ?, ?, ?)", given[0])
        bare.executemany("insert into exposure_sets values (?, ?, ?)", given[1])
        bare.execute("commit")

    with (
        contextlib.closing(SqliteStore(folder / "ours.sqlite")) as store,
        contextlib.closing(sqlite3.connect(folder / "bare.sqlite", isolation_level=None)) as bare,
    ):
        bare.execute("pragma synchronous=full")
        ours, other_seconds = race(store.put, write, rows)
        put_others(store)
    row(
        "put exposures, SQLite, /s",
        f"{COUNT / ours:,.0f}",
        f"sqlite3 {COUNT / other_seconds:,.0f}",
        other_seconds / ours,
    )
    (folder / "bare.sqlite").unlink()
    questions(row, "questions, SQLite", "sqlite:///ours.sqlite", folder)


def put_others(store: IncidentStore) -> None:
    """Untimed: what else the questions need."""
    for documents in others(COUNT):
        store.put(documents)
    store.refresh()


def measure_distributed(row: Row, folder: Path) -> None:
    """Measure Elasticsearch against the bare client sending the same bytes in equal bulks."""
    with elasticsearch(folder / "node") as server:
        for keys, user, password in (
            ("keys", "", server.password),
            ("admin", ADMIN, server.admin_password),
        ):
            _keep(folder / keys, password, user)
        urls = [server.url(f"ullage-{name}-") for name in ("ours", "bare")]
        for url in urls:
            with contextlib.closing(open_store(url, folder, folder / "admin")) as admin:
                assert isinstance(admin, ElasticsearchStore)
                admin.create_templates()
        with (
            contextlib.closing(open_store(urls[0], folder)) as store,
            contextlib.closing(
                connect(read_url(urls[1], folder), KeyStore(folder / "keys"), PATIENCE)
            ) as client,
        ):
            ours, bare = race(
                store.put, lambda lines: client.bulk(operations=lines, filter_path=ANSWERED), _lines
            )
            put_others(store)
        row(
            "put exposures, Elasticsearch, /s",
            f"{COUNT / ours:,.0f}",
            f"client.bulk {COUNT / bare:,.0f}",
            bare / ours,
        )
        _drop(server, "ullage-bare-")
        questions(row, "questions, Elasticsearch", urls[0], folder)


def _lines(batch: list[Exposure]) -> list[str | bytes]:
    index = index_name("ullage-bare-", Exposure)
    return [
        line
        for e in batch
        for line in (f'{{"index":{{"_index":"{index}","_id":"{e.id}"}}}}', serialize(e))
    ]


def _drop(server: Server, prefix: str) -> None:
    with contextlib.closing(server.client()) as client:
        client.indices.delete(index=index_name(prefix, Exposure))


def _keep(keys: Path, password: str, user: str) -> None:
    keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in (("store.password", password), ("store.user", user)):
        if text:
            (keys / name).touch(mode=0o600)
            (keys / name).write_text(text, encoding="utf-8")


def store_rows(row: Row, folder: Path) -> None:
    """Print every line of the table about stores.

    Those of Elasticsearch are left out, with the reason, where it is not available.
    """
    folder = folder / "store"
    folder.mkdir(mode=0o711)
    measure_embedded(row, folder)
    try:
        measure_distributed(row, folder)
    except UnavailableError as error:
        print(f"Elasticsearch is left out: {error}")
