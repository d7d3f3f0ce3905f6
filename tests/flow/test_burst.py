"""A minute's worth of posts at a hundred times the usual pace, all at once: memory is bounded,
health is answered throughout.

Usual is one post a second, of about 2 kB. What was measured is logged: pytest -o log_cli=true -o
log_cli_level=INFO.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from alerts.records import Exposure
from alerts.store import DocumentFilter, open_configured_store
from deploy.demo.people import people
from tests.flow.daemon import Daemon, page, until
from ullage.settings import Context

log = logging.getLogger("faults")
MIB = 2**20
MOST = 512 * MIB
"""Bytes that a role may hold."""
FILLER = "今天天气很好，大家一起去公园散步，看到许多花。" * 28
CUSTOMERS = 60
LOOK_SECONDS = 0.2
LENGTHS = [pytest.param(600, marks=pytest.mark.flow), pytest.param(6_000, marks=pytest.mark.faults)]
"""Posts: a short form for every run, a whole minute for `make test-faults`."""


@dataclass
class Watch:
    """Asks every role for its health and looks at its memory, again and again until it is ended."""

    ports: dict[str, int]
    pids: list[int]
    seconds: list[float] = field(default_factory=list)
    bytes_: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until `end`; an answer that is none ends it with an error."""
        while not self._ended.wait(LOOK_SECONDS):
            for port in self.ports.values():
                began = time.monotonic()
                page(f"http://127.0.0.1:{port}/healthz")
                self.seconds.append(time.monotonic() - began)
            self.bytes_ = max(self.bytes_, *map(resident, self.pids))

    def end(self) -> None:
        self._ended.set()


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    status = (Path("/proc") / str(pid) / "status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) * 1024


def ports(daemon: Daemon) -> dict[str, int]:
    """Return the port of each role's health page, as far as the role has logged it."""
    lines = [
        json.loads(line) for line in daemon.log.read_text().splitlines() if line.startswith("{")
    ]
    return {
        line["role"]: line["port"]
        for line in lines
        if line["event"] == "started" and line["role"] in ("match", "alert")
    }


def count_exposed_customers(daemon: Daemon) -> int:
    """Count the customers in the store."""
    with contextlib.closing(open_configured_store(Context(daemon.data))) as store:
        return store.count(Exposure, DocumentFilter())


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("count", LENGTHS)
def test_burst_is_processed_with_bounded_memory_and_healthy_services(
    tmp_path: Path, count: int
) -> None:
    customers = list(people(CUSTOMERS, 17))
    daemon = Daemon.create_for_bank(tmp_path / "data", tmp_path, customers)
    texts = {
        (n + 1) * (count // CUSTOMERS) - 1: f"{customer.name},{customer.phone}\n{FILLER}"
        for n, customer in enumerate(customers)
    }
    lines = [
        {"site": "x", "url": f"http://x.example/{n}", "text": texts.get(n, f"{n}\n{FILLER}")}
        for n in range(count)
    ]
    with daemon:
        daemon.start()
        until(lambda: len(ports(daemon)) == 2, "match and alert have started")
        watch = Watch(ports(daemon), daemon.roles())
        with ThreadPoolExecutor(1) as pool, contextlib.ExitStack() as last:
            watching = pool.submit(watch.run)
            last.callback(watch.end)
            began = time.monotonic()
            daemon.ask("ingest", "-", text="\n".join(map(json.dumps, lines)))
            ingest_seconds = time.monotonic() - began
            took = until(
                lambda: count_exposed_customers(daemon) == CUSTOMERS, "the last post is read", 900
            )
        watching.result()
        assert daemon.stop() == 0
    assert watch.bytes_ < MOST
    assert dict(daemon.exposures()) == dict.fromkeys(
        (customer.reference for customer in customers), 1
    )
    slowest, usual = max(watch.seconds) * 1e3, statistics.median(watch.seconds) * 1e3
    log.info("%d posts handed in within %.0f s, and read %.0f s later", count, ingest_seconds, took)
    log.info(
        "health answered in %.0f ms, at most %.0f; most memory %.0f MiB",
        usual,
        slowest,
        watch.bytes_ / MIB,
    )
