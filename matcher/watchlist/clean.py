"""Normalising a column at once where its cells are written as they should be, and one by one where not.

Where a cell is called clean, `kinds()[kind].normalise` gives the cell itself, and its checksum holds: the finders of
`matcher.detect.kinds` say so, by the rules that they search texts with. What they doubt goes the slow way.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Bytes, Places, Texts, concatenate
from matcher.detect.kinds import card, email, phone, resident_id
from matcher.detect.numbers import WIDTH
from matcher.watchlist.tagging import normal_name
from ullage.identifiers import kinds

Flags = npt.NDArray[np.bool_]
NO_SHAPE, NO_CHECKSUM, TOO_LONG = "has no such shape", "fails its checksum", "is too long"
LONGEST = 64
"""Bytes of a cell that may be clean."""


def normalised(kind: str, cells: Texts) -> tuple[Places, Texts, dict[int, str]]:
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
    return np.concatenate((good, np.array(rows, np.int64))), concatenate((cells.take(good), Texts.of(normals))), faults


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
    """Which cells are in their normal form already, as far as `TESTS` can say."""
    test = TESTS.get(kind)
    if test is None or not len(cells):
        return np.zeros(len(cells), bool)
    width = min(cells.table.shape[1], LONGEST)
    text = np.zeros((len(cells), max(WIDTH, -(-width // 8) * 8)), np.uint8)
    text[:, :width] = cells.table[:, :width]
    return test(text, cells.lengths) & (cells.lengths <= LONGEST)


def _are_han(text: Bytes, lengths: Places) -> Flags:
    """Names wholly of Chinese characters, three bytes each, the first E4 to E9 (U+4000 to U+9FFF)."""
    clean: Flags = (lengths > 0) & (lengths % 3 == 0)
    for place in range(0, text.shape[1], 3):
        clean &= (lengths <= place) | ((text[:, place] - np.uint8(0xE4)) < 6)
    return clean


TESTS: dict[str, Callable[[Bytes, Places], Flags]] = {
    "phone": phone.are_normal,
    "resident_id": resident_id.are_normal,
    "card": card.are_normal,
    "email": email.are_normal,
    "name": _are_han,
}
"""What tells of cells, u8[n, width] and their lengths, which are normal: it may doubt too much, never too little."""


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
