"""Kinds that count only beside a label: `护照: E12345678`, `"qq":"12345678"`, a column under the header `微信`.

    label, gap, value ─▶ hyperscan tells where such a value begins ─▶ the whole word there ─▶ its normal form (`shapes`)
    a label that is a cell of a header ─▶ `columns` tells the cells below

Labels and what may stand in the gap are those of `ullage/identifiers`. A pattern takes in the beginning of the value, so prose
that only says 护照 or QQ costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from functools import cache

import numpy as np

from matcher.columns.batch import Batch, Bytes, Places
from matcher.columns.classes import is_digit, is_word
from matcher.columns.literals import BYTES, ONCE, TEXT, Literals, Patterns
from matcher.detect.candidates import Segment
from matcher.detect.header_columns import HEADERS, Column, columns
from matcher.detect.shapes import normals
from matcher.text.traditional import written
from ullage.identifiers import Kind, kinds
from ullage.identifiers.base import GAP

SHORTEST = 5
WIDTH = 24
"""Characters of the shortest value, and bytes of a row: more than the longest value has."""
PART, LONGEST_CELL = 1 << 14, 64
"""Bytes that are looked through for headers at once, and of a header's cell at most."""
ALONE = {"home_return_permit": "[^0-9A-Za-z][HM][0-9]{8}"}
"""Kinds that are found without a label too, but weakly, and what their values begin with."""
ALONE_LENGTH = 9
HYPHEN = ord("-")
OF_VALUES = {"wechat": b"_-"}
"""What the values of a kind have beside letters and digits."""
EDGES, INNER = "\n,;|\t-", "\"'` "
BEGINS, ENDS = f"[{EDGES}][{INNER}]{{0,2}}", f"[{INNER}]{{0,2}}[{EDGES}]"
"""What stands on either side of a header's cell: its edge, and signs that are no part of the label."""


@cache
def labelled_kinds() -> tuple[Kind, ...]:
    """The kinds that want a label."""
    return tuple(kind for kind in kinds().values() if kind.labels)


@cache
def patterns() -> Patterns:
    """For each labelled kind a value behind its label, then for each a label as a header's cell, then values that stand alone.

    Of headers it is only told whether there may be any: `header_lines` looks for them.
    """
    named = [kind.labels for kind in labelled_kinds()]
    behind = [f"{any_label(labels)}{GAP}[0-9A-Za-z][0-9A-Za-z_\\-]{{{SHORTEST - 1}}}" for labels in named]
    gates = [_header_gate(labels) for labels in _header_labels()]
    wanted = (*(pattern.encode() for pattern in behind), *gates, *(pattern.encode() for pattern in ALONE.values()))
    return Patterns(wanted, tuple(BYTES | ONCE if pattern in gates else TEXT for pattern in wanted))


def _header_labels() -> list[list[str]]:
    """For each labelled kind the labels that a header may have."""
    names = _kind_of_label().items()
    return [[label for label, name in names if name == kind.name] for kind in labelled_kinds()]


def _header_gate(labels: Iterable[str]) -> bytes:
    """A pattern of any of `labels` between bytes of which one may end a cell: what is no header is found too, but at no cost.

    Hyperscan is good at patterns of one length: the exact ones take five times as long in a flood of cells.
    """
    edge = b"[%s]" % re.escape((EDGES + INNER).encode())
    return edge + b"(?:%s)" % b"|".join(re.escape(label.encode()) for label in labels) + edge


@cache
def _header_cells() -> Literals:
    return Literals([header_pattern(labels).encode() for labels in _header_labels()], TEXT)


@cache
def _alone() -> Literals:
    return Literals.of(patterns())


def find_labelled(batch: Batch, hits: tuple[Places, Places] | None = None) -> list[Segment]:
    """Values beside their label, a segment a kind; for ALONE kinds another, weak, of those that have none.

    `hits` are what was found of `patterns` in the batch, number and end, each i64[n]; without them a pass of its own is made.
    """
    number, end = hits or _alone().find(batch.data)
    if not len(number):
        return []
    wanted = labelled_kinds()
    lines = header_lines(batch, number)
    cells = columns(batch, lines, _kind_of_label()) if len(lines) else []
    found = []
    for place, kind in enumerate(wanted):
        start = _unglued(batch.data, end[number == place] - SHORTEST)
        below = [column for column in cells if column.name == kind.name]
        strong = _segment(batch, kind, *_words(batch, start, kind), below)
        found.append(strong)
        if kind.name in ALONE:
            alone = end[number == 2 * len(wanted) + list(ALONE).index(kind.name)] - ALONE_LENGTH
            alone = alone[~np.isin(alone, strong.start)]
            found.append(_segment(batch, kind, *_words(batch, alone, kind), weak=True))
    return [segment for segment in found if len(segment)]


def header_lines(batch: Batch, seen: Places) -> Places:
    """Lines in which a label stands as a cell, of each text the first HEADERS at least: i64[n], ascending.

    `seen` are the numbers of `patterns` in the batch. What no line more can come of is passed over: the rest of a line that was
    found, and of a text with enough of them. So labels without end cost no more than other text.
    """
    found, at, size = [np.empty(0, np.int64)], 0, len(batch.data)
    if not np.isin(seen - len(labelled_kinds()), np.arange(len(labelled_kinds()))).any():
        return found[0]
    while at < size:
        part = (at, min(at + PART, size))
        at += PART - LONGEST_CELL
        _, end = _header_cells().find(batch.data, [part])
        if len(end):
            lines = np.unique(batch.lines(end - 2))
            text = batch.documents(batch.line_starts[lines])
            found.append(lines)
            at = max(at, int(batch.line_starts[lines[-1] + 1]) - 1)  # which may be what begins a cell
            if np.count_nonzero(text == text[-1]) >= HEADERS:
                at = max(at, int(batch.ends[text[-1]]))
    return np.unique(np.concatenate(found))


def any_label(labels: Collection[str]) -> str:
    """A pattern of any of `labels`: those in Latin letters stand apart from what precedes them."""
    latin = "|".join(re.escape(label) for label in labels if label.isascii())
    other = "|".join(re.escape(label) for label in labels if not label.isascii())
    return f"(?:{'|'.join(filter(None, (latin and f'[^0-9A-Za-z](?:{latin})', other)))})"


def header_pattern(labels: Iterable[str]) -> str:
    """A pattern of any of `labels` as a cell of its own; it takes in one character behind the cell, which may end its line."""
    return f"{BEGINS}(?:{'|'.join(map(re.escape, labels))}){ENDS}"


@cache
def headers_of(kind: Kind) -> tuple[str, ...]:
    """The words that name a column of `kind`, in simplified and in traditional characters."""
    return tuple(sorted({form for word in kind.headers for form in written(word)}))


@cache
def _kind_of_label() -> dict[str, str]:
    """Each label that a header may have, in lower case, to the name of its kind."""
    return {label.lower(): kind.name for kind in labelled_kinds() for label in (*kind.labels, *headers_of(kind))}


def _unglued(data: Bytes, start: Places) -> Places:
    """Those places whose letter does not go on a Latin label: `qq12345` is a value, `qqgroup` is a word."""
    return start[is_digit(data[start]) | ~is_word(data[start - 1])]


def _words(batch: Batch, start: Places, kind: Kind) -> tuple[Places, Places]:
    """Those of `start` from which a word of at most WIDTH - 1 characters goes, and where it ends."""
    text = batch.windows(start, WIDTH)
    outside = ~is_word(text)
    for sign in OF_VALUES.get(kind.name, b""):
        outside &= text != sign
    outside[:, :-1] |= (text[:, :-1] == HYPHEN) & (text[:, 1:] == HYPHEN)  # two hyphens end a field
    length = outside.argmax(1)
    whole = outside.any(1)
    return start[whole], (start + length)[whole]


def _segment(
    batch: Batch, kind: Kind, start: Places, end: Places, below: Sequence[Column] = (), *, weak: bool = False
) -> Segment:
    """The values [start, end) and those of the columns `below` that have a normal form, by place and each once."""
    start = np.concatenate([start, *(column.start for column in below)])
    end = np.concatenate([end, *(column.end for column in below)])
    start, first = np.unique(start, return_index=True)
    length = end[first] - start
    fits = (length >= SHORTEST) & (length < WIDTH)
    start, length = start[fits], length[fits]
    text = batch.windows(start, WIDTH)
    text[np.arange(WIDTH) >= length[:, None]] = 0
    normal = normals(kind, text, length)
    good = normal.good
    valid = np.ones(np.count_nonzero(good), bool)
    return Segment(kind.name, "plain", start[good], (start + length)[good], normal.text[good], normal.length[good], valid, weak)
