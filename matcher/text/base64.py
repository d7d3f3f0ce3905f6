"""Base64 blocks of text, made readable in place: `MTM4MDAxMzgwMDAs5byg5p-Q` and whole pages in lines of 76 (RFC 4648, RFC 2045).

A run of 24 characters holds two words of eight, side by side, that begin at multiples of eight, so only such words are looked at:
prose and digests are past at memory's speed. What decodes to no text, or to text without a digit or an at sign, stays.
"""

from __future__ import annotations

import binascii
import codecs
import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matcher.text.decode import PLAINLY, common_share
from matcher.text.fold import GONE, Codes, codes_of, fit

SHORTEST = 24
HYPHEN = 45
WORD = 8
AROUND = 24
"""Characters looked at on either side of a word."""
WINDOW = 1 << 14
"""Words a step: they stay in the processor's cache."""
ALL_OF_WORD = 0x0101010101010101
ONE, EIGHT, SIXTEEN = np.uint64(1), np.uint64(8), np.uint64(16)
BIT_5, BIT_6, BIT_7, LOW_5, BEYOND_F, LOWEST = (
    np.uint64(byte * ALL_OF_WORD) for byte in (0x20, 0x40, 0x80, 0x1F, 0x20 - 7, ord("+"))
)
"""The same byte eight times over."""
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
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
UPPER, LOWER, DIGIT, NO_HEX = 1, 2, 4, 8
Places = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]
Span = tuple[int, int]
"""Characters [start, end) of a text."""


class Read(NamedTuple):
    """What the characters [start, end) of a text say."""

    start: int
    end: int
    plain: str


def reveal(text: str, codes: Codes | None = None) -> str:
    """`text` (and its `codes`, where they are at hand) with its base64 blocks readable, exactly as long as before.

    Linear: whatever a block turns out to be, its lines are not read as parts of another, but for the last.
    """
    made, copied, seen = [], 0, 0
    for place in starts(codes_of(text) if codes is None else codes).tolist():
        if place < seen:
            continue
        found, seen = _read(text, _begin(text, seen, place))
        for start, end, plain in found:
            made += [text[copied:start], fit(plain, end - start, GONE)]
            copied = end
    return "".join([*made, text[copied:]]) if made else text


def _begin(text: str, seen: int, place: int) -> int:
    """Where the run begins that `place` is in, not before `seen`."""
    if place == seen or text[place - 1] not in ALPHABET:
        return place
    begin = seen + len(text[seen:place].rstrip(ALPHABET))
    fields, hyphens, _ = text[begin : place + 2].rpartition("---")
    return begin + len(fields) + len(hyphens)


def _read(text: str, start: int) -> tuple[list[Read], int]:
    """What can be read of the block at `start`, and where to go on."""
    first = LINE.match(text, start)
    if first is None:
        return [], start + 1
    lines = [first.span()]
    if len(first.group()) in WIDTHS:
        _add_lines(text, lines)
    for count in (len(lines), len(lines) - 1):  # the next line may be no part of it
        if count and (plain := _decoded("".join(text[slice(*line)] for line in lines[:count]))):
            end = lines[count - 1][1]
            padding = PADDING.match(text, end)
            return [Read(start, end := padding.end() if padding else end, plain)], end
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


def starts(codes: Codes) -> Places:
    """Places, ascending, in runs of at least 24 characters of the alphabet with capitals, small letters and more than hex digits.

    Of a run there may be several, the first where it begins or 24 characters before what tells it: all three are seen within
    24 characters, as they are in any number. `codes` are those of a text, or its UTF-8 bytes.
    """
    narrow = codes if codes.itemsize == 1 else np.where(codes < 128, codes, 0).astype(np.uint8)
    word = _words(narrow)
    if not len(word):
        return word
    room = 0 if word[0] >= AROUND and word[-1] + WORD + AROUND <= len(narrow) else AROUND
    padded = np.pad(narrow, room) if room else narrow
    near = _rows(padded, word + (room - AROUND), 2 * AROUND + WORD)
    likely = np.flatnonzero(_have_capital(near.view(np.uint64)).any(axis=1))
    word, near = word[likely], near[likely]
    classes = _classes()[near]
    member = (classes != 0) & ~_tripled(near == HYPHEN)
    before = _firsts(~member[:, AROUND - 1 :: -1])[:, None]
    behind = _firsts(~member[:, AROUND + WORD :])[:, None] + WORD
    column = np.arange(-AROUND, AROUND + WORD)
    held = np.bitwise_or.reduce(np.where((column >= -before) & (column < behind), classes, 0), axis=1)
    good = ((before + behind)[:, 0] >= SHORTEST) & ((held & (UPPER | LOWER | NO_HEX)) == UPPER | LOWER | NO_HEX)
    return np.asarray((word - before[:, 0])[good], np.int64)


def _words(narrow: Bytes) -> Places:
    """Words of eight characters at multiples of eight, in the alphabet as is one beside them, that are no digest's.

    What is around a word is looked at, so of two side by side the one at a multiple of sixteen is enough, and of five the others.
    """
    words = narrow[: len(narrow) // WORD * WORD].view(np.uint64)
    found = [np.empty(0, np.int64)]
    for first in range(0, len(words), WINDOW):
        part = words[first : first + WINDOW]
        likely = np.flatnonzero(_is_above(part))
        likely = likely.take(np.flatnonzero(_is_of_text(part.take(likely))))
        found.append(likely.take(np.flatnonzero(_are_full(part.take(likely)))) + first)
    word = np.concatenate(found)
    word = word[_is_beside(words, word)]
    is_next = np.diff(word) == 1
    beside = np.append(is_next, False) | np.insert(is_next, 0, False)
    middle = np.zeros(len(word), bool)
    middle[2:-2] = word[4:] - word[:-4] == 4
    return np.asarray(word[~((word % 2 == 1) & beside | (word % 4 == 2) & middle)] * WORD, np.int64)


def _is_beside(words: Words, places: Places) -> Flags:
    """Whether the word before or behind each of `places` in `words` lies in the alphabet as a whole."""
    found = np.zeros(len(places), bool)
    for step in (-1, 1):
        other = words.take(places + step, mode="clip")
        likely = np.flatnonzero(_is_above(other))
        found[likely] |= _are_full(other.take(likely))
    return found


def _is_above(words: Words) -> Flags:
    """Which words are ASCII with no character below the lowest of the alphabet."""
    return np.asarray((((words - LOWEST) | words) & BIT_7) == 0)


def _is_of_text(words: Words) -> Flags:
    """Which words have a letter beyond F: a digest's have none, a number's in base64 have: each third digit is M, N or O.

    Bit 6 is a letter's.
    """
    return np.asarray(((words & LOW_5) + BEYOND_F) & (words >> ONE) & BIT_5 != 0)


def _firsts(flags: Flags) -> Places:
    """In which column of each row the first flag is; behind the last one where there is none."""
    found = flags.argmax(axis=1)
    return np.asarray(np.where(flags[np.arange(len(flags)), found], found, flags.shape[1]), np.int64)


def _have_capital(words: Words) -> Flags:
    """Which words have a character from @ to _: bit 5 is not set in these."""
    return np.asarray((words >> ONE) & ~words & BIT_5 != 0)


def _are_full(words: Words) -> Flags:
    """Which words lie in the alphabet as a whole, with no three hyphens side by side."""
    chars = words.view(np.uint8)
    signs = (chars - 43 <= 14) & (chars & 0xFD != 44)  # +-/0123456789, not comma and dot
    fits = ((chars | 32) - 97 <= 25) | signs | (chars == 95)
    hyphen = (chars == HYPHEN).view(np.uint64)
    return np.asarray((fits.view(np.uint64) == ALL_OF_WORD) & (hyphen & (hyphen >> EIGHT) & (hyphen >> SIXTEEN) == 0))


def _rows(padded: Bytes, places: Places, width: int) -> Bytes:
    """The `width` bytes from each place on: u8[n, width]."""
    view = np.ndarray((len(padded) - width + 1,), f"V{width}", padded.data, 0, (1,))
    return view[places].view(np.uint8).reshape(-1, width)


def _tripled(hyphen: Flags) -> Flags:
    """Where three hyphens stand side by side in a row."""
    tripled = np.zeros_like(hyphen)
    rows = np.flatnonzero(hyphen.sum(axis=1) >= 3)
    own = hyphen[rows]
    three = own[:, 2:] & own[:, 1:-1] & own[:, :-2]
    for first in range(3):
        tripled[rows, first : first + three.shape[1]] |= three
    return tripled


@cache
def _classes() -> npt.NDArray[np.uint8]:
    """The class of each character of the alphabet; 0 for all other bytes."""
    made = np.zeros(256, np.uint8)
    for code in range(128):
        char = chr(code)
        if char.isalnum() or char in "+/-_":
            made[code] = UPPER * char.isupper() | LOWER * char.islower() | DIGIT * char.isdigit()
            made[code] |= NO_HEX * (char.lower() not in "0123456789abcdef")
    return made
