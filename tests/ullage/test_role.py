"""A role drains on the first signal, ends on the second, leaves no core file, and dies with its
supervisor.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.conftest import HeldClock
from ullage.running_time import RunningTime
from ullage.runtime import service

ROLE = """
import pathlib, sys, tempfile
from ullage import log
from ullage.runtime import service
from ullage.settings import Context
from ullage.monitoring.metrics import new_registry
log.configure("info")
with tempfile.TemporaryDirectory() as data, service.running(
    "match", new_registry("match"), {port}, Context(pathlib.Path(data))
) as stop:
    print("up", flush=True)
    {work}
print("drained", flush=True)
"""


@contextmanager
def running(work: str = "stop.wait(120)", port: str = "None") -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", ROLE.format(port=port, work=work)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_first_signal_requests_a_drain(asked: signal.Signals) -> None:
    with running() as process:
        assert first_line(process) == "up"
        process.send_signal(asked)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "drained\n")
        assert '"event": "stopped"' in err


def test_second_signal_ends_at_once() -> None:
    # Python sees to a signal between two steps of its own: what blocks for good right behind one
    # may never come to it.
    draining = "import select\n    while not select.select([sys.stdin], [], [], 0.05)[0]: pass"
    with running(f"stop.wait(120); print('draining', flush=True)\n    {draining}") as process:
        assert first_line(process) == "up"
        process.send_signal(signal.SIGTERM)
        assert first_line(process) == "draining"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 1


def test_core_file_is_never_written() -> None:
    with running(
        "import resource; print(resource.getrlimit(resource.RLIMIT_CORE), flush=True)"
    ) as process:
        assert [first_line(process) for _ in range(2)] == ["up", "(0, 0)"]


def test_service_reads_both_clocks_at_its_start() -> None:
    with running(
        "print(pathlib.Path(data, 'clock', 'record.json').is_file(), flush=True)"
    ) as process:
        assert [first_line(process) for _ in range(2)] == ["up", "True"]


def test_service_reads_both_clocks_each_minute(tmp_path: Path, clock: HeldClock) -> None:
    read, running_time, began = [], RunningTime(tmp_path, clock.as_clock()), clock.running()

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            read.append(json.loads(running_time.path.read_bytes())["uptime"] - began)
            clock.advance(timeout or 0.0)
            return len(read) == 4

    running_time.turn()
    service._count(running_time, Stop())
    assert read == [0.0, 60.0, 120.0, 180.0]


def test_command_without_its_supervisor_does_nothing() -> None:
    words, environment = (
        [sys.executable, "-m", "ullage", "--version"],
        {**os.environ, "ULLAGE_SUPERVISOR": "1"},
    )
    result = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (
        2,
        "",
        "ullage: the supervisor (ULLAGE_SUPERVISOR) has already exited: start it again\n",
    )


def test_process_without_a_supervisor_makes_no_prctl_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(service.SUPERVISOR, raising=False)
    monkeypatch.setattr(service.ctypes, "CDLL", lambda *_, **__: pytest.fail("prctl was called"))
    service.die_with_supervisor()


def test_port_in_use_is_one_line_that_names_the_setting() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        running(port=str(listener.getsockname()[1])) as process,
    ):
        _, err = process.communicate(timeout=60)
    assert "set another in metrics_ports; 0 takes a free port" in err


BUSY = """
import os, signal, sys, threading
from ullage.runtime import service
for _ in range(60):
    ready, said = os.pipe()
    child = os.fork()
    if not child:
        stop = threading.Event()
        service.stop_on_signals(stop)
        os.write(said, b"r")
        while not stop.wait(0.00001):
            pass
        os._exit(0)
    os.read(ready, 1)
    os.kill(child, signal.SIGTERM)
    if os.waitpid(child, 0)[1]:
        sys.exit(1)
"""


def test_signal_during_a_wait_never_hangs_the_process() -> None:
    """The handler may interrupt code that holds the event's lock: setting it there hung 2 of 60
    processes.
    """
    with subprocess.Popen([sys.executable, "-c", BUSY], start_new_session=True) as process:
        try:
            assert process.wait(timeout=120) == 0
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
