"""A process that runs out of descriptors goes on: idle connections make room, and its log stays
short.
"""

import contextlib
import errno
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ullage.files import descriptors
from ullage.files.descriptors import are_scarce

LIMIT, IDLE = 40, 80
CONSOLE = """
import socket, sys, threading
from ullage import log
from ullage.runtime.http_server import listening, serve
log.configure("debug")

async def app(scope, receive, send):
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})

with listening("search", "127.0.0.1", 0) as (listener, port):
    print(port, flush=True)
    serve(app, listener, threading.Event())
"""
METRICS = """
import threading
from prometheus_client import CollectorRegistry
from ullage import log
from ullage.monitoring.metrics import metrics_server
log.configure("debug")
with metrics_server(CollectorRegistry(), 0, lambda: True) as server:
    print(server.port, flush=True)
    threading.Event().wait()
"""


def lower_limit() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))


def answer(port: int) -> bytes:
    """Return the answer to one request, b"" if the connection is refused or cut."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = b""
        while part := client.recv(4096):
            received += part
        return received
    return b""


@pytest.fixture(params=[CONSOLE, METRICS], ids=["console", "metrics"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Yield a server limited to 40 descriptors, and its port."""
    process = subprocess.Popen(
        [sys.executable, "-c", request.param],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lower_limit,  # noqa: PLW1509 - this test has no threads
    )
    with process:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
        process.kill()


def test_idle_connections_over_the_limit_lock_nobody_out(
    server: tuple[subprocess.Popen[str], int],
) -> None:
    process, port = server
    with contextlib.ExitStack() as stack:
        for _ in range(IDLE):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 20))
        answers = [answer(port) for _ in range(20)]
        assert sum(b" 200 " in reply for reply in answers) >= 10, answers
    used = os.sysconf("SC_CLK_TCK")
    seconds = (
        sum(map(int, Path(f"/proc/{process.pid}/stat").read_text("ascii").split()[13:15])) / used
    )
    process.kill()
    _, errors = process.communicate()
    assert "Traceback" not in errors
    assert len(errors.splitlines()) < 120, errors[:2000]
    assert seconds < 30


@pytest.mark.parametrize(("limit", "first_scarce"), [(400, 384), (20, 15), (1024, 1008)])
def test_some_descriptors_are_reserved_for_work(
    monkeypatch: pytest.MonkeyPatch, limit: int, first_scarce: int
) -> None:
    monkeypatch.setattr(descriptors.resource, "getrlimit", lambda _: (limit, limit))
    monkeypatch.setattr(descriptors.os, "close", lambda _: None)
    for lowest_free, is_expected in ((first_scarce - 1, False), (first_scarce, True)):
        monkeypatch.setattr(descriptors.os, "open", lambda *_, number=lowest_free: number)
        assert are_scarce() == is_expected


def test_unlimited_descriptors_are_never_scarce(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors.resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    assert not are_scarce()


def test_running_out_of_descriptors_is_distinguished_from_other_errors() -> None:
    assert descriptors.is_out_of_resources(OSError(errno.EMFILE, "x"))
    assert not descriptors.is_out_of_resources(OSError(errno.EACCES, "x"))
