"""Texts, pages, files and containers made to be slow to read, each by its length in bytes, or by
the number of its members.

Files have each sign of their format over and over, with and without what would close it. Where a
format packs its texts they are stored as they are, so that a file's length is what is read of it.
"""

from __future__ import annotations

import base64
import gzip
import io
import itertools
import random
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from functools import partial

from harness.bench.corpus.people import Person

Make = Callable[[int], bytes]


def around(before: str, unit: str, behind: str = "") -> Make:
    """Make `unit` over and over between the two, up to `size` bytes."""
    head, middle, tail = before.encode(), unit.encode(), behind.encode()
    return lambda size: head + middle * max(1, (size - len(head) - len(tail)) // len(middle)) + tail


def repeat(text: str) -> Make:
    """Return a maker of `text` repeated up to `size` bytes, ending with a whole one."""
    return around("", text)


def _nest_base64(size: int) -> bytes:
    """Return a phone list in base64, three times over."""
    body = b"15400000001,x\n" * (size // 14 * 27 // 64)
    for _ in range(3):
        body = base64.b64encode(body)
    return body


def _wrap_base64(size: int) -> bytes:
    """Return base64 of binary data in lines of 76, as a mailbox holds pictures."""
    body = base64.b64encode(random.Random(size).randbytes(size * 3 // 4)).decode()
    return "\n".join(body[place : place + 76] for place in range(0, len(body), 76))[:size].encode()


def _mail(parts: int) -> bytes:
    """Mail of so many parts of one character, gzipped to a five-hundredth."""
    head = b"From: a@example.com\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"
    return gzip.compress(head + b"--b\n\n1\n" * parts + b"--b--\n", 9, mtime=0)


def _archive(members: int) -> bytes:
    """Return a gzipped tar of so many files, each with one phone number."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        for number in range(members):
            entry = tarfile.TarInfo(f"{number}.txt")
            entry.size = 11
            tar.addfile(entry, io.BytesIO(b"%d" % (15400000000 + number)))
    return packed.getvalue()


def _insert(size: int) -> bytes:
    """Return one statement with as many tuples as there is room for, on one line."""
    unit = "(17,'15400000001','x y','it''s','420106188905108614'),"
    return f"INSERT INTO `t` VALUES {unit * (size // len(unit))}(0,'');".encode()


def _long_line(size: int) -> bytes:
    """Numbers of all lengths with commas between, and no line end."""
    numbers = (str(10**n + 7) for n in itertools.cycle(range(6, 22)))
    length, parts = 0, list[str]()
    while length < size:
        parts.append(next(numbers))
        length += len(parts[-1]) + 1
    return ",".join(parts).encode()


INPUTS: dict[str, Make] = {
    "repeated @": repeat("@"),
    "a@": repeat("a@"),
    "a@b.cn.": repeat("a@b.cn. "),
    "local parts of 100": repeat(f"{'a.b-c_d+e%' * 10}@"),
    "domains of 100": repeat(f"a@{'b-c.' * 25}"),
    "no line end, a.a.a": repeat("a."),
    "cards in groups": repeat("4222 0212 3456 7890 "),
    "phones in groups": repeat("139 1234 5678 "),
    "phones": repeat("13912345678 "),
    "phones, dashes": repeat("139-1234-5678-"),
    "a digit run": repeat("1"),
    "digits and dots": repeat("1."),
    "digits and spaces": repeat("1 "),
    "eleven digits, a letter": repeat("13912345678a"),
    "resident IDs": repeat("420106188905108614,"),
    "IBAN groups": repeat("GB03 TEST 0000 0500 0395 95 "),
    "hex words of 16": repeat("0123456789abcdef "),
    "a hex run": repeat("0123456789abcdef"),
    "hex of 32": repeat("0123456789abcdef0123456789abcdeF\n"),
    "<<<<": repeat("<"),
    "&#": repeat("&#"),
    "&amp;": repeat("&amp;"),
    "%25%25": repeat("%25"),
    "%": repeat("%"),
    "percent octets": repeat("%31%e4%b8"),
    "backslash u": repeat("\\u"),
    "backslashes": repeat("\\"),
    "JSON escapes": repeat("\\u0031"),
    "nested base64": _nest_base64,
    "base64 in lines, no text": _wrap_base64,
    "quoted-printable, no line end": repeat("86="),
    "base64 alphabet": repeat("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo"),
    "Han digits": repeat("一三八零"),
    "Han digits, apart": repeat("一 三-八.零"),
    "Han digits of six": repeat("一三八零零一，"),
    "zero width": repeat("\u200b"),
    "digits and zero width": repeat("1\u200b\u202e3\u2060"),
    "full width": repeat("１３９１２３４５６７８，"),
    "combining marks": repeat("e\u0301"),
    "four-byte digits": repeat("𝟏𝟑𝟗"),
    "masked": repeat("138****8000 "),
    "masked rows": repeat("王*明,138****8000,4403**********1234\n"),
    "masked in two fields": repeat("138****8000 1101**********1234\n"),
    "stars": repeat("*"),
    "labels": repeat("手机:"),
    "labels in English": repeat("phone:qq:wechat:"),
    "label and value": repeat("QQ:12345678 微信:abc_def1 护照:E12345678 "),
    "jargon": repeat("料"),
    "jargon, long": repeat("银行卡四件套"),
    "jargon in plain words": repeat("出售客户数据"),
    "logins": repeat("https://bank.example/login:user:pass\n"),
    "SQL insert": _insert,
    "a long line": _long_line,
    "quotes": repeat("'"),
    "quoted commas": repeat("'\",'"),
    "parentheses": repeat("("),
    "braces": repeat('{"a":'),
    "brackets": repeat("["),
    "line ends": repeat("\n"),
    "columns": repeat("----"),
    "bars": repeat("|"),
    "one field a line": repeat("1\n"),
    "zero bytes": repeat("\0"),
    "spelt signs, Han domain": repeat(":9[at]一.cn"),
    "entity signs and octets": repeat("&%31"),
    "octets and digits": repeat("%0212"),
    "labels and brackets": repeat("QQ["),
    "prefixes": repeat("_0086"),
    "mail in one stretch": repeat("}＠手机:①http://<a@b.cn"),
    "signs and octets": repeat("@%31"),
    "octets of no encoding": repeat("%E12"),
    "spelt signs": repeat("z[at]"),
    "cards, labelled": repeat("13卡号%"),
    "spelt signs and labels": repeat("QQ[at]"),
    "header cells": repeat(";QQ"),
    "numbers of a spreadsheet": repeat("1.3912345678E+10 "),
    "groups with slashes": repeat("139/1234/5678 "),
    "groups with a word": repeat("139加1234加5678 "),
    "hex literals": repeat("0x3133393132333435363738 "),
    "spelt digits": repeat("yao san "),
    "spelt numbers": repeat("one three nine one two three four five six seven eight, "),
    "glued labels": repeat("TEL13912345678 "),
    "from abroad": repeat("+14155552671 "),
    "from abroad, glued": repeat("TEL0014155552671\n"),
    "labelled thousands": repeat("电话:13,912,345,678 "),
    "masked addresses": repeat("a***@b.example "),
    "masked but for four": repeat("****1234 "),
    "masked cards": repeat("6222 **** **** "),
    "masked at the end": repeat("139****"),
    "digits with signs": repeat("1~3~9~1~"),
    "groups with signs": repeat("139~~1234~~5678 "),
    "SHA-512": repeat("0123456789abcdef" * 8 + "\n"),
    "digests, labelled": repeat("phone=0123456789abcdef0123456789abcdeF,"),
    "digests in base64": repeat("ABCDEFGHIJKLMNOPQRSTUA==,"),
    "cells in base64": repeat("MTM5MTIzNDU2Nzg=,"),
    "cells in hex": repeat("3133393132333435363738,"),
    "octets apart": repeat("31 33 39 31 "),
    "escaped octets": repeat("\\x31"),
    "octal": repeat("\\061"),
    "written line ends": repeat("\\n1"),
    "folded cards": repeat("BEGIN:VCARD\nTEL:139\n 1234\n"),
    "quoted cards": repeat("BEGIN:VCARD\nN;ENCODING=QUOTED-PRINTABLE:=31=\n"),
    "statements": repeat(":86:166?31GB03TEST\n00000500039595?32\n"),
}
PAGES: dict[str, Make] = {
    "page: <": repeat("<"),
    "page: <a": repeat("<a "),
    "page: <a b='": repeat("<a b='"),
    "page: <a b=1": repeat("<a b=13912345678 "),
    "page: <!--": repeat("<!--"),
    "page: <b>": repeat("<b>"),
    "page: digits in tags": repeat("1<b>3</b>"),
    "page: cells": repeat("<td>13912345678</td> "),
    "page: attributes": repeat("<input value='13912345678'>"),
    "page: &amp;#49;": repeat("&amp;#49;"),
}
"""The same for what is read as HTML."""
DOMAIN = "spruce.example"
"""The bench's tenant's own."""


def _number_lines(line: str) -> Make:
    """Return a maker of lines up to `size` bytes, in which `#` is a number of their own."""
    return lambda size: "".join(
        line.replace("#", f"{number:06}") for number in range(size // len(line) + 1)
    ).encode()[:size]


OWN: dict[str, Make] = {
    "own: address, login, password": _number_lines(
        f"https://app.{DOMAIN}/login:user#@mail.example:Pw#!\n"
    ),
    "own: login, password, address": _number_lines(
        f"user#@mail.example:Pw#!:https://app.{DOMAIN}/login\n"
    ),
    "own: bars": _number_lines(f"app.{DOMAIN}|user#|Pw#!\n"),
    "own: tables": _number_lines(f'"app","https://app.{DOMAIN}/login","user#","Pw#!"\n'),
    "own: blocks": _number_lines(
        f"URL: https://app.{DOMAIN}/login\nUsername: user#\nPassword: Pw#!\nApplication:"
        " Chrome\n=====\n"
    ),
    "own: objects": _number_lines(
        f'{{"url":"https://app.{DOMAIN}/","username":"user#","password":"p#"}}\n'
    ),
    "own: cookies": _number_lines(f".{DOMAIN}\tTRUE\t/\tTRUE\t1790000000\tSESSION\tabcdef#\n"),
    "own: headers": _number_lines(f"Host: app.{DOMAIN}\nCookie: SESSION=abc#; x=1; y=2\n"),
    "own: extension's cookies": _number_lines(
        f'{{"domain":".{DOMAIN}","expirationDate":1790000000,"name":"sid","value":"#"}},\n'
    ),
    "own: words": _number_lines(f"{DOMAIN} # abc\n"),
    "own: words on one line": _number_lines(f"{DOMAIN} # abc "),
    "own: mail": _number_lines(f"user#@{DOMAIN} "),
    "own: braces": _number_lines(f"url: {DOMAIN} pwd: #{{}}}}{{"),
    "labelled numbers as dialled at home": _number_lines("SĐT: 0912# Tel. 4917096# "),
}
"""Texts full of what something beside it is read for: the tenant's own domain, a label."""
MEMBERS: dict[str, Make] = {
    "mail of many parts, gzipped": _mail,
    "archive of many files, gzipped": _archive,
}
"""Containers, by the number of their members."""


def deep(before: str, opened: str, closed: str, most: int = 150) -> Make:
    """Make `most` times `opened`, lines of a phone number, and `closed` as often.

    `{n}` counts.
    """

    def make(size: int) -> bytes:
        head = before + "".join(opened.replace("{n}", str(n)) for n in range(most))
        tail = "".join(closed.replace("{n}", str(n)) for n in reversed(range(most)))
        return around(head, "13912345678\n", tail)(size)

    return make


def zip_behind(name: str, make: Make, others: Mapping[str, str]) -> Make:
    """Return a maker of a stored archive with `make`'s text as a file behind others."""

    def make_archive(size: int) -> bytes:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for other_name, text in others.items():
                archive.writestr(other_name, text)
            archive.writestr(name, make(size))
        return packed.getvalue()

    return make_archive


def _rows(unit: str) -> Make:
    """Four rows with one customer, then a statement that does not go on."""
    rows = "".join(f"({number},'{Person(number).phone}','x'),\n" for number in range(4))
    return around(f"INSERT INTO t (id,phone,name) VALUES\n{rows}", unit)


TYPES = (
    '<?xml version="1.0"?><Types'
    ' xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
)
_docx = partial(zip_behind, others={"[Content_Types].xml": TYPES, "word/styles.xml": "<w/>"})
_xlsx = partial(zip_behind, others={"[Content_Types].xml": TYPES, "xl/workbook.xml": "<w/>"})
_odt = partial(
    zip_behind, others={"mimetype": "application/vnd.oasis.opendocument.text", "styles.xml": "<a/>"}
)
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
    "docx: paragraphs": _docx(
        "word/document.xml", around("<w:document>", "<w:p><w:t>1</w:t></w:p>", "</w:document>")
    ),
    "odt: deep": _odt("content.xml", deep("<a>", "<text:p>", "</text:p>")),
    "xlsx: cells": _xlsx(
        "xl/worksheets/sheet1.xml", around("<worksheet><sheetData>", "<row><c><v>1</v></c>")
    ),
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
    "mail: parts in parts": deep(
        MAIL, "Content-Type: multipart/mixed; boundary=b{n}x\n\n--b{n}x\n", "\n--b{n}x--\n"
    ),
    "mail: parts in parts, no end": deep(
        MAIL, "Content-Type: multipart/mixed; boundary=b{n}x\n\n--b{n}x\n", ""
    ),
    "mail: mails in mails": deep("", f"{MAIL}Content-Type: message/rfc822\n\n", ""),
    "mail: dashes": around(f"{MAIL}Content-Type: multipart/mixed; boundary=b\n\n--b\n\n", "--\n"),
    "mail: fields": around(MAIL, "X-A: 13912345678\n", "\nx"),
    "mail: a field that goes on": around(f"{MAIL}X-A: b\n", " 13912345678\n", "\nx"),
    "mail: parameters": around(f"{MAIL}Content-Type: text/plain", "; a=1", "\n\nx"),
    "mail: encoded words": around(f"{MAIL}Subject: ", "=?utf-8?q?13912345678?= ", "\n\nx"),
    "mbox": around(
        "", "From a Mon Jan  1 10:00:00 2026\nTo: b@example.com\n\n" + "13912345678\n" * 1000
    ),
    "mbox: times": around("From a Mon Jan  1 10:00:00 2026\nTo: b@example.com\n\nFrom a ", "00:00"),
    "quoted-printable lines that go on": around("=E5=BC=A0=E6=9F=90=E6=9F=90\n", "=\n"),
}
"""Read by a child."""
