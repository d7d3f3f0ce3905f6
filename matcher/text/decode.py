"""Bytes to text, by the first that fits.

Byte order mark, declared charset, UTF-32 and UTF-16 by their NULs, strict UTF-8, EBCDIC by its
digits, the encoding of a language whose phone label is in it (`home_encodings`), strict GB18030 or
Big5, Latin-1.

Identifiers are ASCII, so a wrong 8-bit guess still finds them; labels and names need the right one.
GBK is never searched as bytes: 126 of its characters end in `|`, and GB18030's four-byte sequences
hold ASCII digits.

Nearly all Big5 is GB18030 as well, so between those two the reading with more common characters
wins. So it does for text that was GBK (or UTF-8), was read as Latin-1 or cp1252 and saved as UTF-8:
it is read back when what comes out is plainly Chinese.

A long text is decoded in windows, cut where no identifier and, if it can be helped, no row goes
across.
"""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
import numpy.typing as npt

from matcher.text.home_encodings import find_home_encoding

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
ALIASES = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "iso-8859-1": "cp1252",
    "latin-1": "cp1252",
    "latin1": "cp1252",
}
"""What browsers read such labels as (WHATWG Encoding): GBK pages declare GB2312, and cp1252
bytes come as ISO-8859-1.
"""
NOT_OF_THE_WEB = frozenset(
    ("utf-7", "unicode-escape", "raw-unicode-escape", "idna", "punycode", "undefined")
)
"""Python's own codecs that no browser reads a page by: some give lone surrogates, some take
forever.
"""
EBCDIC, EBCDIC_DIGITS, EBCDIC_BLANK = "cp037", bytes(range(0xF0, 0xFA)), 0x40
"""The code page of a mainframe; others differ in signs and in what is Chinese, which is not
read.
"""
ASCII_DIGITS = b" \n0123456789"
EBCDIC_SHARE, EBCDIC_TIMES = 0.3, 20
"""What share of the bytes are its digits and blanks, and how many times more of its digits there
are than of ASCII's.
"""
LONGEST_CHARACTER = 4
SAMPLE = 4096
DIGITS_IN_BYTES = re.compile(rb"[0-9]{8}")
"""What a value between NULs has, and text in UTF-16 has not."""
NULS_APART = 4
"""How many times more NULs stand in one byte of UTF-16's units than in the other."""
MOSTLY, HALF = 0.95, 0.5
"""Share of characters in the blocks of Chinese text from which it is UTF-16, and UTF-32, which
nearly nothing else fits.
"""
SPARSE = 50
"""Text with fewer characters that are not ASCII than one in so many is not searched for misread
Chinese.
"""
HAN = range(0xE4, 0xEA)
"""First bytes of Chinese characters in UTF-8: text that was read as Latin-1 or cp1252 has none."""
DAMAGE_SAMPLE = 1 << 16
MOST_LOST = 0.1
"""Share of replaced characters, among those that are not ASCII, from which a reading is none."""
CHINESE_SAMPLE = 1 << 14
MOJIBAKE = "mojibake"
"""The name of this reading: GBK or UTF-8 that was read as Latin-1 or cp1252, and saved as UTF-8."""
FIRST_BYTES = {
    "gb18030": ("gb2312", (0xA1, 0xA3), (0xB0, 0xD7)),
    "big5": ("big5", (0xA1, 0xA3), (0xA4, 0xC6)),
}
"""For an encoding: the codec of its standard characters, and first bytes of its signs and of its
common characters.
"""
PLAINLY = 0.85
"""Share of common characters from which a text is Chinese beyond doubt."""
FEWEST = 3
"""Characters that are not ASCII, below which a reading proves nothing."""
SECOND_BYTES = (*range(0x40, 0x7F), *range(0xA1, 0xFF))
"""Of characters of two bytes."""
CP1252 = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
HIGH_RUN = re.compile(rf"[\x80-\xff{CP1252}]{{4}}")
"""Two characters of two bytes: accented letters of Western languages do not stand so."""
NOT_EIGHT_BITS = re.compile(rf"[^\x00-\xff{CP1252}]")
ASCII = re.compile(r"[\x00-\x7f]+")
CONTROLS = bytes((*range(9), *range(14, 27), *range(28, 32), 127))
"""Control characters but white space and the one that begins a terminal's sequence."""
NO_CONTROLS = bytes(set(range(256)) - set(CONTROLS))
STRETCH = 4096
FEW = 4
"""Different ones from which they are no separators: Hive parts fields, lists and maps by three."""
RARE, MOSTLY_CONTROLS = 0.01, 0.9
"""Their share from which a text is none: of several (every ninth byte of what is compressed is
one), and of few.
"""

LOST = 0.1
"""Share of characters that no encoding gave."""


def decode(body: bytes, declared: str = "") -> str:
    """Return the text of `body`.

    Never raises: Latin-1 reads anything, and what no strict reading fits is read with replacement.

    >>> decode('身份证'.encode('gbk'))
    '身份证'
    """
    return decode_as(body, declared)[0]


def decode_as(body: bytes, declared: str = "") -> tuple[str, str]:
    """Return the text of `body`, and the name of the encoding by which it was decoded.

    A byte order mark decides, and is removed; then `declared`, if it fits and says more than the
    Latin-1 or Windows-1252 of many servers; then what the bytes look like. Never raises: bytes that
    fit no encoding are replaced. Pass the name as `declared` for the file's next window. Windows
    are best cut at line ends; a last character that was cut off is dropped.
    """
    if declared in ("", "utf-8") and body.isascii() and 0 not in body:
        return body.decode("ascii"), "utf-8"
    for mark, encoding in MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding, "replace"), encoding
    was_mojibake = declared == MOJIBAKE
    for encoding in _list_encodings(body, "utf-8" if was_mojibake else declared):
        text = _try_decoding(body, encoding)
        if text is None:
            continue
        if encoding == "utf-8":
            is_dense = (len(body) - len(text)) * SPARSE > len(text) and not any(
                lead in body for lead in HAN
            )
            repaired = read_back(text, proven=was_mojibake) if is_dense or was_mojibake else None
            return (text, encoding) if repaired is None else (repaired, MOJIBAKE)
        return (
            _choose_chinese(body, text)
            if encoding == "gb18030" and _resolve_label(declared) != "gb18030"
            else (text, encoding)
        )
    return _decode_damaged(body)


def utf8_of(body: bytes, text: str, encoding: str) -> bytes:
    """Return the UTF-8 of `text`, which `decode_as` read from `body` by `encoding`.

    It is `body` itself where that is UTF-8.
    """
    is_utf8 = (
        encoding == "utf-8"
        and not body.startswith(codecs.BOM_UTF8)
        and body.endswith(text[-1:].encode())
        and "\N{REPLACEMENT CHARACTER}" not in text  # else it may be damaged, and no UTF-8
    )
    return body if is_utf8 else text.encode()


def _choose_chinese(body: bytes, text: str) -> tuple[str, str]:
    """Return `text`, read as GB18030, or `body` read as Big5 where its characters are commoner.

    The second value is the encoding.
    """
    share = common_share(text, "gb18030")
    as_big5 = _try_decoding(body, "big5") if share < PLAINLY else None
    if as_big5 is not None and common_share(as_big5, "big5") > share:
        return as_big5, "big5"
    return text, "gb18030"


def _resolve_label(declared: str) -> str:
    """Return the encoding that a declared label means, "" for none."""
    name = declared.strip().strip("'\"").lower()
    return ALIASES.get(name, name)


def _decode_damaged(body: bytes) -> tuple[str, str]:
    """Decode what fits no strict reading, and return the text and its encoding.

    The encoding is the one that replaces least, if it reads much more than it replaces, else
    Latin-1.
    """
    sample = body[:DAMAGE_SAMPLE]
    lost = {
        encoding: _measure_loss(sample.decode(encoding, "replace"))
        for encoding in ("utf-8", "gb18030", "big5")
    }
    best = min(lost, key=lost.__getitem__)
    return (
        (body.decode(best, "replace"), best)
        if lost[best] < MOST_LOST
        else (body.decode("latin-1"), "latin-1")
    )


def _measure_loss(text: str) -> float:
    """Return the share of replaced characters among those that are not ASCII, 0.0 to 1.0.

    A text of ASCII alone has 1.0.
    """
    wide = len(text) - len(text.encode("ascii", "ignore"))
    return text.count("\N{REPLACEMENT CHARACTER}") / wide if wide else 1.0


def _list_encodings(body: bytes, declared: str) -> Iterator[str]:
    """Yield the encodings to try strictly, the likeliest first.

    A declared UTF-8 that does not hold is no reason to give up on the others.
    """
    named = _resolve_label(declared)
    if named and named != "cp1252":
        yield named
    if wide := _detect_utf32(body) or _detect_utf16(body):
        yield wide
    yield "utf-8"
    if _is_ebcdic(body):
        yield EBCDIC
    if chinese := _detect_chinese_utf16(body):
        yield chinese
    if home := find_home_encoding(body):
        yield home
    yield from ("gb18030", "big5")
    # a label that servers give by default: strict UTF-8 and GB18030 prove themselves first
    if named == "cp1252":
        yield named


def _is_ebcdic(body: bytes) -> bool:
    """Return whether `body` comes from a mainframe.

    Then many of its bytes are EBCDIC's digits and blanks, and next to none are those of ASCII.
    """
    sample = body[:SAMPLE]
    digits = len(sample) - len(sample.translate(None, EBCDIC_DIGITS))
    ascii_ = len(sample) - len(sample.translate(None, ASCII_DIGITS))
    return (
        digits + sample.count(EBCDIC_BLANK) > EBCDIC_SHARE * len(sample)
        and digits > EBCDIC_TIMES * ascii_
    )


def _detect_utf32(body: bytes) -> str:
    """Return the byte order of UTF-32 without a mark, "" for anything else.

    Its units are all characters, none is a control character, and half of them are of Chinese text.
    """
    sample = body[: SAMPLE & ~3]
    if len(body) % 4 or len(sample) < 4 * LONGEST_CHARACTER or 0 not in sample:
        return ""
    for encoding, form in (("utf-32-le", "<u4"), ("utf-32-be", ">u4")):
        units = np.frombuffer(sample, form)
        if (
            int(units.max()) <= sys.maxunicode
            and _measure_text(units) >= HALF
            and not _has_controls(units)
        ):
            return encoding
    return ""


def _detect_utf16(body: bytes) -> str:
    """Return the byte order of UTF-16 without a mark, "" for anything else.

    Text that is rich in ASCII has a NUL in every second byte.
    """
    sample = body[:SAMPLE]
    if len(sample) < 4 or 0 not in sample or sample.count(0) < max(2, len(sample) // 8):
        return ""
    if DIGITS_IN_BYTES.search(sample):  # no text has characters that digits side by side would be
        return ""
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    # both bytes of many a unit: a table or a memory image
    if max(even, odd) < NULS_APART * min(even, odd):
        return ""
    return "utf-16-le" if odd >= even else "utf-16-be"


def _detect_chinese_utf16(body: bytes) -> str:
    """Return the byte order of Chinese UTF-16 without a mark, "" for anything else.

    Chinese text is Han characters, signs of their width and ASCII, in a single byte order.
    """
    sample = body[: SAMPLE & ~1]
    if len(body) % 2 or len(sample) < 4:
        return ""
    for encoding, units in (("utf-16-le", "<u2"), ("utf-16-be", ">u2")):
        if _measure_text(np.frombuffer(sample, units)) >= MOSTLY:
            return encoding
    return ""


def _has_controls(units: npt.NDArray[np.unsignedinteger]) -> bool:
    """Return whether a unit is a control character that no text has.

    A table of small numbers is full of them.
    """
    return bool(np.isin(units, np.frombuffer(CONTROLS, np.uint8)).any())


def _measure_text(units: npt.NDArray[np.unsignedinteger]) -> float:
    """Return the share of units that are of Chinese text: Han, signs of their width, ASCII."""
    fits = (
        (units < 0x80)
        | ((units >= 0x3000) & (units < 0x3040))
        | ((units >= 0x4E00) & (units < 0xA000))
        | ((units >= 0xFF00) & (units < 0xFFF0))
    )
    return float(fits.mean())


def _try_decoding(body: bytes, encoding: str) -> str | None:
    """Return the text of `body`, or None where it is not in `encoding`.

    A last character that was cut off is dropped, if nothing else is wrong and others are like it.
    """
    try:
        if codecs.lookup(encoding).name.replace("_", "-") in NOT_OF_THE_WEB:
            return None
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        if error.end < len(body) or len(body) - error.start >= LONGEST_CHARACTER:
            return None
        whole = body[: error.start].decode(encoding)
        return None if whole.isascii() else whole
    except (LookupError, ValueError):
        return None


def common_share(text: str, encoding: str) -> float:
    """Return which share of the non-ASCII characters in `text` is common, from 0.0 to 1.0.

    `encoding` says for which script. A text of ASCII alone has 1.0; of a long text a sample is
    taken.
    """
    if len(text) <= SHORT:
        wide = [char for char in text if char >= "\x80"]
        return sum(map(_list_common(encoding).__contains__, wide)) / len(wide) if wide else 1.0
    codes = _code_points(text[:CHINESE_SAMPLE])
    codes = codes[codes >= 0x80]
    return (
        np.count_nonzero(_mark_common(encoding).take(codes, mode="clip")) / len(codes)
        if len(codes)
        else 1.0
    )


def _code_points(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


SHORT = 64
"""Characters of a text that Python counts faster than numpy."""


@cache
def _list_common(encoding: str) -> frozenset[str]:
    """Return the characters that `_mark_common` marks, but for those beyond U+FFFE."""
    return frozenset(map(chr, np.flatnonzero(_mark_common(encoding)).tolist()))


@cache
def _mark_common(encoding: str) -> npt.NDArray[np.bool_]:
    """Mark the signs and common characters of `encoding` by code point: bool[65536].

    The last entry stands for all code points beyond.
    """
    codec, signs, common = FIRST_BYTES[encoding]
    table = np.zeros(1 << 16, bool)
    for first in (*range(signs[0], signs[1] + 1), *range(common[0], common[1] + 1)):
        for second in SECOND_BYTES:
            table[_code_points(bytes((first, second)).decode(codec, "ignore"))] = True
    table[:0x80] = False
    return table


def read_back(text: str, *, proven: bool = False) -> str | None:
    """Return what `text` was before somebody decoded it as Latin-1 or cp1252; None if unproven.

    With `proven`, an earlier window of the same file was such text, so that a few characters are
    enough.

    >>> read_back('姓名张某'.encode('gbk').decode('latin-1'))
    '姓名张某'
    """
    if text.isascii() or NOT_EIGHT_BITS.search(text) or not (proven or HIGH_RUN.search(text)):
        return None
    try:
        body = text.encode("latin-1")
    except UnicodeEncodeError:
        body = text.translate(_map_to_bytes()).encode("latin-1")
    for encoding in ("utf-8", "gb18030"):
        try:
            before = body.decode(encoding)
        except UnicodeDecodeError:
            continue
        wide = ASCII.sub("", before[:CHINESE_SAMPLE])
        if (proven or len(wide) >= FEWEST) and common_share(before, "gb18030") >= PLAINLY:
            return before
    return None


@cache
def _map_to_bytes() -> dict[int, int]:
    """Map each character that cp1252 reads otherwise than Latin-1 does to its byte."""
    return {ord(char): char.encode("cp1252")[0] for char in CP1252}


def is_opaque(text: str | bytes) -> bool:
    r"""Return whether `text`, decoded or as UTF-8, is binary data.

    Only its beginning, middle and end are examined.

    >>> is_opaque("姓名\x01手机\n"), is_opaque(bytes(range(256)) * 9), is_opaque(bytes(99))
    (False, True, True)
    """
    size = len(text)
    if size <= 3 * STRETCH:
        return _is_opaque(text)
    return any(_is_opaque(text[at : at + STRETCH]) for at in (0, size // 2, size - STRETCH))


def _is_opaque(text: str | bytes) -> bool:
    """Return whether `text`, judged as a whole, is no text."""
    if isinstance(text, str) and text.count("\N{REPLACEMENT CHARACTER}") > LOST * len(text):
        return True
    controls = (text.encode("utf-8", "replace") if isinstance(text, str) else text).translate(
        None, NO_CONTROLS
    )
    share = len(controls) / max(1, len(text))
    return share > MOSTLY_CONTROLS or (share > RARE and len(set(controls)) >= FEW)


WINDOW = 2 * 1024 * 1024
"""Bytes of a window: long enough for the search to be at its speed, small enough to hold
several.
"""
ROW_ENDS = ("\n", "),", "},")
"""Ends of lines, of tuples of an SQL statement, of JSON objects.

None of these bytes is the second of a GBK or Big5 character.
"""
APART = r"[,;\t]|[ ](?![0-9])|(?<![0-9])[ ]"
"""Between two fields: a space between digits may be inside a number."""
BETWEEN, BETWEEN_BYTES = re.compile(APART), re.compile(APART.encode())
SEARCHED = 1 << 16
WIDEST = 4
"""Bytes of a character of UTF-32."""


def cut_windows(chunks: Iterable[bytes], wide: str = "") -> Iterator[bytes]:
    """Yield the bytes of `chunks` in windows of at most WINDOW (2 MiB), cut at line ends.

    A window without a line end in its second half is cut between words, or anywhere. `wide` is
    their encoding where that is UTF-16 or UTF-32, "" otherwise. No bytes give no window.
    """
    parts, size = list[bytes](), 0  # joined at once: a short text is never copied
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size >= WINDOW:
            joined, at = b"".join(parts), 0
            while size - at >= WINDOW:
                window = joined[at : at + WINDOW]
                end = _find_window_end(window, wide)
                yield window[:end]
                at += end
            parts, size = [joined[at:]], size - at
    if size:
        yield b"".join(parts)


def detect_wide(head: bytes) -> str:
    """Return the encoding of a text that begins with `head`, if that is UTF-16 or UTF-32, else "".

    It has a byte order mark, or a NUL in every second byte of the first hundred, or in both of
    every second pair of them.
    """
    sample = head[:100]
    if 0 not in sample and sample[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        return ""
    if sample[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32-le" if sample[0] else "utf-32-be"
    if (
        len(sample) >= WIDEST
        and len(sample) % WIDEST == 0
        and sample[:2] not in (b"\xff\xfe", b"\xfe\xff")
    ):
        low, high = (sample[at::4] + sample[at + 1 :: 4] for at in (0, 2))
        if not any(high) or not any(low):
            return "" if not any(sample) else "utf-32-le" if not any(high) else "utf-32-be"
    if sample[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16-le" if sample[0] == 0xFF else "utf-16-be"
    first, second = sample[::2].count(0), sample[1::2].count(0)
    if len(sample) < 4 or max(first, second) * 4 <= len(sample):
        return ""
    return "utf-16-le" if second >= first else "utf-16-be"


def _find_window_end(data: bytes, wide: str) -> int:
    """Return how many of the first WINDOW (2,097,152) bytes of `data` make the next window.

    It ends behind the last line end of its second half, else behind the last place between words of
    its end, else at WINDOW. `wide` is the encoding of text with more than one byte per sign, "" for
    others.
    """
    for row_end in ROW_ENDS:
        end = row_end.encode(wide or "ascii")
        place = data.rfind(end, WINDOW // 2, WINDOW)
        # half of one character and half of the next
        while wide and place >= 0 and place % len("\n".encode(wide)):
            place = data.rfind(end, WINDOW // 2, place + len(end) - 1)
        if place >= 0:
            return place + len(end)
    first = WINDOW - SEARCHED
    if not wide:
        return max(
            (match.end() for match in BETWEEN_BYTES.finditer(data, first, WINDOW)), default=WINDOW
        )
    text = data[first:WINDOW].decode(wide, "replace")
    last = max((match.end() for match in BETWEEN.finditer(text)), default=0)
    return first + len(text[:last].encode(wide)) if last else WINDOW
