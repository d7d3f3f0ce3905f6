"""Files made to be slow: each sign that a format has over and over, with and without what would close it.

Where a format packs its texts they are stored as they are, so that a file's length is what is read of it.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from functools import partial

from harness.bench.corpus_people import Person

Make = Callable[[int], bytes]


def around(before: str, unit: str, behind: str = "") -> Make:
    """`unit` over and over between the two, up to `size` bytes."""
    head, middle, tail = before.encode(), unit.encode(), behind.encode()
    return lambda size: head + middle * max(1, (size - len(head) - len(tail)) // len(middle)) + tail


def deep(before: str, opened: str, closed: str, most: int = 150) -> Make:
    """`opened` `most` times, lines of a phone number, `closed` as often; `{n}` counts."""

    def made(size: int) -> bytes:
        head = before + "".join(opened.replace("{n}", str(n)) for n in range(most))
        tail = "".join(closed.replace("{n}", str(n)) for n in reversed(range(most)))
        return around(head, "13912345678\n", tail)(size)

    return made


def zipped(name: str, make: Make, others: Mapping[str, str]) -> Make:
    """An archive, stored, with `make`'s text as one file behind others."""

    def made(size: int) -> bytes:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for other, text in others.items():
                archive.writestr(other, text)
            archive.writestr(name, make(size))
        return packed.getvalue()

    return made


def _rows(unit: str) -> Make:
    """Four rows with one customer, then a statement that does not go on."""
    rows = "".join(f"({number},'{Person(number).phone}','x'),\n" for number in range(4))
    return around(f"INSERT INTO t (id,phone,name) VALUES\n{rows}", unit)


TYPES = '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
_docx = partial(zipped, others={"[Content_Types].xml": TYPES, "word/styles.xml": "<w/>"})
_xlsx = partial(zipped, others={"[Content_Types].xml": TYPES, "xl/workbook.xml": "<w/>"})
_odt = partial(zipped, others={"mimetype": "application/vnd.oasis.opendocument.text", "styles.xml": "<a/>"})
MAIL = "From: a@example.com\nMIME-Version: 1.0\nMessage-ID: <a@example.com>\n"
RTF, PDF = "{\\rtf1\\ansi ", "%PDF-1.4\n"
OBJECT = "1 0 obj<</Length 9/Filter/FlateDecode>>stream\n"
BLOCK = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo0123456789abcdefghijklmnopqrstuvwx"

TEXTS: dict[str, Make] = {
    "SQL: a table of line ends": _rows("create table a (" + "\n" * 8100),
    "SQL: tables of commas": _rows("create table a (" + ",\n" * 4000),
    "SQL: inserts of blanks": _rows("insert into a" + " " * 8000),
    "SQL: inserts of names": _rows("insert into a(" + "b" * 4000),
    "SQL: inserts without end": _rows("insert into a (b,c) values "),
    "SQL: quotes that do not end": _rows("(1,'"),
    "vCard lines that go on": around("BEGIN:VCARD\nVERSION:3.0\nTEL:", "1\n "),
    "vCards": around("", "BEGIN:VCARD\nTEL:1\n"),
    "a quoted cell without end": around('a,b\n"', "13912345678,x\n"),
    "base64 that is broken off": around("", f"{BLOCK}\n" * 20 + "-\n"),
    "base64, each line indented": around("", f"        {BLOCK}\n"),
    "uuencode begun": around("", "begin 644 a\nM" + "!" * 60 + "\n"),
    "lines of a hex dump": around("", "00000010: 3133 3931 3233 3435  13912345\n"),
    "XML declarations": around("", "<?"),
    "JSON in JSON": around("", '{"a":"{\\"b\\":'),
}
"""Read by match itself."""
FILES: dict[str, Make] = {
    "docx: <?": _docx("customXml/item1.xml", around("<a>", "<?")),
    "docx: <!--": _docx("customXml/item1.xml", around("<a>", "<!--")),
    "docx: <![CDATA[": _docx("customXml/item1.xml", around("<a>", "<![CDATA[")),
    "docx: attributes": _docx("customXml/item1.xml", around("<a ", "b=''")),
    "docx: <w:t>": _docx("word/document.xml", around("<w:document>", "<w:t>")),
    "docx: <": _docx("word/document.xml", around("<w:document>", "<")),
    "docx: paragraphs": _docx("word/document.xml", around("<w:document>", "<w:p><w:t>1</w:t></w:p>", "</w:document>")),
    "odt: deep": _odt("content.xml", deep("<a>", "<text:p>", "</text:p>")),
    "xlsx: cells": _xlsx("xl/worksheets/sheet1.xml", around("<worksheet><sheetData>", "<row><c><v>1</v></c>")),
    "rtf: {": around(RTF, "{"),
    "rtf: {}": around(RTF, "{}"),
    "rtf: words": around(RTF, "\\a"),
    "rtf: octets": around(RTF, "\\'31"),
    "rtf: {\\*": around(RTF, "{\\*\\a"),
    "rtf: backslashes": around(RTF, "\\"),
    "pdf: streams without end": around(PDF, OBJECT, "%%EOF"),
    "pdf: streams, one end": around(PDF, OBJECT, "endstream\n%%EOF"),
    "pdf: <<": around(PDF, "<<", "%%EOF"),
    "pdf: objects": around(PDF, "1 0 obj\n", "%%EOF"),
    "mail: parts in parts": deep(MAIL, "Content-Type: multipart/mixed; boundary=b{n}x\n\n--b{n}x\n", "\n--b{n}x--\n"),
    "mail: parts in parts, no end": deep(MAIL, "Content-Type: multipart/mixed; boundary=b{n}x\n\n--b{n}x\n", ""),
    "mail: mails in mails": deep("", f"{MAIL}Content-Type: message/rfc822\n\n", ""),
    "mail: dashes": around(f"{MAIL}Content-Type: multipart/mixed; boundary=b\n\n--b\n\n", "--\n"),
    "mail: fields": around(MAIL, "X-A: 13912345678\n", "\nx"),
    "mail: a field that goes on": around(f"{MAIL}X-A: b\n", " 13912345678\n", "\nx"),
    "mail: parameters": around(f"{MAIL}Content-Type: text/plain", "; a=1", "\n\nx"),
    "mail: encoded words": around(f"{MAIL}Subject: ", "=?utf-8?q?13912345678?= ", "\n\nx"),
    "mbox": around("", "From a Mon Jan  1 10:00:00 2026\nTo: b@example.com\n\n" + "13912345678\n" * 1000),
    "mbox: times": around("From a Mon Jan  1 10:00:00 2026\nTo: b@example.com\n\nFrom a ", "00:00"),
    "quoted-printable lines that go on": around("=E5=BC=A0=E6=9F=90=E6=9F=90\n", "=\n"),
}
"""Read by a child."""
