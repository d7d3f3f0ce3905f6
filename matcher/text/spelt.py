"""Addresses whose signs are spelt out: `a[at]b[dot]com`, `a (at) b.com`, `a.b at c dot com`; made plain in place.

`at` without brackets is a word, so the domain behind it must end like one, and either its dots are spelt out as well or the word
before holds what prose has not: a digit, dot, underscore, plus or hyphen.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from matcher.text.codes import FILL, Codes, codes_of, fit

OPENING, CLOSING = "[({（【［", "])}）】］"
SIGN = re.compile(rf"[{re.escape(OPENING)}] ?(?:at|AT|At|dot|DOT|Dot|@|＠) ?[{re.escape(CLOSING)}]")
SECOND = "aAdD@＠ "
"""What stands behind the opening bracket of such a sign."""
AT = re.compile(" at ")
DOMAIN = re.compile(
    r"[A-Za-z0-9\-]{1,63}+(?:(?:[.．]| dot )[A-Za-z0-9\-]{1,63}+){0,4}(?:[.．]| dot )[A-Za-z]{2,24}(?![A-Za-z0-9\-])"
)
LOCAL = re.compile(r"[A-Za-z0-9._%+\-]{1,64}\Z")
NO_WORD = re.compile(r"[0-9._+\-]")
SPELT_DOT = re.compile(" dot ")
LONGEST_LOCAL = 64


def reveal(text: str, codes: Codes | None = None) -> str:
    """`text` (and its `codes`, where they are at hand) with such signs made plain, exactly as long as before."""
    places = _openings(codes_of(text) if codes is None else codes).tolist()
    found = [m.span() for place in places if (m := SIGN.match(text, place))]
    return _words(_signs(text, found) if found else text)


def _openings(codes: Codes) -> npt.NDArray[np.int64]:
    """Where an opening bracket stands before what a sign may begin with."""
    is_opening = np.zeros(max(0, len(codes) - 1), bool)
    for char in OPENING:
        if ord(char) <= np.iinfo(codes.dtype).max:
            is_opening |= codes[:-1] == ord(char)
    places = np.flatnonzero(is_opening)
    return places[np.isin(codes[places + 1], [ord(char) for char in SECOND])]


def _signs(text: str, found: list[tuple[int, int]]) -> str:
    """The signs at the places `found` made plain, with a space on either side, where they join two words."""
    made, copied = [], 0
    for first, last in found:
        start = first - (text[first - 1 : first] == " ")
        end = last + (text[last : last + 1] == " ")
        if start > copied and _joins(text[start - 1]) and _joins(text[end : end + 1]):
            made += [text[copied:start], fit("." if "o" in text[first:last].lower() else "@", end - start)]
            copied = end
    return "".join([*made, text[copied:]])


def _joins(char: str) -> bool:
    """Whether a character may stand beside a sign of an address."""
    return char.isalnum() or char in tuple("_-+" + FILL)


def _words(text: str) -> str:
    """`text` with the words `at` and `dot` made plain where they stand in an address."""
    made, copied = [], 0
    for place in (match.start() for match in AT.finditer(text)):
        domain = DOMAIN.match(text, place + 4)
        if domain is None or place < copied:
            continue
        local = LOCAL.search(text[max(0, place - LONGEST_LOCAL) : place])
        if local and (" " in domain.group() or NO_WORD.search(local.group())):
            made += [text[copied:place], fit("@", 4), SPELT_DOT.sub(fit(".", 5), domain.group())]
            copied = domain.end()
    return "".join([*made, text[copied:]]) if made else text
