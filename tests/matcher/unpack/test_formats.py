"""Every format gives its planted text, under a path that says where it stood."""

import bz2
import gzip
import lzma
import tarfile
import zipfile
from collections.abc import Callable

import pytest

from tests.matcher.unpack import builders
from tests.matcher.unpack.conftest import out_of

TEXT = "张某,15400000001,a@example.com\n" * 40
FILES = {"b.csv": TEXT.encode(), "sub/客户.txt": b"15400000002"}
WANTED = {"!/b.csv": TEXT, "!/sub/客户.txt": "15400000002"}

ARCHIVES = {
    "zip": lambda: builders.zip_of(FILES),
    "stored zip": lambda: builders.zip_of(FILES, zipfile.ZIP_STORED),
    "bzip2 in zip": lambda: builders.zip_of(FILES, zipfile.ZIP_BZIP2),
    "lzma in zip": lambda: builders.zip_of(FILES, zipfile.ZIP_LZMA),
    "tar": lambda: builders.tar_of(FILES),
    "old tar": lambda: builders.tar_of(FILES, fmt=tarfile.USTAR_FORMAT),
    "gnu tar": lambda: builders.tar_of(FILES, fmt=tarfile.GNU_FORMAT),
    "tar.gz": lambda: builders.tar_of(FILES, "w:gz"),
    "tar.bz2": lambda: builders.tar_of(FILES, "w:bz2"),
    "tar.xz": lambda: builders.tar_of(FILES, "w:xz"),
    "tar.zst": lambda: builders.libarchive_of(FILES, "pax", "zstd"),
    "7z": lambda: builders.libarchive_of(FILES),
    "rar 5": lambda: builders.rar5_of(FILES),
    "rar 4": lambda: builders.rar4_of(FILES),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_archives_are_read(kind: str) -> None:
    unpacked = out_of(ARCHIVES[kind]())
    assert unpacked.texts == WANTED
    assert unpacked.members["!/"].decode().splitlines() == list(FILES)
    assert unpacked.outcomes == []


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("d.csv.gz", lambda: gzip.compress(TEXT.encode())),
        ("d.csv.bz2", lambda: bz2.compress(TEXT.encode())),
        ("d.csv.xz", lambda: lzma.compress(TEXT.encode())),
        ("d.csv.zst", lambda: builders.libarchive_of({"x": TEXT.encode()}, "raw", "zstd")),
        (
            "d.csv.gz",
            lambda: (
                gzip.compress(TEXT[:30].encode()) + gzip.compress(TEXT[30:].encode()) + bytes(512)
            ),
        ),
    ],
)
def test_compressed_file_is_named_after_its_container(name: str, body: Callable[[], bytes]) -> None:
    unpacked = out_of(body(), name)
    assert unpacked.texts == {"!/d.csv": TEXT}
    assert unpacked.outcomes == []


def test_empty_zip_holds_nothing() -> None:
    unpacked = out_of(builders.zip_of({}))
    assert (unpacked.members, unpacked.outcomes) == ({}, [])


def test_text_needs_no_child() -> None:
    unpacked = out_of(TEXT.encode(), "a.csv")
    assert unpacked.texts == {"": TEXT}
    assert unpacked.flags == 0


def test_nested_containers_are_read() -> None:
    inner = builders.tar_of({"c.zip": builders.zip_of({"d.csv": b"15400000001"})}, "w:gz")
    mail = (
        b"From: a@example.com\r\nTo: b@example.com\r\nMIME-Version: 1.0\r\nContent-Type:"
        b" application/gzip\r\n"
    )
    mail += (
        b'Content-Disposition: attachment; filename="x.tar.gz"\r\nContent-Transfer-Encoding:'
        b" base64\r\n\r\n"
    )
    mail += __import__("base64").encodebytes(inner)
    unpacked = out_of(builders.zip_of({"m.eml": mail, "e.csv.gz": gzip.compress(b"15400000002")}))
    assert unpacked.texts["!/m.eml!/x.tar.gz!/c.zip!/d.csv"] == "15400000001"
    assert unpacked.texts["!/e.csv.gz!/e.csv"] == "15400000002"
    assert unpacked.outcomes == []


def test_files_without_text_are_reported_by_kind() -> None:
    files = {
        "a.png": b"\x89PNG\r\n\x1a\n" + bytes(99),
        "b.jpg": b"\xff\xd8\xff\xe0" + bytes(99),
        "c.mp4": b"\0\0\0\x18ftypmp42" + bytes(99),
        "d.exe": b"MZ\x90\0\3\0\0\0\4" + bytes(99),
        "e.txt": b"MZ15400000001 BM II ID3",
    }
    unpacked = out_of(builders.zip_of(files))
    assert unpacked.texts == {"!/e.txt": "MZ15400000001 BM II ID3"}
    assert unpacked.outcomes == [
        ("!/a.png", "image"),
        ("!/b.jpg", "image"),
        ("!/c.mp4", "audio_video"),
        ("!/d.exe", "binary"),
    ]
    assert out_of(files["a.png"], "a.png").outcomes == [("", "image")]


def test_gbk_names_in_a_zip_are_decoded() -> None:
    body = builders.zip_of({"AAAA": b"x"}).replace(b"AAAA", "客户".encode("gbk"))
    assert out_of(body).texts == {"!/客户": "x"}


def test_names_of_unread_members_are_read_as_text() -> None:
    unpacked = out_of(builders.zip_of({"154000000018_正面.jpg": b"\xff\xd8\xff\xe0" + bytes(9)}))
    assert unpacked.members == {"!/": "154000000018_正面.jpg".encode()}
    assert unpacked.outcomes == [("!/154000000018_正面.jpg", "image")]


def test_names_cannot_control_a_terminal() -> None:
    unpacked = out_of(builders.zip_of({"../\x1b[2J\n.csv": b"x"}))
    assert unpacked.texts == {"!/../�[2J�.csv": "x"}


def test_markup_is_recognised_by_name() -> None:
    from matcher.unpack.parent import unpack

    with unpack(builders.zip_of({"a.html": b"<p>", "b.csv": b"x"}), "a.zip") as unpacked:
        assert {item.path: item.media_type for item in unpacked} == {
            "a.zip!/": "text/plain", "a.zip!/a.html": "text/html", "a.zip!/b.csv": "text/plain",
        }  # fmt: skip


def test_file_on_disk_is_read_in_place(tmp_path) -> None:
    from matcher.unpack.parent import unpack

    for name, body in (("a.zip", ARCHIVES["zip"]()), ("a.csv", TEXT.encode())):
        (tmp_path / name).write_bytes(body)
        with (tmp_path / name).open("rb") as file, unpack(file, name) as unpacked:
            members = {item.path: item.read() for item in unpacked}
        assert TEXT.encode() in members.values()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.zip"]
