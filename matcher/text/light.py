"""Folding texts in which nothing is dropped and no number is written in Han digits: nearly all, at a fraction of the cost.

Characters that are not ASCII are looked up, and only those that become another are replaced. Whether a number may be written in
Han digits, or end in what looks like an X, is told from their neighbours, on the safe side; such a text is folded as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from matcher.text.codes import BETWEEN, Codes, codes_of, holding, text_of
from matcher.text.fold import Folded
from matcher.text.han import HAN, PLUS, SEPARATORS, SHORTEST_RUN, Places, X
from matcher.text.plain import BASIC, DROPPED, tables

CHANGED, GONE = 128, 64
"""Beside HAN, X and PLUS: a character that becomes another, and one that is dropped."""
WINDOW = 1 << 15
ZERO = 48
Kinds = npt.NDArray[np.uint8]


def fold_lightly(texts: Sequence[str], bodies: Sequence[bytes]) -> list[Folded | None]:
    """Each of `texts`, whose UTF-8 is in `bodies`, folded as `fold` does, or None where that takes more than a look-up."""
    none = np.empty(0, np.int64)
    read: list[Folded | None] = [
        Folded(text, text, none, body) if text.isascii() and b"\r" not in body and b"\0" not in body else None
        for text, body in zip(texts, bodies, strict=True)
    ]
    wide = [n for n, text in enumerate(texts) if not text.isascii() and b"\r" not in bodies[n] and b"\0" not in bodies[n]]
    if not wide:
        return read
    codes, start = codes_of(BETWEEN.join(["", *(texts[n] for n in wide), ""])), _starts([len(texts[n]) for n in wide])
    codes, changed, heavy = _replaced(codes)
    is_changed, is_heavy = holding(changed, start), holding(heavy, start)
    whole = text_of(codes) if is_changed.any() else ""
    for n, first, differs, bad in zip(wide, start.tolist(), is_changed.tolist(), is_heavy.tolist(), strict=True):
        if not bad:
            text = texts[n]
            read[n] = Folded(whole[first : first + len(text)], text, none) if differs else Folded(text, text, none, bodies[n])
    return read


def _starts(lengths: Sequence[int]) -> Places:
    """Where texts of these lengths begin that stand in a row, with one character before each."""
    length = np.array(lengths, np.int64) + 1
    return np.cumsum(length) - length + 1


def _replaced(codes: Codes) -> tuple[Codes, Places, Places]:
    """The codes with one for each that becomes another, where these are, and places that need more than that."""
    places, kinds = special(codes)
    changed = places[(kinds & CHANGED) != 0]
    if len(changed):
        codes = codes.copy()
        codes[changed] = tables(BASIC if codes.itemsize == 2 else 0x110000).plain[codes[changed]]
    han, alike, plus = (places[(kinds & kind) != 0] for kind in (HAN, X, PLUS))
    heavy = (
        places[(kinds & GONE) != 0],
        han[_is_in_number(codes, han)],
        alike[_may_end_number(codes, alike)],
        plus[_is_digit(codes, plus + 1)],
    )
    return codes, changed, np.concatenate(heavy)


def special(codes: Codes) -> tuple[Places, Kinds]:
    """Where characters stand that folding may do something about, and their kinds."""
    table = _kinds(BASIC if codes.itemsize == 2 else 0x110000)
    found, kinds = [], []
    for first in range(0, len(codes), WINDOW):
        part = codes[first : first + WINDOW]
        wide = np.flatnonzero(part >= 0x80)
        kind = table.take(part[wide].astype(np.intp))
        special = np.flatnonzero(kind)
        found.append(wide[special] + first)
        kinds.append(kind[special])
    return np.concatenate(found), np.concatenate(kinds)


def _is_in_number(codes: Codes, han: Places) -> npt.NDArray[np.bool_]:
    """Which Han digits, at `han`, may be of a long run: begin seven of themselves, or stand beside a plain one."""
    linked = np.diff(han)
    linked = (linked == 1) | ((linked == 2) & _is_separator(_at(codes, han[:-1] + 1)))
    three = linked[:-2] & linked[1:-1] & linked[2:]
    may_be = np.zeros(len(han), bool)
    may_be[: 1 - SHORTEST_RUN] = three[:-3] & three[3:]
    for side in (-1, 1):
        may_be |= _is_digit(codes, han + side)
        parted = np.flatnonzero(_is_separator(_at(codes, han + side)))
        may_be[parted] |= _is_digit(codes, han[parted] + 2 * side)
    return may_be


def _may_end_number(codes: Codes, alike: Places) -> npt.NDArray[np.bool_]:
    """Which look-alikes of an X, at `alike`, stand behind five digits or a group of three; one separator may lie between."""
    ends = np.zeros(len(alike), bool)
    for gap in (0, 1):
        digits = [_is_digit(codes, alike - gap - back) for back in range(1, 6)]
        group = (digits[3] & digits[4]) | _is_separator(_at(codes, alike - gap - 4))
        ends |= digits[0] & digits[1] & digits[2] & group & (_is_separator(_at(codes, alike - 1)) if gap else True)
    return ends


def _is_digit(codes: Codes, places: Places) -> npt.NDArray[np.bool_]:
    """Whether a plain digit stands at each place."""
    digit: npt.NDArray[np.bool_] = _at(codes, places) - codes.dtype.type(ZERO) < 10
    return digit


def _is_separator(codes: Codes) -> npt.NDArray[np.bool_]:
    first, second, third = (codes == ord(sign) for sign in SEPARATORS)
    separator: npt.NDArray[np.bool_] = first | second | third
    return separator


def _at(codes: Codes, places: Places) -> Codes:
    """The code at each place; what is outside is as the first or the last one, which are BETWEEN."""
    return codes[np.clip(places, 0, len(codes) - 1)]


@cache
def _kinds(size: int) -> Kinds:
    """The kind of each character below `size`, 0 for all that stays as it is whatever stands beside it."""
    table = tables(size)
    made = table.classes & np.uint8(HAN | X)
    made[table.classes == PLUS] |= PLUS
    changed = table.plain != np.arange(size)
    made[changed] |= CHANGED
    made[changed & (table.plain == DROPPED)] |= GONE
    made[DROPPED] |= GONE
    return made
