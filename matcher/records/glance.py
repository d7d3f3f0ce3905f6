"""What the cells of many rows are at a glance: told in numpy, without an object a cell.

Of most cells one look is enough: they are one number, empty, digits, or a text that begins as no name does, or a name in Han
characters. What takes a closer look (quotes, labels, Latin names, numbers inside a text) is left to `cells.Reader`. Of what both
can tell both say the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import LINE_END, Bytes, Places
from matcher.columns.ragged import within
from matcher.records.cells import AROUND, LOOK, MOST_CELLS, NAME, NOTHING_IN, NUMBER_IN, TEXT
from matcher.records.json_sql_records import MAY_BEGIN
from matcher.records.marked import MARK, MARK_BYTES, Marked
from matcher.records.spans import Numbers
from matcher.records.values import HAN_BYTES, NOT_NAMES, SURNAMES

NO_DIGIT, CLOSER, NARROW, NO_NAME, NO_HAN = 1, 2, 4, 8, 16
"""What a cell holds: more than digits, what takes a closer look, ASCII, a character of no name, one that is not Han."""
HAN, LEADS = (0x4E00, 0xA000), (0xE4, 0xEA)
"""Codes of Han characters, and first bytes of them in UTF-8."""
SHORTEST_NAME, LONGEST_NAME = 2 * HAN_BYTES, 4 * HAN_BYTES
LOOKED_AT = frozenset(AROUND + b'":=*') - {LINE_END} | {MARK}
UNSURE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZn-\\")
"""Bytes that a name, or a word for nothing, may begin with."""
Codes = npt.NDArray[np.uint16]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Glance:
    """The cells of rows: `code` u16[n], bytes [start, end) of the marked text, and where each row's begin and the last's end."""

    code: Codes
    start: Places
    end: Places
    borders: Numbers

    @property
    def clear(self) -> Flags:
        """Of which rows no cell is to be looked at: bool[rows]."""
        is_clear: Flags = np.minimum.reduceat(self.code, self.borders[:-1]) > LOOK
        return is_clear

    def signatures(self) -> list[bytes]:
        """The codes of each row as bytes, none where a cell is to be looked at."""
        whole, borders = self.code.tobytes(), (self.borders * self.code.itemsize).tolist()
        rows = zip(borders[:-1], borders[1:], self.clear.tolist(), strict=True)
        return [whole[low:high] if is_clear else b"" for low, high, is_clear in rows]

    def names(self) -> tuple[Numbers, Places, Places]:
        """The names in rows of which all is clear: number of the row, and bytes [start, end) of the marked text, i64[n] each."""
        cells = np.flatnonzero(self.code == NAME)
        row = np.searchsorted(self.borders, cells, "right") - 1
        own = self.clear[row]
        return row[own], self.start[cells[own]], self.end[cells[own]]


def glance(rows: Marked, separator: bytes) -> Glance:
    """The cells of `rows`, one or more lines that `separator` parts, of a table of whose columns nothing else is known."""
    parted = _parted(rows.data, separator)
    start = np.sort(np.concatenate((rows.start, parted + len(separator))))
    borders = np.append(np.searchsorted(start, rows.start), len(start))
    end = np.append(start[1:], 0) - len(separator)
    end[borders[1:] - 1] = rows.end
    holds = _holds(rows.data)
    for offset in range(len(separator)):
        holds[parted + offset] = 0
    code = _codes(rows.data, start, end - start, np.bitwise_or.reduceat(holds, start))
    is_odd = _in(MAY_BEGIN_AS).take(rows.data[rows.start]) | (np.diff(borders) > MOST_CELLS)
    code[borders[:-1][is_odd]] = LOOK
    return Glance(code, start, end, borders)


def _parted(data: Bytes, separator: bytes) -> Places:
    """Where `separator`, which is one sign some times over, stands as `bytes.split` takes it: none within another."""
    at = np.flatnonzero(data == separator[0])
    if len(separator) == 1:
        return at
    is_first = np.ones(len(at), bool)
    is_first[1:] = at[1:] != at[:-1] + 1
    first = np.flatnonzero(is_first)
    size = np.diff(first, append=len(at))
    number = within(size)
    parts: Places = at[(number % len(separator) == 0) & (number + len(separator) <= np.repeat(size, size))]
    return parts


def _codes(data: Bytes, start: Places, length: Numbers, held: Bytes) -> Codes:
    """What each cell is that begins at `start`, by what it holds."""
    first = data.take(start)
    code = np.full(len(start), TEXT, np.uint16)
    lead = np.flatnonzero((first >= LEADS[0]) & (first < LEADS[1]) & (held & (NARROW | NO_NAME | NO_HAN | CLOSER) == 0))
    lead = lead[(length[lead] >= SHORTEST_NAME) & (length[lead] <= LONGEST_NAME)]
    code[lead[_characters()[1].take(_code_points(data, start[lead]))]] = NAME
    code[(held & CLOSER > 0) | (_in(UNSURE).take(first) & (held & NO_DIGIT > 0))] = LOOK
    code[length == 0] = NOTHING_IN
    number = np.flatnonzero((length == MARK_BYTES) & (first == MARK))
    code[number] = NUMBER_IN + data[start[number] + 1].astype(np.uint16)
    return code


def _holds(data: Bytes) -> Bytes:
    """What each byte, or the character that begins with it, means for the cell that holds it: u8[size]."""
    holds = _bytes().take(data)
    lead = np.flatnonzero((data >= 0xC0) & (data != MARK))
    wide = (data[lead] >> 4) == 0xE
    holds[lead[~wide]] |= NO_HAN
    lead = lead[wide]
    holds[lead] |= _characters()[0].take(_code_points(data, lead))
    return holds


def _code_points(data: Bytes, place: Places) -> Numbers:
    """The character of three bytes at each place; `data` goes on for two bytes behind the last."""
    first, second, third = (data.take(place + offset).astype(np.int64) for offset in range(HAN_BYTES))
    points: Numbers = (first & 15) << 12 | (second & 63) << 6 | (third & 63)
    return points


@cache
def _in(signs: frozenset[int]) -> Flags:
    """Which bytes are among `signs`: bool[256]."""
    return np.isin(np.arange(256), list(signs))


@cache
def _bytes() -> Bytes:
    """What each byte means: u8[256]. A line end stands behind a row and in none."""
    byte = np.arange(256)
    found = np.where(byte < 0x80, NARROW, 0) | np.where((byte >= ord("0")) & (byte <= ord("9")), 0, NO_DIGIT)
    found |= np.where(_in(LOOKED_AT), CLOSER, 0)
    found[LINE_END] = 0
    return found.astype(np.uint8)


@cache
def _characters() -> tuple[Bytes, Flags]:
    """What each character up to U+FFFF means, u8[65536], and whether it is a surname."""
    point = np.arange(1 << 16)
    means = np.where((point >= HAN[0]) & (point < HAN[1]), 0, NO_HAN)
    means |= np.where(np.isin(point, [ord(char) for char in NOT_NAMES.pattern.strip("[]")]), NO_NAME, 0)
    return means.astype(np.uint8), np.isin(point, [ord(char) for char in SURNAMES])


MAY_BEGIN_AS = frozenset(ord(sign) for sign in MAY_BEGIN)
"""First bytes of what may be a tuple of a statement."""
