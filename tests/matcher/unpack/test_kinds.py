"""What a body is, by its first bytes; text above all is text."""

import bz2
import gzip
import lzma
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.unpack.formats import (
    AUDIO_VIDEO,
    BINARY,
    HEAD,
    IMAGE,
    TEXT,
    find_formats,
    is_html,
    marks,
    media_of,
    sniff,
    stem,
)
from matcher.unpack.parent import is_container
from tests.matcher.unpack import builders

FILES = {"a.csv": b"15400000001"}
KINDS = {
    "zip": builders.zip_of(FILES), "tar": builders.tar_of(FILES, fmt=tarfile.USTAR_FORMAT),
    "gz": gzip.compress(b"x"),
    "bz2": bz2.compress(b"x"), "xz": lzma.compress(b"x"), "rar": builders.rar4_of(FILES),
    "pdf": builders.pdf_of("x"),
    "mail": b"Received: from a\nFrom: a@example.com\nTo: b@example.com\n\nx",
    "mbox": b"From a@example.com Mon Jan  1 00:00:00 2024\nSubject: x\n\nx",
    "sqlite": b"SQLite format 3\0" + bytes(99), "dbase": builders.dbf_of([("PHONE", 11)], []),
    "picture": b"RIFF\0\0\0\0WEBPVP8 \0", IMAGE: b"II*\0\x08\0\0\0",
    AUDIO_VIDEO: b"RIFF\0\0\0\0WAVEfmt \0", BINARY: b"MZ\x90\0\3\0\0\0\4\0\0\0",
}  # fmt: skip
TEXTS = (
    b"", b"x", b"154", "手机号码,15400000001".encode("gb18030"), "手机".encode("utf-16"),
    "PK MZ BM".encode("utf-16-le"), b"BZh9 x",
    b"MZ,BM,II,MM,ID3,RIFF", b"From: a\nTo: b\n", b"From here to there\n", b"Date: 1\nTime: 2\n\n",
    b"GIF", b"%PDF",
    b"ORC,PAR1\n", b"PAR1", b"regfoo", b"HN\tx", b"FORM: x\n", b"AC10,AC11", "MThd 手机".encode(),
    b"-lh", b"\x03,1",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_containers_are_recognised(kind: str) -> None:
    assert sniff(KINDS[kind][:HEAD]) == kind
    assert is_container(KINDS[kind])


def test_old_tar_without_magic_is_recognised() -> None:
    old = bytearray(builders.tar_of(FILES, fmt=tarfile.USTAR_FORMAT))
    lost = sum(old[257:265])
    old[257:265] = bytes(8)
    old[148:154] = b"%06o" % (int(old[148:154], 8) - lost)
    assert sniff(bytes(old[:HEAD])) == "tar"
    old[0] ^= 1
    assert sniff(bytes(old[:HEAD])) == TEXT


@pytest.mark.parametrize("body", TEXTS)
def test_text_is_not_a_container(body: bytes) -> None:
    assert sniff(body) == TEXT
    assert not is_container(body)


def test_file_name_decides_only_for_mail() -> None:
    assert sniff(b"Subject: x\n\n", "a.eml") == "mail"
    assert sniff(b"Subject: x\n\n", "a.txt") == TEXT
    assert sniff(b"hello", "a.zip") == TEXT


@given(st.binary(max_size=600))
def test_any_bytes_have_a_kind(body: bytes) -> None:
    kinds = {*marks().sure.values(), *marks().faint.values(), *marks().inside.values()}
    assert sniff(body) in {*kinds, *find_formats(), TEXT}


@given(
    st.text(
        st.characters(min_codepoint=32, exclude_categories=("Cs",), exclude_characters=":"),
        min_size=1,
    )
)
def test_utf_8_text_is_text(text: str) -> None:
    assert sniff(("a" + text).encode()) == TEXT


def test_media_type_and_stem_come_from_the_name() -> None:
    assert [media_of(name) for name in ("a.html", "A.XHTML", "b.csv", "html")] == [
        "text/html"
    ] * 2 + ["text/plain"] * 2
    assert [stem(name) for name in ("a.csv.gz", "x/a.gz", "a", "")] == ["a.csv", "a", "a", ""]


@pytest.mark.parametrize(
    "head",
    [
        "<html><table>",
        "\ufeff<!DOCTYPE html>",
        "  <TABLE border=1>",
        '<?xml version="1.0"?>\n<html>',
        "<meta charset=gbk>",
    ],
)
def test_text_beginning_like_a_page_is_html(head: str) -> None:
    assert is_html(head.encode())
    assert is_html(head.strip("\ufeff").encode("utf-16"))


@pytest.mark.parametrize(
    "text", ["<tablet> 1", "a <html>", "<NAME>,<PHONE>", "< table>", "", "<p>"]
)
def test_text_with_a_tag_elsewhere_is_not_html(text: str) -> None:
    assert not is_html(text.encode())
