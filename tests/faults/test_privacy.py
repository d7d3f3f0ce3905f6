"""On real servers as on one machine: no leaked value is at rest in clear, after a crash as well;
and the sweep can tell.

Everything that Kafka and Elasticsearch hold is read back through their clients, for both may keep
blocks compressed on disk; the files of both are searched besides, with the data folder and the
logs.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from alerts.records import CLASSES
from alerts.store.elasticsearch_cluster import index_name
from deploy.local.elasticsearch import Server
from deploy.local.kafka import Broker
from tests.faults.rig import Rig
from tests.flow import hostile, sweep
from tests.flow.victim import (
    AUTHOR,
    LEAK,
    LEAKED,
    OTHERS,
    PASSWORD,
    PLANTED,
    POST,
    SLUG,
    TITLE,
    VICTIM,
)
from ullage.bus import TOPICS, Record
from ullage.settings import Context

pytestmark = pytest.mark.servers

POSTS = 20


def plant(rig: Rig) -> None:
    """Ingest posts whose title, author, address and text all give the victim away."""
    common = {
        "site": f"{VICTIM.name} {VICTIM.phone}",
        "category": PASSWORD,
        "title": TITLE,
        "author": AUTHOR,
    }
    lines = [
        {**common, "url": f"{SLUG}/{n}", "text": f"{n}\n{POST}"} for n in range(POSTS)
    ] + hostile.lines()
    rig.ask("ingest", "-", text="\n".join(json.dumps(line, ensure_ascii=False) for line in lines))


def prefix(rig: Rig) -> str:
    """Return the prefix of the rig's indexes."""
    return rig.store_url.partition("prefix=")[2].partition("&")[0]


def on_kafka(rig: Rig) -> Iterator[bytes]:
    """Yield every record of every topic: value, key and headers."""
    with contextlib.closing(Context(rig.data).bus()) as bus:
        for topic in TOPICS:
            records: list[Record] = []
            with contextlib.closing(bus.subscribe(topic, "sweep")) as subscription:
                waiting = subscription.lag().records
                while len(records) < waiting:
                    records += subscription.poll(100, 1.0)
            for record in records:
                yield record.value + f"{record.key} {dict(record.headers)}".encode()


def on_elasticsearch(rig: Rig, node: Server) -> Iterator[bytes]:
    """Yield every document whole, and the words that the index keeps of it."""
    with contextlib.closing(node.client()) as admin:
        for kind in CLASSES:
            name = index_name(prefix(rig), kind)
            admin.indices.refresh(index=name)
            for hit in admin.search(index=name, size=5000, query={"match_all": {}})["hits"]["hits"]:
                yield json.dumps(hit, ensure_ascii=False, default=str).encode()
                if kind.searchable:
                    vectors = admin.termvectors(index=name, id=hit["_id"], fields=["words"])
                    yield json.dumps(vectors.body, ensure_ascii=False).encode()


def hits(rig: Rig, node: Server) -> set[str]:
    """Return the planted values that are readable on the servers."""
    read = [*on_kafka(rig), *on_elasticsearch(rig, node)]
    assert len(read) > POSTS
    return {value for data in read for value, _ in sweep.find(data, PLANTED)}


def test_no_planted_value_is_on_the_servers_in_any_form(
    make_rig: Callable[..., Rig], node: Server, broker: Broker
) -> None:
    rig = make_rig(customers=[VICTIM, *OTHERS])
    plant(rig)
    rig.run_until_it_dies("match", 1, "match")
    rig.drain("match")
    rig.run_until_it_dies("fold", 4, "alert")
    rig.drain("alert")
    assert rig.sightings() == POSTS + len(hostile.lines())
    assert hits(rig, node) == set()
    folders = [rig.data, node.home / "data", node.home / "logs", node.work, broker.work]
    assert sweep.files([folder for folder in folders if folder.is_dir()], PLANTED) == []


def test_server_sweep_fails_when_a_leak_is_switched_on(
    make_rig: Callable[..., Rig], node: Server
) -> None:
    rig = make_rig(customers=[VICTIM, *OTHERS])
    plant(rig)
    words = [sys.executable, "-c", LEAK, "--data", str(rig.data), "match", "--once"]
    assert (
        subprocess.run(words, capture_output=True, env={**os.environ}, check=False).returncode == 0
    )
    rig.drain("alert")
    assert hits(rig, node) >= LEAKED
