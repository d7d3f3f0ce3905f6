"""What every test stands on: no network but loopback, a clock that can be held still, a data
folder, a bus.
"""

import contextlib
import functools
import gc
import importlib.metadata
import inspect
import io
import os
import secrets
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from deploy.local.kafka import Broker, broker, ensure_libraries
from tests.running.audit_targets import audit_entries_have_chinese  # noqa: F401
from tests.running.limits import (
    pytest_fixture_setup,  # noqa: F401
    pytest_runtest_makereport,  # noqa: F401
    pytest_timeout_set_timer,  # noqa: F401
)
from tests.running.shared_servers import (
    end_shared,
    find_needed_server,
    kafka_url,
    start_shared,
    worker_name,
)
from tests.running.work_queue import (
    pytest_addoption,  # noqa: F401
    pytest_xdist_auto_num_workers,  # noqa: F401
    pytest_xdist_make_scheduler,  # noqa: F401
)
from tests.stores import SERVERS as ELASTICSEARCH
from tests.stores import Nodes, cannot_be_had, nodes, share_node
from ullage import cli, setup
from ullage import clock as time
from ullage.bus import (
    CAPTURES,
    DEAD_LETTERS,
    FINDINGS,
    Bus,
    Record,
    Retention,
    Subscription,
    open_bus,
)
from ullage.errors import UnavailableError
from ullage.settings import Context

settings.register_profile(
    "ullage",
    max_examples=25,  # the same on every run; `make fuzz` draws others, 100 in each round
    derandomize=True,
    database=None,
    deadline=None,  # a busy machine is no failure
    suppress_health_check=[HealthCheck.too_slow],  # nor here
)
FUZZ_KEEPS = ".hypothesis/examples"
settings.register_profile(
    "fuzz",
    settings.get_profile("ullage"),
    max_examples=100,
    derandomize=False,
    database=DirectoryBasedExampleDatabase(FUZZ_KEEPS),
    print_blob=True,
)
settings.load_profile("ullage")

LOOPBACK = ("127.", "::1", "localhost")
NOON = 1_790_000_000.0
KEEP = {topic: Retention(3600.0, 256 * 2**20) for topic in (CAPTURES, FINDINGS, DEAD_LETTERS)}


@dataclass(frozen=True)
class Backend:
    """A bus that must pass `tests/contracts/test_bus.py`; a new one is one line in `BACKENDS`.

    An embedded bus has one consumer a group, expires when told to, and stamps records with our
    clock; a broker shares partitions out, expires by itself, stamps with its own clock, and has a
    member join within `patience` seconds.
    """

    url: str
    embedded: bool = True
    patience: float = 0.0

    def take(self, subscription: Subscription, most: int = 100) -> list[Record]:
        """Return what the next poll hands out, with the time that this bus may take."""
        return subscription.poll(most, self.patience)


BACKENDS = {
    "sqlite": Backend("sqlite:///bus"),
    "kafka": Backend("?create=1", embedded=False, patience=6.0),
}
SERVERS = [
    pytest.param(n, marks=() if b.embedded else pytest.mark.servers)
    for n, b in sorted(BACKENDS.items())
]
EMBEDDED = sorted(n for n, b in BACKENDS.items() if b.embedded)


def _guard_connect(connect: Callable[..., object]) -> Callable[..., object]:
    def guard(self: socket.socket, address: object) -> object:
        inet = self.family in (socket.AF_INET, socket.AF_INET6)
        if inet and not str(address[0]).startswith(LOOPBACK):  # type: ignore[index]
            pytest.fail(f"a test reached for the network: {address}", pytrace=True)
        return connect(self, address)

    return guard


def pytest_configure() -> None:
    """Keep compiled modules whatever the environment says: otherwise each file of tests is
    rewritten on every run.
    """
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def _caller_alone(_context: int = 1) -> list[tuple[FrameType]]:
    """Return two frames in place of `inspect.stack()`: Scrapy, as it is imported, reads a
    hundred to name three classes.
    """
    return [(sys._getframe(1),), (sys._getframe(2),)]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Iterator[None]:
    """Collect without looking for garbage, now or later, among what stays to the end: that took
    a third of the time.
    """
    gc.disable()
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(inspect, "stack", _caller_alone)
            return (yield)
    finally:
        gc.freeze()
        gc.enable()


HELD_OVER_SERVERS = ("tests/contracts/", "tests/ullage/")
"""Where tests of real servers hold an interface to its contract: `make test` runs these."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the contracts on real servers, which are told by where they are."""
    for item in items:
        if item.nodeid.startswith(HELD_OVER_SERVERS) and item.get_closest_marker("servers"):
            item.add_marker("contracts")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the servers that the run will ask for, while it begins with other tests."""
    if worker_name() and not session.config.option.collectonly:
        for name in sorted({find_needed_server(item) for item in session.items} - {""}):
            start_shared(ELASTICSEARCH.get(name, name), run_folder(session.config))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the servers of the run with its last worker."""
    if session.config.pluginmanager.hasplugin("dsession"):
        end_shared(session.config._tmp_path_factory.getbasetemp())  # type: ignore[attr-defined]


def run_folder(config: pytest.Config) -> Path:
    """Return the folder that all workers of this run share."""
    return config._tmp_path_factory.getbasetemp().parent  # type: ignore[attr-defined,no-any-return]


@pytest.fixture(autouse=True, scope="session")
def own_cache() -> Iterator[None]:
    """Compiled patterns are neither read from the user's cache nor left there, but shared by all
    test runs of this checkout.

    Each set of brands takes 3 s of CPU to compile; a file of the cache is named by the digest of
    what it was compiled from.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(Path(__file__).parents[1] / ".test_cache"))
        yield


@pytest.fixture(autouse=True, scope="session")
def entry_points_read_once() -> Iterator[None]:
    """Commands that run inside tests look up entry points among all that is installed: half of
    what a short one takes.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            importlib.metadata, "entry_points", functools.cache(importlib.metadata.entry_points)
        )
        yield


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let connections go to loopback or fail the test."""
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, _guard_connect(getattr(socket.socket, name)))


@pytest.fixture(autouse=True)
def umask_as_before() -> Iterator[None]:
    """Restore the umask: a command that runs inside a test narrows it for the process."""
    former = os.umask(0o022)
    os.umask(former)
    yield
    os.umask(former)


@pytest.fixture(autouse=True)
def no_log_left_behind() -> Iterator[None]:
    """Remove log handlers that a command added inside a test.

    They write to that test's captured output, which closes with it.
    """
    yield
    structlog.reset_defaults()


def in_this_process(*words: str, **settings: str) -> tuple[object, str, str]:
    """Run the whole command line here; returns exit code, output and errors."""
    out, err, umask = io.StringIO(), io.StringIO(), os.umask(0o022)
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        for name, value in settings.items():
            patch.setenv(f"ULLAGE_{name.upper()}", value)
        patch.setenv("OPENBLAS_NUM_THREADS", "1")  # which the program would set
        patch.setattr(sys, "argv", ["ullage", *words])
        for module in (sys, threading):
            patch.setattr(module, "excepthook", module.excepthook)
        with pytest.raises(SystemExit) as ended:
            cli.main()
    os.umask(umask)
    structlog.reset_defaults()
    return ended.value.code, out.getvalue(), err.getvalue()


@dataclass
class HeldClock:
    """Time that moves only when told to. `as_clock` is what the code under test takes."""

    seconds: float = NOON
    jumped: float = 0.0
    boots: int = 0

    def advance(self, seconds: float) -> None:
        self.seconds += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock without any time passing."""
        self.seconds += seconds
        self.jumped += seconds

    def restart(self, off: float) -> None:
        """Switch the machine off for so long; its wall clock is another matter."""
        self.boots += 1
        self.seconds += off

    def wall(self) -> float:
        return self.seconds

    def as_clock(self) -> time.Clock:
        return time.Clock(self.wall, self.running, self.running, self.boot)

    def boot(self) -> str:
        return f"boot {self.boots}"

    def running(self) -> float:
        return self.seconds - self.jumped


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture(scope="session")
def fresh_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder as `ullage init` leaves it, to be copied.

    A copy takes a fifth of the time.
    """
    folder = tmp_path_factory.mktemp("fresh") / "data"
    list(setup.initialise(Context(folder)))
    return folder


@pytest.fixture
def data(tmp_path: Path, fresh_data: Path) -> Path:
    """Return a data folder of the test's own as `ullage init` leaves it."""
    return shutil.copytree(fresh_data, tmp_path / "data")


@pytest.fixture
def context(data: Path, clock: HeldClock) -> Context:
    """Return the data folder's context at a held time."""
    return Context(data, clock.as_clock())


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Yield one real broker for all tests of this process that ask for it.

    The first of them starts it; they may stop and freeze it.
    """
    try:
        ensure_libraries()
    except UnavailableError as error:
        cannot_be_had(error)
    with broker(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture(scope="session")
def elasticsearch_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Yield one real Elasticsearch node per version for the tests of this process that ask for it.

    They may stop and freeze it.
    """
    with nodes(tmp_path_factory.mktemp) as started:
        yield started


@pytest.fixture(scope="session")
def run_wide_kafka(request: pytest.FixtureRequest) -> str:
    """Return the address of a broker for all workers of the run, which never stops."""
    if not worker_name():
        return str(request.getfixturevalue("kafka_broker").url)
    try:
        return kafka_url(run_folder(request.config))
    except UnavailableError as error:
        cannot_be_had(error)


@pytest.fixture(scope="session")
def run_wide_nodes(request: pytest.FixtureRequest) -> Nodes:
    """Return an Elasticsearch node per version for all workers of the run; they never stop."""
    if not worker_name():
        return request.getfixturevalue("elasticsearch_nodes")  # type: ignore[no-any-return]
    return functools.cache(functools.partial(share_node, folder=run_folder(request.config)))


@pytest.fixture(params=SERVERS)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Return each bus in turn; on the broker every test has topics of its own."""
    bus_backend = BACKENDS[request.param]
    if bus_backend.embedded:
        return bus_backend
    address = request.getfixturevalue("run_wide_kafka")
    return replace(bus_backend, url=f"{address}/{bus_backend.url}&prefix={secrets.token_hex(4)}.")


@pytest.fixture
def open_again(backend: Backend, tmp_path: Path, clock: HeldClock) -> Iterator[Callable[..., Bus]]:
    """Yield a function that opens the same bus once more, as a process that starts anew would.

    `keep` is its retention; wall time is held.
    """
    url = backend.url
    waits = (
        time.Clock(wall=clock.wall, uptime=clock.running, boot=clock.boot)
        if backend.embedded
        else time.Clock()
    )  # polls with a timeout wait in real time

    buses: list[Bus] = []

    def open_bus_again(keep: dict[str, Retention] = KEEP) -> Bus:
        buses.append(open_bus(url, tmp_path, keep, waits))
        return buses[-1]

    yield open_bus_again
    for bus in buses:
        bus.close()


@pytest.fixture
def bus(open_again: Callable[..., Bus]) -> Bus:
    return open_again()
