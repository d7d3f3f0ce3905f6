"""Undo the lines of folded texts that may need it, and put them back in their places.

A line is undone as it was before it was folded, then folded, and takes the room that it had. It
has as many decoded characters as before, so the way back from the folded text (`FoldedText`) is the
same as if the whole text had been undone. Lines that do not change cost nothing more. A text of
which a quarter has something to undo is undone as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from matcher.columns.batch import Batch, ranges
from matcher.columns.bitset import LINE_END, Bytes, Classes, Flags, Places, find_places, places
from matcher.columns.literals import stretches
from matcher.text.digit_groups import ROOM
from matcher.text.events import UndoEvents, find_gates, find_in_columns
from matcher.text.fold import FILL, FoldedText, fold_all
from matcher.text.spellings import Replacement, Spelling, list_spellings
from matcher.text.spellings.escapes import untag
from ullage.guard import STRICT, FaultGuard

DENSE = 4
"""Of so many lines one that has something to undo makes it cheaper to undo all."""
RETURN = 13


ROUNDS, ESCAPES = 3, 2
"""How often blocks are read within what was read, and escapes within each of these: pages escape
what was escaped before.
"""
BEFORE_HIT, BEHIND_HIT, LONGEST_BETWEEN = 192, 160, 8
"""Characters around a hit in which a value stands whole, but for a long text in hexadecimal, and
between two of its parts.
"""
WIDE_COMMA, LIST_COMMA = "，、"
"""A comma that parts no cells, unlike the plain one that it is folded to; and what is read in
its stead.
"""
BETWEEN = "\x1c"
"""FILE SEPARATOR, between texts that are undone in one go: no escape, block, number or address
goes across it.
"""
PART = "spellings"
"""The name of this part of matching where it fails: see `ullage.guard`."""


def unescape(text: str, *, markup: bool) -> str:
    """Return `text` with escapes, encodings and spelt-out numbers undone.

    Its length stays the same: what an escape stood for takes its place, and the rest is filled with
    a character that folding drops. With `markup`, tags are taken out as well.
    """
    return unescape_all([text], markup=markup)[0]


def unescape_all(texts: Sequence[str], *, markup: bool, guard: FaultGuard = STRICT) -> list[str]:
    """Return each of `texts` with its escapes and disguised values undone, in one pass.

    Each result is as long as its text; gaps are filled up. `markup` says that the texts have tags,
    which are removed. A row that fails raises its error, unless `guard` is lenient: then it is
    reported to `guard`, and what failed stays as it was.
    """
    rows = list_spellings()
    parts = [untag(text) for text in texts] if markup else list(texts)
    for row in rows:
        if row.scope == "text":
            parts = [_rewrite(row, part, guard) for part in parts]
    text = BETWEEN.join(parts)
    for _ in range(ROUNDS):
        for row in [row for row in rows if row.nests and row.scope == "stretch"] * ESCAPES:
            text = _rewrite(row, text, guard)
        before = text
        for row in rows:
            if row.nests and row.scope == "block":
                text = _rewrite(row, text, guard)
        if text == before:
            break
    for row in rows:
        if row.rewrite and not row.nests and row.scope == "stretch":
            text = _rewrite(row, text, guard)
    text = reveal_numbers(text, guard)
    ends = accumulate(len(part) + len(BETWEEN) for part in texts)
    return [
        text[end - len(part) - len(BETWEEN) : end - len(BETWEEN)]
        for part, end in zip(texts, ends, strict=True)
    ]


def _rewrite(row: Spelling, text: str, guard: FaultGuard) -> str:
    """Return `text` as `row` rewrites it.

    Under a lenient `guard` that fails, each line or text is rewritten alone, and only those with a
    fault are reported and left as they were. Otherwise the error is raised.
    """
    assert row.rewrite is not None
    if guard.on_fault is None:
        return row.rewrite(text)
    with FaultGuard(lambda _fault: None).step(PART):
        return row.rewrite(text)
    parts = re.split(f"({BETWEEN}|\n)" if row.scope == "stretch" else f"({BETWEEN})", text)
    for number in range(0, len(parts), 2):
        with guard.step(PART):
            parts[number] = row.rewrite(parts[number])
    return "".join(parts)


def reveal_numbers(text: str, guard: FaultGuard = STRICT) -> str:
    """Return `text` with plain digits for numbers that are written otherwise.

    Its length stays the same. They are found in the folded text, where every digit is a plain one,
    and replaced where they stand in this one.
    """
    folded = fold_all([text.replace(WIDE_COMMA, LIST_COMMA).encode("utf-8", "surrogatepass")])[0]
    classes = Classes(np.frombuffer(b"".join((ROOM, folded.utf8, ROOM)), np.uint8))
    rows, replacements = list_spellings(), list[Replacement]()
    hits, ends = find_gates(classes.data)
    owner, place = (
        np.concatenate(column)
        for column in zip((hits, ends), *find_in_columns(classes), strict=True)
    )
    char = folded.to_characters(np.clip(place - len(ROOM), 0, len(folded.utf8)))
    for number, row in enumerate(rows):
        if row.find is not None:
            with guard.step(PART):
                replacements += row.find(folded, classes, ends[hits == number])
        elif row.pattern is not None and len(near := char[owner == number]):
            replacements += _read_matches(folded.text, row, near, guard)
    replacements = [each for each in replacements if each.plain]
    if not replacements:
        return text
    starts, ends = (
        np.array(column, np.int64) for column in list(zip(*replacements, strict=True))[:2]
    )
    return _replace_all(text, *folded.spans(starts, ends), [each.plain for each in replacements])


def _replace_all(text: str, first: Places, last: Places, plain: Sequence[str]) -> str:
    """Return `text` with `plain` in place of the stretches [first, last).

    Of two stretches that overlap, the one that begins first is replaced.
    """
    order = np.argsort(first, kind="stable")
    if (first[order[1:]] < last[order[:-1]]).any():
        order = np.array(
            list(_drop_overlaps(order.tolist(), first.tolist(), last.tolist())), np.int64
        )
    first, last, written = first[order], last[order], [plain[number] for number in order.tolist()]
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).copy()
    codes[ranges(first, last - first)] = ord(FILL)
    plain_codes = np.frombuffer("".join(written).encode("utf-32-le", "surrogatepass"), np.uint32)
    codes[ranges(first, np.fromiter(map(len, written), np.int64, len(written)))] = plain_codes
    return codes.tobytes().decode("utf-32-le", "surrogatepass")


def _drop_overlaps(
    order: Iterable[int], first: Sequence[int], last: Sequence[int]
) -> Iterator[int]:
    """Yield those numbers of `order` whose stretches do not overlap one before."""
    end = 0
    for number in order:
        if first[number] >= end:
            yield number
            end = last[number]


def _read_matches(
    text: str, row: Spelling, hits: Places, guard: FaultGuard
) -> Iterator[Replacement]:
    """Yield what `row` reads around the characters `hits`; all the rest is not looked at.

    Matches do not overlap; one that stays as it is written is left out. A reading that fails is
    reported to `guard` and left out.
    """
    pattern, plain_of = row.pattern, row.plain
    assert pattern is not None
    assert plain_of is not None
    group, read_end, plain_of_text = pattern.groupindex.get("value", 0), 0, dict[str, str]()
    for first, last in stretches(hits - BEFORE_HIT, hits + BEHIND_HIT, len(text), 0):
        if row.needs is not None and row.needs.search(text, first, last) is None:
            continue
        whole = last - LONGEST_BETWEEN * (last < len(text))  # what ends behind it may go on
        for near in pattern.finditer(text, max(first, read_end), last):
            match = near if near.end(group) <= whole else pattern.match(text, near.start()) or near
            start, end = match.span(group)
            if start < read_end:
                continue
            plain = plain_of_text.get(match[0])
            if plain is None:  # a flood repeats itself
                plain = ""
                with guard.step(PART):
                    plain = plain_of(match)
                if not row.looks_around:
                    plain_of_text[match[0]] = plain
            if plain and plain != match[group]:
                read_end = end
                yield Replacement(start, end, plain)


class _Stretch(NamedTuple):
    """Lines that are undone together.

    They are the bytes [start, end) of the folded text, and [first, last) of the decoded text.
    """

    document: int
    start: int
    end: int
    first: int
    last: int


def undo_lines(
    texts: Sequence[FoldedText], batch: Batch, events: UndoEvents, guard: FaultGuard = STRICT
) -> dict[int, FoldedText]:
    """Return the texts of a batch in which something was undone, by their index in `texts`.

    `events` says where to look; other texts are missing in the result.
    """
    if not (len(events.lines) or events.whole.any()):
        return {}
    stretches = _find_stretches(texts, batch, events)
    decoded = [texts[each.document].body[each.first : each.last].decode() for each in stretches]
    plain = unescape_all(decoded, markup=False, guard=guard)
    changed = [number for number, text in enumerate(plain) if text != decoded[number]]
    patches = dict[int, list[tuple[_Stretch, FoldedText]]]()
    for number, text in zip(
        changed, fold_all([plain[number].encode() for number in changed]), strict=True
    ):
        patches.setdefault(stretches[number].document, []).append((stretches[number], text))
    return {
        document: _splice(texts[document], text_patches)
        for document, text_patches in patches.items()
    }


def _splice(text: FoldedText, patches: Sequence[tuple[_Stretch, FoldedText]]) -> FoldedText:
    """Return a text with its patches, which ascend, in their places."""
    utf8, body, utf8_end, body_end = list[bytes](), list[bytes](), 0, 0
    for stretch, plain in patches:
        utf8 += (text.utf8[utf8_end : stretch.start], plain.utf8)
        body += (text.body[body_end : stretch.first], plain.body)
        utf8_end, body_end = stretch.end, stretch.last
    return FoldedText(
        b"".join((*utf8, text.utf8[utf8_end:])), b"".join((*body, text.body[body_end:]))
    )


def _find_stretches(
    texts: Sequence[FoldedText], batch: Batch, events: UndoEvents
) -> list[_Stretch]:
    """Return neighbouring lines as one stretch each, and dense texts as a whole.

    They are in order of text and place.
    """
    start = batch.line_starts.take(events.lines)
    end = batch.line_starts.take(events.lines + 1) - 1
    document = batch.documents(start)
    event_lines = np.bincount(document, minlength=len(texts))
    lines = batch.lines(batch.ends) - batch.lines(batch.starts) + 1
    whole = events.whole | (DENSE * event_lines > lines) & (event_lines > DENSE)
    stretches = [
        _Stretch(each, 0, len(texts[each].utf8), 0, len(texts[each].body))
        for each in np.flatnonzero(whole).tolist()
    ]
    chosen = np.flatnonzero(~whole.take(document))
    if len(chosen):
        line, document = events.lines[chosen], document[chosen]
        begins = np.ones(len(chosen), bool)
        begins[1:] = (line[1:] != line[:-1] + 1) | (document[1:] != document[:-1])
        first = np.flatnonzero(begins)
        last = np.append(first[1:], len(chosen)) - 1
        columns = document[first], line[first], line[last], start[chosen[first]], end[chosen[last]]
        stretches += _place_stretches(texts, batch, *columns)
    return sorted(stretches)


def _place_stretches(
    texts: Sequence[FoldedText],
    batch: Batch,
    document: Places,
    first: Places,
    last: Places,
    start: Places,
    end: Places,
) -> list[_Stretch]:
    """Return the stretches of the lines `first` to `last` by their places in their texts.

    The lines are the bytes [start, end) of the buffer.
    """
    stretches, bounds = list[_Stretch](), np.flatnonzero(np.diff(document, prepend=-1, append=-1))
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        number = int(document[low])
        text, begin = texts[number], int(batch.starts[number])
        own_start, own_end = start[low:high] - begin, end[low:high] - begin
        raw_start, raw_end = own_start, own_end
        if not text.is_unchanged:
            before = int(batch.lines(batch.starts[number : number + 1])[0])
            raw_start, raw_end = _find_lines(
                text.body, first[low:high] - before, last[low:high] - before
            )
        columns = (own_start.tolist(), own_end.tolist(), raw_start.tolist(), raw_end.tolist())
        stretches += [_Stretch(number, *places) for places in zip(*columns, strict=True)]
    return stretches


def _find_lines(body: bytes, first: Places, last: Places) -> tuple[Places, Places]:
    """Return where the lines `first` to `last` of a decoded text begin and end.

    Lines are counted from 0. The ends exclude the line ends.
    """
    data = np.frombuffer(body, np.uint8)
    ends = np.append(places(find_places(data, _ends_line, beyond=1)), len(data))
    # which `where` cannot tell without a byte behind it
    if len(data) and data[-1] in (LINE_END, RETURN):
        ends = np.insert(ends, len(ends) - 1, len(data) - 1)
    starts = np.concatenate(([0], ends[:-1] + 1))
    end = ends.take(last)
    is_pair = (end > 0) & (end < len(data))
    is_pair[is_pair] = (data[end[is_pair]] == LINE_END) & (data[end[is_pair] - 1] == RETURN)
    return starts.take(first), end - is_pair


def _ends_line(data: Bytes) -> Flags:
    """Return which bytes but the last end a line.

    These are newlines, and carriage returns without a newline behind them.
    """
    return np.asarray((data[:-1] == LINE_END) | ((data[:-1] == RETURN) & (data[1:] != LINE_END)))
