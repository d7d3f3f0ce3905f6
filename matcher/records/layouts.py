"""What a few rows of a document tell of all: their layouts, and what the columns are.

Rows are alike that are written alike, hold the same kinds, and have as many separators in all and
before their first candidate. They form a group, of which a few are read; what at least half of them
hold, the group holds. So what a capture costs depends on how many shapes its rows have, not on how
many rows; and a capture of few rows is read whole.

Before its rows are read, a few of them vote on the separator, and a header or the statements of a
dump name the columns (`sheets_of`). Then what has no name is told by the cells of some rows
(`typed_together`): passwords, codes of cards, and tags that look like names.

`13800138000:…`, `a@b.cn----…`: the trade writes a login, a sign and a password, and no header. One
value may be anything; a column of passwords is told by most of its values being possible ones,
several of them made as passwords are (letters with digits, or the commonest of all), and hardly any
two equal. `card|12/27|123`: behind a card stand month and year, and three digits, which are its
code. Rules of our own, by reading published descriptions of such lists.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Bytes, ranges, within
from matcher.columns.bitset import NeighbourRuns, Ranks, where
from matcher.detect.numbers import DIGEST
from matcher.records.cells import is_made, is_possible, is_tag
from matcher.records.reader import (
    HASH,
    HEADER_LINES,
    LOGINS,
    SEPARATORS,
    DocumentColumns,
    HeaderColumns,
    RowLayout,
    ShapeDescription,
    elected,
    header_of,
    is_beginning,
    statements_of,
    vote,
)
from matcher.records.table import BLOCK, LINE, TUPLE, Numbers, RowBatch, shown
from ullage.vocabulary.fields import FieldLabel

SAMPLES = 6
"""Rows of a group that are read."""
MOST_READ = 32
"""Rows of a document that are read in all; the largest groups come first.

A document with fewer is read whole.
"""
MOST_COUNTED = 255


class RowSample(NamedTuple):
    """Rows of one document that are read, by group: `borders` says where each group's begin and the
    last one's end.

    Of every group also the size and the `leading` row.
    """

    rows: list[int]
    borders: list[int]
    sizes: list[int]
    leading: list[int]

    def groups(self) -> Iterator[tuple[int, slice]]:
        """Of each group the size, and which of the rows that are read are its own."""
        return (
            (size, slice(*pair))
            for size, pair in zip(self.sizes, pairwise(self.borders), strict=True)
        )


class Samples(NamedTuple):
    """The same of several documents: `rows` i64[n], and for how many rows of its group each stands,
    `weights` f64[n].

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
        """Return where each document's rows begin and the last one's end."""
        return [self.borders[group] for group in self.groups]

    def each(self) -> Iterator[RowSample]:
        """Yield the rows that are read of each document."""
        rows = self.rows.tolist()
        for low, high in pairwise(self.groups):
            first, last = self.borders[low], self.borders[high]
            borders = [border - first for border in self.borders[low : high + 1]]
            yield RowSample(rows[first:last], borders, self.sizes[low:high], self.leading[low:high])


@dataclass(frozen=True, slots=True)
class RowGroups:
    """Rows of some documents in groups of rows that are alike.

    `rows` i64[n] are their numbers, ascending, `group` i64[n] the group of each among its
    document's. A column a group, those of one document after those of the one before: `size`, and
    `first`, where its rows begin in `order` i64[n], which are rows by group and place. `borders`
    i64[documents + 1]: where each document's groups begin.
    """

    rows: Numbers
    group: Numbers
    order: Numbers
    first: Numbers
    size: Numbers
    borders: Numbers

    @classmethod
    def of(cls, rows: Numbers, document: Numbers, keys: Numbers, documents: int) -> RowGroups:
        """Groups of `rows`, of which each has a key and the number of its document, below
        `documents`.
        """
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
        return cls(
            rows,
            group,
            rows[order],
            first[by_document],
            np.diff(first, append=len(rows))[by_document],
            borders,
        )

    def samples(self) -> Samples:
        """Return what is read of each group."""
        sizes, groups = self.size.tolist(), self.borders.tolist()
        count = np.array(
            [n for low, high in pairwise(groups) for n in read_of(sizes[low:high])], np.int64
        )
        borders = np.concatenate(([0], np.cumsum(count)))
        place = np.repeat(self.first, count) + within(count) * np.repeat(
            self.size, count
        ) // np.repeat(count, count)
        weights = np.repeat(self.size, count) / np.repeat(count, count)
        return Samples(
            self.order[place],
            weights,
            borders.tolist(),
            sizes,
            self.order[self.first].tolist(),
            groups,
        )


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


def row_groups(
    table: RowBatch, first: Numbers, count: Numbers, separators: Sequence[str]
) -> RowGroups:
    """Groups of the rows of some documents, which have `count` rows from number `first` on and
    part cells by `separators`.
    """
    document = np.repeat(np.arange(len(first)), count)
    rows = ranges(first, count)
    cells = np.zeros(len(rows), np.int64)
    style = table.style[rows].astype(np.int64)
    leading = np.append(style, LINE)[np.cumsum(count) - count].tolist()
    styles = zip(separators, leading, strict=True)
    signs = [
        sign if written == LINE else "\n" if written == BLOCK else "," for sign, written in styles
    ]
    # a stretch of a long text may have none, and knows the separator of the one before
    has_rows = (count > 0).tolist()
    for sign in dict.fromkeys(sign for sign, has in zip(signs, has_rows, strict=True) if has):
        if sign not in ("", " "):
            own = np.flatnonzero(np.array([other == sign for other in signs])[document])
            cells[own] = _separators(table, rows[own], sign.encode())
    return RowGroups.of(
        rows,
        document,
        (table.mask[rows].astype(np.int64) << 18) | (style << 16) | cells,
        len(first),
    )


def _separators(table: RowBatch, rows: Numbers, sign: bytes) -> Numbers:
    """Return how often `sign` stands before the first candidate of each of `rows`, times 256,
    and in the whole row: i64[rows].
    """
    start, end = table.start[rows], table.end[rows]
    low = int(start[0])
    seen = places_before(table.batch.data[low : int(end[-1])], sign)
    begin = seen.of(start - low)
    before, cells = (
        seen.of(places - low) - begin
        for places in (table.candidates.start[table.first_candidate[rows]], end)
    )
    both: Numbers = (np.minimum(before, MOST_COUNTED) << 8) | np.minimum(cells, MOST_COUNTED)
    return both


def places_before(data: Bytes, sign: bytes) -> Ranks:
    """Return how many places in `data`, where `sign` begins, come before another; the sign is
    one byte some times over.
    """
    return Ranks(NeighbourRuns(where(data, lambda part: part == sign[0])).of(len(sign)))


@dataclass(frozen=True, slots=True)
class Layouts:
    """The layouts of one document.

    `common` is the layout of each group; `own` has those rows, by number, that were read with all
    of their group. `counts`: how many rows have each layout.
    """

    common: Sequence[RowLayout]
    own: Mapping[int, RowLayout]
    counts: Mapping[RowLayout, int]

    def counted(self) -> Iterator[tuple[RowLayout, int]]:
        """Return each layout and how many rows have it."""
        return ((layout, count) for layout, count in self.counts.items() if count)


def layouts_of(
    sample: RowSample, read: Sequence[ShapeDescription], unread: Callable[[int], frozenset[str]]
) -> Layouts:
    """Layouts from what was read of each group of rows; where all of its rows were read, each has
    its own.

    `unread` gives the labels of a group that none was read of, by the first of its rows.
    """
    groups = list(sample.groups())
    leading = zip(groups, sample.leading, strict=True)
    common = [_common(read[own]) or RowLayout(unread(row), "") for (_, own), row in leading]
    counts = dict.fromkeys(common, 0)
    own_layouts: dict[int, RowLayout] = {}
    for (size, own), shared in zip(groups, common, strict=True):
        if own.stop - own.start < size:
            counts[shared] += size
            continue
        for row, described in zip(sample.rows[own], read[own], strict=True):
            own_layouts[row] = described.layout
            counts[described.layout] = counts.get(described.layout, 0) + 1
    return Layouts(common, own_layouts, counts)


def _common(read: Sequence[ShapeDescription]) -> RowLayout | None:
    """Return what at least half of the rows read hold, and the skeleton that most have; None
    where none was read.
    """
    if not read:
        return None
    if read.count(read[0]) == len(read):
        return read[0].layout
    counts = Counter(label for described in read for label in described.fields)
    skeletons = Counter(described.skeleton for described in read)
    return RowLayout(
        frozenset(f for f, n in counts.items() if n * 2 >= len(read)),
        skeletons.most_common(1)[0][0],
    )


VOTERS = 4
"""Rows that vote on a document's separator."""
LONGEST_SAMPLE = 2048
SURE = tuple(sign.encode() for sign in SEPARATORS[: SEPARATORS.index(":")])
"""Separators before the one that may stand behind a label as well."""


def sheets_of(
    table: RowBatch,
    documents: Numbers,
    carried: Mapping[int, DocumentColumns],
    goes_on: Container[int] = (),
) -> list[DocumentColumns]:
    """Separator, header and statements of each of `documents` (ascending).

    What one does not show is taken from `carried`, of one that `goes_on` from the document before
    it, which is among them or has its place in `carried`.
    """
    first, count = table.extent_of(documents)
    spread = first[:, None] + count[:, None] * np.arange(VOTERS) // VOTERS
    voters = np.unique(spread[count > 0])
    voters = voters[table.style[voters] == LINE]
    texts = table.marked(voters).texts()
    low, high = (
        np.searchsorted(table.document[voters], documents, side) for side in ("left", "right")
    )
    has_tuples = bool((table.style == TUPLE).any())
    columns = (documents, first, count, low, high)
    known = dict(carried)
    for document, row, rows, begin, end in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        before = (
            known[document - 1].as_carried()
            if document in goes_on
            else known.get(document, DocumentColumns())
        )
        known[document] = _sheet(
            table, document, range(row, row + rows), texts[begin:end], before, has_tuples=has_tuples
        )
    return [known[document] for document in documents.tolist()]


def _sheet(
    table: RowBatch,
    document: int,
    rows: range,
    texts: Sequence[bytes],
    before: DocumentColumns,
    *,
    has_tuples: bool,
) -> DocumentColumns:
    """Return what one document shows, of which `texts` are some lines; `before` is what is known
    from its earlier parts.
    """
    columns = before.columns
    if texts:
        separator = elected([vote_of(text) for text in texts])
        labels, names = header_of(_above(table, rows.start), separator)
        if not labels and separator == columns.separator:
            labels, names = columns.labels, columns.names
        columns = HeaderColumns(separator, labels, names=names)
    is_sql = any(map(is_beginning, texts)) or (
        has_tuples and bool((table.style[rows.start : rows.stop] == TUPLE).any())
    )
    if not is_sql:
        return DocumentColumns(columns, before.statements)
    start = int(table.batch.starts[document])
    return DocumentColumns(
        columns,
        (
            *before.statements,
            *statements_of(table.batch.text(start, int(table.batch.ends[document])), start),
        ),
    )


def vote_of(text: bytes) -> str:
    """Return the separator of one row; most are told from its bytes."""
    if len(text) <= LONGEST_SAMPLE:
        for sign in SURE:
            if sign in text:
                return sign.decode()
    return vote(shown(text)[:LONGEST_SAMPLE])


def _above(table: RowBatch, row: int) -> list[str]:
    """Return the lines above a row in its document, at most HEADER_LINES."""
    batch = table.batch
    begin = batch.starts[table.document[row]]
    if table.start[row] == begin:
        return []
    line = int(np.searchsorted(batch.line_starts, table.start[row], "right")) - 1
    starts = batch.line_starts[max(0, line - HEADER_LINES + 1) : line + 1]
    pairs = zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
    lines = (
        batch.text(first, min(last - 1, first + LONGEST_SAMPLE))
        for first, last in pairs
        if first >= begin
    )
    return [line.decode("utf-8", "replace") for line in lines]


USUAL = frozenset((":", "----"))
"""Signs that mostly part a login and its password; behind another a column needs more to be one."""
SCHEMES = ("http", "https")
"""What stands in the cell behind a password where the address of its page follows: the colon
parts it.
"""
CARD = f"<{FieldLabel.CARD}>"
TELLING = LOGINS | {CARD}
"""Cells beside which an unknown one may be told."""
CODE, MONTH, YEAR = (
    re.compile("[0-9]{3}"),
    re.compile("0?[1-9]|1[0-2]"),
    re.compile("(?:20)?[2-4][0-9]"),
)
EXPIRY = re.compile(
    r"(?:0?[1-9]|1[0-2])\s?[/\-.]\s?(?:20)?[2-4][0-9]|(?:20)?[2-4][0-9]\s?[/\-.]\s?(?:0?[1-9]|1[0-2])|(?:0[1-9]|1[0-2])[2-4][0-9]"
)
FEWEST_CODES = 3
FEWEST, FEWEST_NAMES = 4, 4
"""Rows that tell of a column behind another sign, and names by which it is told whether they
come again.
"""


class CellTexts(Protocol):
    """The cells of a row as characters."""

    def __len__(self) -> int: ...

    def __getitem__(self, column: int, /) -> str: ...


Lines = Sequence[tuple[ShapeDescription, int]]
"""Some lines as they were read, each with its number, by which its values are known."""


def typed_together(
    sheet: DocumentColumns, lines: Lines, values: Callable[[int], CellTexts]
) -> DocumentColumns:
    """`sheet` with what its columns are, from some lines."""
    counts, separator = Counter(described for described, _ in lines), sheet.columns.separator
    if not any(described.names or _may_be_told(described) for described in counts):
        return sheet
    named = frozenset(column for column, label in enumerate(sheet.columns.labels) if label)
    found = passwords(lines, values, separator) | hashes(counts, separator)
    typed = {**card_codes(lines, values), **dict.fromkeys(found, FieldLabel.PASSWORD)}
    typed = {column: label for column, label in typed.items() if column not in named}
    return replace(
        sheet, columns=replace(sheet.columns, typed=typed, nameless=nameless(lines, values, named))
    )


def _may_be_told(described: ShapeDescription) -> bool:
    """Return whether something in a row may be told by what stands in other rows."""
    marks = {*described.marks}
    return (
        not TELLING.isdisjoint(marks)
        if described.unknown
        else HASH in marks and not LOGINS.isdisjoint(marks)
    )


def hashes(counts: Mapping[ShapeDescription, int], separator: str) -> frozenset[int]:
    """Return the last column of most rows, a digest behind a login: by the usual signs of such
    lists it is that of a password.

    `counts` says how many rows hold what.
    """
    held = Counter[int]()
    for described, count in counts.items():
        if (
            len(described.marks) > 1
            and described.marks[-1] == HASH
            and described.marks[-2] in LOGINS
        ):
            held[len(described.cells) - 1] += count
    most = (column for column, count in held.items() if count * 2 >= sum(counts.values()))
    return frozenset(most if separator in USUAL else ())


def card_codes(lines: Lines, values: Callable[[int], CellTexts]) -> dict[int, FieldLabel]:
    """Columns of expiry dates and codes beside a column of cards, from some rows and their values.

    Three digits beside an expiry date are a code; directly behind a card without one they are where
    hardly two are equal, and few of them round as amounts are.
    """
    cards = Counter(
        described.marks.index(CARD) for described, _ in lines if CARD in described.marks
    )
    card, count = max(cards.items(), key=lambda pair: (pair[1], -pair[0]), default=(0, 0))
    if count * 2 < len(lines) or not count:
        return {}
    held: dict[int, list[str]] = defaultdict(list)
    for described, row in lines:
        for column in described.unknown if described.marks[card : card + 1] == [CARD] else ():
            held[column].append(values(row)[column].strip())
    columns = {column: own for column, own in held.items() if len(own) * 4 >= count * 3}
    dates = {column for column, own in columns.items() if _are(EXPIRY, own)}
    for column, own in columns.items():
        if _are(MONTH, own) and _are(YEAR, columns.get(column + 1, ())):
            dates |= {column, column + 1}
    codes = {column for column, own in columns.items() if column not in dates and _are(CODE, own)}
    beside = {
        column
        for column in codes
        if column - 1 in dates or (column - 1 == card and column + 1 in dates)
    }
    alone = {
        column
        for column in codes
        if column - 1 == card and not dates and _are_spread(columns[column])
    }
    found = beside or alone
    return {
        **dict.fromkeys(found, FieldLabel.CVV),
        **(dict.fromkeys(dates, FieldLabel.EXPIRY) if found else {}),
    }


def _are(pattern: re.Pattern[str], values: Sequence[str]) -> bool:
    """Return whether at least three of four values are of that shape."""
    return (
        bool(values)
        and sum(pattern.fullmatch(value) is not None for value in values) * 4 >= len(values) * 3
    )


def _are_spread(values: Sequence[str]) -> bool:
    """Return whether some numbers are neither tags, of which many are equal, nor amounts, of
    which most are round.
    """
    is_round = sum(value.endswith("0") for value in values) * 2 > len(values)
    return len(values) >= FEWEST_CODES and len({*values}) * 4 >= len(values) * 3 and not is_round


def passwords(lines: Lines, values: Callable[[int], CellTexts], separator: str) -> frozenset[int]:
    """Columns that hold passwords, from some rows and their values."""
    held: dict[int, list[str]] = defaultdict(list)
    alone: dict[int, bool] = {}
    for described, row in lines:
        column = described.behind_login
        if column is not None:
            cells = values(row)
            held[column].append(cells[column])
            is_behind_all = column == len(cells) - 1 or cells[column + 1] in SCHEMES
            alone[column] = alone.get(column, True) and is_behind_all
    return frozenset(
        column
        for column, own in held.items()
        if len(own) * 2 >= len(lines)
        and _are_passwords(own, usual=separator in USUAL, alone=alone[column])
    )


def _are_passwords(values: Sequence[str], *, usual: bool, alone: bool) -> bool:
    """Return whether most values are possible, enough of them made, and few equal; `alone`:
    nothing stands behind them.
    """
    possible = [value for value in values if is_possible(value)]
    made, different = sum(map(is_made, possible)), len({*values})
    several_shapes = len({_shape(value) for value in values}) > 1
    if usual and alone:
        few = different * 2 < len(values) and not (several_shapes and made == len(values))
        return len(possible) * 4 >= len(values) * 3 and made * 3 >= len(values) and not few
    enough = (
        len(values) >= FEWEST and len(possible) == len(values) and different * 4 >= len(values) * 3
    )
    return enough and several_shapes and made * 2 >= len(values)


def _shape(value: str) -> str:
    """Return which of its characters are digits: numbers of one form have one shape."""
    return "".join("9" if char.isdigit() else "a" if char.isalpha() else char for char in value)


def nameless(
    lines: Lines, values: Callable[[int], CellTexts], named: frozenset[int]
) -> frozenset[int]:
    """Columns whose cells look like names and are tags; those `named` by a header are names.

    Beside digests alone names that come again, or stand in fewer than half of the cells, are none:
    people have one each.
    """
    held: dict[int, list[str]] = defaultdict(list)
    for described, row in lines:
        for column in described.names:
            if column not in named:
                held[column].append(values(row)[column])
    digests = bool(held) and all(
        {kind for _, kind, valid in described.seen if valid} == {DIGEST} for described, _ in lines
    )
    cells = (
        Counter(n for described, _ in lines for n, mark in enumerate(described.marks) if mark)
        if digests
        else Counter[int]()
    )
    return frozenset(
        column for column, own in held.items() if _are_tags(own, cells[column], digests=digests)
    )


def _are_tags(values: Sequence[str], cells: int, *, digests: bool) -> bool:
    if sum(map(is_tag, values)) * 2 >= len(values):
        return True
    hidden = any("某" in value or "*" in value for value in values)
    again = len(values) >= FEWEST_NAMES and len({*values}) * 3 <= len(values) * 2 and not hidden
    return digests and (again or len(values) * 2 < cells)
