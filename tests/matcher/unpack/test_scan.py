"""`ullage scan` reads containers, and says what it could not."""

import gzip
import json
from pathlib import Path

import pytest

from matcher.unpack.parent import ForkServer
from tests.factories import capture
from tests.matcher.bank import matcher_of, phone
from tests.matcher.unpack import builders
from ullage.errors import Exit
from ullage.settings import Context


@pytest.fixture
def context(data: Path) -> Context:
    """Return a context at the real clock, by which the command line runs."""
    return Context(data)


def test_members_have_their_own_paths_and_offsets(ullage, bank: Context, tmp_path: Path) -> None:
    text = f"姓名,手机\n张某,{phone(1)}\n"
    inner = builders.zip_of({"c.html": f"<p>{phone(2)[:3]}<b>{phone(2)[3:]}</b>".encode()})
    files = {
        "b.csv": text.encode("gb18030"),
        "n.zip": inner,
        "c.png": b"\x89PNG\r\n\x1a\n",
        f"{phone(3)}.jpg": b"\xff\xd8\xff",
    }
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.zip").write_bytes(builders.zip_of(files))
    (folder / "a.txt").write_text(phone(1))
    result = ullage("scan", folder)
    assert result.exit_code == Exit.NO_VERDICT, result.output
    places = {
        row["path"]: (row["start"], row["end"])
        for row in map(json.loads, result.stdout.splitlines())
    }
    place = f"{folder}/a.zip!/"
    assert set(places) == {f"{folder}/a.txt", place, f"{place}b.csv", f"{place}n.zip!/c.html"}
    start, end = places[f"{place}b.csv"]
    assert text[start:end] == phone(1)
    assert result.stderr.splitlines() == [
        f"{place}c.png: image, not read",
        f"{place}{phone(3)}.jpg: image, not read",
        "2 files scanned, 1 not fully read (2 image)",
    ]


def test_standard_input_may_be_a_container(ullage, bank: Context) -> None:
    result = ullage("scan", "-", input=builders.tar_of({"b.csv": phone(1).encode()}, "w:gz"))
    assert [json.loads(line)["path"] for line in result.stdout.splitlines()] == ["-!/b.csv"]


def test_damaged_container_is_read_partly_and_gives_no_verdict(
    ullage, bank: Context, tmp_path: Path
) -> None:
    builders.need_libarchive()
    (tmp_path / "a.zip").write_bytes(builders.zip_of({"b.csv": phone(1).encode()})[:-30])
    result = ullage("scan", tmp_path / "a.zip")
    assert result.exit_code == Exit.NO_VERDICT
    assert [json.loads(line)["path"] for line in result.stdout.splitlines()] == [
        f"{tmp_path}/a.zip!/b.csv"
    ]
    assert "damaged, read as far as possible" in result.stderr


@pytest.fixture
def server_starts(own_servers, monkeypatch) -> list[object]:
    """Return a list that gets each server that is started."""
    servers, start = [], ForkServer._start
    monkeypatch.setattr(ForkServer, "_start", lambda self: servers.append(self) or start(self))
    return servers


def test_many_small_archives_share_a_server(
    ullage, bank: Context, tmp_path: Path, server_starts: list[object]
) -> None:
    for n in range(10):
        (tmp_path / f"{n}.csv.gz").write_bytes(gzip.compress(phone(n).encode()))
    result = ullage("scan", tmp_path)
    assert [json.loads(line)["path"] for line in result.stdout.splitlines()] == [
        f"{tmp_path}/{n}.csv.gz!/{n}.csv" for n in range(10)
    ]
    assert len(server_starts) == 1


def test_each_batch_uses_one_server(bank: Context, server_starts: list[object]) -> None:
    batch = [capture(body=gzip.compress(phone(n).encode())) for n in range(5)]
    matcher = matcher_of(bank)
    for servers in (1, 2):
        assert [reading.valid for reading in matcher.read(batch)] == [1] * 5
        assert len(server_starts) == servers
    assert [server.pid for server in server_starts] == [0, 0]
