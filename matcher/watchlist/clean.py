"""Normalising a column at once where its cells are written as they should be, and one by one where not.

What this module says must hold for every cell: where a cell is called clean, `kinds()[kind].normalise` gives the cell
itself, and its checksum holds. What it doubts goes the slow way, so it may doubt too much. The tests see a column turned
round, as u8[width, n] letters, so that each place of all cells lies together: numpy is fast along the cells, not along one cell.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from matcher.columns.text_column import Bytes, Numbers, Texts, together
from matcher.watchlist.forms import normal_name
from ullage.identifiers import kinds
from ullage.identifiers.resident_id import CHECKS, REGIONS, WEIGHTS

Flags = npt.NDArray[np.bool_]
NO_SHAPE, NO_CHECKSUM, TOO_LONG = "has no such shape", "fails its checksum", "is too long"
_DAYS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_CARDS = {16: ("4", "51", "52", "53", "54", "55", "62"), 17: ("62",), 18: ("62",), 19: ("62",)}


def normalised(kind: str, cells: Texts) -> tuple[Numbers, Texts, dict[int, str]]:
    """(rows that hold a value, their normal forms, what is wrong by row); blank cells are neither."""
    clean = _clean(kind, cells)
    long = cells.too_long()
    good = np.flatnonzero(clean & ~long)
    others = np.flatnonzero(~clean & ~long & (cells.lengths > 0))
    faults = dict.fromkeys(np.flatnonzero(long).tolist(), TOO_LONG)
    if not len(others):
        return good, cells.take(good), faults
    rows, normals = [], []
    for row, text in zip(others.tolist(), cells.take(others).strings(), strict=True):
        if text.strip():
            normal, fault = normalised_one(kind, text)
            if fault:
                faults[row] = fault
            else:
                rows.append(row)
                normals.append(normal.encode())
    if not rows:
        return good, cells.take(good), faults
    return np.concatenate((good, np.array(rows, np.int64))), together((cells.take(good), Texts.of(normals))), faults


def normalised_one(kind: str, text: str) -> tuple[str, str]:
    """(normal form, ""), or ("", what is wrong). An ID whose checksum fails cannot be asked for: a typing error in the list.

    A card that fails Luhn is enrolled: some issuers give them out.
    """
    known = kinds().get(kind)
    normal = known.normalise(text) if known else normal_name(text)
    if not normal:
        return "", NO_SHAPE
    if known and kind != "card" and not known.check(normal):
        return "", NO_CHECKSUM
    return normal, ""


def _clean(kind: str, cells: Texts) -> Flags:
    """Which cells are in their normal form already."""
    test = TESTS.get(kind)
    if test is None or not len(cells):
        return np.zeros(len(cells), bool)
    return test(np.ascontiguousarray(cells.table.T), cells.lengths)


def _all_digits(columns: Bytes) -> Flags:
    """Which cells have digits only in `columns`."""
    return np.asarray(((columns - np.uint8(48)) < 10).all(axis=0))


def _phones(letters: Bytes, lengths: Numbers) -> Flags:
    """Eleven digits, 13 to 19 first."""
    if len(letters) < 11:
        return np.zeros(len(lengths), bool)
    clean: Flags = (lengths == 11) & _all_digits(letters[:11]) & (letters[0] == ord("1")) & (letters[1] >= ord("3"))
    return clean


def _resident_ids(letters: Bytes, lengths: Numbers) -> Flags:
    """Eighteen characters, a capital X, with a known region, a date that every year has, and the right check character."""
    if len(letters) < 18:
        return np.zeros(len(lengths), bool)
    value = letters[:17] - np.uint8(48)
    numbers = (lengths == 18) & (value < 10).all(axis=0)
    value = np.where(numbers, value, 0)
    region, century, month, day = (value[i] * 10 + value[i + 1] for i in (0, 6, 10, 12))
    dated = (century >= 18) & (century <= 20) & (month >= 1) & (month <= 12) & (day >= 1)
    dated &= day <= np.array(_DAYS, np.uint8).take(month, mode="clip")
    known = np.isin(np.arange(100), [int(code) for code in REGIONS]).take(region)
    weighed = sum(column.astype(np.uint16) * weight for column, weight in zip(value, WEIGHTS, strict=True))
    check = np.frombuffer(CHECKS.encode(), np.uint8).take(weighed % 11)
    clean: Flags = numbers & dated & known & (letters[17] == check)
    return clean


def _cards(letters: Bytes, lengths: Numbers) -> Flags:
    """Sixteen to nineteen digits of the large schemes."""
    clean = np.zeros(len(lengths), bool)
    for length, starts in _CARDS.items():
        if len(letters) >= length:
            issued = np.zeros(len(lengths), bool)
            for start in starts:
                issued |= np.logical_and.reduce([letters[i] == ord(digit) for i, digit in enumerate(start)])
            clean |= issued & (lengths == length) & _all_digits(letters[:length])
    return clean


def _emails(letters: Bytes, lengths: Numbers) -> Flags:
    """Lower-case addresses of 6 to 64 bytes: letters, digits, single `.-_+` between them; 2 to 4 letters at the top.

    Reads all cells one place at a time: what the place before held, how many `@` and dots behind it there were, and how many
    letters have followed the last dot.
    """
    clean: Flags = (lengths >= 6) & (lengths <= 64)
    ats, dots, top = (np.zeros(len(lengths), np.uint8) for _ in range(3))
    sign_before = np.ones(len(lengths), bool)
    for place, letter in enumerate(letters[:64]):
        here = lengths > place
        at, dot = letter == ord("@"), letter == ord(".")
        only_before = (letter == ord("_")) | (letter == ord("+"))
        alphabetic = (letter - np.uint8(97)) < 26
        plain = alphabetic | ((letter - np.uint8(48)) < 10)
        sign = at | dot | only_before | (letter == ord("-"))
        clean &= ~here | ((plain | sign) & ~(sign & sign_before) & ~(only_before & (ats > 0)))
        ats += at & here
        dots += dot & here & (ats > 0)
        top = np.where(here, np.where(alphabetic & (top < 99), top + 1, np.where(dot, 0, 99)), top).astype(np.uint8)
        sign_before = np.where(here, sign, sign_before)
    clean &= (ats == 1) & (dots >= 1) & (dots <= 5) & (top >= 2) & (top <= 4) & ~sign_before
    return clean


def _names(letters: Bytes, lengths: Numbers) -> Flags:
    """Names wholly of Chinese characters, three bytes each, the first E4 to E9 (U+4000 to U+9FFF)."""
    clean: Flags = (lengths > 0) & (lengths % 3 == 0)
    for place in range(0, len(letters), 3):
        clean &= (lengths <= place) | ((letters[place] - np.uint8(0xE4)) < 6)
    return clean


TESTS: dict[str, Callable[[Bytes, Numbers], Flags]] = {
    "phone": _phones,
    "resident_id": _resident_ids,
    "card": _cards,
    "email": _emails,
    "name": _names,
}


def clean_references(cells: Texts) -> tuple[Texts, dict[int, str]]:
    """Customer references without spaces around them, and what is wrong with those that belong to nobody, by row."""
    long = cells.too_long()
    visible = (cells.table > 0x20) & (cells.table < 0x7F)
    doubtful = np.flatnonzero(~(visible | ~cells.within()).all(axis=1) | (cells.lengths == 0) | long)
    if not len(doubtful):
        return cells, {}
    faults, stripped = {}, {}
    for row, text in zip(doubtful.tolist(), cells.take(doubtful).strings(), strict=True):
        reference = text.strip()
        if long[row]:
            faults[row] = TOO_LONG
        elif not reference:
            faults[row] = "is empty"
        elif not reference.isprintable():
            faults[row] = "holds a control character"
        elif reference != text:
            stripped[row] = reference.encode()
    if not stripped:
        return cells, faults
    messages = cells.messages()
    for row, reference_bytes in stripped.items():
        messages[row] = reference_bytes
    return Texts.of(messages), faults
