"""Find the places of folded texts where something may be undone.

This is an escape, a spelling, digits in pieces, or a base64 block:

    prescan hits ─┐
    columns      ─┼─> places ─> the lines that hold them are undone (`matcher.text.splice`)
    number chains ─┘
    base64 runs  ──> lines of blocks, found in the text before it was folded

Each gate matches more than is undone. Folding hides no gate, since it does not change ASCII. Where
little of a text needs undoing, only those lines change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from matcher.columns.batch import Batch, texts_holding
from matcher.columns.bitset import Bytes, Classes, Flags, Places
from matcher.columns.literals import BYTES, TEXT, Literals, SearchPatterns, stretches
from matcher.text.fold import FoldedText, with_plain_lines
from matcher.text.group_numbers import find_number_places
from matcher.text.spellings import list_spellings
from matcher.text.spellings.blocks import base64_starts, find_text_runs

LONG, HEAD, MANY = 1 << 16, 1 << 12, 32
"""Bytes of a text whose beginning is looked at first, of that beginning, and gates in it that
tell of more.
"""
SHORT = 1 << 14
BLOCK_LINE = re.compile(rb"[A-Za-z0-9+/_\-]+={0,2}")
"""A line that is nothing but a part of a base64 block."""
Hits = tuple[Places, Places]
"""Numbers of patterns, and where each ends in a buffer."""


class UndoEvents(NamedTuple):
    """What may be undone in a batch.

    `lines` are the numbers of its lines in the buffer, ascending. `whole` says which texts are
    undone as a whole.
    """

    lines: Places
    whole: Flags


@cache
def patterns() -> SearchPatterns:
    """Return the gates of all spellings, for the one prescan of a folded text."""
    gates = [gate for row in list_spellings() for gate in row.gate]
    return SearchPatterns(tuple(map(_to_bytes, gates)), tuple(map(_get_flags, gates)))


@cache
def _owners() -> Places:
    """Return the row of each of `patterns`, by its number in the table."""
    return np.repeat(np.arange(len(list_spellings())), [len(row.gate) for row in list_spellings()])


def _to_bytes(gate: str | bytes) -> bytes:
    return gate if isinstance(gate, bytes) else gate.encode()


def _get_flags(gate: str | bytes) -> int:
    return BYTES if isinstance(gate, bytes) else TEXT


def find_events(
    batch: Batch, texts: Sequence[FoldedText], hits: Hits, is_done: Flags, with_comma: Flags
) -> UndoEvents:
    """Return the lines and texts of a batch in which an encoding or disguise may be undone.

    `texts` are folded, `hits` are the prescan's matches. Texts marked in `is_done` (bool[texts])
    are left out; `with_comma` marks those that had a full-width comma.
    """
    row, place = _owners().take(hits[0]), hits[1] - 1
    needs_text, has_finder = (np.array(column).take(row) for column in _list_kinds())
    whole = texts_holding(place[needs_text], batch.starts)
    groups = find_number_places(batch.classes, place[has_finder] + 1, batch.starts, with_comma)
    place_parts = [
        place[~(needs_text | has_finder)],
        groups,
        *(near for _, near in find_in_columns(batch.classes)),
    ]
    places, blocks = np.concatenate(place_parts), _find_block_lines(batch, texts)
    if not (len(places) or len(blocks)):
        return UndoEvents(places, whole & ~is_done)
    lines = np.concatenate((batch.lines(places), batch.lines(places - 1), blocks))
    lines = np.unique(lines)
    document = batch.documents(batch.line_starts.take(lines))
    is_inside = (document >= 0) & (batch.line_starts.take(lines) <= batch.ends.take(document))
    lines, document = lines[is_inside], document[is_inside]
    return UndoEvents(lines[~(is_done | whole).take(document)], whole & ~is_done)


@cache
def _list_kinds() -> tuple[list[bool], list[bool]]:
    """Return which rows undo a whole text, and which find what they undo in columns."""
    rows = list_spellings()
    return [row.scope == "text" for row in rows], [row.find is not None for row in rows]


def find_gates(data: Bytes) -> Hits:
    """Find the gates of the rows that are read in a folded text.

    Returns the row number of each hit, and where it ends.
    """
    owner, search = _search_gates()
    gate, end = search.find(data)
    return owner.take(gate), end


@cache
def _search_gates() -> tuple[Places, Literals]:
    gates = [
        (number, gate)
        for number, row in enumerate(list_spellings())
        if row.rewrite is None
        for gate in row.gate
    ]
    expressions = [_to_bytes(gate) for _, gate in gates]
    return np.array([number for number, _ in gates], np.int64), Literals(
        expressions, [_get_flags(gate) for _, gate in gates]
    )


def find_in_columns(classes: Classes, short: int = SHORT) -> Iterator[Hits]:
    """Yield where rows may apply that `patterns` do not find: row numbers, and places near each.

    A buffer of at most `short` bytes is searched as a whole, which is faster than tests of its
    columns.
    """
    for number, row in enumerate(list_spellings()):
        if row.starts is not None:
            start = row.starts(classes)
            yield np.full(len(start), number), start
    if len(classes.data) <= short:
        owner, search = _search_near(None)
        gate, end = search.find(classes.data)
        yield owner.take(gate), end - 1
        return
    for near in dict.fromkeys(row.near for row in list_spellings() if row.near is not None):
        first, last = near(classes)
        if len(first):
            owner, search = _search_near(near)
            gate, end = search.find(classes.data, stretches(first, last, len(classes.data)))
            yield owner.take(gate), end - 1


@cache
def _search_near(
    near: Callable[[Classes], tuple[Places, Places]] | None,
) -> tuple[Places, Literals]:
    """Return the rows of the gates that belong to `near`, and the search for these gates.

    With None, all gates that belong to any such function are taken. The patterns are of bytes,
    because a stretch may begin within a character.
    """
    gates = [
        (number, gate)
        for number, row in enumerate(list_spellings())
        if near in (None, row.near)
        for gate in row.near_gate
    ]
    return np.array([number for number, _ in gates], np.int64), Literals(
        [gate for _, gate in gates], BYTES
    )


def find_dense(texts: Sequence[FoldedText], find: Callable[[Bytes], Hits]) -> Flags:
    """Return which long texts are full of escapes, so that they are undone before the prescan.

    Their first bytes decide, in which `find` looks for patterns. The result is bool[texts].
    """
    heads = [text.utf8[:HEAD] if len(text.utf8) >= LONG else b"" for text in texts]
    return np.array(
        [head != b"" and len(find(np.frombuffer(head, np.uint8))[0]) >= MANY for head in heads],
        bool,
    )


def _find_block_lines(batch: Batch, texts: Sequence[FoldedText]) -> Places:
    """Return the lines of base64 blocks.

    These are the lines where text in base64 begins, and the lines beside them that only
    continue it.
    """
    folded = [number for number, text in enumerate(texts) if not text.is_unchanged]
    begin = _find_text_lines(batch) if len(folded) < len(texts) else np.empty(0, np.int64)
    if len(begin) and folded:
        begin = begin[~np.isin(batch.documents(batch.line_starts.take(begin)), folded)]
    if folded:
        raw = Batch.join([with_plain_lines(texts[number].body) for number in folded])
        if len(text_lines := _find_text_lines(raw)):
            document = raw.documents(raw.line_starts.take(text_lines))
            first = batch.lines(batch.starts[folded]) - raw.lines(raw.starts)
            begin = np.unique(np.concatenate((begin, text_lines + first.take(document))))
    return _add_neighbours(batch, begin) if len(begin) else begin


def _find_text_lines(batch: Batch) -> Places:
    """Return the lines where a run of the alphabet begins whose first bytes are text."""
    start, end = base64_starts(batch.classes)
    if not len(start):
        return start
    return np.unique(batch.lines(start[find_text_runs(batch.data, start, end)]))


def _add_neighbours(batch: Batch, begin: Places) -> Places:
    """Return the lines `begin`, and the lines next to them that hold only letters of the alphabet.

    The alphabet is that of base64.
    """
    starts, blocks = batch.line_starts, list[Places]()
    behind = 0

    def goes_on(line: int) -> bool:
        first, last = int(starts[line]), int(starts[line + 1]) - 1
        return BLOCK_LINE.fullmatch(batch.data[first:last].tobytes()) is not None

    for line in begin.tolist():
        if line < behind:
            continue
        first, last = line, line + 1
        while first > behind and goes_on(first - 1):
            first -= 1
        while last + 1 < len(starts) and goes_on(last):
            last += 1
        behind = min(last + 1, len(starts) - 1)  # the last line of a block may have more behind it
        blocks.append(np.arange(first, behind))
    return np.concatenate(blocks)
