"""Folding texts in which no number is written in Han digits: nearly all, at a fraction of the cost.

Worked out on UTF-8 as it came, without decoding it: every form of a plain character becomes one ASCII byte, or none, so a look-up
of the special characters tells what is replaced, and the bytes between are moved together. What `gate` finds in the folded text
(a number that is partly written in Han digits, say) takes more than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from matcher.text.changes import Changes
from matcher.text.codepoints import holding
from matcher.text.fold import Folded
from matcher.text.runs import long_runs
from matcher.text.utf8 import Bytes


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
        _fold_wide(read, bodies, wide)
    return read


def _fold_wide(read: list[Folded | None], bodies: Sequence[bytes], wide: dict[int, bytes]) -> None:
    """Put in the texts of `wide`, by number in `bodies`: none of them is all ASCII, none has other line ends than plain ones."""
    lines = list(wide.values())
    for number, made in zip(wide, _folded(lines, Changes.of(lines)), strict=True):
        read[number] = made and Folded.of_utf8(made.utf8, bodies[number], dropping=made.dropping)


class Made(NamedTuple):
    """A folded text as UTF-8, and whether characters were dropped from it."""

    utf8: bytes
    dropping: bool = False


def _folded(bodies: Sequence[bytes], changes: Changes) -> list[Made | None]:
    """The same for bodies that all have other characters than ASCII, with what is to change; themselves where nothing is."""
    laid, heavy, gone = changes.laid, changes.broken, changes.gone
    data = _replaced(changes) if len(gone) else laid.data
    removed = np.concatenate(([0], np.cumsum(changes.size - ~gone)))
    borders = changes.borders
    start = laid.start - removed[borders[:-1]]
    end = laid.end - removed[borders[1:]]
    heavy = heavy | holding(long_runs(data), start)
    differs, dropping = np.diff(borders) > 0, holding(changes.place[gone], laid.start)
    whole = data.tobytes() if len(gone) else b""
    columns = (start, end, differs, dropping, heavy)
    return [
        None if bad else Made(whole[first:last], drops) if is_changed else Made(body)
        for body, first, last, is_changed, drops, bad in zip(bodies, *(c.tolist() for c in columns), strict=True)
    ]


def _replaced(changes: Changes) -> Bytes:
    """The texts with each character that changes replaced by one byte, or by none where that is gone."""
    place, size = changes.place, changes.size
    made, keep = changes.laid.data.copy(), np.ones(len(changes.laid.data), bool)
    made[place] = changes.becomes
    keep[place[changes.gone]] = False
    for behind in (1, 2, 3):
        keep[(place + behind)[size > behind]] = False
    return made[keep]
