"""Normalising a column at once where its cells are written as they should be, and one by one where not.

What this module says must hold for every cell: where a cell is called clean, `kinds()[kind].normalise` gives the cell itself
(a resident ID in capitals), and its checksum holds. What it doubts goes the slow way, so it may doubt too much.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from matcher.watchlist.columns import Bytes, Numbers, Texts, together
from matcher.watchlist.forms import normal_name
from ullage.identifiers import kinds

Flags = npt.NDArray[np.bool_]
NO_SHAPE, NO_CHECKSUM, TOO_LONG = "has no such shape", "fails its checksum", "is too long"
_ID_WEIGHTS = np.array((7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2), np.int16)
_ID_CHECKS = np.frombuffer(b"10X98765432", np.uint8)
_REGIONS = "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83"
_DAYS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_CARDS = {16: ("4", "51", "52", "53", "54", "55", "62"), 17: ("62",), 18: ("62",), 19: ("62",)}


def normalised(kind: str, cells: Texts) -> tuple[Numbers, Texts, dict[int, str]]:
    """(rows that hold a value, their normal forms, what is wrong by row); blank cells are neither."""
    table, clean = _clean(kind, cells)
    long = cells.too_long()
    good = np.flatnonzero(clean & ~long)
    others = np.flatnonzero(~clean & ~long & (cells.lengths > 0))
    faults = dict.fromkeys(np.flatnonzero(long).tolist(), TOO_LONG)
    if not len(others):
        return good, Texts(table, cells.lengths).take(good), faults
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
        return good, Texts(table, cells.lengths).take(good), faults
    taken = Texts(table, cells.lengths).take(good)
    return np.concatenate((good, np.array(rows, np.int64))), together((taken, Texts.of(normals))), faults


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


def _clean(kind: str, cells: Texts) -> tuple[Bytes, Flags]:
    """(the cells in their normal form where they are clean, which are)."""
    test = TESTS.get(kind)
    if test is None or not len(cells):
        return cells.table, np.zeros(len(cells), bool)
    return test(cells)


def _digits(table: Bytes, width: int) -> Flags:
    """Which rows have digits only in their first `width` bytes."""
    numbers: npt.NDArray[np.bool_] = (table[:, :width] - np.uint8(48)) < 10
    return np.asarray(numbers.all(axis=1))


def _phones(cells: Texts) -> tuple[Bytes, Flags]:
    """Eleven digits, 13 to 19 first."""
    table, fits = cells.table, cells.lengths == 11
    if table.shape[1] < 11 or not fits.any():
        return table, np.zeros(len(cells), bool)
    fits &= _digits(table, 11) & (table[:, 0] == ord("1")) & (table[:, 1] >= ord("3"))
    return table, fits


def _resident_ids(cells: Texts) -> tuple[Bytes, Flags]:
    """Eighteen characters with a known region, a date that every year has, and the right check character."""
    if cells.table.shape[1] < 18:
        return cells.table, np.zeros(len(cells), bool)
    table = cells.table[:, :18].copy()
    table[:, 17][table[:, 17] == ord("x")] = ord("X")
    value = (table[:, :17] - np.uint8(48)).astype(np.int16)
    pairs = value[:, 0:16:2] * 10 + value[:, 1:17:2]
    region, century, month, day = pairs[:, 0], pairs[:, 3], pairs[:, 5], pairs[:, 6]
    numbers = (value >= 0).all(axis=1) & (value < 10).all(axis=1)
    dated = (month >= 1) & (month <= 12) & (day >= 1) & (day <= np.array(_DAYS)[np.clip(month, 0, 12)])
    known = np.isin(region, [int(code) for code in _REGIONS.split()]) & (century >= 18) & (century <= 20)
    checked = table[:, 17] == _ID_CHECKS[np.where(numbers, value @ _ID_WEIGHTS, 0) % 11]
    return table, (cells.lengths == 18) & numbers & dated & known & checked


def _cards(cells: Texts) -> tuple[Bytes, Flags]:
    """Sixteen to nineteen digits of the large schemes."""
    table, clean = cells.table, np.zeros(len(cells), bool)
    for length, starts in _CARDS.items():
        if table.shape[1] >= length:
            issued = np.zeros(len(cells), bool)
            for start in starts:
                issued |= (table[:, : len(start)] == np.frombuffer(start.encode(), np.uint8)).all(axis=1)
            clean |= issued & (cells.lengths == length) & _digits(table, length)
    return table, clean


def _emails(cells: Texts) -> tuple[Bytes, Flags]:
    """Lower-case addresses of 6 to 64 bytes: letters, digits, single `.-_+` between them; 2 to 4 letters at the top."""
    table = np.where(cells.within(), cells.table, 0).astype(np.uint8)
    width = table.shape[1]
    letters = (table - np.uint8(97)) < 26
    plain = letters | ((table - np.uint8(48)) < 10)
    at, dot, dash = table == ord("@"), table == ord("."), table == ord("-")
    local_only = (table == ord("_")) | (table == ord("+"))
    beyond = ~cells.within()
    inner = dot | dash | local_only
    place = at.argmax(axis=1)
    columns = np.arange(width)
    domain = columns > place[:, None]
    clean = (at.sum(axis=1) == 1) & (plain | inner | at | beyond).all(axis=1) & (cells.lengths <= 64) & (cells.lengths >= 6)
    clean &= ~((inner | at)[:, 1:] & (inner | at)[:, :-1]).any(axis=1)  # a sign stands between letters or digits
    clean &= plain[:, 0] & ~(local_only & domain).any(axis=1) & ((dot & domain).sum(axis=1) <= 4)
    last_dot = width - 1 - (dot & domain)[:, ::-1].argmax(axis=1)
    top = cells.lengths - 1 - last_dot
    clean &= (dot & domain).any(axis=1) & (top >= 2) & (top <= 4)
    clean &= (letters | ~(columns > last_dot[:, None]) | beyond).all(axis=1)
    return table, clean


def _names(cells: Texts) -> tuple[Bytes, Flags]:
    """Names wholly of Chinese characters, three bytes each, the first E4 to E9 (U+4000 to U+9FFF)."""
    table = cells.table
    heads = table[:, ::3]
    chinese = ((heads >= 0xE4) & (heads <= 0xE9)) | (np.arange(heads.shape[1]) * 3 >= cells.lengths[:, None])
    return table, (cells.lengths > 0) & (cells.lengths % 3 == 0) & chinese.all(axis=1)


TESTS: dict[str, Callable[[Texts], tuple[Bytes, Flags]]] = {
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
