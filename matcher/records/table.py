"""Hold the rows of a batch as columns, and cut their text into cells.

A *row* is a line or record that holds a candidate. Rows are built from `Spans`, records that are
not lines, and from `KeyGroups`: neighbouring candidates with one key, which is the line or record
that holds them. In the text of a row, a mark of two bytes replaces each candidate: one that never
occurs in UTF-8, and one for the candidate's kind and whether its checksum holds.

    text      张三,13800138000,loan 5000
    marked    张三,OK,loan 5000              O never occurs in UTF-8, K is the kind and validity

Rows that differ only in their numbers are therefore equal, and a separator inside a number
separates no cells.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import LINE_END, Batch, Bytes, Flags, Places, index_in_groups, ranges
from matcher.detect.candidates import Candidates
from matcher.detect.numbers import DIGEST
from ullage.identifiers import field_by_kind
from ullage.vocabulary.fields import FieldLabel

LINE, OBJECT, TUPLE, BLOCK = range(4)
"""How a record is written.

On a line, as a JSON object, as a tuple of an SQL statement, as a block of `label: value` lines.
"""
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Spans:
    """Records that do not overlap, in order of place.

    They are the bytes [start, end), i64[s]; `style` (u8[s]) is how each is written.
    """

    start: Places
    end: Places
    style: npt.NDArray[np.uint8]

    @classmethod
    def with_style(cls, start: Places, end: Places, style: int) -> Spans:
        """Build spans of records that are all written in one `style`."""
        return cls(start, end, np.full(len(start), style, np.uint8))

    @classmethod
    def join(cls, parts: Sequence[Spans]) -> Spans:
        """Return the spans of all `parts` as one table, sorted by position.

        The parts must come from different documents.
        """
        if not parts:
            return cls.with_style(np.empty(0, np.int64), np.empty(0, np.int64), LINE)
        start = np.concatenate([part.start for part in parts])
        order = np.argsort(start, kind="stable")
        ends, styles = (
            np.concatenate([getattr(part, column) for part in parts])[order]
            for column in ("end", "style")
        )
        return cls(start[order], ends, styles)

    def __len__(self) -> int:
        return len(self.start)

    def before(self, places: Places) -> Numbers:
        """Return the index of the last record that begins at or before each place: i64[n].

        It is -1 where there is none.
        """
        return np.searchsorted(self.start, places, "right") - 1

    def locate(self, places: Places) -> Numbers:
        """Return the index of the record that contains each place: i64[n].

        It is -1 where none does.
        """
        record = self.before(places)
        if len(self):
            # −1 indexes the last record: whatever the comparison says, the result is −1
            record[places >= self.end[record]] = -1
        return record


MOST_KINDS = 32
Masks = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class KeyGroups:
    """Neighbouring candidates with one key, at least one of them valid.

    Of each group: the `key`, its `first` candidate, the `count` of all and of `valid` candidates,
    i64[m], and `mask` (u32[m]), a bit for each kind of the valid ones.
    """

    key: Numbers
    first: Numbers
    count: Numbers
    valid: Numbers
    mask: Masks

    def __len__(self) -> int:
        return len(self.key)

    @classmethod
    def from_keys(cls, keys: Numbers, bits: Masks) -> KeyGroups:
        """Group candidates in order of place by their `keys` (i64[n]).

        `bits` (u32[n]) are their kinds, 0 for candidates that are not valid.
        """
        if not len(keys):
            return cls(keys, keys, keys, keys, bits)
        is_first = np.ones(len(keys), bool)
        np.not_equal(keys[1:], keys[:-1], out=is_first[1:])
        first = np.flatnonzero(is_first)
        count = np.diff(first, append=len(keys))
        mask = np.bitwise_or.reduceat(bits, first)
        is_valid = bits > 0
        valid = (
            count if is_valid.all() else np.diff(np.cumsum(is_valid)[first + count - 1], prepend=0)
        )
        has_valid = mask > 0
        return cls(
            keys[first[has_valid]],
            first[has_valid],
            count[has_valid],
            valid[has_valid],
            mask[has_valid],
        )


def bits_of(candidates: Candidates) -> Masks:
    """Return a bit for the kind of each valid candidate: u32[n]; 0 for one whose checksum fails.

    Raises ValueError if there are more kinds than bits.
    """
    if len(candidates.names) > MOST_KINDS:
        raise ValueError(
            f"{len(candidates.names)} kinds do not fit into a mask of {MOST_KINDS} bits"
        )
    bit_by_kind = np.left_shift(np.uint32(1), np.arange(MOST_KINDS, dtype=np.uint32))
    bits: Masks = bit_by_kind.take(candidates.kind)
    bits *= candidates.valid
    return bits


def holder_of(starts: Places, places: Places) -> Numbers:
    """Return the number of the last of `starts` at or before each of `places`: i64[places].

    Both must ascend. The smaller side is looked up in the larger one.
    """
    if len(places) < len(starts):
        return np.searchsorted(starts, places, "right") - 1
    first = np.searchsorted(places, starts)
    return np.repeat(np.arange(len(starts)), np.diff(first, append=len(places)))


LONGEST = 1 << 16
"""Bytes of one row that are read.

The rest of a longer row counts only by its candidates.
"""


MARK = 0xFF
"""A byte that never occurs in UTF-8."""
OPEN = bytes((MARK,))
KIND = 0x80
"""The high bit of a mark's second byte, which no separator has.

The kind's number (below 32) begins at the second bit.
"""
MARK_BYTES = 2
NUMBER = "\0"
"""Replaces a candidate where a row is shown as text; folding removes it from texts."""
Seen = tuple[str, bool]
"""The kind whose shape a candidate has, and whether its checksum holds."""


def mark(kind: int, *, valid: bool) -> bytes:
    """Return the bytes that replace a candidate in a row's text: its kind number and validity."""
    return bytes((MARK, KIND | kind << 1 | valid))


def decode_marked(text: bytes) -> str:
    """Decode the text of a row, with one NUMBER for each candidate."""
    first, *tails = text.split(OPEN)
    plain = b"\0".join((first, *(tail[1:] for tail in tails))) if tails else first
    return plain.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class MarkedText:
    """The text of rows, with marks: bytes [start, end) of `data`, i64[m].

    A line end separates two rows; three follow the last.
    """

    data: Bytes
    start: Numbers
    end: Numbers

    def texts(self) -> list[bytes]:
        """Return the text of each row."""
        whole = self.data.tobytes()
        return [
            whole[low:high]
            for low, high in zip(self.start.tolist(), self.end.tolist(), strict=True)
        ]


def mark_candidates(
    batch: Batch,
    candidates: Candidates,
    start: Numbers,
    end: Numbers,
    first: Numbers,
    count: Numbers,
) -> MarkedText:
    """Copy the text of all rows at once, with a mark in place of each candidate.

    Each row is the bytes [start, end) of `batch`, with `count` candidates from number `first` on:
    i64[m] each, in order of place.
    """
    numbers = ranges(first, count)
    head = np.cumsum(count + 1) - count - 1
    is_last = np.zeros(len(numbers) + len(head), bool)
    is_last[head + count] = True
    is_head = np.zeros(len(is_last), bool)
    is_head[head] = True
    begin, stop = np.empty(len(is_last), np.int64), np.empty(len(is_last), np.int64)
    begin[is_head], begin[~is_head] = start, np.maximum.accumulate(candidates.end[numbers])
    stop[is_last], stop[~is_last] = end, candidates.start[numbers]
    length = np.maximum(stop - begin, 0)
    more = np.where(is_last, 1, MARK_BYTES)
    behind = np.cumsum(length + more)
    place = behind - length - more
    data = np.full((int(behind[-1]) if len(behind) else 0) + 2, LINE_END, np.uint8)
    data[ranges(place, length)] = batch.data[ranges(begin, length)]
    marks = behind[~is_last]
    data[marks - 2], data[marks - 1] = (
        MARK,
        KIND | candidates.kind[numbers] << 1 | candidates.valid[numbers],
    )
    return MarkedText(data, place[head], behind[head + count] - 1)


class RowBatch:
    """The rows of a batch, in order of place; in memory only.

    Columns [m]: `document`; `start` and `end`, its bytes in the batch; `style` u8, how it is
    written; `mask` u32, a bit for each of `candidates.names` that it holds; `first_candidate` and
    `candidate_count`, which include candidates that fail their checksum.
    """

    def __init__(
        self, batch: Batch, candidates: Candidates, groups: KeyGroups, rows: Spans
    ) -> None:
        self.batch, self.candidates, self._rows = batch, candidates, rows
        self.document = holder_of(batch.starts, rows.start)
        self.start, self.end, self.style = rows.start, rows.end, rows.style
        self.mask, self.first_candidate, self.candidate_count = (
            groups.mask,
            groups.first,
            groups.count,
        )
        self._labels: dict[int, frozenset[str]] = {}

    def __len__(self) -> int:
        return len(self.document)

    def lines(self, rows: Numbers) -> Numbers:
        """Return the number of each row's first line in its document, from 0: i64[rows]."""
        first: Numbers = self.batch.lines(self.start[rows]) - self.batch.lines(
            self.batch.starts[self.document[rows]]
        )
        return first

    def find_rows(self, document: int) -> range:
        """Return the row numbers of one document."""
        first, last = np.searchsorted(self.document, (document, document + 1))
        return range(int(first), int(last))

    def extent_of(self, documents: Numbers) -> tuple[Numbers, Numbers]:
        """Return the first row and the number of rows of each of `documents`.

        Both are i64[documents].
        """
        first = np.searchsorted(self.document, documents)
        return first, np.searchsorted(self.document, documents + 1) - first

    def holding(self, places: Places) -> Numbers:
        """Return the row that holds each of `places`, −1 for none: i64[places].

        The places may be those of weak candidates.
        """
        return self._rows.locate(places)

    def labels(self, row: int) -> frozenset[str]:
        """Return the labels of the kinds that a row holds.

        Digests have none: they do not show what they were computed from.
        """
        mask = int(self.mask[row])
        if mask not in self._labels:
            names = (name for bit, name in enumerate(self.candidates.names) if mask >> bit & 1)
            self._labels[mask] = frozenset(
                str(field_by_kind().get(name, FieldLabel.OTHER)) for name in names if name != DIGEST
            )
        return self._labels[mask]

    def text(self, row: int) -> bytes:
        """Return the beginning of a row's text, at most LONGEST bytes."""
        start, end = int(self.start[row]), int(self.end[row])
        text: bytes = self.batch.text(start, min(end, start + LONGEST))
        return text

    def to_marked_text(self, rows: Numbers) -> MarkedText:
        """Return the marked text of `rows`, which ascend, at most LONGEST bytes of each."""
        start, first, count = (
            self.start[rows],
            self.first_candidate[rows],
            self.candidate_count[rows],
        )
        end = np.minimum(self.end[rows], start + LONGEST)
        for row in np.flatnonzero(self.end[rows] > end).tolist():
            in_row = slice(int(first[row]), int(first[row] + count[row]))
            count[row] = np.searchsorted(self.candidates.start[in_row], end[row])
        return mark_candidates(self.batch, self.candidates, start, end, first, count)


MOST_CELLS = 256
"""Cells of a row that are told apart; the remaining ones count as one."""
HIDDEN = b"\x01"
"""Replaces a separator inside quotes."""
DOUBLE_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*+("?)', re.DOTALL)
SINGLE_QUOTED = re.compile(rb"'(?:[^'\\]|\\.|'')*+('?)", re.DOTALL)
"""An open quote is read to the end one time, and not again from each quote within it."""


def split(row: bytes, separator: bytes, style: int) -> list[bytes]:
    """Return the cells of a row, in the form in which they are written.

    Separators inside quotes are replaced by `HIDDEN` and do not split. Without a separator, the row
    is one cell.
    """
    if not separator:
        return [row]
    quote, pattern = _quotes(style)
    if quote in row and style != BLOCK:
        row = pattern.sub(
            lambda m: m.group().replace(separator, HIDDEN) if m[1] else m.group(), row
        )
    return row.split(separator, MOST_CELLS)


def _quotes(style: int) -> tuple[bytes, re.Pattern[bytes]]:
    return (b"'", SINGLE_QUOTED) if style == TUPLE else (b'"', DOUBLE_QUOTED)


def find_borders(rows: MarkedText, separator: bytes, style: int) -> Places:
    """Return the positions at which `separator` separates cells of `rows`.

    The cells are those of `split`: separators inside quotes do not count. `separator` is one
    character, which may be repeated; without one the result is empty.
    """
    if not separator:
        return np.empty(0, np.int64)
    at = np.flatnonzero(rows.data == separator[0])
    if len(separator) > 1:
        first = np.flatnonzero(np.diff(at, prepend=-2) != 1)
        size = np.diff(first, append=len(at))
        number = index_in_groups(size)
        at = at[(number % len(separator) == 0) & (number + len(separator) <= np.repeat(size, size))]
    row = np.searchsorted(rows.start, at, "right") - 1
    at, row = (column[(row >= 0) & (at < rows.end[row])] for column in (at, row))
    if style != BLOCK:
        shows = ~_is_quoted(rows, at, row, *_quotes(style))
        at, row = at[shows], row[shows]
    rank = np.arange(len(at)) - np.searchsorted(row, row)
    parted: Places = at[rank < MOST_CELLS]
    return parted


OTHER_SEPARATORS = ("----", "\t", "|", ";", ",")
"""Separators that a row may have instead of its document's, where it lacks that one."""
FEWEST_OTHERS, LONGEST_CELL = 2, 16
"""Separators of such a row, and the mean bytes of its cells where they are commas.

Clauses of prose are longer.
"""


def find_separators(
    rows: MarkedText, is_line: Flags, elected: Numbers, separators: Sequence[str]
) -> Numbers:
    """Return the separator of each row, as its index in `separators`: i64[rows].

    It is usually the one `elected` for the row's document. A line in which that one does not occur,
    as where lists were joined into one file, has the first of `OTHER_SEPARATORS` that cuts it into
    cells.
    """
    chosen = elected.copy()
    lacking = np.flatnonzero(is_line)
    for number in np.unique(elected[lacking]).tolist():
        same = lacking[elected[lacking] == number]
        lacking = np.setdiff1d(lacking, same[_count_signs(rows, same, separators[number]) > 0])
    for separator in OTHER_SEPARATORS:
        if not len(lacking):
            break
        counts = _count_signs(rows, lacking, separator)
        is_cut = counts >= FEWEST_OTHERS
        if separator == ",":
            is_cut &= (rows.end - rows.start)[lacking] <= LONGEST_CELL * counts
        chosen[lacking[is_cut]] = separators.index(separator)
        lacking = lacking[~is_cut]
    return chosen


def _count_signs(rows: MarkedText, which: Numbers, separator: str) -> Numbers:
    """Count the places in the rows `which` where `separator` begins: i64[which]."""
    if not separator:
        return np.zeros(len(which), np.int64)
    sign = separator.encode()
    places = np.flatnonzero(rows.data == sign[0])
    if len(sign) > 1:
        places = places[: 1 - len(sign)][
            places[len(sign) - 1 :] - places[: 1 - len(sign)] < len(sign)
        ]
    low, high = (np.searchsorted(places, edge[which]) for edge in (rows.start, rows.end))
    counts: Numbers = high - low
    return counts


def _is_quoted(
    rows: MarkedText, places: Places, row: Numbers, quote: bytes, pattern: re.Pattern[bytes]
) -> Flags:
    """Return whether each of `places`, which lies in its `row`, is inside quotes: bool[n].

    An odd number of quotes before a place means that it is. In a row with an odd number of quotes,
    or with a backslash, each quote is read.
    """
    quotes = np.flatnonzero(rows.data == quote[0])
    begin, stop = np.searchsorted(quotes, rows.start), np.searchsorted(quotes, rows.end)
    is_quoted: Flags = (np.searchsorted(quotes, places) - begin[row]) % 2 == 1
    slashes = np.flatnonzero(rows.data == ord("\\"))
    escapes = np.searchsorted(slashes, rows.start) < np.searchsorted(slashes, rows.end)
    for number in np.flatnonzero((stop > begin) & (escapes | ((stop - begin) % 2 == 1))).tolist():
        text = rows.data[rows.start[number] : rows.end[number]].tobytes()
        in_row = slice(*np.searchsorted(row, (number, number + 1)))
        borders = [place for match in pattern.finditer(text) if match[1] for place in match.span()]
        is_quoted[in_row] = (
            np.searchsorted(borders, places[in_row] - rows.start[number], "right") % 2 == 1
        )
    return is_quoted
