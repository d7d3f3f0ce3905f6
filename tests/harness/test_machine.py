"""`make bench ONLY=machine`: what it would call a fault, a false match or a wrong "not readable", and which files it takes."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from harness.bench.machine import MachineResult, measure
from harness.bench.machine.examination import FileOutcome, read_files
from harness.bench.machine.readability import find_wrong_outcomes
from harness.bench.machine.sampling import FoundFile, choose_files, find_files
from matcher.unpack.protocol import UnreadPart
from tests.matcher.bank import customer, enrol, matcher_of
from ullage.settings import Context

TEXT = "Released under the terms of the licence, 20 June 2024.\n" * 4
NOISE = random.Random(1).randbytes(4096)


def zipped(**members: bytes) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return body.getvalue()


def tarred(name: str, content: bytes) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return body.getvalue()


def test_customers_and_unread_parts_of_each_file_are_told(context: Context, tmp_path: Path) -> None:
    enrol(context, "bank", [customer(1), customer(2)])
    bodies = {"text": TEXT.encode(), "list": f"{customer(1)['phone']}\n{customer(2)['phone']}\n".encode(), "noise": NOISE}
    paths = [tmp_path / name for name in bodies]
    for path in paths:
        path.write_bytes(bodies[path.name])
    text, customers, noise = read_files(matcher_of(context), paths)
    assert text == FileOutcome(paths[0])
    assert (customers.customers, customers.faults) == (2, [])
    assert [unread.reason for unread in noise.unread] == ["unrecognised"]


def test_run_fails_where_a_file_holds_a_customer(context: Context, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    enrol(context, "bank", [customer(1)])
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.txt").write_text(TEXT)
    assert measure(context.data, find_files([folder])) == []
    (folder / "b.txt").write_text(f"{TEXT}{customer(1)['phone']}\n")
    assert measure(context.data, find_files([folder])) == ["machine: false matches"]
    assert f"false match: {folder / 'b.txt'}: 1 customers" in capsys.readouterr().out
    assert measure(context.data, []) == ["machine: no file"]


@pytest.mark.parametrize(("readable", "files", "missed"), [(0, 1, False), (1, 500, False), (1, 499, True), (2, 999, True)])
def test_one_readable_file_in_500_may_be_called_unreadable(tmp_path: Path, readable: int, files: int, missed: bool) -> None:
    path = tmp_path / "a.txt"
    path.write_text(TEXT)
    result = MachineResult()
    for number in range(files):
        unread = [UnreadPart(str(path), "unrecognised")] if number < readable else []
        assert len(list(result.add(FileOutcome(path, unread=unread)))) == len(unread)
    assert list(result.missed()) == (["machine: readable files called unreadable"] if missed else [])


@pytest.mark.parametrize(
    ("body", "inside", "reason", "is_wrong"),
    [
        (TEXT.encode(), "", "unrecognised", True),
        (TEXT.encode("utf-16"), "", "binary", True),
        ("Überall Äpfel und Öl.\n".encode("latin-1"), "", "unrecognised", True),
        (TEXT.encode(), "", "empty", True),
        (b" \n\t\n", "", "empty", False),
        (TEXT.encode(), "", "denied", False),
        (TEXT.encode(), "", "masked", False),
        (NOISE, "", "unrecognised", False),
        (NOISE.hex().encode(), "", "unrecognised", False),
        (gzip.compress(TEXT.encode(), mtime=0), "", "damaged", True),
        (gzip.compress(TEXT.encode(), mtime=0)[:-12], "", "damaged", False),
        (bz2.compress(NOISE), "", "unsupported", True),
        (zipped(a=NOISE), "", "unsupported", True),
        (zipped(a=NOISE, b=TEXT.encode()), "a", "unrecognised", False),
        (zipped(a=NOISE, b=TEXT.encode()), "b", "unrecognised", True),
        (tarred("b/c", TEXT.encode()), "b/c", "binary", True),
        (zipped(a=zipped(b=TEXT.encode())), "a!/b", "unrecognised", True),
    ],
)
def test_readability_is_decided_by_the_bytes(tmp_path: Path, body: bytes, inside: str, reason: str, is_wrong: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(body)
    outcome = UnreadPart(f"{path}!/{inside}" if inside else str(path), reason)
    assert find_wrong_outcomes(path, [outcome]) == ([outcome] if is_wrong else [])


def test_sample_is_the_same_each_time_and_spread_over_folders() -> None:
    files = [FoundFile(Path(f"/{folder}/{number}"), 10) for folder in range(20) for number in range(50)]
    chosen = choose_files(files, 400)
    assert chosen == choose_files(files[::-1], 400)
    assert len(chosen) == 40
    assert {file.path.parent for file in chosen} == {file.path.parent for file in files}
    assert choose_files([*files, FoundFile(Path("/0/large"), 300)], 400) == chosen
    assert choose_files(files, 10**9) == sorted(files)


def test_links_are_not_followed_and_a_file_with_two_names_is_taken_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(TEXT)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    (tmp_path / "c").symlink_to(tmp_path / "a")
    os.mkfifo(tmp_path / "d")
    (tmp_path / "e").touch()
    assert find_files([tmp_path, tmp_path]) == [FoundFile(tmp_path / "a", len(TEXT))]
