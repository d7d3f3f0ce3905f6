"""A rig on the session's real broker and node, with topics and indexes of its own."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from deploy.demo.people import Person
from deploy.local.elasticsearch import Server
from deploy.local.kafka import Broker
from tests.crawlers.support import Answers, serving
from tests.faults.rig import Rig
from tests.stores import SERVERS, Backend, Nodes

VERSION = SERVERS["elasticsearch-9.5"]


@pytest.fixture
def node(elasticsearch_nodes: Nodes) -> Iterator[Server]:
    """Yield the node, which answers again after the test, whatever it did to it."""
    server = elasticsearch_nodes(VERSION)
    yield server
    server.thaw()
    if server.process is None or server.process.poll() is not None:
        server.start()


@pytest.fixture
def broker(kafka_broker: Broker) -> Iterator[Broker]:
    """Yield the broker, which answers again after the test, whatever it did to it."""
    yield kafka_broker
    if kafka_broker.pid:
        kafka_broker.thaw()
    else:
        kafka_broker.start()


@pytest.fixture
def server() -> Iterator[Answers]:
    with serving() as answers:
        yield answers


@pytest.fixture
def make_rig(tmp_path: Path, broker: Broker, node: Server) -> Iterator[Callable[..., Rig]]:
    """Yield a function that makes the rig; `more` holds further lines of the bus's table.

    Heartbeats go through it once a second, except where records are counted or the bus has to run
    empty.
    """
    data = tmp_path / "data"
    data.mkdir()
    with Backend("elasticsearch-9.5", node).url(data) as store_url:
        new_rig = Rig(data, tmp_path, store_url)

        def make(more: str = "", customers: Sequence[Person] = (), heartbeats: float = 1.0) -> Rig:
            new_rig.customers = list(customers) or new_rig.customers
            new_rig.set_up(
                f"{broker.url}?create=1&partitions=3&prefix={secrets.token_hex(4)}.",
                more,
                heartbeats,
            )
            return new_rig

        yield make
        new_rig.end()
