"""Files that stand in a text as letters: an archive in base64, a dump in hex, base32, uuencode.

Text in base64 is read where it stands, by the text layer. What is found here is read as if it lay beside its text, as an entry
of a container. That there is none shows in three passes at the speed of memory (`may_hold`); the child takes out what there is
(`held`).
"""

from __future__ import annotations

import base64
import binascii
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from mmap import mmap

from matcher.unpack.kinds import HEAD, NO_CONTROLS, TEXT, UNREADABLE, sniff

KIND = "envelope"
"""What the parent calls a text of which only what stands in it as letters is wanted."""
NOT_TAKEN = frozenset((TEXT, "picture", "quoted", *UNREADABLE))
"""Kinds of what base64 holds that are no containers."""
RUN, LONG = 60, 130
"""Letters of a line (RFC 2045 writes 76, coreutils 76, uuencode 60, xxd 60); hex digits of one that is longer than any digest."""
SIXTEENTHS, THIRTYSECONDS, LETTERS = (
    b"0123456789abcdefABCDEF",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
    (b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"),
)


def _as_one(alphabet: bytes) -> bytes:
    """A table that makes one letter of all in an alphabet, and a blank of all else."""
    return bytes(ord("a") if byte in alphabet else ord(" ") for byte in range(256))


AS_LETTER, AS_HEX, AS_32 = map(_as_one, (LETTERS, SIXTEENTHS, THIRTYSECONDS))
LETTERED, LONG_HEX = b"a" * RUN, b"a" * LONG
PIECE = 1 << 20
"""Bytes of a text that are looked through at once."""
BLANKS = b" " * (1 << 15)
"""What follows a text: in a short one CPython searches for a run by comparing it anew at each place."""
STARTS = tuple(
    base64.b64encode(start + bytes(3))[: len(start) * 4 // 3]
    for start in (
        *(b"PK\3\4", b"\x1f\x8b\x08", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\7", b"%PDF-", b"\xd0\xcf\x11\xe0", b"\xfd7zXZ\0"),
        b"\x28\xb5\x2f\xfd",
    )
)
"""How the containers that people send begin, in base64."""
URL_SAFE = re.compile(rb"[-_]")
BLOCK = re.compile(rb"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{60,}+(?:\r?\n[ \t]{0,8}[A-Za-z0-9+/_-]++(?![^=\s\"'<)}\]]))*+={0,6}")
"""A long line of letters and the lines of nothing else that follow it; linear, as it begins where a line does."""
UU_START = re.compile(rb"^begin [0-7]{3,4} [^\r\n]{1,200}\r?\n[!-M][ -`]{4}", re.MULTILINE)
UU = re.compile(rb"^begin [0-7]{3,4} [^\r\n]{1,200}\r?\n((?:[ -`]{1,80}+(?:\r?\n|\Z))++)", re.MULTILINE)
"""A file in uuencode (POSIX): lines without a small letter, up to one that says `end`."""
OCTETS = rb"(?:[0-9A-Fa-f]{2}(?:[0-9A-Fa-f]{2})?(?:[ \t]{1,2}|(?=[\r\n]|\Z))){2,16}"
DUMP = re.compile(rb"^(?:[0-9A-Fa-f]{6,16}:?|[0-9A-Fa-f]{4,5}:)[ \t]{1,3}" + OCTETS + rb"[^\r\n]*\r?\n?", re.MULTILINE)
DUMPED = re.compile(rb"[0-9A-Fa-f]+:?[ \t]+(" + OCTETS + rb")")
"""A line of xxd, hexdump, od or `curl --trace`, and its octets: behind the address, before what they look like."""
A_LINE = 16
DIGESTS = frozenset((64, 96, 128))
"""Lengths of digests in hex."""
CUT = 1 << 16
"""Bytes from which a text may be a piece of a longer one, and hex digits at its edge a part of a digest: too few for a file."""
TELLING = 3 * HEAD
"""Letters of a block that say what it is: what stands in them is a head at least."""
DASHES = b"----"
"""What parts the cells of many a dump, and would be base64 for URLs: that has it once in 16 MiB by chance."""
SECOND_LINES = (b"00000010", b"\n0010: ")
"""Address of the second line of a dump."""
SECOND_STARTS = (b"\n000000", b"\n0010: ")
"""With what such a line begins: told at once, while eight digits are looked for slowly among the zeros of a table."""
DUMP_BEGUN = re.compile(rb"^(?:0{0,8}00000010:?|0010:)[ \t]{1,3}" + OCTETS, re.MULTILINE)
"""That line: a phone and a card in groups of four look like one of another address."""
Found = tuple[str, bytes]
"""Name and bytes of a file."""


def may_hold(text: bytes, *, lettered: bool = True) -> bool:
    """Whether there may be a file in a text: two nanoseconds a byte where there is none.

    `lettered` may be given as false for what is known to have no long line of letters (`has_line`).
    """
    if any(start in text for start in SECOND_STARTS) and any(line in text for line in SECOND_LINES) and DUMP_BEGUN.search(text):
        return True
    if b"begin " in text and UU_START.search(text):
        return True
    if not lettered or not _begins_file(text):
        return False
    heads = dict.fromkeys(block[:TELLING] for block in _letters(text))  # a flood repeats itself
    return any(_decoded(head) is not None for head in heads)


def _begins_file(text: bytes) -> bool:
    """Whether a long line of letters may be the first of a file: by how containers begin, or all hex or base32."""
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
    """Whether there is a long line of letters that is no digest; hyphens part the cells of many a dump."""
    return len(text) >= RUN and any(True for _ in _long_lines(text.replace(DASHES, b" ")))


def _long_lines(text: bytes) -> Iterator[tuple[int, int]]:
    """Where each long line of letters that is no digest begins and ends."""
    letters = text.translate(AS_LETTER) + BLANKS
    at = letters.find(LETTERED)
    while at >= 0:
        end = letters.find(b" ", at)
        if not _is_digest(text[at:end], is_cut=len(text) >= CUT and (at == 0 or end == len(text))):
            yield at, end
        at = letters.find(LETTERED, end)


def _is_digest(line: bytes, *, is_cut: bool = False) -> bool:
    """Whether letters are as many hex digits as a digest has, or no more of them where it `is_cut`."""
    return (len(line) in DIGESTS or (is_cut and len(line) < LONG)) and not line.translate(None, SIXTEENTHS)


def is_taken(plain: bytes) -> bool:
    """Whether what stands in a text as base64, hex or base32 is read as a file of its own, for its kind."""
    return sniff(plain[:HEAD]) not in NOT_TAKEN


def held(text: bytes | mmap) -> Iterator[Found]:
    """The files in a text, each once."""
    seen: set[bytes] = set()
    for what, find in FINDERS.items():
        for found in find(text):
            if found and found not in seen:
                seen.add(found)
                yield f"{what} {len(seen)}", found


def _blocks(text: bytes | mmap) -> Iterator[bytes]:
    """What stands there in base64, hex or base32."""
    for block in _letters(text):
        found = _decoded(block)
        if found is not None:
            yield found


def _letters(text: bytes | mmap) -> Iterator[bytes]:
    """Each block of letters. `BLOCK` is asked only where a long line begins: to search by it takes eight times as long."""
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


def _decoded(block: bytes) -> bytes | None:
    """What a block of letters stands for, None where that is nothing to be read."""
    lines = block.rstrip(b"=").split()
    if hexed := _of_alphabet(lines, SIXTEENTHS):
        whole = b"".join(hexed)
        is_digest = len(whole) in DIGESTS or (len(hexed) > 1 and {len(line) for line in hexed} <= DIGESTS)
        return None if is_digest else _unless_garbled(binascii.unhexlify(whole[: len(whole) // 2 * 2]))
    if letters := b"".join(_of_alphabet(lines, THIRTYSECONDS)):
        return _unless_garbled(base64.b32decode(letters[: len(letters) // 8 * 8]) + _rest_of_32(letters))
    letters = b"".join(lines)
    whole_groups = letters[: len(letters) - (len(letters) % 4 == 1)] + b"=="
    plain = base64.b64decode(whole_groups, b"-_" if URL_SAFE.search(letters) else None)
    return plain if is_taken(plain) else None


def _of_alphabet(lines: list[bytes], alphabet: bytes) -> list[bytes]:
    """The first lines that have nothing but an alphabet; the last of a block may be a word of the text that follows it."""
    return list(itertools.takewhile(lambda line: not line.translate(None, alphabet), lines))


def _rest_of_32(letters: bytes) -> bytes:
    """What the last letters of base32 stand for that are no whole group."""
    rest = letters[len(letters) // 8 * 8 :]
    return base64.b32decode(rest + b"=" * (8 - len(rest))) if len(rest) in (2, 4, 5, 7) else b""


def _unless_garbled(plain: bytes) -> bytes | None:
    """What digits or capital letters in a row stand for, if that is a container or text: they may be a key as well."""
    head = plain[:HEAD]
    if is_taken(plain):
        return plain
    if head.translate(None, NO_CONTROLS):
        return None
    return plain if any(_is_in(encoding, head) for encoding in ("utf-8", "gb18030")) else None


def _is_in(encoding: str, head: bytes) -> bool:
    """Whether a head is text in an encoding; its last character may be cut off."""
    try:
        head.decode(encoding)
    except UnicodeDecodeError as error:
        return len(head) == HEAD and error.start > HEAD - 4
    return True


def _uuencoded(text: bytes | mmap) -> Iterator[bytes]:
    for match in UU.finditer(text) if text.find(b"begin ") >= 0 else ():
        plain = bytearray()
        for line in match[1].splitlines():
            try:
                plain += binascii.a2b_uu(line)
            except binascii.Error:  # written by a program that counts otherwise: what stands there by the line's own length
                plain += binascii.a2b_uu(line[: (((line[0] - 32) & 63) * 4 + 5) // 3])
        yield bytes(plain)


def _dumps(text: bytes | mmap) -> Iterator[bytes]:
    """Dumps: lines with addresses that stand one below the other."""
    plain, end = bytearray(), -1
    for match in DUMP.finditer(text) if any(text.find(second) >= 0 for second in SECOND_LINES) else ():
        if match.start() != end:
            yield bytes(plain)
            plain.clear()
        end = match.end()
        line = DUMPED.match(match[0])
        if line:
            plain += bytes.fromhex(b"".join(line[1].split()).decode())[:A_LINE]
    yield bytes(plain)


FINDERS: dict[str, Callable[[bytes | mmap], Iterable[bytes]]] = {"letters": _blocks, "uuencoded": _uuencoded, "dump": _dumps}


class Watch:
    """Passes a text on and keeps it from where there may be a file in it, if `most` bytes may be kept."""

    def __init__(self, most: int = 0) -> None:
        self._most, self._before = most, b""
        self.held, self.has_any, self.has_line = bytearray(), False, False
        """What is kept; whether there may be a file, and whether there is a long line of letters, in what was passed on."""

    def through(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks."""
        for chunk in chunks:
            seen = self._before + chunk
            if is_lettered := has_line(seen):
                self.has_line = True
            if self.has_any or may_hold(seen, lettered=is_lettered):
                self.held += (chunk if self.has_any else seen)[: max(0, self._most - len(self.held))]
                self.has_any = True
            self._before = b"" if self.has_any else seen[-OVERLAP:]
            yield chunk


OVERLAP = TELLING + HEAD
"""Bytes of the chunk before that are looked at again: a block that began in it and told nothing is seen from its start."""
