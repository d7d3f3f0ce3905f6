"""Find the places of folded texts where something may be undone: an escape, a spelling, digits in pieces, a base64 block.

    prescan hits ─┐
    columns      ─┼─> places ─> the lines that hold them are undone (`matcher.text.splice`)
    number chains ─┘
    base64 runs  ──> lines of blocks, told in the text before it was folded

Each gate asks for more than is undone, and folding hides none, since ASCII stays. Text of which little needs undoing stays as it
is but for those lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from html.entities import html5
from typing import NamedTuple

import numpy as np

from matcher.columns.batch import Batch, texts_holding
from matcher.columns.bitset import Bytes, Flags, Places
from matcher.columns.literals import TEXT, SearchPatterns, spell_out
from matcher.text import deobfuscate
from matcher.text.cells import GATES
from matcher.text.chain_numbers import find_number_places
from matcher.text.deobfuscate import CLOSING
from matcher.text.fold import FoldedText, with_plain_lines
from matcher.text.unescape import base64_starts, find_text_runs

LONG, HEAD, MANY = 1 << 16, 1 << 12, 32
"""Bytes of a text whose beginning is looked at first, of that beginning, and gates in it that tell of more."""
HEX = "0123456789abcdef"
ESCAPES = (
    *spell_out(("&#",), "0123456789x"),
    *sorted({f"&{name.lower()}" if name.endswith(";") else f"&{name.lower()}[a-z0-9]{{1,24}};" for name in html5}),
    *spell_out("%", HEX, HEX),
    *spell_out((r"\\u",), HEX, ("[0-9a-f]{3}",)),
    *spell_out((r"\\x",), HEX, ("[0-9a-f]",)),
    r"\\u\{",
    *spell_out(("\\\\",), "01", "01234567", ("[0-7]",)),
    *spell_out(("\\\\",), "nrt", (*"0123456789", r"\+[0-9]")),
)
AT = (
    r"[0-9._+\-][a-z0-9._%+\-]{0,63} at [a-z0-9\-]+[.][a-z0-9\-]",
    r"[a-z0-9._%+\-] at (?:[a-z0-9\-]+[.]){0,4}[a-z0-9\-]+ dot [a-z0-9\-]",
)
"""The word before a domain, where it is told from one of a sentence: by what stands before it, or by a dot that is a word too."""
FOLDED_OPENING = "[({【"
"""Opening brackets around a sign of an address, as they are once folded."""
BLOCK_LINE = re.compile(rb"[A-Za-z0-9+/_\-]+={0,2}")
"""A line that is nothing but a part of a base64 block."""
Hits = tuple[Places, Places]
"""Numbers of patterns, and where each ends in a buffer."""


class UndoEvents(NamedTuple):
    """What may be undone in a batch: the numbers of its lines in the buffer, ascending, and the texts that are undone whole."""

    lines: Places
    whole: Flags


@cache
def patterns() -> SearchPatterns:
    """Return what a folded text has in which something but a base64 block may be undone, for the one prescan.

    An opening bracket and the word behind it are one pattern each: what begins with plain characters is found at twice the speed.
    """
    words = [re.escape(f"{opening}{space}{word}") for opening in FOLDED_OPENING for space in ("", " ") for word in ("at", "dot")]
    bracketed = [f"{word} ?[{re.escape(CLOSING)}]" for word in words]
    own = tuple(pattern.encode() for pattern in (*GATES, *bracketed, *AT, *ESCAPES))
    gates, flags = deobfuscate.gates()
    return SearchPatterns((*gates[:1], *own, *gates[1:]), (flags[0], *[TEXT] * len(own), *flags[1:]))


def find_events(batch: Batch, texts: Sequence[FoldedText], hits: Hits, is_done: Flags, with_comma: Flags) -> UndoEvents:
    """Return what may be undone in the folded `texts` of a batch, in which the prescan saw `hits`.

    Nothing is told of texts that `is_done` names, bool[texts]; `with_comma` names those that had a full-width comma.
    """
    number, place = hits[0], hits[1] - 1
    is_folded_line = (number >= 1) & (number <= len(GATES))
    whole = texts_holding(place[is_folded_line], batch.starts)
    seen = [place[number > len(GATES)], *(near for _, near in deobfuscate.seen_in_columns(batch.classes))]
    seen.append(find_number_places(batch.classes, place[number == 0] + 1, batch.starts, with_comma))
    places, blocks = np.concatenate(seen), _find_block_lines(batch, texts)
    if not (len(places) or len(blocks)):
        return UndoEvents(places, whole & ~is_done)
    lines = np.concatenate((batch.lines(places), batch.lines(places - 1), blocks))
    lines = np.unique(lines)
    document = batch.documents(batch.line_starts.take(lines))
    is_inside = (document >= 0) & (batch.line_starts.take(lines) <= batch.ends.take(document))
    lines, document = lines[is_inside], document[is_inside]
    return UndoEvents(lines[~(is_done | whole).take(document)], whole & ~is_done)


def find_dense(texts: Sequence[FoldedText], find: Callable[[Bytes], Hits]) -> Flags:
    """Return which long texts are full of escapes and the like: they are undone before the prescan.

    Their first bytes tell, in which `find` looks for `patterns`.
    """
    heads = [text.utf8[:HEAD] if len(text.utf8) >= LONG else b"" for text in texts]
    return np.array([head != b"" and len(find(np.frombuffer(head, np.uint8))[0]) >= MANY for head in heads], bool)


def _find_block_lines(batch: Batch, texts: Sequence[FoldedText]) -> Places:
    """Return the lines of base64 blocks: those where text in base64 begins, and those beside them that only go on."""
    folded = [number for number, text in enumerate(texts) if not text.is_unchanged]
    begin = _find_text_lines(batch) if len(folded) < len(texts) else np.empty(0, np.int64)
    if len(begin) and folded:
        begin = begin[~np.isin(batch.documents(batch.line_starts.take(begin)), folded)]
    if folded:
        raw = Batch.of([with_plain_lines(texts[number].body) for number in folded])
        if len(own := _find_text_lines(raw)):
            document = raw.documents(raw.line_starts.take(own))
            first = batch.lines(batch.starts[folded]) - raw.lines(raw.starts)
            begin = np.unique(np.concatenate((begin, own + first.take(document))))
    return _add_neighbours(batch, begin) if len(begin) else begin


def _find_text_lines(batch: Batch) -> Places:
    """Return the lines where a run of the alphabet begins whose first bytes are text."""
    start, end = base64_starts(batch.classes)
    if not len(start):
        return start
    return np.unique(batch.lines(start[find_text_runs(batch.data, start, end)]))


def _add_neighbours(batch: Batch, begin: Places) -> Places:
    """Return lines and those before and behind them that are nothing but letters of the alphabet."""
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
