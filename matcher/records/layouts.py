"""Layouts: rows of a document that are alike, read in samples.

Rows are alike that are written alike, hold the same kinds, and have as many separators in all and before their first candidate.
They form a group, of which a few are read; what at least half of them hold, the group holds. So what a capture costs depends on
how many shapes its rows have, not on how many rows; and a capture of few rows is read whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Bytes, ranges, within
from matcher.columns.bitset import Chain, Ranks, where
from matcher.records.reader import Described, Layout
from matcher.records.table import BLOCK, LINE, Numbers, Table

SAMPLES = 6
"""Rows of a group that are read."""
MOST_READ = 32
"""Rows of a document that are read in all; the largest groups come first. A document with fewer is read whole."""
MOST_COUNTED = 255


class Sample(NamedTuple):
    """Rows of one document that are read, by group: `borders` says where each group's begin and the last one's end.

    Of every group also the size and the `leading` row.
    """

    rows: list[int]
    borders: list[int]
    sizes: list[int]
    leading: list[int]

    def groups(self) -> Iterator[tuple[int, slice]]:
        """Of each group the size, and which of the rows that are read are its own."""
        return ((size, slice(*pair)) for size, pair in zip(self.sizes, pairwise(self.borders), strict=True))


class Samples(NamedTuple):
    """The same of several documents: `rows` i64[n], and for how many rows of its group each stands, `weights` f64[n].

    `groups` says where each document's groups begin.
    """

    rows: Numbers
    weights: npt.NDArray[np.float64]
    borders: list[int]
    sizes: list[int]
    leading: list[int]
    groups: list[int]

    @property
    def documents(self) -> list[int]:
        """Where each document's rows begin and the last one's end."""
        return [self.borders[group] for group in self.groups]

    def each(self) -> Iterator[Sample]:
        """The rows that are read of each document."""
        rows = self.rows.tolist()
        for low, high in pairwise(self.groups):
            first, last = self.borders[low], self.borders[high]
            borders = [border - first for border in self.borders[low : high + 1]]
            yield Sample(rows[first:last], borders, self.sizes[low:high], self.leading[low:high])


@dataclass(frozen=True, slots=True)
class RowGroups:
    """Rows of some documents in groups of rows that are alike.

    `rows` i64[n] are their numbers, ascending, `group` i64[n] the group of each among its document's. A column a group, those of
    one document after those of the one before: `size`, and `first`, where its rows begin in `order` i64[n], which are rows by
    group and place. `borders` i64[documents + 1]: where each document's groups begin.
    """

    rows: Numbers
    group: Numbers
    order: Numbers
    first: Numbers
    size: Numbers
    borders: Numbers

    @classmethod
    def of(cls, rows: Numbers, document: Numbers, keys: Numbers, documents: int) -> RowGroups:
        """Groups of `rows`, of which each has a key and the number of its document, below `documents`."""
        order = np.argsort(keys, kind="stable")
        key, own = keys[order], document[order]
        is_first = np.ones(len(rows), bool)
        is_first[1:] = (key[1:] != key[:-1]) | (own[1:] != own[:-1])
        first = np.flatnonzero(is_first)
        by_document = np.argsort(own[first], kind="stable")
        rank = np.empty(len(first), np.int64)
        rank[by_document] = np.arange(len(first))
        group = np.empty(len(rows), np.int64)
        group[order] = rank[np.cumsum(is_first) - 1]
        borders = np.searchsorted(own[first][by_document], np.arange(documents + 1))
        group -= borders[document]
        return cls(rows, group, rows[order], first[by_document], np.diff(first, append=len(rows))[by_document], borders)

    def samples(self) -> Samples:
        """What is read of each group."""
        sizes, groups = self.size.tolist(), self.borders.tolist()
        count = np.array([n for low, high in pairwise(groups) for n in read_of(sizes[low:high])], np.int64)
        borders = np.concatenate(([0], np.cumsum(count)))
        place = np.repeat(self.first, count) + within(count) * np.repeat(self.size, count) // np.repeat(count, count)
        weights = np.repeat(self.size, count) / np.repeat(count, count)
        return Samples(self.order[place], weights, borders.tolist(), sizes, self.order[self.first].tolist(), groups)


def read_of(sizes: Sequence[int]) -> list[int]:
    """Of groups with so many rows, all of one document, how many rows of each are read.

    >>> read_of([1, 300, 20]), read_of([20, 12])
    ([1, 6, 6], [20, 12])
    """
    left = MOST_READ
    most = SAMPLES if sum(sizes) > MOST_READ else MOST_READ
    chosen = [0] * len(sizes)
    for group in sorted(range(len(sizes)), key=lambda number: -sizes[number]):
        chosen[group] = min(most, sizes[group], left)
        left -= chosen[group]
    return chosen


def row_groups(table: Table, first: Numbers, count: Numbers, separators: Sequence[str]) -> RowGroups:
    """Groups of the rows of some documents, which have `count` rows from number `first` on and part cells by `separators`."""
    document = np.repeat(np.arange(len(first)), count)
    rows = ranges(first, count)
    cells = np.zeros(len(rows), np.int64)
    style = table.style[rows].astype(np.int64)
    leading = np.append(style, LINE)[np.cumsum(count) - count].tolist()
    styles = zip(separators, leading, strict=True)
    signs = [sign if written == LINE else "\n" if written == BLOCK else "," for sign, written in styles]
    has_rows = (count > 0).tolist()  # a stretch of a long text may have none, and knows the separator of the one before
    for sign in dict.fromkeys(sign for sign, has in zip(signs, has_rows, strict=True) if has):
        if sign not in ("", " "):
            own = np.flatnonzero(np.array([other == sign for other in signs])[document])
            cells[own] = _separators(table, rows[own], sign.encode())
    return RowGroups.of(rows, document, (table.mask[rows].astype(np.int64) << 18) | (style << 16) | cells, len(first))


def _separators(table: Table, rows: Numbers, sign: bytes) -> Numbers:
    """How often `sign` stands before the first candidate of each of `rows`, times 256, and in the whole row: i64[rows]."""
    start, end = table.start[rows], table.end[rows]
    low = int(start[0])
    seen = places_before(table.batch.data[low : int(end[-1])], sign)
    begin = seen.of(start - low)
    before, cells = (seen.of(places - low) - begin for places in (table.candidates.start[table.first_candidate[rows]], end))
    both: Numbers = (np.minimum(before, MOST_COUNTED) << 8) | np.minimum(cells, MOST_COUNTED)
    return both


def places_before(data: Bytes, sign: bytes) -> Ranks:
    """How many places in `data`, where `sign` begins, come before another; the sign is one byte some times over."""
    return Ranks(Chain(where(data, lambda part: part == sign[0])).of(len(sign)))


@dataclass(frozen=True, slots=True)
class Layouts:
    """The layouts of one document.

    `common` is the layout of each group; `own` has those rows, by number, that were read with all of their group. `counts`: how
    many rows have each layout.
    """

    common: Sequence[Layout]
    own: Mapping[int, Layout]
    counts: Mapping[Layout, int]

    def counted(self) -> Iterator[tuple[Layout, int]]:
        """Each layout and how many rows have it."""
        return ((layout, count) for layout, count in self.counts.items() if count)


def layouts_of(sample: Sample, read: Sequence[Described], unread: Callable[[int], frozenset[str]]) -> Layouts:
    """Layouts from what was read of each group of rows; where all of its rows were read, each has its own.

    `unread` gives the labels of a group that none was read of, by the first of its rows.
    """
    groups = list(sample.groups())
    leading = zip(groups, sample.leading, strict=True)
    common = [_common(read[own]) or Layout(unread(row), "") for (_, own), row in leading]
    counts = dict.fromkeys(common, 0)
    own_layouts: dict[int, Layout] = {}
    for (size, own), shared in zip(groups, common, strict=True):
        if own.stop - own.start < size:
            counts[shared] += size
            continue
        for row, described in zip(sample.rows[own], read[own], strict=True):
            own_layouts[row] = described.layout
            counts[described.layout] = counts.get(described.layout, 0) + 1
    return Layouts(common, own_layouts, counts)


def _common(read: Sequence[Described]) -> Layout | None:
    """What at least half of the rows read hold, and the skeleton that most have; None where none was read."""
    if not read:
        return None
    if read.count(read[0]) == len(read):
        return read[0].layout
    counts = Counter(label for described in read for label in described.fields)
    skeletons = Counter(described.skeleton for described in read)
    return Layout(frozenset(f for f, n in counts.items() if n * 2 >= len(read)), skeletons.most_common(1)[0][0])
