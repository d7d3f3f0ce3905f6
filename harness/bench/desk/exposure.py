"""What a risk engine waits for: `POST /v1/exposure` over HTTP, one customer with 8 clients at a
time, and a thousand at once.

The desk runs in this process over the embedded store, its clients in another. How many exposures
the store holds says `ULLAGE_BENCH_EXPOSURES`. Beside it stands what the same server takes for an
answer that asks no store. CPU is that of the desk an answer, on which other work on the machine
tells least.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import multiprocessing
import selectors
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from prometheus_client import CollectorRegistry

from alerts.accounts.accounts import Accounts
from alerts.records import CollectorHeartbeat
from alerts.store import IncidentStore, open_store
from alerts.web.app import create_app
from harness.bench.store import COUNT, exposures, others
from harness.bench.table import row
from ullage.runtime.http_server import listening, serve
from ullage.runtime.service import spare_what_stands
from ullage.settings import Context

CLIENTS, ASKED, THOUSANDS, WARM = 8, 180, 20, 10
"""Of one connection no more than `ullage.runtime.http_server` lets it ask."""
GOALS = {1: 20.0, 1_000: 500.0}
"""Milliseconds in which 99 of 100 answers are there."""
EVERY = 997


def exposure(folder: Path, context: Context) -> list[str]:
    """Print the rows; the goals that were missed."""
    handles, missed = list[str](), list[str]()
    with (
        contextlib.closing(open_store("sqlite:///exposure.sqlite", folder)) as store,
        serve_desk(store, context) as (port, token),
    ):
        for batch in exposures(COUNT):
            handles += [exposed.subject for exposed in batch[::EVERY]]
            store.put(batch)
        for documents in others(COUNT):
            store.put(documents)
        now = context.clock.now()
        store.put(
            [CollectorHeartbeat(id="crawl", first=now, last=now, sites={"ok": 200}, enrolled=COUNT)]
        )
        known_handles = handles[:1_000]
        for size, clients, rounds in ((1, CLIENTS, ASKED), (1_000, 1, THOUSANDS)):
            bodies = list(itertools.islice(_bodies(known_handles, size), rounds))
            start = time.process_time()
            took = measure_answers(port, token, "POST", "/v1/exposure", bodies, clients)
            cpu = (time.process_time() - start) * 1_000 / (len(took) + clients * WARM)
            bare = measure_answers(port, token, "GET", "/healthz", [""] * rounds, clients)
            p50, p99 = (quantile(took, share) for share in (0.5, 0.99))
            shown = f"p50 {p50:.1f}, p99 {p99:.1f} ms, CPU {cpu:.1f} ms"
            row(
                f"exposure of {size:,}, {clients} clients, of {COUNT:,}",
                shown,
                f"p99 {quantile(bare, 0.99):.1f} ms, no answer",
            )
            if p99 > GOALS[size]:
                missed.append(f"exposure of {size:,}: p99 {p99:.1f} ms, goal {GOALS[size]:.0f} ms")
    return missed


@contextlib.contextmanager
def serve_desk(store: IncidentStore, context: Context) -> Iterator[tuple[int, str]]:
    """Serve the console on loopback; yield its port and the token of a risk engine."""
    stop = threading.Event()
    with (
        contextlib.closing(Accounts(context.data, context.clock)) as accounts,
        listening("search", "127.0.0.1", 0) as at,
    ):
        listener, port = at
        token = accounts.add_token(
            "engine", ["exposure.ask"], ["bank"], purpose="risk_engine", days=1, by="bench"
        )[1]
        app = create_app(
            context, store, accounts, CollectorRegistry(), frozenset({f"127.0.0.1:{port}"})
        )
        spare_what_stands()
        server = threading.Thread(target=serve, args=(app, listener, stop))
        server.start()
        try:
            yield port, token
        finally:
            stop.set()
            server.join()


def _bodies(known: list[str], size: int) -> Iterator[str]:
    """Yield requests of `size` handles, of which nine in ten are unknown, as with a bank."""
    for n in itertools.count():
        handles = [
            known[(n + i) % len(known)] if i % 10 == n % 10 else f"{n * size + i:032x}"
            for i in range(size)
        ]
        yield json.dumps({"pseudonyms": handles})


def measure_answers(
    port: int, token: str, method: str, path: str, bodies: list[str], clients: int
) -> list[float]:
    """Return the milliseconds of each response, of all clients together.

    Each client first makes `WARM` requests that do not count.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_run_clients, port, token, method, path, bodies, clients).result()


def _run_clients(
    port: int, token: str, method: str, path: str, bodies: list[str], clients: int
) -> list[float]:
    """Run all clients in one process, as load generators do.

    With a process each, a client would wait for a core that another client has.
    """
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
    )
    head += "Content-Type: application/json\r\nContent-Length: "
    requests = [f"{head}{len(body)}\r\n\r\n{body}".encode() for body in (*bodies[:WARM], *bodies)]
    with contextlib.ExitStack() as opened, selectors.DefaultSelector() as ready:
        waiting = [
            opened.enter_context(contextlib.closing(_Client(port, requests)))
            for _ in range(clients)
        ]
        for client in waiting:
            ready.register(client.connection, selectors.EVENT_READ, client)
            client.ask()
        while ready.get_map():
            for key, _ in ready.select():
                if key.data.is_answered() and not key.data.ask():
                    ready.unregister(key.fileobj)
    return [milliseconds for client in waiting for milliseconds in client.took[WARM:]]


class _Client:
    """One connection, and how long each answer took."""

    def __init__(self, port: int, requests: Iterable[bytes]) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port), 60)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.took = list[float]()
        self._requests = iter(requests)
        self._start, self._answer, self._end = 0.0, b"", 0

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def ask(self) -> bool:
        """Send the next request; whether there was one."""
        request = next(self._requests, None)
        if request is not None:
            self._start, self._answer, self._end = time.perf_counter(), b"", 0
            self.connection.sendall(request)
        return request is not None

    def is_answered(self) -> bool:
        """Read what has come; whether that is the end of an answer, whose length is said."""
        received = self.connection.recv(65_536)
        self._answer += received
        if not received or not self._answer.startswith(b"HTTP/1.1 200 "[: len(self._answer)]):
            raise RuntimeError(f"a request was answered {self._answer[:12]!r}")
        if not self._end and (body := self._answer.find(b"\r\n\r\n") + 4) > 3:
            length = (
                self._answer[:body].lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            )
            self._end = body + int(length)
        if not self._end or len(self._answer) < self._end:
            return False
        self.took.append((time.perf_counter() - self._start) * 1_000)
        return True


def quantile(values: list[float], share: float) -> float:
    """Return the value that `share` of the values do not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
