"""Base64 blocks of text, made readable in place: `MTM4MDAxMzgwMDAs5byg5p-Q` and whole pages in lines of 76 (RFC 4648, RFC 2045).

A run of 24 characters holds a word of eight that begins at a multiple of sixteen, so only those words are looked at: prose and
digests are past at memory's speed. What decodes to no text, or to text without a digit or an at sign, stays.
"""

from __future__ import annotations

import binascii
import re
from functools import cache

import numpy as np
import numpy.typing as npt

from matcher.text.codes import GONE, Codes, codes_of, fit
from matcher.text.mojibake import PLAINLY, common_share

SHORTEST = 24
HYPHEN = 45
WORD = 8
AROUND = 24
"""Characters looked at on either side of a word."""
WINDOW = 1 << 18
"""Bytes a step: an eighth of them is looked at, which stays in the processor's cache."""
ALL_OF_WORD = 0x0101010101010101
ONE = np.uint64(1)
BIT_5, BIT_6, BIT_7, LOW_5, BEYOND_F, LOWEST = (
    np.uint64(byte * ALL_OF_WORD) for byte in (0x20, 0x40, 0x80, 0x1F, 0x20 - 7, ord("+"))
)
"""The same byte eight times over."""
URL_SAFE = str.maketrans("-_", "+/")
LINE = re.compile(r"(?:[A-Za-z0-9+/_]|(?<!-)--?(?!-))++")
"""Three hyphens end a field, and so a block; two may be of the alphabet for URLs, or end a field too."""
PADDING = re.compile("={1,2}")
LINE_END = re.compile(r"\r?\n")
WIDTHS = range(60, 77)
"""Characters of a line that goes on in the next one."""
TELLING = re.compile(r"[0-9@]")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
UPPER, LOWER, DIGIT, NO_HEX = 1, 2, 4, 8
Places = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]


def reveal(text: str, codes: Codes | None = None) -> str:
    """`text` (and its `codes`, where they are at hand) with its base64 blocks readable, exactly as long as before."""
    made, copied, seen = [], 0, 0
    for start in starts(codes_of(text) if codes is None else codes).tolist():
        if start < seen:
            continue
        plain, seen = _read(text, start)
        if plain:
            made += [text[copied:start], fit(plain, seen - start, GONE)]
            copied = seen
    return "".join([*made, text[copied:]]) if made else text


def _read(text: str, start: int) -> tuple[str, int]:
    """What the block at `start` says, "" for nothing; and where the block ends."""
    first = LINE.match(text, start)
    if first is None:
        return "", start + 1
    lines, ends = [first.group()], [first.end()]
    if len(lines[0]) in WIDTHS:
        _add_lines(text, lines, ends)
    for count in (len(lines), len(lines) - 1):  # the next line may be no part of it
        if count and (plain := _decoded("".join(lines[:count]))):
            padding = PADDING.match(text, ends[count - 1])
            return plain, padding.end() if padding else ends[count - 1]
    return _fields(lines[0]), ends[0]


def _fields(line: str) -> str:
    """A line of fields with two hyphens between, those that are blocks readable; "" where none is."""
    fields = [(field, _decoded(field) if len(field) >= SHORTEST else "") for field in line.split("--")]
    return (
        "--".join(fit(plain, len(field), GONE) if plain else field for field, plain in fields)
        if any(p for _, p in fields)
        else ""
    )


def _add_lines(text: str, lines: list[str], ends: list[int]) -> None:
    """The lines that follow one of full width, up to one that is shorter, and where they end."""
    while following := LINE_END.match(text, ends[-1]):
        line = LINE.match(text, following.end())
        if line is None or len(line.group()) > len(lines[0]):
            return
        lines.append(line.group())
        ends.append(line.end())
        if len(line.group()) < len(lines[0]):
            return


def _decoded(block: str) -> str:
    """The text that a block stands for, or ""."""
    block = block.translate(URL_SAFE)
    block = block[:-1] if len(block) % 4 == 1 else block
    body = binascii.a2b_base64(block + "=" * (-len(block) % 4))
    for encoding in ("utf-8", "gb18030"):
        try:
            plain = body.decode(encoding)
        except UnicodeDecodeError:
            continue
        is_sure = encoding == "utf-8" or common_share(plain, "gb18030") >= PLAINLY
        return plain if is_sure and TELLING.search(plain) and not CONTROL.search(plain) else ""
    return ""


def starts(codes: Codes) -> Places:
    """Where runs of at least 24 characters of the alphabet begin, that hold capitals, small letters and more than hex digits.

    `codes` are those of a text, or its UTF-8 bytes.
    """
    narrow = codes if codes.itemsize == 1 else np.where(codes < 128, codes, 0).astype(np.uint8)
    word = _words(narrow)
    if not len(word):
        return word
    room = 0 if word[0] >= AROUND and word[-1] + WORD + AROUND <= len(narrow) else AROUND
    padded = np.pad(narrow, room) if room else narrow
    word = _firsts(padded, word + room)
    near = _rows(padded, word - AROUND, 2 * AROUND + WORD)
    classes = _classes()[near]
    member = (classes != 0) & ~_tripled(near == HYPHEN)
    before = np.logical_and.accumulate(member[:, :AROUND][:, ::-1], axis=1)[:, ::-1]
    behind = np.logical_and.accumulate(member[:, AROUND:], axis=1)
    run = np.concatenate((before, behind), axis=1)
    held = np.bitwise_or.reduce(np.where(run, classes, 0), axis=1)
    good = (run.sum(axis=1) >= SHORTEST) & ((held & (UPPER | LOWER | NO_HEX)) == UPPER | LOWER | NO_HEX)
    return np.asarray((word - before.sum(axis=1))[good] - room, np.int64)


def _firsts(padded: Bytes, word: Places) -> Places:
    """Of words in the alphabet those that may lie in a block, the first ones of a run only.

    In a run of 24 the word before or behind is in the alphabet as well.
    """
    three = _rows(padded, word - WORD, 3 * WORD)
    full = _full(three)
    long = full[:, 0] | full[:, 2]
    word = word[long]
    follows = full[long, 0] & (three[long, : 2 * WORD] != HYPHEN).all(axis=1)
    again = np.zeros(len(word), bool)
    again[1:] = (np.diff(word) == 2 * WORD) & follows[1:] & follows[:-1]
    return word[~again]


def _full(rows: Bytes) -> Flags:
    """Whether words of eight bytes, side by side in rows, lie in the alphabet as a whole: bool[n, words]."""
    signs = (rows - 43 <= 14) & (rows & 0xFD != 44)  # +-/0123456789, not comma and dot
    fits = ((rows | 32) - 97 <= 25) | signs | (rows == 95)
    return np.asarray(fits.reshape(-1).view(np.uint64).reshape(-1, rows.shape[1] // WORD) == ALL_OF_WORD)


def _is_of_text(word: npt.NDArray[np.uint64]) -> Flags:
    """Whether words of eight characters are no hexadecimal digits in one case, as a digest's are.

    A block of text has such a word by chance once in 30,000. Bit 6 is a letter's, bit 5 a small one's or a digit's.
    """
    letter, small = (word >> ONE) & BIT_5, word & BIT_5
    beyond_f = ((word & LOW_5) + BEYOND_F) & BIT_5 & letter
    return np.asarray((beyond_f != 0) | (((letter & small) != 0) & ((letter & ~small) != 0)))


def _rows(padded: Bytes, places: Places, width: int) -> Bytes:
    """The `width` bytes from each place on: u8[n, width]."""
    view = np.ndarray((len(padded) - width + 1,), f"V{width}", padded.data, 0, (1,))
    return view[places].view(np.uint8).reshape(-1, width)


def _tripled(hyphen: Flags) -> Flags:
    """Where three hyphens stand side by side in a row."""
    tripled = np.zeros_like(hyphen)
    three = hyphen[:, 2:] & hyphen[:, 1:-1] & hyphen[:, :-2]
    for first in range(3):
        tripled[:, first : first + three.shape[1]] |= three
    return tripled


def _words(narrow: Bytes) -> Places:
    """Every second word of eight characters, of those that lie in the alphabet as a whole and are no digest's."""
    whole = len(narrow) // (2 * WORD) * (2 * WORD)
    found = [np.empty(0, np.int64)]
    for first in (*range(0, whole, WINDOW), whole):
        last = min(first + WINDOW, whole) if first < whole else len(narrow) // WORD * WORD  # the last word may have no neighbour
        word = np.ascontiguousarray(np.ascontiguousarray(narrow[first:last]).view(np.uint64)[::2])
        plain = (((word - LOWEST) | word) & BIT_7) == 0  # none below +, none not ASCII
        plain &= (word & BIT_6) != 0  # and a letter among them
        likely = np.flatnonzero(plain)
        likely = likely.take(np.flatnonzero(_is_of_text(word.take(likely))))
        full = np.flatnonzero(_full(word.take(likely).view(np.uint8).reshape(-1, WORD)))
        found.append(likely.take(full) * (2 * WORD) + first)
    return np.concatenate(found)


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
