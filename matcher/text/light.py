"""Folding texts in which nothing is dropped and no number is written in Han digits: nearly all, at a fraction of the cost.

Worked out on UTF-8 as it came, without decoding it: every form of a plain character becomes one ASCII byte, so a look-up of the
special characters tells what is replaced, and the bytes between are moved together. What `gate` finds in the folded text (a
number that is partly written in Han digits, say) takes more than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from matcher.text import runs
from matcher.text.codes import holding
from matcher.text.fold import Folded
from matcher.text.plain import DROPPED, tables
from matcher.text.utf8 import Bytes, Laid, Places, special

CODES = 0x110000
STAYS, GONE = 0, 255
"""In the table: a character that stays as it is, and one that is dropped; any other value is the ASCII byte that it becomes."""


def fold_lightly(bodies: Sequence[bytes]) -> list[Folded | None]:
    """Each of `bodies`, valid UTF-8, folded as `fold` does, or None where that takes more than a look-up.

    One in which `gate.doubted` sees something is not as `fold` makes it: numbers in Han digits and look-alikes of X stay.
    """
    read: list[Folded | None] = [None] * len(bodies)
    wide = []
    for number, body in enumerate(bodies):
        if b"\r" not in body and b"\0" not in body:
            if body.isascii():
                read[number] = Folded.as_it_came(body)
            else:
                wide.append(number)
    if wide:
        for number, folded in zip(wide, _folded([bodies[n] for n in wide]), strict=True):
            read[number] = folded
    return read


def _folded(bodies: Sequence[bytes]) -> list[Folded | None]:
    """The same for bodies that all have other characters than ASCII, laid end to end."""
    laid = Laid.of(bodies)
    data, start, changed, gone = _replaced(laid)
    heavy = holding(gone, laid.start) | holding(runs.long_runs(data), start)
    is_changed = holding(changed, laid.start)
    end = np.append(start[1:], 0) - 1
    end[-1] = len(data) - (len(laid.data) - laid.end[-1])
    whole = data.tobytes() if is_changed.any() else b""
    return [
        None if bad else Folded.of_utf8(whole[first:last], body) if differs else Folded.as_it_came(body)
        for body, first, last, differs, bad in zip(
            bodies, start.tolist(), end.tolist(), is_changed.tolist(), heavy.tolist(), strict=True
        )
    ]


def _replaced(laid: Laid) -> tuple[Bytes, Places, Places, Places]:
    """The bytes with each form replaced, and where each text begins in them; where what was replaced, and is dropped, stood."""
    seen = special(laid.data)
    becomes = _table()[seen.code]
    gone, which = seen.place[becomes == GONE], np.flatnonzero((becomes != STAYS) & (becomes != GONE))
    if not len(which):
        return laid.data, laid.start, seen.place[which], gone
    place, size = seen.place[which], seen.size[which]
    data, keep = laid.data.copy(), np.ones(len(laid.data), bool)
    data[place] = becomes[which]
    for behind in (1, 2, 3):
        keep[(place + behind)[size > behind]] = False
    removed = np.concatenate(([0], np.cumsum(size - 1)))
    return data[keep], laid.start - removed[np.searchsorted(place, laid.start)], place, gone


@cache
def _table() -> npt.NDArray[np.uint8]:
    """By code point: STAYS, GONE, or the ASCII byte that it becomes."""
    plain = tables(CODES).plain
    made = np.where(plain == np.arange(CODES), STAYS, plain).astype(np.uint8)
    made[plain == DROPPED] = GONE
    return made
