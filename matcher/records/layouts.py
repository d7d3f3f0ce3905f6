"""Read a few rows of a document, and infer from them its layouts and its columns.

Rows are alike if they are written alike, hold the same kinds, and have as many separators in all
and before their first candidate. Alike rows form a group, of which a few are read; a field that at
least half of them hold counts for the group. The cost of a capture thus depends on the number of
row shapes, not of rows, and a capture of few rows is read completely.

Before the rows are read, a few of them vote on the separator, and a header or the statements of a
dump name the columns (`sheets_of`). Then columns without a name are typed by the cells of some rows
(`infer_column_types`): passwords, codes of cards, and tags that look like names.
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

from matcher.columns.batch import Bytes, index_in_groups, ranges
from matcher.columns.bitset import NeighbourRuns, Ranks, find_places
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
    elect_separator,
    header_of,
    is_beginning,
    statements_of,
    vote,
)
from matcher.records.table import BLOCK, LINE, TUPLE, Numbers, RowBatch, decode_marked
from ullage.vocabulary.fields import FieldLabel

SAMPLES = 6
"""Rows of a group that are read."""
MOST_READ = 32
"""Rows of a document that are read in all; the largest groups come first.

A document with fewer rows is read completely.
"""
MOST_COUNTED = 255


class RowSample(NamedTuple):
    """The sampled rows of one document, by group.

    `borders` are the starts of the groups in `rows` and the end of the last; of each group, `sizes`
    has the number of all its rows, and `leading` the first of them.
    """

    rows: list[int]
    borders: list[int]
    sizes: list[int]
    leading: list[int]

    def groups(self) -> Iterator[tuple[int, slice]]:
        """Yield the number of rows of each group, and the slice of its sampled rows."""
        return (
            (size, slice(*pair))
            for size, pair in zip(self.sizes, pairwise(self.borders), strict=True)
        )


class Samples(NamedTuple):
    """The sampled rows of several documents, as those of `RowSample`.

    `rows` is i64[n]; `weights` f64[n] is the number of rows of its group that each stands for.
    `groups` are the starts of each document's groups.
    """

    rows: Numbers
    weights: npt.NDArray[np.float64]
    borders: list[int]
    sizes: list[int]
    leading: list[int]
    groups: list[int]

    @property
    def documents(self) -> list[int]:
        """Return the start of each document's rows, and the end of the last."""
        return [self.borders[group] for group in self.groups]

    def each(self) -> Iterator[RowSample]:
        """Yield the sampled rows of each document, in order."""
        rows = self.rows.tolist()
        for low, high in pairwise(self.groups):
            first, last = self.borders[low], self.borders[high]
            borders = [border - first for border in self.borders[low : high + 1]]
            yield RowSample(rows[first:last], borders, self.sizes[low:high], self.leading[low:high])


@dataclass(frozen=True, slots=True)
class RowGroups:
    """Rows of some documents, grouped by likeness.

    `rows` (i64[n]) are their numbers, ascending; `group` (i64[n]) is the number of each row's group
    in its document. Per group, ordered by document, `size` is its number of rows and `first` their
    start in `order` (i64[n]), which lists the rows by group and place. `borders` (i64[documents +
    1]) are the starts of the documents' groups.
    """

    rows: Numbers
    group: Numbers
    order: Numbers
    first: Numbers
    size: Numbers
    borders: Numbers

    @classmethod
    def from_keys(
        cls, rows: Numbers, document: Numbers, keys: Numbers, documents: int
    ) -> RowGroups:
        """Group `rows` by their keys within each document.

        `keys` has the key of each row, `document` its document's number, below `documents`.
        """
        order = np.argsort(keys, kind="stable")
        key, row_document = keys[order], document[order]
        is_first = np.ones(len(rows), bool)
        is_first[1:] = (key[1:] != key[:-1]) | (row_document[1:] != row_document[:-1])
        first = np.flatnonzero(is_first)
        by_document = np.argsort(row_document[first], kind="stable")
        rank = np.empty(len(first), np.int64)
        rank[by_document] = np.arange(len(first))
        group = np.empty(len(rows), np.int64)
        group[order] = rank[np.cumsum(is_first) - 1]
        borders = np.searchsorted(row_document[first][by_document], np.arange(documents + 1))
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
        """Return the numbers of the rows to read of each group, evenly spread over the group."""
        sizes, groups = self.size.tolist(), self.borders.tolist()
        count = np.array(
            [n for low, high in pairwise(groups) for n in count_rows_to_read(sizes[low:high])],
            np.int64,
        )
        borders = np.concatenate(([0], np.cumsum(count)))
        place = np.repeat(self.first, count) + index_in_groups(count) * np.repeat(
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


def count_rows_to_read(sizes: Sequence[int]) -> list[int]:
    """Return how many rows of each group to read, given the groups' sizes in one document.

    Up to MOST_READ (32) rows in all are all read; beyond, at most SAMPLES (6) of each group, the
    largest groups first.

    >>> count_rows_to_read([1, 300, 20]), count_rows_to_read([20, 12])
    ([1, 6, 6], [20, 12])
    """
    remaining = MOST_READ
    most = SAMPLES if sum(sizes) > MOST_READ else MOST_READ
    chosen = [0] * len(sizes)
    for group in sorted(range(len(sizes)), key=lambda number: -sizes[number]):
        chosen[group] = min(most, sizes[group], remaining)
        remaining -= chosen[group]
    return chosen


def group_rows(
    table: RowBatch, first: Numbers, count: Numbers, separators: Sequence[str]
) -> RowGroups:
    """Group the rows of some documents by layout: kinds of values, style, and number of cells.

    A document has `count` rows from the number `first` on; its cells are separated by its element
    of `separators`.
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
            matching = np.flatnonzero(
                np.array([document_sign == sign for document_sign in signs])[document]
            )
            cells[matching] = _count_separators(table, rows[matching], sign.encode())
    return RowGroups.from_keys(
        rows,
        document,
        (table.mask[rows].astype(np.int64) << 18) | (style << 16) | cells,
        len(first),
    )


def _count_separators(table: RowBatch, rows: Numbers, sign: bytes) -> Numbers:
    """Count the separators of each row: i64[rows].

    The result is 256 times the number of `sign` before the row's first candidate, plus that in the
    whole row.
    """
    start, end = table.start[rows], table.end[rows]
    low = int(start[0])
    ranks = places_before(table.batch.data[low : int(end[-1])], sign)
    begin = ranks.count_below(start - low)
    before, cells = (
        ranks.count_below(places - low) - begin
        for places in (table.candidates.start[table.first_candidate[rows]], end)
    )
    counts: Numbers = (np.minimum(before, MOST_COUNTED) << 8) | np.minimum(cells, MOST_COUNTED)
    return counts


def places_before(data: Bytes, sign: bytes) -> Ranks:
    """Return the ranks of the places in `data` where `sign` begins.

    `sign` is one byte, repeated.
    """
    return Ranks(
        NeighbourRuns(find_places(data, lambda part: part == sign[0])).find_starts(len(sign))
    )


@dataclass(frozen=True, slots=True)
class Layouts:
    """The layouts of one document.

    `common` is the layout of each group. `by_row` maps row numbers to the layouts of rows in groups
    that were read completely. `counts` is the number of rows that have each layout.
    """

    common: Sequence[RowLayout]
    by_row: Mapping[int, RowLayout]
    counts: Mapping[RowLayout, int]

    def iter_counts(self) -> Iterator[tuple[RowLayout, int]]:
        """Yield each layout that rows have, with the number of these rows."""
        return ((layout, count) for layout, count in self.counts.items() if count)


def layouts_of(
    sample: RowSample, read: Sequence[ShapeDescription], unread: Callable[[int], frozenset[str]]
) -> Layouts:
    """Return the layouts of a document, from the descriptions `read` of its sampled rows.

    If all rows of a group were read, each has its own layout; otherwise all get the most common
    one. `unread` returns the field labels of a group without a sampled row, given its first row.
    """
    groups = list(sample.groups())
    leading = zip(groups, sample.leading, strict=True)
    common = [
        _common(read[in_group]) or RowLayout(unread(row), "") for (_, in_group), row in leading
    ]
    counts = dict.fromkeys(common, 0)
    own_layouts: dict[int, RowLayout] = {}
    for (size, in_group), shared in zip(groups, common, strict=True):
        if in_group.stop - in_group.start < size:
            counts[shared] += size
            continue
        for row, described in zip(sample.rows[in_group], read[in_group], strict=True):
            own_layouts[row] = described.layout
            counts[described.layout] = counts.get(described.layout, 0) + 1
    return Layouts(common, own_layouts, counts)


def _common(read: Sequence[ShapeDescription]) -> RowLayout | None:
    """Return the fields that at least half of the rows have, with the most frequent skeleton.

    Returns None if no row was read.
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
"""Separators that come before the colon, which may also follow a label."""


def sheets_of(
    table: RowBatch,
    documents: Numbers,
    carried: Mapping[int, DocumentColumns],
    goes_on: Container[int] = (),
) -> list[DocumentColumns]:
    """Return separator, header and statements of each of `documents`, which ascend.

    What a document does not show is taken from `carried`. A document that `goes_on` from the
    document before it takes it from that one, which is in `documents` or has an entry in `carried`.
    """
    first, count = table.extent_of(documents)
    spread = first[:, None] + count[:, None] * np.arange(VOTERS) // VOTERS
    voters = np.unique(spread[count > 0])
    voters = voters[table.style[voters] == LINE]
    texts = table.to_marked_text(voters).texts()
    low, high = (
        np.searchsorted(table.document[voters], documents, side) for side in ("left", "right")
    )
    has_tuples = bool((table.style == TUPLE).any())
    columns = (documents, first, count, low, high)
    sheets = dict(carried)
    for document, row, rows, begin, end in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        before = (
            sheets[document - 1].as_carried()
            if document in goes_on
            else sheets.get(document, DocumentColumns())
        )
        sheets[document] = _sheet(
            table, document, range(row, row + rows), texts[begin:end], before, has_tuples=has_tuples
        )
    return [sheets[document] for document in documents.tolist()]


def _sheet(
    table: RowBatch,
    document: int,
    rows: range,
    texts: Sequence[bytes],
    before: DocumentColumns,
    *,
    has_tuples: bool,
) -> DocumentColumns:
    """Return the columns of one document.

    `texts` are some of its lines; `before` are the columns known from its earlier parts.
    """
    columns = before.columns
    if texts:
        separator = elect_separator([vote_of(text) for text in texts])
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
    """Return the separator of one row: a string, "" if it has none.

    For short rows with an unambiguous sign the bytes alone decide.
    """
    if len(text) <= LONGEST_SAMPLE:
        for sign in SURE:
            if sign in text:
                return sign.decode()
    return vote(decode_marked(text)[:LONGEST_SAMPLE])


def _above(table: RowBatch, row: int) -> list[str]:
    """Return the lines above a row in its document, at most HEADER_LINES, in order.

    Returns [] for the first line. Each is cut to LONGEST_SAMPLE (2,048) bytes.
    """
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
"""The usual separators of a login and its password.

With any other, a column needs more evidence to be one of passwords.
"""
SCHEMES = ("http", "https")
"""The cell behind a password that is followed by the address of its page.

The colon of the address separates it.
"""
CARD = f"<{FieldLabel.CARD}>"
TELLING = LOGINS | {CARD}
"""Cells beside which an unknown cell may be recognised."""
CODE, MONTH, YEAR = (
    re.compile("[0-9]{3}"),
    re.compile("0?[1-9]|1[0-2]"),
    re.compile("(?:20)?[2-4][0-9]"),
)
EXPIRY = re.compile(
    r"(?:0?[1-9]|1[0-2])\s?[/\-.]\s?(?:20)?[2-4][0-9]"
    r"|(?:20)?[2-4][0-9]\s?[/\-.]\s?(?:0?[1-9]|1[0-2])|(?:0[1-9]|1[0-2])[2-4][0-9]"
)
FEWEST_CODES = 3
FEWEST, FEWEST_NAMES = 4, 4
"""Rows needed to recognise a column with another separator, and names needed to see repetition."""


class CellTexts(Protocol):
    """The cells of a row as strings."""

    def __len__(self) -> int: ...

    def __getitem__(self, column: int, /) -> str: ...


Lines = Sequence[tuple[ShapeDescription, int]]
"""Descriptions of some lines, each with its row number, by which its values are found."""


def infer_column_types(
    sheet: DocumentColumns, lines: Lines, values: Callable[[int], CellTexts]
) -> DocumentColumns:
    """Return `sheet` with types for columns whose cells in `lines` have a common form.

    Types are found for cards, passwords, digests and tags. A column that the header names keeps its
    name. `values` returns the cells of a row by number.
    """
    counts, separator = Counter(described for described, _ in lines), sheet.columns.separator
    if not any(described.names or _can_be_inferred(described) for described in counts):
        return sheet
    named = frozenset(column for column, label in enumerate(sheet.columns.labels) if label)
    password_columns = find_password_columns(lines, values, separator) | find_hash_columns(
        counts, separator
    )
    typed = {
        **find_card_columns(lines, values),
        **dict.fromkeys(password_columns, FieldLabel.PASSWORD),
    }
    typed = {column: label for column, label in typed.items() if column not in named}
    return replace(
        sheet,
        columns=replace(
            sheet.columns, typed=typed, nameless=find_tag_columns(lines, values, named)
        ),
    )


def _can_be_inferred(described: ShapeDescription) -> bool:
    """Return whether other rows may show what an unknown cell of this row is."""
    marks = {*described.marks}
    return (
        not TELLING.isdisjoint(marks)
        if described.unknown
        else HASH in marks and not LOGINS.isdisjoint(marks)
    )


def find_hash_columns(counts: Mapping[ShapeDescription, int], separator: str) -> frozenset[int]:
    """Return the last column, as a set, if most rows have a digest behind a login there.

    The set is empty otherwise, and for separators that such lists do not use. The digest is then
    that of a password. `counts` is the number of rows of each description.
    """
    row_counts = Counter[int]()
    for described, count in counts.items():
        if (
            len(described.marks) > 1
            and described.marks[-1] == HASH
            and described.marks[-2] in LOGINS
        ):
            row_counts[len(described.cells) - 1] += count
    most = (column for column, count in row_counts.items() if count * 2 >= sum(counts.values()))
    return frozenset(most if separator in USUAL else ())


def find_card_columns(lines: Lines, values: Callable[[int], CellTexts]) -> dict[int, FieldLabel]:
    """Return the columns of expiry dates and security codes beside a column of cards.

    Three digits beside an expiry date are a code. Directly behind a card without a date they are a
    code if hardly two are equal and few of them are round, as amounts are.
    """
    cards = Counter(
        described.marks.index(CARD) for described, _ in lines if CARD in described.marks
    )
    card, count = max(cards.items(), key=lambda pair: (pair[1], -pair[0]), default=(0, 0))
    if count * 2 < len(lines) or not count:
        return {}
    values_by_column: dict[int, list[str]] = defaultdict(list)
    for described, row in lines:
        for column in described.unknown if described.marks[card : card + 1] == [CARD] else ():
            values_by_column[column].append(values(row)[column].strip())
    columns = {
        column: texts for column, texts in values_by_column.items() if len(texts) * 4 >= count * 3
    }
    dates = {column for column, texts in columns.items() if _are(EXPIRY, texts)}
    for column, texts in columns.items():
        if _are(MONTH, texts) and _are(YEAR, columns.get(column + 1, ())):
            dates |= {column, column + 1}
    codes = {
        column for column, texts in columns.items() if column not in dates and _are(CODE, texts)
    }
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
    code_columns = beside or alone
    return {
        **dict.fromkeys(code_columns, FieldLabel.CVV),
        **(dict.fromkeys(dates, FieldLabel.EXPIRY) if code_columns else {}),
    }


def _are(pattern: re.Pattern[str], values: Sequence[str]) -> bool:
    """Return whether at least three of four values match the pattern."""
    return (
        bool(values)
        and sum(pattern.fullmatch(value) is not None for value in values) * 4 >= len(values) * 3
    )


def _are_spread(values: Sequence[str]) -> bool:
    """Return whether numbers are neither tags nor amounts.

    Many tags are equal, and most amounts are round.
    """
    is_round = sum(value.endswith("0") for value in values) * 2 > len(values)
    return len(values) >= FEWEST_CODES and len({*values}) * 4 >= len(values) * 3 and not is_round


def find_password_columns(
    lines: Lines, values: Callable[[int], CellTexts], separator: str
) -> frozenset[int]:
    """Return the numbers of the columns that contain passwords behind a login.

    They are judged by the cells of `lines`, at least half of which must have a value there.
    `values` returns the cells of a row.
    """
    values_by_column: dict[int, list[str]] = defaultdict(list)
    alone: dict[int, bool] = {}
    for described, row in lines:
        column = described.behind_login
        if column is not None:
            cells = values(row)
            values_by_column[column].append(cells[column])
            is_behind_all = column == len(cells) - 1 or cells[column + 1] in SCHEMES
            alone[column] = alone.get(column, True) and is_behind_all
    return frozenset(
        column
        for column, texts in values_by_column.items()
        if len(texts) * 2 >= len(lines)
        and _are_passwords(texts, usual=separator in USUAL, alone=alone[column])
    )


def _are_passwords(values: Sequence[str], *, usual: bool, alone: bool) -> bool:
    """Return whether most values may be passwords, enough look like one, and few are equal.

    `alone` means that nothing follows them in their rows, `usual` that the separator is usual.
    """
    possible = [value for value in values if is_possible(value)]
    composed, different = sum(map(is_made, possible)), len({*values})
    several_shapes = len({_shape(value) for value in values}) > 1
    if usual and alone:
        is_repetitive = different * 2 < len(values) and not (
            several_shapes and composed == len(values)
        )
        return (
            len(possible) * 4 >= len(values) * 3
            and composed * 3 >= len(values)
            and not is_repetitive
        )
    enough = (
        len(values) >= FEWEST and len(possible) == len(values) and different * 4 >= len(values) * 3
    )
    return enough and several_shapes and composed * 2 >= len(values)


def _shape(value: str) -> str:
    """Return a value with its digits and letters replaced: numbers of one form have one shape."""
    return "".join("9" if char.isdigit() else "a" if char.isalpha() else char for char in value)


def find_tag_columns(
    lines: Lines, values: Callable[[int], CellTexts], named: frozenset[int]
) -> frozenset[int]:
    """Return the columns whose cells look like names but are tags.

    Columns that a header has `named` hold names. Beside digests alone, names are also tags if they
    are repeated or fill fewer than half of the cells: each person has a name of their own.
    """
    values_by_column: dict[int, list[str]] = defaultdict(list)
    for described, row in lines:
        for column in described.names:
            if column not in named:
                values_by_column[column].append(values(row)[column])
    digests = bool(values_by_column) and all(
        {kind for _, kind, valid in described.candidates if valid} == {DIGEST}
        for described, _ in lines
    )
    cells = (
        Counter(n for described, _ in lines for n, mark in enumerate(described.marks) if mark)
        if digests
        else Counter[int]()
    )
    return frozenset(
        column
        for column, texts in values_by_column.items()
        if _are_tags(texts, cells[column], digests=digests)
    )


def _are_tags(values: Sequence[str], cells: int, *, digests: bool) -> bool:
    if sum(map(is_tag, values)) * 2 >= len(values):
        return True
    hidden = any("某" in value or "*" in value for value in values)
    again = len(values) >= FEWEST_NAMES and len({*values}) * 3 <= len(values) * 2 and not hidden
    return digests and (again or len(values) * 2 < cells)
