"""The embedded bus under damage: it says so, or hands out what is whole; it never invents, and
never fails otherwise.
"""

from contextlib import closing
from pathlib import Path
from unittest.mock import Mock

import apsw
import pytest

from tests.conftest import KEEP, HeldClock
from tests.factories import outgoing
from ullage.bus import CAPTURES, Retention, open_bus
from ullage.bus.sqlite import SCHEMA, _Topic
from ullage.clock import Clock
from ullage.errors import ConfigError, CorruptError, UnavailableError
from ullage.files.database import open_database

PAGE_BYTES = 4096
VALUES = [f"{n:04d}".encode() * 400 for n in range(40)]


@pytest.fixture
def bus_folder(tmp_path: Path) -> Path:
    """Return the folder of a closed bus with 40 records, of which some are committed."""
    bus = open_bus("sqlite:///whole", tmp_path, KEEP, Clock())
    publisher = bus.publisher(CAPTURES)
    publisher.append([outgoing(value) for value in VALUES])
    subscription = bus.subscribe(CAPTURES, "match")
    subscription.commit(subscription.poll(5, 0.0)[-1])
    subscription.close()
    publisher.close()
    return tmp_path / "whole"


def read(folder: Path) -> list[bytes] | str:
    """Return all values from the committed position on, or the name of the error."""
    try:
        subscription = open_bus(f"sqlite:///{folder}", Path("/"), KEEP, Clock()).subscribe(
            CAPTURES, "match"
        )
        values = []
        while records := subscription.poll(10, 0.0):
            values += [record.value for record in records]
        subscription.close()
    except (CorruptError, UnavailableError) as error:
        return type(error).__name__
    return values


def test_whole_file_is_read_from_the_committed_position(bus_folder: Path) -> None:
    assert read(bus_folder) == VALUES[5:]


def test_consumer_lock_is_released_when_joining_fails(bus_folder: Path) -> None:
    content = (bus_folder / "captures.sqlite").read_bytes()
    (bus_folder / "captures.sqlite").write_bytes(b"nonsense" * 1000)
    assert read(bus_folder) == "CorruptError"
    (bus_folder / "captures.sqlite").write_bytes(content)
    assert read(bus_folder) == VALUES[5:]


def test_records_expiring_during_a_poll_are_counted(
    tmp_path: Path, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at what is kept and the look at the records another process may remove
    some.
    """
    bus = open_bus("sqlite:///bus", tmp_path, KEEP, clock.as_clock())
    publisher = bus.publisher(CAPTURES)
    for value in ("a", "b"):
        publisher.append([outgoing(value)])
        clock.advance(3000.0)
    subscription, bounds = bus.subscribe(CAPTURES, "match"), _Topic.bounds

    def bounds_then_expiry(topic: _Topic) -> tuple[int, int]:
        monkeypatch.setattr(_Topic, "bounds", bounds)
        before = topic.bounds()
        assert bus.expire() == 1
        return before

    monkeypatch.setattr(_Topic, "bounds", bounds_then_expiry)
    assert [record.value for record in subscription.poll(10, 0.0)] == [b"b"]
    assert subscription.expired == 1
    assert (subscription.poll(10, 0.0), subscription.expired) == ([], 1)
    subscription.close()
    publisher.close()


def test_damaged_file_is_named_when_records_expire(bus_folder: Path) -> None:
    file = bus_folder / "captures.sqlite"
    content = file.read_bytes()
    file.write_bytes(content[: 3 * PAGE_BYTES] + bytes(len(content) - 3 * PAGE_BYTES))
    little = {topic: Retention(3600.0, 1) for topic in KEEP}
    with pytest.raises(CorruptError, match=r"captures\.sqlite"):
        open_bus(f"sqlite:///{bus_folder}", Path("/"), little, Clock()).expire()


def test_group_may_retry_joining_an_unreadable_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = open_bus("sqlite:///bus", tmp_path, KEEP, Clock())
    monkeypatch.setattr(_Topic, "position", Mock(side_effect=apsw.IOError("disk I/O error")))
    with pytest.raises(UnavailableError, match=r"captures\.sqlite"):
        bus.subscribe(CAPTURES, "match")


def test_folder_url_may_be_absolute_or_relative_to_the_data_folder(tmp_path: Path) -> None:
    for url in ("sqlite:///inside", f"sqlite:///{tmp_path}/outside"):
        open_bus(url, tmp_path / "data", KEEP, Clock()).publisher(CAPTURES).append([outgoing("a")])
    assert (tmp_path / "data" / "inside" / "captures.sqlite").is_file()
    assert (tmp_path / "outside" / "captures.sqlite").is_file()


@pytest.mark.parametrize("headers", ["[]", "{", "null"])
def test_malformed_record_is_reported_with_its_offset(bus_folder: Path, headers: str) -> None:
    """As a program of somebody else leaves it: the page is whole."""
    with closing(open_database(bus_folder / "captures.sqlite", SCHEMA)) as database:
        database.execute("update records set headers = ? where offset = 6", (headers,))
    subscription = open_bus(f"sqlite:///{bus_folder}", Path("/"), KEEP, Clock()).subscribe(
        CAPTURES, "match"
    )
    with pytest.raises(CorruptError, match=r"captures\.sqlite has a damaged record \(offset 6\)"):
        subscription.poll(10, 0.0)
    subscription.close()


def test_files_of_the_bus_are_private(bus_folder: Path) -> None:
    assert {oct(p.stat().st_mode & 0o777) for p in bus_folder.iterdir()} == {"0o600"}
    assert oct(bus_folder.stat().st_mode & 0o777) == "0o700"


def test_second_consumer_in_the_same_process_is_rejected(bus_folder: Path) -> None:
    bus = open_bus(f"sqlite:///{bus_folder}", Path("/"), KEEP, Clock())
    subscription = bus.subscribe(CAPTURES, "match")
    with pytest.raises(ConfigError, match="is being consumed by another process"):
        bus.subscribe(CAPTURES, "match")
    bus.subscribe(CAPTURES, "other").close()
    subscription.close()
