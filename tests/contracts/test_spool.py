"""The one-way part of the bus contract on the spool: what `test_bus.py` asks of any bus, with
files as its units.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings
from hypothesis.stateful import rule

from tests.conftest import KEEP, HeldClock
from tests.contracts import test_bus as contract
from tests.state.test_bus_model import BusModel, Group
from ullage import clock as time
from ullage.bus import CAPTURES, Bus, PartitionPosition, Retention, open_bus

URL = "spool:///bus"
BY_RECORD = {"test_records_over_the_size_expire_oldest_first"}
"""A spool expires whole files: its own form of these is below."""


@pytest.fixture
def backend() -> SimpleNamespace:
    """Stands where the suite asks which bus it is on."""
    return SimpleNamespace(
        url=URL, embedded=True, patience=0.0, take=lambda reader, most=100: reader.poll(most, 0.0)
    )


@pytest.fixture
def open_again(backend: SimpleNamespace, tmp_path: Path, clock: HeldClock) -> Callable[..., Bus]:
    """Return a function that opens the spool again, as that of `conftest.py`."""
    waits = time.Clock(wall=clock.wall, uptime=clock.running, boot=clock.boot)
    return lambda keep=KEEP: open_bus(backend.url, tmp_path, keep, waits)


@pytest.fixture
def values() -> Callable[..., list[str]]:
    """Return the values that the next poll hands out."""
    return lambda reader, most=100: [record.value.decode() for record in reader.poll(most, 0.0)]


def _with_url(test: Callable[..., None]) -> Callable[[Path], None]:
    def on_spool(tmp_path: Path) -> None:
        test(tmp_path, URL)

    return on_spool


for _name, _test in inspect.getmembers(contract, inspect.isfunction):
    _asks = set(inspect.signature(_test).parameters)
    if not _name.startswith("test_") or _name in BY_RECORD:
        continue
    if _asks == {"tmp_path", "url"}:
        globals()[_name] = _with_url(_test)
    elif _asks & {"bus", "open_again", "backend"}:
        globals()[_name] = _test


class SpoolModel(BusModel):
    """Its files are larger than all that is appended, so that by size none expires."""

    url = URL
    kept_bytes = 2**20

    @rule()
    def die(self) -> None:
        """Let a process die in its own folder.

        A copy would be a stream of its own, and streams have no order among them.
        """
        self._close()
        self.begin()

    def stands(self, group: Group, waiting: int, places: list[PartitionPosition]) -> None:
        """Check a group's positions.

        A stream is a partition, of which there is none before its first file.
        """
        assert sum(place.waiting for place in places) == waiting


TestSpoolModel = SpoolModel.TestCase
TestSpoolModel.settings = settings(max_examples=25, stateful_step_count=30)


def test_suite_includes_the_whole_bus_contract() -> None:
    assert sum(name.startswith("test_") for name in globals()) >= 22


def test_files_over_the_size_expire_oldest_first(
    open_again: Callable[..., Bus], values: Callable[..., list[str]], tmp_path: Path
) -> None:
    bus = open_again()
    subscription = bus.subscribe(CAPTURES, "match")
    for number in range(5):
        contract.put(bus, f"{number:0100d}")
    size = next((tmp_path / "bus" / CAPTURES).iterdir()).stat().st_size
    assert open_again({CAPTURES: Retention(3600.0, 2 * size)}).expire() == 3
    assert [int(value) for value in values(subscription)] == [3, 4]
    assert subscription.expired == 3
