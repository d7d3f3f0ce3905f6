"""Digits written in Han characters, and look-alikes of a resident ID's X: read only where they stand in a number.

一二三 is a word and 壹 a name, so Han digits become plain ones in a run of at least seven digits alone, Han or plain, with at
most one space, dash or dot between two of them. Those before and after a plain number that is whole without them stay
(张三13800138000, 13800138000一手).

A full-width plus is one where a number begins (＋８６…); elsewhere it parts columns, while a plain one may stand in an address.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from matcher.text.codepoints import Codes

WRITTEN = (
    *("零〇洞○◯", "一壹壱弌幺么〡", "二贰貳弍弐两兩〢", "三叁參叄弎〣", "四肆〤"),
    *("五伍〥", "六陆陸〦", "七柒漆拐〧", "八捌〨", "九玖勾〩"),
)
"""Each digit: common, financial and radio readings, Suzhou numerals."""
DIGITS = {han: digit for digit, written in enumerate(WRITTEN) for han in written}
SEPARATORS = " -."
SHORTEST_RUN = 7
WHOLE_NUMBER = 11
WIDE_PLUS = "＋"
X_ALIKE = "ХхΧχ×✕✖✗✘╳⨉⨯"
"""Cyrillic, Greek, multiplication and ballot signs that pass for an X."""
GROUPINGS = ("dddddddddddddddddX", "dddddd dddddddd dddX", "dddddd dddddddd ddd X")
"""Where the seventeen digits and the separators of a resident ID stand before its X."""
Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Classes = npt.NDArray[np.uint8]


DIGIT, SEPARATOR, HAN, X, VALUE = 128, 64, 32, 16, 15
"""Bits of a character's class: a digit of either script, a separator, a Han digit, an X look-alike; and the digit's value."""
PLUS = 1
"""The class of a full-width plus."""
ZERO = 48


@cache
def class_of(char: str) -> int:
    """The class of a folded character; 0 for most."""
    if char in DIGITS:
        return DIGIT | HAN | DIGITS[char]
    if "0" <= char <= "9":
        return DIGIT | int(char)
    return SEPARATOR * (char in SEPARATORS) | X * (char in X_ALIKE) | PLUS * (char == WIDE_PLUS)


def read_numbers(codes: Codes, classes: Classes) -> Codes:
    """`codes` of a folded text with Han digits and X look-alikes replaced where they stand in a number; a copy if any do.

    `classes` u8[n] is each character's class.
    """
    if ((classes & HAN) != 0).any():
        codes = _runs_read(codes, classes)
    plus = np.flatnonzero(classes == PLUS)
    codes = _plus_read(codes, plus) if len(plus) else codes
    alike = np.flatnonzero(classes == X)
    return _x_read(codes, alike) if len(alike) else codes


def _plus_read(codes: Codes, plus: Places) -> Codes:
    """A plain plus for each full-width one, at the places `plus`, that a digit follows and no letter or digit precedes."""
    before, behind = codes[np.maximum(plus - 1, 0)], codes[np.minimum(plus + 1, len(codes) - 1)]
    is_digit = before - before.dtype.type(48) < 10
    is_letter = (before | 32) - before.dtype.type(97) < 26
    begins = (behind - behind.dtype.type(48) < 10) & ~(is_digit | is_letter)
    codes = codes.copy()
    codes[plus[begins]] = ord("+")
    return codes


def _runs_read(codes: Codes, classes: Classes) -> Codes:
    """Long runs made plain."""
    stretch = _in_long_stretch(classes)
    if not (stretch & ((classes & HAN) != 0)).any():
        return codes
    digit = np.flatnonzero(stretch & (classes >= DIGIT))
    first, after = _long_runs(digit, stretch)
    han = (classes[digit] & HAN) != 0
    counted = np.concatenate(([0], np.cumsum(han)))
    mixed = counted[after] > counted[first]
    first, after = first[mixed], after[mixed]
    if not len(first):
        return codes
    size = after - first
    members = np.repeat(first - np.cumsum(size) + size, size) + np.arange(size.sum())
    read = ~_is_whole_without(han[members], size)
    members = members[np.repeat(read, size)]
    places = digit[members[han[members]]]
    codes = codes.copy()
    codes[places] = (classes[places] & VALUE) + ZERO
    return codes


def _in_long_stretch(classes: Classes) -> Flags:
    """Where at least seven characters in a row are digits, or a separator between two of them."""
    member = classes >= DIGIT
    between = member[:-2] & member[2:] & ((classes[1:-1] & SEPARATOR) != 0)
    member[1:-1] |= between
    three = member.copy()
    three[2:] &= member[1:-1] & member[:-2]  # the last of three
    seven = three.copy()
    seven[4:] &= three[2:-2] & three[:-4]
    seven[:6] = False  # the last of seven
    spread = seven.copy()
    for back in range(1, SHORTEST_RUN):
        spread[:-back] |= seven[back:]
    return spread


def _long_runs(digit: Places, stretch: Flags) -> tuple[Places, Places]:
    """Runs of at least seven digits, as places in `digit` (where they stand in the text): first, and one after last."""
    breaks = np.flatnonzero(~stretch[digit[:-1] + 1]) + 1  # nothing that belongs to a stretch follows
    first, after = np.concatenate(([0], breaks)), np.concatenate((breaks, [len(digit)]))
    long = after - first >= SHORTEST_RUN
    return first[long], after[long]


def _is_whole_without(han: Flags, size: Places) -> Flags:
    """Whether the Han digits of each run all stand before or after plain digits that are a number without them: bool[runs].

    `han` bool[digits of all runs]; `size` i64[runs], how many are each run's.
    """
    starts = np.cumsum(size) - size
    place = np.arange(len(han))
    first_plain = np.minimum.reduceat(np.where(han, len(han), place), starts)
    last_plain = np.maximum.reduceat(np.where(han, -1, place), starts)
    middle = np.maximum(last_plain - first_plain + 1, 0)
    plain = size - np.add.reduceat(han.astype(np.int64), starts)
    is_part = (middle < WHOLE_NUMBER) & (size >= WHOLE_NUMBER)
    return np.asarray((middle == plain) & (middle >= SHORTEST_RUN) & ~is_part)


def _x_read(codes: Codes, alike: Places) -> Codes:
    """An X for each look-alike, at the places `alike`, that ends seventeen digits, grouped or not."""
    found = [alike[_ends(codes, alike, grouping)] for grouping in GROUPINGS]
    codes = codes.copy()
    codes[np.concatenate(found)] = ord("X")
    return codes


def _ends(codes: Codes, places: Places, grouping: str) -> Places:
    """Which of `places` end a number that is grouped so, by one separator throughout; nothing is glued before or behind."""
    kept = np.flatnonzero(places >= len(grouping) - 1)
    sign = None
    for back, expected in enumerate(reversed(grouping)):
        if expected == "X":
            continue
        there = codes[places[kept] - back]
        if expected == "d":
            kept = kept[there - there.dtype.type(48) < 10]
        elif sign is None:
            kept = kept[np.isin(there, [ord(s) for s in SEPARATORS])]
            sign = back
        else:
            kept = kept[there == codes[places[kept] - sign]]
    return kept
