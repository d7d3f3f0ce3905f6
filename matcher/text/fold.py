"""Folding: every way of writing a digit, letter or separator becomes the plain one, and what cannot be seen is dropped.

All texts of a batch are folded at once, as UTF-8 bytes laid end to end:

1. Every line end becomes one newline, every NUL a space. A text in ASCII is done.
2. Common Chinese characters (U+4000 to U+9FFF, which begin with the bytes E4 to E9) stay as they are. All others that are not
   ASCII are looked up in one table: each stays, or becomes one ASCII byte, or none.
3. In the lines in which Han digits may belong to a number, such numbers are read (`han_digits`).

The way back to the decoded text is worked out when somebody asks: a character becomes one character or none, so it is a count
of those that were dropped.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache, cached_property

import numpy as np

from matcher.columns.bitset import Bytes, Places, Ranks, begins_character, places, where
from matcher.text.han_digits import WIDE_PLUS, code_points, may_hold_numbers, read_numbers

FILL = "\N{WORD JOINER}"
"""Takes up the room that an escape leaves; folding drops it, and a stretch that ends in an escape ends behind it."""
GONE = "\N{FUNCTION APPLICATION}"
"""Takes up the room of a tag or of a base64 block; folding drops it."""
DROPPED = re.compile(
    "[\u00ad\u034f\u0334-\u0338\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20d0-\u20f0\u2800"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
"""Zero-width, bidi, soft hyphen, variation selectors, Hangul fillers, keycap and other overlays, braille blank."""
HYPHENS = "‐‑‒–—―−⁃﹘﹣－ー─━"
SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
RANGES = ((0x80, 0x4000), (0xA000, 0x20000), (0xE0000, 0xE1000))
"""Where forms of plain characters lie, and what is dropped: the first two planes of Unicode, and tags."""
STRETCH = 64
"""Characters that are looked at together to build the table."""
CODE_POINTS = 0x110000
STAYS, REMOVED = 0, 0xFF
"""In the table of characters; neither is the plain form of any. No byte of UTF-8 is 0xFF."""
LEAD, FIRST_COMMON, COMMON_LEADS = 0xC0, 0xE4, 5
"""The lowest first byte of a character of several; that of a common Chinese one, and the highest, counted from it."""
THREE_BYTES, FOUR_BYTES = 0xE0, 0xF0
"""First bytes from which a character has three, and four."""
SHORT = 1024
"""Bytes up to which a text is folded by itself; measured, it pays up to four times as many."""
LINE_END = 10
"""Bytes up to this one end a line, or are of no number anyway."""
BETWEEN, PADDING = b"\0", b"\0" * 8
"""Between texts, which hold none, and behind the last, so that a character may be read with the bytes behind it."""


def becomes(char: str) -> str:
    """The plain character that `char` is a form of, "" for what is dropped, or `char` itself.

    NFKC misses Arabic-Indic, negative circled and dingbat digits, so `unicodedata.digit` comes first; of hyphens it knows two.

    >>> becomes('❸'), becomes('＠'), becomes('億')
    ('3', '@', '億')
    """
    if DROPPED.match(char):
        return ""
    if char == WIDE_PLUS:
        return char  # a separator of columns, or read with its number
    if char in HYPHENS or char in SPACES:
        return "-" if char in HYPHENS else " "
    digit = unicodedata.digit(char, None)
    if digit is not None:
        return str(digit)
    normal = unicodedata.normalize("NFKC", char)
    return normal if len(normal) == 1 and normal.isascii() else char


@cache
def _table() -> Bytes:
    """By code point: STAYS, REMOVED, or the ASCII character that it becomes. Built once, in some 10 ms."""
    made = np.full(CODE_POINTS, STAYS, np.uint8)
    codes = np.concatenate([np.arange(first, last, dtype="<u4") for first, last in RANGES])
    known = codes.tobytes().decode("utf-32-le", "surrogatepass")
    odd = [*HYPHENS, *SPACES, *DROPPED.findall(known)]
    for begin in range(0, len(known), STRETCH):
        stretch = known[begin : begin + STRETCH]
        if not unicodedata.is_normalized("NFKC", stretch) or any(map(str.isdigit, stretch)):  # most scripts have no other forms
            odd += [char for char in stretch if char.isdigit() or not unicodedata.is_normalized("NFKC", char)]
    for char in odd:
        plain = becomes(char)
        if plain != char:
            made[ord(char)] = ord(plain) if plain else REMOVED
    return made


class Folded:
    """A folded text as UTF-8, `utf8`, and the way back to the decoded one, whose UTF-8 is `body`.

    No other form is made before it is asked for, and most are never asked. Half a surrogate pair stays what it is.
    """

    def __init__(self, utf8: bytes, body: bytes) -> None:
        self.utf8, self.body = utf8, body

    @cached_property
    def text(self) -> str:
        """The folded text."""
        return self.utf8.decode("utf-8", "surrogatepass")

    @cached_property
    def original(self) -> str:
        """The decoded text before folding."""
        return self.body.decode("utf-8", "surrogatepass")

    @property
    def is_unchanged(self) -> bool:
        """Whether folding left the text as it was."""
        return self.utf8 == self.body

    @cached_property
    def drops(self) -> Places:
        """For each dropped character, ascending, how many kept ones stand before it: i64[n]."""
        if len(self.text) == len(self.original):
            return np.empty(0, np.int64)
        codes = np.frombuffer(self.original.encode("utf-32-le", "surrogatepass"), np.uint32)
        dropped = _table().take(codes) == REMOVED
        dropped[:-1] |= (codes[:-1] == ord("\r")) & (codes[1:] == ord("\n"))
        places = np.flatnonzero(dropped)
        return places - np.arange(len(places))

    def origin(self, place: int) -> int:
        """Offset in the decoded text of the character at `place` in the folded one."""
        return place + int(np.searchsorted(self.drops, place, "right")) if len(self.drops) else place

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Offsets in the decoded text of the folded stretch [start, end)."""
        if end <= start:
            return self.origin(start), self.origin(start)
        last = self.origin(end - 1) + 1
        while last < len(self.original) and self.original[last] == FILL:  # the room of the escape that its last character was
            last += 1
        return self.origin(start), last

    def chars(self, places: Sequence[int] | Places) -> Places:
        """Character offsets in `text` of byte offsets in `utf8`, 0 to its length; within a character, that of the next one."""
        at = np.asarray(places, np.int64)
        return at if self.utf8.isascii() else self._characters.of(at)

    @cached_property
    def _characters(self) -> Ranks:
        """Where characters begin."""
        return Ranks(where(np.frombuffer(self.utf8, np.uint8), begins_character))


def fold(text: str) -> Folded:
    """`text` folded; linear. A short one, as a title, is folded character by character: calls of numpy cost more than that."""
    body = text.encode("utf-8", "surrogatepass")
    if len(body) > SHORT or body.isascii():
        return fold_all([body])[0]
    plain = read_numbers(_with_plain_lines(body).decode("utf-8", "surrogatepass").translate(_plain_forms()))
    return Folded(plain.encode("utf-8", "surrogatepass"), body)


class _PlainForms(dict[int, str]):
    """What characters become, by code point, as they are asked for."""

    def __missing__(self, code: int) -> str:
        self[code] = plain = becomes(chr(code)) if any(first <= code < last for first, last in RANGES) else chr(code)
        return plain


@cache
def _plain_forms() -> _PlainForms:
    return _PlainForms()


def fold_all(bodies: Sequence[bytes]) -> list[Folded]:
    """Each of `bodies`, which are UTF-8, folded."""
    texts = [_with_plain_lines(body) for body in bodies]
    if wide := [number for number, text in enumerate(texts) if not text.isascii()]:
        for number, folded in zip(wide, _with_plain_characters([texts[number] for number in wide]), strict=True):
            texts[number] = folded
    return [Folded(body if text == body else text, body) for text, body in zip(texts, bodies, strict=True)]


def _with_plain_lines(body: bytes) -> bytes:
    """`body` with a newline for each line end, whatever it was, and a space for a NUL."""
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return body.replace(b"\0", b" ")


def _with_plain_characters(texts: list[bytes]) -> list[bytes]:
    """Each of `texts`, none of them ASCII alone, with every form of a plain character replaced."""
    data = np.frombuffer(BETWEEN.join((*texts, PADDING)), np.uint8)
    place = _special(data)
    becomes = _table().take(code_points(data, place))
    changes = np.flatnonzero(becomes != STAYS)
    if len(changes):
        place = place[changes]
        first, made = data[place], data.copy()
        made[place] = becomes[changes]
        made[place + 1] = REMOVED
        made[place[first >= THREE_BYTES] + 2] = REMOVED
        made[place[first >= FOUR_BYTES] + 3] = REMOVED
        data = made[made != REMOVED]
    near = may_hold_numbers(data)
    if not len(changes) and not len(near):
        return texts
    whole = _with_numbers(data, near) if len(near) else data.tobytes()
    return whole[: -len(PADDING) - 1].split(BETWEEN)


MANY = 4
"""So small a part of all are lines that are better read by themselves."""


def _with_numbers(data: Bytes, near: Places) -> bytes:
    """`data` with numbers in Han digits read in the lines that hold one of the places `near`: none goes across lines."""
    ends = places(where(data, lambda part: part <= LINE_END))
    line = np.unique(np.searchsorted(ends, near))
    starts, ends = np.append(0, ends + 1)[line], ends[line]
    whole, copied, made = data.tobytes(), 0, list[bytes]()
    if int((ends - starts).sum()) > len(data) // MANY:
        return read_numbers(whole.decode("utf-8", "surrogatepass")).encode("utf-8", "surrogatepass")
    lines = [whole[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    read = read_numbers(b"\n".join(lines).decode("utf-8", "surrogatepass")).encode("utf-8", "surrogatepass").split(b"\n")
    for start, end, plain in zip(starts.tolist(), ends.tolist(), read, strict=True):
        made += [whole[copied:start], plain]
        copied = end
    return b"".join([*made, whole[copied:]])


def _special(data: Bytes) -> Places:
    """Where a character begins that is neither ASCII nor a common Chinese one: i64[n]."""
    return places(where(data, lambda part: (part >= LEAD) > (part - np.uint8(FIRST_COMMON) <= COMMON_LEADS)))


def fit(plain: str, room: int, filling: str = FILL) -> str:
    """`plain` and filling, `room` characters in all."""
    return plain + filling * (room - len(plain))
