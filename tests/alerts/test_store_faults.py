"""The Elasticsearch store while its real server stands still, is full or dies; and that what is
erased leaves its disk.
"""

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from alerts.records import CLASSES, Claim, Exposure, Incident
from alerts.records.document import Document
from alerts.service.upkeep import erase, expire
from alerts.store import PAGE_PATIENCE, DocumentFilter, IncidentStore, WriteResult, open_store
from alerts.store.elasticsearch import BULK_ITEMS
from alerts.store.elasticsearch_cluster import index_name
from deploy.local.elasticsearch import Server, elasticsearch
from tests.contracts.test_incident_store import T0, claim, exposure, incident
from tests.factories import clocks_at
from tests.stores import ON_SERVERS, SERVERS, Backend, each_backend, empty_store, require
from ullage.errors import UnavailableError
from ullage.settings import StoreSettings

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]
backend = each_backend(*ON_SERVERS)
url = empty_store(CLASSES)
TIMEOUT = 3.0
SLACK = 10.0
"""A busy machine may take so much longer to notice that a time is over."""
RECOVERY_SECONDS = 300.0
"""What has not come by then does not come: a busy machine takes a minute for what an idle one
does in five seconds.
"""
T = TypeVar("T")


@pytest.fixture
def store(url: str, data: Path, tmp_path: Path) -> Iterator[IncidentStore]:
    with contextlib.closing(open_store(url, tmp_path)) as opened:
        yield opened


def again(act: Callable[[], T]) -> T:
    """Repeat a call until the server is available, as the worker does."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    while True:
        try:
            return act()
        except UnavailableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def prefix(url: str) -> str:
    return url.partition("prefix=")[2].partition("&")[0]


def test_frozen_server_times_out_and_nothing_is_duplicated(store, backend, url, tmp_path):
    documents = [claim(str(n)) for n in range(5)]
    backend.server.freeze()
    try:
        with contextlib.closing(open_store(f"{url}&timeout={TIMEOUT}", tmp_path)) as hasty:
            for call in (
                lambda: hasty.put(documents),
                lambda: hasty.create(documents),
                lambda: hasty.get(Claim, "x"),
            ):
                started = time.monotonic()
                with pytest.raises(UnavailableError, match="cannot be reached"):
                    call()
                assert time.monotonic() - started < TIMEOUT + SLACK
    finally:
        backend.server.thaw()
    # What was sent before is carried out late by the server: the same call again must end in the
    # same documents.
    assert set(again(lambda: store.put(documents))) <= {WriteResult.CREATED, WriteResult.REPLACED}
    assert again(lambda: store.create(documents)) == [False] * 5
    again(store.refresh)
    assert store.count(Claim, DocumentFilter()) == 5
    assert sorted(d.id for d in store.scroll(Claim, DocumentFilter())) == sorted(
        d.id for d in documents
    )


def test_frozen_server_fails_a_page_fast_and_is_used_again_later(store, backend, url, tmp_path):
    store.put([claim("1")])
    store.refresh()
    with contextlib.closing(open_store(url, tmp_path, patience=PAGE_PATIENCE)) as page:
        backend.server.freeze()
        try:
            started = time.monotonic()
            with pytest.raises(UnavailableError, match="cannot be reached"):
                page.count(Claim, DocumentFilter())
            assert time.monotonic() - started < 2 * PAGE_PATIENCE + SLACK
        finally:
            backend.server.thaw()
        assert again(lambda: page.count(Claim, DocumentFilter())) == 1


def test_server_short_of_memory_is_retried(store, backend):
    """A real 429: the node's breaker for requests under way is set lower than this one is long."""
    ids = [claim(str(n)).id for n in range(400)]
    breaker = "network.breaker.inflight_requests.limit"
    with contextlib.closing(backend.server.client()) as admin:
        admin.cluster.put_settings(persistent={breaker: "2kb"})
        try:
            with pytest.raises(UnavailableError, match="429 circuit_breaking_exception"):
                store.mget(Claim, ids)
        finally:
            admin.cluster.put_settings(persistent={breaker: None})
    assert store.mget(Claim, ids) == {}


def big(thread: int, n: int) -> Claim:
    return claim(f"{thread}-{n}", "x" * 20_000)


@pytest.mark.parametrize("version", SERVERS.values())
def test_writes_rejected_by_a_full_server_are_retried_until_stored(tmp_path, version):
    """Real 429s by indexing pressure, on a node of its own whose limit is below what eight
    writers send at once.
    """
    require(version)
    refused = list[str]()

    def write(own: IncidentStore, documents: Sequence[Document]) -> None:
        def act() -> None:
            try:
                own.put(documents)
            except UnavailableError as error:
                refused.append(str(error))
                raise

        again(act)

    with elasticsearch(
        tmp_path / "node", version, settings="indexing_pressure.memory.limit: 1mb\n"
    ) as server:
        full = Backend("full", server)
        with (
            full.url(tmp_path, (Claim,)) as url,
            contextlib.closing(open_store(url, tmp_path)) as store,
            ThreadPoolExecutor(8) as pool,
        ):
            list(
                pool.map(
                    lambda thread: [
                        write(store, [big(thread, n + i) for i in range(20)])
                        for n in range(0, 200, 20)
                    ],
                    range(8),
                )
            )
            store.refresh()
            assert store.count(Claim, DocumentFilter()) == 1600
    assert refused
    assert all("429 es_rejected_execution_exception" in error for error in refused)


def test_bulk_interrupted_by_a_killed_server_is_stored_once(store, backend, url):
    documents = [claim(str(n)) for n in range(40_000)]
    failed = list[UnavailableError]()

    def put() -> None:
        try:
            store.put(documents)
        except UnavailableError as error:
            failed.append(error)

    thread = threading.Thread(target=put)
    thread.start()
    with contextlib.closing(backend.server.client()) as admin:
        index = index_name(prefix(url), Claim)
        deadline = time.monotonic() + RECOVERY_SECONDS
        while time.monotonic() < deadline:
            admin.indices.refresh(index=index)
            # the first bulk is answered, the second is under way
            if admin.count(index=index)["count"] > BULK_ITEMS:
                break
    backend.server.kill()
    thread.join()
    assert len(failed) == 1
    backend.server.start()
    outcomes = again(lambda: store.put(documents))
    assert outcomes.count(WriteResult.REJECTED) == 0
    assert 0 < outcomes.count(WriteResult.REPLACED) < len(documents)
    again(store.refresh)
    assert store.count(Claim, DocumentFilter()) == len(documents)


LETTERS = "GHIJKLMNOPQRSTUVWXYZghijklmnopqrstuvwxyz"


def make_unique_text() -> str:
    """Return a value that can be found on disk: no four of its letters repeat elsewhere."""
    return "".join(secrets.choice(LETTERS) for _ in range(48))


def on_disk(server: Server, *texts: str) -> list[bool]:
    """Return which of `texts` some file of the node contains.

    Segments are compressed by a method that copies what it has not met in the last 64 KiB, so a
    planted value is found in them, as the control in the test shows. What is split in the term
    index is not found.
    """
    while True:
        try:
            files = sorted(path for path in (server.home / "data").rglob("*") if path.is_file())
            contents = [path.read_bytes() for path in files]
        except FileNotFoundError:
            # a merge has just removed it, and what it held may lie in a file that was not there yet
            continue
        return [any(text.encode() in content for content in contents) for text in texts]


def leaves_the_disk(server: Server, text: str, kept: str) -> None:
    """Return when `text` is gone while `kept` is there."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    while on_disk(server, text, kept) != [False, True]:
        assert time.monotonic() < deadline, "it is still on disk"
        time.sleep(0.2)


def wait_until_settled(server: Server, index: str) -> None:
    """Return when the node no longer keeps what is there for replicas that lag, which it does
    for half a minute.
    """
    deadline = time.monotonic() + RECOVERY_SECONDS
    with contextlib.closing(server.client()) as admin:
        admin.indices.flush(index=index)
        while True:
            shard = admin.indices.stats(index=index, level="shards")["indices"][index]["shards"][
                "0"
            ][0]
            leases = [lease["retaining_seq_no"] for lease in shard["retention_leases"]["leases"]]
            if leases and min(leases) > shard["seq_no"]["max_seq_no"]:
                return
            assert time.monotonic() < deadline
            time.sleep(0.5)


def test_erased_and_expired_documents_leave_the_servers_disk(store, backend, url):
    """The content at once, the id (with it the customer's handle) at the next run."""
    erased, expired, title, retained, handle = (make_unique_text() for _ in range(5))
    store.put([exposure(secrets.token_hex(24), 10) for _ in range(400)])
    store.put(
        [
            exposure(handle, 10, index_tags=(erased,)),
            exposure("old", incident="INC-1", index_tags=(expired,)),
            exposure(retained, 10),
        ]
    )
    store.put(
        [
            incident(titles=(title,)),
            *(incident(f"INC-{n}", 10, titles=(secrets.token_hex(24),)) for n in range(50)),
        ]
    )
    store.refresh()
    assert on_disk(backend.server, erased, expired, title, retained, handle) == [True] * 5
    for kind in (Exposure, Incident):
        wait_until_settled(backend.server, index_name(prefix(url), kind))
    assert erase(store, "bank", handle).total() == 1
    leaves_the_disk(backend.server, erased, retained)
    gone = expire(
        store,
        StoreSettings(exposures_days=1, incidents_days=1),
        clocks_at(T0 + timedelta(days=1, minutes=5)),
    )
    assert gone == {Exposure: 1, Incident: 1}
    for text in (expired, title):
        leaves_the_disk(backend.server, text, retained)
    wait_until_settled(backend.server, index_name(prefix(url), Exposure))
    assert expire(store, StoreSettings(), clocks_at(T0), owed=gone) == {}
    leaves_the_disk(backend.server, handle, retained)
    store.refresh()
    assert (store.count(Exposure, DocumentFilter()), store.count(Incident, DocumentFilter())) == (
        401,
        50,
    )
