"""Records written downwards: neighbouring `label: value` lines until a label comes again, or paragraphs of one shape.

A label is read once for all lines that begin alike, so what Python does depends on how many labels there are and not on how many
lines. Where a record ends is found for every line at once: before the first line whose label stands already between. What is left
to a loop is one step a record.

Without labels, a name, its phone and its ID on a line each and an empty line before the next may be anything. Several paragraphs
that have as many lines each and their first number on the same one are records of a list; a paragraph with two numbers of one
kind is a list itself.
"""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import LINE_END, Batch, Bytes, ranges
from matcher.columns.bitset import lowest
from matcher.detect.labelled import block_label, tails
from matcher.records.spans import BLOCK, Masks, Numbers, Spans

WIDTH = 32
"""Bytes of a line in which its label must end."""
MOST_BEGINNINGS = 4096
"""Different beginnings of lines that are read in one batch; a text with more has no labels to speak of."""
_FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], np.uint64)
Flags = npt.NDArray[np.bool_]
CLOSES = b" \t\"'`])" + "】".encode()[-1:]
"""What may stand between a label and its sign, as last bytes."""


def blocks(batch: Batch, documents: Numbers) -> Spans:
    """Records of two or more lines in `documents` (ascending)."""
    first, last = batch.lines(batch.starts[documents]), batch.lines(batch.ends[documents])
    counts = last - first + 1
    is_last = np.cumsum(counts) - 1
    lines = ranges(first, counts)
    label = labels_of(batch, lines)
    begin, end = _records(label, is_last)
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
    may_end: Flags = _tails().take(pairs) | np.isin(last, np.frombuffer(CLOSES, np.uint8))
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


def _records(label: Numbers, is_last: Numbers) -> tuple[Numbers, Numbers]:
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
