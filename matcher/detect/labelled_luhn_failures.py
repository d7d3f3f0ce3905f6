"""Card numbers that fail Luhn but have a card label beside or above them: such cards exist, so they are worth a look-up.

They prove nothing of a file, since a column of invented numbers has a label too. Dumps are full of numbers that fail, so labels
are looked for around these alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from matcher.columns.batch import Batch, Flags, Places
from matcher.columns.classes import is_one_of
from matcher.columns.literals import TEXT, Literals, Patterns, stretches
from matcher.detect.candidates import Segment, joined
from matcher.detect.header_columns import Header, header
from matcher.detect.labelled import any_label, header_pattern, headers_of
from ullage.identifiers import kinds
from ullage.identifiers.base import GAP

LEADING = 5
"""Digits of a number that are read with its label."""
LONGEST_LABEL = 64
"""Bytes before a value in which its label and the gap stand."""
TOP = 2048
"""Bytes of a text in which its header stands."""
LONGEST_LINE = 4096
"""Bytes of a row before its card."""
ENDS_CELL = b",;|-\n"
"""What ends a cell or line, and no gap behind a label."""


@cache
def _label() -> Literals:
    """A card label, and the first digits behind it."""
    return Literals([f"{any_label(headers_of(kinds()['card']))}{GAP}[0-9]{{{LEADING}}}".encode()], TEXT)


@cache
def patterns() -> Patterns:
    """A card label as a header's cell."""
    return Patterns((header_pattern(headers_of(kinds()["card"])).encode(),), TEXT)


@cache
def _alone() -> Literals:
    return Literals.of(patterns())


def labelled_cards(batch: Batch, segments: Sequence[Segment], hits: tuple[Places, Places] | None = None) -> Segment:
    """The cards among `segments` that fail Luhn and have a label, as valid; `segments` keep their failures.

    `hits` are what was found of `patterns` in the batch, number and end, each i64[n]; without them a pass of its own is made.
    """
    failed = joined([segment.where(~segment.valid) for segment in segments if segment.kind == "card"], "card")
    if not len(failed):
        return failed
    _, end = hits or _alone().find(batch.data)
    own = failed.where(_is_behind(batch, failed) | _is_below(batch, failed, end))
    return replace(own, valid=np.ones(len(own), bool))


def _is_behind(batch: Batch, cards: Segment) -> Flags:
    """Which stand behind a label on their line: bool[n]."""
    found = ~is_one_of(batch.data.take(cards.start - 1), ENDS_CELL)
    if found.any():
        start = cards.start[found]
        _, end = _label().find(batch.data, stretches(start - LONGEST_LABEL, start + LEADING, len(batch.data)))
        found &= np.isin(cards.start, end - LEADING)
    return found


def _is_below(batch: Batch, cards: Segment, labels: Places) -> Flags:
    """Which stand in a column whose header, at its text's top, is a card label: bool[n]; `labels` are where such cells end."""
    found = np.zeros(len(cards), bool)
    documents, holding = batch.documents(cards.start), batch.documents(labels - 2)
    labels = labels[(labels <= batch.starts[holding] + TOP) & np.isin(holding, documents)]
    if not len(labels):
        return found
    heads = _headers(batch, np.unique(batch.lines(labels - 2)).tolist())
    rows = batch.line_starts[batch.lines(cards.start)]
    below = np.flatnonzero(np.isin(documents, list(heads)) & (cards.start - rows <= LONGEST_LINE))
    for number, document, row, start in zip(
        *(c[below].tolist() for c in (np.arange(len(rows)), documents, rows, cards.start)), strict=True
    ):
        head = heads[document]
        found[number] = batch.text(row, start).count(head.separator) in head.names
    return found


def _headers(batch: Batch, lines: list[int]) -> dict[int, Header]:
    """The first header of each text among `lines`, by the text's number."""
    names = dict.fromkeys(headers_of(kinds()["card"]), "card")
    known: dict[bytes, Header | None] = {}
    heads: dict[int, Header] = {}
    for line in lines:
        first, below = batch.line_starts[line : line + 2].tolist()
        text = batch.text(first, min(below - 1, first + LONGEST_LINE))
        if text not in known:
            known[text] = header(text, names)
        head = known[text]
        if head:
            heads.setdefault(int(batch.documents(np.array([first]))[0]), head)
    return heads
