"""Containers written by hand, and encodings: one text in each, as somebody would send it."""

from __future__ import annotations

import base64
import binascii
import bz2
import codecs
import gzip
import io
import lzma
import quopri
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from functools import partial
from xml.sax.saxutils import escape

import brotli
import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet

from harness.bench.recall.archives import rar, seven_zip
from tests.matcher.unpack.builders import libarchive_of, sqlite_of, xlsb_of

MEMBER = "名单 list.txt"
LINES_A_PAGE = 50


def _utf16(order: str, *, marked: bool) -> Callable[[str], bytes]:
    mark = {"le": codecs.BOM_UTF16_LE, "be": codecs.BOM_UTF16_BE}[order] if marked else b""
    return lambda text: mark + text.encode(f"utf-16-{order}")


ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "UTF-8": str.encode,
    "UTF-8 with mark": partial(str.encode, encoding="utf-8-sig"),
    "UTF-16 LE": _utf16("le", marked=True),
    "UTF-16 BE": _utf16("be", marked=True),
    "UTF-16 LE without mark": _utf16("le", marked=False),
    "UTF-16 BE without mark": _utf16("be", marked=False),
    "UTF-32 LE": lambda text: codecs.BOM_UTF32_LE + text.encode("utf-32-le"),
    "UTF-32 LE without mark": partial(str.encode, encoding="utf-32-le"),
    "UTF-32 BE without mark": partial(str.encode, encoding="utf-32-be"),
    "GBK": partial(str.encode, encoding="gbk"),
    "GB18030": partial(str.encode, encoding="gb18030"),
    "Big5": partial(str.encode, encoding="big5"),
    "GBK as Latin-1": lambda text: text.encode("gbk").decode("latin-1").encode(),
}


def zip_file(body: bytes, name: str = MEMBER) -> bytes:
    """Return a zip archive of one member."""
    return parts({name: body})


def parts(members: dict[str, bytes]) -> bytes:
    """Return a zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(zipfile.ZipInfo(name), body, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def tar_file(body: bytes) -> bytes:
    """Return a tar archive of one member."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo(MEMBER)
        info.size = len(body)
        archive.addfile(info, io.BytesIO(body))
    return out.getvalue()


def mail_attachment(body: bytes) -> bytes:
    """Return a message with the text as a file."""
    message = _message()
    message.set_content("see the file\n")
    message.add_attachment(
        body, maintype="application", subtype="octet-stream", filename="list.txt"
    )
    return message.as_bytes()


def mail_body(text: str) -> bytes:
    """Return a message with the text in its body, in base64."""
    message = _message()
    message.set_content(text, charset="utf-8", cte="base64")
    return message.as_bytes()


def mail_quoted(text: str) -> bytes:
    """Return a message with the text quoted-printable, beside a page without it."""
    message = _message()
    message.set_content(text, charset="utf-8", cte="quoted-printable")
    message.add_alternative("<p>hello</p>", subtype="html")
    return message.as_bytes()


def _message() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@mail.invalid", "b@mail.invalid", "list"
    return message


TYPES = (
    '<?xml version="1.0"?><Types'
    ' xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default'
    ' Extension="rels"'
    ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default'
    ' Extension="xml" ContentType="application/xml"/>{}</Types>'
)
OVERRIDE = (
    '<Override PartName="/{}" ContentType="application/vnd.openxmlformats-officedocument.{}+xml"/>'
)
RELATIONS = (
    '<?xml version="1.0"?><Relationships'
    ' xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}</Relationships>'
)
RELATION = (
    '<Relationship Id="rId{}"'
    ' Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{}" Target="{}"/>'
)
SHEET_SPACE = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
WORD_SPACE = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
OFFICE_SPACE = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'


def _office(members: dict[str, str]) -> bytes:
    return parts({name: text.encode() for name, text in members.items()})


def xlsx(text: str, title: str = "一") -> bytes:
    """Return a workbook with a row per line and a cell per tab.

    Every second row's strings are shared, the others are in their cells.
    """
    shared: list[str] = []
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        cells = [
            _cell(f"{chr(65 + n)}{number}", cell, shared, number % 2 == 0)
            for n, cell in enumerate(line.split("\t")[:26])
        ]
        rows.append(f'<row r="{number}">{"".join(cells)}</row>')
    strings = "".join(f'<si><t xml:space="preserve">{string}</t></si>' for string in shared)
    sheet = f'<sheet name="{escape(title)}" sheetId="1" r:id="rId1"/>'
    book = f"<workbook {SHEET_SPACE} {OFFICE_SPACE}><sheets>{sheet}</sheets></workbook>"
    return _office({
        "[Content_Types].xml": TYPES.format(
            OVERRIDE.format("xl/workbook.xml", "spreadsheetml.sheet.main")
            + OVERRIDE.format("xl/worksheets/sheet1.xml", "spreadsheetml.worksheet")
            + OVERRIDE.format("xl/sharedStrings.xml", "spreadsheetml.sharedStrings")
        ),
        "_rels/.rels": RELATIONS.format(RELATION.format(1, "officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": book,
        "xl/_rels/workbook.xml.rels": RELATIONS.format(
            RELATION.format(1, "worksheet", "worksheets/sheet1.xml") + RELATION.format(2,
            "sharedStrings", "sharedStrings.xml")
        ),
        "xl/worksheets/sheet1.xml":
            f"<worksheet {SHEET_SPACE}><sheetData>{''.join(rows)}</sheetData></worksheet>",
        "xl/sharedStrings.xml":
            f'<sst {SHEET_SPACE} count="{len(shared)}" uniqueCount="{len(shared)}">{strings}</sst>',
    })  # fmt: skip


def _cell(place: str, text: str, shared: list[str], share: bool) -> str:
    # as a spreadsheet keeps what was typed
    if text.isascii() and text.isdigit() and len(text) <= 15:
        return f'<c r="{place}"><v>{text}</v></c>'
    if share:
        shared.append(escape(text))
        return f'<c r="{place}" t="s"><v>{len(shared) - 1}</v></c>'
    return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(text)}</t></is></c>'


def docx(text: str) -> bytes:
    """Return a document with a paragraph per line, each in two runs, as editors leave them."""
    paragraphs = []
    for line in text.splitlines():
        runs = [line[: len(line) // 2], line[len(line) // 2 :]]
        body = "".join(f'<w:r><w:t xml:space="preserve">{escape(run)}</w:t></w:r>' for run in runs)
        paragraphs.append(
            f"<w:p>{body}</w:p>".replace("\t", '</w:t><w:tab/><w:t xml:space="preserve">')
        )
    return _office({
        "[Content_Types].xml": TYPES.format(OVERRIDE.format("word/document.xml",
        "wordprocessingml.document.main")),
        "_rels/.rels": RELATIONS.format(RELATION.format(1, "officeDocument", "word/document.xml")),
        "word/document.xml":
            f"<w:document {WORD_SPACE}><w:body>{''.join(paragraphs)}</w:body></w:document>",
    })  # fmt: skip


DESCENDANT = (
    b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Text /DW 500 /CIDToGIDMap /Identity"
    b" /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> >>"
)


def pdf(text: str) -> bytes:
    """Pages of text in a composite font whose glyphs are known by their ToUnicode map alone (ISO
    32000-1, 9.10.3).
    """
    lines = text.splitlines()
    code = {char: number for number, char in enumerate(sorted(set(text.replace("\n", ""))), 1)}
    pages = [lines[n : n + LINES_A_PAGE] for n in range(0, len(lines), LINES_A_PAGE)]
    first = 6
    kids = " ".join(f"{first + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        (
            b"<< /Type /Font /Subtype /Type0 /BaseFont /Text /Encoding /Identity-H /DescendantFonts"
            b" [4 0 R] /ToUnicode 5 0 R >>"
        ),
        DESCENDANT,
        _stream(_to_unicode(code)),
    ]
    for number, page in enumerate(pages):
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 3000 842] /Contents"
            f" {first + 2 * number + 1} 0 R /Resources << /Font << /F1 3 0 R >> >> >>".encode()
        )
        objects.append(_stream(_page(page, code)))
    return _file(objects)


def _to_unicode(code: dict[str, int]) -> bytes:
    entries = [
        f"<{number:04x}> <{char.encode('utf-16-be').hex()}>" for char, number in code.items()
    ]
    blocks = [entries[n : n + 100] for n in range(0, len(entries), 100)]
    listed = "\n".join(
        f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar" for block in blocks
    )
    return (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /T def /CMapType 2"
        f" def\n1 begincodespacerange <0000> <ffff> endcodespacerange\n{listed}\nendcmap CMapName"
        " currentdict /CMap defineresource pop end end"
    ).encode()


def _page(lines: Sequence[str], code: dict[str, int]) -> bytes:
    shown = "\n".join(f"<{''.join(f'{code[c]:04x}' for c in line)}> Tj T*" for line in lines)
    return f"BT /F1 10 Tf 14 TL 20 820 Td\n{shown}\nET".encode()


def _stream(body: bytes) -> bytes:
    packed = zlib.compress(body)
    return (
        f"<< /Length {len(packed)} /Filter /FlateDecode >>\nstream\n".encode()
        + packed
        + b"\nendstream"
    )


def _file(objects: Sequence[bytes]) -> bytes:
    out, places = bytearray(b"%PDF-1.7\n"), []
    for number, item in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n".encode() + item + b"\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = (
        f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n<< /Size"
        f" {len(objects) + 1} /Root 1 0 R >>\n"
    )
    return bytes(out) + f"{end}startxref\n{len(out)}\n%%EOF\n".encode()


def _table(text: str) -> pa.Table:
    """Return a table of one column with a row per line."""
    return pa.table({"line": text.splitlines()})


def parquet(text: str) -> bytes:
    """Return a Parquet file with a row per line, compressed as most writers do."""
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(_table(text), buffer)
    return buffer.getvalue()


def orc(text: str) -> bytes:
    """Return an ORC file with a row per line."""
    buffer = io.BytesIO()
    pyarrow.orc.write_table(_table(text), buffer)
    return buffer.getvalue()


def feather(text: str) -> bytes:
    """Return a Feather (Arrow) file with a row per line."""
    buffer = io.BytesIO()
    pyarrow.feather.write_feather(_table(text), buffer)
    return buffer.getvalue()


def avro(text: str) -> bytes:
    """Return a record per line (Avro 1.12, object container files), compressed by deflate."""
    schema = b'{"type":"record","name":"r","fields":[{"name":"line","type":"string"}]}'
    mark = bytes(range(16))
    head = (
        b"Obj\1"
        + _long(2)
        + _prefix_length(b"avro.schema")
        + _prefix_length(schema)
        + _prefix_length(b"avro.codec")
        + _prefix_length(b"deflate")
        + _long(0)
        + mark
    )
    records = [_prefix_length(line.encode()) for line in text.splitlines()]
    packed = zlib.compress(b"".join(records), wbits=-15)
    return head + _long(len(records)) + _prefix_length(packed) + mark


def _long(number: int) -> bytes:
    """Return a non-negative number as Avro writes it: zigzag, seven bits per byte."""
    remaining, octets = number << 1, bytearray()
    while remaining > 127:
        octets.append(remaining & 127 | 128)
        remaining >>= 7
    return bytes((*octets, remaining))


def _prefix_length(body: bytes) -> bytes:
    return _long(len(body)) + body


def msgpack(text: str) -> bytes:
    """Return a map per line, with one name and the line."""
    lines = [line.encode() for line in text.splitlines()]
    return b"".join(b"\x81\xa4line\xda" + struct.pack(">H", len(line)) + line for line in lines)


def rtf(text: str) -> bytes:
    """Rich text: a paragraph a line, in two runs, what is not ASCII by its number."""
    paragraphs = []
    for line in text.splitlines():
        runs = [line[: len(line) // 2], line[len(line) // 2 :]]
        paragraphs.append(
            "".join(f"{{\\b {''.join(map(_rich, run))}}}" for run in runs) + "\\par\r\n"
        )
    return ("{\\rtf1\\ansi\\uc1 " + "".join(paragraphs) + "}").encode()


def _rich(char: str) -> str:
    if char in "\\{}":
        return f"\\{char}"
    if char == "\t":
        return "\\tab "
    units = char.encode("utf-16-le")
    return (
        char
        if char.isascii()
        else "".join(
            f"\\u{struct.unpack_from('<h', units, at)[0]}?" for at in range(0, len(units), 2)
        )
    )


def quote_printable(text: str) -> bytes:
    """Return quoted-printable text without a mail around it."""
    return quopri.encodestring(text.encode())


def uuencode(body: bytes) -> bytes:
    """Return a file in uuencode, as a text of its own."""
    return (
        b"begin 644 list\n"
        + b"".join(binascii.b2a_uu(body[at : at + 45]) for at in range(0, len(body), 45))
        + b"`\nend\n"
    )


PNG = b"\x89PNG\r\n\x1a\n" + bytes(64) + b"IEND\xaeB`\x82"

OF_BYTES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "plain": ("txt", lambda body: body),
    "zip": ("zip", zip_file),
    "zip in zip": ("zip", lambda body: zip_file(zip_file(body), "inner.zip")),
    "7z": ("7z", partial(seven_zip, MEMBER)),
    "rar": ("rar", partial(rar, MEMBER)),
    "tar": ("tar", tar_file),
    "tar.gz": ("tar.gz", lambda body: gzip.compress(tar_file(body))),
    "gz": ("txt.gz", gzip.compress),
    "bz2": ("txt.bz2", bz2.compress),
    "xz": ("txt.xz", lzma.compress),
    "lzma": ("txt.lzma", partial(lzma.compress, format=lzma.FORMAT_ALONE)),
    "zst": ("txt.zst", lambda body: libarchive_of({"list": body}, "raw", "zstd")),
    "mail, attached": ("eml", mail_attachment),
    "br": ("txt.br", brotli.compress),
    "zip behind a picture": ("png", lambda body: PNG + zip_file(body)),
    "zip in base64": ("txt", lambda body: base64.encodebytes(zip_file(body))),
    "gz in hex": ("txt", lambda body: gzip.compress(body).hex().encode()),
    "zip in base32": ("txt", lambda body: base64.b32encode(zip_file(body))),
    "zip in uuencode": ("txt", lambda body: uuencode(zip_file(body))),
}
"""Containers of files in any encoding: a file's ending, and how it is written."""
OF_TEXT: dict[str, tuple[str, Callable[[str], bytes]]] = {
    "xlsx": ("xlsx", xlsx),
    "docx": ("docx", docx),
    "pdf": ("pdf", pdf),
    "mail": ("eml", mail_body),
    "mail, quoted": ("eml", mail_quoted),
    "xlsb": ("xlsb", lambda text: xlsb_of("list", [[line] for line in text.splitlines()])),
    "sqlite": ("db", lambda text: sqlite_of([[line] for line in text.splitlines()])),
    "parquet": ("parquet", parquet),
    "parquet in zip": ("zip", lambda text: zip_file(parquet(text), "list.parquet")),
    "orc": ("orc", orc),
    "feather": ("feather", feather),
    "avro": ("avro", avro),
    "msgpack": ("msgpack", msgpack),
    "rtf": ("rtf", rtf),
    "quoted": ("txt", quote_printable),
    "xlsx in zip": ("zip", lambda text: zip_file(xlsx(text), "list.xlsx")),
}
"""Containers that keep text in an encoding of their own."""
