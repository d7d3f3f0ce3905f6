"""Folding texts in which no number is written in Han digits: nearly all, at a fraction of the cost.

Worked out on UTF-8 as it came, without decoding it: every form of a plain character becomes one ASCII byte, or none, so a look-up
of the special characters tells what is replaced, and the bytes between are moved together. What `gate` finds in the folded text
(a number that is partly written in Han digits, say) takes more than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matcher.text.codes import holding
from matcher.text.fold import Folded
from matcher.text.plain import DROPPED, tables
from matcher.text.runs import long_runs
from matcher.text.utf8 import Bytes, Laid, Places, special

CODES = 0x110000
STAYS, GONE = 0, 255
"""In the table: a character that stays as it is, and one that is dropped; any other value is the ASCII byte that it becomes."""


def fold_lightly(bodies: Sequence[bytes]) -> list[Folded | None]:
    """Each of `bodies` folded as `fold` does, or None where that takes more than a look-up, or where it is no valid UTF-8.

    One in which `gate.doubted` sees something is not as `fold` makes it: numbers in Han digits and look-alikes of X stay.
    """
    read: list[Folded | None] = [None] * len(bodies)
    wide: dict[int, bytes] = {}
    for number, body in enumerate(bodies):
        lines = body.replace(b"\r\n", b"\n") if b"\r" in body else body
        if b"\r" not in lines and b"\0" not in lines:
            if lines.isascii():
                read[number] = Folded.of_utf8(lines, body)
            else:
                wide[number] = lines
    if wide:
        for number, made in zip(wide, _folded(list(wide.values())), strict=True):
            read[number] = None if made is None else Folded.of_utf8(made.utf8, bodies[number], dropping=made.dropping)
    return read


class Made(NamedTuple):
    """A folded text as UTF-8, and whether characters were dropped from it."""

    utf8: bytes
    dropping: bool = False


def _folded(bodies: Sequence[bytes]) -> list[Made | None]:
    """The same for bodies that all have other characters than ASCII, laid end to end; themselves where nothing is changed."""
    laid = Laid.of(bodies)
    seen = special(laid.data)
    becomes = _table()[seen.code]
    heavy = holding(seen.broken, laid.start)
    which = np.flatnonzero(becomes != STAYS)
    if heavy.any():
        which = which[~heavy[np.searchsorted(laid.start, seen.place[which], "right") - 1]]
    if not len(which):
        heavy |= holding(long_runs(laid.data), laid.start)
        return [None if bad else Made(body) for body, bad in zip(bodies, heavy.tolist(), strict=True)]
    place, size, byte = seen.place[which], seen.size[which], becomes[which]
    data, gone = _replaced(laid.data, place, size, byte), byte == GONE
    removed = np.concatenate(([0], np.cumsum(size - ~gone)))
    before, behind = np.searchsorted(place, laid.start), np.searchsorted(place, laid.end)
    start, end = laid.start - removed[before], laid.end - removed[behind]
    heavy |= holding(long_runs(data), start)
    differs, dropping, whole = behind > before, holding(place[gone], laid.start), data.tobytes()
    columns = (start, end, differs, dropping, heavy)
    return [
        None if bad else Made(whole[first:last], drops) if is_changed else Made(body)
        for body, first, last, is_changed, drops, bad in zip(bodies, *(c.tolist() for c in columns), strict=True)
    ]


def _replaced(data: Bytes, place: Places, size: Places, byte: Bytes) -> Bytes:
    """`data` with the characters at `place`, of `size` bytes, replaced by one byte each, or by none where that is GONE."""
    made, keep = data.copy(), np.ones(len(data), bool)
    made[place] = byte
    keep[place[byte == GONE]] = False
    for behind in (1, 2, 3):
        keep[(place + behind)[size > behind]] = False
    return made[keep]


@cache
def _table() -> npt.NDArray[np.uint8]:
    """By code point: STAYS, GONE, or the ASCII byte that it becomes."""
    plain = tables(CODES).plain
    made = np.where(plain == np.arange(CODES), STAYS, plain).astype(np.uint8)
    made[plain == DROPPED] = GONE
    return made
