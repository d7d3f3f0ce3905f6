"""What every test stands on: no network but loopback, a clock that can be held still, a data folder, a bus."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from ullage import clock as time
from ullage import setup
from ullage.bus import CAPTURES, DEAD_LETTERS, FINDINGS, Bus, Retention, open_bus
from ullage.settings import Context

settings.register_profile("ullage", deadline=None)  # a busy machine is no failure
settings.load_profile("ullage")

LOOPBACK = ("127.", "::1", "localhost")
NOON = 1_790_000_000.0
KEEP = {topic: Retention(3600.0, 256 * 2**20) for topic in (CAPTURES, FINDINGS, DEAD_LETTERS)}
BACKENDS = {"sqlite": "sqlite:///bus"}
"""URL of each bus that must pass `tests/contracts/test_bus.py`; a new backend is one line more."""


def _guarded(connect: Callable[..., object]) -> Callable[..., object]:
    def guard(self: socket.socket, address: object) -> object:
        inet = self.family in (socket.AF_INET, socket.AF_INET6)
        if inet and not str(address[0]).startswith(LOOPBACK):  # type: ignore[index]
            pytest.fail(f"a test reached for the network: {address}", pytrace=True)
        return connect(self, address)

    return guard


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections go to loopback or fail the test."""
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))


@pytest.fixture(autouse=True)
def no_log_left_behind() -> Iterator[None]:
    """A command that ran inside a test has sent logs to that test's captured output, which closes with it."""
    yield
    structlog.reset_defaults()


@dataclass
class HeldClock:
    """Time that moves only when told to. `as_clock` is what the code under test takes."""

    seconds: float = NOON

    def advance(self, seconds: float) -> None:
        self.seconds += seconds

    def wall(self) -> float:
        return self.seconds

    def as_clock(self) -> time.Clock:
        return time.Clock(wall=self.wall, monotonic=self.wall)


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder as `ullage init` leaves it."""
    folder = tmp_path / "data"
    list(setup.initialise(Context(folder)))
    return folder


@pytest.fixture
def context(data: Path, clock: HeldClock) -> Context:
    """The data folder's context at a held time."""
    return Context(data, clock.as_clock())


@pytest.fixture(params=sorted(BACKENDS))
def open_again(request: pytest.FixtureRequest, tmp_path: Path, clock: HeldClock) -> Callable[..., Bus]:
    """Opens the same bus once more, as a process that starts anew would; `keep` is its retention, wall time is held."""
    url = BACKENDS[request.param]
    waits = time.Clock(wall=clock.wall)  # polls with a timeout wait in real time

    def opened(keep: dict[str, Retention] = KEEP) -> Bus:
        return open_bus(url, tmp_path, keep, waits)

    return opened


@pytest.fixture
def bus(open_again: Callable[..., Bus]) -> Iterator[Bus]:
    opened = open_again()
    yield opened
    opened.close()
