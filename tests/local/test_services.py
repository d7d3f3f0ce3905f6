"""Kafka and Elasticsearch behind a shell: started once, stopped by a pid that is checked,
refused in one line.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from alerts.records import Claim
from alerts.store import open_store
from deploy.local import services
from tests.flow.daemon import need_servers
from ullage.bus import FINDINGS, Outgoing, open_bus
from ullage.clock import Clock
from ullage.errors import UnavailableError

CLAIM = Claim(
    id="bank:candidates:1", tenant="bank", incident="INC-A", at=datetime(2026, 9, 21, tzinfo=UTC)
)


def run(what: str, folder: Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """`make services` or `make services-stop` without make, with `path` to look programs up in."""
    words = [sys.executable, "-m", "deploy.local.services", what, str(folder)]
    environment = {**os.environ, "PATH": os.environ["PATH"] if path is None else path}
    return subprocess.run(
        words, capture_output=True, text=True, env=environment, timeout=200, check=False
    )


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_missing_maven_names_what_to_install_and_the_alternative(tmp_path: Path) -> None:
    process = run("start", tmp_path, path=str(tmp_path / "nothing"))
    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr == f"services: there is no Maven: {services.INSTALL}\n"
    assert "install Maven (mvn) and a JDK" in services.INSTALL
    assert "without them ullage runs" in services.INSTALL


@pytest.mark.parametrize(
    ("says", "missing"),
    [
        ('openjdk version "11.0.2"', "Kafka"),
        ("no version", "Kafka"),
        ('version "17.0.9"', "Elasticsearch"),
    ],
)
def test_too_old_java_is_rejected_by_name(
    says: str, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "mvn", "exit 0")
    program(tmp_path, "java", f"echo '{says}' >&2")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setattr("deploy.local.elasticsearch.JVMS", tmp_path / "none")
    for name in ("JAVA_HOME", "ES_JAVA_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UnavailableError, match=f"which {missing} needs: install Maven"):
        services.require_tools()


def test_stopping_nothing_says_so(tmp_path: Path) -> None:
    process = run("stop", tmp_path / "new")
    assert (process.returncode, process.stderr) == (0, "No services run.\n")


def test_pid_reused_by_another_program_gets_no_signal(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        (tmp_path / services.LOCK).write_text(f"{process.pid}\n")
        assert run("stop", tmp_path).stderr == "No services run.\n"
        assert process.poll() is None
        process.communicate(b"\n")
        assert process.returncode == 0


def test_state_left_by_a_crash_is_ignored(tmp_path: Path) -> None:
    state = (
        '{"folder": "x", "kafka_port": 1, "elasticsearch_port": 2, "processes": [1, 2], "kept":'
        " true}"
    )
    (tmp_path / services.STATE).write_text(state)
    (tmp_path / services.LOCK).write_text("999999999\n")
    assert services.find(tmp_path) is None


def test_printed_configuration_can_be_pasted(tmp_path: Path) -> None:
    running = services.Services(tmp_path / "a b&c", 1, 2, (), kept=True)
    read = tomllib.loads(running.configuration("p.", "ullage-p-"))
    assert read["bus"]["url"] == "kafka://127.0.0.1:1?create=1&prefix=p."
    assert read["store"]["url"].startswith("elasticsearch://127.0.0.1:2?prefix=ullage-p-&cafile=/")
    assert "a%20b%26c" in read["store"]["url"]


def test_secret_file_is_made_private(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "store.password"
    path.parent.mkdir()
    path.touch(mode=0o644)
    services.write_secret(path, "secret")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == "secret\n"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a folder of services of its own, which are ended whatever the test does.

    Nobody must reach it, so pytest's will not do.
    """
    need_servers()
    with tempfile.TemporaryDirectory(prefix="ullage-services-") as temporary:
        Path(temporary).chmod(0o755)
        yield Path(temporary) / "services"
        assert run("stop", Path(temporary) / "services").returncode == 0


def start(folder: Path) -> services.Services:
    process = run("start", folder)
    assert process.returncode == 0, process.stderr
    running = services.find(folder)
    assert running is not None
    assert running.kept
    assert process.stdout.startswith(running.configuration())
    return running


def watch(running: services.Services, pid: int) -> list[int]:
    return [os.pidfd_open(process_id) for process_id in (pid, *running.processes)]


def assert_ended(handles: Sequence[int]) -> None:
    """Check that processes have ended: a pidfd is readable then."""
    deadline = time.monotonic() + 60
    for handle in handles:
        assert select.select([handle], [], [], max(0.0, deadline - time.monotonic()))[0] == [handle]
        os.close(handle)


@pytest.mark.timeout(1200)  # three starts of real servers: minutes on a machine that is busy
@pytest.mark.servers
def test_services_run_in_the_background_and_keep_their_data(folder: Path) -> None:
    first = start(folder)
    pid = services.holder(folder)
    assert pid is not None
    with contextlib.closing(open_bus(first.bus_url("t."), folder, {}, Clock())) as bus:
        bus.publisher(FINDINGS).append([Outgoing("bank", b"x", {})])
    # as `ullage` does, with the folder's own keys
    with contextlib.closing(open_store(first.store_url(), folder)) as store:
        assert store.create([CLAIM]) == [True]
    again = run("start", folder)
    assert again.stdout == run("start", folder).stdout
    assert f"run already (process {pid})" in again.stderr
    handles = watch(first, pid)
    assert "are ended" in run("stop", folder).stderr
    assert services.find(folder) is None
    assert_ended(handles)

    second = start(folder)
    with contextlib.closing(open_bus(second.bus_url("t."), folder, {}, Clock())) as bus:
        assert bus.lag(FINDINGS, "alert").records == 1
    with contextlib.closing(open_store(second.store_url(), folder)) as store:
        assert store.get(Claim, CLAIM.id) == CLAIM
    pid = services.holder(folder)
    assert pid is not None
    handles = watch(second, pid)
    os.kill(pid, signal.SIGKILL)
    assert_ended(handles)  # the kernel ends what the holder had started
    assert run("stop", folder).stderr == "No services run.\n"
