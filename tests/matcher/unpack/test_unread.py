"""Unread is not empty: each file that was not read, or not wholly, is named with its reason, and
nobody takes it for clean.
"""

import base64
import binascii
import gzip
import io
import json
import lzma
import os
import random
import re
import struct
import zipfile
from pathlib import Path

import pytest

from matcher.unpack.formats import UNREADABLE, marks
from matcher.unpack.protocol import LOSES_NOTHING, REASONS
from tests.factories import capture
from tests.matcher.bank import customer, enrol, matcher_of, phone
from tests.matcher.unpack import builders
from tests.matcher.unpack.conftest import QUICK, out_of
from tests.matcher.unpack.test_documents import OLE
from tests.matcher.unpack.test_hostile import LOCKED_7Z, LOCKED_HEADERS_7Z, set_flags
from ullage.errors import Exit
from ullage.settings import Context
from ullage.verdict.words import IN_WORDS

CHANCE = random.Random(13)
NOISE = CHANCE.randbytes(20_000)
LOCKED_PDF = (
    "/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <"
    + "41" * 32
    + "> /U <"
    + "42" * 32
    + "> >> /ID [<00> <00>]"
)
LOCKED_ODT = (
    b'<m:manifest xmlns:m="x"><m:file-entry'
    b' m:full-path="content.xml"><m:encryption-data/></m:file-entry></m:manifest>'
)


def deep() -> bytes:
    body = b"x"
    for _ in range(9):
        body = gzip.compress(body)
    return body


def ole_of(*streams: str, main: bytes = b"") -> bytes:
    """Return a compound file that begins with `main` and has streams of these names."""
    return (
        OLE[:512].ljust(512, b"\0")
        + main.ljust(512, b"\0")
        + b"".join(name.encode("utf-16-le") + b"\0\0" for name in streams)
    )


STARTS, FURTHER_IN = marks().sure | marks().faint, marks().inside
FILES: dict[str, tuple[bytes, str]] = {
    "a.png": (b"\x89PNG\r\n\x1a\n" + NOISE, "image"),
    "a.heic": (b"\0\0\0\x18ftypheic" + bytes(40), "image"),
    "a.mp4": (b"\0\0\0\x18ftypmp42" + bytes(40), "audio_video"),
    "a.amr": (b"#!AMR\n" + NOISE, "audio_video"),
    "a.exe": (b"MZ\x90\0\3\0\0\0\4\0\0\0" + NOISE, "binary"),
    "a.ttf": (b"\0\1\0\0\0\x0c" + NOISE, "binary"),
    "locked.zip": (set_flags(builders.zip_of({"a.csv": NOISE[:99]}), 1), "encrypted"),
    "aes.zip": (set_flags(builders.zip_of({"a.csv": NOISE[:99]}), 1, 99), "encrypted"),
    "locked.7z": (LOCKED_7Z, "encrypted"),
    "names.7z": (LOCKED_HEADERS_7Z, "encrypted"),
    "locked.pdf": (builders.pdf_of("x", trailer=LOCKED_PDF), "encrypted"),
    "locked.xlsx": (ole_of("EncryptionInfo", "EncryptedPackage"), "encrypted"),
    "locked.doc": (
        ole_of("WordDocument", main=b"\xec\xa5\xc1\0" + bytes(6) + b"\0\x01"),
        "encrypted",
    ),
    "locked.ppt": (ole_of("PowerPoint Document", "EncryptedSummary"), "encrypted"),
    "locked.odt": (
        builders.zip_of(
            {
                "mimetype": b"x",
                "content.xml": NOISE,
                "styles.xml": b"",
                "META-INF/manifest.xml": LOCKED_ODT,
            }
        ),
        "encrypted",
    ),
    "a.gpg": (b"\x85\1\x0c\3" + NOISE, "encrypted"),
    "a.asc": (b"-----BEGIN PGP MESSAGE-----\n\nhQEMA\n", "encrypted"),
    "a.kdbx": (b"\x03\xd9\xa2\x9a\x67\xfb\x4b\xb5" + NOISE, "encrypted"),
    "a.aes": (b"Salted__" + NOISE, "encrypted"),
    "sample.wps": (ole_of("WordDocument"), "unsupported"),
    "a.rpm": (b"\xed\xab\xee\xdb" + NOISE, "unsupported"),
    "a.lzo": (b"\x89LZO\0\r\n\x1a\n" + NOISE, "unsupported"),
    "a.sqlite-wal": (b"\x37\x7f\x06\x82" + NOISE, "database"),
    "blob.sqlite": (builders.sqlite_of([["x", b"\xff\0"]]), "database"),
    "a.parquet": (b"PAR1" + NOISE + b"PAR1", "damaged"),
    "a.orc": (b"ORC" + NOISE, "damaged"),
    "a.avro": (b"Obj\1" + NOISE, "damaged"),
    "a.feather": (b"ARROW1\0\0" + NOISE, "damaged"),
    "a.h5": (b"\x89HDF\r\n\x1a\n" + NOISE, "database"),
    "a.mdb": (b"\0\1\0\0Standard Jet DB\0" + NOISE, "database"),
    "a.pst": (b"!BDN" + NOISE, "database"),
    "a.dump": (b"PGDMP\1\x0e" + NOISE, "database"),
    "memo.dbf": (builders.dbf_of([("NOTE", 10)], [["1"]], kind="M"), "database"),
    "a.br": (NOISE, "damaged"),
    "a.dat": (bytes(100_000), "unrecognised"),
    "late.txt": (b"text\n" * 9000 + NOISE, "unrecognised"),
    "half.gz": (gzip.compress(NOISE.hex().encode())[:-2000], "damaged"),
    "half.zip": (builders.zip_of({"a.csv": NOISE.hex().encode()})[:-9000], "damaged"),
    "half.dbf": (builders.dbf_of([("PHONE", 11)], [["x"]] * 99)[:-200], "damaged"),
    "half.sqlite": (builders.sqlite_of([["x" * 50]] * 999)[:9000], "damaged"),
    "bomb.gz": (gzip.compress(b"1" * (20 << 20)), "bomb"),
    "deep.gz": (deep(), "too_deep"),
    "scan.pdf": (builders.pdf_of("", drawing=b"0 0 m 100 100 l S"), "image"),
    "empty.csv": (b"", "empty"),
}
READ = {
    "a.csv": "姓名,手机\n".encode("gb18030"), "utf16.txt": "姓名手机".encode("utf-16"),
    "hive.txt": b"a\x01b\x02c\x03d\n" * 99,
    "a.xlsb": builders.xlsb_of("S", [["x"]]), "a.sqlite": builders.sqlite_of([["x", 1, None, 2.5,
    "姓".encode()]]),
    "a.dbf": builders.dbf_of([("PHONE", 11)], [["x"]]), "a.lzma": lzma.compress(b"xy" * 99,
    format=lzma.FORMAT_ALONE),
    "a.docx": builders.docx_of("<w:p><w:t>x</w:t></w:p>"),
    "ansi.log": b"\x1b[31mred\x1b[0m\r\n\x08" * 50, "a.pdf": builders.pdf_of("x"),
    "latin.txt": "Müller, Straße 5, é\n".encode("latin-1") * 50,
    "big5.txt": "身分證字號 手機".encode("big5") * 9,
}  # fmt: skip


@pytest.fixture
def context(data: Path) -> Context:
    """Return a context at the real clock, by which the command line runs."""
    return Context(data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    builders.need_libarchive()
    place = tmp_path / "leaks"
    place.mkdir()
    for name, (body, _) in FILES.items():
        (place / name).write_bytes(body)
    return place


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder beside the data folder."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


def test_scan_names_each_file_with_its_reason(ullage, bank: Context, folder: Path) -> None:
    result = ullage("scan", folder, "--unread")
    assert result.exit_code == Exit.NO_VERDICT
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert {(row["kind"], row["tenant"], row["subject"], row["start"]) for row in rows} == {
        ("unread", None, None, None)
    }
    named = {
        (row["path"].removeprefix(f"{folder}/").partition("!/")[0], row["form"]) for row in rows
    }
    assert named == {(name, reason) for name, (_, reason) in FILES.items()}
    lines = result.stderr.splitlines()
    assert len(lines) == len(rows) + 1
    assert lines[-1].startswith(f"{len(FILES)} files scanned, {len(FILES)} not fully read (")


ONE_OF_EACH = {reason: name for name, (_, reason) in FILES.items()}


@pytest.mark.parametrize("reason", ONE_OF_EACH)
def test_assess_gives_no_verdict_for_each_reason(
    ullage, bank: Context, place: Path, reason: str
) -> None:
    """Which file has which reason is what the scan above says."""
    path = place / ONE_OF_EACH[reason]
    path.write_bytes(FILES[path.name][0])
    result = ullage("assess", path)
    assert result.exit_code == Exit.NO_VERDICT
    shown = " ".join(result.stdout.split())
    assert REASONS[reason][0] in shown
    assert "NO VERDICT" in shown
    assert not re.search(r"none of [\d,]+ customers is in it", shown)


def test_assess_json_lists_what_was_not_read(ullage, bank: Context, folder: Path) -> None:
    verdict = json.loads(ullage("assess", folder / "locked.zip", "--json").stdout)
    assert (verdict["verdict"], verdict["unread"]) == ("no verdict", {"encrypted": 1})
    assert [(part["path"], part["reason"]) for part in verdict["not_read"]] == [
        (f"{folder}/locked.zip!/a.csv", "encrypted")
    ]


def test_fully_read_files_raise_no_doubt(ullage, bank: Context, place: Path) -> None:
    for name, body in READ.items():
        (place / name).write_bytes(body)
    result = ullage("scan", place)
    assert (result.exit_code, result.stdout) == (Exit.DONE, "")
    assert result.stderr.splitlines() == [f"{len(READ)} files scanned, all fully read"]
    verdict = json.loads(ullage("assess", place / "a.csv", "--json").stdout)
    assert (verdict["verdict"], verdict["not_read"]) == ("nobody", [])


@pytest.mark.parametrize("kind", ["zip", "tar", "gz"])
@pytest.mark.parametrize(
    "name", ["a.parquet", "a.h5", "a.sqlite-wal", "a.avro", "memo.dbf", "a.gpg"]
)
def test_binary_member_of_an_archive_is_named(
    ullage, bank: Context, tmp_path: Path, kind: str, name: str
) -> None:
    body, reason = FILES[name]
    packed = {
        "zip": builders.zip_of,
        "tar": builders.tar_of,
        "gz": lambda files: gzip.compress(files[name]),
    }[kind]({name: body})
    path = tmp_path / f"{name}.{kind}"
    path.write_bytes(packed)
    result = ullage("scan", path)
    assert result.exit_code == Exit.NO_VERDICT
    assert result.stderr.splitlines()[:-1] == [f"{path}!/{name}: {REASONS[reason][0]}"]


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, (_, reason) in FILES.items()
        if reason in ("unrecognised", "database") and name not in ("blob.sqlite", "memo.dbf")
    ],
)
def test_plain_text_in_a_binary_file_is_found(
    ullage, bank: Context, tmp_path: Path, name: str
) -> None:
    body = FILES[name][0]
    (tmp_path / name).write_bytes(body + f"\n{phone(1)}\n".encode())
    result = ullage("scan", tmp_path / name)
    assert result.exit_code == Exit.NO_VERDICT
    assert [json.loads(line)["kind"] for line in result.stdout.splitlines()] == ["phone"]
    assert "1 not fully read" in result.stderr


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (
            "a.sqlite",
            builders.sqlite_of(
                [["张某", int(phone(1)), "x"]],
                more='CREATE TABLE "o\'""d" (x); CREATE VIEW v AS SELECT 1;',
            ),
        ),
        ("a.xlsb", builders.xlsb_of("客户", [["张某", phone(1)]])),
        (
            "a.dbf",
            builders.dbf_of(
                [("姓名", 8), ("PHONE", 11), ("ID", 18)], [["张某", phone(1), "110105194912310021"]]
            ),
        ),
        ("a.lzma", lzma.compress(phone(1).encode(), format=lzma.FORMAT_ALONE)),
    ],
)
def test_customers_are_found_in_tables_with_adjacent_cells(
    ullage, bank: Context, tmp_path: Path, name: str, body: bytes
) -> None:
    (tmp_path / name).write_bytes(body)
    result = ullage("scan", tmp_path / name, "--fail")
    assert [json.loads(line)["kind"] for line in result.stdout.splitlines()] == ["phone"]
    assert result.exit_code == Exit.EXPOSED
    assert "all fully read" in result.stderr


ZIPPED = builders.zip_of({"a.csv": NOISE})
ENCODED = {
    "b64.txt": (base64.encodebytes(ZIPPED), "unrecognised"),
    "hex.txt": (ZIPPED.hex().encode(), "unrecognised"),
    "uu.txt": (
        b"begin 644 a.zip\n"
        + b"".join(binascii.b2a_uu(ZIPPED[at : at + 45]) for at in range(0, len(ZIPPED), 45)),
        "unrecognised",
    ),
    "pict.rtf": (
        b"{\\rtf1\\ansi hello {\\pict\\pngblip " + NOISE.hex().encode() + b"}}",
        "unrecognised",
    ),
    "page.html": (
        b'<p>x</p><img src="data:image/png;base64,'
        + base64.b64encode(b"\x89PNG\r\n\x1a\n" + NOISE)
        + b'">',
        "image",
    ),
}


@pytest.mark.parametrize("name", ENCODED)
@pytest.mark.parametrize("how", ["scan", "assess"])
def test_encoded_binary_is_named(ullage, bank: Context, place: Path, how: str, name: str) -> None:
    body, reason = ENCODED[name]
    (place / name).write_bytes(body)
    result = ullage(how, place / name)
    assert result.exit_code == Exit.NO_VERDICT
    shown = " ".join((result.stdout + result.stderr).split())
    assert re.search(rf"{re.escape(name)}(?:!/\S[^:]*)?: {re.escape(REASONS[reason][0])}", shown)


def test_document_with_renamed_main_part_is_read(ullage, bank: Context, place: Path) -> None:
    """Office for the web writes `word/document2.xml`; a number is in several runs."""
    runs = "".join(f"<w:r><w:t>{part}</w:t></w:r>" for part in (phone(1)[:4], phone(1)[4:]))
    body = builders.docx_of(f"<w:p>{runs}</w:p>")
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        parts = {
            name.replace("word/document", "word/document2"): archive.read(name)
            for name in archive.namelist()
        }
    (place / "a.docx").write_bytes(builders.zip_of(parts))
    assert ullage("scan", place / "a.docx", "--fail").exit_code == Exit.EXPOSED


CLEAN, LISTED = {"n.txt": b"nobody\n" * 99}, {"a.csv": phone(1).encode() + b"\n" * 600}


def out_of_directory(whole: bytes) -> bytes:
    """Return a zip whose first entry is missing from its directory."""
    start, behind = whole.find(b"PK\1\2"), whole.find(b"PK\5\6")
    second = whole.find(b"PK\1\2", start + 4)
    counts = struct.pack("<HHII", 1, 1, behind - second, start)
    return whole[:start] + whole[second:behind] + b"PK\5\6\0\0\0\0" + counts + b"\0\0"


def with_comment(whole: bytes, said: bytes) -> bytes:
    return whole[:-2] + struct.pack("<H", len(said)) + said


BEHIND_AN_END = {
    "two.zip": builders.zip_of(LISTED) + builders.zip_of(CLEAN),
    "three.zip": builders.zip_of(LISTED) + builders.zip_of(CLEAN) + builders.zip_of(CLEAN),
    "unlisted.zip": out_of_directory(builders.zip_of(LISTED | CLEAN)),
    "comment.zip": with_comment(builders.zip_of(CLEAN), phone(1).encode()),
    "tail.zip": builders.zip_of(CLEAN) + LISTED["a.csv"],
    "office.zip": builders.zip_of(LISTED) + builders.docx_of("<w:p><w:t>x</w:t></w:p>"),
    "two.tar": builders.tar_of(CLEAN) + builders.tar_of(LISTED),
    "two.tar.gz": gzip.compress(builders.tar_of(CLEAN) + builders.tar_of(LISTED)),
}


@pytest.mark.parametrize("name", BEHIND_AN_END)
def test_data_after_the_end_of_an_archive_is_read(
    ullage, bank: Context, place: Path, name: str
) -> None:
    (place / name).write_bytes(BEHIND_AN_END[name])
    result = ullage("scan", place / name, "--fail")
    assert result.exit_code == Exit.EXPOSED
    assert {json.loads(line)["kind"] for line in result.stdout.splitlines()} == {"phone"}


def test_consecutive_tars_are_read_within_zst(ullage, bank: Context, place: Path) -> None:
    body = builders.libarchive_of(
        {"data": builders.tar_of(CLEAN) + builders.tar_of(LISTED)}, "raw", "zstd"
    )
    (place / "a.tar.zst").write_bytes(body)
    assert ullage("scan", place / "a.tar.zst", "--fail").exit_code == Exit.EXPOSED


@pytest.mark.parametrize("body", [builders.zip_of(CLEAN) + NOISE, builders.tar_of(CLEAN) + NOISE])
def test_binary_data_after_an_archive_is_reported(body: bytes) -> None:
    assert {reason for _, reason in out_of(body).outcomes} <= {"unrecognised", "damaged"}
    assert out_of(body).outcomes or any(
        NOISE in content for content in out_of(body).members.values()
    )


def test_streamed_archive_is_read_whole() -> None:
    class Stream(io.RawIOBase):
        def __init__(self) -> None:
            self.held = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data) -> int:
            self.held += data
            return len(data)

    stream = Stream()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            archive.writestr(f"{number}.txt", b"x" * 5000)
    unpacked = out_of(bytes(stream.held))
    assert (len(unpacked.texts), unpacked.outcomes) == (5, [])


def test_customers_beside_unread_members_are_a_lower_bound(
    ullage, bank: Context, tmp_path: Path
) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(builders.zip_of({"a.csv": phone(1).encode(), "b.png": FILES["a.png"][0]}))
    for fail, code in (((), Exit.NO_VERDICT), (("--fail",), Exit.EXPOSED)):
        result = ullage("assess", path, *fail)
        assert result.exit_code == code
        assert "at least 1 of 10 customers" in " ".join(result.stdout.split())
        assert "NO VERDICT" not in result.stdout
        assert ullage("scan", path, *fail).exit_code == code
    assert json.loads(ullage("assess", path, "--json").stdout)["verdict"] == "exposed"


def test_empty_file_is_reported_but_keeps_the_verdict(ullage, bank: Context, place: Path) -> None:
    (place / "a.csv").touch()
    (place / "b.csv").write_text("x")
    result = ullage("scan", place)
    assert result.exit_code == Exit.DONE
    assert result.stderr.splitlines() == [
        f"{place}/a.csv: empty, nothing to read",
        "2 files scanned, 1 not fully read (1 empty)",
    ]


def test_file_that_cannot_be_opened_is_reported_and_skipped(
    ullage, bank: Context, place: Path, monkeypatch
) -> None:
    for name in ("a.csv", "b.csv", "c/d.csv"):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(phone(1))
    os.mkfifo(place / "pipe")
    opened, listed = Path.open, os.scandir

    def refuse(path: Path, *given: str, **more: str) -> object:
        if path.name == "a.csv":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *given, **more)

    def refuse_folder(path: str) -> object:
        if str(path).endswith("/c"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(os, "scandir", refuse_folder)
    result = ullage("scan", place)
    assert [json.loads(line)["path"] for line in result.stdout.splitlines()] == [f"{place}/b.csv"]
    assert sorted(result.stderr.splitlines()[:-1]) == [
        f"{place}/a.csv: cannot be opened, not read",
        f"{place}/c: cannot be opened, not read",
        f"{place}/pipe: of a format that cannot be read here",
    ]


@pytest.mark.parametrize(
    "start", [s for s, kind in STARTS.items() if kind in (*UNREADABLE, "database")]
)
def test_each_known_file_start_is_named(start: bytes) -> None:
    body = start + NOISE
    assert [reason for _, reason in out_of(body).outcomes] == [STARTS[start]]


@pytest.mark.parametrize(
    "mark", [mark for mark, kind in FURTHER_IN.items() if kind in (*UNREADABLE, "database")]
)
def test_each_known_mark_is_named(mark: tuple[int, bytes]) -> None:
    place, what = mark
    body = bytes(range(128, 128 + place % 128)).rjust(place, b"\0") + what + NOISE
    assert [reason for _, reason in out_of(body).outcomes] == [FURTHER_IN[mark]]


def test_gzip_beyond_a_limit_keeps_its_beginning() -> None:
    lines = b"".join(b"%d\n" % n for n in range(200_000))
    for limits in (QUICK._replace(member_bytes=1 << 16), QUICK._replace(total_bytes=1 << 16)):
        unpacked = out_of(gzip.compress(lines), "a.csv.gz", limits)
        [body] = unpacked.members.values()
        assert lines.startswith(body)
        assert len(body) >= (1 << 16) - 1
        assert [reason for _, reason in unpacked.outcomes] == ["too_large"]
    unpacked = out_of(gzip.compress(lines)[: 1 << 16], "a.csv.gz")
    assert lines.startswith(*unpacked.members.values())


def test_each_reason_has_a_description_in_both_languages() -> None:
    assert IN_WORDS.keys() == REASONS.keys()
    assert REASONS.keys() >= LOSES_NOTHING


def test_hostile_database_is_read_without_running_it(bank: Context) -> None:
    """A view and a trigger are not run, and a column that is computed costs no more than any
    container may.
    """
    hostile = """
        CREATE TABLE bad (x, y AS (hex(zeroblob(450000000))) VIRTUAL);
        INSERT INTO bad VALUES (1);
        CREATE VIEW v AS
            WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c;
        CREATE TRIGGER t AFTER INSERT ON bad BEGIN DELETE FROM clients; END;
    """
    unpacked = out_of(builders.sqlite_of([["15400000001"]], more=hostile))
    assert unpacked.members["!/clients"] == b"c0\n15400000001\n"
    assert unpacked.outcomes == [("!/bad", "memory")]
    assert "!/v" not in unpacked.members


def test_daemon_counts_unread_files_by_reason(context: Context) -> None:
    enrol(context, "bank", [customer(1)])
    by_name = {"a.br"}  # a capture has none
    bodies = {
        name: body
        for name, (body, reason) in FILES.items()
        if reason not in ("empty", "too_deep") and name not in by_name
    }
    captures = [
        capture(id=name, post_id=name, title="", body=body) for name, body in bodies.items()
    ]
    for reading in matcher_of(context).read(captures):
        assert FILES[reading.capture.id][1] in reading.unread, reading.capture.id
        assert reading.is_unread


@pytest.mark.parametrize("name", ENCODED)
def test_daemon_counts_encoded_binary_once(context: Context, name: str) -> None:
    """A paste of an encoded archive was said to hold none of our customers."""
    enrol(context, "bank", [customer(1)])
    body, reason = ENCODED[name]
    kind = "text/html" if name.endswith("html") else "text/plain"
    for text in (body, body + b"\n\n" + body):
        [reading] = matcher_of(context).read([capture(title="", body=text, media_type=kind)])
        assert (dict(reading.unread), reading.is_unread) == ({reason: 1}, True)


@pytest.mark.parametrize(
    "what", ["PGP PUBLIC KEY BLOCK", "PGP SIGNATURE", "CERTIFICATE", "RSA PRIVATE KEY"]
)
def test_key_or_signature_is_not_unread(context: Context, what: str) -> None:
    """Sellers put theirs into their posts."""
    enrol(context, "bank", [customer(1)])
    head = f"contact me\n-----BEGIN {what}-----\n\n".encode()
    body = head + base64.encodebytes(NOISE[:4000]) + f"-----END {what}-----\n".encode()
    [reading] = matcher_of(context).read([capture(title="", body=body)])
    assert not reading.is_unread


def test_wrong_length_field_is_reported_as_damage() -> None:
    body = bytearray(builders.dbf_of([("PHONE", 11)], [["15400000001"]]))
    body[10:12] = struct.pack("<H", 5)
    unpacked = out_of(bytes(body))
    assert b"15400000001" in unpacked.members[""]
    assert unpacked.outcomes == [("", "damaged")]
