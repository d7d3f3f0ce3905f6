"""A backup that is taken while a process writes all the time: every one succeeds, and what is
restored is what was durable.

`writing.py` says what each document holds. A copy is right when it has the first so many documents
whole and no other, at least those that were durable when the backup began.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.keylife.conftest import House
from tests.state.writing import OFTEN, PARTS, Part
from ullage import setup
from ullage.backup import MANIFEST
from ullage.files.database import BUSY_MILLISECONDS
from ullage.settings import Context

ROOT = Path(__file__).parents[2]
SOON = 120.0
SMALL, LARGE = 8 << 20, 128 << 20
"""Bytes of a database: more than SQLite's cache holds, which is 2 MB, and more than the log does
when it is written back.
"""


class Writer:
    """A process that writes to one part of a data folder."""

    def __init__(self, name: str, data: Path, size: int) -> None:
        words = [sys.executable, "-m", "tests.state.writing", name, data, size]
        self._process = subprocess.Popen(
            [*map(str, words)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        self._file, self._size = data / PARTS[name].file, size
        self._said = threading.Condition()
        self.durable = 0
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            with self._said:
                self.durable = int(line)
                self._said.notify_all()
        with self._said:
            self._size = -1
            self._said.notify_all()

    def goes_on(self) -> None:
        """Wait until the file is as large as was asked for, and something more is durable than
        now.
        """
        with self._said:
            now = self.durable
            self._said.wait_for(
                lambda: self.durable > now and self._file.stat().st_size > self._size, SOON
            )
            assert self._size >= 0, "the writer ended"
            assert self.durable > now

    def end(self) -> None:
        self._process.kill()
        self._reader.join()
        self._process.communicate()


@contextmanager
def writing(name: str, data: Path, size: int) -> Iterator[Writer]:
    writer = Writer(name, data, size)
    try:
        writer.goes_on()
        yield writer
    finally:
        writer.end()


@pytest.fixture
def house(tmp_path: Path) -> House:
    data = tmp_path / "data"
    list(setup.initialise(Context(data)))
    return House(data)


def count_documents(part: Part, data: Path) -> int:
    """Return the number of documents: they are the first ones, each stored whole one time."""
    numbers = sorted(part.read(data))
    assert numbers == list(range(len(numbers)))
    return len(numbers)


def faults(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("FAULT")]


def restore(house: House, copy: Path) -> Path:
    """Restored elsewhere; a folder that has just been set up has faults of its own, such as
    nobody to notify.
    """
    data = copy.with_name(f"{copy.name}-restored")
    output = House(data).ask("restore", copy / "data", "--keys", copy / "keys").output
    assert f"{data}: " in output
    assert [line.split(":")[0] for line in faults(output)] == [
        line.split(":")[0] for line in faults(house.ask("check").output)
    ]
    return data


def back_up_house(house: House, copy: Path) -> None:
    house.done("backup", copy / "data", "--keys", copy / "keys")


def go(house: House, name: str, tmp_path: Path, size: int, times: int) -> None:
    """Take backups while the part grows; restore each and compare it."""
    copies: dict[Path, int] = {}
    with writing(name, house.data, size) as writer:
        for n in range(times):
            writer.goes_on()
            copies[tmp_path / f"copy{n}"] = writer.durable
            back_up_house(house, tmp_path / f"copy{n}")
            writer.goes_on()
    for copy, durable in copies.items():
        assert durable <= count_documents(PARTS[name], restore(house, copy)) <= writer.durable + 1


@pytest.mark.parametrize("name", PARTS)
def test_backup_under_load_contains_everything_durable(
    house: House, tmp_path: Path, name: str
) -> None:
    go(house, name, tmp_path, SMALL, 2)


def start_backup(house: House, copy: Path, **more: Any) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "ullage", "--data", house.data, "backup", copy]
    return subprocess.Popen(
        [*map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )


def kill_half_way(house: House, tmp_path: Path) -> Path:
    """Return what a killed backup left; a backup that ends too early is repeated."""
    for copy in (tmp_path / f"killed{n}" for n in range(20)):
        process = start_backup(house, copy)
        while process.poll() is None and not (copy / PARTS["bus"].file).exists():
            pass
        process.kill()
        process.communicate()
        if not (copy / MANIFEST).exists():
            return copy
    pytest.fail("every backup was done before it could be killed")


def test_killed_backup_is_not_restorable_and_stops_nobody(house: House, tmp_path: Path) -> None:
    with writing("bus", house.data, SMALL) as writer:
        copy = kill_half_way(house, tmp_path)
        writer.goes_on()
        durable = writer.durable
        back_up_house(house, tmp_path / "copy")
    assert "is not empty" in str(house.ask("backup", copy).exception)
    assert "is not a complete backup (" in str(
        House(tmp_path / "back").ask("restore", copy).exception
    )
    assert durable <= count_documents(PARTS["bus"], restore(house, tmp_path / "copy"))
    assert writer.durable <= count_documents(PARTS["bus"], house.data)


@pytest.fixture(params=["full", "too small for the file"])
def small_disk(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield a folder without room for a copy, and how to start a process there."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param != "full":
        yield (
            folder,
            {
                "preexec_fn": lambda: resource.setrlimit(
                    resource.RLIMIT_FSIZE, (SMALL // 2, SMALL // 2)
                )
            },
        )
        return
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SMALL // 2}", "none", folder], check=False
        ).returncode
    ):
        pytest.skip("a file system of its own needs root, and the right to mount one")
    yield folder, {}
    subprocess.run(["umount", "-l", folder], check=True)


def test_disk_too_small_for_the_copy_is_named_and_left_empty(
    house: House, tmp_path: Path, small_disk: tuple[Path, dict[str, Any]]
) -> None:
    folder, limits = small_disk
    with writing("bus", house.data, SMALL) as writer:
        process = start_backup(house, folder / "copy", **limits)
        printed, errors = process.communicate(timeout=SOON)
        assert (process.returncode, printed, errors.count("\n")) == (1, "", 1)
        assert f"{house.data / PARTS['bus'].file} cannot be copied to {folder / 'copy'}" in errors
        assert not list(folder.iterdir())
        writer.goes_on()
    assert writer.durable <= count_documents(PARTS["bus"], house.data)


@pytest.mark.parametrize("name", ["bus", "store"])
def test_checkpoint_does_not_wait_for_a_backup(tmp_path: Path, name: str) -> None:
    """A backup reads as long as it takes.

    Who waits for it holds up all that write, for half a minute each time.
    """
    write = PARTS[name].write(tmp_path)
    write(range(1))
    with closing(apsw.Connection(str(tmp_path / PARTS[name].file))) as reader:
        reader.execute("begin")
        assert reader.execute("select count(*) from sqlite_schema").get
        began = time.monotonic()
        for n in range(1, 1 + OFTEN):
            write(range(n, n + 1))
        assert time.monotonic() - began < BUSY_MILLISECONDS / 1000 / 2


@pytest.mark.faults
@pytest.mark.parametrize("name", PARTS)
def test_large_backup_under_load_contains_everything_durable(
    house: House, tmp_path: Path, name: str
) -> None:
    go(house, name, tmp_path, LARGE, 7)
