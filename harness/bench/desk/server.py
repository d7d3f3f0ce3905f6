"""The desk and alert's folding over a real Elasticsearch that holds what the embedded store of
`desk` holds.

Documents are copied, class by class, so that both stores answer of the same. Client, application
and server share the machine; a page's line says what each took of its processors, for wall times
are of all three and of whatever else runs.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from alerts.records import CLASSES
from alerts.records.document import Document
from alerts.store import DocumentFilter, IncidentStore, WriteResult, open_store
from alerts.store.elasticsearch import ElasticsearchStore
from deploy.local.elasticsearch import ADMIN, Server, elasticsearch
from harness.bench.desk import FilledStore, open_filled_store, pages
from harness.bench.desk.data import batches
from harness.bench.folding import PEOPLE, fold, line
from harness.bench.table import row
from tests.stores import keep
from ullage.errors import UnavailableError

HEAP = 1024
"""MiB of the server's, as much as a small node has."""
AT_ONCE, WRITERS, TRIES = 500, 2, 60
TICKS = os.sysconf("SC_CLK_TCK")


def measure_distributed(folder: Path) -> list[str]:
    """Measure the pages over Elasticsearch.

    The cost of grouping beside as many stored incidents is measured too.
    """
    with (
        elasticsearch(folder / "node", heap=HEAP) as server,
        open_filled_store() as embedded,
        copy_store(embedded, server, folder) as filled_store,
    ):
        missed = pages(filled_store, "Elasticsearch", lambda: cpu(server))
        for people in PEOPLE:
            cost = fold(
                filled_store.context, filled_store.store, people, "many", lambda: cpu(server)
            )
            line(f"fold, Elasticsearch, {people} customers", cost)
    return missed


@contextlib.contextmanager
def copy_store(embedded: FilledStore, server: Server, folder: Path) -> Iterator[FilledStore]:
    """Yield a store on this server with the same documents."""
    keep(folder / "keys", server.password)
    keep(folder / "admin", server.admin_password, ADMIN)
    url = server.url("ullage-desk-")
    with contextlib.closing(open_store(url, folder, folder / "admin")) as admin:
        assert isinstance(admin, ElasticsearchStore)
        admin.create_templates()
    with contextlib.closing(open_store(url, folder, folder / "keys")) as store:
        ours, theirs = time.process_time(), cpu(server)
        count = _copy(embedded.store, store)
        row(
            "copied, documents",
            f"{count:,}",
            f"CPU {time.process_time() - ours:.0f} s, server {cpu(server) - theirs:.0f} s",
        )
        yield replace(embedded, store=store)


def _copy(source: IncidentStore, target: IncidentStore) -> int:
    """Copy all documents, reading some while others are written, and return how many there are."""
    count, waiting = 0, deque[Future[list[WriteResult]]]()
    with ThreadPoolExecutor(WRITERS) as pool:
        for batch in (
            batch
            for kind in CLASSES
            for batch in batches(source.scroll(kind, DocumentFilter()), AT_ONCE)
        ):
            if len(waiting) > WRITERS:
                waiting.popleft().result()
            waiting.append(pool.submit(_put, target, batch))
            count += len(batch)
    for write in waiting:
        write.result()
    target.refresh()
    return count


def _put(target: IncidentStore, some: list[Document]) -> list[WriteResult]:
    """Written; a heap as small as this refuses now and then what it cannot hold yet (429), and
    is asked again a second later.
    """
    for _ in range(TRIES):
        with contextlib.suppress(UnavailableError):
            return target.put(some)
        time.sleep(1)
    return target.put(some)


def cpu(server: Server) -> float:
    """CPU-seconds of the server's processes so far, user and system."""
    assert server.process is not None
    group, total = server.process.pid, 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            fields = path.read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12]) if int(fields[2]) == group else 0
    return total / TICKS
