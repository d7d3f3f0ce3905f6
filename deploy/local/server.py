"""Manage the process of a server: a free port, a wait until it answers, an orderly end."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ullage.errors import UnavailableError

HOST = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that are free at this moment."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


@contextlib.contextmanager
def serving(handler: type[BaseHTTPRequestHandler], port: int = 0) -> Iterator[str]:
    """Serve HTTP by `handler` on loopback, and yield the address.

    The port is `port`, or a free one for 0. The server ends with the block. Raises OSError if the
    port is in use.
    """
    server = ThreadingHTTPServer((HOST, port), handler)
    server.daemon_threads = True
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
    )
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def takes_connections(port: int) -> bool:
    """Return whether a program listens on `port`."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1.0):
        return True
    return False


def wait_until_ready(
    process: subprocess.Popen[bytes],
    answers: Callable[[], bool],
    name: str,
    log: Path,
    seconds: float,
    look: float,
) -> None:
    """Return when `answers` returns True; it is called every `look` seconds.

    `name` and `log` are for the message. Raises UnavailableError if the process ends or `seconds`
    pass before that; the process is not ended here.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answers():
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(look)
            raise UnavailableError(f"{name} ended with {code} before it was ready: see {log}")
    raise UnavailableError(f"{name} was not ready within {seconds:.0f} s: see {log}")


def wait_for_end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for a process to end, and kill it after `seconds`."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def running(
    name: str, words: Sequence[str], log: Path, environment: Mapping[str, str], port: int,
    *, ready_seconds: float = 60.0, look_seconds: float = 0.05, end_seconds: float = 10.0,
) -> Iterator[None]:  # fmt: skip
    """Run a server in the folder of its `log` for the length of the block.

    The block begins when the server accepts connections on `port`. `words` are the command;
    `environment` is added to this process's. The server ends with this process. Raises
    UnavailableError if it ends before or is not ready within `ready_seconds`.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.local.child", str(os.getpid()), *words],
            cwd=log.parent, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
            stdout=output, stderr=output,
        )  # fmt: skip
    try:
        wait_until_ready(
            process, lambda: takes_connections(port), name, log, ready_seconds, look_seconds
        )
        yield
    finally:
        process.terminate()
        wait_for_end(process, end_seconds)
