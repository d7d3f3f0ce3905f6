"""Records written downwards without labels: a name, its phone and its ID on a line each, and an empty line before the next.

One such paragraph may be anything. Several that have as many lines each and their first number on the same one are records of a
list; a paragraph with two numbers of one kind is a list itself.
"""

from __future__ import annotations

import numpy as np

from matcher.columns.batch import Batch
from matcher.records.groups import Masks
from matcher.records.spans import BLOCK, Numbers, Spans

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
