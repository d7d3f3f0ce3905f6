"""No service ends because nobody takes what it prints: the disk below its log is full, the pipe
is closed, there is none.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from deploy.demo.people import people
from tests.flow.daemon import Daemon, is_alive, page, samples, until
from ullage.runtime.supervisor import command

pytestmark = pytest.mark.flow
SERVICES = ("crawl", "match", "alert", "search")
LOST = "ullage_output_lost_lines_total"


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        listeners = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [int(listener.getsockname()[1]) for listener in listeners]


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with customers, to be copied."""
    folder = tmp_path_factory.mktemp("bank")
    return Daemon.create_for_bank(folder / "data", folder, list(people(12, 5))).data


@pytest.fixture
def ports(tmp_path: Path, bank: Path) -> dict[str, int]:
    """Prepare a data folder of the test's own, and return the ports of its services."""
    data = shutil.copytree(bank, tmp_path / "data")
    ports = dict(zip(SERVICES, free_ports(4), strict=True))
    settings = (data / "ullage.toml").read_text()
    for role, port in ports.items():
        name = "port" if role == "search" else role
        settings, count = re.subn(rf"(?m)^{name} = 0$", f"{name} = {port}", settings)
        assert count == 1, role
    (data / "ullage.toml").write_text(settings)
    return ports


@contextlib.contextmanager
def full() -> Iterator[IO[bytes]]:
    with Path("/dev/full").open("wb") as file:
        yield file


@contextlib.contextmanager
def unread() -> Iterator[IO[bytes]]:
    """Yield a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as file:
        yield file


@contextlib.contextmanager
def stuck() -> Iterator[IO[bytes]]:
    """Yield a pipe that is full, and whose reader reads no more."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writer, bytes(4096)):
            pass
    os.set_blocking(writer, True)
    with os.fdopen(writer, "wb") as file, os.fdopen(reader, "rb"):
        yield file


WAYS = [full, unread, stuck]


@contextlib.contextmanager
def start(data: Path, output: IO[bytes], *words: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command(data, *words), stdin=subprocess.DEVNULL, stdout=output, stderr=output
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def is_ready(port: int) -> bool:
    try:
        return page(f"http://127.0.0.1:{port}/readyz") == "ready\n"
    except OSError:
        return False


def is_up(
    process: subprocess.Popen[bytes], ports: dict[str, int], *roles: str
) -> Callable[[], bool]:
    def look() -> bool:
        assert process.poll() is None, f"it ended with {process.returncode}"
        return all(is_ready(ports[role]) for role in roles)

    return look


@pytest.mark.parametrize(
    "output", [pytest.param(way, marks=[] if way is stuck else pytest.mark.full) for way in WAYS]
)
def test_supervisor_and_services_survive_lost_output_and_count_it(
    tmp_path: Path,
    ports: dict[str, int],
    output: Callable[[], contextlib.AbstractContextManager[IO[bytes]]],
) -> None:
    with output() as file, start(tmp_path / "data", file, "run") as process:
        until(is_up(process, ports, *SERVICES), "all services are ready")
        assert samples(ports["match"])[LOST] >= 1, "its line `started`"
        [matcher] = (pid for pid in roles(process) if "match" in words_of(pid))
        os.kill(matcher, 9)  # what the supervisor says of it is lost, too
        until(lambda: not is_alive(matcher), "match is killed")
        until(is_up(process, ports, *SERVICES), "match is started again")
        process.terminate()
        assert process.wait(60) == 0


@pytest.mark.parametrize(("role", "output"), [*zip(SERVICES, [*WAYS, full], strict=True)])
def test_each_service_survives_lost_output(
    tmp_path: Path,
    ports: dict[str, int],
    role: str,
    output: Callable[[], contextlib.AbstractContextManager[IO[bytes]]],
) -> None:
    with output() as file, start(tmp_path / "data", file, role) as process:
        until(is_up(process, ports, role), f"{role} is ready")
        process.terminate()
        assert process.wait(60) == 0


def test_closed_standard_streams_are_not_reused_for_files(
    tmp_path: Path, ports: dict[str, int]
) -> None:
    words = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command(tmp_path / "data", "run")]
    with subprocess.Popen(words) as process:
        try:
            until(is_up(process, ports, *SERVICES), "all services are ready")
            for pid in [process.pid, *roles(process)]:
                assert {
                    str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in range(3)
                } == {"/dev/null"}
        finally:
            process.terminate()
            assert process.wait(60) == 0


def test_unwritable_result_is_a_failure(tmp_path: Path, ports: dict[str, int]) -> None:
    with full() as file:
        process = subprocess.run(
            command(tmp_path / "data", "config", "show"),
            stdout=file,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (process.returncode, b"No space left" in process.stderr) == (1, True)
    assert ports


def roles(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the pids of the services that the supervisor has started."""
    pids = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in pids]


def words_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
