"""Columns under a header: which cells stand below a word that names them, by counting separators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from matcher.labels import labels_of
from matcher.scan.batch import Batch, Bytes, Places
from matcher.scan.segment import Flags

SEPARATORS = (b"----", b"--", b"\t", b"|", b",", b";")
LONGEST = 4096
"""Bytes of a line that may be a header."""
HEADERS = 4
"""Headers a text that are followed: a text made of headers costs no more."""
QUOTES = b" \t\r\"'`="
STRIPPED = 3
"""Quotes, spaces and Excel's sign around a value, on either side, at most."""


@dataclass(frozen=True, slots=True)
class Column:
    """The cells below a header's cell, which is one of the names asked for: bytes [start, end) without quotes, i64[n]."""

    name: str
    start: Places
    end: Places


def columns(batch: Batch, lines: Places, names: Mapping[str, str]) -> list[Column]:
    """The columns below those of `lines` (numbers, ascending) that are headers.

    `names` maps a header's word, in lower case, to the name that its column gets. A table goes from its header to the next, or to
    the end of the text; rows that have another number of separators are left out.
    """
    documents = batch.documents(batch.line_starts[lines])
    few = np.ones(len(lines), bool)
    few[HEADERS:] = documents[HEADERS:] != documents[:-HEADERS]
    lines, documents = lines[few], documents[few]
    ends = np.append(lines[1:], len(batch.line_starts))
    return [
        column
        for line, last, document in zip(lines.tolist(), ends.tolist(), documents.tolist(), strict=True)
        for column in _below(batch, line, last, int(batch.ends[document]), names)
    ]


def _below(batch: Batch, line: int, last: int, document_end: int, names: Mapping[str, str]) -> Iterator[Column]:
    """The columns under one header, in the lines before `last` and before the end of the text."""
    first, below = batch.line_starts[line : line + 2].tolist()
    header = batch.text(first, min(below - 1, first + LONGEST)).decode(errors="replace")
    for separator in SEPARATORS:
        cells = [cell.strip().strip("\"'`").strip().lower() for cell in header.split(separator.decode())]
        if len(cells) > 1 and labels_of(cells):
            break
    else:
        return
    wanted = [(number, names[cell]) for number, cell in enumerate(cells) if cell in names]
    starts = batch.line_starts[line + 1 : last]
    starts = starts[starts < document_end]
    if not wanted or not len(starts):
        return
    ends = np.append(
        starts[1:] - 1, min(document_end, batch.line_starts[last] - 1 if last < len(batch.line_starts) else document_end)
    )
    marks = _marks(batch.data[below : ends[-1]], separator) + below
    before = np.searchsorted(marks, starts)
    full = np.searchsorted(marks, ends) - before == len(cells) - 1
    starts, ends, before = starts[full], ends[full], before[full]
    for number, name in wanted:
        start = marks[before + number - 1] + len(separator) if number else starts
        end = marks[before + number] if number < len(cells) - 1 else ends
        yield Column(name, *_stripped(batch.data, start, end))


def _marks(data: Bytes, separator: bytes) -> Places:
    """Where separators begin; a long run of hyphens holds several, without anything between."""
    inside = data == separator[0]
    if len(separator) == 1:
        return np.flatnonzero(inside)
    edges = np.flatnonzero(np.diff(inside, prepend=False, append=False))
    count = (edges[1::2] - edges[::2]) // len(separator)
    number = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    places: Places = np.repeat(edges[::2], count) + number * len(separator)
    return places


def _stripped(data: Bytes, start: Places, end: Places) -> tuple[Places, Places]:
    """The stretches [start, end) without what surrounds their values."""
    quotes = _quotes()
    for _ in range(STRIPPED):
        start = start + ((start < end) & quotes[data[start]])
        end = end - ((start < end) & quotes[data[end - 1]])
    return start, end


@cache
def _quotes() -> Flags:
    """bool[256]: which bytes are QUOTES."""
    table = np.zeros(256, bool)
    table[list(QUOTES)] = True
    return table
