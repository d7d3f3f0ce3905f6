"""One process at a time: who is refused learns who holds the place, and leaves nothing open."""

import os
from pathlib import Path

import pytest

from ullage.files.atomic_write import HeldError, take_lock


def open_locks(folder: Path) -> list[Path]:
    """Return the locks below `folder` that this process has open; other tests of the process
    hold locks of their own.
    """
    files = [descriptor.resolve() for descriptor in Path("/proc/self/fd").iterdir()]
    return [file for file in files if file.suffix == ".lock" and file.is_relative_to(folder)]


def test_rejected_caller_learns_the_holder_and_leaves_no_file_open(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "deeper" / "a.lock"
    lock = take_lock(path, "a.lock is held")
    with pytest.raises(
        HeldError, match=rf"a.lock is held by another process \({os.getpid()}\): stop it first"
    ):
        take_lock(path, "a.lock is held")
    assert open_locks(tmp_path) == [path]
    os.close(lock)
    os.close(take_lock(path, "a.lock is held"))
    assert open_locks(tmp_path) == []


def test_lock_without_a_holder_name_is_still_rejected(tmp_path: Path) -> None:
    lock = take_lock(tmp_path / "a.lock", "it is held")
    for content, name in ((b"", "unknown"), (b"\xff", "\ufffd")):
        os.ftruncate(lock, 0)
        os.pwrite(lock, content, 0)
        with pytest.raises(HeldError, match=rf"it is held by another process \({name}\)"):
            take_lock(tmp_path / "a.lock", "it is held")
    os.close(lock)


def test_name_of_an_earlier_holder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.lock").write_text("12345678901234567890\n")
    lock = take_lock(tmp_path / "a.lock", "it is held")
    assert (tmp_path / "a.lock").read_text() == f"{os.getpid()}\n"
    os.close(lock)
