"""Columns under a header: which cells stand below a word that names them, by counting separators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from matcher.columns.batch import Batch, Bytes, Places
from matcher.columns.classes import is_one_of
from matcher.detect.labels import labels_of

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


class Header(NamedTuple):
    """A header: its separator, how many of them a row has, and the number of each column that is asked for, with its name."""

    separator: bytes
    separators: int
    names: Mapping[int, str]


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


def header(line: bytes, names: Mapping[str, str]) -> Header | None:
    """What `line` says of the columns below it, if at least two of its cells name fields and one is in `names`."""
    text = line[:LONGEST].decode(errors="replace")
    for separator in SEPARATORS:
        cells = [cell.strip().strip("\"'`").strip().lower() for cell in text.split(separator.decode())]
        if len(cells) > 1 and labels_of(cells):
            named = {number: names[cell] for number, cell in enumerate(cells) if cell in names}
            return Header(separator, len(cells) - 1, named) if named else None
    return None


def _below(batch: Batch, line: int, last: int, document_end: int, names: Mapping[str, str]) -> Iterator[Column]:
    """The columns under one header, in the lines before `last` and before the end of the text."""
    first, below = batch.line_starts[line : line + 2].tolist()
    head = header(batch.text(first, below - 1), names)
    starts = batch.line_starts[line + 1 : last]
    starts = starts[starts < document_end]
    if head is None or not len(starts):
        return
    ends = np.minimum(batch.line_starts[line + 2 : line + 2 + len(starts)] - 1, document_end)
    marks = _marks(batch.data[below : ends[-1]], head.separator) + below
    before = np.searchsorted(marks, starts)
    full = np.searchsorted(marks, ends) - before == head.separators
    starts, ends, before = starts[full], ends[full], before[full]
    for number, name in head.names.items():
        start = marks[before + number - 1] + len(head.separator) if number else starts
        end = marks[before + number] if number < head.separators else ends
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
    for _ in range(STRIPPED):
        start = start + ((start < end) & is_one_of(data[start], QUOTES))
        end = end - ((start < end) & is_one_of(data[end - 1], QUOTES))
    return start, end
