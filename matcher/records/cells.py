"""What cells say by themselves, whatever their column is.

Rows are cut into cells together, in columns, and each cell gets the number of its `Content`: everything that is known of a value
without its column. Most cells are known by their bytes alone (an identifier, nothing, digits, a name in Han characters); of the
others each different one is looked at once. Rows that are written alike and have equal contents are of one `RowShape`. What a
cell is in its column is asked once a shape: see `reader`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Bytes, Flags, Places, within
from matcher.detect.labels import label_before, label_of, words
from matcher.records.table import BLOCK, MARK, MARK_BYTES, NUMBER, OPEN, TUPLE, MarkedText, Numbers, Seen, mark, shown
from matcher.records.values import (
    AMOUNTS,
    HAN_BYTES,
    NOT_NAMES,
    SURNAMES,
    field_of,
    is_name,
    is_offer,
    is_possible,
    is_secret,
    is_terms,
    names_in,
    whole_values,
)
from ullage.vocabulary.fields import FieldLabel

MOST_CELLS = 256
"""Cells of a row that are told apart; what is behind them counts as one."""
HIDDEN = b"\x01"
"""Stands for a separator inside quotes."""
DOUBLE_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*+("?)', re.DOTALL)
SINGLE_QUOTED = re.compile(rb"'(?:[^'\\]|\\.|'')*+('?)", re.DOTALL)
"""An open quote is read to the end once, and not again from each quote within it."""
AROUND = " \t\n\"'`()[]{};"
"""What may surround a value in its cell."""
BETWEEN = AROUND + ",.:|-。、"
"""What may stand between a number and what else its cell says."""
EMPTY = frozenset(("", "null", "none", "nil", "\\n", "-"))
DIGIT, CODE = re.compile("[0-9]"), re.compile("[0-9]{3,4}")
SECRET = re.compile(r"(?=[!-~]*[0-9])[!-~]{4,32}")
"""What stands behind a word for a password: no word of prose."""
PASSWORD = re.compile(r"(?=.*[^\d])[\x21-\x7e]{4,64}")
BEHIND_LOGIN = re.compile(r"\s?(:|-{2,8}|\|)\s?(\S{4,64})")
PASSWORD_BEHIND = b":"
"""The sign behind an address that a password stands behind, and no label."""
LONGEST_TITLE = 48
"""Characters of a cell that may be a word for the value in the next one."""
NO_DIGIT, NO_NAME = 1, 2
"""What a byte means for the cell that holds it: more than digits, or no name in Han characters."""
HAN, LEADS = (0x4E00, 0xA000), (0xE4, 0xEA)
"""Codes of Han characters, and first bytes of them in UTF-8."""
SHORTEST_NAME, LONGEST_NAME = 2 * HAN_BYTES, 4 * HAN_BYTES
MOST_DIGITS = 33
"""Digits from which on more make no difference."""


class Content(NamedTuple):
    """What one cell says by itself.

    `seen` are its candidates. A `label` may stand before its value, as in `手机: …`; one that `is_labelled` without a label has
    terms of a product there, which are nobody's. `around` are labels of what else stands around its identifiers, and `sign` is
    what parts a login from a password behind it. `words` is the field that the value says it is of, and `title` the one that it
    announces for the next cell; `is_digits`, `is_code` and `is_secret` are what such a next cell may be.
    """

    seen: tuple[Seen, ...] = ()
    is_labelled: bool = False
    label: FieldLabel | None = None
    is_empty: bool = False
    is_name: bool = False
    around: frozenset[str] = frozenset()
    sign: str = ""
    words: FieldLabel | None = None
    title: FieldLabel | None = None
    is_digits: bool = False
    is_code: bool = False
    is_secret: bool = False
    is_password: bool = False
    """Whether it may be the password behind an address and a colon."""


@dataclass(frozen=True, eq=False)
class RowShape:
    """Rows that are written in one `style` and whose cells have these contents."""

    style: int
    contents: tuple[Content, ...]

    @cached_property
    def words(self) -> tuple[FieldLabel | None, ...]:
        """The field that each cell is of by its own words, or by the word in the cell before it: `借款金额 50000`."""
        titles = (None, *(content.title for content in self.contents[:-1]))
        return tuple([_words(content, title) for content, title in zip(self.contents, titles, strict=True)])

    @cached_property
    def has_words(self) -> bool:
        """Whether any cell says what it is."""
        return any(self.words)


def _words(content: Content, title: FieldLabel | None) -> FieldLabel | None:
    said = content.words
    if said is None and title is not None:
        is_titled = content.is_digits if title in AMOUNTS else content.is_code if title is FieldLabel.CVV else content.is_secret
        said = title if is_titled else None
    return None if said is FieldLabel.OTHER else said


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells of rows: bytes [start, end) of `data`, `content` i64[n] by number, and where each row's begin and the last's end.

    Of a name in Han characters, of which `is_han` bool[n] says so, the bytes are the name's own.
    """

    data: Bytes
    start: Places
    end: Places
    content: Numbers
    is_han: Flags
    borders: Numbers
    separator: bytes

    def value(self, cell: int) -> str:
        """A cell as characters without what surrounds a value: NUMBER for candidates, HIDDEN for separators inside quotes."""
        return self._text(int(self.start[cell]), int(self.end[cell])).strip(AROUND)

    def text(self, row: int) -> str:
        """A whole row as characters, with one NUMBER for each candidate."""
        first, last = self.borders[row], self.borders[row + 1] - 1
        return shown(self.data[self.start[first] : self.end[last]].tobytes())

    def _text(self, start: int, end: int) -> str:
        written = self.data[start:end].tobytes()
        return shown(written.replace(self.separator, HIDDEN) if self.separator else written)

    def names(self, cell: int, *, whole: bool) -> list[str]:
        """The names in a cell: what is the whole of its value, or what stands around its numbers."""
        text = self._text(int(self.start[cell]), int(self.end[cell]))
        if whole:
            named = label_before(text) if ":" in text or "=" in text else None
            found = [(named[1] if named else text).strip(AROUND)]
        else:
            found = names_in(text.replace(NUMBER, " "))
        return [name.replace(HIDDEN.decode(), self.separator.decode()) for name in found]


class Contents:
    """The contents and shapes that were met; `names` are the kinds of candidates, as rows are marked with them."""

    def __init__(self, names: Sequence[str]) -> None:
        self._seen = {mark(number, valid=valid)[1]: (kind, valid) for number, kind in enumerate(names) for valid in (True, False)}
        self._known: list[Content] = []
        self._numbers: dict[Content, int] = {}
        self._cells: dict[bytes, dict[bytes, int]] = {}
        """By separator, the number of what is written so: inside quotes a separator is none."""
        self._shapes: dict[tuple[int, bytes], int] = {}
        self.shapes: list[RowShape] = []

    def cut(self, rows: MarkedText, separator: bytes, style: int) -> Cells:
        """The cells of `rows`, which are one or more and all written so."""
        parted = _parted(rows, separator, style)
        start = np.sort(np.concatenate((rows.start, parted + len(separator))))
        borders = np.append(np.searchsorted(start, rows.start), len(start))
        end = np.append(start[1:], 0) - len(separator)
        end[borders[1:] - 1] = rows.end
        content = np.full(len(start), -1)
        is_han = self._by_bytes(rows.data, start, end, content, separator)
        left = np.flatnonzero(content < 0)
        whole, known = rows.data.tobytes(), self._cells.setdefault(separator, {})
        parts = [whole[low:high] for low, high in zip(start[left].tolist(), end[left].tolist(), strict=True)]
        content[left] = [number if (number := known.get(part)) is not None else self._number(part, separator) for part in parts]
        return Cells(rows.data, start, end, content, is_han, borders, separator)

    def shapes_of(self, cells: Cells, style: int) -> Numbers:
        """The number of each row's shape among `shapes`: i64[rows]. One that is as the row before is not asked for again."""
        count = np.diff(cells.borders)
        is_same = cells.content == cells.content[np.arange(len(cells.content)) - np.repeat(count, count)]
        is_new = ~np.logical_and.reduceat(is_same, cells.borders[:-1])
        is_new[0] = True
        is_new[1:] |= count[1:] != count[:-1]
        rows = np.flatnonzero(is_new)
        size, whole = cells.content.itemsize, cells.content.tobytes()
        found = []
        for low, high in zip((cells.borders[rows] * size).tolist(), (cells.borders[rows + 1] * size).tolist(), strict=True):
            key = style, whole[low:high]
            number = self._shapes.get(key)
            if number is None:
                number = self._shapes[key] = len(self.shapes)
                contents = np.frombuffer(key[1], cells.content.dtype).tolist()
                self.shapes.append(RowShape(style, tuple([self._known[content] for content in contents])))
            found.append(number)
        numbers: Numbers = np.array(found, np.int64)[np.cumsum(is_new) - 1]
        return numbers

    def _by_bytes(self, data: Bytes, start: Places, end: Places, content: Numbers, separator: bytes) -> Flags:
        """Fill in `content` of cells that are known by their bytes, also inside quotes, and say which are names: bool[n]."""
        first, last = data.take(start), data.take(end - 1)
        is_quoted = (first == last) & ((first == ord('"')) | (first == ord("'"))) & (end - start >= 2)
        is_quoted &= separator != PASSWORD_BEHIND  # there the quotes may be a password's
        low, high = start + is_quoted, end - is_quoted
        length = high - low
        first = data.take(low)
        held = np.bitwise_or.reduceat(_meaning(data), np.stack((low, high), 1).ravel())[::2]
        content[length == 0] = self._number(b"", separator)
        marks = np.flatnonzero((length == MARK_BYTES) & (first == MARK))
        seconds = data[low[marks] + 1]
        for second in np.unique(seconds).tolist():
            content[marks[seconds == second]] = self._number(bytes((MARK, second)), separator)
        digits = np.flatnonzero((held & NO_DIGIT == 0) & (length > 0))
        lengths = np.minimum(length[digits], MOST_DIGITS)
        for size in np.unique(lengths).tolist():
            content[digits[lengths == size]] = self._number(b"7" * size, separator)
        han = np.flatnonzero((first >= LEADS[0]) & (first < LEADS[1]) & (held & NO_NAME == 0))
        han = han[(length[han] >= SHORTEST_NAME) & (length[han] <= LONGEST_NAME)]
        han = han[_characters()[1].take(_code_points(data, low[han]))]
        content[han] = self._number("张三".encode(), separator)
        start[han], end[han] = low[han], high[han]
        is_han = np.zeros(len(start), bool)
        is_han[han] = True
        return is_han

    def _number(self, part: bytes, separator: bytes) -> int:
        """The number of what a cell says that is written so."""
        known = self._cells.setdefault(separator, {})
        number = known.get(part)
        if number is None:
            hidden = part.replace(separator, HIDDEN) if separator else part
            content = self._look(hidden, may_be_password=separator == PASSWORD_BEHIND)
            number = known[part] = self._numbers.setdefault(content, len(self._known))
            if number == len(self._known):
                self._known.append(content)
        return number

    def _look(self, part: bytes, *, may_be_password: bool = False) -> Content:
        """What a cell says, wherever it stands."""
        text = shown(part)
        first, *others = part.split(OPEN)
        around = [piece.decode("utf-8", "replace") for piece in (first, *[other[1:] for other in others])] if others else []
        named = label_before(text) if ":" in text or "=" in text else None
        label = named[0] if named and (others or named[0] not in AMOUNTS or not is_terms(named[1])) else None
        value, whole = (named[1] if named else text).strip(AROUND), text.strip(AROUND)
        return Content(
            seen=tuple([self._seen[other[0]] for other in others]),
            is_labelled=named is not None,
            label=label,
            is_empty=value.lower() in EMPTY,
            is_name=is_name(value),
            around=frozenset(_said(around)) if others else frozenset(),
            sign=_sign_before_password(around) if others else "",
            words=field_of(whole),
            title=None if named or others or is_name(whole) else _title(whole),
            is_digits=whole[:1].isdigit(),
            is_code=CODE.fullmatch(whole) is not None,
            is_secret=SECRET.fullmatch(whole) is not None,
            is_password=may_be_password
            and not others
            and PASSWORD.fullmatch(bare := text.strip()) is not None
            and is_possible(bare),
        )


def _title(text: str) -> FieldLabel | None:
    """The field of the value in the next cell, if a cell is a word for one that needs it; values with digits are no words."""
    label = words().get(text.lower()) if DIGIT.search(text) else label_of(text) if len(text) <= LONGEST_TITLE else None
    return label if label in AMOUNTS or label in (FieldLabel.CVV, FieldLabel.PASSWORD) else None


def _said(around: Sequence[str]) -> Iterator[str]:
    """Labels of what stands around identifiers in one cell: `13800138000借款8万`."""
    if names_in(" ".join(around)):
        yield str(FieldLabel.NAME)
    for value in {piece.strip(BETWEEN) for piece in around}:  # a flood in one cell repeats itself
        if value and (label := field_of(value)) and label is not FieldLabel.OTHER and not is_offer(value):
            yield str(label)


def _sign_before_password(around: Sequence[str]) -> str:
    """The sign between a login and its password in one cell, `13800138000:abc123`, "" for none."""
    before, behind = around[:2]
    found = BEHIND_LOGIN.fullmatch(behind)
    return found[1] if found and not before.strip() and is_secret(found[2]) else ""


def split(row: bytes, separator: bytes, style: int) -> list[bytes]:
    """The cells of one row as they are written, with HIDDEN for the separators inside quotes."""
    if not separator:
        return [row]
    quote, pattern = _quotes(style)
    if quote in row and style != BLOCK:
        row = pattern.sub(lambda m: m.group().replace(separator, HIDDEN) if m[1] else m.group(), row)
    return row.split(separator, MOST_CELLS)


def _quotes(style: int) -> tuple[bytes, re.Pattern[bytes]]:
    return (b"'", SINGLE_QUOTED) if style == TUPLE else (b'"', DOUBLE_QUOTED)


def _parted(rows: MarkedText, separator: bytes, style: int) -> Places:
    """Where `separator`, one sign some times over, parts cells of `rows`, as `split` parts them."""
    if not separator:
        return np.empty(0, np.int64)
    at = np.flatnonzero(rows.data == separator[0])
    if len(separator) > 1:
        first = np.flatnonzero(np.diff(at, prepend=-2) != 1)
        size = np.diff(first, append=len(at))
        number = within(size)
        at = at[(number % len(separator) == 0) & (number + len(separator) <= np.repeat(size, size))]
    row = np.searchsorted(rows.start, at, "right") - 1
    at, row = (column[(row >= 0) & (at < rows.end[row])] for column in (at, row))
    if style != BLOCK:
        shows = ~_is_quoted(rows, at, row, *_quotes(style))
        at, row = at[shows], row[shows]
    rank = np.arange(len(at)) - np.searchsorted(row, row)
    parted: Places = at[rank < MOST_CELLS]
    return parted


def _is_quoted(rows: MarkedText, places: Places, row: Numbers, quote: bytes, pattern: re.Pattern[bytes]) -> Flags:
    """Which of `places`, each in its `row`, stand inside quotes: bool[n].

    An odd number of quotes before a place says so. In a row with an odd number of them, or with a backslash, each quote is read.
    """
    quotes = np.flatnonzero(rows.data == quote[0])
    begin, stop = np.searchsorted(quotes, rows.start), np.searchsorted(quotes, rows.end)
    is_quoted: Flags = (np.searchsorted(quotes, places) - begin[row]) % 2 == 1
    slashes = np.flatnonzero(rows.data == ord("\\"))
    escapes = np.searchsorted(slashes, rows.start) < np.searchsorted(slashes, rows.end)
    for number in np.flatnonzero((stop > begin) & (escapes | ((stop - begin) % 2 == 1))).tolist():
        text = rows.data[rows.start[number] : rows.end[number]].tobytes()
        own = slice(*np.searchsorted(row, (number, number + 1)))
        borders = [place for found in pattern.finditer(text) if found[1] for place in found.span()]
        is_quoted[own] = np.searchsorted(borders, places[own] - rows.start[number], "right") % 2 == 1
    return is_quoted


def _meaning(data: Bytes) -> Bytes:
    """What each byte, or the character that begins with it, means for the cell that holds it: u8[size]."""
    found = _bytes().take(data)
    lead = np.flatnonzero((data >= 0xC0) & (data != MARK))
    is_wide = (data[lead] >> 4) == 0xE
    found[lead[~is_wide]] |= NO_NAME
    lead = lead[is_wide]
    found[lead] |= _characters()[0].take(_code_points(data, lead))
    return found


def _code_points(data: Bytes, place: Places) -> Numbers:
    """The character of three bytes at each place; anything where `data` ends before."""
    first, second, third = (data.take(place + offset, mode="clip").astype(np.int64) for offset in range(HAN_BYTES))
    points: Numbers = (first & 15) << 12 | (second & 63) << 6 | (third & 63)
    return points


@cache
def _bytes() -> Bytes:
    """What each byte means: u8[256]."""
    byte = np.arange(256)
    found = np.where((byte >= ord("0")) & (byte <= ord("9")), 0, NO_DIGIT) | np.where((byte < 0x80) | (byte == MARK), NO_NAME, 0)
    return found.astype(np.uint8)


@cache
def _characters() -> tuple[Bytes, npt.NDArray[np.bool_]]:
    """What each character up to U+FFFF means, u8[65536], and whether it is a surname that begins no value with a field."""
    point = np.arange(1 << 16)
    none = (point < HAN[0]) | (point >= HAN[1]) | np.isin(point, [ord(char) for char in NOT_NAMES.pattern.strip("[]")])
    begins = {value[0] for value in whole_values()}
    return np.where(none, NO_NAME, 0).astype(np.uint8), np.isin(point, [ord(char) for char in SURNAMES if char not in begins])
