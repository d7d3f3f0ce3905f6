"""Two match processes against one, on the same load of a real broker: wall time, and CPU-seconds
for a megabyte.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from crawlers.publishing.outbox import CaptureOutbox, new_id
from deploy.demo.drive import Ullage, configuration, write_customers
from deploy.demo.people import people
from harness.bench.table import row
from ullage.bus import CAPTURES, Bus
from ullage.records import Capture
from ullage.runtime.service import SUPERVISOR
from ullage.runtime.supervisor import command
from ullage.security import keys
from ullage.settings import Context

PEOPLE, CUSTOMERS = 40_000, 2_000
LINES = 500
TIMES = 16
"""How often the same texts are posted: 90 MB in all, some seconds of one process's work."""
PROSE = (
    "今天天气很好，去公园散步。 The quick brown fox jumps over the lazy dog. Order 20261124"
    " shipped.\n"
)
JOIN_SECONDS, WORK_SECONDS = 60.0, 600.0
TICKS = os.sysconf("SC_CLK_TCK")


def match_processes(folder: Path, url: str) -> None:
    """Return the lines of the table, and what one and two processes cost."""
    seconds, cpu = {}, {}
    for count in (1, 2):
        data = folder / f"match{count}"
        data.mkdir()
        context = _set_up(data, f"{url}?create=1&partitions=6&prefix={secrets.token_hex(4)}.")
        load = _load(context)
        megabytes = sum(len(capture.body) for capture in load) / 1e6
        with _matching(data, count) as pids:
            seconds[count], cpu[count] = _work(context, load, pids)
        row(
            f"match, {count} process(es), MB/s",
            f"{megabytes / seconds[count]:.2f}",
            f"CPU {cpu[count] / megabytes:.2f} s/MB",
        )
    row("match, two processes over one", "", "", seconds[1] / seconds[2])


def _set_up(data: Path, url: str) -> Context:
    (data / "ullage.toml").write_text(
        f'[bus]\nurl = "{url}"\n' + configuration("bench"), encoding="utf-8"
    )
    ask = Ullage(data)
    ask("init")
    write_customers(data / "customers.csv", list(people(PEOPLE, 5))[:CUSTOMERS])
    ask("watchlist", "load", str(data / "customers.csv"), "--tenant", "bench")
    return Context(data)


def _load(context: Context) -> list[Capture]:
    """Publish a dump in posts of 500 lines, and as much prose."""
    lines = [f"{p.name}----{p.phone}----{p.resident_id}----{p.card}" for p in people(PEOPLE, 5)]
    dump = ["\n".join(lines[start : start + LINES]) for start in range(0, PEOPLE, LINES)]
    texts = [
        text
        for part in dump
        for text in (part, PROSE * (len(part.encode()) // len(PROSE.encode())))
    ]
    return [
        Capture(
            id=new_id(),
            site="b",
            post_id=f"{turn}-{n}",
            url="",
            fetched_at=context.clock.now(),
            body=text.encode(),
        )
        for turn in range(TIMES)
        for n, text in enumerate(texts)
    ]


@contextlib.contextmanager
def _matching(data: Path, count: int) -> Iterator[list[int]]:
    """`count` match processes; yields their pids."""
    environment = {**os.environ, SUPERVISOR: str(os.getpid()), "ULLAGE_LOG_LEVEL": "error"}
    processes = [
        subprocess.Popen(command(data, "match"), stdin=subprocess.DEVNULL, env=environment)
        for _ in range(count)
    ]
    try:
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def _work(context: Context, load: list[Capture], pids: list[int]) -> tuple[float, float]:
    """Wall seconds and CPU-seconds from the append of the load until it is dealt with."""
    bus = context.bus()
    publisher = bus.publisher(CAPTURES)
    outbox = CaptureOutbox(
        publisher, keys.load_sealer(context.keys), keys.load_signer(context.keys, "crawl")
    )
    pause = threading.Event()
    # every process has its partitions when posts on all of them are read
    for _ in range(2 * len(pids)):
        outbox.append([_hello(context) for _ in range(24)])
        _until_read(bus, pause, JOIN_SECONDS)
    before, start = _cpu(pids), time.monotonic()
    outbox.append(load)
    _until_read(bus, pause, WORK_SECONDS)
    elapsed = time.monotonic() - start, _cpu(pids) - before
    publisher.close()
    bus.close()
    return elapsed


def _hello(context: Context) -> Capture:
    return Capture(
        id=new_id(),
        site="b",
        post_id=new_id(),
        url="",
        fetched_at=context.clock.now(),
        body=b"hello",
    )


def _until_read(bus: Bus, pause: threading.Event, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while bus.lag(CAPTURES, "match").records:
        if time.monotonic() > deadline:
            raise TimeoutError(f"match did not read everything within {seconds:.0f} s")
        pause.wait(0.1)


def _cpu(pids: list[int]) -> float:
    """CPU-seconds of these processes so far, user and system."""
    total = 0
    for pid in pids:
        fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS
