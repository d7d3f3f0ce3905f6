"""What a body is, by its first bytes. A name alone proves nothing, and text must cost next to nothing."""

from __future__ import annotations

import re

HEAD = 4096
"""Bytes that `sniff` wants to see."""
TEXT, IMAGE, AUDIO_VIDEO, BINARY = "text", "image", "audio_video", "binary"
UNREADABLE = (IMAGE, AUDIO_VIDEO, BINARY)
STREAMS = ("gz", "bz2", "xz")
"""Kinds that hold one stream, named after the container less its suffix."""
MAGIC = {
    b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"PK\x07\x08PK": "zip", b"PK00PK": "zip",
    b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!\x1a\x07": "rar", b"MSCF\0\0\0\0": "cab",
    b"\x1f\x8b\x08": "gz", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zst", b"\x04\x22\x4d\x18": "lz4",
    b"%PDF-": "pdf", b"\xef\xbb\xbf%PDF-": "pdf", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "ole",
    b"\x89PNG\r\n\x1a\n": IMAGE, b"\xff\xd8\xff": IMAGE, b"GIF87a": IMAGE, b"GIF89a": IMAGE, b"II*\0": IMAGE, b"MM\0*": IMAGE,
    b"8BPS\0\1": IMAGE, b"\0\0\1\0": IMAGE, b"\0\0\0\x0cjP  ": IMAGE,
    b"OggS\0": AUDIO_VIDEO, b"fLaC": AUDIO_VIDEO, b"\x1a\x45\xdf\xa3": AUDIO_VIDEO, b"FLV\x01": AUDIO_VIDEO,
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": AUDIO_VIDEO, b"\xff\xfb": AUDIO_VIDEO, b"\xff\xf3": AUDIO_VIDEO, b"ID3\3": AUDIO_VIDEO,
    b"ID3\4": AUDIO_VIDEO, b"\0\0\1\xba": AUDIO_VIDEO, b"#!AMR\n": AUDIO_VIDEO, b"#!SILK": AUDIO_VIDEO, b"\2#!SILK": AUDIO_VIDEO,
    b"\x7fELF": BINARY, b"\xca\xfe\xba\xbe": BINARY, b"\xcf\xfa\xed\xfe": BINARY, b"dex\n0": BINARY,
    b"OTTO\0": BINARY, b"\0\1\0\0\0": BINARY, b"wOFF": BINARY, b"wOF2": BINARY,
}  # fmt: skip
STARTS = tuple(MAGIC)
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
    if head.startswith(STARTS):
        return next(kind for start, kind in MAGIC.items() if head.startswith(start))
    if BZ2.match(head):
        return "bz2"
    if MAIL_START.match(head):
        return _mail(head, name)
    return _with_nul(head) if 0 in head[:512] else TEXT


def _mail(head: bytes, name: str) -> str:
    """Mail, many mails, or a text that looks like it: what proves mail is a field that nobody writes by hand."""
    if MBOX_START.match(head) and MAIL_FIELD.search(head):
        return "mbox"
    block = re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0]
    enough = 1 if name.lower().endswith((".eml", ".mht", ".mhtml")) else 2
    sure = enough == 1 or MAIL_SURE.search(block)
    return "mail" if sure and len(MAIL_FIELD.findall(block)) >= enough else TEXT


def _with_nul(head: bytes) -> str:
    """Kinds whose marks are short or stand further in: none of them is without a NUL, and text seldom has one."""
    if head[257:262] == b"ustar" or _tar_sum(head):
        return "tar"
    if head.startswith(b"RIFF"):
        return IMAGE if head[8:12] == b"WEBP" else AUDIO_VIDEO
    if head[4:8] == b"ftyp":
        return IMAGE if head[8:12] in {b"heic", b"heix", b"mif1", b"avif"} else AUDIO_VIDEO
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return IMAGE
    return BINARY if head.startswith(b"MZ") and b"\0\0\0" in head[:64] else TEXT


def _tar_sum(head: bytes) -> bool:
    """Whether the checksum of an old tar header holds: octal, over the header with blanks in its own place."""
    field = head[148:156].strip(b" \0")
    if len(head) < 512 or not field.isdigit() or b"8" in field or b"9" in field:
        return False
    return int(field, 8) == sum(head[:148]) + 8 * 32 + sum(head[156:512])


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
