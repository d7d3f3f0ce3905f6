"""Folding: every way of writing a digit, letter or separator becomes the plain one, and what cannot be seen is dropped.

`str.translate` does it in C: one character becomes one character, or none. So the way back is a count of dropped characters,
and not a map a character. Measured facts behind the table: NFKC misses Arabic-Indic, negative circled and dingbat digits, so
`unicodedata.digit` comes first; hyphens other than two, and Han digits, need tables of their own.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from matcher.text.unescape import FILL

DROPPED = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20e3\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\U000e0000-\U000e0fff"
)
"""Zero-width, bidi, soft hyphen, variation selectors, Hangul fillers, keycap, braille blank."""
HYPHENS = "‐‑‒–—―−⁃﹘﹣－─"
SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
RANGES = ((0x80, 0x10000), (0x104A0, 0x104AA), (0x1D400, 0x1D800), (0x1F100, 0x1F130), (0x1FBF0, 0x1FBFA))
HAN_DIGITS = dict(
    zip("零〇一二三四五六七八九壹贰貳叁參肆伍陆陸柒捌玖幺么两兩洞拐勾", "001234567891223345667891122079", strict=True)
)
HAN_RUN = re.compile(rf"[0-9{''.join(HAN_DIGITS)}](?:[ \-.]?[0-9{''.join(HAN_DIGITS)}]){{6,}}")
HAN_ENDS = "".join(HAN_DIGITS) + " -."
SHORTEST_RUN = 7
WHOLE_NUMBER = 11
DROP = re.compile(f"[{DROPPED}]")
CRLF = re.compile("\r\n")
"""One line end, not two: its first half is dropped."""


@dataclass(frozen=True, slots=True)
class Folded:
    """Folded `text` and the way back: `drops` holds, for each dropped character, how many kept ones stand before it."""

    text: str
    original: str
    drops: npt.NDArray[np.int64]

    def origin(self, place: int) -> int:
        """Offset in the decoded text of the character at `place` in the folded one."""
        return place + int(np.searchsorted(self.drops, place, "right"))

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Offsets in the decoded text of the folded stretch [start, end)."""
        if end <= start:
            return self.origin(start), self.origin(start)
        last = self.origin(end - 1) + 1
        while last < len(self.original) and self.original[last] == FILL:  # the room of the escape that its last character was
            last += 1
        return self.origin(start), last


@cache
def _table() -> dict[int, str | None]:
    """What each character becomes; None drops it. Built once, in about 20 ms."""
    table: dict[int, str | None] = {}
    for first, last in RANGES:
        for code in range(first, last):
            plain = _plain(chr(code))
            if plain != chr(code):
                table[code] = plain
    table.update(dict.fromkeys(map(ord, HYPHENS), "-"))
    table.update(dict.fromkeys(map(ord, SPACES), " "))
    table.update({ord("\r"): "\n", 0: " "})
    for code in (*range(0x80, 0x10000), *range(0xE0000, 0xE1000)):
        if DROP.match(chr(code)):
            table[code] = None
    return table


def _plain(char: str) -> str:
    """The ASCII character that `char` is a form of, or itself."""
    digit = unicodedata.digit(char, None)
    if digit is not None:
        return str(digit)
    normal = unicodedata.normalize("NFKC", char)
    return normal if len(normal) == 1 and normal.isascii() else char


def fold(text: str) -> Folded:
    """Fold `text`; linear, and free for plain ASCII."""
    if text.isascii():
        places = np.fromiter((m.start() for m in CRLF.finditer(text)), np.int64)
        plain = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", " ")
        return Folded(plain, text, places - np.arange(len(places)))
    lined = text.replace("\r\n", f"{FILL}\n")
    places = np.fromiter((m.start() for m in DROP.finditer(lined)), np.int64)
    folded = lined.translate(_table())
    if any(digit in folded for digit in HAN_DIGITS):
        folded = HAN_RUN.sub(_han_run, folded)
    return Folded(folded, text, places - np.arange(len(places)))


def _han_run(match: re.Match[str]) -> str:
    """Digits of a long run, Han or plain; short runs are words (一二三) and stay.

    So do those before and after a number that is whole without them: 张三13800138000, 13800138000一手.
    """
    run = match.group()
    if run.isascii():
        return run
    core = run.strip(HAN_ENDS)
    inner, whole = _digits(core), _digits(run)
    if inner >= SHORTEST_RUN and not inner < WHOLE_NUMBER <= whole:
        head = run.index(core)
        return run[:head] + _plain_digits(core) + run[head + len(core) :]
    return _plain_digits(run)


def _digits(text: str) -> int:
    return sum(char in HAN_DIGITS or char.isdigit() for char in text)


def _plain_digits(text: str) -> str:
    return "".join(HAN_DIGITS.get(char, char) for char in text)
