"""`ullage run`: children start again after dying, drain on SIGTERM, and never outlive their
supervisor.
"""

import errno
import itertools
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from tests.conftest import NOON, HeldClock
from ullage import clock
from ullage.cli import app
from ullage.files.atomic_write import HeldError, take_lock
from ullage.runtime import supervisor
from ullage.runtime.service import EXIT_CODE, SUPERVISOR

CHILD = """
import os, pathlib, sys
from ullage import log
from ullage.runtime import service
from ullage.settings import Context
from ullage.monitoring.metrics import new_registry
folder, name = pathlib.Path(sys.argv[1]), sys.argv[2]
log.configure("error")
service.die_with_supervisor()
with service.running(name, new_registry(name), None, Context(folder / name)) as stop:
    os.write(1, f"{name} {os.getpid()}\\n".encode())  # one write: three children share the pipe
    stop.wait(120)
(folder / f"{name}.drained").touch()
"""
PARENT = """
import pathlib, sys, threading
from ullage import log
from ullage.runtime import service, supervisor
from ullage.clock import Clock
child, data = sys.argv[1], pathlib.Path(sys.argv[2])
log.configure("error")
supervisor.command = lambda data, *words: [sys.executable, "-c", child, str(data), *words]
stop = threading.Event()
service.stop_on_signals(stop)
sys.exit(supervisor.supervise(data, ("crawl", "match", "alert"), stop, Clock()))
"""


@pytest.fixture
def family(tmp_path: Path):
    """Start a real supervisor with three children; return it and their ids by name."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent:
        try:
            lines = [parent.stdout.readline().split() for _ in range(3)]
            yield parent, {name: int(pid) for name, pid in lines}
        finally:
            parent.kill()


def wait_for_exit(pid: int) -> bool:
    """Wait until the process has ended; return whether it has."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ended, _, _ = select.select([handle], [], [], 30)
    os.close(handle)
    return bool(ended)


def test_kill_9_of_the_supervisor_leaves_no_child(family, tmp_path: Path) -> None:
    parent, children = family
    assert sorted(children) == ["alert", "crawl", "match"]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert all(wait_for_exit(pid) for pid in children.values())
    assert list(tmp_path.glob("*.drained")) == []


def test_sigterm_drains_every_child_before_the_supervisor_ends(family, tmp_path: Path) -> None:
    parent, children = family
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(timeout=60) == 0
    assert sorted(p.stem for p in tmp_path.glob("*.drained")) == ["alert", "crawl", "match"]
    assert all(wait_for_exit(pid) for pid in children.values())


def test_killed_child_is_restarted_and_the_others_continue(family) -> None:
    parent, children = family
    os.kill(children["match"], signal.SIGKILL)
    assert parent.stdout is not None
    name, pid = parent.stdout.readline().split()
    assert name == "match"
    assert int(pid) != children["match"]
    os.kill(children["crawl"], 0)


class Ticks(threading.Event):
    """Each look advances the held clock a little instead of waiting; stops after `looks`."""

    def __init__(self, clock: HeldClock, looks: int) -> None:
        super().__init__()
        self.clock, self.left = clock, looks

    def wait(self, timeout: float | None = None) -> bool:
        self.left -= 1
        self.clock.advance(timeout or 0.0)
        return self.left < 0


class FakeProcess:
    """A child that has ended with `code` whenever it is looked at."""

    def __init__(self, code: int | None) -> None:
        self.code = code

    def poll(self) -> int | None:
        return self.code

    def terminate(self) -> None: ...

    def wait(self, timeout: float | None = None) -> int:
        return self.code or 0


class DrainingProcess(FakeProcess):
    """A child that runs, and `drain_seconds` after it is asked to ends; it notes each call."""

    def __init__(self, clock: HeldClock, drain_seconds: float, calls: list[str], role: str) -> None:
        super().__init__(None)
        self.clock, self.drain_seconds, self.calls, self.role = clock, drain_seconds, calls, role
        self.ends_at = float("inf")

    def terminate(self) -> None:
        self.calls.append(f"terminate {self.role}")
        self.ends_at = self.clock.seconds + self.drain_seconds

    def kill(self) -> None:
        self.calls.append(f"kill {self.role}")
        self.ends_at = self.clock.seconds

    def wait(self, timeout: float | None = None) -> int:
        self.calls.append(f"wait {self.role}")
        until = self.clock.seconds + (float("inf") if timeout is None else timeout)
        if self.ends_at > until:
            self.clock.seconds = until
            raise subprocess.TimeoutExpired(self.role, timeout or 0.0)
        self.clock.seconds = max(self.clock.seconds, self.ends_at)
        return 0


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch, clock: HeldClock) -> list[float]:
    """Return when a child was started; each ends at once with exit code 1."""
    times: list[float] = []

    def start(_data: Path, _role: str, *_: object) -> FakeProcess:
        times.append(clock.seconds)
        return FakeProcess(1)

    monkeypatch.setattr(supervisor, "_start", start)
    return times


def test_child_that_keeps_dying_is_restarted_ever_more_slowly(
    starts: list[float], clock: HeldClock, tmp_path: Path
) -> None:
    assert supervisor.supervise(tmp_path, ("match",), Ticks(clock, 600), clock.as_clock()) == 0
    waits = [later - sooner for sooner, later in itertools.pairwise(starts)]
    assert len(waits) >= 5
    assert waits[0] < 1.0
    assert waits[4] > 3.0
    assert max(waits) <= 31.0


def test_child_that_ran_steadily_is_restarted_at_once(
    monkeypatch: pytest.MonkeyPatch, clock: HeldClock, tmp_path: Path
) -> None:
    """After dying often it is waited for long; after a steady minute as at the first time."""
    starts: list[float] = []
    ends: list[float] = []

    class Steady(FakeProcess):
        def poll(self) -> int | None:
            lives = 0.0 if len(starts) < 8 else supervisor.STEADY_SECONDS + 1
            if clock.seconds < starts[-1] + lives:
                return None
            ends.append(clock.seconds) if len(ends) < len(starts) else None
            return 1

    def start(_data: Path, _role: str, *_: object) -> FakeProcess:
        starts.append(clock.seconds)
        return Steady(1)

    monkeypatch.setattr(supervisor, "_start", start)
    assert supervisor.supervise(tmp_path, ("match",), Ticks(clock, 1200), clock.as_clock()) == 0
    waits = [start - end for start, end in zip(starts[1:], ends, strict=False)]
    assert max(waits[5:7]) > 10
    assert waits[7:]
    assert max(waits[7:]) < 1.0


def test_child_with_an_invalid_configuration_ends_the_supervisor(
    monkeypatch: pytest.MonkeyPatch, clock: HeldClock, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        supervisor, "_start", lambda _data, role: FakeProcess(2 if role == "match" else 0)
    )
    assert (
        supervisor.supervise(tmp_path, ("crawl", "match"), Ticks(clock, 50), clock.as_clock()) == 2
    )


def test_running_out_of_descriptors_only_delays_a_restart(
    monkeypatch: pytest.MonkeyPatch, clock: HeldClock, tmp_path: Path
) -> None:
    starts: list[int] = []

    def start(_data: Path, _role: str, *_: object) -> FakeProcess:
        starts.append(len(starts))
        if 2 <= len(starts) <= 3:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return FakeProcess(1 if len(starts) == 1 else None)

    monkeypatch.setattr(supervisor, "_start", start)
    with capture_logs() as logs:
        assert supervisor.supervise(tmp_path, ("match",), Ticks(clock, 300), clock.as_clock()) == 0
    assert len(starts) == 4
    assert [line["event"] for line in logs] == ["role_died", "role_not_started", "role_not_started"]


def test_optional_service_that_cannot_start_does_not_end_the_others(
    monkeypatch: pytest.MonkeyPatch, clock: HeldClock, tmp_path: Path
) -> None:
    starts: list[str] = []

    def start(_data: Path, role: str, *_: object) -> FakeProcess:
        starts.append(role)
        return FakeProcess(2 if role == "intake" else None)

    monkeypatch.setattr(supervisor, "_start", start)
    optional = lambda: ["intake"]  # noqa: E731
    assert (
        supervisor.supervise(
            tmp_path, ("crawl", "match"), Ticks(clock, 300), clock.as_clock(), optional
        )
        == 0
    )
    assert starts.count("intake") > 2, "it is tried again"
    assert (starts.count("crawl"), starts.count("match")) == (1, 1)


def test_configuration_broken_later_does_not_end_the_other_children(
    monkeypatch: pytest.MonkeyPatch, clock: HeldClock, tmp_path: Path
) -> None:
    starts: list[str] = []

    def start(_data: Path, role: str, *_: object) -> FakeProcess:
        starts.append(role)
        return FakeProcess(-9 if starts.count(role) == 1 else 2)

    monkeypatch.setattr(supervisor, "_start", start)
    assert (
        supervisor.supervise(tmp_path, ("crawl", "match"), Ticks(clock, 600), clock.as_clock()) == 0
    )
    assert min(starts.count("crawl"), starts.count("match")) > 3


def test_newly_configured_service_is_started_without_ending_others(
    monkeypatch: pytest.MonkeyPatch, clock: HeldClock, tmp_path: Path
) -> None:
    starts: list[str] = []

    def start(_data: Path, role: str, *_: object) -> FakeProcess:
        starts.append(role)
        return FakeProcess(2 if role == "collect xmpp" else None)

    monkeypatch.setattr(supervisor, "_start", start)
    began = clock.seconds

    def more() -> list[str]:
        return ["intake"] if clock.seconds < began + 20 else ["intake", "collect xmpp"]

    assert (
        supervisor.supervise(tmp_path, ("crawl",), Ticks(clock, 300), clock.as_clock(), more) == 0
    )
    assert starts[:3] == ["crawl", "intake", "collect xmpp"]
    assert starts.count("collect xmpp") > 2, "it is tried again"
    assert (starts.count("crawl"), starts.count("intake")) == (1, 1)


def test_child_receives_its_service_parent_and_last_exit_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(supervisor.subprocess, "Popen", lambda words, **more: (words, more))
    words, more = supervisor._start(tmp_path, "collect matrix", -9)
    assert words[-4:] == ["--data", str(tmp_path), "collect", "matrix"]
    assert (more["stdin"], more["start_new_session"]) == (subprocess.DEVNULL, True)
    assert (more["env"][SUPERVISOR], more["env"][EXIT_CODE]) == (str(os.getpid()), "-9")
    for code in (0, 1, 2):
        assert supervisor._start(tmp_path, "match", code)[1]["env"][EXIT_CODE] == str(code)
    assert os.environ.items() <= more["env"].items()


def test_children_share_the_data_folder(
    monkeypatch: pytest.MonkeyPatch, clock: HeldClock, tmp_path: Path
) -> None:
    starts: list[tuple[Path, str]] = []

    def start(data: Path, role: str, *_: object) -> FakeProcess:
        starts.append((data, role))
        return FakeProcess(1 if len(starts) == 1 else None)

    monkeypatch.setattr(supervisor, "_start", start)
    late = lambda: ["intake"] if clock.seconds > NOON + 10 else []  # noqa: E731
    assert (
        supervisor.supervise(
            tmp_path, ("match", "alert"), Ticks(clock, 100), clock.as_clock(), late
        )
        == 0
    )
    assert starts == [(tmp_path, role) for role in ("match", "alert", "match", "intake")]


def test_child_that_does_not_drain_in_time_is_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(supervisor, "DRAIN_SECONDS", 0.1)
    stubborn = (
        "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up',"
        " flush=True); sys.stdin.read()"
    )
    started: list[subprocess.Popen[bytes]] = []

    def start(_data: Path, _role: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", stubborn], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        started.append(process)
        return process

    monkeypatch.setattr(supervisor, "_start", start)
    stop = threading.Event()
    stop.set()
    assert supervisor.supervise(tmp_path, ("match",), stop, clock.Clock()) == 0
    assert started[0].returncode == -signal.SIGKILL
    started[0].communicate()


def test_run_once_runs_services_in_order_and_returns_the_first_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = (
        "import os, sys; open(sys.argv[1] + '/ran', 'a').write(sys.argv[2] + sys.argv[3] +"
        " os.environ['MADE_BY'] + ' ')"
    )
    script += "; sys.exit(sys.argv[2] == 'match')"
    monkeypatch.setattr(supervisor, "SUPERVISOR", "MADE_BY")
    monkeypatch.setattr(
        supervisor,
        "command",
        lambda data, *words: [sys.executable, "-c", script, str(data), *words],
    )
    assert supervisor.run_once(tmp_path, ("crawl", "match", "alert")) == 1
    assert (tmp_path / "ran").read_text().split() == [
        f"{role}--once{os.getpid()}" for role in ("crawl", "match", "alert")
    ]
    assert supervisor.run_once(tmp_path, ("crawl", "alert")) == 0


def test_child_uses_this_interpreter_and_data_folder(tmp_path: Path) -> None:
    assert supervisor.command(tmp_path, "match", "--once")[1:] == [
        "-m",
        "ullage",
        "--data",
        str(tmp_path),
        "match",
        "--once",
    ]


@pytest.mark.parametrize("words", [["run"], ["run", "--once"]])
def test_second_run_on_a_folder_names_the_first(data: Path, words: list[str]) -> None:
    handle = take_lock(data / "locks" / "run.lock", "")
    result = CliRunner().invoke(app, ["--data", str(data), *words])
    os.close(handle)
    assert isinstance(result.exception, HeldError)
    assert (
        str(result.exception)
        == f"{data} is in use by another process ({os.getpid()}): stop it first"
    )


def supervise_until_stop(
    monkeypatch: pytest.MonkeyPatch, clock: HeldClock, data: Path, **drain_seconds: float
) -> tuple[list[str], float]:
    """Return what was asked of the children at the end, and how many seconds the end took."""
    calls: list[str] = []
    stopped_at = list[float]()

    class Stop(Ticks):
        def wait(self, timeout: float | None = None) -> bool:
            stopped_at[:] = [clock.seconds]
            return super().wait(timeout) and not stopped_at.append(clock.seconds)

    monkeypatch.setattr(
        supervisor,
        "_start",
        lambda _data, role: DrainingProcess(clock, drain_seconds[role], calls, role),
    )
    assert supervisor.supervise(data, tuple(drain_seconds), Stop(clock, 3), clock.as_clock()) == 0
    return calls, clock.seconds - stopped_at[-1]


def test_children_are_terminated_together_and_awaited(
    monkeypatch: pytest.MonkeyPatch, clock: HeldClock, tmp_path: Path
) -> None:
    calls, seconds = supervise_until_stop(
        monkeypatch, clock, tmp_path, crawl=20.0, match=10.0, alert=25.0
    )
    roles = ("crawl", "match", "alert")
    assert calls == [f"{call} {role}" for call in ("terminate", "wait") for role in roles]
    assert seconds == pytest.approx(25.0)


def test_only_the_child_that_does_not_drain_is_killed(
    monkeypatch: pytest.MonkeyPatch, clock: HeldClock, tmp_path: Path
) -> None:
    calls, seconds = supervise_until_stop(monkeypatch, clock, tmp_path, crawl=1e6, match=29.0)
    terminated = ["terminate crawl", "terminate match"]
    assert calls == [*terminated, "wait crawl", "kill crawl", "wait crawl", "wait match"]
    assert seconds == pytest.approx(supervisor.DRAIN_SECONDS)
