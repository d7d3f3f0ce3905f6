"""Find the rows of a batch: how each document is written, and where its records begin and end.

A few rows of a document show how it is written: on lines, as JSON objects, as SQL tuples, or
downwards. The part of a line that no record covers is a row of its own.

Records written downwards are neighbouring `label: value` lines until a label repeats, or paragraphs
of one shape. A label is read one time for all lines that begin alike, so Python's work depends on
the number of labels, not of lines. The end of a record is computed for every line at once: it is
before the first line whose label has occurred since. Only one step per record is left to a loop.

Without labels, a name, its phone and its ID on a line each with an empty line before the next may
be anything. Several paragraphs with equally many lines and their first number on the same line are
records of a list; a paragraph with two numbers of one kind is a list itself.

JSON objects and SQL tuples stand between brackets. Quotes are paired line by line, since neither
JSON nor a dump tool leaves a line end inside quotes: the effect of one broken line ends with it. A
place is inside quotes by the parity of the quotes before it. A line with an odd number of quotes is
cut off at its start or end: it takes the parity that has more of its brackets outside.
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
from matcher.records.reader import DocumentColumns
from matcher.records.rows import RowTable
from matcher.records.table import (
    BLOCK,
    LINE,
    OBJECT,
    TUPLE,
    KeyGroups,
    Masks,
    Numbers,
    Spans,
    bits_of,
    holder_of,
)


def rows_of(
    batch: Batch,
    candidates: Candidates,
    carried: Mapping[int, DocumentColumns] | None = None,
    goes_on: Collection[int] = (),
) -> RowTable:
    """Return the rows of every document of `batch`, in order of place.

    Work per candidate or line is done in numpy. A document that continues from an earlier batch
    takes its columns from `carried`, by its number here (`RowTable.to_carried`); a document in
    `goes_on`, from the document before it.
    """
    line, bits = batch.lines(candidates.start), bits_of(candidates)
    groups = KeyGroups.from_keys(line, bits)
    place = candidates.start[groups.first]
    lines = LineRows(holder_of(batch.starts, place), groups.key, place, groups.valid, groups.mask)
    spans = records(batch, lines) if len(groups) else Spans.join(())
    if len(spans):
        inside = spans.locate(candidates.start)
        groups = KeyGroups.from_keys(np.where(inside >= 0, -1 - inside, line), bits)
        row_spans = _find_row_spans(batch, candidates, groups, spans)
    else:
        row_spans = Spans.with_style(
            batch.line_starts[groups.key], batch.line_starts[groups.key + 1] - 1, LINE
        )
    return RowTable(batch, candidates, groups, row_spans, carried or {}, goes_on)


def _find_row_spans(batch: Batch, candidates: Candidates, groups: KeyGroups, spans: Spans) -> Spans:
    """Return the place of each row.

    It is a whole record, or the part of a line that no record covers.
    """
    first, last = candidates.start[groups.first], candidates.start[groups.first + groups.count - 1]
    is_record = groups.key < 0
    record = np.where(is_record, -1 - groups.key, 0)
    line = np.where(is_record, 0, groups.key)
    before, after = spans.before(first), spans.before(last) + 1
    behind = np.where(before >= 0, spans.end[before], 0)
    ahead = np.append(spans.start, len(batch.data))[after]
    start = np.where(is_record, spans.start[record], np.maximum(batch.line_starts[line], behind))
    end = np.where(is_record, spans.end[record], np.minimum(batch.line_starts[line + 1] - 1, ahead))
    style = np.where(is_record, spans.style[record], LINE).astype(np.uint8)
    return Spans(start, end, style)


SAMPLES = 8
"""Rows of a document that are examined."""
LOOK_BACK = 6
SHORT_LINE = 48
LOOK_AT = 1 << 16
"""Bytes of a line that are searched for the border of two tuples."""


SIGN, OPENS_VALUE, QUOTE = b":=", b" \t\"'`[(<+", ord('"')


@dataclass(frozen=True)
class LineRows:
    """Lines with a valid candidate, in order; columns [m].

    `document`, `line` (its number in the buffer), `place` (of its first candidate) and `valid` (its
    number of valid candidates) are i64; `mask` u32 has a bit for each of their kinds.
    """

    document: Numbers
    line: Numbers
    place: Places
    valid: Numbers
    mask: Masks


def records(batch: Batch, lines: LineRows) -> Spans:
    """Return the spans of records in documents that are not written one record per line.

    These are objects, tuples, paragraphs, and records with one field per line.
    """
    sampled = _sample_rows(lines)
    as_object, downwards = _find_labelled_documents(batch, lines, sampled)
    parts = []
    if len(as_object):
        parts.append(
            _select(batch, objects(batch, int(as_object[0]), int(as_object[-1])), as_object)
        )
    if len(downwards):
        parts.append(blocks(batch, downwards))
    as_tuple = np.setdiff1d(_with_tuples(batch, lines), np.concatenate((as_object, downwards)))
    if len(as_tuple):
        parts.append(_select(batch, tuples(batch, int(as_tuple[0]), int(as_tuple[-1])), as_tuple))
    short = np.setdiff1d(
        _with_short_lines(batch, lines, sampled), np.concatenate((as_object, downwards, as_tuple))
    )
    for document in short.tolist():
        in_document = slice(*np.searchsorted(lines.document, (document, document + 1)))
        parts.append(
            paragraphs(
                batch,
                document,
                lines.line[in_document],
                lines.mask[in_document],
                lines.valid[in_document],
            )
        )
    return Spans.join(parts)


def _select(batch: Batch, spans: Spans, documents: Numbers) -> Spans:
    """Return the spans that lie in one of `documents`."""
    chosen = np.isin(batch.documents(spans.start), documents)
    return Spans(spans.start[chosen], spans.end[chosen], spans.style[chosen])


def _sample_rows(lines: LineRows) -> Numbers:
    """Return the numbers of up to SAMPLES rows of each document, spread over it: i64[s]."""
    first = np.flatnonzero(np.diff(lines.document, prepend=-1))
    counts = np.diff(first, append=len(lines.document))
    spread = first[:, None] + counts[:, None] * np.arange(SAMPLES) // SAMPLES
    chosen: Numbers = spread[np.diff(spread, axis=1, prepend=-1) > 0]
    return chosen


def _find_labelled_documents(
    batch: Batch, lines: LineRows, rows: Numbers
) -> tuple[Numbers, Numbers]:
    """Return the documents in whose sampled rows a sign precedes a value.

    First those with quoted labels and braces, then those with labels, of which a sampled line must
    begin with a known one.
    """
    before = batch.windows(lines.place[rows] - 8, 8)[:, ::-1]
    may_be = np.ones(len(rows), bool)
    signed, quoted = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
    for back in range(LOOK_BACK):
        has_sign = may_be & is_one_of(before[:, back], SIGN)
        signed |= has_sign
        quoted |= has_sign & (before[:, back + 1] == QUOTE)
        may_be &= is_one_of(before[:, back], OPENS_VALUE)
    document = lines.document[rows]
    extents = (
        (d, batch.text(int(batch.starts[d]), int(batch.ends[d])))
        for d in np.unique(document[quoted]).tolist()
    )
    as_object = np.array([document for document, text in extents if b"{" in text], np.int64)
    remaining = np.flatnonzero(signed & ~np.isin(document, as_object))
    return as_object, np.unique(
        document[remaining[labels_of(batch, lines.line[rows[remaining]]) > 0]]
    )


def _with_short_lines(batch: Batch, lines: LineRows, rows: Numbers) -> Numbers:
    """Return the documents that may be written as paragraphs.

    They have at least FEWEST rows, short lines in at least half of the sampled rows, and empty
    lines between.
    """
    line = lines.line[rows]
    is_short = batch.line_starts[line + 1] - batch.line_starts[line] <= SHORT_LINE
    documents, number, counts = np.unique(
        lines.document[rows], return_inverse=True, return_counts=True
    )
    most = np.bincount(number, is_short) * 2 >= counts
    documents = documents[most & (counts >= FEWEST)]
    empty = batch.line_starts[np.flatnonzero(np.diff(batch.line_starts) == 1)]
    first, last = (
        np.searchsorted(empty, places[documents]) for places in (batch.starts, batch.ends)
    )
    return documents[last - first >= FEWEST - 1]


def _with_tuples(batch: Batch, lines: LineRows) -> Numbers:
    """Return the documents whose line with most candidates holds the border of two tuples.

    Looked at are the first LOOK_AT (65,536) bytes of one such line. Empty if no line has two
    candidates of one kind.
    """
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
    heads = (
        batch.text(start, end).partition(b"\n")[0]
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    )
    with_border: Numbers = documents[
        np.array([b"),(" in head or b"), (" in head for head in heads])
    ]
    return with_border


WIDTH = 32
"""Bytes of a line within which its label must end."""
MOST_BEGINNINGS = 4096
"""Different beginnings of lines that are read in one batch.

A text with more has hardly any labels.
"""
_FACTORS = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], np.uint64
)
CLOSES = b" \t\"'`])" + "】".encode()[-1:]
"""The last bytes that may stand between a label and its sign."""


def blocks(batch: Batch, documents: Numbers) -> Spans:
    """Return the records of `documents` (ascending) that have one field per line.

    Only records of two or more lines are returned.
    """
    first, last = batch.lines(batch.starts[documents]), batch.lines(batch.ends[documents])
    counts = last - first + 1
    is_last = np.cumsum(counts) - 1
    lines = ranges(first, counts)
    label = labels_of(batch, lines)
    begin, end = _split_key_value_records(label, is_last)
    several = end - begin >= 2
    starts = batch.line_starts
    return Spans.with_style(
        starts[lines[begin[several]]], starts[lines[end[several] - 1] + 1] - 1, BLOCK
    )


def labels_of(batch: Batch, lines: Numbers) -> Numbers:
    """Return a number for the label that each line begins with, 0 for none: i64[lines].

    Equal labels have equal numbers.
    """
    starts = batch.line_starts[lines]
    window = batch.windows(starts, WIDTH)
    sign = (window == ord(":")) | (window == ord("=")) | (window == LINE_END)
    # 64 where there is none
    stop = lowest(np.packbits(sign, bitorder="little").view("<u4").astype(np.uint64))
    is_sign = (stop > 0) & (stop < WIDTH) & (batch.data.take(starts + stop) != LINE_END)
    chosen = np.flatnonzero(is_sign)
    chosen = chosen[_ends_a_label(batch.data, (starts + stop)[chosen])]
    chosen = chosen[_has_value(batch, lines[chosen], stop[chosen])]
    if not len(chosen):
        return np.zeros(len(lines), np.int64)
    beginnings = np.where(np.arange(WIDTH) <= stop[chosen, None], window[chosen], 0).astype(
        np.uint8
    )
    _, example, number = np.unique(_hash_rows(beginnings), return_index=True, return_inverse=True)
    numbers: dict[str, int] = {}
    label_numbers = np.zeros(len(example), np.int64)
    for at, row in enumerate(example[:MOST_BEGINNINGS].tolist()):
        label = block_label(beginnings[row].tobytes().rstrip(b"\0").decode("utf-8", "replace"))
        label_numbers[at] = numbers.setdefault(label, len(numbers) + 1) if label else 0
    line_labels = np.zeros(len(lines), np.int64)
    line_labels[chosen] = label_numbers[number]
    return line_labels


@cache
def _tails() -> Flags:
    """Return which pairs of bytes, in either case, may end a known label: bool[65536]."""
    either = (
        product(*({byte, ord(chr(byte).upper()) if byte < 128 else byte} for byte in tail))
        for tail in tails()
    )
    table = np.zeros(1 << 16, bool)
    table[[first | last << 8 for pairs in either for first, last in pairs]] = True
    return table


def _ends_a_label(data: Bytes, stop: Numbers) -> Flags:
    """Return whether the two bytes before each sign may end a label.

    A byte that closes a label, such as a quote, counts as its end.
    """
    last = data.take(stop - 1)
    pairs = data.take(stop - 2).astype(np.int64) | (last.astype(np.int64) << 8)
    may_end: Flags = _tails().take(pairs) | is_one_of(last, CLOSES)
    return may_end


def _has_value(batch: Batch, lines: Numbers, stop: Numbers) -> Flags:
    """Return whether a line continues behind its sign at `stop`: bool[lines].

    One space behind the sign is skipped.
    """
    place = batch.line_starts[lines] + stop + 1
    place += batch.data[place] == ord(" ")
    is_there: Flags = batch.data[place] != LINE_END
    return is_there


def _hash_rows(rows: Bytes) -> npt.NDArray[np.uint64]:
    """Return one 64-bit hash per row (u8[n, WIDTH]).

    Different rows collide in 2^-64 of cases, unless somebody constructs them.
    """
    words = rows.view(np.uint64) * _FACTORS
    words ^= words >> np.uint64(29)
    mixed: npt.NDArray[np.uint64] = np.bitwise_xor.reduce(words * _FACTORS[::-1], axis=1)
    return mixed


def _split_key_value_records(label: Numbers, is_last: Numbers) -> tuple[Numbers, Numbers]:
    """Return the line ranges [begin, end) of records that are written one field per line.

    `is_last` marks the last lines of documents. `cut[s]` is the end of a record that begins at line
    s: the first line that repeats a label since s or has none, or the end of the document.
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
    """Return the next line with the same label for each line, or `len(label)`: i64[lines]."""
    order = np.argsort(label, kind="stable")
    following = np.full(len(label), len(label))
    is_same = label[order[:-1]] == label[order[1:]]
    following[order[:-1][is_same]] = order[1:][is_same]
    return following


FEWEST = 3
"""Records of one shape that make a document a list of them."""
SHARE = 0.6
MOST_LINES = 8
LONGEST_LINE = 96


def paragraphs(batch: Batch, document: int, line: Numbers, mask: Masks, valid: Numbers) -> Spans:
    """Return the records of one document that is written in paragraphs; none if it is not.

    `line` are its lines with valid candidates (numbers in the buffer, ascending), `mask` the kinds
    and `valid` the number of valid candidates on each.
    """
    none = Spans.join(())
    first, last = batch.lines(batch.starts[[document]])[0], batch.lines(batch.ends[[document]])[0]
    starts = batch.line_starts[first : last + 2]
    lengths = np.diff(starts) - 1
    is_text = np.concatenate(([False], lengths > 0, [False]))
    begin, end = (
        np.flatnonzero(is_text[1:] & ~is_text[:-1]),
        np.flatnonzero(is_text[:-1] & ~is_text[1:]),
    )
    if len(begin) < FEWEST:
        return none
    paragraph = np.searchsorted(begin, line - first, "right") - 1
    occupied, head = np.unique(paragraph, return_index=True)
    sizes, offsets = (end - begin)[occupied], (line - first)[head] - begin[occupied]
    kinds = np.bitwise_count(np.bitwise_or.reduceat(mask, head))
    is_record = (sizes >= 2) & (sizes <= MOST_LINES) & (np.add.reduceat(valid, head) == kinds)
    is_record &= np.maximum.reduceat(lengths, begin)[occupied] <= LONGEST_LINE
    shapes = np.where(is_record, sizes * (MOST_LINES + 1) + offsets, 0)
    counts = np.bincount(shapes)
    counts[0] = 0
    if counts.max() < max(FEWEST, SHARE * len(occupied)):
        return none
    chosen = occupied[shapes == counts.argmax()]
    return Spans.with_style(
        starts[begin[chosen]], starts[end[chosen] - 1] + lengths[end[chosen] - 1], BLOCK
    )


BACKSLASH = 92
DEEPEST = 8


JSON, SQL = b'"{}', b"'()"
"""Quote, opening and closing bracket of each kind of record."""


@dataclass(frozen=True, slots=True)
class Brackets:
    """Brackets outside quotes, in order.

    Of each bracket: its `place` (i64[b]), whether it opens, the depth behind it, from 0, and its
    unit.
    """

    place: Places
    opens: Flags
    level: Numbers
    unit: Numbers


def objects(batch: Batch, first: int, last: int) -> Spans:
    """Return the JSON records in documents [first, last].

    They are the outermost objects of which a document has two or more. A single object that holds a
    list of objects is a wrapper; an object that is the value of a key belongs to the one around it.
    """
    brackets = _brackets(batch, first, last, JSON, batch.starts)
    document = batch.documents(brackets.place)
    is_record = brackets.opens & (brackets.level <= DEEPEST) & ~_is_value(batch, brackets.place)
    counts = np.bincount(
        (document * (DEEPEST + 1) + brackets.level)[is_record],
        minlength=len(batch.starts) * (DEEPEST + 1),
    ).reshape(-1, DEEPEST + 1)
    several = counts >= 2
    depth = np.where(several.any(1), several.argmax(1), 1)
    return _at(brackets, depth[document], OBJECT)


def tuples(batch: Batch, first: int, last: int) -> Spans:
    """Return the tuples of SQL statements in documents [first, last].

    A tuple stands between the outermost brackets of a line.
    """
    brackets = _brackets(batch, first, last, SQL, batch.line_starts)
    return _at(brackets, np.ones(len(brackets.place), np.int64), TUPLE)


def _is_value(batch: Batch, places: Places) -> Flags:
    """Return whether a colon precedes each place, with a space between or not: bool[n]."""
    before = batch.data[places - 1]
    is_value: Flags = (before == ord(":")) | (
        (before == ord(" ")) & (batch.data[places - 2] == ord(":"))
    )
    return is_value


def _brackets(batch: Batch, first: int, last: int, marks: bytes, units: Places) -> Brackets:
    """Return the brackets outside quotes in documents [first, last].

    Depth begins anew with each of `units`.
    """
    low, high = int(batch.starts[first]), int(batch.ends[last])
    part, (quote, opening, closing) = batch.data[low:high], marks
    quotes = _drop_escaped(part, np.flatnonzero(part == quote)) + low
    places = np.flatnonzero((part == opening) | (part == closing)) + low
    places = places[_outside(batch, places, quotes)]
    opens = batch.data[places] == opening
    unit = np.searchsorted(units, places, "right")
    return Brackets(places, opens, _levels(np.where(opens, 1, -1), unit), unit)


def _drop_escaped(part: Bytes, quotes: Numbers) -> Numbers:
    """Return those of `quotes` that follow an even number of backslashes."""
    slashes = np.flatnonzero(part == BACKSLASH)
    if not len(slashes) or not len(quotes):
        return quotes
    run_start = np.flatnonzero(np.append(True, np.diff(slashes) != 1))
    run_of = np.cumsum(np.append(True, np.diff(slashes) != 1)) - 1
    run_length = np.arange(len(slashes)) - run_start[run_of] + 1
    last = np.searchsorted(slashes, quotes) - 1
    is_escaped = (last >= 0) & (slashes[last] == quotes - 1) & (run_length[last] % 2 == 1)
    unescaped: Numbers = quotes[~is_escaped]
    return unescaped


def _outside(batch: Batch, places: Places, quotes: Places) -> Flags:
    """Return whether each place is outside quotes: bool[n].

    Quotes are counted in each line anew; in a line with an odd number of them, most places decide
    whether it begins inside.
    """
    lines, number = np.unique(batch.lines(places), return_inverse=True)
    before = np.searchsorted(quotes, batch.line_starts[lines])
    is_cut = (np.searchsorted(quotes, batch.line_starts[lines + 1]) - before) % 2 == 1
    odd = (np.searchsorted(quotes, places) - before[number]) % 2
    most_odd = np.bincount(number, odd, len(lines)) * 2 > np.bincount(number, minlength=len(lines))
    is_outside: Flags = odd.astype(bool) == (is_cut & most_odd)[number]
    return is_outside


def _levels(steps: Numbers, unit: Numbers) -> Numbers:
    """Return the depth after each bracket, i64[b], from steps: +1 opens and −1 closes.

    Depth begins anew in each unit, and a bracket that closes nothing is ignored. The depth is the
    sum minus its lowest value so far. Lowering the sums of each unit below those of the unit before
    makes that lowest value begin anew with the unit.
    """
    if not len(steps):
        return steps
    total = np.cumsum(steps)
    is_first = np.append(True, unit[1:] != unit[:-1])
    before = (total - steps)[is_first][np.cumsum(is_first) - 1]
    sunk = total - before - unit * (len(steps) + 1)
    lowest = np.minimum(np.minimum.accumulate(sunk), -unit * (len(steps) + 1))
    level: Numbers = sunk - lowest
    return level


def _at(brackets: Brackets, depth: Numbers, style: int) -> Spans:
    """Return the spans between brackets at `depth` (i64[b]), brackets included.

    A bracket that is never closed begins no span.
    """
    chosen = np.flatnonzero(brackets.level == np.where(brackets.opens, depth, depth - 1))
    opens, place, unit = brackets.opens[chosen], brackets.place[chosen], brackets.unit[chosen]
    pairs = np.flatnonzero(opens[:-1] & ~opens[1:] & (unit[:-1] == unit[1:]))
    return Spans.with_style(place[pairs], place[pairs + 1] + 1, style)
