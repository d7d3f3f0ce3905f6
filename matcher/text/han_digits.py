"""Digits written in Han characters, and look-alikes of a resident ID's X: read only where they stand in a number.

一二三 is a word and 壹 a name, so Han digits become plain ones in a run of at least seven digits alone, Han or plain, with at
most one space, dash or dot between two of them. Those before and after a plain number that is whole without them stay
(张三13800138000, 13800138000一手).

A full-width plus is one where a number begins (＋８６…); elsewhere it parts columns, while a plain one may stand in an address.

Few texts hold any such number, and most prose holds single Han digits. So `may_hold_numbers` says, from the bytes of many texts,
which of them `read_numbers` must look at character by character.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from matcher.columns.bitset import DASH, SPACE, is_digit, places, where
from matcher.columns.ragged import ranges

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
Codes = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

DIGIT, SEPARATOR, HAN, X, PLUS, VALUE = 128, 64, 32, 16, 1, 15
"""Classes of characters, as bits: a digit of either script, a separator, a Han digit, an X look-alike; the class of a full-width
plus; and the bits that hold a digit's value."""
ZERO, NINE = 48, 57
FIRST_WIDE, LAST_CODE = 0x80, 0xFFFF
"""The lowest byte that is not ASCII; code points from the last on are of no class."""
HAN_SIZE, STEP, SAMPLE = 3, 16, 6
"""Bytes of a Han digit. Of a run, which has 21 bytes or more, at least SAMPLE stand behind its first multiple of STEP."""


@cache
def _classes() -> Bytes:
    """The class of each folded character, by code point; 0 for most."""
    made = np.zeros(LAST_CODE + 1, np.uint8)
    made[[ord(sign) for sign in SEPARATORS]] = SEPARATOR
    made[[ord(sign) for sign in X_ALIKE]] = X
    made[ord(WIDE_PLUS)] = PLUS
    made[ZERO : ZERO + 10] = DIGIT | np.arange(10)
    for char, value in DIGITS.items():
        made[ord(char)] = DIGIT | HAN | value
    return made


def may_hold_numbers(data: Bytes) -> Places:
    """Places in texts that `read_numbers` may change, at least one in each; i64[n], in no order.

    `data` is UTF-8: folded texts with a NUL between two, and eight behind the last.
    """
    return np.concatenate((_beside_digits(data), _in_han_runs(data)))


def _beside_digits(data: Bytes) -> Places:
    """Where a Han digit, X look-alike or full-width plus stands beside a plain digit, with at most one separator between."""
    last = places(where(data, _change_beside_numbers, beyond=1))
    if not len(last):
        return last
    begins = data[last + 1] >= FIRST_WIDE
    end, first = last[begins], last[~begins] + 1  # of a stretch of ASCII
    behind = end[is_digit(data[end]) | is_digit(data[end - 1])] + 1
    before = first[is_digit(data[first]) | is_digit(data[first + 1])] - HAN_SIZE
    place = np.concatenate((behind, before))
    return np.asarray(place[_classes().take(code_points(data, place), mode="clip") != 0])


def _change_beside_numbers(data: Bytes) -> Flags:
    """Which bytes are the last before a change between other characters and a digit, separator or slash."""
    is_wide = data >= FIRST_WIDE
    is_of_number = (data - np.uint8(DASH) <= NINE - DASH) | (data == SPACE)
    return np.asarray((is_wide[:-1] & is_of_number[1:]) | (is_of_number[:-1] & is_wide[1:]))


def _in_han_runs(data: Bytes) -> Places:
    """Places in what may be a run of at least seven Han digits.

    Prose is full of single ones, so every sixteenth byte is sampled; where a run may be, all bytes around are asked.
    """
    pairs, is_pair = np.ndarray((len(data) - 1,), "<u2", data.data, 0, (1,)), _pairs()
    place = np.flatnonzero(is_pair.take(pairs[::STEP])) * STEP
    for behind in range(2, SAMPLE, 2):
        if not len(place):
            return place
        place = place[is_pair[pairs[place + behind]]]
    size = np.ones(len(place), np.int64)
    for way in (1, -1):
        going, distance = np.arange(len(place)), 0
        while len(going) and distance < SHORTEST_RUN * HAN_SIZE:
            distance += 1
            going = going[is_pair[pairs[place[going] + way * distance]]]
            size[going] += 1
    return place[size >= SHORTEST_RUN * HAN_SIZE - 1]


@cache
def _pairs() -> Flags:
    """bool[65536]: which two bytes, as one little-endian number, may stand side by side in a run of Han digits."""
    digits, between = [digit.encode() for digit in DIGITS], [b"", *(sign.encode() for sign in SEPARATORS)]
    runs = {left + sign + right for left in digits for sign in between for right in digits}
    made = np.zeros(1 << 16, bool)
    made[[int.from_bytes(pair, "little") for run in runs for pair in pairwise(run)]] = True
    return made


def code_points(data: Bytes, place: Places) -> Codes:
    """The characters that begin at `place` in UTF-8, none of them ASCII: u32[n]. At other places it is any number."""
    word: Codes = np.ndarray((len(data) - 3,), "<u4", data.data, 0, (1,))[place]
    code = ((word & 0x0F) << 12) | ((word & 0x3F00) >> 2) | ((word >> 16) & 0x3F)
    for rare, meant in ((word & 0xFF < 0xE0, _of_two_bytes), (word & 0xFF >= 0xF0, _of_four_bytes)):
        if (at := np.flatnonzero(rare)).size:
            code[at] = meant(word[at])
    return code


def _of_two_bytes(word: Codes) -> Codes:
    return ((word & 0x1F) << 6) | ((word >> 8) & 0x3F)


def _of_four_bytes(word: Codes) -> Codes:
    return ((word & 0x07) << 18) | ((word & 0x3F00) << 4) | ((word >> 10) & 0xFC0) | (word >> 24 & 0x3F)


def read_numbers(codes: Codes) -> Codes:
    """`codes` of a folded text with Han digits and X look-alikes replaced where they stand in a number; a copy if any do."""
    classes = _classes().take(codes, mode="clip")
    if ((classes & HAN) != 0).any():
        codes = _runs_read(codes, classes)
    plus = np.flatnonzero(classes == PLUS)
    codes = _plus_read(codes, plus) if len(plus) else codes
    alike = np.flatnonzero(classes == X)
    return _x_read(codes, alike) if len(alike) else codes


def _plus_read(codes: Codes, plus: Places) -> Codes:
    """A plain plus for each full-width one, at the places `plus`, that a digit follows and no letter or digit precedes."""
    before, behind = codes[np.maximum(plus - 1, 0)], codes[np.minimum(plus + 1, len(codes) - 1)]
    begins = _is_plain_digit(behind) & ~_is_plain_digit(before) & ~((before | 32) - before.dtype.type(97) < 26)
    codes = codes.copy()
    codes[plus[begins]] = ord("+")
    return codes


def _is_plain_digit(codes: Codes) -> Flags:
    """Which of `codes` are ASCII digits."""
    return np.asarray(codes - codes.dtype.type(ZERO) < 10)


def _runs_read(codes: Codes, classes: Bytes) -> Codes:
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
    members = ranges(first, size)
    read = ~_is_whole_without(han[members], size)
    members = members[np.repeat(read, size)]
    places = digit[members[han[members]]]
    codes = codes.copy()
    codes[places] = (classes[places] & VALUE) + ZERO
    return codes


def _in_long_stretch(classes: Bytes) -> Flags:
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
            kept = kept[_is_plain_digit(there)]
        elif sign is None:
            kept = kept[np.isin(there, [ord(s) for s in SEPARATORS])]
            sign = back
        else:
            kept = kept[there == codes[places[kept] - sign]]
    return kept
