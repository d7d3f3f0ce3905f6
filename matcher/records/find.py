"""Rows of a batch: which candidates stand together."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from matcher.columns.batch import Batch
from matcher.detect.candidates import Candidates
from matcher.records.groups import Groups, bits_of, holder_of
from matcher.records.read import Rows
from matcher.records.sheet import Sheet
from matcher.records.spans import LINE, Spans
from matcher.records.style import LineRows, records
from matcher.records.table import Extents


def rows(batch: Batch, candidates: Candidates, carried: Mapping[int, Sheet] | None = None, goes_on: Collection[int] = ()) -> Rows:
    """The rows of every document of `batch`, in order of place; what is done a candidate or a line is done in numpy.

    A document that goes on from an earlier batch takes from `carried`, by its number here, what was learnt there of its
    columns (`Rows.sheet(document)`); those of `goes_on`, from the one before it.
    """
    line = batch.lines(candidates.start)
    bits = bits_of(candidates)
    groups = Groups.of(line, bits)
    spans = _records(batch, candidates, groups)
    if len(spans):
        inside = spans.of_places(candidates.start)
        groups = Groups.of(np.where(inside >= 0, -1 - inside, line), bits)
        extents = _between(batch, candidates, groups, spans)
    else:
        style = np.full(len(groups), LINE, np.uint8)
        extents = Extents(batch.line_starts[groups.key], batch.line_starts[groups.key + 1] - 1, groups.key, groups.key, style)
    return Rows(batch, candidates, groups, extents, holder_of(batch.starts, extents.start), carried or {}, goes_on)


def _records(batch: Batch, candidates: Candidates, groups: Groups) -> Spans:
    """Records that are not lines; `groups` are the lines with a valid candidate."""
    if not len(groups):
        return Spans.joined(())
    place = candidates.start[groups.first]
    return records(batch, LineRows(holder_of(batch.starts, place), groups.key, place, groups.valid, groups.mask))


def _between(batch: Batch, candidates: Candidates, groups: Groups, spans: Spans) -> Extents:
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
    return Extents(start, end, batch.lines(start), batch.lines(end - 1), style)
