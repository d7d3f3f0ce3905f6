"""One Kafka broker and one Elasticsearch node a version for all workers of a run.

The first worker that collects a test of a server starts it in a process of its own, which writes
where it is found into the run's folder and ends it when the run ends, however that comes about.
Tests share what they cannot harm: those that stop or freeze a server have one of their own
(`kafka_broker`, `elasticsearch_nodes`).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.elasticsearch import Server, elasticsearch
from deploy.local.kafka import broker
from ullage.errors import UnavailableError
from ullage.files.atomic_write import wait_for_lock

KAFKA = "kafka"
LOOK_SECONDS, END_SECONDS = 0.1, 30.0
ROOT = Path(__file__).parents[2]
PATHS = ("distribution", "java", "work", "home")


def worker_name() -> str:
    """Return the name of this worker, such as `gw0`; empty in a run without workers."""
    return os.environ.get("PYTEST_XDIST_WORKER", "")


def start_shared(name: str, folder: Path) -> None:
    """Begin to start a server (`kafka` or a version of Elasticsearch) for the run with this
    folder, unless that was done.
    """
    with wait_for_lock(folder / f"{name}.lock"), (folder / f"{name}.log").open("ab") as log:
        if not (folder / f"{name}.pid").exists():
            process = subprocess.Popen(
                [sys.executable, "-m", __name__, name, str(folder), str(os.getppid())],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
            (folder / f"{name}.pid").write_text(str(process.pid), encoding="ascii")
            process.returncode = 0  # it outlives this worker: whoever ends it is not this object


def kafka_url(folder: Path) -> str:
    """Return the address of the run's broker, once it answers; UnavailableError says why it
    cannot be had.
    """
    return str(_wait_for(KAFKA, folder)["url"])


def elasticsearch_node(version: str, folder: Path) -> Server:
    """Return the run's node of a version, once it answers; UnavailableError says why it cannot
    be had.
    """
    state = _wait_for(version, folder)
    paths = {name: Path(state.pop(name)) for name in PATHS}
    return Server(**paths, **state)


def _wait_for(name: str, folder: Path) -> dict[str, Any]:
    start_shared(name, folder)
    pid = int((folder / f"{name}.pid").read_text(encoding="ascii"))
    while not (folder / f"{name}.state").exists():
        if _is_over(pid) and not (folder / f"{name}.state").exists():
            raise UnavailableError(f"the shared {name} ended: see {folder / name}.log")
        time.sleep(LOOK_SECONDS)
    state: dict[str, Any] = json.loads((folder / f"{name}.state").read_text(encoding="utf-8"))
    if "error" in state:
        raise UnavailableError(state["error"])
    return state


def _is_over(pid: int) -> bool:
    """Return whether a process ended, whoever has yet to collect its exit code."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
            == "Z"
        )
    except FileNotFoundError:
        return True


def end_shared(folder: Path) -> None:
    """End the servers of the run with this folder, and wait until they are gone."""
    for path in sorted(folder.glob("*.pid")):
        with (
            contextlib.suppress(ProcessLookupError),
            _process(int(path.read_text(encoding="ascii"))) as handle,
        ):
            signal.pidfd_send_signal(handle, signal.SIGTERM)
            select.select([handle], [], [], END_SECONDS)


@contextlib.contextmanager
def _process(pid: int) -> Iterator[int]:
    handle = os.pidfd_open(pid)
    try:
        yield handle
    finally:
        os.close(handle)


def find_needed_server(item: pytest.Item) -> str:
    """Return which server a test needs by its parameter `backend`; empty for none."""
    callspec = getattr(item, "callspec", None)
    return (
        str(callspec.params.get("backend", ""))
        if callspec and item.get_closest_marker("servers")
        else ""
    )


def main(name: str, folder: str, run: str) -> None:
    """Run a server until the process `run` ends or this one is told to."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    path = Path(folder) / f"{name}.state"
    with contextlib.ExitStack() as stack:
        try:
            state = stack.enter_context(_running(name, Path(folder)))
        except UnavailableError as error:
            state = {"error": str(error)}
        path.with_suffix(".new").write_text(json.dumps(state), encoding="utf-8")
        path.with_suffix(".new").rename(path)
        if "error" not in state:
            with contextlib.suppress(ProcessLookupError), _process(int(run)) as handle:
                select.select([handle], [], [])


@contextlib.contextmanager
def _running(name: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Run the server, and yield what a worker must know to use it."""
    if name == KAFKA:
        with broker(folder / name) as running:
            yield {"url": running.url}
        return
    with elasticsearch(folder / f"elasticsearch-{name}", name) as node:
        login = {field: getattr(node, field) for field in ("port", "password", "admin_password")}
        yield login | {field: str(getattr(node, field)) for field in PATHS}


if __name__ == "__main__":
    main(*sys.argv[1:])
