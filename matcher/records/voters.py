"""What is known of a document's columns before its rows are read: from a few of them, and from the lines above."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

import numpy as np

from matcher.records.json_sql_records import is_beginning, statements_of
from matcher.records.marked import shown
from matcher.records.schema import HEADER_LINES, SEPARATORS, Columns, Sheet, elected, header_of, vote
from matcher.records.spans import LINE, TUPLE, Numbers
from matcher.records.table import Table

VOTERS = 4
"""Rows that vote on a document's separator."""
LONGEST_SAMPLE = 2048
SURE = tuple(sign.encode() for sign in SEPARATORS[: SEPARATORS.index(":")])
"""Separators before the one that may stand behind a label as well."""


def sheets_of(table: Table, documents: Numbers, carried: Mapping[int, Sheet], goes_on: Container[int] = ()) -> list[Sheet]:
    """Separator, header and statements of each of `documents` (ascending).

    What one does not show is taken from `carried`, of one that `goes_on` from the document before it, which is among them or has
    its place in `carried`.
    """
    first, count = table.extent_of(documents)
    spread = first[:, None] + count[:, None] * np.arange(VOTERS) // VOTERS
    voters = np.unique(spread[count > 0])
    voters = voters[table.style[voters] == LINE]
    texts = table.marked(voters).texts()
    low, high = (np.searchsorted(table.document[voters], documents, side) for side in ("left", "right"))
    has_tuples = bool((table.style == TUPLE).any())
    columns = (documents, first, count, low, high)
    known = dict(carried)
    for document, row, rows, begin, end in zip(*(column.tolist() for column in columns), strict=True):
        before = known[document - 1].as_carried() if document in goes_on else known.get(document, Sheet())
        known[document] = _sheet(table, document, range(row, row + rows), texts[begin:end], before, has_tuples=has_tuples)
    return [known[document] for document in documents.tolist()]


def _sheet(table: Table, document: int, rows: range, texts: Sequence[bytes], before: Sheet, *, has_tuples: bool) -> Sheet:
    """What one document shows, of which `texts` are some lines; `before` is what is known from its earlier parts."""
    columns = before.columns
    if texts:
        separator = elected([vote_of(text) for text in texts])
        labels, names = header_of(_above(table, rows.start), separator)
        if not labels and separator == columns.separator:
            labels, names = columns.labels, columns.names
        columns = Columns(separator, labels, names=names)
    is_sql = any(map(is_beginning, texts)) or (has_tuples and bool((table.style[rows.start : rows.stop] == TUPLE).any()))
    if not is_sql:
        return Sheet(columns, before.statements)
    start = int(table.batch.starts[document])
    return Sheet(columns, (*before.statements, *statements_of(table.batch.text(start, int(table.batch.ends[document])), start)))


def vote_of(text: bytes) -> str:
    """The separator of one row; most are told from its bytes."""
    if len(text) <= LONGEST_SAMPLE:
        for sign in SURE:
            if sign in text:
                return sign.decode()
    return vote(shown(text)[:LONGEST_SAMPLE])


def _above(table: Table, row: int) -> list[str]:
    """The lines above a row in its document, at most HEADER_LINES."""
    batch = table.batch
    begin = batch.starts[table.document[row]]
    if table.start[row] == begin:
        return []
    line = int(np.searchsorted(batch.line_starts, table.start[row], "right")) - 1
    starts = batch.line_starts[max(0, line - HEADER_LINES + 1) : line + 1]
    pairs = zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
    lines = (batch.text(first, min(last - 1, first + LONGEST_SAMPLE)) for first, last in pairs if first >= begin)
    return [line.decode("utf-8", "replace") for line in lines]
