r"""Recognise the format of a file by its first bytes, and find files encoded in a text.

`sniff` returns the kind of a body, such as `zip` or `text`. A name alone proves nothing, and text
must cost next to nothing, so marks that no text begins with are looked at first, then formats that
are text, and all others only if there are control characters. Each module of
`matcher.unpack.readers` declares the formats that it reads as `FileFormat`s; a module is found by
being there. Formats that nobody reads are known too, so that an outcome can name them.

    PK 03 04 …            sure: no text begins so         → zip
    PGDMP 01 …            faint: counts beside controls   → database
    a,b,c \n …            nothing                         → text

Base64 text is decoded in place, by the text layer. An archive in base64, or a dump in hex, base32
or uuencode, is read as if it lay beside its text, as an entry of a container. Three passes at the
speed of memory show that a text holds no such file (`can_hold_file`); the child decodes those that
there are (`find_enclosed`). Any bytes are accepted, and nothing here raises for them.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from mmap import mmap
from typing import NamedTuple

from matcher.unpack import readers


class FileFormat(NamedTuple):
    """How a format is recognised and read. A reader's module lists its formats as `FORMATS`.

    A body has the format if any of the marks matches. Marks that a text may begin with count only
    if control characters follow.
    """

    kind: str
    read: Callable[..., None]
    """Called with the walk, the body, its path and its depth.

    A reader with `in_zip` also gets the open zip.
    """
    starts: tuple[bytes, ...] = ()
    """First bytes that no text begins with."""
    faint: tuple[bytes, ...] = ()
    """First bytes that a text may begin with."""
    inside: tuple[tuple[int, bytes], ...] = ()
    """Place and bytes further inside."""
    is_binary: Callable[[bytes, str], bool] | None = None
    """Called with the head and the name of a file with control characters."""
    is_text: Callable[[bytes, str], bool] | None = None
    """Called with the head and the name of a file without; the remaining files are text."""
    in_zip: Callable[[frozenset[str]], bool] | None = None
    """Called with the names in a zip."""
    containers: tuple[str, ...] = ()
    """The containers that a finding names instead of the kind."""
    streams: bool = False
    """Whether the body is passed in chunks as it arrives, and never held in full."""
    packages: tuple[str, ...] = ()
    """Optional packages that the reader imports."""
    load: Callable[[], object] | None = None
    """Imports and opens what the reader needs, before a container is read."""
    is_heavy: bool = False
    """Whether loading takes so long that only a second server does it.

    Nested in another container, such a file gets a child of its own.
    """


@cache
def find_formats() -> Mapping[str, FileFormat]:
    """Return every file format that a reader exists for, by kind.

    Imports all modules of `readers`; the order is that of their names.
    """
    # pathlib would slow down the start of the child
    files = [file for folder in readers.__path__ for file in os.listdir(folder)]  # noqa: PTH208
    names = {file.removesuffix(".py") for file in files if file.endswith(".py")}
    by_kind = {}
    for name in sorted(names - {"__init__"}):
        declared: tuple[FileFormat, ...] = import_module(f"{readers.__name__}.{name}").FORMATS
        by_kind.update({reader.kind: reader for reader in declared})
    return by_kind


def load_readers() -> None:
    """Import the libraries of all readers except the heavy ones, before a container is read."""
    for reader in find_formats().values():
        if reader.load is not None and not reader.is_heavy:
            reader.load()


HEAD = 4096
"""Bytes that `sniff` needs."""
NO_CONTROLS = bytes(set(range(256)) - {*range(9), *range(14, 27), *range(28, 32), 127})
"""All bytes but control characters.

White space and the characters that begin a terminal's escape sequence do not count as such.
"""
LOOKED_AT = 512
"""Bytes at the beginning of a file that are searched for control characters."""
PROLOGUE = 512
HTML_START = re.compile(
    rb"(?i)(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s*(?:<\?[^>]{0,128}>\s*){0,3}"
    rb"(?:<!--.{0,128}?-->\s*)?"
    rb"<(?:!doctype\s+html|html|head|body|meta|table|style|workbook)[\s>]"
)
"""The beginning of a text that is markup."""
MARKUP = (".html", ".htm", ".xhtml")
"""Suffixes of files that are read without their tags.

Other XML is read with its tags: nothing says which of them end a value, and without them values
would run together.
"""
TEXT, IMAGE, AUDIO_VIDEO, BINARY, ENCRYPTED, UNSUPPORTED = (
    "text",
    "image",
    "audio_video",
    "binary",
    "encrypted",
    "unsupported",
)
DATABASE, ARMOURED = "database", "armoured"
UNREADABLE = (IMAGE, AUDIO_VIDEO, BINARY, ENCRYPTED, UNSUPPORTED)
"""Kinds that are never read; each is its own reason."""
IN_PART = {DATABASE: "database", ARMOURED: "encrypted"}
"""Kinds of which only strings in clear are read, and the reason that is reported."""
UNREAD = {
    b"II*\0": IMAGE, b"MM\0*": IMAGE,
    b"8BPS\0\1": IMAGE, b"\0\0\1\0": IMAGE, b"\0\0\0\x0cjP  ": IMAGE, b"\0\0\0\x0cJXL ": IMAGE,
    b"\xff\x4f\xff\x51": IMAGE, b"\x97JB2\r\n\x1a\n": IMAGE, b"\xd7\xcd\xc6\x9a\0\0": IMAGE,
    b"OggS\0": AUDIO_VIDEO, b"fLaC": AUDIO_VIDEO, b"\x1a\x45\xdf\xa3": AUDIO_VIDEO,
    b"FLV\x01": AUDIO_VIDEO,
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": AUDIO_VIDEO, b"\xff\xfb": AUDIO_VIDEO,
    b"\xff\xf3": AUDIO_VIDEO, b"ID3\2": AUDIO_VIDEO,
    b"ID3\3": AUDIO_VIDEO, b"ID3\4": AUDIO_VIDEO, b"\0\0\1\xba": AUDIO_VIDEO,
    b"\0\0\1\xb3": AUDIO_VIDEO,
    b"#!AMR\n": AUDIO_VIDEO, b"#!AMR-WB\n": AUDIO_VIDEO, b"#!SILK": AUDIO_VIDEO,
    b"\2#!SILK": AUDIO_VIDEO,
    b"\x7fELF": BINARY, b"\xca\xfe\xba\xbe": BINARY, b"\xcf\xfa\xed\xfe": BINARY,
    b"\xce\xfa\xed\xfe": BINARY, b"dex\n0": BINARY,
    b"\0asm": BINARY, b"OTTO\0": BINARY, b"\0\1\0\0\0": BINARY, b"ttcf\0": BINARY, b"wOFF": BINARY,
    b"wOF2": BINARY,
    # SQLite's write-ahead log and rollback journal; Access; Outlook, Outlook Express, Notes
    b"\x37\x7f\x06\x82": DATABASE, b"\x37\x7f\x06\x83": DATABASE,
    b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7": DATABASE,
    b"\0\1\0\0Standard Jet DB\0": DATABASE, b"\0\1\0\0Standard ACE DB\0": DATABASE,
    b"\0\1\0\0MSISAM Database\0": DATABASE,
    b"\xcf\xad\x12\xfe": DATABASE, b"\x1a\0\0\4\0\0": DATABASE,
    # HDF5, NetCDF, Hadoop sequences, NumPy, property lists, Java objects
    b"\x89HDF\r\n\x1a\n": DATABASE, b"CDF\1": DATABASE, b"CDF\2": DATABASE,
    b"SEQ\6": DATABASE, b"RCF\1": DATABASE, b"\x93NUMPY": DATABASE, b"\xac\xed\0\5": DATABASE,
    # SQL Server's backups and files, Oracle's exports, MySQL's tables, registry and event logs,
    # packets
    b"TAPE\0": DATABASE, b"\1\x0f\0\0": DATABASE, b"\3\0\1EXPORT:V": DATABASE,
    b"\3\0\3EXPORT:V": DATABASE,
    b"\xfe\1\7": DATABASE, b"\xfe\1\x09": DATABASE, b"\xfe\1\x0a": DATABASE,
    b"\xfe\xfe\3": DATABASE, b"\xfe\xfe\7": DATABASE,
    b"\xc1\x83\x2a\x9e": DATABASE, b"ElfFile\0": DATABASE, b"\xd4\xc3\xb2\xa1": DATABASE,
    b"\xa1\xb2\xc3\xd4": DATABASE,
    b"\x0a\x0d\x0d\x0a": DATABASE,
    # LUKS, BitLocker, AES Crypt, KeePass, OpenPGP and age
    b"LUKS\xba\xbe": ENCRYPTED, b"\xebR\x90-FVE-FS-": ENCRYPTED, b"\xebX\x90-FVE-FS-": ENCRYPTED,
    b"AES\1": ENCRYPTED,
    b"AES\2": ENCRYPTED, b"\x03\xd9\xa2\x9a\x67\xfb\x4b\xb5": ENCRYPTED,
    b"\x03\xd9\xa2\x9a\x65\xfb\x4b\xb5": ENCRYPTED,
    b"\x85\1\x0c\3": ENCRYPTED, b"\x85\2\x0c\3": ENCRYPTED, b"\x8c\x0d\4": ENCRYPTED,
    b"age-encryption.org/v1\n": ENCRYPTED,
    b"-----BEGIN PGP MESSAGE": ARMOURED, b"-----BEGIN AGE ENCRYPTED": ARMOURED,
    b"$ANSIBLE_VAULT;": ARMOURED,
    # RPM, Windows images and help, LZO, Snappy, lrzip, ALZip, StuffIt, disks
    b"\xed\xab\xee\xdb": UNSUPPORTED, b"MSWIM\0\0\0": UNSUPPORTED, b"ITSF\3\0\0\0": UNSUPPORTED,
    b"\x89LZO\0\r\n\x1a\n": UNSUPPORTED, b"\xff\6\0\0sNaPpY": UNSUPPORTED, b"LRZI\0": UNSUPPORTED,
    b"ALZ\1": UNSUPPORTED,
    b"SIT!\0": UNSUPPORTED, b"QFI\xfb": UNSUPPORTED, b"vhdxfile": UNSUPPORTED,
}  # fmt: skip
"""First bytes of files that nobody reads; no text begins with them."""
UNREAD_BESIDE_CONTROLS = {
    b"PARE": ENCRYPTED, b"FEA1": DATABASE, b"!BDN": DATABASE, b"PGDMP": DATABASE,
    b"REDIS0": DATABASE, b"$FL2": DATABASE, b"$FL3": DATABASE, b"<stata_dta>": DATABASE,
    b"RDX2\n": DATABASE, b"RDX3\n": DATABASE,
    b"regf": DATABASE, b"MATLAB 5": DATABASE, b"Salted__": ENCRYPTED,
    b"II+\0": IMAGE, b"MM\0+": IMAGE, b"\xff\x0a": IMAGE, b"AT&TFORM": IMAGE, b"AC10": IMAGE,
    b"\xff\xf1": AUDIO_VIDEO, b"\xff\xf2": AUDIO_VIDEO, b"\xff\xf9": AUDIO_VIDEO,
    b"\xff\xfa": AUDIO_VIDEO, b"MThd": AUDIO_VIDEO,
    b".RMF": AUDIO_VIDEO, b"FORM": AUDIO_VIDEO, b"caff": AUDIO_VIDEO, b"MAC ": AUDIO_VIDEO,
    b"xar!": UNSUPPORTED, b"\x60\xea": UNSUPPORTED, b"7kSt": UNSUPPORTED, b"zPQ": UNSUPPORTED,
    b"EGGA": UNSUPPORTED,
    b"\x1f\xa0": UNSUPPORTED, b"CAJ": UNSUPPORTED, b"HN\0\0": UNSUPPORTED, b"KDMV": UNSUPPORTED,
    b"conectix": UNSUPPORTED,
}  # fmt: skip
"""First bytes that a text may begin with; they count only beside control characters."""
UNREAD_FURTHER_IN = {
    (7, b"**ACE**"): UNSUPPORTED, (8, b"WAVE"): AUDIO_VIDEO, (12, b"\x61\x15\6\0"): DATABASE,
    (12, b"\x62\x31\5\0"): DATABASE, (12, b"\0\6\x15\x61"): DATABASE,
    (12, b"\0\5\x31\x62"): DATABASE,
    (4, b"\xef\xcd\xab\x89"): DATABASE, (16, b"\xde\xc0\xef\xbe"): DATABASE, (40, b" EMF"): IMAGE,
    (128, b"DICM"): IMAGE,
    (16, b"\xc2\xea\x81\x60\xb3\x14"): DATABASE, (512, b"\x89HDF\r\n\x1a\n"): DATABASE,
}  # fmt: skip
"""The same further inside, as place and bytes.

Among them are Berkeley DB, Exchange and Active Directory, LMDB and SAS.
"""


class FormatMarks(NamedTuple):
    """The bytes by which each kind is recognised.

    Those of `faint` and `inside` count only beside control characters.
    """

    sure: dict[bytes, str]
    faint: dict[bytes, str]
    inside: dict[tuple[int, bytes], str]
    first: frozenset[bytes]
    """The first byte of each in `sure`."""
    binary: list[tuple[Callable[[bytes, str], bool], str]]
    text: list[tuple[Callable[[bytes, str], bool], str]]


@cache
def marks() -> FormatMarks:
    """Return the marks of formats that are read, and of known formats that are not."""
    readable = find_formats().values()
    sure = {mark: reader.kind for reader in readable for mark in reader.starts} | UNREAD
    faint = {
        mark: reader.kind for reader in readable for mark in reader.faint
    } | UNREAD_BESIDE_CONTROLS
    inside = {
        place: reader.kind for reader in readable for place in reader.inside
    } | UNREAD_FURTHER_IN
    binary = [(reader.is_binary, reader.kind) for reader in readable if reader.is_binary]
    text = [(reader.is_text, reader.kind) for reader in readable if reader.is_text]
    return FormatMarks(sure, faint, inside, frozenset(mark[:1] for mark in sure), binary, text)


def sniff(head: bytes, name: str = "") -> str:
    r"""Return the kind of a body that begins with `head` (`HEAD` bytes, or all of it).

    It is the `kind` of a `FileFormat`, or one of `TEXT`, `DATABASE`, `ARMOURED` and `UNREADABLE`.
    Some formats also look at the file's `name`.

    >>> sniff(b"PK\x03\x04")
    'zip'
    >>> sniff(b"PK and such")
    'text'
    """
    known_marks = marks()
    if head[:1] in known_marks.first and head.startswith(tuple(known_marks.sure)):
        return next(kind for start, kind in known_marks.sure.items() if head.startswith(start))
    for has_format, kind in known_marks.text:
        if has_format(head, name):
            return kind
    return (
        _with_controls(head, name, known_marks)
        if head[:LOOKED_AT].translate(None, NO_CONTROLS)
        else TEXT
    )


def _with_controls(head: bytes, name: str, known_marks: FormatMarks) -> str:
    """Return the kind of a body with control characters.

    Its marks may also begin a text, or stand further inside the body.
    """
    for has_format, kind in known_marks.binary:
        if has_format(head, name):
            return kind
    if head.startswith(tuple(known_marks.faint)):
        return next(kind for start, kind in known_marks.faint.items() if head.startswith(start))
    return next(
        (
            kind
            for (place, mark), kind in known_marks.inside.items()
            if head.startswith(mark, place)
        ),
        _by_two_marks(head),
    )


def _by_two_marks(head: bytes) -> str:
    """Return the kind of a body whose first bytes prove little without a second mark."""
    if head.startswith(b"RIFF"):
        return AUDIO_VIDEO
    if head[4:8] == b"ftyp":
        return (
            IMAGE if head[8:11] in {b"hei", b"hev", b"mif", b"msf", b"avi", b"crx"} else AUDIO_VIDEO
        )
    return BINARY if head.startswith(b"MZ") and b"\0\0\0" in head[:64] else TEXT


def is_html(head: bytes) -> bool:
    r"""Return whether a text begins with a web page or an HTML table, such as many `.xls` exports.

    >>> is_html(b"\xef\xbb\xbf<HTML><table>"), is_html(b"<tablet> 13800138000")
    (True, False)
    """
    return (
        b"<" in head[:PROLOGUE]
        and HTML_START.match(head[:PROLOGUE].replace(b"\0", b"")) is not None
    )


def media_of(name: str) -> str:
    """Return the media type that a file's name suggests: `text/html` or `text/plain`.

    Tags are removed from `text/html` before it is searched.

    >>> media_of("a.HTM"), media_of("a.csv")
    ('text/html', 'text/plain')
    """
    return "text/html" if name.lower().endswith(MARKUP) else "text/plain"


def stem(path: str) -> str:
    """Return a name for the content of a compressed file: its own name without the last suffix.

    >>> stem("!/a/b.csv.gz")
    'b.csv'
    """
    name = path.rpartition("/")[2]
    return name.rpartition(".")[0] or name


def decode_name(raw: bytes) -> str:
    """Return a file name as text when its encoding is not declared; never fails.

    UTF-8 is tried first, then GB18030; otherwise the bytes are read as CP437, the encoding of DOS.

    >>> decode_name("客户名单.csv".encode("gbk"))
    '客户名单.csv'
    """
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("cp437")


ENVELOPE = "envelope"
"""The kind that the parent gives a text of which only the encoded files are wanted."""
NOT_TAKEN = frozenset((TEXT, "picture", "quoted", *UNREADABLE))
"""Kinds of decoded base64 that are no containers."""
RUN, LONG = 60, 130
"""Letters of a long line, and hex digits of a line that is longer than any digest.

RFC 2045 writes 76 letters, coreutils 76, uuencode 60, xxd 60.
"""
SIXTEENTHS, THIRTYSECONDS, LETTERS = (
    b"0123456789abcdefABCDEF",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_",
)


def _as_one(alphabet: bytes) -> bytes:
    """Return a translation table from an alphabet to one letter, and from other bytes to blanks."""
    return bytes(ord("a") if byte in alphabet else ord(" ") for byte in range(256))


AS_LETTER, AS_HEX, AS_32 = map(_as_one, (LETTERS, SIXTEENTHS, THIRTYSECONDS))
LETTERED, LONG_HEX = b"a" * RUN, b"a" * LONG
PIECE = 1 << 20
"""Bytes of a text that are searched at a time."""
BLANKS = b" " * (1 << 15)
"""Blanks that are put behind a text.

In a short text, CPython would search for a run by comparing it anew at each place.
"""
STARTS = tuple(
    base64.b64encode(start + bytes(3))[: len(start) * 4 // 3]
    for start in (
        *(
            b"PK\3\4",
            b"\x1f\x8b\x08",
            b"7z\xbc\xaf\x27\x1c",
            b"Rar!\x1a\7",
            b"%PDF-",
            b"\xd0\xcf\x11\xe0",
            b"\xfd7zXZ\0",
        ),
        b"\x28\xb5\x2f\xfd",
    )
)
"""The first letters, in base64, of the usual containers."""
URL_SAFE = re.compile(rb"[-_]")
BLOCK = re.compile(
    rb"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{60,}+(?:\r?\n["
    rb" \t]{0,8}[A-Za-z0-9+/_-]++(?![^=\s\"'<)}\]]))*+={0,6}"
)
"""A long line of letters and the lines of letters that follow it.

Linear, since it begins where a line does.
"""
UU_START = re.compile(rb"^begin [0-7]{3,4} [^\r\n]{1,200}\r?\n[!-M][ -`]{4}", re.MULTILINE)
UU = re.compile(
    rb"^begin [0-7]{3,4} [^\r\n]{1,200}\r?\n((?:[ -`]{1,80}+(?:\r?\n|\Z))++)", re.MULTILINE
)
"""A file in uuencode (POSIX): lines without a small letter, up to a line `end`."""
OCTETS = rb"(?:[0-9A-Fa-f]{2}(?:[0-9A-Fa-f]{2})?(?:[ \t]{1,2}|(?=[\r\n]|\Z))){2,16}"
DUMP = re.compile(
    rb"^(?:[0-9A-Fa-f]{6,16}:?|[0-9A-Fa-f]{4,5}:)[ \t]{1,3}" + OCTETS + rb"[^\r\n]*\r?\n?",
    re.MULTILINE,
)
DUMPED = re.compile(rb"[0-9A-Fa-f]+:?[ \t]+(" + OCTETS + rb")")
"""A line of xxd, hexdump, od or `curl --trace`, and its octets.

They stand behind the address and before the characters that they represent.
"""
A_LINE = 16
DIGESTS = frozenset((64, 96, 128))
"""Numbers of hex digits of digests."""
CUT = 1 << 16
"""Size from which a text may be a piece of a longer one.

Hex digits at its edge may then be a part of a digest, and are too few for a file.
"""
TELLING = 3 * HEAD
"""Letters of a block that decode to at least a head, enough to recognise its kind."""
DASHES = b"----"
"""The separator of the cells of many dumps.

It would be base64 for URLs, where it occurs in 16 MiB one time by chance.
"""
SECOND_LINES = (b"00000010", b"\n0010: ")
"""The address of the second line of a dump."""
SECOND_STARTS = (b"\n000000", b"\n0010: ")
"""How such a line begins.

These are found at once, while eight digits are slow to find among the zeros of a table.
"""
DUMP_BEGUN = re.compile(rb"^(?:0{0,8}00000010:?|0010:)[ \t]{1,3}" + OCTETS, re.MULTILINE)
"""The second line of a dump.

A phone and a card in groups of four would look like a line with another address.
"""
EnclosedFile = tuple[str, bytes]
"""Name and bytes of a file."""


def can_hold_file(text: bytes, *, lettered: bool = True) -> bool:
    """Return whether a text may hold an encoded file: two nanoseconds a byte if it holds none.

    Pass `lettered=False` for a text that is known to have no long line of letters (`has_line`).
    """
    if (
        any(start in text for start in SECOND_STARTS)
        and any(line in text for line in SECOND_LINES)
        and DUMP_BEGUN.search(text)
    ):
        return True
    if b"begin " in text and UU_START.search(text):
        return True
    if not lettered or not _begins_file(text):
        return False
    heads = dict.fromkeys(
        block[:TELLING] for block in _find_letter_blocks(text)
    )  # a flood repeats itself
    return any(_decode_block(head) is not None for head in heads)


def _begins_file(text: bytes) -> bool:
    """Return whether a long line of letters may be the first line of a file.

    It begins as a container does, or is all hex or base32.
    """
    before = -1  # where a line of a plain dump ends
    for start, end in _long_lines(text):
        line = text[start:end]
        hexed = line.translate(AS_HEX)
        if line.startswith(STARTS) or LONG_HEX in hexed or LETTERED in line.translate(AS_32):
            return True
        if hexed == LETTERED:
            if start == before + 1:
                return True
            before = end
    return False


def has_line(text: bytes) -> bool:
    """Return whether a text has a long line of letters that is not a digest.

    Hyphens do not count as letters: they separate the cells of many dumps.
    """
    return len(text) >= RUN and any(True for _ in _long_lines(text.replace(DASHES, b" ")))


def _long_lines(text: bytes) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each long line of letters that is not a digest."""
    letters = text.translate(AS_LETTER) + BLANKS
    at = letters.find(LETTERED)
    while at >= 0:
        end = letters.find(b" ", at)
        if not _is_digest(text[at:end], is_cut=len(text) >= CUT and (at == 0 or end == len(text))):
            yield at, end
        at = letters.find(LETTERED, end)


def _is_digest(line: bytes, *, is_cut: bool = False) -> bool:
    """Return whether letters have exactly as many hex digits as a digest.

    With `is_cut`, they may have fewer.
    """
    return (len(line) in DIGESTS or (is_cut and len(line) < LONG)) and not line.translate(
        None, SIXTEENTHS
    )


def is_taken(plain: bytes) -> bool:
    """Return whether decoded base64, hex or base32 is to be read as a file.

    False if its content is text, a picture, or of a kind that nothing reads.
    """
    return sniff(plain[:HEAD]) not in NOT_TAKEN


def find_enclosed(text: bytes | mmap) -> Iterator[EnclosedFile]:
    """Yield the files encoded in a text, as (name, content); equal contents one time.

    The name says how the file was encoded, and counts the files from 1, as `letters 1`.
    """
    contents: set[bytes] = set()
    for what, find in FINDERS.items():
        for content in find(text):
            if content and content not in contents:
                contents.add(content)
                yield f"{what} {len(contents)}", content


def _decode_blocks(text: bytes | mmap) -> Iterator[bytes]:
    """Yield the decoded blocks of base64, hex or base32."""
    for block in _find_letter_blocks(text):
        plain = _decode_block(block)
        if plain is not None:
            yield plain


def _find_letter_blocks(text: bytes | mmap) -> Iterator[bytes]:
    """Yield each block of letters.

    `BLOCK` is applied only where a long line begins: searching with it takes eight times as long.
    """
    behind = 0
    for at in range(0, len(text), PIECE):
        letters = text[at : at + PIECE + RUN].translate(AS_LETTER) + BLANKS
        start = letters.find(LETTERED, max(0, behind - at))
        while 0 <= start < PIECE:
            block = BLOCK.match(text, at + start)
            behind = block.end() if block else at + start + RUN
            if block:
                yield block[0]
            start = letters.find(LETTERED, behind - at)


def _decode_block(block: bytes) -> bytes | None:
    """Decode a block of letters; None if the result is nothing to be read."""
    lines = block.rstrip(b"=").split()
    if hexed := _take_lines(lines, SIXTEENTHS):
        whole = b"".join(hexed)
        is_digest = len(whole) in DIGESTS or (
            len(hexed) > 1 and {len(line) for line in hexed} <= DIGESTS
        )
        return (
            None if is_digest else _unless_garbled(binascii.unhexlify(whole[: len(whole) // 2 * 2]))
        )
    if letters := b"".join(_take_lines(lines, THIRTYSECONDS)):
        return _unless_garbled(
            base64.b32decode(letters[: len(letters) // 8 * 8]) + _decode_base32_end(letters)
        )
    letters = b"".join(lines)
    whole_groups = letters[: len(letters) - (len(letters) % 4 == 1)] + b"=="
    plain = base64.b64decode(whole_groups, b"-_" if URL_SAFE.search(letters) else None)
    return plain if is_taken(plain) else None


def _take_lines(lines: list[bytes], alphabet: bytes) -> list[bytes]:
    """Return the first lines that consist only of letters of an alphabet.

    The last line of a block may be a word of the text that follows.
    """
    return list(itertools.takewhile(lambda line: not line.translate(None, alphabet), lines))


def _decode_base32_end(letters: bytes) -> bytes:
    """Decode the last letters of base32, which are not a whole group."""
    last_letters = letters[len(letters) // 8 * 8 :]
    return (
        base64.b32decode(last_letters + b"=" * (8 - len(last_letters)))
        if len(last_letters) in (2, 4, 5, 7)
        else b""
    )


def _unless_garbled(plain: bytes) -> bytes | None:
    """Return the decoded bytes if they are a container or text, else None.

    Digits or capital letters in a row may also be a key.
    """
    head = plain[:HEAD]
    if is_taken(plain):
        return plain
    if head.translate(None, NO_CONTROLS):
        return None
    return plain if any(_is_in(encoding, head) for encoding in ("utf-8", "gb18030")) else None


def _is_in(encoding: str, head: bytes) -> bool:
    """Return whether a head is text in an encoding; its last character may be cut off."""
    try:
        head.decode(encoding)
    except UnicodeDecodeError as error:
        return len(head) == HEAD and error.start > HEAD - 4
    return True


def _decode_uuencoded(text: bytes | mmap) -> Iterator[bytes]:
    """Yield the content of each file in uuencode, without its name.

    Nothing for a text without one.
    """
    for match in UU.finditer(text) if text.find(b"begin ") >= 0 else ():
        plain = bytearray()
        for line in match[1].splitlines():
            try:
                plain += binascii.a2b_uu(line)
            # some programs count differently: decode by the line's own length
            except binascii.Error:
                plain += binascii.a2b_uu(line[: (((line[0] - 32) & 63) * 4 + 5) // 3])
        yield bytes(plain)


def _decode_dumps(text: bytes | mmap) -> Iterator[bytes]:
    """Yield the content of hex dumps: consecutive lines with ascending addresses.

    A piece may be empty.
    """
    plain, end = bytearray(), -1
    for match in (
        DUMP.finditer(text) if any(text.find(second) >= 0 for second in SECOND_LINES) else ()
    ):
        if match.start() != end:
            yield bytes(plain)
            plain.clear()
        end = match.end()
        line = DUMPED.match(match[0])
        if line:
            plain += bytes.fromhex(b"".join(line[1].split()).decode())[:A_LINE]
    yield bytes(plain)


FINDERS: dict[str, Callable[[bytes | mmap], Iterable[bytes]]] = {
    "letters": _decode_blocks,
    "uuencoded": _decode_uuencoded,
    "dump": _decode_dumps,
}


class EnvelopeWatch:
    """A filter that passes a text on, and keeps it from the point where an encoded file may begin.

    At most `most` bytes are kept.
    """

    def __init__(self, most: int = 0) -> None:
        self._most, self._before = most, b""
        self.text, self.has_any, self.has_line = bytearray(), False, False
        """The text that is kept; whether the text may hold a file, and a long line of letters."""

    def through(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the chunks of a text unchanged, and remember text that may contain a file.

        The remembered text is in `text`, up to a limit.
        """
        for chunk in chunks:
            window = self._before + chunk
            if is_lettered := has_line(window):
                self.has_line = True
            if self.has_any or can_hold_file(window, lettered=is_lettered):
                self.text += (chunk if self.has_any else window)[
                    : max(0, self._most - len(self.text))
                ]
                self.has_any = True
            self._before = b"" if self.has_any else window[-OVERLAP:]
            yield chunk


OVERLAP = TELLING + HEAD
"""Bytes of the chunk before that are searched again.

A block that began there without being recognised is then seen from its start.
"""
