"""Undo letters that look like digits, and Cyrillic letters that look like Latin ones.

    read by a machine     `11O1O5l949l23lOO2X`, `62l7 OOOO 0000 000S`: O for 0, l and I for 1, B for
                          8, S for 5
    typed to hide         `1380013800О`, `+7 94512З04б`, `li.wеi8@ехample.com`: Cyrillic letters

A resident ID or a card is read where its check holds. A mobile number has none: at most three of
its eleven signs may be replaced, and they make a word of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import ascii_letters

import numpy as np

from matcher.columns.bitset import (
    CYRILLIC_LEAD,
    Classes,
    Flags,
    Places,
    is_digit,
    is_one_of,
    is_separator,
    places,
    shift_back,
    shift_forward,
)
from matcher.text.fold import X_ALIKE
from matcher.text.group_numbers import is_valid
from matcher.text.spellings import Spelling
from ullage.identifiers import email, phone

PHONE, RESIDENT_ID, ADDRESS = "13800138000", "11010519491231002X", "li.wei8@example.com"
CARD = "6217000000000006"
LATIN, CYRILLIC = {"O": "0", "o": "0", "l": "1", "I": "1", "B": "8", "S": "5"}, "ОоЗзб"
DIGITS = str.maketrans(
    {**LATIN, **dict(zip(CYRILLIC, "00336", strict=True)), " ": "", "-": "", ".": ""}
)
MOST_REPLACED, FEWEST_DIGITS = 3, 8
"""Signs of a mobile number that may be replaced, and digits that it has at least."""
_SIGN = f"[0-9{''.join(LATIN)}{CYRILLIC}]"
_WORD = r"0-9A-Za-z\u0400-\u04ff"
_LAST = f"(?:[ .\\-]?[xX{X_ALIKE}])?"
NUMBER = re.compile(
    rf"(?<![{_WORD}])(?:(?P<code>\+[1-9][0-9]{{0,2}})[ .\-]?)?"
    rf"(?P<number>{_SIGN}(?:[ .\-]?{_SIGN}){{6,18}}{_LAST})(?![{_WORD}])"
)
SIZES = (
    (11,),
    (3, 4, 4),
    (3, 8),
    (7, 4),
    (18,),
    (6, 8, 4),
    (16,),
    (19,),
    (4, 4, 4, 4),
    (4, 4, 4, 4, 3),
    (4, 4, 4, 7),
)
"""Groups in which numbers are written, a sign between two of them."""
APART = re.compile(r"[ .\-]")
LETTERS = "".join(LATIN) + CYRILLIC
LATIN_BYTES = "".join(LATIN).encode()
WORD_BYTES = bytes(set(ascii_letters.encode()) - set(LATIN_BYTES + b"xX"))
"""Letters that look like no digit: behind one of them stands a word."""
NUMBER_BYTES = LATIN_BYTES + b"0123456789 -.xX"
AROUND, FEWEST_IN_NUMBER = 24, 6
"""Bytes on either side of a letter in which a number stands, and digits among these at least."""
ALIKE = str.maketrans("аеосрхуіјѕАВЕКМНОРСТУХІЈЅ", "aeocpxyijsABEKMHOPCTYXIJS")
_CYRILLIC_LETTERS = "".join(map(chr, ALIKE))
_LABEL = rf"[0-9A-Za-z{_CYRILLIC_LETTERS}\-]{{1,63}}+"
MAIL = re.compile(
    rf"(?<![\w.%+\-])[0-9A-Za-z._%+\-{_CYRILLIC_LETTERS}]{{1,64}}+@{_LABEL}(?:\.{_LABEL}){{1,4}}+"
    r"(?!\.?[\w@])"
)
MIXED = re.compile(rf"[A-Za-z][{_CYRILLIC_LETTERS}]|[{_CYRILLIC_LETTERS}][A-Za-z]")
"""Two letters of a word that are of two scripts."""
AROUND_AT = 40
"""Bytes on either side of an at sign in which a letter is looked for."""


def rows() -> Iterator[Spelling]:
    """Yield the rows of look-alikes."""
    yield Spelling(
        "number with look-alikes",
        "stretch",
        examples=(
            ("公民身份号码：110lO5l949l23lOO2X", RESIDENT_ID),
            ("卡号 62l7 OOOO 0000 0006", CARD),
            ("тел. 138001З800О", PHONE),
            ("1380O13-800О", PHONE),
            ("+7 9451230О4З", "+79451230043"),
        ),
        near_misses=(
            f"S{PHONE[:10]}Sl",
            "BSBS1380013",
            "110lO5l949l23lOOBX",
            "62l7 OOOO 0000 000S",
            "l38O0OOlЗ8000",
            "1380-01З8-000",
        ),
        starts=find_look_alikes,
        pattern=NUMBER,
        plain=_read_number,
    )
    yield Spelling(
        "address with Cyrillic letters",
        "stretch",
        examples=(("li.wеi8@ехаmрlе.соm", ADDRESS), ("почта: li.wei8@example.сom;", ADDRESS)),
        near_misses=("иван@почта.рф", "li.wеi8@ехаmрlе.соm.рф"),
        starts=find_cyrillic_addresses,
        pattern=MAIL,
        plain=_read_mail,
    )


def find_look_alikes(classes: Classes) -> Places:
    """Return places in numbers that may hold look-alikes of digits: i64[n].

    They are letters that look like a digit behind a digit, directly or behind a separator, amid as
    many signs and digits as a number has; and Cyrillic letters beside a digit.
    """
    data, digit, letter = classes.data, classes.digit, classes.letter
    beside = shift_forward(digit, 1) | (
        shift_forward(digit, 2) & shift_forward(classes.separator, 1)
    )
    place = places(letter & beside)
    place = place[is_one_of(data.take(place), LATIN_BYTES)]
    place = place[~is_one_of(data.take(place + 1), WORD_BYTES)]
    if len(place):
        text = data.take(place[:, None] + np.arange(-AROUND, AROUND), mode="clip")
        fits = is_one_of(text, NUMBER_BYTES)
        before = np.logical_and.accumulate(fits[:, AROUND - 1 :: -1], axis=1)[:, ::-1]
        inside = np.hstack((before, np.logical_and.accumulate(fits[:, AROUND:], axis=1)))
        signs = (inside & ~is_separator(text)).sum(1)
        digits = (inside & is_digit(text)).sum(1)
        place = place[(signs >= phone.LENGTH) & (digits >= FEWEST_IN_NUMBER)]
    return np.concatenate((place, _find_beside_cyrillic(classes)))


def _find_beside_cyrillic(classes: Classes) -> Places:
    """Return the places of Cyrillic letters that look like a digit and stand beside one."""
    cyrillic = classes.cyrillic
    before = places(classes.digit & shift_back(cyrillic, 1)) + 1
    behind = places(cyrillic & shift_back(classes.digit, 2))
    place = np.concatenate((before, behind))
    if not len(place):
        return place
    written = classes.data.take(place).astype(np.int64) << 8 | classes.data.take(place + 1)
    return place[np.isin(written, [int.from_bytes(char.encode(), "big") for char in CYRILLIC])]


def find_cyrillic_addresses(classes: Classes) -> Places:
    """Return the at signs beside which a Cyrillic letter stands: i64[n]."""
    if not classes.cyrillic.any():
        return np.empty(0, np.int64)
    place = places(classes.at)
    around = place[:, None] + np.arange(-AROUND_AT, AROUND_AT)
    lead = classes.data.take(around, mode="clip") | np.uint8(1)
    is_near: Flags = (lead == CYRILLIC_LEAD).any(1)
    return place[is_near]


def _read_number(match: re.Match[str]) -> str:
    """Return the number with letters read as digits.

    Returns "" where it is none, nothing in it is replaced, or the search reads it anyway. At most
    MOST_REPLACED (3) letters are read as digits in a phone number.
    """
    written, code = match["number"], match["code"] or ""
    bare = written.translate(DIGITS)
    if bare[-1:] in f"xX{X_ALIKE}":
        bare = bare[:-1] + "X"
    letters = [char for char in written if char in LETTERS]
    replaced = len(letters)
    if len(written) == phone.LENGTH and phone.LETTERS.keys() >= set(letters):
        return ""  # which the search reads, or which has no letter
    is_phone = replaced <= MOST_REPLACED and len(bare) - replaced >= FEWEST_DIGITS
    if code and code != "+86":
        whole = f"{code[1:]}{bare}"
        return f"+{whole}" if replaced and is_phone and phone.is_number(whole) else ""
    if not replaced or tuple(map(len, APART.split(written))) not in SIZES:
        return ""
    if len(bare) == phone.LENGTH:
        return bare if is_phone and phone.SHAPE.fullmatch(bare) else ""
    return bare if is_valid(bare) else ""


def _read_mail(match: re.Match[str]) -> str:
    """Return the address in Latin letters, or "" if it mixes no scripts or is none."""
    plain = match[0].translate(ALIKE)
    return plain if MIXED.search(match[0]) and email.normalise(plain) else ""
