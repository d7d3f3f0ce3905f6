"""Layouts: rows of a document that are alike, read in samples.

Rows that are alike form a group, of which a few are read; what at least half of them hold, the group holds. So what a capture
costs depends on how many shapes its rows have, not on how many rows; and a capture of few rows is read whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from matcher.records.cells import Described, Layout
from matcher.records.row_groups import Sample
from matcher.records.spans import Numbers


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


def weights(sample: Sample, read: Sequence[Described]) -> dict[Described, float]:
    """For how many rows of the document each stands of those that `read` says the rows of `sample` are."""
    found: dict[Described, float] = {}
    for size, own in sample.groups():
        for described in read[own]:
            found[described] = found.get(described, 0.0) + size / (own.stop - own.start)
    return found


def layouts_of(
    first: int, group: Numbers, sample: Sample, read: Sequence[Described], unread: Callable[[int], frozenset[str]]
) -> Layouts:
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
    return Layouts(first, group, common, own_layouts, counts)


def _common(read: Sequence[Described]) -> Layout | None:
    """What at least half of the rows read hold, and the skeleton that most have; None where none was read."""
    if not read:
        return None
    if read.count(read[0]) == len(read):
        return read[0].layout
    counts = Counter(label for described in read for label in described.fields)
    skeletons = Counter(described.skeleton for described in read)
    return Layout(frozenset(f for f, n in counts.items() if n * 2 >= len(read)), skeletons.most_common(1)[0][0])
