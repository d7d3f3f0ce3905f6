"""What each character becomes: the plain one that it is a form of, or nothing where it cannot be seen.

Measured facts behind the tables: NFKC misses Arabic-Indic, negative circled and dingbat digits, so `unicodedata.digit` comes
first; hyphens other than two, and Han digits, need tables of their own.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import NamedTuple

import numpy as np

from matcher.text.codepoints import FILL, Codes
from matcher.text.han_digits import WIDE_PLUS, Classes, class_of

DROP = re.compile(
    "[\u00ad\u034f\u0334-\u0338\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20d0-\u20f0\u2800"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
"""Zero-width, bidi, soft hyphen, variation selectors, Hangul fillers, keycap and other overlays, braille blank."""
HYPHENS = "‐‑‒–—―−⁃﹘﹣－ー─━"
SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
RANGES = ((0, 0x20000), (0xE0000, 0xE1000))
"""Where forms of plain characters lie, and what is dropped: the first two planes of Unicode, and tags."""
DROPPED = ord(FILL)
"""Stands in the tables for what is dropped; it is itself."""
BASIC = 1 << 16
"""Code points below this fit 16 bits."""
WINDOW = 1 << 15
"""Characters a step: their places in the tables stay in the processor's cache."""


def becomes(char: str) -> str:
    """The plain character that `char` is a form of, "" for what is dropped, or `char` itself.

    >>> becomes('❸'), becomes('＠'), becomes('億')
    ('3', '@', '億')
    """
    if DROP.match(char):
        return ""
    if char == WIDE_PLUS:
        return char  # a separator of columns, or read with its number
    if char in "\r\0":
        return "\n" if char == "\r" else " "
    if char in HYPHENS or char in SPACES:
        return "-" if char in HYPHENS else " "
    digit = unicodedata.digit(char, None)
    if digit is not None:
        return str(digit)
    normal = unicodedata.normalize("NFKC", char)
    return normal if len(normal) == 1 and normal.isascii() else char


class Tables(NamedTuple):
    """By code point below 2^16 or 0x110000: the code that it becomes, DROPPED for nothing, and the class of that."""

    plain: Codes
    classes: Classes


@cache
def tables(size: int) -> Tables:
    """Built once, in some 80 ms."""
    made = Tables(np.arange(size, dtype=np.uint16 if size <= BASIC else np.uint32), np.zeros(size, np.uint8))
    known = 0
    if size > BASIC:
        known = BASIC
        made.plain[:known], made.classes[:known] = tables(BASIC)
    for first, last in RANGES:
        for code in range(max(first, known), min(last, size)):
            plain = becomes(chr(code)) or FILL
            made.plain[code], made.classes[code] = ord(plain), class_of(plain)
    return made


def look_up(codes: Codes) -> tuple[Codes, Classes]:
    """What each of `codes` becomes, and its class: two arrays as long as it."""
    plain, classes = np.empty_like(codes), np.empty(len(codes), np.uint8)
    table = tables(BASIC if codes.itemsize == 2 else 0x110000)
    for first in range(0, len(codes), WINDOW):
        part = slice(first, first + WINDOW)
        index = codes[part].astype(np.intp)
        table.plain.take(index, out=plain[part])
        table.classes.take(index, out=classes[part])
    return plain, classes
