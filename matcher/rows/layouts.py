"""Layouts: rows of a document that are alike, read in samples.

Rows that are alike form a group, of which a few are read; what at least half of them hold, the group holds. So what a capture
costs depends on how many shapes its rows have, not on how many rows; and a capture of few rows is read whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from matcher.rows.cells import Described
from matcher.rows.sheet import Sheet
from matcher.rows.spans import Numbers


class Layout(NamedTuple):
    """Labels and skeleton that rows share."""

    fields: frozenset[str]
    skeleton: str


@dataclass(frozen=True, slots=True)
class Layouts:
    """The layouts of one document.

    `group` i64[rows] is the group of each row from number `first` on, `common` the layout of each group; `own` has those rows
    that were read with all of their group. `counts`: how many rows have each layout.
    """

    first: int
    group: Numbers
    common: Sequence[Layout]
    own: Mapping[int, Layout]
    counts: Mapping[Layout, int]

    def of(self, row: int) -> Layout:
        """The layout of a row."""
        return self.own.get(row) or self.common[self.group[row - self.first]]

    def counted(self) -> Iterator[tuple[Layout, int]]:
        """Each layout and how many rows have it."""
        return ((layout, count) for layout, count in self.counts.items() if count)


class Group(NamedTuple):
    """Rows that are alike: how many there are, the kinds of numbers in them, and which were read, as what."""

    size: int
    labels: frozenset[str]
    rows: Sequence[int]
    read: list[Described]


def judged(sheet: Sheet, groups: Sequence[Group], rows: int) -> Sheet:
    """`sheet` with what the cells of its `rows` rows, of which some were read, say of the columns."""
    return replace(sheet, columns=sheet.columns.judged(_seen(groups), rows))


def _seen(groups: Iterable[Group]) -> Iterator[tuple[float, int, str, bool]]:
    """Every candidate of the rows that were read: for how many rows it stands, column, kind, and whether its checksum holds."""
    for group in groups:
        for described, times in Counter(group.read).items():
            weight = times * group.size / len(group.read)
            for column, kind, valid in described.seen:
                yield weight, column, kind, valid


def layouts_of(first: int, group: Numbers, groups: Sequence[Group]) -> Layouts:
    """Layouts from what was read of each of `groups`; where all rows of one were read, each has its own."""
    common = [_common(one.read) if one.read else Layout(one.labels, "") for one in groups]
    counts = dict.fromkeys(common, 0)
    own: dict[int, Layout] = {}
    for one, shared in zip(groups, common, strict=True):
        if len(one.read) < one.size:
            counts[shared] += one.size
            continue
        for row, described in zip(one.rows, one.read, strict=True):
            layout = own[row] = Layout(described.fields, described.skeleton)
            counts[layout] = counts.get(layout, 0) + 1
    return Layouts(first, group, common, own, counts)


def _common(read: Sequence[Described]) -> Layout:
    """What at least half of the rows read hold, and the skeleton that most have."""
    first = read[0]
    if read.count(first) == len(read):
        return Layout(first.fields, first.skeleton)
    counts = Counter(label for described in read for label in described.fields)
    skeletons = Counter(described.skeleton for described in read)
    return Layout(frozenset(f for f, n in counts.items() if n * 2 >= len(read)), skeletons.most_common(1)[0][0])
