"""Digits written in Han characters, and look-alikes of a resident ID's X: read only where they stand in a number.

一二三 is a word and 壹 a name, so Han digits become plain ones in a run of at least seven digits alone, Han or plain, with at
most one space, dash or dot between two of them. The Han digits before and after a number that is whole without them stay
(张三13800138000, 13800138000一手).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from matcher.text.codes import Codes

WRITTEN = (
    *("零〇洞○◯", "一壹壱弌幺么〡", "二贰貳弍弐两兩〢", "三叁參叄弎〣", "四肆〤"),
    *("五伍〥", "六陆陸〦", "七柒漆拐〧", "八捌〨", "九玖勾〩"),
)
"""Each digit: common, financial and radio readings, Suzhou numerals."""
DIGITS = {han: digit for digit, written in enumerate(WRITTEN) for han in written}
SEPARATORS = " -."
SHORTEST_RUN = 7
WHOLE_NUMBER = 11
X_ALIKE = "ХхΧχ×✕✖✗✘╳⨉⨯"
"""Cyrillic, Greek, multiplication and ballot signs that pass for an X."""
GROUPINGS = ("dddddddddddddddddX", "dddddd dddddddd dddX", "dddddd dddddddd ddd X")
"""Where the seventeen digits and the separators of a resident ID stand before its X."""
Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Classes = npt.NDArray[np.uint8]


DIGIT, SEPARATOR, HAN, X, VALUE = 128, 64, 32, 16, 15
"""Bits of a character's class: a digit of either script, a separator, a Han digit, an X look-alike; and the digit's value."""
ZERO = 48


@cache
def class_of(char: str) -> int:
    """The class of a folded character; 0 for most."""
    if char in DIGITS:
        return DIGIT | HAN | DIGITS[char]
    if "0" <= char <= "9":
        return DIGIT | int(char)
    return SEPARATOR * (char in SEPARATORS) | X * (char in X_ALIKE)


def read_numbers(codes: Codes, classes: Classes) -> Codes:
    """`codes` of a folded text with Han digits and X look-alikes replaced where they stand in a number; a copy if any do.

    `classes` u8[n] is each character's class.
    """
    if ((classes & HAN) != 0).any():
        codes = _runs_read(codes, classes)
    alike = np.flatnonzero(classes == X)
    return _x_read(codes, alike) if len(alike) else codes


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
    run = np.repeat(np.arange(len(first)), size)
    member = np.arange(len(run)) - np.repeat(np.cumsum(size) - size - first, size)
    chosen = digit[member[_inside(member, run, han[member], size) & han[member]]]
    codes = codes.copy()
    codes[chosen] = (classes[chosen] & VALUE) + ZERO
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


def _inside(member: Places, run: Places, han: Flags, size: Places) -> Flags:
    """Whether each digit of the runs is read: all of a run, or of its middle between plain digits where that is a whole number.

    `member` and `run` i64[m]: each digit's place and the number of its run; `size` i64[runs].
    """
    starts = np.cumsum(size) - size
    first_plain = np.minimum.reduceat(np.where(han, np.iinfo(np.int64).max, member), starts)
    last_plain = np.maximum.reduceat(np.where(han, -1, member), starts)
    middle = last_plain - first_plain + 1
    middle[last_plain < 0] = 0
    only_middle = (middle >= SHORTEST_RUN) & ~((middle < WHOLE_NUMBER) & (size >= WHOLE_NUMBER))
    return ~only_middle[run] | ((member >= first_plain[run]) & (member <= last_plain[run]))


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
