"""Files that stand in a text as letters are read as if they lay beside it."""

import base64
import binascii
import gzip
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from matcher.unpack import formats
from matcher.unpack.parent import is_container, unpack
from tests.matcher.unpack import builders
from tests.matcher.unpack.conftest import out_of

CSV = "张某,15400000001\n李某,15400000002\n" * 20
ZIP = builders.zip_of({"a.csv": CSV.encode()})


def uu(body: bytes) -> bytes:
    lines = b"".join(binascii.b2a_uu(body[at : at + 45]) for at in range(0, len(body), 45))
    return b"begin 644 a.zip\n" + lines + b"`\nend\n"


def xxd(body: bytes) -> bytes:
    """Return a body as xxd writes it."""
    lines = []
    for at in range(0, len(body), 16):
        row = body[at : at + 16]
        pairs = " ".join(row[n : n + 2].hex() for n in range(0, len(row), 2))
        lines.append(
            f"{at:08x}: {pairs:39}  {''.join(chr(b) if 32 <= b < 127 else '.' for b in row)}\n"
        )
    return "".join(lines).encode()


def hexdump(body: bytes) -> bytes:
    """Return a body as `hexdump -C` writes it."""
    lines = []
    for at in range(0, len(body), 16):
        row = body[at : at + 16]
        pairs = row[:8].hex(" ") + "  " + row[8:].hex(" ")
        lines.append(
            f"{at:08x}  {pairs:48}  |{''.join(chr(b) if 32 <= b < 127 else '.' for b in row)}|\n"
        )
    return "".join(lines).encode()


def lines_of(letters: bytes, width: int = 76) -> bytes:
    return b"\n".join(letters[at : at + width] for at in range(0, len(letters), width)) + b"\n"


WRITTEN: dict[str, Callable[[bytes], bytes]] = {
    "base64 in lines": base64.encodebytes,
    "base64 in one line": base64.b64encode,
    "base64 for URLs": lambda body: base64.urlsafe_b64encode(body).rstrip(b"="),
    "data URI": lambda body: (
        b'<a href="data:application/zip;base64,' + base64.b64encode(body) + b'">list</a>'
    ),
    "hex": lambda body: body.hex().encode(),
    "hex in lines of xxd -p": lambda body: lines_of(body.hex().encode(), 60),
    "base32": base64.b32encode,
    "base32 in lines": lambda body: lines_of(base64.b32encode(body)),
    "uuencode": uu,
    "xxd": xxd,
    "hexdump": hexdump,
}


@pytest.mark.parametrize("how", WRITTEN)
def test_encoded_archive_is_read_in_every_notation(how: str) -> None:
    text = b"the list, as promised:\n\n" + WRITTEN[how](ZIP) + b"\nenjoy\n"
    assert is_container(text)
    unpacked = out_of(text)
    assert unpacked.members[""] == text
    assert [unpacked.texts[path] for path in unpacked.texts if path.endswith("!/a.csv")] == [CSV]
    assert unpacked.outcomes == []


@pytest.mark.parametrize(
    "how",
    ["hex", "hex in lines of xxd -p", "base32", "base32 in lines", "uuencode", "xxd", "hexdump"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_encoded_text_is_read_in_every_notation(how: str, encoding: str) -> None:
    unpacked = out_of(WRITTEN[how](CSV.encode(encoding)))
    assert CSV.encode(encoding) in unpacked.members.values()


@pytest.mark.parametrize("how", WRITTEN)
def test_encoded_archive_is_read_in_large_files_and_archives(how: str, tmp_path: Path) -> None:
    text = b"hello\n" * 60_000 + WRITTEN[how](ZIP) + b"\n"
    (tmp_path / "a.txt").write_bytes(text)
    with (tmp_path / "a.txt").open("rb") as file, unpack(file, "a.txt") as unpacked:
        assert CSV.encode() in [item.read() for item in unpacked]
    result = out_of(builders.zip_of({"b.txt": text, "c.gz": gzip.compress(text)}))
    assert list(result.texts.values()).count(CSV) == 2


def test_repeated_archive_is_read_once() -> None:
    unpacked = out_of(base64.encodebytes(ZIP) + b"\n\n" + base64.encodebytes(ZIP))
    assert list(unpacked.texts.values()).count(CSV) == 1


def test_nested_encodings_are_limited() -> None:
    body = CSV.encode()
    for _ in range(12):
        body = gzip.compress(body).hex().encode()
    assert "too_deep" in [reason for _, reason in out_of(body).outcomes]


CHANCE = random.Random(7)


@pytest.mark.parametrize(
    "text",
    [
        b"".join(CHANCE.randbytes(32).hex().encode() + b"\n" for _ in range(99)),
        b"".join(CHANCE.randbytes(16).hex().encode() + b",154\n" for _ in range(99)),
        b"hello 15400000001\n" * 99,
        CSV.encode(),
        base64.encodebytes(CSV.encode()),
        base64.b64encode(CHANCE.randbytes(300)),
        b"-" * 999 + b"begin the list\n",
    ],
)
def test_digests_keys_and_plain_text_start_no_child(text: bytes) -> None:
    assert not is_container(text)
    unpacked = out_of(text)
    assert (unpacked.members, unpacked.flags) == ({"": text}, 0)


@pytest.mark.parametrize(
    "what",
    [
        b"A",
        b"Ab=\n",
        b"00000010: 00 ",
        b"begin 644 x\n!\n",
        b"0123456789abcdef" * 5 + b"\n",
        b"a\n",
    ],
)
def test_encoded_flood_takes_linear_time(what: bytes) -> None:
    assert list(formats.find_enclosed(what * ((1 << 20) // len(what)))) is not None


DIGEST = random.Random(4).randbytes(32).hex().encode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"name,phone\n", False),
        (DIGEST, False),
        (b"a," + DIGEST + b"\n" + DIGEST.upper() + b",UEsDB\n", False),
        (b"6200005386685511----320102189809164486----+8615488668551----UEsDB\n", False),
        (b"15467119477 6200 0051 1339 1621\n15400000010\n", False),
        (b"00000000: 4142 4344\n00000010: 4142 4344\n", True),
        (DIGEST + b"\n" + b"mfrgg" * 12 + b"\nUEsDB", False),
        (DIGEST + b"\n" + b"mfrgg" * 12 + b"UEsDB", False),
        (DIGEST + b",\n" + b"31" * 30 + b"\n" + b"31" * 30 + b"\n", True),
        (DIGEST + b"\n" + DIGEST[:60] + b"\n" + DIGEST[:60] + b"\n", False),
        (DIGEST + b"," + b"31" * 65, True),
        (DIGEST + b",\n" + base64.b32encode(b"15400000001" * 5), True),
        (DIGEST + b"," + CHANCE.randbytes(200).hex().encode(), False),
        (b"1" * 1000, False),
        (b"0123456789abcdef" * 100, False),
        (b"13912345678a" * 100, False),
    ],
)
def test_digests_and_rows_do_not_hint_at_a_file(text: bytes, expected: bool) -> None:
    assert formats.can_hold_file(text) is expected


@pytest.mark.parametrize("shift", range(0, 65, 5))
def test_digest_split_across_chunks_does_not_hint_at_a_file(shift: int) -> None:
    """Else every chunk of a dump of digests would be looked through once more for files."""
    dump = b"".join(b"%064x,%d\n" % (number**9 % 2**256, number) for number in range(3_000))[shift:]
    chunks = [dump[: formats.CUT], dump[formats.CUT : 2 * formats.CUT], dump[2 * formats.CUT :]]
    watch = formats.EnvelopeWatch(1 << 20)
    assert b"".join(watch.through(chunks)) == dump
    assert (watch.has_line, watch.has_any) == (False, False)


@pytest.mark.parametrize("shift", range(0, 65, 5))
@pytest.mark.parametrize("how", ["base64 in lines", "hex", "hex in lines of xxd -p"])
def test_encoded_file_split_across_chunks_is_detected(how: str, shift: int) -> None:
    text = (
        b"x\n" * ((formats.CUT - shift) // 2) + WRITTEN[how](ZIP * 3) + b"\nx" * (formats.CUT // 2)
    )
    watch = formats.EnvelopeWatch(1 << 20)
    assert b"".join(watch.through([text[: formats.CUT], text[formats.CUT :]])) == text
    assert (watch.has_line, watch.has_any) == (True, True)
