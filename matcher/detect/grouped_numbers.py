"""Numbers written in groups: 138-0013-8000, 6200 0000 0000 0005, 110105 19491231 002X.

One space, dash or dot stands between two groups, the same between all, never two: two hyphens end a field. Where a first gap may
be is told from bits: three digits before it, four behind it. From there the lengths of up to five groups are read, and make a
number of five hexadecimal digits, 0x44443 for a card of 19; a table says which shapes it and its beginnings are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Batch, Bytes, Flags, Places
from matcher.columns.bitset import ONE, Words, ahead, behind, below, highest, lowest, places, windows
from matcher.columns.classes import DASH, DOT, SPACE, Classes, is_separator, is_word
from matcher.detect import checks, numbers
from matcher.detect.candidates import Segment
from matcher.detect.numbers import Numbers, X

FEWEST_BEFORE, FEWEST_BEHIND = 3, 4
"""Digits on either side of a first gap, in every shape."""
LOOK_BACK = 32
"""Places before a gap that are looked at with those behind it, in one window of 64."""
MOST_GROUPS = 5
LONGEST_GROUP, LONGEST_FIRST = 15, 11
ROW = 24
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
    def pieces(self) -> list[tuple[int, int, int]]:
        """Where the bytes of each group go to without prefix and separators, where they come from, and how many they are."""
        made, to, place = list[tuple[int, int, int]](), 0, 0
        for number, group in enumerate(self.groups):
            skipped = 0 if number else len(self.prefix)
            made.append((to, place + skipped, group - skipped))
            to, place = to + group - skipped, place + group + 1
        return made

    @cached_property
    def size(self) -> int:
        """Characters without prefix and separators."""
        return sum(self.groups) - len(self.prefix)

    @cached_property
    def code(self) -> int:
        """The lengths of its groups of digits as hexadecimal digits; an X is none."""
        last = self.groups[-1] - self.with_x
        return _code((*self.groups[:-1], last) if last else self.groups[:-1])


def _code(groups: tuple[int, ...]) -> int:
    return sum(group << 4 * (MOST_GROUPS - 1 - number) for number, group in enumerate(groups))


@cache
def shapes() -> tuple[Shape, ...]:
    """All shapes."""
    made = [Shape("phone", groups) for groups in PHONE_GROUPS]
    for prefix in (b"86", b"0086", b"0"):
        made += [Shape("phone", (groups[0] + len(prefix), *groups[1:]), prefix) for groups in PHONE_GROUPS]
    made += [Shape("resident_id", groups, with_x=with_x) for groups in ID_GROUPS for with_x in (False, True)]
    return (*made, *(Shape("card", groups) for groups in CARD_GROUPS))


@cache
def _coded() -> tuple[tuple[tuple[Shape, ...], ...], npt.NDArray[np.uint8]]:
    """Shapes of one code each, the first of them none; and for each code, u8[16^5], the number of its shapes among these."""
    by_code: dict[int, list[Shape]] = {}
    for shape in shapes():
        by_code.setdefault(shape.code, []).append(shape)
    table = np.zeros(1 << 4 * MOST_GROUPS, np.uint8)
    table[list(by_code)] = range(1, len(by_code) + 1)
    return ((), *(tuple(alike) for alike in by_code.values())), table


class Grouped(NamedTuple):
    """Digits in groups: where they begin, and the lengths of their groups as a code, i64[n]."""

    start: Places
    code: Places


def find_separated(batch: Batch, classes: Classes) -> list[Segment]:
    """Phones, resident IDs and cards that are written in groups, valid or not."""
    gap = _first_gaps(batch, classes)
    if not len(gap):
        return []
    shaped = _shaped(batch, classes.digit, _grouped(batch, classes.digit, gap))
    return [segment for shape, start in shaped if len(segment := _segment(batch, shape, start))]


def _first_gaps(batch: Batch, classes: Classes) -> Places:
    """Separators with digits enough on either side, and not too many: most commas of a dump stand beside a whole number."""
    digits = classes.digits
    few_before = ~behind(digits.of(LONGEST_FIRST + 1), LONGEST_FIRST + 1)
    few_behind = ~ahead(digits.of(LONGEST_GROUP + 1), 1)
    enough = behind(digits.of(FEWEST_BEFORE), FEWEST_BEFORE) & ahead(digits.of(FEWEST_BEHIND), 1)
    gap = places(enough & few_before & few_behind & ~classes.digit)
    return gap.take(np.flatnonzero(is_separator(batch.data.take(gap))))


def _grouped(batch: Batch, digit: Words, gap: Places) -> Grouped:
    """Digits in groups around each gap whose first is not too long and not glued to a letter; nothing in the middle of a card."""
    data = batch.data
    around = windows(digit, gap - LOOK_BACK)
    first = LOOK_BACK - 1 - highest(~around & below(LOOK_BACK))
    kept = np.flatnonzero((first <= LONGEST_FIRST) & ~_inside_card(batch, around, gap, first))
    kept = kept.take(np.flatnonzero(~is_word(data.take(gap.take(kept) - first.take(kept) - 1))))
    gap, first = gap.take(kept), first.take(kept)
    code = first << 4 * (MOST_GROUPS - 1)
    rest, place, open_ = around.take(kept) >> np.uint64(LOOK_BACK), gap, np.arange(len(gap))
    for group in range(1, MOST_GROUPS):  # `place` is a gap, the lowest bit of `rest` stands for it
        length = np.minimum(lowest(~(rest >> ONE)), LONGEST_GROUP)
        code[open_] |= length << 4 * (MOST_GROUPS - 1 - group)
        place, rest = place + 1 + length, rest >> (length + 1).astype(np.uint64)
        on = np.flatnonzero((rest & np.uint64(2) > 0) & (data.take(place) == data.take(gap.take(open_))))
        place, rest, open_ = place.take(on), rest.take(on), open_.take(on)
    return Grouped(gap - first, code)


def _inside_card(batch: Batch, around: Words, gap: Places, first: Places) -> Flags:
    """Which groups of four before a gap come behind another group of four: told from the bits of LOOK_BACK places before.

    With 01 first they may be a phone's.
    """
    before = (around >> np.uint64(LOOK_BACK - 4 - 6)) & np.uint64(0b111111)
    may = np.flatnonzero((first == 4) & (before == np.uint64(0b011110)))
    place = gap.take(may) - 4
    is_phone = (batch.data.take(place) == ord("0")) & (batch.data.take(place + 1) == ord("1"))
    inside = np.zeros(len(gap), bool)
    inside[may] = _is_space_or_dash(batch.data.take(place - 1)) & ~is_phone
    return inside


def _shaped(batch: Batch, digit: Words, found: Grouped) -> Iterator[tuple[Shape, Places]]:
    """Each shape that occurs and where numbers of it begin; of several at one place that with most groups."""
    alike, table = _coded()
    start, code = found
    for groups in range(MOST_GROUPS, 1, -1):
        beyond = 4 * (MOST_GROUPS - groups)
        number = table.take(code >> beyond << beyond)
        taken = np.zeros(len(start), bool)
        for each in np.flatnonzero(np.bincount(number)).tolist():
            own = np.flatnonzero(number == each)
            for shape in alike[each]:
                alone = own[_stands_alone(batch, digit, shape, start[own])]
                taken[alone] = True
                yield shape, start[alone]
        start, code = start[~taken], code[~taken]


def _stands_alone(batch: Batch, digit: Words, shape: Shape, start: Places) -> Flags:
    """Whether the prefix stands there, nothing is glued behind, and it is no part of a longer grouped number."""
    data, end = batch.data, start + shape.length
    alone: Flags = ~is_word(data[end])
    if shape.kind == "phone":
        alone &= ~numbers.is_fraction(data, start)
    elif len(shape.groups) == 2:
        alone &= data[start + shape.groups[0]] != DOT
    if shape.with_x:
        alone &= (data[end - 1] | 32) == (X | 32)
        alone &= (shape.groups[-1] > 1) | (data[end - 2] == data[start + shape.groups[0]])  # an X that is a group of its own
    if shape.kind == "card":
        alone[_goes_on(data, digit, end)] = False
        alone[_comes_from(data, digit, start)] = False
    if shape.prefix:
        alone &= (batch.windows(start, 8)[:, : len(shape.prefix)] == np.frombuffer(shape.prefix, np.uint8)).all(1)
    return alone


def _goes_on(data: Bytes, digit: Words, end: Places) -> Places:
    """Numbers of the cards behind which a separator and a group of one to four digits follow: a longer number, no card."""
    may = np.flatnonzero(_is_space_or_dash(data.take(end)))
    behind_it = windows(digit, end.take(may) + 1)
    longer: Places = may[(behind_it & ONE > 0) & (~behind_it & below(5) > 0)]
    return longer


def _comes_from(data: Bytes, digit: Words, start: Places) -> Places:
    """Numbers of the cards before which a group of four digits and a separator stand: the middle of a longer number."""
    may = np.flatnonzero(_is_space_or_dash(data.take(start - 1)))
    middle: Places = may[windows(digit, start.take(may) - 6) & below(5) == np.uint64(0b11110)]
    return middle


def _is_space_or_dash(data: Bytes) -> Flags:
    is_one: Flags = (data == SPACE) | (data == DASH)
    return is_one


def _segment(batch: Batch, shape: Shape, start: Places) -> Segment:
    """The candidates of one shape: their digits brought together from between the separators."""
    written, text = batch.windows(start, ROW), np.zeros((len(start), numbers.WIDTH), np.uint8)
    for to, place, size in shape.pieces:
        text[:, to : to + size] = written[:, place : place + size]
    found = Numbers(start, start + shape.length, text)
    if shape.kind == "phone":
        return numbers.segment("phone", found.where(checks.is_mobile(text)), numbers.PHONE)
    if shape.kind == "resident_id":
        return numbers.ids(found)
    return numbers.cards(found, shape.size)
