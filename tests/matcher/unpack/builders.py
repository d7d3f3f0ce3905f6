"""Containers made by hand: what no standard library writes, and what only an attacker does."""

import contextlib
import ctypes
import io
import os
import sqlite3
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet
import pytest

from matcher.unpack.readers.archives import NAME, libarchive

Files = Mapping[str, bytes]


def need_libarchive() -> None:
    """Skips what the system's libarchive has to read; in CI it has to be there."""
    if libarchive() is None and not os.environ.get("CI"):
        pytest.skip("needs libarchive: on Debian, apt install libarchive13")


def zip_of(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, body in files.items():
            archive.writestr(zipfile.ZipInfo(name), body, method)
    return buffer.getvalue()


def tar_of(files: Files, mode: str = "w", fmt: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=fmt) as archive:
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return buffer.getvalue()


def libarchive_of(
    files: Files, fmt: str = "7zip", filter_: str = "none", options: str = "", password: str = ""
) -> bytes:
    """Return an archive by the system's libarchive: 7zip, zip or raw, with a filter such as
    zstd.
    """
    need_libarchive()
    lib = ctypes.CDLL(NAME)
    lib.archive_write_new.restype = lib.archive_entry_new.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(lib.archive_write_new())
    getattr(lib, f"archive_write_add_filter_{filter_}")(handle)
    getattr(lib, f"archive_write_set_format_{fmt}")(handle)
    if password:
        assert not lib.archive_write_set_options(handle, options.encode()), (
            f"this libarchive has no {options}"
        )
        lib.archive_write_set_passphrase(handle, password.encode())
    buffer, used = (
        ctypes.create_string_buffer(sum(map(len, files.values())) + (1 << 20)),
        ctypes.c_size_t(),
    )
    lib.archive_write_open_memory(handle, buffer, ctypes.c_size_t(len(buffer)), ctypes.byref(used))
    for name, body in files.items():
        entry = ctypes.c_void_p(lib.archive_entry_new())
        lib.archive_entry_set_pathname_utf8(entry, name.encode())
        lib.archive_entry_set_size(entry, ctypes.c_int64(len(body)))
        lib.archive_entry_set_filetype(entry, 0o100000)
        lib.archive_entry_set_perm(entry, 0o644)
        lib.archive_write_header(handle, entry)
        lib.archive_write_data(handle, body, ctypes.c_size_t(len(body)))
        lib.archive_entry_free(entry)
    lib.archive_write_close(handle)
    lib.archive_write_free(handle)
    return buffer.raw[: used.value]


def vint(number: int) -> bytes:
    octets = bytearray()
    while number > 127:
        octets.append(number & 127 | 128)
        number >>= 7
    return bytes((*octets, number))


def _rar5_block(fields: bytes) -> bytes:
    sized = vint(len(fields)) + fields
    return struct.pack("<I", zlib.crc32(sized)) + sized


def rar5_of(files: Files) -> bytes:
    """RAR 5, stored. Format: the RAR 5.0 archive format note of its makers."""
    need_libarchive()
    archive = b"Rar!\x1a\x07\x01\x00" + _rar5_block(vint(1) + vint(0) + vint(0))
    for name, body in files.items():
        raw = name.encode()
        head = vint(2) + vint(2) + vint(len(body)) + vint(4) + vint(len(body)) + vint(0o100644)
        archive += (
            _rar5_block(
                head
                + struct.pack("<I", zlib.crc32(body))
                + vint(0)
                + vint(1)
                + vint(len(raw))
                + raw
            )
            + body
        )
    return archive + _rar5_block(vint(5) + vint(0) + vint(0))


def rar5_locked() -> bytes:
    """RAR 5 whose headers are encrypted: only that is said in clear."""
    need_libarchive()
    fields = vint(4) + vint(0) + vint(0) + vint(0) + bytes((15,)) + bytes(range(16))
    return b"Rar!\x1a\x07\x01\x00" + _rar5_block(fields) + bytes(range(64))


def _rar4_block(kind: int, flags: int, fields: bytes) -> bytes:
    header = struct.pack("<BHH", kind, flags, 7 + len(fields)) + fields
    return struct.pack("<H", zlib.crc32(header) & 0xFFFF) + header


def rar4_of(files: Files, flags: int = 0x8000) -> bytes:
    """RAR 2.9 to 4, stored; flag 4 says that an entry is encrypted."""
    need_libarchive()
    archive = b"Rar!\x1a\x07\x00" + _rar4_block(0x73, 0, bytes(6))
    for name, body in files.items():
        raw = name.encode()
        fields = struct.pack(
            "<IIBIIBBHI",
            len(body),
            len(body),
            3,
            zlib.crc32(body),
            0x50210000,
            20,
            0x30,
            len(raw),
            0o100644,
        )
        archive += _rar4_block(0x74, flags, fields + raw) + body
    return archive + _rar4_block(0x7B, 0x4000, b"")


def pdf_of(*pages: str, font: str = "Helvetica", drawing: bytes = b"", trailer: str = "") -> bytes:
    """Return a PDF with one line per page.

    A `font` other than Helvetica is a Chinese one without its outlines.
    """
    chinese = font != "Helvetica"
    kids = " ".join(f"{5 + 2 * n} 0 R" for n in range(len(pages)))
    info = "<< /Registry (Adobe) /Ordering (GB1) /Supplement 2 >>"
    how = (
        "/Subtype /Type0 /Encoding /UniGB-UCS2-H /DescendantFonts [4 0 R]"
        if chinese
        else "/Subtype /Type1"
    )
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        f"<< /Type /Font /BaseFont /{font} {how} >>".encode(),
        (
            f"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /{font} /CIDSystemInfo {info} >>"
        ).encode(),
    ]
    for n, text in enumerate(pages):
        shown = f"<{text.encode('utf-16-be').hex()}>" if chinese else f"({text})"
        stream = drawing + (f"\nBT /F 12 Tf 50 700 Td {shown} Tj ET".encode() if text else b"")
        page = (
            f"/MediaBox [0 0 600 800] /Contents {6 + 2 * n} 0 R /Resources << /Font << /F 3 0 R"
            " >> >>"
        )
        objects.append(f"<< /Type /Page /Parent 2 0 R {page} >>".encode())
        objects.append(f"<< /Length {len(stream)} >>\nstream\n".encode() + stream + b"\nendstream")
    document, places = bytearray(b"%PDF-1.4\n"), []
    for number, item in enumerate(objects, 1):
        places.append(len(document))
        document += f"{number} 0 obj\n".encode() + item + b"\nendobj\n"
    start = len(document)
    document += f"xref\n0 {len(places) + 1}\n0000000000 65535 f \n".encode() + b"".join(
        b"%010d 00000 n \n" % place for place in places
    )
    document += (
        f"trailer\n<< /Size {len(places) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF\n"
    ).encode()
    return bytes(document)


SHEET_NS = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
WORD_NS = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
DRAWING_NS = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:p="urn:p"'


def xlsx_of(
    sheets: Mapping[str, str], strings: tuple[str, ...] = (), more: Files | None = None
) -> bytes:
    """Return a workbook.

    `sheets` gives the XML inside `sheetData` by sheet title; `strings` are the shared strings.
    """
    titles = "".join(
        f'<sheet name="{title}" sheetId="{n}" r:id="rId{n}"/>' for n, title in enumerate(sheets, 1)
    )
    links = "".join(
        f'<Relationship Id="rId{n}" Target="worksheets/sheet{n}.xml"/>'
        for n in range(1, len(sheets) + 1)
    )
    shared = "".join(f"<si><t>{text}</t></si>" for text in strings)
    return zip_of(
        {
            "[Content_Types].xml": b"<Types/>",
            "xl/workbook.xml": (
                (
                    f'<workbook {SHEET_NS} xmlns:r="urn:r"><sheets>{titles}</sheets></workbook>'
                ).encode()
            ),
            "xl/_rels/workbook.xml.rels": f"<Relationships>{links}</Relationships>".encode(),
            "xl/sharedStrings.xml": f"<sst {SHEET_NS}>{shared}</sst>".encode(),
            **{
                f"xl/worksheets/sheet{n}.xml": (
                    f"<worksheet {SHEET_NS}><sheetData>{rows}</sheetData></worksheet>".encode()
                )
                for n, rows in enumerate(sheets.values(), 1)
            },
            **(more or {}),
        }
    )


def docx_of(body: str, more: Files | None = None) -> bytes:
    document = f"<w:document {WORD_NS}><w:body>{body}</w:body></w:document>".encode()
    return zip_of(
        {"[Content_Types].xml": b"<Types/>", "word/document.xml": document, **(more or {})}
    )


def dbf_of(
    columns: Sequence[tuple[str, int]],
    rows: Sequence[Sequence[str]],
    kind: str = "C",
    encoding: str = "gb18030",
) -> bytes:
    """Return a dBASE III table of text columns, each given as a name and a width."""
    size = 1 + sum(width for _, width in columns)
    head = struct.pack("<4BIHH20x", 3, 124, 1, 31, len(rows), 33 + 32 * len(columns), size)
    for name, width in columns:
        head += (
            name.encode(encoding).ljust(11, b"\0")
            + kind.encode()
            + bytes(4)
            + bytes((width,))
            + bytes(15)
        )
    records = b"".join(
        b" "
        + b"".join(
            cell.encode(encoding).ljust(width)
            for cell, (_, width) in zip(row, columns, strict=True)
        )
        for row in rows
    )
    return head + b"\r" + records + b"\x1a"


def sqlite_of(rows: Sequence[Sequence[object]], *, more: str = "") -> bytes:
    """Return an SQLite database with a table `clients` of as many columns as the rows have."""
    with contextlib.closing(sqlite3.connect(":memory:")) as opened:
        opened.execute(f"CREATE TABLE clients ({', '.join(f'c{n}' for n in range(len(rows[0])))})")
        opened.executemany(f"INSERT INTO clients VALUES ({', '.join('?' * len(rows[0]))})", rows)
        opened.executescript(more)
        opened.commit()
        return opened.serialize()


def _wide(text: str) -> bytes:
    units = text.encode("utf-16-le")
    return struct.pack("<I", len(units) // 2) + units


def _binary_record(number: int, payload: bytes = b"") -> bytes:
    kind = bytes((number,)) if number < 128 else bytes((number & 0x7F | 0x80, number >> 7))
    return kind + vint(len(payload)) + payload


def xlsb_of(title: str, rows: Sequence[Sequence[str]]) -> bytes:
    """Return a workbook in binary parts ([MS-XLSB]), with one sheet of inline strings."""
    sheet = _binary_record(156, struct.pack("<II", 0, 1) + _wide("rId1") + _wide(title))
    workbook = (
        _binary_record(131)
        + _binary_record(143)
        + sheet
        + _binary_record(144)
        + _binary_record(132)
    )
    last = struct.pack("<4I", 0, len(rows) - 1, 0, len(rows[0]) - 1)
    cells = _binary_record(129) + _binary_record(148, last) + _binary_record(145)
    for number, row in enumerate(rows):
        cells += _binary_record(0, struct.pack("<IIHBBBI", number, 0, 300, 0, 0, 0, 0))
        for column, text in enumerate(row):
            cells += _binary_record(6, struct.pack("<II", column, 0) + _wide(text))
    cells += _binary_record(146) + _binary_record(130)
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"
    links = (
        f'<Relationships><Relationship Id="rId1" Type="{kind}"'
        ' Target="worksheets/sheet1.bin"/></Relationships>'
    )
    return zip_of(
        {
            "[Content_Types].xml": b"<Types/>",
            "xl/workbook.bin": workbook,
            "xl/_rels/workbook.bin.rels": links.encode(),
            "xl/worksheets/sheet1.bin": cells,
        }
    )


Rows = Sequence[Sequence[object]]


def table_of(rows: Rows) -> pa.Table:
    """Return an Arrow table with columns `c0`, `c1` and so on."""
    return pa.table({f"c{n}": list(column) for n, column in enumerate(zip(*rows, strict=True))})


def _write_table(write, rows: Rows, **how: object) -> bytes:
    buffer = io.BytesIO()
    write(table_of(rows), buffer, **how)
    return buffer.getvalue()


def parquet_of(rows: Rows, compression: str = "snappy") -> bytes:
    return _write_table(pyarrow.parquet.write_table, rows, compression=compression)


def orc_of(rows: Rows) -> bytes:
    return _write_table(pyarrow.orc.write_table, rows)


def feather_of(rows: Rows, compression: str = "lz4") -> bytes:
    return _write_table(pyarrow.feather.write_feather, rows, compression=compression)


def arrow_stream_of(rows: Rows) -> bytes:
    buffer, table = io.BytesIO(), table_of(rows)
    with pa.ipc.new_stream(buffer, table.schema) as stream:
        stream.write_table(table)
    return buffer.getvalue()


def avro_of(rows: Rows, codec: str = "deflate") -> bytes:
    """Return an Avro container of records whose field types are those of the first row."""
    import fastavro

    kinds = {str: "string", int: "long", float: "double", bytes: "bytes"}
    fields = [
        {"name": f"c{n}", "type": ["null", kinds[type(cell)]]} for n, cell in enumerate(rows[0])
    ]
    buffer = io.BytesIO()
    records = [{f"c{n}": cell for n, cell in enumerate(row)} for row in rows]
    fastavro.writer(buffer, {"type": "record", "name": "r", "fields": fields}, records, codec=codec)
    return buffer.getvalue()


def msgpack_of(value: object) -> bytes:
    """Return a value in MessagePack, each part in its shortest form."""
    if isinstance(value, dict):
        return bytes((0x80 | len(value),)) + b"".join(
            msgpack_of(key) + msgpack_of(item) for key, item in value.items()
        )
    if isinstance(value, list):
        return b"\xdc" + struct.pack(">H", len(value)) + b"".join(map(msgpack_of, value))
    if isinstance(value, bytes):
        return b"\xc4" + bytes((len(value),)) + value
    if isinstance(value, str):
        raw = value.encode()
        return (bytes((0xA0 | len(raw),)) if len(raw) < 32 else b"\xd9" + bytes((len(raw),))) + raw
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    return {None: b"\xc0", True: b"\xc3", False: b"\xc2"}.get(value) or b"\xcf" + struct.pack(
        ">Q", value
    )


def rtf_of(text: str, how: str = "u") -> bytes:
    """Rich text, a paragraph a line, each in two runs; what is not ASCII as Unicode (`u`) or as
    bytes of GBK in hex (`hex`).
    """

    def encode(run: str) -> str:
        if how == "u":
            return "".join(
                c if ord(c) < 128 else f"\\u{(ord(c) + 32768) % 65536 - 32768}?" for c in run
            )
        return "".join(
            c if ord(c) < 128 else "".join(f"\\'{byte:02x}" for byte in c.encode("gb18030"))
            for c in run
        )

    halves = [(line[: len(line) // 2], line[len(line) // 2 :]) for line in text.splitlines()]
    lines = [
        f"{{\\f0 {encode(plain_half)}}}{{\\b\\f0 {encode(bold_half)}\\b0 }}\\par\r\n"
        for plain_half, bold_half in halves
    ]
    fonts = "{\\fonttbl{\\f0\\fnil\\fcharset134 SimSun;}}{\\colortbl ;\\red0\\green0\\blue0;}"
    head = f"{{\\rtf1\\ansi\\ansicpg1252\\uc1{fonts}"
    return f"{head}{{\\*\\generator Word;}}\\viewkind4\\pard {''.join(lines)}}}".encode()


def bson_of(documents: Sequence[dict[str, object]]) -> bytes:
    """Return BSON documents: texts, integers of 64 bits, fractions and lists of these."""
    return b"".join(map(_bson_document, documents))


def _bson_document(values: dict[str, object]) -> bytes:
    elements = b"".join(_bson_element(name, value) for name, value in values.items())
    return struct.pack("<i", len(elements) + 5) + elements + b"\0"


def _bson_element(name: str, value: object) -> bytes:
    key = name.encode() + b"\0"
    if isinstance(value, list):
        items = {str(number): item for number, item in enumerate(value)}
        return b"\x04" + key + _bson_document(items)
    if isinstance(value, int):
        return b"\x12" + key + struct.pack("<q", value)
    if isinstance(value, float):
        return b"\x01" + key + struct.pack("<d", value)
    text = str(value).encode() + b"\0"
    return b"\x02" + key + struct.pack("<i", len(text)) + text
