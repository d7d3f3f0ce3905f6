"""Which candidates of a batch stand together: how each document is written, and where its records begin and end.

A few rows of a document tell how it is written: on lines, as JSON objects, as SQL tuples, or downwards. What no record takes of
a line is a row of its own.

Records written downwards are neighbouring `label: value` lines until a label comes again, or paragraphs of one shape. A label
is read once for all lines that begin alike, so what Python does depends on how many labels there are and not on how many lines.
Where a record ends is found for every line at once: before the first line whose label stands already between. What is left to a
loop is one step a record.

Without labels, a name, its phone and its ID on a line each and an empty line before the next may be anything. Several paragraphs
that have as many lines each and their first number on the same one are records of a list; a paragraph with two numbers of one
kind is a list itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import LINE_END, Batch, Bytes, Flags, Places, ranges
from matcher.columns.bitset import is_one_of, lowest
from matcher.detect.candidates import Candidates
from matcher.detect.labels import block_label, tails
from matcher.records.json_sql_records import objects, tuples
from matcher.records.reader import DocumentColumns
from matcher.records.rows import RowTable
from matcher.records.table import BLOCK, LINE, KeyGroups, Masks, Numbers, Spans, bits_of, holder_of


def rows_of(
    batch: Batch, candidates: Candidates, carried: Mapping[int, DocumentColumns] | None = None, goes_on: Collection[int] = ()
) -> RowTable:
    """The rows of every document of `batch`, in order of place; what is done a candidate or a line is done in numpy.

    A document that goes on from an earlier batch takes from `carried`, by its number here, what was learnt there of its
    columns (`RowTable.carried(document)`); those of `goes_on`, from the one before it.
    """
    line, bits = batch.lines(candidates.start), bits_of(candidates)
    groups = KeyGroups.of(line, bits)
    place = candidates.start[groups.first]
    lines = LineRows(holder_of(batch.starts, place), groups.key, place, groups.valid, groups.mask)
    spans = records(batch, lines) if len(groups) else Spans.joined(())
    if len(spans):
        inside = spans.of_places(candidates.start)
        groups = KeyGroups.of(np.where(inside >= 0, -1 - inside, line), bits)
        found = _between(batch, candidates, groups, spans)
    else:
        found = Spans.of(batch.line_starts[groups.key], batch.line_starts[groups.key + 1] - 1, LINE)
    return RowTable(batch, candidates, groups, found, carried or {}, goes_on)


def _between(batch: Batch, candidates: Candidates, groups: KeyGroups, spans: Spans) -> Spans:
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


SIGN, OPENS_VALUE, QUOTE = b":=", b" \t\"'`[(<+", ord('"')


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
        here = may_be & is_one_of(before[:, back], SIGN)
        signed |= here
        quoted |= here & (before[:, back + 1] == QUOTE)
        may_be &= is_one_of(before[:, back], OPENS_VALUE)
    document = lines.document[rows]
    extents = ((d, batch.text(int(batch.starts[d]), int(batch.ends[d]))) for d in np.unique(document[quoted]).tolist())
    as_object = np.array([document for document, text in extents if b"{" in text], np.int64)
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


def _with_tuples(batch: Batch, lines: LineRows) -> Numbers:
    """Documents in which the line with most candidates holds the border of two tuples."""
    excess = lines.valid - np.bitwise_count(lines.mask)  # valid candidates beyond one of each kind
    crowded = np.flatnonzero(excess > 0)
    if not len(crowded):
        return crowded
    first = np.flatnonzero(np.diff(lines.document[crowded], prepend=-1))
    most = np.maximum.reduceat(excess[crowded], first)
    is_most = excess[crowded] == np.repeat(most, np.diff(first, append=len(crowded)))
    documents, example = np.unique(lines.document[crowded[is_most]], return_index=True)
    starts = batch.line_starts[lines.line[crowded[is_most][example]]]
    ends = np.minimum(starts + LOOK_AT, batch.ends[documents])
    heads = (batch.text(start, end).partition(b"\n")[0] for start, end in zip(starts.tolist(), ends.tolist(), strict=True))
    with_border: Numbers = documents[np.array([b"),(" in head or b"), (" in head for head in heads])]
    return with_border


WIDTH = 32
"""Bytes of a line in which its label must end."""
MOST_BEGINNINGS = 4096
"""Different beginnings of lines that are read in one batch; a text with more has no labels to speak of."""
_FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], np.uint64)
CLOSES = b" \t\"'`])" + "】".encode()[-1:]
"""What may stand between a label and its sign, as last bytes."""


def blocks(batch: Batch, documents: Numbers) -> Spans:
    """Records of two or more lines in `documents` (ascending)."""
    first, last = batch.lines(batch.starts[documents]), batch.lines(batch.ends[documents])
    counts = last - first + 1
    is_last = np.cumsum(counts) - 1
    lines = ranges(first, counts)
    label = labels_of(batch, lines)
    begin, end = _downwards(label, is_last)
    several = end - begin >= 2
    starts = batch.line_starts
    return Spans.of(starts[lines[begin[several]]], starts[lines[end[several] - 1] + 1] - 1, BLOCK)


def labels_of(batch: Batch, lines: Numbers) -> Numbers:
    """A number for the label that each line begins with, 0 for none: i64[lines]. Equal labels have equal numbers."""
    starts = batch.line_starts[lines]
    window = batch.windows(starts, WIDTH)
    sign = (window == ord(":")) | (window == ord("=")) | (window == LINE_END)
    stop = lowest(np.packbits(sign, bitorder="little").view("<u4").astype(np.uint64))  # 64 where there is none
    is_sign = (stop > 0) & (stop < WIDTH) & (batch.data.take(starts + stop) != LINE_END)
    chosen = np.flatnonzero(is_sign)
    chosen = chosen[_ends_a_label(batch.data, (starts + stop)[chosen])]
    chosen = chosen[_has_value(batch, lines[chosen], stop[chosen])]
    if not len(chosen):
        return np.zeros(len(lines), np.int64)
    kept = np.where(np.arange(WIDTH) <= stop[chosen, None], window[chosen], 0).astype(np.uint8)
    _, example, number = np.unique(_hashed(kept), return_index=True, return_inverse=True)
    numbers: dict[str, int] = {}
    known = np.zeros(len(example), np.int64)
    for at, row in enumerate(example[:MOST_BEGINNINGS].tolist()):
        label = block_label(kept[row].tobytes().rstrip(b"\0").decode("utf-8", "replace"))
        known[at] = numbers.setdefault(label, len(numbers) + 1) if label else 0
    found = np.zeros(len(lines), np.int64)
    found[chosen] = known[number]
    return found


@cache
def _tails() -> Flags:
    """bool[65536]: which two bytes, of either case, may end a known label."""
    either = (product(*({byte, ord(chr(byte).upper()) if byte < 128 else byte} for byte in tail)) for tail in tails())
    table = np.zeros(1 << 16, bool)
    table[[first | last << 8 for pairs in either for first, last in pairs]] = True
    return table


def _ends_a_label(data: Bytes, stop: Numbers) -> Flags:
    """Whether the two bytes before each sign may end a label; what closes one, as a quote does, is taken for one."""
    last = data.take(stop - 1)
    pairs = data.take(stop - 2).astype(np.int64) | (last.astype(np.int64) << 8)
    may_end: Flags = _tails().take(pairs) | is_one_of(last, CLOSES)
    return may_end


def _has_value(batch: Batch, lines: Numbers, stop: Numbers) -> Flags:
    """Whether a line goes on behind its sign at `stop`, one space left out: bool[lines]."""
    place = batch.line_starts[lines] + stop + 1
    place += batch.data[place] == ord(" ")
    is_there: Flags = batch.data[place] != LINE_END
    return is_there


def _hashed(rows: Bytes) -> npt.NDArray[np.uint64]:
    """One number for each row u8[n, WIDTH]; different rows have the same one in 2^-64 of cases, unless somebody makes them so."""
    words = rows.view(np.uint64) * _FACTORS
    words ^= words >> np.uint64(29)
    mixed: npt.NDArray[np.uint64] = np.bitwise_xor.reduce(words * _FACTORS[::-1], axis=1)
    return mixed


def _downwards(label: Numbers, is_last: Numbers) -> tuple[Numbers, Numbers]:
    """Records [begin, end) as line numbers; `is_last` are the last lines of documents.

    `cut[s]` is where a record that begins at line s ends: at the first line whose label stands at or behind s already, that has
    none, or before which a document is over.
    """
    places = np.arange(len(label))
    again = _next_alike(label)
    again[label == 0] = places[label == 0]
    again[is_last] = np.minimum(again[is_last], is_last + 1)
    cut = np.minimum.accumulate(again[::-1])[::-1].tolist()
    labelled = np.minimum.accumulate(np.where(label > 0, places, len(label))[::-1])[::-1].tolist()
    begins, ends = [], []
    at = labelled[0] if labelled else 0
    while at < len(label):
        begins.append(at)
        at = cut[at]
        ends.append(at)
        at = labelled[at] if at < len(label) else at
    return np.array(begins, np.int64), np.array(ends, np.int64)


def _next_alike(label: Numbers) -> Numbers:
    """For each line the next with the same label, `len(label)` for none: i64[lines]."""
    order = np.argsort(label, kind="stable")
    following = np.full(len(label), len(label))
    is_same = label[order[:-1]] == label[order[1:]]
    following[order[:-1][is_same]] = order[1:][is_same]
    return following


FEWEST = 3
"""Records of one shape from which a document is a list of them."""
SHARE = 0.6
MOST_LINES = 8
LONGEST_LINE = 96


def paragraphs(batch: Batch, document: int, line: Numbers, mask: Masks, valid: Numbers) -> Spans:
    """Records of one document whose lines with valid candidates are `line` (numbers in the buffer, ascending).

    `mask` and `valid` say which kinds each of them holds and how many valid candidates.
    """
    none = Spans.joined(())
    first, last = batch.lines(batch.starts[[document]])[0], batch.lines(batch.ends[[document]])[0]
    starts = batch.line_starts[first : last + 2]
    lengths = np.diff(starts) - 1
    is_text = np.concatenate(([False], lengths > 0, [False]))
    begin, end = np.flatnonzero(is_text[1:] & ~is_text[:-1]), np.flatnonzero(is_text[:-1] & ~is_text[1:])
    if len(begin) < FEWEST:
        return none
    own = np.searchsorted(begin, line - first, "right") - 1
    held, head = np.unique(own, return_index=True)
    sizes, offsets = (end - begin)[held], (line - first)[head] - begin[held]
    kinds = np.bitwise_count(np.bitwise_or.reduceat(mask, head))
    is_record = (sizes >= 2) & (sizes <= MOST_LINES) & (np.add.reduceat(valid, head) == kinds)
    is_record &= np.maximum.reduceat(lengths, begin)[held] <= LONGEST_LINE
    shapes = np.where(is_record, sizes * (MOST_LINES + 1) + offsets, 0)
    counts = np.bincount(shapes)
    counts[0] = 0
    if counts.max() < max(FEWEST, SHARE * len(held)):
        return none
    chosen = held[shapes == counts.argmax()]
    return Spans.of(starts[begin[chosen]], starts[end[chosen] - 1] + lengths[end[chosen] - 1], BLOCK)
