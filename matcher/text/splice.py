"""Undo the lines of folded texts in which there may be something to undo, and put them back in their places.

A line is undone as it was before it was folded, then folded, and takes the room that it had: as many decoded characters, so
that the way back from the folded text (`FoldedText`) is the same as if the whole text had been undone. Lines that stay as they
were cost nothing more. Text of which a quarter has something to undo is undone as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from matcher.columns.batch import Batch
from matcher.columns.bitset import LINE_END, Bytes, Flags, Places, places, where
from matcher.text.events import UndoEvents
from matcher.text.fold import FoldedText, fold_all
from matcher.text.unescape import unescape_all

DENSE = 4
"""Of so many lines one that has something to undo makes it cheaper to undo all."""
RETURN = 13


class _Stretch(NamedTuple):
    """Lines that are undone together: bytes [start, end) of the folded text and [first, last) of its decoded one."""

    document: int
    start: int
    end: int
    first: int
    last: int


def undo_lines(texts: Sequence[FoldedText], batch: Batch, events: UndoEvents) -> dict[int, FoldedText]:
    """Return the texts of a batch in which something was undone, by their numbers."""
    if not (len(events.lines) or events.whole.any()):
        return {}
    stretches = _find_stretches(texts, batch, events)
    decoded = [texts[each.document].body[each.first : each.last].decode() for each in stretches]
    plain = unescape_all(decoded, markup=False)
    changed = [number for number, text in enumerate(plain) if text != decoded[number]]
    patches = dict[int, list[tuple[_Stretch, FoldedText]]]()
    for number, text in zip(changed, fold_all([plain[number].encode() for number in changed]), strict=True):
        patches.setdefault(stretches[number].document, []).append((stretches[number], text))
    return {document: _splice(texts[document], own) for document, own in patches.items()}


def _splice(text: FoldedText, patches: Sequence[tuple[_Stretch, FoldedText]]) -> FoldedText:
    """Return a text with its patches, which ascend, in their places."""
    utf8, body, done, copied = list[bytes](), list[bytes](), 0, 0
    for stretch, plain in patches:
        utf8 += (text.utf8[done : stretch.start], plain.utf8)
        body += (text.body[copied : stretch.first], plain.body)
        done, copied = stretch.end, stretch.last
    return FoldedText(b"".join((*utf8, text.utf8[done:])), b"".join((*body, text.body[copied:])))


def _find_stretches(texts: Sequence[FoldedText], batch: Batch, events: UndoEvents) -> list[_Stretch]:
    """Return neighbouring lines as one stretch each, and dense texts as a whole."""
    start = batch.line_starts.take(events.lines)
    end = batch.line_starts.take(events.lines + 1) - 1
    document = batch.documents(start)
    held = np.bincount(document, minlength=len(texts))
    lines = batch.lines(batch.ends) - batch.lines(batch.starts) + 1
    whole = events.whole | (DENSE * held > lines) & (held > DENSE)
    found = [_Stretch(each, 0, len(texts[each].utf8), 0, len(texts[each].body)) for each in np.flatnonzero(whole).tolist()]
    own = np.flatnonzero(~whole.take(document))
    if len(own):
        line, document = events.lines[own], document[own]
        begins = np.ones(len(own), bool)
        begins[1:] = (line[1:] != line[:-1] + 1) | (document[1:] != document[:-1])
        first = np.flatnonzero(begins)
        last = np.append(first[1:], len(own)) - 1
        columns = document[first], line[first], line[last], start[own[first]], end[own[last]]
        found += _place_stretches(texts, batch, *columns)
    return sorted(found)


def _place_stretches(
    texts: Sequence[FoldedText], batch: Batch, document: Places, first: Places, last: Places, start: Places, end: Places
) -> list[_Stretch]:
    """Return stretches of the lines `first` to `last`, bytes [start, end) of the buffer, by their places in their texts."""
    found, bounds = list[_Stretch](), np.flatnonzero(np.diff(document, prepend=-1, append=-1))
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        number = int(document[low])
        text, begin = texts[number], int(batch.starts[number])
        own_start, own_end = start[low:high] - begin, end[low:high] - begin
        raw_start, raw_end = own_start, own_end
        if not text.is_unchanged:
            before = int(batch.lines(batch.starts[number : number + 1])[0])
            raw_start, raw_end = _find_lines(text.body, first[low:high] - before, last[low:high] - before)
        columns = (own_start.tolist(), own_end.tolist(), raw_start.tolist(), raw_end.tolist())
        found += [_Stretch(number, *places) for places in zip(*columns, strict=True)]
    return found


def _find_lines(body: bytes, first: Places, last: Places) -> tuple[Places, Places]:
    """Return where the lines `first` to `last` of a decoded text, counted from 0, begin and end, without their line ends."""
    data = np.frombuffer(body, np.uint8)
    ends = np.append(places(where(data, _ends_line, beyond=1)), len(data))
    if len(data) and data[-1] in (LINE_END, RETURN):  # which `where` cannot tell without a byte behind it
        ends = np.insert(ends, len(ends) - 1, len(data) - 1)
    starts = np.concatenate(([0], ends[:-1] + 1))
    end = ends.take(last)
    is_pair = (end > 0) & (end < len(data))
    is_pair[is_pair] = (data[end[is_pair]] == LINE_END) & (data[end[is_pair] - 1] == RETURN)
    return starts.take(first), end - is_pair


def _ends_line(data: Bytes) -> Flags:
    """Return which bytes but the last end a line: a newline, or a carriage return with no newline behind it."""
    return np.asarray((data[:-1] == LINE_END) | ((data[:-1] == RETURN) & (data[1:] != LINE_END)))
