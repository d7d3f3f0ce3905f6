"""What a body is, by its first bytes. A name alone proves nothing, and text must cost next to nothing."""

from __future__ import annotations

import re

from matcher.unpack.magic import (
    AUDIO_VIDEO,
    BESIDE_CONTROLS,
    BINARY,
    DBASE,
    FURTHER_IN,
    IMAGE,
    SURE,
    TEXT,
)

HEAD = 4096
"""Bytes that `sniff` wants to see."""
STREAMS = ("gz", "bz2", "xz")
"""Kinds that hold one stream, named after the container less its suffix."""
FIRST = frozenset(start[:1] for start in SURE)
STARTS, FAINT_STARTS = tuple(SURE), tuple(BESIDE_CONTROLS)
NO_CONTROLS = bytes(set(range(256)) - {*range(9), *range(14, 27), *range(28, 32), 127})
"""All bytes but those control characters that are not white space and do not begin a terminal's sequence."""
LOOKED_AT = 512
"""Bytes at the beginning among which a file that is no text has a control character."""
BZ2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)")
MAIL_START = re.compile(
    rb"(?:Return-Path|Received|Delivered-To|From|To|Cc|Subject|Date|Sender|Reply-To|Message-ID|MIME-Version|Content-[a-z-]+"
    rb"|Authentication-Results|DKIM-[a-z-]+|List-[a-z-]+|ARC-[a-z-]+|X-[\w-]+):|From ",
    re.IGNORECASE,
)
"""The first line decides whether the rest is looked at: many texts begin with a word and a colon."""
MAIL_SURE = re.compile(
    rb"^(?:MIME-Version|Message-ID|Received|Return-Path|Delivered-To|X-Mailer|DKIM-Signature|Content-Transfer-Encoding):",
    re.IGNORECASE | re.MULTILINE,
)
MAIL_FIELD = re.compile(
    rb"^(?:From|To|Subject|Date|Cc|Content-Type|Message-ID|Received|MIME-Version):", re.IGNORECASE | re.MULTILINE
)
MBOX_START = re.compile(rb"From \S+ .*\d\d:\d\d.*\r?\n")
DBASE_VERSIONS = frozenset((0x02, 0x03, 0x04, 0x05, 0x30, 0x31, 0x32, 0x43, 0x63, 0x83, 0x8B, 0x8C, 0x8E, 0xCB, 0xE5, 0xF5, 0xFB))
"""First bytes of dBASE and FoxPro tables: their version."""
DBASE_COLUMN = re.compile(rb"(?=.{11}[A-Z@+0])[A-Za-z_\x81-\xfe][\w\x40-\xfe]{0,9}\0", re.DOTALL)
PROLOGUE = 512
HTML_START = re.compile(
    rb"(?i)(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s*(?:<\?[^>]{0,128}>\s*){0,3}(?:<!--.{0,128}?-->\s*)?"
    rb"<(?:!doctype\s+html|html|head|body|meta|table|style|workbook)[\s>]"
)
"""How much of a text says that it is markup, and how."""
MARKUP = (".html", ".htm", ".xhtml")
"""Other XML is read tags and all: nothing says which of its tags end a value, and without them values run together."""


def is_container(body: bytes, name: str = "") -> bool:
    """Whether `unpack` has something to say about `body`: a container, or a file that holds no text (an image, a program).

    About a microsecond for text. `name` helps with mail alone, whose first bytes prove little.
    """
    return sniff(body[:HEAD], name) != TEXT


def sniff(head: bytes, name: str = "") -> str:
    r"""The kind of a body that begins with `head` (`HEAD` bytes, or all of it).

    >>> sniff(b"PK\x03\x04")
    'zip'
    >>> sniff(b"PK and such")
    'text'
    """
    if head[:1] in FIRST and head.startswith(STARTS):
        return next(kind for start, kind in SURE.items() if head.startswith(start))
    if BZ2.match(head):
        return "bz2"
    if MAIL_START.match(head):
        return _mail(head, name)
    return _with_controls(head) if head[:LOOKED_AT].translate(None, NO_CONTROLS) else TEXT


def _mail(head: bytes, name: str) -> str:
    """Mail, many mails, or a text that looks like it: what proves mail is a field that nobody writes by hand."""
    if MBOX_START.match(head) and MAIL_FIELD.search(head):
        return "mbox"
    block = re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0]
    enough = 1 if name.lower().endswith((".eml", ".mht", ".mhtml")) else 2
    sure = enough == 1 or MAIL_SURE.search(block)
    return "mail" if sure and len(MAIL_FIELD.findall(block)) >= enough else TEXT


def _with_controls(head: bytes) -> str:
    """Kinds whose marks a text may have, or that stand further in: none of them is without control characters."""
    if head[257:262] == b"ustar" or _tar_sum(head):
        return "tar"
    if is_lzma(head):
        return "xz"
    if is_dbase(head):
        return DBASE
    if head.startswith(FAINT_STARTS):
        return next(kind for start, kind in BESIDE_CONTROLS.items() if head.startswith(start))
    return next((kind for (place, mark), kind in FURTHER_IN.items() if head.startswith(mark, place)), _by_two_marks(head))


def _by_two_marks(head: bytes) -> str:
    """Kinds whose first bytes say little without a second look."""
    if head.startswith(b"RIFF"):
        return IMAGE if head[8:12] == b"WEBP" else AUDIO_VIDEO
    if head[4:8] == b"ftyp":
        return IMAGE if head[8:11] in {b"hei", b"hev", b"mif", b"msf", b"avi", b"crx"} else AUDIO_VIDEO
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return IMAGE
    return BINARY if head.startswith(b"MZ") and b"\0\0\0" in head[:64] else TEXT


def is_lzma(head: bytes) -> bool:
    """Whether a file begins as LZMA of before xz: properties, a dictionary of 2^n or 3 * 2^n bytes, and the size or all ones."""
    dictionary, size = int.from_bytes(head[1:5], "little"), head[5:13]
    is_round = dictionary >= 1 << 12 and dictionary.bit_count() <= 2 and dictionary >> dictionary.bit_length() - 2 in (2, 3)
    return len(head) > 13 and head[0] < 225 and is_round and (size == b"\xff" * 8 or size[5:] == bytes(3)) and head[13] == 0


def is_dbase(head: bytes) -> bool:
    """Whether a file begins as a table of dBASE or FoxPro: a date, the sizes of head and record, and the first column."""
    if len(head) < 64 or head[0] not in DBASE_VERSIONS or not (1 <= head[2] <= 12 and 1 <= head[3] <= 31):
        return False
    size, record = int.from_bytes(head[8:10], "little"), int.from_bytes(head[10:12], "little")
    return size >= 65 and record > 1 and DBASE_COLUMN.match(head, 32) is not None


def _tar_sum(head: bytes) -> bool:
    """Whether the checksum of an old tar header holds: octal, over the header with blanks in its own place."""
    field = head[148:156].strip(b" \0")
    if len(head) < 512 or not field.isdigit() or b"8" in field or b"9" in field:
        return False
    return int(field, 8) == sum(head[:148]) + 8 * 32 + sum(head[156:512])


def is_html(head: bytes) -> bool:
    r"""Whether a text begins as a web page or a table of one: what many offices export as `.xls` is nothing else.

    >>> is_html(b"\xef\xbb\xbf<HTML><table>"), is_html(b"<tablet> 13800138000")
    (True, False)
    """
    return b"<" in head[:PROLOGUE] and HTML_START.match(head[:PROLOGUE].replace(b"\0", b"")) is not None


def media_of(name: str) -> str:
    """The media type that a file's name promises: markup is read without its tags.

    >>> media_of("a.HTM"), media_of("a.csv")
    ('text/html', 'text/plain')
    """
    return "text/html" if name.lower().endswith(MARKUP) else "text/plain"


def stem(path: str) -> str:
    """The name of what is in a compressed stream, by the stream's own.

    >>> stem("!/a/b.csv.gz")
    'b.csv'
    """
    name = path.rpartition("/")[2]
    return name.rpartition(".")[0] or name
