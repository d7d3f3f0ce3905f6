"""Whatever is thrown at it: typed outcomes, limits kept, the rest read, and nothing worse."""

import base64
import gzip
import io
import lzma
import os
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable

import pytest

from matcher.unpack.formats import sniff
from matcher.unpack.protocol import REASONS
from tests.matcher.unpack import builders
from tests.matcher.unpack.conftest import QUICK, out_of
from tests.matcher.unpack.test_documents import mail

MIB = 1 << 20
LOCKED_7Z = base64.b64decode(
    "N3q8ryccAAQVM+cXEAAAAAAAAABiAAAAAAAAAKyHYWI47QtaiZ7G+jXEi9gGj9nTAQQGAAEJEAAHCwEAAi"
    "QG8QcBElMPfkt1h/phT3CE9qcUWhpgGCEhAQABAAwQ"
    "DAAICgFTA3CYAAAFARkBABENAGEALgB0AHgAdAAAABQKAQDwpWaOY3zdARUGAQAggKSBAAA="
)
LOCKED_HEADERS_7Z = base64.b64decode(
    "N3q8ryccAAQSNKRhgAAAAAAAAAAuAAAAAAAAAJWVYibwixBtcgyPZKCI4WAghyAsScxOuwOhQz5L1qTuQl"
    "qaKVnaCOv7ofUdST4zUIgeACdQ+USdp1vE4jppRtJW1coR"
    "UcFtL51OMiMtnu37MrWGbN25ES15Lvp5vXsySNbQ3LqNB4mVvC2ZoYyoBNnN79FfmS4cWmbrOaXpb6AxfQ"
    "LG7BcGEAEJcAAHCwEAASQG8QcBElMPRnWfFb9n1uBNg+31"
    "w3QQQAxiCgF8kR3VAAA="
)
"""Made with 7-Zip from a file of our own under a password."""


def set_flags(body: bytes, bit: int, method: int | None = None) -> bytes:
    """Return a zip of one entry with a flag set in both of its headers, and another method."""
    octets = bytearray(body)
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = octets.index(mark) + at
        octets[place] |= bit
        if method is not None:
            octets[place + 2 : place + 4] = struct.pack("<H", method)
    return bytes(octets)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (lambda: set_flags(builders.zip_of({"a.txt": b"x" * 99}), 1), "!/a.txt"),
        (lambda: set_flags(builders.zip_of({"a.txt": b"x" * 99}), 1, 99), "!/a.txt"),
        (lambda: builders.need_libarchive() or LOCKED_7Z, "!/a.txt"),
        (lambda: builders.need_libarchive() or LOCKED_HEADERS_7Z, ""),
        (lambda: builders.rar4_of({"a.txt": b"x" * 32}, 0x8004), "!/a.txt"),
        (builders.rar5_locked, ""),
    ],
    ids=["zip", "zip AES", "7z", "7z with headers", "rar 4", "rar 5 with headers"],
)
def test_encrypted_members_are_reported(body: Callable[[], bytes], path: str) -> None:
    unpacked = out_of(body())
    assert unpacked.outcomes == [(path, "encrypted")]
    assert unpacked.texts == {}


def test_unknown_compression_method_is_reported() -> None:
    assert out_of(set_flags(builders.zip_of({"a.txt": b"x" * 99}), 0, 9)).outcomes == [
        ("!/a.txt", "unsupported")
    ]


ZEROS = bytes(24 * MIB)
FLAT = {
    "zip": lambda: builders.zip_of({"z": ZEROS, "b.csv": b"15400000001"}),
    "gz": lambda: gzip.compress(ZEROS),
    "xz": lambda: lzma.compress(ZEROS),
    "tar.gz": lambda: builders.tar_of({"z": ZEROS}, "w:gz"),
    "7z": lambda: builders.libarchive_of({"z": ZEROS}),
    "zst": lambda: builders.libarchive_of({"z": b"1" * len(ZEROS)}, "raw", "zstd"),
}


@pytest.mark.parametrize("kind", FLAT)
def test_flat_bomb_is_stopped(kind: str) -> None:
    unpacked = out_of(FLAT[kind](), limits=QUICK._replace(free_bytes=MIB))
    assert {reason for _, reason in unpacked.outcomes} == {"bomb"}
    assert sum(map(len, unpacked.members.values())) <= 20 * MIB


def test_members_beside_a_bomb_are_read() -> None:
    padding = os.urandom(4 * MIB)
    unpacked = out_of(builders.zip_of({"z": ZEROS, "noise": padding, "b.csv": b"15400000001"}))
    assert unpacked.outcomes == [("!/z", "bomb")]
    assert unpacked.members["!/b.csv"] == b"15400000001"


def test_nested_bomb_is_stopped() -> None:
    body = builders.zip_of({"leaf": bytes(8 * MIB)})
    for _ in range(4):
        body = builders.zip_of({f"{n}.zip": body for n in range(8)})
    unpacked = out_of(body, limits=QUICK._replace(free_bytes=MIB))
    assert unpacked.outcomes[-1] == ("", "bomb")
    assert sum(map(len, unpacked.members.values())) < 40 * MIB


def test_overlapping_entries_are_stopped() -> None:
    """One compressed stream that a thousand entries of the directory point at."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = compressor.compress(bytes(MIB)) + compressor.flush()
    fields = struct.pack(
        "<HHHHHIIIHH", 20, 0, 8, 0, 0, zlib.crc32(bytes(MIB)), len(data), MIB, 1, 0
    )
    body = b"PK\x03\x04" + fields + b"a" + data
    directory = (
        b"PK\x01\x02" + struct.pack("<H", 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, 0) + b"a"
    ) * 1000
    body += (
        directory
        + b"PK\x05\x06"
        + struct.pack("<HHHHIIH", 0, 0, 1000, 1000, len(directory), len(body), 0)
    )
    unpacked = out_of(body, limits=QUICK._replace(free_bytes=MIB))
    assert {reason for _, reason in unpacked.outcomes} & {"bomb"}


def test_endlessly_repeated_sheet_string_is_stopped() -> None:
    rows = '<row><c t="s"><v>0</v></c></row>' * 4000
    unpacked = out_of(
        builders.xlsx_of({"S": rows}, ("x" * 32000,)), limits=QUICK._replace(free_bytes=MIB)
    )
    assert "bomb" in {reason for _, reason in unpacked.outcomes}


def test_sparse_tar_is_stopped() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("s")
        info.pax_headers = {
            "GNU.sparse.major": "0",
            "GNU.sparse.minor": "1",
            "GNU.sparse.map": "0,1",
            "GNU.sparse.size": str(1 << 40),
        }
        info.size = 1
        archive.addfile(info, io.BytesIO(b"x"))
    unpacked = out_of(buffer.getvalue(), limits=QUICK._replace(free_bytes=MIB))
    assert {reason for _, reason in unpacked.outcomes} == {"bomb"}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda body: builders.zip_of({"a.zip": body}),
        gzip.compress,
        lambda body: builders.tar_of({"t": body}),
    ],
)
def test_too_deep_nesting_is_stopped(wrap) -> None:
    body = b"15400000001"
    for _ in range(40):
        body = wrap(body)
    unpacked = out_of(body)
    assert [reason for _, reason in unpacked.outcomes] == ["too_deep"]
    assert unpacked.texts == {}


def zip_of_many(count: int) -> bytes:
    """Return a zip of empty entries, built faster than zipfile would."""
    fields = struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 0, 0, 0, 0, 6, 0)
    names = [b"%06d" % n for n in range(count)]
    body = b"".join(b"PK\x03\x04" + fields + name for name in names)
    directory = b"".join(
        b"PK\x01\x02"
        + struct.pack("<H", 20)
        + fields
        + struct.pack("<HHHII", 0, 0, 0, 0, n * 36)
        + name
        for n, name in enumerate(names)
    )
    zip64 = b"PK\x06\x06" + struct.pack(
        "<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, len(directory), len(body)
    )
    zip64 += b"PK\x06\x07" + struct.pack("<IQI", 0, len(body) + len(directory), 1)
    return (
        body
        + directory
        + zip64
        + b"PK\x05\x06"
        + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, len(directory), len(body), 0)
    )


def test_too_many_entries_are_stopped() -> None:
    body = zip_of_many(100_000)
    unpacked = out_of(body, limits=QUICK._replace(entries=20_000))
    assert unpacked.outcomes == [("", "too_many")]
    assert len(unpacked.members) == 20_001
    assert out_of(body, limits=QUICK._replace(entries=1000)).outcomes == [("", "too_many")]


def test_too_large_output_is_stopped() -> None:
    files = {"a": b"1" * 3000, "b": b"2" * 3000}
    unpacked = out_of(builders.zip_of(files), limits=QUICK._replace(member_bytes=1000))
    assert unpacked.outcomes == [("!/a", "too_large"), ("!/b", "too_large")]
    assert unpacked.texts == {"!/a": "1" * 1000, "!/b": "2" * 1000}
    assert out_of(builders.zip_of(files), limits=QUICK._replace(total_bytes=4000)).outcomes == [
        ("", "too_large")
    ]
    nested = builders.zip_of({"n.zip": builders.zip_of({"a": os.urandom(5000)})})
    assert out_of(nested, limits=QUICK._replace(nested_bytes=4000)).outcomes == [
        ("!/n.zip", "too_large")
    ]


def test_memory_limit_is_reported() -> None:
    nested = builders.zip_of(
        {"n.zip": builders.zip_of({"a": os.urandom(48 * MIB)}, zipfile.ZIP_STORED)},
        zipfile.ZIP_STORED,
    )
    unpacked = out_of(nested, limits=QUICK._replace(memory_bytes=96 * MIB))
    assert unpacked.outcomes == [("!/n.zip", "memory")]


CONTAINERS = {
    "zip": lambda: builders.zip_of({"a.csv": b"15400000001\n" * 50, "b.csv": b"x"}),
    "tar": lambda: builders.tar_of({"a.csv": b"15400000001\n" * 50}),
    "tar.gz": lambda: builders.tar_of({"a.csv": b"15400000001\n" * 50}, "w:gz"),
    "7z": lambda: builders.libarchive_of({"a.csv": b"15400000001\n" * 50}),
    "rar": lambda: builders.rar5_of({"a.csv": b"15400000001\n" * 50}),
    "xlsx": lambda: builders.xlsx_of(
        {"S": '<row><c t="s"><v>0</v></c></row>' * 9}, ("15400000001",)
    ),
    "docx": lambda: builders.docx_of("<w:p><w:t>15400000001</w:t></w:p>" * 9),
    "pdf": lambda: builders.pdf_of("15400000001"),
    "mail": lambda: mail().as_bytes(),
}


def all_at_once(bodies: list[bytes]) -> bytes:
    """Many damaged containers as members of one: a child for each would take a minute."""
    return builders.tar_of({str(n): body for n, body in enumerate(bodies)})


@pytest.mark.parametrize("kind", CONTAINERS)
def test_truncated_file_is_handled_at_twenty_places(kind: str) -> None:
    body = CONTAINERS[kind]()
    pieces = [body[: len(body) * n // 21] for n in range(1, 21)]
    unpacked = out_of(all_at_once(pieces))
    names = {path.split("!/")[1] for path, reason in unpacked.outcomes if reason == "damaged"}
    for n, piece in enumerate(pieces):
        # header and data: what follows is padding
        is_whole = kind == "tar" and len(piece) >= 512 + 600
        assert str(n) in names or is_whole or sniff(piece) in ("text", "mail"), n


@pytest.mark.parametrize("kind", CONTAINERS)
def test_twenty_flipped_bits_are_handled(kind: str) -> None:
    random_, flipped, whole = random.Random(kind), [], CONTAINERS[kind]()
    for _ in range(20):
        body = bytearray(whole)
        body[random_.randrange(len(body))] ^= 1 << random_.randrange(8)
        flipped.append(bytes(body))
    unpacked = out_of(all_at_once(flipped))
    assert {reason for _, reason in unpacked.outcomes} <= set(REASONS)
    names = {path.split("!/")[1] for path in unpacked.members} | {
        path.split("!/")[1] for path, _ in unpacked.outcomes
    }
    assert names >= {str(n) for n in range(20)}


def test_truncated_zip_is_read_as_far_as_possible() -> None:
    builders.need_libarchive()
    body = builders.zip_of({"a.csv": b"15400000001\n" * 50, "b.csv": os.urandom(5000)})
    unpacked = out_of(body[:-3000])
    assert unpacked.members["!/a.csv"] == b"15400000001\n" * 50
    assert ("", "damaged") in unpacked.outcomes


def test_text_with_a_container_signature_is_read_as_text() -> None:
    builders.need_libarchive()
    for start in (b"PK\x03\x04", b"%PDF-", b"7z\xbc\xaf\x27\x1c"):
        body = start + b" 15400000001"
        unpacked = out_of(body)
        assert unpacked.members == {"": body}
        assert unpacked.outcomes == [("", "damaged")]


def test_field_with_many_parameters_takes_linear_time() -> None:
    """Python's parser took 7.8 s for 80 kB of them, and time with the square of that."""
    field = b'Content-Type: text/plain; name="' + b";" * (1 << 20) + b'"'
    unpacked = out_of(
        b"MIME-Version: 1.0\nFrom: a\nTo: b\n" + field + b"\n\n15400000001",
        limits=QUICK._replace(cpu_seconds=10),
    )
    assert unpacked.outcomes == []
    assert b"15400000001" in b"".join(unpacked.members.values())


def test_header_with_many_encoded_words_takes_linear_time() -> None:
    """Of 70,000 of them, 1 MB, Python's decoder took 4.5 s, and time with the square of their
    number.
    """
    subject = b"Subject: " + b"=?utf-8?q?154?= =?utf-8?q?00000001?= x " * (1 << 15)
    unpacked = out_of(
        b"MIME-Version: 1.0\nFrom: a\nTo: b\n" + subject + b"\n\nx",
        limits=QUICK._replace(cpu_seconds=10),
    )
    assert unpacked.outcomes == []
    assert unpacked.texts["!/headers"].count("15400000001") > 32_000


MAPS, QUOTED, RICH = b"\x82\xa4name\xa4name\xa4name\xa4name", b"=E5=BC=A0" * 4, b"{\\rtf1 "
FLOODS = {
    "braces": RICH + b"{" * MIB, "bytes in hex": RICH + b"\\'d5" * (MIB // 4),
    "pictures": RICH + b"\\pict" * (MIB // 5),
    "fonts": RICH + b"{\\fonttbl" + b"\\f1\\fcharset134 " * (MIB // 16),
    "soft line breaks": QUOTED + b"=\n" * (MIB // 4),
    "octets": QUOTED * (MIB // 36), "strings": MAPS + b"\xa4nameX" * (MIB // 12),
    "lists": MAPS + b"\x91" * MIB,
    "archives": b"\x89PNG\r\n\x1a\n\0\0" + b"PK\3\4\x14\0" * (MIB // 6),
    "base64": b"x\n" + b"UEsDBAAA" * 9 * (MIB // 72),
    "base64 in blocks": (b"UEsDBAAA" * 9 + b"\n\n") * (MIB // 74),
    "base32": (b"ABCDEFGH" * 9 + b"\n\n") * (MIB // 74),
    "hex": (b"31323334" * 20 + b"\n\n") * (MIB // 162),
    "uuencode": b"begin 644 a\n#86)C\n`\nend\n" * (MIB // 25),
    "dumps": b"00000010: 3132 3334 \nx\n" * (MIB // 24),
}  # fmt: skip


@pytest.mark.parametrize("flood", FLOODS)
def test_floods_of_letters_and_signs_end_in_time(flood: str) -> None:
    unpacked = out_of(FLOODS[flood], limits=QUICK._replace(cpu_seconds=10))
    assert unpacked.members
    assert not {"timeout", "memory"} & {reason for _, reason in unpacked.outcomes}
