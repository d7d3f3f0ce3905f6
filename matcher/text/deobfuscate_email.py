"""Addresses whose signs are spelt out: `a[at]b[dot]com`, `a (at) b.com`, `a.b at c dot com`; made plain in place.

`at` without brackets is a word, so the domain behind it must end like one, and either its dots are spelt out as well or the word
before holds what prose has not: a digit, dot, underscore, plus or hyphen.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matcher.text.fold import FILL, Codes, codes_of, fit, text_of

OPENING, CLOSING = "[({（【［", "])}）】］"
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
BESIDE = frozenset(("_", "-", "+", FILL))
"""What may stand beside a sign of an address, other than letters and digits."""
SPACE = ord(" ")
ROOM = 8
"""Characters from an opening bracket to behind its sign, at most."""
Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Signs(NamedTuple):
    """Spelt signs by place: characters [start, end) with a space on either side, and whether each is a dot; i64[n], bool[n]."""

    start: Places
    end: Places
    is_dot: Flags


def reveal(text: str, codes: Codes | None = None) -> str:
    """`text` (and its `codes`, where they are at hand) with such signs made plain, exactly as long as before."""
    codes = codes_of(text) if codes is None else codes
    openings = _openings(codes)
    return _words(_plain(text, codes, _signs(codes, openings)) if len(openings) else text)


def _signs(codes: Codes, place: Places) -> Signs:
    """The signs that begin with the opening brackets at `place` and join two words."""
    padded = np.concatenate((codes, np.zeros(ROOM, codes.dtype)))  # so that what stands behind the last may be asked for
    word = place + 1
    word += padded[word] == SPACE
    one, two, three = padded[word], padded[word + 1], padded[word + 2]
    is_dot = _spells(one, "dD") & _spells(two, "o") & _spells(three, "t")
    is_dot |= _spells(one, "D") & _spells(two, "O") & _spells(three, "T")
    is_at = (_spells(one, "aA") & _spells(two, "t")) | (_spells(one, "A") & _spells(two, "T"))
    size = np.select((is_dot, is_at, _spells(one, "@＠")), (3, 2, 1), 0)
    close = word + size
    close += padded[close] == SPACE
    end = close + 1
    start = place - (codes[place - 1] == SPACE)
    end += padded[end] == SPACE
    joins = (size > 0) & _spells(padded[close], CLOSING) & (start > 0)
    joins &= _may_join(codes[start - 1]) & _may_join(padded[end])
    return Signs(start[joins], end[joins], is_dot[joins])


def _openings(codes: Codes) -> Places:
    """Where an opening bracket stands before what a sign may begin with."""
    is_opening = np.zeros(max(0, len(codes) - 1), bool)
    for char in OPENING:
        if ord(char) <= np.iinfo(codes.dtype).max:
            is_opening |= codes[:-1] == ord(char)
    places = np.flatnonzero(is_opening)
    return places[_spells(codes[places + 1], SECOND)]


def _spells(codes: Codes, chars: str) -> Flags:
    """Which of `codes` are one of `chars`."""
    return np.isin(codes, [ord(char) for char in chars])


def _may_join(codes: Codes) -> Flags:
    """Which characters may stand beside a sign of an address."""
    different, number = np.unique(codes, return_inverse=True)
    joins = np.array([char.isalnum() or char in BESIDE for char in map(chr, different.tolist())], bool)
    return joins[number]


def _plain(text: str, codes: Codes, found: Signs) -> str:
    """`text` with the signs made plain, and FILL behind each, up to its end."""
    if not len(found.start):
        return text
    made = codes.astype(np.promote_types(codes.dtype, np.uint16))
    made[found.start] = np.where(found.is_dot, ord("."), ord("@"))
    size = found.end - found.start
    for behind in range(1, int(size.max())):
        made[found.start[size > behind] + behind] = ord(FILL)
    return text_of(made)


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
