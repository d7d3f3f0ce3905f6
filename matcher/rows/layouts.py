"""Layouts: rows of a document that are alike, read in samples.

Rows that are written alike, hold the same kinds, and have as many separators in all and before their first candidate form a
layout. Up to SAMPLES rows of it are read; what at least half of them hold, the layout holds. So what a capture costs depends on
how many shapes its rows have, not on how many rows; and a capture of few rows is read whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from matcher.rows.cells import Described, masked
from matcher.rows.columns import Columns
from matcher.rows.sheet import HEADER_LINES, Sheet, header_of, separator_of
from matcher.rows.spans import BLOCK, LINE, TUPLE, Numbers
from matcher.rows.statements import BEGINNING, statements_of
from matcher.rows.table import Table
from matcher.scan.batch import Bytes

SAMPLES = 6
"""Rows of a layout that are read."""
MOST_READ = 32
"""Rows of a document that are read in all; the commonest layouts come first. A document with fewer is read whole."""
VOTERS = 4
"""Rows that vote on a document's separator."""
LONGEST_SAMPLE = 2048
MOST_COUNTED = 255


@dataclass(frozen=True, slots=True)
class Layout:
    """Labels and skeleton that rows share."""

    fields: frozenset[str]
    skeleton: str


@dataclass(frozen=True, slots=True)
class Layouts:
    """The layouts of one document, and which each of its rows has, from row number `first` on."""

    sheet: Sheet
    layouts: tuple[Layout, ...]
    first: int
    number: Sequence[int]

    def counted(self) -> Iterator[tuple[Layout, int]]:
        """Each layout and how many rows have it."""
        counts = Counter(self.number)
        return ((layout, counts[number]) for number, layout in enumerate(self.layouts) if counts[number])


def sheet_of(table: Table, document: int, carried: Sheet | None) -> Sheet:
    """Separator, header and statements of a document, from up to VOTERS rows; what it does not show is taken from `carried`."""
    rows = table.of_document(document)
    sampled = [row for row in _spread(rows, VOTERS) if table.style[row] == LINE]
    texts = [masked(table.text(row), table.inside(row))[:LONGEST_SAMPLE] for row in sampled]
    separator = separator_of(texts)
    labels = header_of(_above(table, rows.start), separator) if sampled else ()
    before = carried or Sheet()
    if not labels and separator == before.columns.separator:
        labels = before.columns.labels
    is_sql = any(BEGINNING.match(text.encode()) for text in texts) or bool((table.style[rows.start : rows.stop] == TUPLE).any())
    start = int(table.batch.starts[document])
    found = statements_of(table.batch.text(start, int(table.batch.ends[document])), start) if is_sql else ()
    columns = Columns(separator, labels) if sampled else before.columns
    return Sheet(columns, (*before.statements, *found))


def layouts_of(table: Table, document: int, sheet: Sheet) -> Layouts:
    """The layouts of a document; their sheet also knows what the cells seen say of the columns."""
    rows = table.of_document(document)
    if not rows:
        return Layouts(sheet, (), 0, ())
    _, alike, counts = np.unique(_keys(table, rows, sheet), return_inverse=True, return_counts=True)
    samples = [[rows[i] for i in group] for group in _samples(alike, counts)]
    read = [[table.describe(row, sheet) for row in group] for group in samples]
    seen = [
        (count / len(group), *s)
        for group, count in zip(read, counts.tolist(), strict=True)
        for described in group
        for s in described.seen
    ]
    judged = replace(sheet, columns=sheet.columns.judged(seen, len(rows)))
    for group, rows_read in zip(samples, read, strict=True):
        for at, described in enumerate(rows_read):
            if described.is_changed_by(judged.columns):
                rows_read[at] = table.describe(group[at], judged)
    return _voted(table, rows, judged, alike, samples, read)


def _voted(
    table: Table, rows: range, sheet: Sheet, alike: Numbers, samples: Sequence[Sequence[int]], read: Sequence[Sequence[Described]]
) -> Layouts:
    """Layouts from what was read of each group of rows that are `alike`; where all its rows were read, each has its own."""
    layouts: dict[Layout, int] = {}
    first = np.unique(alike, return_index=True)[1]
    number = np.empty(len(rows), np.int64)
    sizes = np.bincount(alike).tolist()
    of_group = np.empty(len(sizes), np.int64)
    for group, described in enumerate(read):
        common = _common(described) if described else Layout(table.labels(rows[int(first[group])]), "")
        of_group[group] = layouts.setdefault(common, len(layouts))
    number[:] = of_group[alike]
    for group, described in enumerate(read):
        if len(described) == sizes[group]:
            for row, one in zip(samples[group], described, strict=True):
                own = Layout(one.fields, one.skeleton)
                number[row - rows.start] = layouts.setdefault(own, len(layouts))
    return Layouts(sheet, tuple(layouts), rows.start, number.tolist())


def _common(read: Sequence[Described]) -> Layout:
    """What at least half of the rows read hold, and the skeleton that most have."""
    counts = Counter(label for described in read for label in described.fields)
    skeletons = Counter(described.skeleton for described in read)
    return Layout(frozenset(f for f, n in counts.items() if n * 2 >= len(read)), skeletons.most_common(1)[0][0])


def _samples(alike: Numbers, counts: Numbers) -> list[list[int]]:
    """Up to SAMPLES members of each group, spread over it, until MOST_READ are chosen; the largest groups choose first.

    Of up to MOST_READ rows all are chosen.
    """
    most = SAMPLES if len(alike) > MOST_READ else MOST_READ
    order = np.argsort(alike, kind="stable")
    ends = np.cumsum(counts)
    chosen: list[list[int]] = [[] for _ in range(len(counts))]
    left = MOST_READ
    for group in np.argsort(-counts, kind="stable").tolist():
        if left <= 0:
            break
        members = range(int(ends[group] - counts[group]), int(ends[group]))
        chosen[group] = [int(order[i]) for i in _spread(members, min(most, left))]
        left -= len(chosen[group])
    return chosen


def _spread(numbers: range, most: int) -> list[int]:
    """Up to `most` of `numbers` at equal distances, the first among them."""
    count = min(most, len(numbers))
    return [numbers[i * len(numbers) // count] for i in range(count)]


def _above(table: Table, row: int) -> list[str]:
    """The lines above a row in its document, at most HEADER_LINES."""
    batch = table.batch
    line = int(np.searchsorted(batch.line_starts, table.start[row], "right")) - 1
    starts = batch.line_starts[max(0, line - HEADER_LINES + 1) : line + 1]
    begin = batch.starts[table.document[row]]
    pairs = zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
    lines = (batch.text(first, min(last - 1, first + LONGEST_SAMPLE)) for first, last in pairs if first >= begin)
    return [line.decode("utf-8", "replace") for line in lines]


def _keys(table: Table, rows: range, sheet: Sheet) -> Numbers:
    """A number for what rows are alike by: style, kinds, separators before the first candidate and in all; i64[rows]."""
    own = slice(rows.start, rows.stop)
    start, end, style = table.start[own], table.end[own], table.style[own]
    separator = sheet.columns.separator if style[0] == LINE else "\n" if style[0] == BLOCK else ","
    first = table.candidates.start[table.first_members(rows)]
    before = cells = np.zeros(len(rows), np.int64)
    if separator not in ("", " "):
        low = int(start[0])
        hits = _places(table.batch.data[low : int(end[-1])], separator.encode())
        begin = np.searchsorted(hits, start - low)
        cells = np.minimum(np.searchsorted(hits, end - low) - begin, MOST_COUNTED)
        before = np.minimum(np.searchsorted(hits, first - low) - begin, MOST_COUNTED)
    keys: Numbers = (table.mask[own].astype(np.int64) << 24) | (style.astype(np.int64) << 16) | (before << 8) | cells
    return keys


def _places(data: Bytes, sign: bytes) -> Numbers:
    """Where `sign` stands in `data`."""
    found = data[: len(data) - len(sign) + 1] == sign[0]
    for offset in range(1, len(sign)):
        found &= data[offset : len(data) - len(sign) + 1 + offset] == sign[offset]
    return np.flatnonzero(found)
