"""Reports and exports are written whole or not at all, for their owner alone."""

import errno
import io
import os
import sys
from pathlib import Path

import pytest

from ullage.errors import UnavailableError
from ullage.files.atomic_write import disk_errors, write_new, write_out, write_whole


def test_file_is_owner_only_whatever_the_umask(tmp_path):
    old = os.umask(0)
    try:
        write_out(b"abc", tmp_path / "x.csv")
    finally:
        os.umask(old)
    assert (tmp_path / "x.csv").read_bytes() == b"abc"
    assert (tmp_path / "x.csv").stat().st_mode & 0o777 == 0o600


def test_existing_file_is_replaced_and_made_private(tmp_path):
    target = tmp_path / "x.csv"
    target.write_bytes(b"older and longer")
    target.chmod(0o644)
    write_out(b"new", target)
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["x.csv"]


def test_failed_write_keeps_the_old_file_and_leaves_no_draft(tmp_path, monkeypatch):
    target = tmp_path / "x.csv"
    target.write_bytes(b"older")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="No space"):
        write_out(b"new", target)
    assert target.read_bytes() == b"older"
    assert [file.name for file in tmp_path.iterdir()] == ["x.csv"]


def test_content_is_synced_before_the_rename(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_ino), fsync(handle))
    )
    for write in (write_whole, write_new):
        synced.clear()
        write(b"abc", tmp_path / write.__name__)
        assert synced == [(tmp_path / write.__name__).stat().st_ino, tmp_path.stat().st_ino]


def test_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with os.fdopen(os.open(pipe, os.O_RDWR), "rb") as reader:
        write_out(b"abc", pipe)
        assert reader.read(3) == b"abc"
    assert pipe.is_fifo()


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        write_out(b"new", tmp_path / "nowhere" / "x.csv")
    assert "nowhere" in str(raised.value.filename)


@pytest.mark.parametrize("file", [None, Path("-")])
def test_bytes_go_to_standard_output_without_a_file(monkeypatch, tmp_path, file):
    monkeypatch.chdir(tmp_path)
    out = io.BytesIO()
    monkeypatch.setattr(
        sys, "stdout", io.TextIOWrapper(out, encoding="ascii", newline="\r\n", write_through=True)
    )
    write_out("客户\n".encode(), file)
    assert out.getvalue() == "客户\n".encode()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "what", "says"),
    [
        (
            OSError(28, "No space left on device", "/a/b"),
            "",
            "/a/b cannot be read or written (No space left on device): check the disk and its room",
        ),
        (
            OSError(28, "No space left on device", "/a/b"),
            "bus",
            "bus cannot be read or written (No space left on device): check the disk and its room",
        ),
        (
            TimeoutError(),
            "",
            "the disk cannot be read or written (TimeoutError): check the disk and its room",
        ),
    ],
)
def test_disk_error_names_place_and_reason_in_one_line(error, what, says):
    with pytest.raises(UnavailableError) as raised, disk_errors(what):
        raise error
    assert str(raised.value) == says


def test_unlisted_error_is_not_converted():
    with pytest.raises(PermissionError), disk_errors(only=[errno.ENOSPC]):
        raise PermissionError(errno.EACCES, "Permission denied", "/a/b")
