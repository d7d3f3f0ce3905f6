"""Masked values in a batch, as `ullage.identifiers.masked_value` describes them: `138****8000`, `440301********1234`.

One beside a mask of the other kind counts as a candidate, as phone and resident ID of one row may tell who it is about; any other
is weak.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

import hyperscan
import numpy as np

from matcher.columns.batch import Batch, Bytes, Flags, Places
from matcher.columns.bitset import is_word
from matcher.columns.literals import SearchPatterns
from matcher.detect.candidates import Segment
from ullage.identifiers.masked_value import FORM, HIDDEN, KEPT, SHOWN
from ullage.lookup.values import DOMESTIC

WIDTH, TAIL, LONGEST_SIGN = 24, 4, 3
"""Bytes of a normal form, room for every kind; characters shown last; bytes of the longest sign that hides one."""
STAR, X, SMALL_X = ord("*"), ord("X"), ord("x")


class _Shape(NamedTuple):
    """One way to write a mask: `size` bytes that begin with `head` characters and hide the others by one sign."""

    kind: str
    head: int
    size: int
    pattern: bytes


@cache
def _shapes() -> tuple[_Shape, ...]:
    return tuple(
        _Shape(
            kind,
            head,
            head + hidden * len(sign) + TAIL,
            b"%s(?:%s){%d}%s" % (begin.encode(), re.escape(sign), hidden, end.encode()),
        )
        for (kind, head), (begin, hidden, end) in SHOWN.items()
        for sign in map(str.encode, HIDDEN)
    )


@cache
def patterns() -> SearchPatterns:
    """Masks as they are written, which may go on."""
    return SearchPatterns(tuple(shape.pattern for shape in _shapes()), hyperscan.HS_FLAG_DOTALL)  # the case of x counts


def find_masked(batch: Batch, hits: tuple[Places, Places]) -> list[Segment]:
    """Masked values, a segment for each kind of those that are weak and of the others.

    `hits` are what was found of `patterns` in the batch: number and end, each i64[n].
    """
    number, end = hits
    if not len(number):
        return []
    order = np.argsort(end, kind="stable")
    number, end = number[order], end[order]
    start = end - np.array([shape.size for shape in _shapes()])[number]
    own = np.flatnonzero(_stands_alone(batch, start, end))
    number, start, end = number[own], start[own], end[own]
    is_weak, kind = ~_beside_another(batch, number, start), _kinds()[number]
    return [
        _segment(batch, name, number[own], start[own], end[own], weak=weak)
        for place, name in enumerate(KEPT)
        for weak in (False, True)
        if len(own := np.flatnonzero((kind == place) & (is_weak == weak)))
    ]


def _kinds() -> Places:
    """The number in KEPT of each shape's kind."""
    return np.array([list(KEPT).index(shape.kind) for shape in _shapes()], np.int64)


def _stands_alone(batch: Batch, start: Places, end: Places) -> Flags:
    """Which of the stretches [start, end) no letter, digit or hiding sign goes on: bool[n]."""
    before, behind = batch.windows(start - LONGEST_SIGN, LONGEST_SIGN), batch.windows(end, LONGEST_SIGN)
    goes_on = is_word(before[:, -1]) | is_word(behind[:, 0])
    for sign in (np.frombuffer(sign.encode(), np.uint8) for sign in HIDDEN if not sign.isalnum()):
        goes_on |= (before[:, -len(sign) :] == sign).all(1) | (behind[:, : len(sign)] == sign).all(1)
    return ~goes_on


def _beside_another(batch: Batch, number: Places, start: Places) -> Flags:
    """Whether the mask before or behind each, in its text, is of the other kind: bool[n]; they come by place."""
    kind, document = _kinds()[number], batch.documents(start)
    differs = (kind[1:] != kind[:-1]) & (document[1:] == document[:-1])
    beside = np.zeros(len(number), bool)
    beside[1:] |= differs
    beside[:-1] |= differs
    return beside


def _segment(batch: Batch, kind: str, number: Places, start: Places, end: Places, *, weak: bool) -> Segment:
    """The masks [start, end) of one kind, each with `*` for what is hidden; an X in the last place is a check character."""
    size = DOMESTIC[kind]
    head = np.array([shape.head for shape in _shapes()])[number]
    normal: Bytes = batch.windows(start, WIDTH)
    normal[np.arange(WIDTH) >= head[:, None]] = STAR
    normal[:, size - TAIL : size] = batch.windows(end - TAIL, TAIL)
    normal[:, size:] = 0
    last = normal[:, size - 1]
    last[last == SMALL_X] = X
    return Segment(kind, FORM, start, end, normal, np.full(len(start), size, np.int64), np.ones(len(start), bool), weak)
