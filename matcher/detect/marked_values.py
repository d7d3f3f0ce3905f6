"""Find values that count only beside a label or below a header, and masked values.

Examples are `护照: E12345678` and a column under the header `微信`. Hyperscan finds a label, a
gap, and the beginning of a value. The whole word there is then brought to its normal form by
its kind. Where a label is a header cell, `columns` returns the cells below. The gap is defined
in `ullage/identifiers`. As patterns include the beginning of the value, prose that only
mentions 护照 or QQ costs nothing.

Cards that fail Luhn exist, so they are looked up too beside or below a card label
(`find_labelled_cards`). Dumps are full of numbers that fail, so labels are looked for only around
these. They do not prove that a file is genuine: invented columns have labels as well.

`ullage.identifiers.masked_value` describes masked values: `138****8000`, `440301********1234`.
A mask beside one of the other kind is a candidate, as phone and resident ID of one row may
identify a customer. Any other mask is weak.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import hyperscan
import numpy as np

from matcher.columns.batch import Batch, Bytes, Flags, Places, index_in_groups
from matcher.columns.bitset import is_digit, is_one_of, is_word
from matcher.columns.literals import BYTES, ONCE, TEXT, Literals, SearchPatterns, stretches
from matcher.detect.candidates import Segment, join_segments
from matcher.detect.labels import labels_of
from matcher.text.fold import list_scripts
from ullage.identifiers import Kind, kinds
from ullage.identifiers.base import GAP, no_check
from ullage.identifiers.masked_value import FORM, HIDDEN, KEPT, SHOWN
from ullage.lookup.values import DOMESTIC

SHORTEST = 5
WIDTH = 24
"""Characters of the shortest value; bytes of a row, more than the longest value has."""
PART, LONGEST_CELL = 1 << 14, 64
"""Bytes that are searched for headers at a time; longest header cell in bytes."""
HYPHEN = ord("-")
EDGES, INNER = "\n,;|\t-", "\"'` "
BEGINS, ENDS = f"[{EDGES}][{INNER}]{{0,2}}", f"[{INNER}]{{0,2}}[{EDGES}]"
"""Either side of a header cell: its edge, and signs that are not part of the label."""
SEPARATORS = (b"----", b"--", b"\t", b"|", b",", b";")
LONGEST_HEADER = 4096
"""Bytes of a line that are read as a header."""
HEADERS = 4
"""Headers that are followed in one text, so that a text of headers costs no more."""
QUOTES = b" \t\r\"'`="
STRIPPED = 3
"""Most quotes, spaces and Excel signs that are stripped on either side of a value."""
CARD = "card"
LONGEST_LABEL = 64
"""Bytes before a card that may hold its label and the gap."""
TOP = 2048
"""Bytes at the top of a text that may hold the header of a card column."""
TAIL, LONGEST_SIGN = 4, 3
"""Characters shown at the end of a mask; bytes of the longest hiding sign."""
STAR, X, SMALL_X = ord("*"), ord("X"), ord("x")


class LabelColumn(NamedTuple):
    """The cells below a header cell with one of the requested names.

    They are bytes [start, end) without quotes, i64[n].
    """

    name: str
    start: Places
    end: Places


class TableHeader(NamedTuple):
    """A header line.

    It has a separator, the number of separators in each row, and the name of each requested column
    by its index.
    """

    separator: bytes
    separators: int
    names: Mapping[int, str]


@cache
def list_labelled_kinds() -> tuple[Kind, ...]:
    """Return the kinds that need a label."""
    return tuple(kind for kind in kinds().values() if kind.labels)


@cache
def patterns() -> SearchPatterns:
    """Return the prescan patterns for labelled values.

    For each labelled kind there is a value behind its label, then for each kind a label as a header
    cell, then values that may stand alone. The patterns for headers only tell whether there may be
    any; `header_lines` finds them.
    """
    labelled = list_labelled_kinds()
    behind = [
        f"{any_label(kind.labels)}{GAP}[0-9A-Za-z][0-9A-Za-z_\\-]{{{SHORTEST - 1}}}".encode()
        for kind in labelled
    ]
    gates = [_header_gate(labels) for labels in _header_labels()]
    alone = [
        f"[^0-9A-Za-z](?:{kind.alone})[^0-9A-Za-z]".encode() for kind in labelled if kind.alone
    ]
    flags = (*(TEXT for _ in behind), *(BYTES | ONCE for _ in gates), *(BYTES for _ in alone))
    return SearchPatterns(
        (*behind, *gates, *alone), flags, (*(0 for _ in (*behind, *gates)), *(1 for _ in alone))
    )


@cache
def card_headers() -> SearchPatterns:
    """Return the search pattern of a header cell that names a column of card numbers."""
    return SearchPatterns((header_pattern(headers_of(kinds()[CARD])).encode(),), TEXT)


@cache
def headers_of(kind: Kind) -> tuple[str, ...]:
    """Return the words that name a column of `kind`, in both Chinese scripts, sorted."""
    return tuple(sorted({form for word in kind.headers for form in list_scripts(word)}))


@cache
def _kind_of_label() -> dict[str, str]:
    """Return the kind of each label that a header may have, in lower case."""
    return {
        label.lower(): kind.name
        for kind in list_labelled_kinds()
        for label in (*kind.labels, *headers_of(kind))
    }


@cache
def _list_plain_headers() -> frozenset[str]:
    """Return the labels that make a line a header whatever its other cells are.

    These are words for a QQ number, such as `QQ号`, which can be nothing else; `QQ` alone is also a
    word of prose.
    """
    return frozenset(
        label
        for label, kind in _kind_of_label().items()
        if kind == "qq" and label.endswith(("号", "號", "码", "碼"))
    )


def _header_labels() -> list[list[str]]:
    """Return for each labelled kind the labels that a header may have."""
    names = _kind_of_label().items()
    return [[label for label, name in names if name == kind.name] for kind in list_labelled_kinds()]


def _header_gate(labels: Iterable[str]) -> bytes:
    """Return a cheap pattern of any of `labels` between bytes of which one may end a cell.

    It also matches cells that are no header. Hyperscan is fast with patterns of one length: the
    exact patterns take five times as long in a flood of cells.
    """
    edge = b"[%s]" % re.escape((EDGES + INNER).encode())
    return edge + b"(?:%s)" % b"|".join(re.escape(label.encode()) for label in labels) + edge


def any_label(labels: Collection[str]) -> str:
    """Return a pattern of any of `labels`; no letter or digit may precede a Latin one."""
    latin = "|".join(re.escape(label) for label in labels if label.isascii())
    foreign = "|".join(re.escape(label) for label in labels if not label.isascii())
    return f"(?:{'|'.join(filter(None, (latin and f'[^0-9A-Za-z](?:{latin})', foreign)))})"


def header_pattern(labels: Iterable[str]) -> str:
    """Return a regular expression that matches any of `labels` as a whole cell.

    The match includes one character behind the cell, which may end the line.
    """
    return f"{BEGINS}(?:{'|'.join(map(re.escape, labels))}){ENDS}"


@cache
def _header_cells() -> Literals:
    """Return patterns that find labels as header cells."""
    return Literals([header_pattern(labels).encode() for labels in _header_labels()], TEXT)


@cache
def _card_label() -> Literals:
    """Return a pattern that finds a card label and the first digits behind it."""
    return Literals(
        [f"{any_label(headers_of(kinds()[CARD]))}{GAP}[0-9]{{{SHORTEST}}}".encode()], TEXT
    )


def find_labelled(batch: Batch, hits: tuple[Places, Places]) -> list[Segment]:
    """Find values beside their label or below a header with it, one segment per kind, [] for none.

    A value whose check fails is in it as invalid. Kinds that are also found without a label give a
    second, weak segment. `hits` are the prescan's hits of `patterns` in the batch: pattern number
    and end, each i64[n].
    """
    number, end = hits
    if not len(number):
        return []
    labelled = list_labelled_kinds()
    lines = header_lines(batch, number)
    names = _kind_of_label()
    cells = columns(batch, lines, names, _list_plain_headers()) if len(lines) else []
    alone = [kind for kind in labelled if kind.alone]
    segments = []
    for place, kind in enumerate(labelled):
        start = end[number == place] - SHORTEST
        # `qq12345` is a value, `qqgroup` a word
        start = start[is_digit(batch.data[start]) | ~is_word(batch.data[start - 1])]
        begun = _words(batch, start, kind)
        below = [column for column in cells if column.name == kind.name]
        start, stop = (
            np.concatenate([beside, *(column[at] for column in below)])
            for beside, at in zip(begun, (1, 2), strict=True)
        )
        segments.append(_segment(batch, kind, start, stop))
        if kind.alone:
            stop = end[number == 2 * len(labelled) + alone.index(kind)]
            start = stop - (~is_word(batch.windows(stop - WIDTH, WIDTH)))[:, ::-1].argmax(1)
            single = ~np.isin(start, segments[-1].start)
            segments.append(replace(_segment(batch, kind, start[single], stop[single]), weak=True))
    return [segment for segment in segments if len(segment)]


def _words(batch: Batch, start: Places, kind: Kind) -> tuple[Places, Places]:
    """Return the starts and ends of the words of at most WIDTH - 1 characters.

    Starts of longer words are left out.
    """
    text = batch.windows(start, WIDTH)
    outside = ~_are_allowed(text, kind)
    outside[:, :-1] |= (text[:, :-1] == HYPHEN) & (text[:, 1:] == HYPHEN)  # two hyphens end a field
    length = outside.argmax(1)
    whole = outside.any(1)
    return start[whole], (start + length)[whole]


def _are_allowed(text: Bytes, kind: Kind) -> Flags:
    """Return which characters may occur in values of `kind`."""
    return is_word(text) | is_one_of(text, kind.signs.encode())


def _segment(batch: Batch, kind: Kind, start: Places, end: Places) -> Segment:
    """Convert the values [start, end) that have a normal form to a segment, in order of place.

    Values of fewer than SHORTEST (5) or more than 23 bytes, or with a character that the kind does
    not allow, are left out. A value that occurs at one place several times is taken one time. Each
    spelling is normalised by the kind itself. That takes a microsecond and keeps the rule in one
    place.
    """
    start, first = np.unique(start, return_index=True)
    length = end[first] - start
    fits = (length >= SHORTEST) & (length < WIDTH)
    start, length = start[fits], length[fits]
    text = batch.windows(start, WIDTH)
    behind = np.arange(WIDTH) >= length[:, None]
    plain = (_are_allowed(text, kind) | behind).all(1)
    text[behind] = 0
    start, length, values = (
        start[plain],
        length[plain],
        text[plain].view(f"S{WIDTH}").ravel().astype(str),
    )
    written = values.tolist()
    normal_of_value = {value: kind.normalise(value) for value in set(written)}
    normalised = [normal_of_value[value] for value in written]
    width = max([WIDTH, *map(len, normalised)])
    normals = np.array(normalised, f"S{width}")
    sizes = np.strings.str_len(normals)
    valid = sizes > 0
    if kind.check is not no_check:
        valid[valid] = [kind.check(normal) for normal in normals[valid].astype(str).tolist()]
    table = normals.view(np.uint8).reshape(-1, width)
    return Segment(kind.name, "plain", start, start + length, table, sizes, valid).select(sizes > 0)


def header_lines(batch: Batch, pattern_numbers: Places) -> Places:
    """Return the numbers of the lines with a label as a cell: i64[n], ascending.

    At least the first `HEADERS` such lines of each text are included. `pattern_numbers` are those
    of the prescan's patterns that match in the batch; without a pattern of a header among them the
    result is empty. The cost is linear, however many labels there are.
    """
    lines_of_parts, at, size = [np.empty(0, np.int64)], 0, len(batch.data)
    if not np.isin(
        pattern_numbers - len(list_labelled_kinds()), np.arange(len(list_labelled_kinds()))
    ).any():
        return lines_of_parts[0]
    while at < size:
        part = (at, min(at + PART, size))
        at += PART - LONGEST_CELL
        _, end = _header_cells().find(batch.data, [part])
        if len(end):
            lines = np.unique(batch.lines(end - 2))
            text = batch.documents(batch.line_starts[lines])
            lines_of_parts.append(lines)
            # the line end may begin a cell
            at = max(at, int(batch.line_starts[lines[-1] + 1]) - 1)
            if np.count_nonzero(text == text[-1]) >= HEADERS:
                at = max(at, int(batch.ends[text[-1]]))
    return np.unique(np.concatenate(lines_of_parts))


def keep_first_lines(batch: Batch, lines: Places) -> Places:
    """Keep the first HEADERS lines of each text; the lines are ascending."""
    is_first = np.ones(len(lines), bool)
    documents = batch.documents(batch.line_starts[lines])
    is_first[HEADERS:] = documents[HEADERS:] != documents[:-HEADERS]
    return lines[is_first]


def columns(
    batch: Batch, lines: Places, names: Mapping[str, str], alone: Collection[str] = ()
) -> list[LabelColumn]:
    """Return the columns of cells below those `lines` (numbers, ascending) that are headers.

    `names` maps a header word, in lower case, to the name of its column. A line with one of the
    words `alone` is a header whatever its other cells are. Of each text only the first HEADERS (4)
    lines are tried. A table extends from its header to the next of these lines or to the end of the
    text. Rows with another number of separators are left out.
    """
    lines = keep_first_lines(batch, lines)
    documents = batch.documents(batch.line_starts[lines])
    ends = np.append(lines[1:], len(batch.line_starts))
    return [
        column
        for line, last, document in zip(
            lines.tolist(), ends.tolist(), documents.tolist(), strict=True
        )
        for column in _below(batch, line, last, int(batch.ends[document]), names, alone)
    ]


def _header(line: bytes, names: Mapping[str, str], alone: Collection[str]) -> TableHeader | None:
    """Parse a header line for the columns below it.

    Returns None where too few of its cells are header words.
    """
    text = line[:LONGEST_HEADER].decode(errors="replace")
    for separator in SEPARATORS:
        cells = [
            cell.strip().strip("\"'`").strip().lower() for cell in text.split(separator.decode())
        ]
        named = {number: names[cell] for number, cell in enumerate(cells) if cell in names}
        if len(cells) > 1 and (
            len(named) > 1 or labels_of(cells) or not {*cells}.isdisjoint(alone)
        ):
            return TableHeader(separator, len(cells) - 1, named) if named else None
    return None


def _below(
    batch: Batch,
    line: int,
    last: int,
    document_end: int,
    names: Mapping[str, str],
    alone: Collection[str],
) -> Iterator[LabelColumn]:
    """Yield the columns under one header, up to the line `last` or the end of the text."""
    first, below = batch.line_starts[line : line + 2].tolist()
    head = _header(batch.text(first, below - 1), names, alone)
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
        for _ in range(STRIPPED):
            start = start + ((start < end) & is_one_of(batch.data[start], QUOTES))
            end = end - ((start < end) & is_one_of(batch.data[end - 1], QUOTES))
        yield LabelColumn(name, start, end)


def _marks(data: Bytes, separator: bytes) -> Places:
    """Return where separators begin; a long run of hyphens holds several in a row."""
    inside = data == separator[0]
    if len(separator) == 1:
        return np.flatnonzero(inside)
    edges = np.flatnonzero(np.diff(inside, prepend=False, append=False))
    count = (edges[1::2] - edges[::2]) // len(separator)
    places: Places = np.repeat(edges[::2], count) + index_in_groups(count) * len(separator)
    return places


def find_labelled_cards(
    batch: Batch, segments: Sequence[Segment], hits: tuple[Places, Places]
) -> Segment:
    """Return, as valid, the card numbers with a wrong check digit but a label beside or above.

    `segments` must contain these cards as invalid. `hits` are the matches of `card_headers` in the
    batch: pattern number and end, each i64[n]. A header counts only in the first TOP (2,048) bytes
    of its text. The result is empty if there are no such cards.
    """
    failed = join_segments(
        [segment.select(~segment.valid) for segment in segments if segment.kind == CARD], CARD
    )
    if not len(failed):
        return failed
    _, end = hits
    document = batch.documents(end - 2)
    end = end[
        (end <= batch.starts[document] + TOP) & np.isin(document, batch.documents(failed.start))
    ]
    below = (
        columns(
            batch, np.unique(batch.lines(end - 2)), dict.fromkeys(headers_of(kinds()[CARD]), CARD)
        )
        if len(end)
        else []
    )
    cells = np.concatenate([np.empty(0, np.int64), *(column.start for column in below)])
    labelled = failed.select(np.isin(failed.start, cells) | _are_behind_label(batch, failed))
    return replace(labelled, valid=np.ones(len(labelled), bool))


def _are_behind_label(batch: Batch, cards: Segment) -> Flags:
    """Return which cards stand behind a card label on their line: bool[n]."""
    is_labelled = ~is_one_of(batch.data.take(cards.start - 1), EDGES.encode())
    if is_labelled.any():
        start = cards.start[is_labelled]
        near = stretches(start - LONGEST_LABEL, start + SHORTEST, len(batch.data))
        is_labelled &= np.isin(cards.start, _card_label().find(batch.data, near)[1] - SHORTEST)
    return is_labelled


class _Shape(NamedTuple):
    """One way to write a mask.

    It takes `size` bytes, begins with `head` characters and hides the rest by one sign.
    """

    kind: str
    head: int
    size: int
    pattern: bytes


@cache
def _shapes() -> tuple[_Shape, ...]:
    return tuple(
        _Shape(
            kind,
            head,
            head + hidden * len(sign) + TAIL,
            b"%s(?:%s){%d}%s" % (begin.encode(), re.escape(sign), hidden, end.encode()),
        )
        for (kind, head), (begin, hidden, end) in SHOWN.items()
        for sign in map(str.encode, HIDDEN)
    )


@cache
def mask_patterns() -> SearchPatterns:
    """Return the patterns of masks, which may continue on either side."""
    # the case of x counts
    return SearchPatterns(tuple(shape.pattern for shape in _shapes()), hyperscan.HS_FLAG_DOTALL)


def find_masked(batch: Batch, hits: tuple[Places, Places]) -> list[Segment]:
    """Find masked values: for each kind up to two segments, of weak and of the remaining values.

    A value is weak unless the mask next before or behind it in its text is of the other kind. Masks
    that a letter, a digit or a hiding sign continues are left out. `hits` are the prescan's hits of
    `mask_patterns` in the batch: pattern number and end, i64[n].
    """
    number, end = hits
    if not len(number):
        return []
    order = np.argsort(end, kind="stable")
    number, end = number[order], end[order]
    start = end - np.array([shape.size for shape in _shapes()])[number]
    chosen = np.flatnonzero(_stands_alone(batch, start, end))
    number, start, end = number[chosen], start[chosen], end[chosen]
    is_weak, kind = ~_are_beside_other_kind(batch, number, start), _mask_kinds()[number]
    return [
        _masks(batch, name, number[chosen], start[chosen], end[chosen], weak=weak)
        for place, name in enumerate(KEPT)
        for weak in (False, True)
        if len(chosen := np.flatnonzero((kind == place) & (is_weak == weak)))
    ]


def _mask_kinds() -> Places:
    """Return the index in KEPT of each shape's kind."""
    return np.array([list(KEPT).index(shape.kind) for shape in _shapes()], np.int64)


def _stands_alone(batch: Batch, start: Places, end: Places) -> Flags:
    """Return which stretches [start, end) stand alone: bool[n].

    No letter, digit or hiding sign continues them on either side.
    """
    before, behind = (
        batch.windows(start - LONGEST_SIGN, LONGEST_SIGN),
        batch.windows(end, LONGEST_SIGN),
    )
    goes_on = is_word(before[:, -1]) | is_word(behind[:, 0])
    for sign in (np.frombuffer(sign.encode(), np.uint8) for sign in HIDDEN if not sign.isalnum()):
        goes_on |= (before[:, -len(sign) :] == sign).all(1) | (behind[:, : len(sign)] == sign).all(
            1
        )
    return ~goes_on


def _are_beside_other_kind(batch: Batch, number: Places, start: Places) -> Flags:
    """Return which masks have one of the other kind next before or behind them: bool[n].

    Both are in the same text. The masks are in order of place.
    """
    kind, document = _mask_kinds()[number], batch.documents(start)
    differs = (kind[1:] != kind[:-1]) & (document[1:] == document[:-1])
    beside = np.zeros(len(number), bool)
    beside[1:] |= differs
    beside[:-1] |= differs
    return beside


def _masks(
    batch: Batch, kind: str, number: Places, start: Places, end: Places, *, weak: bool
) -> Segment:
    """Convert the masks [start, end) of one kind to a segment, with `*` for hidden characters.

    An X in the last place is a check character.
    """
    size = DOMESTIC[kind]
    head = np.array([shape.head for shape in _shapes()])[number]
    normal: Bytes = batch.windows(start, WIDTH)
    normal[np.arange(WIDTH) >= head[:, None]] = STAR
    normal[:, size - TAIL : size] = batch.windows(end - TAIL, TAIL)
    normal[:, size:] = 0
    last = normal[:, size - 1]
    last[last == SMALL_X] = X
    return Segment(
        kind,
        FORM,
        start,
        end,
        normal,
        np.full(len(start), size, np.int64),
        np.ones(len(start), bool),
        weak,
    )
