"""Compute the facts of a whole capture, which are equal for every tenant.

They are counts, dates, field map, skeleton and sketch. `StatisticsPart` holds the candidates of a
batch as columns by document. A capture's `StatisticsTally` adds its documents part by part, so that
a file of any length takes the same memory, and only on demand, since most captures match nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Batch, Bytes, Flags, Places, is_date
from matcher.detect.candidates import Segment
from matcher.match.capture_key import (
    LIMIT,
    CaptureKey,
    Distinct,
    Lowest,
    NumberSet,
    Words,
    format_hex,
    kind_numbers,
    longest_run,
    number_values,
    parse_digits,
)
from matcher.records import Layouts, RowLayout, RowTable
from matcher.records.logins import count_stealer_rows
from ullage.identifiers import masked_value
from ullage.records import RowGroup, Statistics, Term
from ullage.records.finding import SKETCH_SIZE

COUNTED_UP = ("phone", "card")
"""Kinds whose numbers a generator would count up."""
FEW_CANDIDATES = 8
"""Candidates that are needed to identify a capture.

With fewer, its text is used.
"""
SHINGLE = 8
SHINGLE_TEXT = 64 * 1024
"""Characters at the beginning of a text that are used for shingles."""
SHINGLE_BYTES = 4 * SHINGLE_TEXT
"""Bytes of a capture that are kept for shingles: a character has at most four."""
MOST_SHAPES = 4096
"""Skeletons and sets of fields that are kept."""
MOST_GROUPS = 64
STRETCH = 1 << 16
WIDTH = 16
"""Bytes of the longest date, 2024年10月31, and one more."""
YEAR, MONTH = b"\xe5\xb9\xb4", b"\xe6\x9c\x88"
"""年 and 月, which separate the parts of a date as - / and . do."""
Column = npt.NDArray[Any]
T = TypeVar("T", str, frozenset[str])


class StatisticsPart:
    """One batch: several captures, or a stretch of a long one. In memory only.

    Weak segments are ignored. The documents with numbers `about` are metadata of a file.
    """

    def __init__(
        self,
        batch: Batch,
        segments: Sequence[Segment],
        rows: RowTable,
        key: CaptureKey,
        about: Collection[int] = (),
    ) -> None:
        self.batch, self.rows, self.key, self._about = batch, rows, key, about
        self.segments = [s for s in segments if len(s) and not s.weak]
        self.kinds = tuple(sorted({_counting_kind(s) for s in self.segments}))
        self._newest: dict[date, list[date | None]] = {}

    def words(self, document: int) -> tuple[Words, Words]:
        """Return a keyed 64-bit tag and a number of each valid candidate of a document.

        The number also stands for the kind; see `number_values`.
        """
        (tags, values), borders = self._words
        words_of_document = slice(borders[document], borders[document + 1])
        return tags[words_of_document], values[words_of_document]

    def numbers(self, document: int) -> npt.NDArray[np.int64]:
        """Return the valid phone and card numbers of one document of the batch, modulo 10^18."""
        (numbers,), borders = self._numbers
        return numbers[borders[document] : borders[document + 1]]

    def failures(self, document: int) -> dict[str, int]:
        """Return the candidates of a document that fail their checksum, by kind."""
        return {
            kind: n
            for kind, n in zip(self.kinds, self._failures[document].tolist(), strict=True)
            if n
        }

    def newest_date(self, document: int, today: date) -> date | None:
        """Return the newest date, not after `today`, in the rows of a document.

        None if they hold none. Dates outside rows do not show the age of its data.
        """
        if today not in self._newest:
            self._newest[today] = newest_dates(
                self.batch, today, lambda places: self.rows.holding(places) >= 0
            )
        return None if document in self._about else self._newest[today][document]

    def stealer_rows(self, document: int) -> int:
        """Return the number of rows of a document that have the form of a stealer log.

        The metadata of a file has none.
        """
        return 0 if document in self._about else count_stealer_rows(self.rows, document)

    def beginning(self, document: int, most: int) -> bytes:
        """Return the first bytes of a document, at most `most`."""
        start, end = int(self.batch.starts[document]), int(self.batch.ends[document])
        text: bytes = self.batch.text(start, min(end, start + most))
        return text

    def size(self, document: int) -> int:
        """Return the bytes of a document's folded text."""
        return int(self.batch.ends[document] - self.batch.starts[document])

    @cached_property
    def _valid(self) -> list[Segment]:
        """Return the valid candidates of each segment."""
        return [
            segment if segment.valid.all() else segment.select(segment.valid)
            for segment in self.segments
        ]

    @cached_property
    def _words(self) -> tuple[list[Column], list[int]]:
        """Return the tags and numbers of all valid candidates, by document."""
        tags = np.concatenate(
            [np.empty(0, np.uint64), *(self.key.tag_segment(segment) for segment in self._valid)]
        )
        kinds = np.array(
            [kind_numbers()[_counting_kind(segment)] for segment in self._valid], np.uint8
        )
        return self._by_document(
            self._valid, tags, number_values(tags, np.repeat(kinds, [*map(len, self._valid)]))
        )

    @cached_property
    def _numbers(self) -> tuple[list[Column], list[int]]:
        counted = [s for s in self._valid if s.kind in COUNTED_UP and s.form == "plain"]
        numbers = np.concatenate(
            [np.empty(0, np.int64), *(parse_digits(s.normal, s.length) for s in counted)]
        )
        return self._by_document(counted, numbers)

    def _by_document(
        self, segments: Sequence[Segment], *columns: Column
    ) -> tuple[list[Column], list[int]]:
        """Return columns of the candidates of `segments` in order of document.

        The second result is the start of each document's candidates, and the end of the last.
        """
        count = len(self.batch.starts)
        document = self.batch.documents(
            np.concatenate([np.empty(0, np.int64), *(segment.start for segment in segments)])
        )
        # numpy sorts 16-bit numbers by radix
        order = np.argsort(document.astype(np.min_scalar_type(count)), kind="stable")
        return [column[order] for column in columns], np.searchsorted(
            document[order], np.arange(count + 1)
        ).tolist()

    @cached_property
    def _failures(self) -> npt.NDArray[np.int64]:
        """Count the candidates that fail their checksum: i64[documents, kinds]."""
        counts = np.zeros((len(self.batch.starts), len(self.kinds)), np.int64)
        for segment in self.segments:
            failed = self.batch.documents(segment.start[~segment.valid])
            counts[:, self.kinds.index(_counting_kind(segment))] += np.bincount(
                failed, minlength=len(counts)
            )
        return counts


def _counting_kind(segment: Segment) -> str:
    """Return the kind under which candidates are counted.

    Masked ones are counted apart, since none has a checksum, and many share one mask.
    """
    return segment.form if segment.form == masked_value.FORM else segment.kind


class StatisticsTally:
    """The statistics of a capture: `add` its parts in order, then `finish`. In memory only.

    Dates after `today` are ignored. Counts are exact up to `limit` different candidates, and
    estimates beyond it.
    """

    def __init__(self, key: CaptureKey, today: date, limit: int = LIMIT) -> None:
        self._key, self._today = key, today
        self._distinct, self._numbers, self._lowest = (
            Distinct(limit),
            NumberSet(limit),
            Lowest(SKETCH_SIZE),
        )
        self._failures: Counter[str] = Counter()
        self._shapes = Shapes()
        self._newest: date | None = None
        self._stealer_rows = 0
        self._beginning: list[bytes] = []
        self._size = 0

    def add(self, part: StatisticsPart, document: int) -> None:
        """Add the counts of the document number `document` in the batch of `part` to the totals.

        Of its text only what is missing in the first SHINGLE_BYTES (256 KiB) of the capture is
        kept.
        """
        tags, values = part.words(document)
        self._distinct.add(values)
        self._lowest.add(tags)
        self._numbers.add(part.numbers(document))
        self._failures.update(part.failures(document))
        newest = part.newest_date(document, self._today)
        if newest and (self._newest is None or newest > self._newest):
            self._newest = newest
        self._stealer_rows += part.stealer_rows(document)
        self._shapes.add(part.rows.layouts(document))
        if self._size < SHINGLE_BYTES:
            self._beginning.append(part.beginning(document, SHINGLE_BYTES))
        self._size += part.size(document)

    def finish(
        self,
        terms: Sequence[Term] = (),
        unread: Mapping[str, int] | None = None,
        context: Mapping[str, int] | None = None,
    ) -> Statistics:
        """Return the statistics of all parts added.

        `terms`, `unread` and `context` are passed on. With fewer than FEW_CANDIDATES (8) candidates
        the sketch is of the text's shingles, else of the candidates. `estimated` says that the
        candidates were too many to be counted exactly.
        """
        counts, shapes = self._distinct.counts(), self._shapes
        shapes.sum_up()
        is_few = sum(counts) < FEW_CANDIDATES
        return Statistics(
            rows=shapes.rows,
            candidates={
                kind: counts[number]
                for kind, number in sorted(kind_numbers().items())
                if counts[number]
            },
            failures=dict(sorted(self._failures.items())),
            longest_run=longest_run(self._numbers.list_sorted()),
            newest_date=self._newest,
            field_map=dict(sorted(shapes.fields.items())),
            groups=groups_of(shapes.groups),
            skeleton=shapes.skeleton,
            stealer_rows=self._stealer_rows,
            terms=tuple(terms),
            unread=dict(sorted((unread or {}).items())),
            context=dict(context or {}),
            sketch=self._key.sketch(shingles(self._text()))
            if is_few
            else format_hex(self._lowest.list_sorted()),
            sketch_of="shingles" if is_few else "candidates",
            bytes=self._size,
            estimated=not self._distinct.is_exact,
        )

    def _text(self) -> str:
        """Return the beginning of the capture's text."""
        return "".join([part.decode("utf-8", "ignore") for part in self._beginning])


class Shapes:
    """Counts of rows by layout, by field, and by set of fields.

    If there are very many layouts, rare ones are dropped.
    """

    def __init__(self) -> None:
        self._layouts: Counter[RowLayout] = Counter()
        self.rows = 0
        self.fields: Counter[str] = Counter()
        self.groups: Counter[frozenset[str]] = Counter()
        self._skeletons: Counter[str] = Counter()

    def add(self, layouts: Layouts) -> None:
        """Count the rows of a document by layout.

        Once there are more than MOST_SHAPES (4,096) layouts, `sum_up` is called, which drops rare
        groups.
        """
        for layout, rows in layouts.iter_counts():
            self._layouts[layout] += rows
        if len(self._layouts) > MOST_SHAPES:
            self.sum_up()

    @property
    def skeleton(self) -> str:
        """Return the most common row skeleton, such as `<NAME>----<PHONE>`; "" if there is none.

        Call `sum_up` first, so that all rows count.
        """
        return max(self._skeletons, key=lambda shape: self._skeletons[shape], default="")

    def sum_up(self) -> None:
        """Add the row layouts counted so far to the totals of rows, fields, groups and skeletons.

        Only the most common groups and skeletons are kept.
        """
        for (fields, skeleton), rows in self._layouts.items():
            self.rows += rows
            self.fields.update(dict.fromkeys(fields, rows))
            self.groups[fields] += rows
            if skeleton:
                self._skeletons[skeleton] += rows
        self._layouts.clear()
        self._skeletons, self.groups = _common(self._skeletons), _common(self.groups)


def _common(counted: Counter[T]) -> Counter[T]:
    """Return the most common entries of `counted` if there are too many, else all."""
    return (
        Counter(dict(counted.most_common(MOST_SHAPES)))
        if len(counted) > 2 * MOST_SHAPES
        else counted
    )


def groups_of(counts: Mapping[frozenset[str], int]) -> tuple[RowGroup, ...]:
    """Return the groups of rows by set of fields; the largest first, at most MOST_GROUPS."""
    named = ((tuple(sorted(fields)), rows) for fields, rows in counts.items())
    ordered = sorted(named, key=lambda group: (-group[1], group[0]))
    return tuple(RowGroup(fields=fields, rows=rows) for fields, rows in ordered[:MOST_GROUPS])


def count_matched_rows(
    groups: Iterable[RowGroup], matched: Iterable[tuple[frozenset[str], bool, int]]
) -> tuple[RowGroup, ...]:
    """Return `groups` with their numbers of customers' rows and of corroborated rows.

    `matched` are one tenant's rows with a customer: the fields of their group (`RowTable.group`),
    whether two or more of their fields belong to the same customer, and their number.
    """
    rows: Counter[tuple[str, ...]] = Counter()
    together: Counter[tuple[str, ...]] = Counter()
    for fields, is_corroborated, count in matched:
        name = tuple(sorted(fields))
        rows[name] += count
        together[name] += count * is_corroborated
    return tuple(
        group.model_copy(
            update={"matched": rows[group.fields], "corroborated": together[group.fields]}
        )
        if rows[group.fields]
        else group
        for group in groups
    )


def shingles(text: str) -> set[str]:
    """Return all different stretches of 8 characters, without spaces, at the beginning of a text.

    The first 64 Ki characters count, in lower case. A shorter text is one stretch, a blank one has
    none.
    """
    dense = "".join(text[:SHINGLE_TEXT].split()).lower()
    return (
        {dense[i : i + SHINGLE] for i in range(max(1, len(dense) - SHINGLE + 1))}
        if dense
        else set()
    )


def newest_dates(batch: Batch, today: date, counts: Callable[[Places], Flags]) -> list[date | None]:
    """Return the newest date in each document, None for a document without a date up to `today`.

    `counts` returns which places of dates count. A date is 20YY, a sign, a month, a sign and a day,
    not within a longer number: `2024-05-01`, `2024/5/1`, `2024年5月1日`.
    """
    places = _years(batch)
    places = places[counts(places)]
    values = _values(batch.windows(places, WIDTH))
    values[batch.data[places - 1] - np.uint8(ord("0")) < 10] = 0
    values[values > int(today.strftime("%Y%m%d"))] = 0
    newest = np.zeros(len(batch.starts), np.int64)
    np.maximum.at(newest, batch.documents(places), values)
    return [date(v // 10_000, v // 100 % 100, v % 100) if v else None for v in newest.tolist()]


def _years(batch: Batch) -> Places:
    """Return the places of `20` where, four bytes on, a sign may begin: i64[n].

    The buffer is processed in stretches, to keep the masks in the cache.
    """
    last = len(batch.data) - WIDTH
    places = [np.empty(0, np.int64)]
    for first in range(0, last, STRETCH):
        length = min(STRETCH, last - first)
        two, zero, sign = (
            batch.data[first + offset : first + offset + length] for offset in (0, 1, 4)
        )
        mask = (two == ord("2")) & (zero == ord("0"))
        mask &= (sign - np.uint8(ord("-")) < 3) | (sign == YEAR[0])
        places.append(np.flatnonzero(mask) + first)
    return np.concatenate(places)


def _values(windows: Bytes) -> Places:
    """Return the date at the start of each window u8[n, 16] as YYYYMMDD, 0 for none: i64[n]."""
    rows = np.arange(len(windows))
    digits = windows - np.uint8(ord("0"))
    is_digit = digits < 10
    year = digits[:, :4].astype(np.int64) @ np.array([1000, 100, 10, 1])
    valid = is_digit[:, :4].all(1)
    at, has_sign = _skip_sign(windows, np.full(len(rows), 4), YEAR)
    valid &= has_sign
    month, at, is_number = _number(digits, is_digit, at)
    valid &= is_number
    at, has_sign = _skip_sign(windows, at, MONTH)
    valid &= has_sign
    day, at, is_number = _number(digits, is_digit, at)
    valid &= is_number & ~is_digit[rows, at]
    valid &= is_date(np.where(valid, year, 0), np.where(valid, month, 0), day)
    return np.where(valid, year * 10_000 + month * 100 + day, 0)


def _skip_sign(windows: Bytes, at: Places, word: bytes) -> tuple[Places, Flags]:
    """Return the place behind the sign at `at`, and whether there is one.

    A sign is - / . or `word` of three bytes.
    """
    rows = np.arange(len(windows))
    is_word = np.ones(len(rows), bool)
    for offset, byte in enumerate(word):
        is_word &= windows[rows, at + offset] == byte
    is_sign = windows[rows, at] - np.uint8(ord("-")) < 3
    return at + np.where(is_word, len(word), 1), is_word | is_sign


def _number(digits: Bytes, is_digit: Flags, at: Places) -> tuple[Places, Places, Flags]:
    """Return value, end and presence of a number of one or two digits at `at`."""
    rows = np.arange(len(digits))
    first, second = digits[rows, at].astype(np.int64), digits[rows, at + 1].astype(np.int64)
    is_two = is_digit[rows, at + 1]
    return np.where(is_two, first * 10 + second, first), at + 1 + is_two, is_digit[rows, at]
