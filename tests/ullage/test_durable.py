"""A name that a file was given stands after a loss of power too: its folder is synced, and not
the file alone.
"""

import os
from pathlib import Path

import pytest

from tests.conftest import KEEP, HeldClock
from tests.durable import Names
from tests.factories import outgoing
from ullage.bus import CAPTURES, open_bus
from ullage.files import atomic_write
from ullage.files.database import back_up, open_database

SCHEMA = "create table t (n integer not null) strict"


def a_spool(folder: Path) -> None:
    bus = open_bus("spool:///spool", folder, KEEP, HeldClock().as_clock())
    bus.publisher(CAPTURES).append([outgoing("a"), outgoing("b")])
    subscription = bus.subscribe(CAPTURES, "match")
    subscription.commit(subscription.poll(10, 0.0)[-1])
    subscription.close()


def a_copy(folder: Path) -> None:
    open_database(folder / "x.sqlite", SCHEMA).close()
    back_up(folder / "x.sqlite", folder / "copy.sqlite")


def a_move(folder: Path) -> None:
    (folder / "draft").write_bytes(b"new")
    atomic_write.put_in_place(folder / "draft", folder / "file")


WRITERS = {
    "an atomic write": lambda folder: atomic_write.write_whole(b"new", folder / "file"),
    "a renamed draft": a_move,
    "a new database": lambda folder: open_database(folder / "x.sqlite", SCHEMA).close(),
    "spool files": a_spool,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_new_name_is_synced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    names = Names(monkeypatch)
    WRITERS[name](tmp_path)
    assert names.given, "nothing was renamed: this looks at nothing"
    # of the running time, which a loss of power may set back
    assert {*names.undone()} <= {"record.json"}


def test_temporary_file_needs_no_folder_sync(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = Names(monkeypatch)
    atomic_write.write_whole(b"new", tmp_path / "file", lasts=False)
    assert names.undone() == ["file"]


@pytest.mark.parametrize(
    "make",
    [lambda folder: atomic_write.write_new(b"new", folder / "file"), a_copy],
    ids=["new", "copy"],
)
def test_new_file_is_synced_before_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make
) -> None:
    synced: list[str] = []
    sync = os.fsync

    def fsync(handle: int) -> None:
        sync(handle)
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))

    monkeypatch.setattr(os, "fsync", fsync)
    make(tmp_path)
    assert synced[-1] == str(tmp_path)
