"""Digits written in Han characters, and look-alikes of a resident ID's X: read only where they stand in a number.

一二三 is a word and 壹 a name, so Han digits become plain ones in a run of at least seven digits alone, Han or plain, with at
most one space, dash or dot between two of them. Those before and after a plain number that is whole without them stay
(张三13800138000, 13800138000一手).

A full-width plus is one where a number begins (＋８６…); elsewhere it parts columns, while a plain one may stand in an address.

Few texts hold any such number, and most prose holds single Han digits. So `may_hold_numbers` says, from the bytes of many texts,
in which lines `read_numbers` must look.

Traditional forms of simplified words are by a table of single characters (`traditional.tsv`, which names its source).
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from itertools import islice, pairwise, product
from typing import Any

import numpy as np
import numpy.typing as npt

from matcher.columns.bitset import DASH, SPACE, Bytes, Flags, Places, is_digit, places, where

WRITTEN = (
    *("零〇洞○◯", "一壹壱弌幺么〡", "二贰貳弍弐两兩〢", "三叁參叄弎〣", "四肆〤"),
    *("五伍〥", "六陆陸〦", "七柒漆拐〧", "八捌〨", "九玖勾〩"),
)
"""Each digit: common, financial and radio readings, Suzhou numerals."""
DIGITS = {han: digit for digit, written in enumerate(WRITTEN) for han in written}
PLAIN_DIGITS = str.maketrans({han: str(digit) for han, digit in DIGITS.items()})
SEPARATORS = " -."
SHORTEST_RUN = 7
WHOLE_NUMBER = 11
WIDE_PLUS = "＋"
X_ALIKE = "ХхΧχ×✕✖✗✘╳⨉⨯"
"""Cyrillic, Greek, multiplication and ballot signs that pass for an X."""
HAN = "".join(DIGITS)
DIGIT = f"[0-9{HAN}]"
RUN = re.compile(rf"{DIGIT}(?:[{re.escape(SEPARATORS)}]?{DIGIT}){{{SHORTEST_RUN - 1},}}+")
BEGINNING_PLUS = re.compile(rf"{WIDE_PLUS}(?<![0-9A-Za-z].)(?=[0-9])")
GROUPED = [f"[0-9]{{6}}{sign}[0-9]{{8}}{sign}[0-9]{{3}}{last}" for sign in map(re.escape, SEPARATORS) for last in ("", sign)]
CHECK_CHARACTER = re.compile(f"[{X_ALIKE}](?:{'|'.join(f'(?<={before}.)' for before in ('[0-9]{17}', *GROUPED))})")
"""An X look-alike behind the seventeen digits of a resident ID, in one piece or grouped by one separator throughout."""
FIRST_WIDE, LAST_DIGIT = 0x80, 57
"""The lowest byte that is not ASCII, and that of the digit nine."""
HAN_SIZE, STEP, SAMPLE = 3, 16, 6
"""Bytes of a Han digit. Of a run, which has 21 bytes or more, at least SAMPLE stand behind its first multiple of STEP."""
Codes = npt.NDArray[Any]


def read_numbers(text: str) -> str:
    """`text`, folded but for them, with Han digits and X look-alikes replaced where they stand in a number; as long as before."""
    text = BEGINNING_PLUS.sub("+", RUN.sub(_read_run, text))
    return CHECK_CHARACTER.sub("X", text)


def _read_run(run: re.Match[str]) -> str:
    """The digits of a long run, all of them plain, unless the plain ones are a number without the Han digits around them."""
    text = run[0]
    core = text.strip(HAN + SEPARATORS)
    if core.isascii():  # the plain ones stand together
        inner = _digits(core)
        if inner >= SHORTEST_RUN and not inner < WHOLE_NUMBER <= _digits(text):
            return text
    return text.translate(PLAIN_DIGITS)


def _digits(run: str) -> int:
    """How many digits a run has: what is in it that is no separator."""
    return len(run) - run.count(" ") - run.count("-") - run.count(".")


def may_hold_numbers(data: Bytes) -> Places:
    """Places in texts that `read_numbers` may change, at least one in each such line; i64[n], in no order.

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
    return np.asarray(place[_may_be_read().take(code_points(data, place), mode="clip")])


def _change_beside_numbers(data: Bytes) -> Flags:
    """Which bytes are the last before a change between other characters and a digit, separator or slash."""
    is_wide = data >= FIRST_WIDE
    is_of_number = (data - np.uint8(DASH) <= LAST_DIGIT - DASH) | (data == SPACE)
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
def _may_be_read() -> Flags:
    """bool[65536]: which characters, by code point, are Han digits, X look-alikes or a full-width plus."""
    made = np.zeros(1 << 16, bool)
    made[[ord(char) for char in (*DIGITS, *X_ALIKE, WIDE_PLUS)]] = True
    return made


@cache
def _pairs() -> Flags:
    """bool[65536]: which two bytes, as one little-endian number, may stand side by side in a run of Han digits."""
    digits, signs = ([char.encode() for char in chars] for chars in (DIGITS, SEPARATORS))
    inside = (pair for char in (*digits, *signs) for pair in pairwise(char))
    behind_digits = product({digit[-1] for digit in digits}, {char[0] for char in (*digits, *signs)})
    behind_signs = product({sign[-1] for sign in signs}, {digit[0] for digit in digits})
    made = np.zeros(1 << 16, bool)
    made[[int.from_bytes(pair, "little") for pair in (*inside, *behind_digits, *behind_signs)]] = True
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


MOST = 8
"""Forms made of one word: characters with two traditional ones are rare, so this cuts nothing that is in use."""


@cache
def _table() -> dict[str, str]:
    """Simplified character to the traditional characters that it stands for."""
    lines = (resources.files(__package__) / "traditional.tsv").read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t") for line in lines if line and not line.startswith("#"))


def written(word: str) -> tuple[str, ...]:
    """`word` as it is, then as it is written with traditional characters.

    >>> written('征信'), written('台')
    (('征信', '徵信'), ('台', '臺'))
    """
    table = _table()
    if not any(char in table for char in word):
        return (word,)
    made = map("".join, product(*(table.get(char, char) for char in word)))
    return tuple(dict.fromkeys((word, *islice(made, MOST))))
