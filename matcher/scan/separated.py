"""Numbers written in groups: 138-0013-8000, 6200 0000 0000 0005, 110105 19491231 002X.

One space, dash or dot stands between two groups, never two: two hyphens end a field. A shape is a pattern of digits (1) and
separators (0) read off 64 bits from a group's first digit on; the shapes are tried longest first, each over all places at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from matcher.scan import checks, numbers
from matcher.scan.batch import Batch, Bytes, Places
from matcher.scan.bits import Words, ahead, behind, below, inner, lowest, places, spread, windows
from matcher.scan.classes import DASH, DOT, SPACE, Classes, is_digit, is_word
from matcher.scan.numbers import Runs, X
from matcher.scan.segment import Flags, Segment

SHORTEST = 12
"""Eleven digits and a separator."""
ROW = 32
PHONE_GROUPS = ((3, 4, 4), (3, 8), (7, 4))
ID_GROUPS = ((6, 8, 4), (6, 8, 3, 1))
CARD_GROUPS = (
    *((4, 4, 4, 4, more) for more in (3, 2, 1)),
    *((4, 4, 4, 4 + more) for more in (3, 2, 1, 0)),
    (4, 6, 5),
    *((4, rest) for rest in range(15, 8, -1)),
    *((6, rest) for rest in range(13, 6, -1)),
)


@dataclass(frozen=True)
class Shape:
    """How one kind is grouped; `prefix` is what its first digits may say beside the number, `with_x` whether an X is its last."""

    kind: str
    groups: tuple[int, ...]
    prefix: bytes = b""
    with_x: bool = False

    @cached_property
    def length(self) -> int:
        """Bytes from the first digit to the last."""
        return sum(self.groups) + len(self.groups) - 1

    @cached_property
    def gaps(self) -> list[int]:
        """Where its separators stand, counted from its beginning."""
        return [int(place) for place in np.cumsum([group + 1 for group in self.groups[:-1]]) - 1]

    @cached_property
    def columns(self) -> list[int]:
        """Where its digits and its X stand, the prefix left out."""
        return [i for i in range(self.length) if i not in self.gaps][len(self.prefix) :]

    @cached_property
    def digit_bits(self) -> np.uint64:
        """Its digits as bits."""
        last = self.length - 1 if self.with_x else self.length
        return np.uint64(sum(1 << i for i in range(last) if i not in self.gaps))

    @cached_property
    def gap_bits(self) -> np.uint64:
        """Its separators as bits, but for one before an X: what stands between digits only is seen as one."""
        return np.uint64(sum(1 << i for i in self.gaps if not self.with_x or i < self.length - 2))


@cache
def shapes() -> dict[int, tuple[Shape, ...]]:
    """All shapes by the length of their first group, the longest first."""
    made = [Shape("phone", groups) for groups in PHONE_GROUPS]
    for prefix in (b"86", b"0086", b"0"):
        made += [Shape("phone", (groups[0] + len(prefix), *groups[1:]), prefix) for groups in PHONE_GROUPS]
    made += [Shape("resident_id", groups, with_x=with_x) for groups in ID_GROUPS for with_x in (False, True)]
    made += [Shape("card", groups) for groups in CARD_GROUPS]
    made.sort(key=lambda shape: -shape.length)
    return {size: tuple(s for s in made if s.groups[0] == size) for size in sorted({s.groups[0] for s in made})}


def find_separated(batch: Batch, classes: Classes) -> list[Segment]:
    """Phones, resident IDs and cards that are written in groups, valid or not."""
    gap = classes.separator & ahead(classes.digit, 1) & behind(classes.digit, 1)
    start = _group_starts(classes.digit, gap)
    start = start[~is_word(batch.data[start - 1])]
    digit_bits, gap_bits = windows(classes.digit, start), windows(gap, start)
    first = lowest(~digit_bits)
    found = []
    for size, alike in shapes().items():
        own = np.flatnonzero(first == size)
        digits, gaps = digit_bits[own], gap_bits[own]
        for shape in alike if len(own) else ():
            exact = below(shape.length - shape.with_x)
            fits = np.flatnonzero(((digits & exact) == shape.digit_bits) & ((gaps & exact) == shape.gap_bits))
            if len(fits):
                fits = fits[_stands_alone(batch, shape, start[own[fits]])]
                found.append(_segment(batch, shape, start[own[fits]]))
                digits[fits] = 0  # taken: no shorter shape begins there
    return [segment for segment in found if len(segment)]


def _group_starts(digit: Words, gap: Words) -> Places:
    """First digits of groups, in stretches of digits and separators that are long enough; not of what is whole by itself."""
    stretch = spread(inner(digit | gap, SHORTEST), SHORTEST)
    return places(stretch & digit & ~behind(digit, 1) & ~inner(digit, SHORTEST))


def _stands_alone(batch: Batch, shape: Shape, start: Places) -> Flags:
    """Whether the same separator stands in all gaps, nothing is glued behind, and it is no part of a longer grouped number."""
    data, end = batch.data, start + shape.length
    separator = data[start + shape.gaps[0]]
    alone: Flags = ~is_word(data[end])
    for gap in shape.gaps[1:]:
        alone &= data[start + gap] == separator
    if shape.kind == "phone":
        alone &= ~numbers.is_fraction(data, start)
    elif len(shape.groups) == 2:
        alone &= separator != DOT
    if shape.with_x:
        alone &= (data[end - 1] | 32) == (X | 32)
    if shape.kind == "card":
        alone &= ~_goes_on(data, end) & ~_comes_from(data, start)
    head = batch.windows(start, 8)[:, : len(shape.prefix)]
    alone &= (head == np.frombuffer(shape.prefix, np.uint8)).all(1)
    return alone


def _goes_on(data: Bytes, end: Places) -> Flags:
    """Whether a separator and a group of one to four digits follow: a longer number, no card."""
    following = np.stack([is_digit(data[end + i]) for i in range(1, 6)])
    short = following[0] & ~following.all(0)
    longer: Flags = ((data[end] == SPACE) | (data[end] == DASH)) & short
    return longer


def _comes_from(data: Bytes, start: Places) -> Flags:
    """Whether a group of four digits and a separator stand before: the middle of a longer number."""
    before = np.stack([is_digit(data[start - i]) for i in range(2, 7)])
    longer: Flags = ((data[start - 1] == SPACE) | (data[start - 1] == DASH)) & before[:4].all(0) & ~before[4]
    return longer


def _segment(batch: Batch, shape: Shape, start: Places) -> Segment:
    """The candidates of one shape: their digits gathered from between the separators."""
    text = np.zeros((len(start), numbers.WIDTH), np.uint8)
    text[:, : len(shape.columns)] = batch.windows(start, ROW)[:, shape.columns]
    found = Runs(start, start + shape.length)
    if shape.kind == "phone":
        mobile = checks.is_mobile(text)
        return numbers.segment("phone", found.where(mobile), text[mobile], numbers.PHONE, mobile[mobile])
    if shape.kind == "resident_id":
        return numbers.ids(found, text)
    return numbers.cards(found, text, len(shape.columns))
