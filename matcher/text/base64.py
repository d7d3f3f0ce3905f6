"""Base64 blocks of text, made readable in place: `MTM4MDAxMzgwMDAs5byg5p-Q` and whole pages in lines of 76 (RFC 4648, RFC 2045).

A run of 24 characters with capitals, small letters and letters beyond F may be one: prose and digests have none, and are past at
memory's speed. What decodes to no text, or to text without a digit or an at sign, stays.
"""

from __future__ import annotations

import binascii
import codecs
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from matcher.columns.batch import ranges
from matcher.columns.bitset import CASE, DASH, Bytes, Chain, Flags, Places, Ranks, behind, where
from matcher.text.decode import PLAINLY, common_share
from matcher.text.fold import GONE, fit

SHORTEST = 24
ENCODINGS = ("utf-8", "gb18030")
URL_SAFE = bytes.maketrans(b"-_", b"+/")
LINE = re.compile(r"(?:[A-Za-z0-9+/_]++|(?<!-)--?(?!-))++")
"""Three hyphens end a field, and so a block; two may be of the alphabet for URLs, or end a field too."""
PADDING = re.compile("={1,2}")
NEXT_LINE = re.compile(rf"\r?\n({LINE.pattern})")
WIDTHS = range(60, 77)
"""Characters of a line that goes on in the next one."""
TELLING = re.compile(r"[0-9@]")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
Span = tuple[int, int]
"""Characters [start, end) of a text."""


class Read(NamedTuple):
    """What the characters [start, end) of a text say."""

    start: int
    end: int
    plain: str


def reveal(text: str) -> str:
    """`text` with its base64 blocks readable, exactly as long as before.

    Linear: whatever a block turns out to be, its lines are not read as parts of another, but for the last.
    """
    made, copied, seen = [], 0, 0
    for place in starts(np.frombuffer(text.encode("ascii", "replace"), np.uint8)).tolist():
        if place < seen:
            continue
        found, seen = _read(text, place)
        for start, end, plain in found:
            made += [text[copied:start], fit(plain, end - start, GONE)]
            copied = end
    return "".join([*made, text[copied:]]) if made else text


def _read(text: str, start: int) -> tuple[list[Read], int]:
    """What can be read of the block at `start`, and where to go on."""
    first = LINE.match(text, start)
    if first is None:
        return [], start + 1
    lines, block = [first.span()], first.group()
    if len(block) in WIDTHS:
        _add_lines(text, lines)
    for count in (len(lines), len(lines) - 1):  # the next line may be no part of it
        if count and (plain := _decoded(block if count == 1 else "".join(text[slice(*line)] for line in lines[:count]))):
            end = lines[count - 1][1]
            padding = PADDING.match(text, end)
            return [Read(start, end := padding.end() if padding else end, plain)], end
    if len(lines) == 1 and "--" not in block:  # which is known to be none
        return [], first.end()
    return _in_part(text, lines)


def _add_lines(text: str, lines: list[Span]) -> None:
    """Add the lines that follow the first, of full width, up to one that is shorter."""
    width = lines[0][1] - lines[0][0]
    while following := NEXT_LINE.match(text, lines[-1][1]):
        start, end = following.span(1)
        if end - start > width:
            return
        lines.append((start, end))
        if end - start < width:
            return


def _in_part(text: str, lines: Sequence[Span]) -> tuple[list[Read], int]:
    """What can be read of lines that are no text as a whole, some together and others each for itself, and where to go on."""
    widths = [end - start for start, end in lines]
    whole_bytes = widths[0] % 4 == 0 and len(lines) > 1
    together = _stretches([text[slice(*line)] for line in lines]) if whole_bytes else {}
    found, number = list[Read](), 0
    while number < len(lines):
        start, end = lines[number]
        if number and widths[number] < widths[0]:  # another block may begin here
            return found, start
        if number in together:
            behind, plain = together[number]
            found.append(Read(start, lines[behind - 1][1], plain))
            number = behind
        else:
            if together or not whole_bytes or text.find("--", start, end) >= 0:  # else it is known to be none
                found += _fields(text, start, end)
            number += 1
    return found, lines[-1][1]


def _stretches(lines: Sequence[str]) -> dict[int, tuple[int, str]]:
    """Lines of a block, each of whole bytes, that are text together: by the first the one behind the last, and the text."""
    bodies = [_bytes(line) for line in lines]
    for encoding in ENCODINGS:
        found, decoder = {}, codecs.getincrementaldecoder(encoding)()
        first, parts = 0, list[str]()
        for number, body in enumerate((*bodies, b"\0")):  # which is no text, and so ends the last
            part = _part(decoder, body)
            if part is None and parts:
                if _is_told(plain := "".join(parts), encoding):
                    found[first] = (number, plain)
                first, parts = number, []
                part = _part(decoder, body)
            if part is None:
                first = number + 1
            else:
                parts.append(part)
        if found:
            return found
    return {}


def _part(decoder: codecs.IncrementalDecoder, body: bytes) -> str | None:
    """What text goes on with; None, and it may begin anew, where `body` is none."""
    try:
        part = decoder.decode(body)
    except UnicodeDecodeError:
        part = None
    if part is None or CONTROL.search(part):
        decoder.reset()
        return None
    return part


def _fields(text: str, start: int, end: int) -> list[Read]:
    """Those of a line's fields, with two hyphens between, that are blocks."""
    found = []
    for field in text[start:end].split("--"):
        if len(field) >= SHORTEST and (plain := _decoded(field)):
            found.append(Read(start, start + len(field), plain))
        start += len(field) + 2
    return found


def _decoded(block: str) -> str:
    """The text that a block stands for, or ""."""
    body = _bytes(block)
    for encoding in ENCODINGS:
        try:
            plain = body.decode(encoding)
        except UnicodeDecodeError:
            continue
        return plain if _is_told(plain, encoding) and not CONTROL.search(plain) else ""
    return ""


def _bytes(block: str) -> bytes:
    """What a block stands for; a last character alone stands for none."""
    chars = block.encode("ascii").translate(URL_SAFE)
    chars = chars[:-1] if len(chars) % 4 == 1 else chars
    return binascii.a2b_base64(chars + b"=" * (-len(chars) % 4))


def _is_told(plain: str, encoding: str) -> bool:
    """Whether what reads as text by `encoding` is such, and may hold an identifier."""
    return TELLING.search(plain) is not None and (encoding == "utf-8" or common_share(plain, encoding) >= PLAINLY)


def starts(data: Bytes) -> Places:
    """Where runs of at least 24 characters of the alphabet begin that hold a capital, a small letter and one beyond F: i64[n].

    `data` is a text in UTF-8, or with one byte for every character.
    """
    runs = Chain(where(data, _is_of_alphabet))
    if not runs.of(SHORTEST).any():
        return np.empty(0, np.int64)
    three = Chain(where(data, lambda part: part == DASH)).of(3)
    start, end = Chain(runs.of(1) & ~(three | behind(three, 1) | behind(three, 2))).runs(SHORTEST)
    before = Ranks(where(data, _is_beyond_f))
    telling = before.of(end) > before.of(start)
    start, size = start[telling], (end - start)[telling]
    if not len(start):
        return start
    text, first = data.take(ranges(start, size)), np.cumsum(size) - size  # few are left: digests are gone
    both = np.logical_or.reduceat(_is_capital(text), first) & np.logical_or.reduceat(_is_small(text), first)
    return np.asarray(start[both])


def _is_of_alphabet(data: Bytes) -> Flags:
    """Letters, digits and `+/-_`."""
    is_digit_or_sign = (data - np.uint8(43) <= 14) & (data & 0xFD != 44)  # +-/0123456789, not comma and dot
    return np.asarray(((data | CASE) - np.uint8(97) <= 25) | is_digit_or_sign | (data == 95))


def _is_capital(data: Bytes) -> Flags:
    return data - np.uint8(65) <= 25


def _is_small(data: Bytes) -> Flags:
    return data - np.uint8(97) <= 25


def _is_beyond_f(data: Bytes) -> Flags:
    """Letters that no hexadecimal number has: a digest's have none, and in base64 each third digit of a number is M, N or O."""
    return (data | CASE) - np.uint8(103) <= 19
