r"""Undo blocks of lines: values folded over lines, fields of statements, and text in base64.

A value goes on behind a line end and a blank (RFC 6350, RFC 5545, RFC 2849), in quoted-printable
behind an equals sign (vCard 2.1). What field 86 of a statement says is cut into lines of 65
characters and has its subfields behind `?20` to `?63`, glued to what they hold. Each text is made
as long as before: what was taken out is filled up behind the line.

Base64 blocks are such as `MTM4MDAxMzgwMDAs5byg5p-Q` and whole pages in lines of 76 (RFC 4648, RFC
2045). A run of 24 characters with capitals, small letters and letters beyond F may be one: prose
and digests have none, and are past at memory's speed. What decodes to no text, or to text without a
digit or an at sign, stays.
"""

from __future__ import annotations

import binascii
import codecs
import quopri
import re
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache

import numpy as np

from matcher.columns.batch import ranges
from matcher.columns.bitset import (
    CASE,
    DASH,
    LINE_END,
    Bytes,
    Classes,
    Flags,
    NeighbourRuns,
    Places,
    Ranks,
    find_places,
    is_digit,
    shift_forward,
)
from matcher.text.decode import PLAINLY, common_share
from matcher.text.fold import FIRST_WIDE, GONE, fit
from matcher.text.spellings import Replacement, Spelling
from matcher.text.spellings.escapes import CONTROL

CARD = re.compile(r"^(?:BEGIN:V(?:CARD|CALENDAR)|dn::? ?\w+=)", re.IGNORECASE | re.MULTILINE)
FOLDED = re.compile(r"^[^\r\n]*(?:\r?\n[ \t](?=\S)[^\r\n]*)+", re.MULTILINE)
FOLD = re.compile(r"\r?\n[ \t]")
QUOTED, LONGEST = re.compile("ENCODING=QUOTED-PRINTABLE", re.IGNORECASE), 80
"""What says that a value is quoted, and how far behind it the value may begin."""
STATEMENT = re.compile(r"^:86:[^\r\n]*(?:\r?\n(?![:-])[^\r\n]+)*", re.MULTILINE)
SUBFIELD = re.compile(r"\?[0-6][0-9]")
SHORTEST = 24
ENCODINGS = ("utf-8", "gb18030")
URL_SAFE = bytes.maketrans(b"-_", b"+/")
LINE = re.compile(r"(?:[A-Za-z0-9+/_]++|(?<!-)--?(?!-))++")
"""Three hyphens end a field, and so a block; two may be of the alphabet for URLs, or end a field
too.
"""
PADDING = re.compile("={1,2}")
NEXT_LINE = re.compile(rf"\r?\n({LINE.pattern})")
WIDTHS = range(60, 77)
"""Characters of a line that goes on in the next one."""
TELLING_TEXT = re.compile(r"[0-9@]")
FIRST_SECOND, KEPT = 0x40, 1 << 12
"""The lowest second byte of GB18030 that is no digit; answers on runs that are kept."""
Span = tuple[int, int]
"""Characters [start, end) of a text."""
PHONE = "13800138000"


def rows() -> Iterator[Spelling]:
    """Yield the disguises that span lines: folded lines, bank statements and base64 blocks."""
    yield Spelling(
        "folded lines of a card",
        "text",
        examples=(
            (f"BEGIN:VCARD\r\nTEL:{PHONE[:5]}\r\n {PHONE[5:]}\r\nEND:VCARD\r\n", PHONE),
            ("dn: uid=u,dc=example\nmail: li.wei8@exam\n ple.com\n", "li.wei8@example.com"),
        ),
        near_misses=(
            f"number: {PHONE[:6]}\n {PHONE[6:]}",
            f"BEGIN:VCARD\r\nTEL:{PHONE[:5]}\r\n{PHONE[5:]}\r\nEND:VCARD",
        ),
        gate=(r"begin:v(?:card|calendar)", r"\ndn::? ?[a-z]+="),
        rewrite=_unfold,
    )
    yield Spelling(
        "statement of account",
        "text",
        examples=(
            (
                (
                    f":86:166?00SEPA?20EREF+1?31{PHONE[:4]}\r\n{PHONE[4:]}?32MAX\r\n"
                    ":62F:C240101EUR1,00"
                ),
                PHONE,
            ),
            (":86:105?00SEPA?20li.wei8@exa\nmple.com?32MAX\n-", "li.wei8@example.com"),
        ),
        near_misses=(
            f":86:ORDER {PHONE[:4]}\n{PHONE[4:]}\n-",
            f"86:166?20EREF+1?31{PHONE[:4]}\n{PHONE[4:]}?32MAX",
        ),
        gate=(r":86:[0-9]{3}\?",),
        rewrite=lambda text: STATEMENT.sub(_read_statement, text) if ":86:" in text else text,
    )
    yield Spelling(
        "base64 block",
        "block",
        examples=(
            ("eyJuIjoi546L5LqUIiwicCI6IjEzODAwMTM4MDAwIn0=", PHONE),
            ("data:text/plain;base64,eDtsaS53ZWk4QGV4YW1wbGUuY29tOzE", "li.wei8@example.com"),
        ),
        near_misses=(
            "0cc175b9c0f1b6a831c399e269772661",
            "iVBORw0KGgoAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHw==",
        ),
        rewrite=reveal_base64,
        nests=True,
    )


def _unfold(text: str) -> str:
    """Return `text` with its folded lines whole, exactly as long as before."""
    if "BEGIN:V" in text or "dn:" in text:
        if "QUOTED-PRINTABLE" in text:
            text = _unquote(text)
        if CARD.search(text):
            text = FOLDED.sub(lambda match: fit(FOLD.sub("", match[0]), len(match[0])), text)
    return text


def _unquote(text: str) -> str:
    """Return `text` with its properties in quoted-printable readable."""
    parts, copied = list[str](), 0
    for match in QUOTED.finditer(text):
        start = end = text.find(":", match.end(), match.end() + LONGEST) + 1
        if start <= copied or "\n" in text[match.end() : start]:
            continue
        while (line_end := text.find("\n", end)) >= 0 and text.endswith(
            ("=", "=\r"), end, line_end
        ):
            end = line_end + 1
        end = len(text) if line_end < 0 else line_end - text.endswith("\r", end, line_end)
        value = _decode_quoted(text[start:end])
        parts += (
            [text[copied:start], fit(value, end - start)]
            if len(value) <= end - start
            else [text[copied:end]]
        )
        copied = end
    return "".join([*parts, text[copied:]])


def _decode_quoted(value: str) -> str:
    """Decode a value in quoted-printable."""
    plain = quopri.decodestring(value.encode("utf-8", "surrogatepass"))
    try:
        return plain.decode("utf-8")
    except UnicodeDecodeError:
        return plain.decode("gb18030", "replace")


def _read_statement(match: re.Match[str]) -> str:
    if SUBFIELD.search(match[0]) is None:
        return match[0]
    whole = match[0].replace("\r\n", "").replace("\n", "")
    return fit(" ".join(SUBFIELD.split(whole)), len(match[0]))


def reveal_base64(text: str) -> str:
    """Return `text` with its base64 blocks decoded in place, exactly as long as before.

    The time is linear: whatever a block turns out to be, its lines are not read again as parts of
    another block, except the last one.
    """
    parts, copied, scanned = [], 0, 0
    for place in base64_starts(Classes(np.frombuffer(text.encode("ascii", "replace"), np.uint8)))[
        0
    ].tolist():
        if place < scanned:
            continue
        replacements, scanned = _read_block(text, place)
        for start, end, plain in replacements:
            parts += [text[copied:start], fit(plain, end - start, GONE)]
            copied = end
    return "".join([*parts, text[copied:]]) if parts else text


def _read_block(text: str, start: int) -> tuple[list[Replacement], int]:
    """Return what the block at `start` says, and where to go on.

    The list is empty if it says nothing.
    """
    first = LINE.match(text, start)
    if first is None:
        return [], start + 1
    lines, block = [first.span()], first.group()
    if len(block) in WIDTHS:
        _add_lines(text, lines)
    for count in (len(lines), len(lines) - 1):  # the next line may be no part of it
        if count and (
            plain := _decode_block(
                block if count == 1 else "".join(text[slice(*line)] for line in lines[:count])
            )
        ):
            end = lines[count - 1][1]
            padding = PADDING.match(text, end)
            return [Replacement(start, end := padding.end() if padding else end, plain)], end
    if len(lines) == 1 and "--" not in block:  # which is known to be none
        return [], first.end()
    return _read_in_parts(text, lines)


def _add_lines(text: str, lines: list[Span]) -> None:
    """Add to `lines` the lines of full width that follow the first.

    The first shorter one is added too, and ends the block; a longer one ends it and is left out.
    """
    width = lines[0][1] - lines[0][0]
    while following := NEXT_LINE.match(text, lines[-1][1]):
        start, end = following.span(1)
        if end - start > width:
            return
        lines.append((start, end))
        if end - start < width:
            return


def _read_in_parts(text: str, lines: Sequence[Span]) -> tuple[list[Replacement], int]:
    """Return what lines say that are no text as a whole, together or alone, and where to go on.

    A line shorter than the first ends them: another block may begin there. The list is empty if
    they say nothing.
    """
    widths = [end - start for start, end in lines]
    whole_bytes = widths[0] % 4 == 0 and len(lines) > 1
    together = _find_text_lines([text[slice(*line)] for line in lines]) if whole_bytes else {}
    replacements, number = list[Replacement](), 0
    while number < len(lines):
        start, end = lines[number]
        if number and widths[number] < widths[0]:  # another block may begin here
            return replacements, start
        if number in together:
            behind, plain = together[number]
            replacements.append(Replacement(start, lines[behind - 1][1], plain))
            number = behind
        else:
            # else it is known to be none
            if together or not whole_bytes or text.find("--", start, end) >= 0:
                replacements += _read_fields(text, start, end)
            number += 1
    return replacements, lines[-1][1]


def _find_text_lines(lines: Sequence[str]) -> dict[int, tuple[int, str]]:
    """Find the lines of a block that are text when they are read together.

    Returns, by the number of the first line, the number of the line behind the last, and the text.
    """
    bodies = [_to_bytes(line) for line in lines]
    for encoding in ENCODINGS:
        texts, decoder = {}, codecs.getincrementaldecoder(encoding)()
        first, parts = 0, list[str]()
        for number, body in enumerate((*bodies, b"\0")):  # which is no text, and so ends the last
            part = _decode_line(decoder, body)
            if part is None and parts:
                if _holds_value(plain := "".join(parts), encoding):
                    texts[first] = (number, plain)
                first, parts = number, []
                part = _decode_line(decoder, body)
            if part is None:
                first = number + 1
            else:
                parts.append(part)
        if texts:
            return texts
    return {}


def _decode_line(decoder: codecs.IncrementalDecoder, body: bytes) -> str | None:
    """Decode the next line; return None, and reset the decoder, where `body` is no text."""
    try:
        part = decoder.decode(body)
    except UnicodeDecodeError:
        part = None
    if part is None or CONTROL.search(part):
        decoder.reset()
        return None
    return part


def _read_fields(text: str, start: int, end: int) -> list[Replacement]:
    """Return those of a line's fields, with two hyphens between, that are blocks."""
    replacements = []
    for field in text[start:end].split("--"):
        if len(field) >= SHORTEST and (plain := _decode_block(field)):
            replacements.append(Replacement(start, start + len(field), plain))
        start += len(field) + 2
    return replacements


def _decode_block(block: str) -> str:
    """Decode a block; return "" for what is no text.

    The first of ENCODINGS that decodes it counts, and only if the text holds a value and no control
    characters.
    """
    body = _to_bytes(block)
    for encoding in ENCODINGS:
        try:
            plain = body.decode(encoding)
        except UnicodeDecodeError:
            continue
        return plain if _holds_value(plain, encoding) and not CONTROL.search(plain) else ""
    return ""


def _to_bytes(block: str) -> bytes:
    """Decode letters of base64 to bytes; a last letter alone stands for none."""
    chars = block.encode("ascii").translate(URL_SAFE)
    chars = chars[:-1] if len(chars) % 4 == 1 else chars
    return binascii.a2b_base64(chars + b"=" * (-len(chars) % 4))


def _holds_value(plain: str, encoding: str) -> bool:
    """Return whether what reads as text by `encoding` is such, and may hold an identifier."""
    return TELLING_TEXT.search(plain) is not None and (
        encoding == "utf-8" or common_share(plain, encoding) >= PLAINLY
    )


def base64_starts(classes: Classes) -> tuple[Places, Places]:
    """Find the runs of at least SHORTEST letters of the alphabet that look like base64.

    Returns their starts and ends, i64[n] each. A run needs a capital, a small letter and a letter
    beyond F. The text is in UTF-8, or has one byte for each character.
    """
    data = classes.data
    runs = NeighbourRuns(classes.word | find_places(data, _is_sign_of_alphabet))
    if not runs.find_starts(SHORTEST).any():
        return np.empty(0, np.int64), np.empty(0, np.int64)
    three = NeighbourRuns(find_places(data, lambda part: part == DASH)).find_starts(3)
    start, end = NeighbourRuns(
        runs.find_starts(1) & ~(three | shift_forward(three, 1) | shift_forward(three, 2))
    ).runs(SHORTEST)
    before = Ranks(find_places(data, _is_beyond_f))
    telling = before.count_below(end) > before.count_below(start)
    start, size = start[telling], (end - start)[telling]
    if not len(start):
        return start, start
    # few are left: digests are gone
    text, first = data.take(ranges(start, size)), np.cumsum(size) - size
    is_capital, is_small = text - np.uint8(65) <= 25, text - np.uint8(97) <= 25
    is_mixed = np.logical_or.reduceat(is_capital, first) & np.logical_or.reduceat(is_small, first)
    return start[is_mixed], (start + size)[is_mixed]


@cache
def _letter_values() -> Bytes:
    """Return what each letter of either alphabet stands for, u8[256]."""
    table = np.zeros(256, np.uint8)
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    table[list(letters)] = np.arange(64)
    table[list(b"-_")] = 62, 63
    return table


@cache
def _controls() -> Flags:
    """Return which bytes no text has, bool[256]."""
    table = np.zeros(256, bool)
    table[[ord(char) for char in map(chr, range(128)) if CONTROL.match(char)]] = True
    return table


def find_text_runs(data: Bytes, start: Places, end: Places) -> Flags:
    """Return in which of the runs [start, end) of the alphabet a text in base64 may begin: bool[n].

    It begins a field: fields are parted by two hyphens, which may also be letters of the alphabet
    for URLs.
    """
    if not len(start):
        return np.zeros(0, bool)
    dash = data == DASH
    pair = np.flatnonzero(dash[:-1] & dash[1:]) + 2
    its = np.searchsorted(start, pair, "right") - 1
    inside = np.flatnonzero((its >= 0) & (pair + SHORTEST <= end.take(its)))
    run = np.concatenate((np.arange(len(start)), its[inside]))
    runs = np.unique(run[_begins_text(data, np.concatenate((start, pair[inside])))])
    goes_on = (data.take(end[runs]) == LINE_END) & np.isin(end[runs] - start[runs], WIDTHS)
    has_text = np.zeros(len(start), bool)
    has_text[runs[goes_on]] = True
    for number in runs[~goes_on].tolist():
        has_text[number] = _reads_alone(data[start[number] : end[number]].tobytes())
    return has_text


def _begins_text(data: Bytes, begin: Places) -> Flags:
    """Return at which places a text in base64 may begin: bool[n].

    The 18 bytes that 24 letters stand for hold no control character, and no lone byte of a
    multi-byte character.
    """
    letters = _letter_values().take(data.take(begin[:, None] + np.arange(SHORTEST))).reshape(-1, 4)
    octets = np.empty((len(letters), 3), np.uint8)
    octets[:, 0] = letters[:, 0] << 2 | letters[:, 1] >> 4
    octets[:, 1] = letters[:, 1] << 4 | letters[:, 2] >> 2
    octets[:, 2] = letters[:, 2] << 6 | letters[:, 3]
    octets = octets.reshape(-1, SHORTEST // 4 * 3)
    high, behind_it = octets >= FIRST_WIDE, octets[:, 2:]
    lone = high[:, 1:-1] & ~high[:, :-2] & ~high[:, 2:]
    lone &= ~is_digit(behind_it) & (behind_it < FIRST_SECOND)  # in GB18030 those may go on
    return np.asarray(~(_controls().take(octets).any(1) | lone.any(1)))


@lru_cache(maxsize=KEPT)
def _reads_alone(run: bytes) -> bool:
    """Return whether a run, or one of its fields, is text in base64 by itself."""
    block = run.decode()
    return any(
        _decode_block(field) for field in (block, *block.split("--")) if len(field) >= SHORTEST
    )


def _is_sign_of_alphabet(data: Bytes) -> Flags:
    """Return which bytes are `+/-_`."""
    # not comma and dot
    return np.asarray(((data - np.uint8(43) <= 4) & (data & 0xFD != 44)) | (data == 95))


def _is_beyond_f(data: Bytes) -> Flags:
    """Return which bytes are letters beyond F, which no hexadecimal number has.

    In base64, each third digit of a number is M, N or O.
    """
    return (data | CASE) - np.uint8(103) <= 19
