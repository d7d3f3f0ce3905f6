"""Which candidates of a batch stand together: how each document is written, and where its records begin and end.

A few rows of a document tell how it is written: on lines, as JSON objects, as SQL tuples, or downwards. What no record takes of
a line is a row of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Batch, Places
from matcher.detect.candidates import Candidates
from matcher.records.json_sql_records import objects, tuples
from matcher.records.key_value_blocks import FEWEST, blocks, labels_of, paragraphs
from matcher.records.rows import Rows
from matcher.records.schema import Sheet
from matcher.records.spans import LINE, Groups, Masks, Numbers, Spans, bits_of, holder_of


def rows_of(
    batch: Batch, candidates: Candidates, carried: Mapping[int, Sheet] | None = None, goes_on: Collection[int] = ()
) -> Rows:
    """The rows of every document of `batch`, in order of place; what is done a candidate or a line is done in numpy.

    A document that goes on from an earlier batch takes from `carried`, by its number here, what was learnt there of its
    columns (`Rows.carried(document)`); those of `goes_on`, from the one before it.
    """
    line, bits = batch.lines(candidates.start), bits_of(candidates)
    groups = Groups.of(line, bits)
    spans = _records(batch, candidates, groups)
    if len(spans):
        inside = spans.of_places(candidates.start)
        groups = Groups.of(np.where(inside >= 0, -1 - inside, line), bits)
        found = _between(batch, candidates, groups, spans)
    else:
        found = Spans.of(batch.line_starts[groups.key], batch.line_starts[groups.key + 1] - 1, LINE)
    return Rows(batch, candidates, groups, found, carried or {}, goes_on)


def _records(batch: Batch, candidates: Candidates, groups: Groups) -> Spans:
    """Records that are not lines; `groups` are the lines with a valid candidate."""
    if not len(groups):
        return Spans.joined(())
    place = candidates.start[groups.first]
    return records(batch, LineRows(holder_of(batch.starts, place), groups.key, place, groups.valid, groups.mask))


def _between(batch: Batch, candidates: Candidates, groups: Groups, spans: Spans) -> Spans:
    """Where each row is, if some are records: the whole record, or of a line what no record has taken."""
    first, last = candidates.start[groups.first], candidates.start[groups.first + groups.count - 1]
    is_record = groups.key < 0
    own = np.where(is_record, -1 - groups.key, 0)
    line = np.where(is_record, 0, groups.key)
    before, after = spans.before(first), spans.before(last) + 1
    behind = np.where(before >= 0, spans.end[before], 0)
    ahead = np.append(spans.start, len(batch.data))[after]
    start = np.where(is_record, spans.start[own], np.maximum(batch.line_starts[line], behind))
    end = np.where(is_record, spans.end[own], np.minimum(batch.line_starts[line + 1] - 1, ahead))
    style = np.where(is_record, spans.style[own], LINE).astype(np.uint8)
    return Spans(start, end, style)


SAMPLES = 8
"""Rows of a document that are looked at."""
LOOK_BACK = 6
SHORT_LINE = 48
LOOK_AT = 1 << 16
"""Bytes of a line that are searched for the border of two tuples."""
Flags = npt.NDArray[np.bool_]


def _one_of(signs: bytes) -> Flags:
    table = np.zeros(256, bool)
    table[list(signs)] = True
    return table


_SIGN, _OPENS_VALUE = _one_of(b":="), _one_of(b" \t\"'`[(<+")
_QUOTE = ord('"')


@dataclass(frozen=True)
class LineRows:
    """Lines with a valid candidate, in order; columns [m].

    `document`, `line` (its number in the buffer), `place` (of its first candidate) and `valid` (how many valid candidates it has)
    are i64, `mask` u32 has a bit for each of their kinds.
    """

    document: Numbers
    line: Numbers
    place: Places
    valid: Numbers
    mask: Masks

    @cached_property
    def excess(self) -> Numbers:
        """How many more valid candidates each line has than kinds: i64[m]."""
        return self.valid - np.bitwise_count(self.mask)


def records(batch: Batch, lines: LineRows) -> Spans:
    """Records of the documents in `batch` that are not written on lines."""
    sampled = _sampled(lines)
    as_object, downwards = _labelled(batch, lines, sampled)
    parts = []
    if len(as_object):
        parts.append(_only(batch, objects(batch, int(as_object[0]), int(as_object[-1])), as_object))
    if len(downwards):
        parts.append(blocks(batch, downwards))
    as_tuple = np.setdiff1d(_with_tuples(batch, lines), np.concatenate((as_object, downwards)))
    if len(as_tuple):
        parts.append(_only(batch, tuples(batch, int(as_tuple[0]), int(as_tuple[-1])), as_tuple))
    short = np.setdiff1d(_with_short_lines(batch, lines, sampled), np.concatenate((as_object, downwards, as_tuple)))
    for document in short.tolist():
        own = slice(*np.searchsorted(lines.document, (document, document + 1)))
        parts.append(paragraphs(batch, document, lines.line[own], lines.mask[own], lines.valid[own]))
    return Spans.joined(parts)


def _only(batch: Batch, spans: Spans, documents: Numbers) -> Spans:
    """Those that stand in one of `documents`."""
    chosen = np.isin(batch.documents(spans.start), documents)
    return Spans(spans.start[chosen], spans.end[chosen], spans.style[chosen])


def _sampled(lines: LineRows) -> Numbers:
    """Up to SAMPLES rows of each document, spread over it: row numbers i64[s]."""
    first = np.flatnonzero(np.diff(lines.document, prepend=-1))
    counts = np.diff(first, append=len(lines.document))
    spread = first[:, None] + counts[:, None] * np.arange(SAMPLES) // SAMPLES
    chosen: Numbers = spread[np.diff(spread, axis=1, prepend=-1) > 0]
    return chosen


def _labelled(batch: Batch, lines: LineRows, rows: Numbers) -> tuple[Numbers, Numbers]:
    """Documents in whose sampled rows a sign stands before a value: those with quoted labels and braces, then those with labels.

    Of the latter a sampled line must begin with a known one.
    """
    before = batch.windows(lines.place[rows] - 8, 8)[:, ::-1]
    may_be = np.ones(len(rows), bool)
    signed, quoted = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
    for back in range(LOOK_BACK):
        here = may_be & _SIGN[before[:, back]]
        signed |= here
        quoted |= here & (before[:, back + 1] == _QUOTE)
        may_be &= _OPENS_VALUE[before[:, back]]
    document = lines.document[rows]
    as_object = np.array([d for d in np.unique(document[quoted]).tolist() if _has_brace(batch, d)], np.int64)
    others = np.flatnonzero(signed & ~np.isin(document, as_object))
    return as_object, np.unique(document[others[labels_of(batch, lines.line[rows[others]]) > 0]])


def _with_short_lines(batch: Batch, lines: LineRows, rows: Numbers) -> Numbers:
    """Documents with at least FEWEST rows, of whose sampled rows at least half are short lines, and with empty lines between."""
    line = lines.line[rows]
    is_short = batch.line_starts[line + 1] - batch.line_starts[line] <= SHORT_LINE
    documents, number, counts = np.unique(lines.document[rows], return_inverse=True, return_counts=True)
    most = np.bincount(number, is_short) * 2 >= counts
    documents = documents[most & (counts >= FEWEST)]
    empty = batch.line_starts[np.flatnonzero(np.diff(batch.line_starts) == 1)]
    first, last = (np.searchsorted(empty, places[documents]) for places in (batch.starts, batch.ends))
    return documents[last - first >= FEWEST - 1]


def _has_brace(batch: Batch, document: int) -> bool:
    return bool((batch.data[batch.starts[document] : batch.ends[document]] == ord("{")).any())


def _with_tuples(batch: Batch, lines: LineRows) -> Numbers:
    """Documents in which the line with most candidates holds the border of two tuples."""
    crowded = np.flatnonzero(lines.excess > 0)
    if not len(crowded):
        return crowded
    first = np.flatnonzero(np.diff(lines.document[crowded], prepend=-1))
    most = np.maximum.reduceat(lines.excess[crowded], first)
    is_most = lines.excess[crowded] == np.repeat(most, np.diff(first, append=len(crowded)))
    documents, example = np.unique(lines.document[crowded[is_most]], return_index=True)
    starts = batch.line_starts[lines.line[crowded[is_most][example]]]
    ends = np.minimum(starts + LOOK_AT, batch.ends[documents])
    chosen = [_has_border(batch.text(s, e)) for s, e in zip(starts.tolist(), ends.tolist(), strict=True)]
    with_border: Numbers = documents[np.array(chosen)]
    return with_border


def _has_border(text: bytes) -> bool:
    line = text.partition(b"\n")[0]
    return b"),(" in line or b"), (" in line
