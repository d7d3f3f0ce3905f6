"""Find numbers as they are written, whatever their kind: in one piece, or in groups.

`NumberRuns.find` returns all of them for a batch. `DigitRuns` holds the runs of digits that stand
alone, by length; a number inside a longer one is not a number of its own. `find_grouped` finds
numbers whose groups have lengths that a kind declares as a `NumberShape`. The same single space,
dash or dot separates all groups; two hyphens end a field. The lengths, up to five, make one number
of hexadecimal digits, which a table maps to shapes:

    138-0013-8000               0x34400     phone
    6200 0000 0000 0000 005     0x44443     card
    110105 19491231 002X        0x68300     resident ID; an X is not counted

`find_words` finds the runs of letters and digits that are not all digits. `find_digests` selects
the hexadecimal digests among them, as found in dumps that claim to be anonymous: 32 digits are MD5,
16 its middle, 40 SHA-1, 64, 96 and 128 SHA-2. `matcher.detect.number_rules` decides what kind a
number is.

A number is a row of WIDTH bytes, ASCII. Two neighbouring characters are one index into a table,
which halves the look-ups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Batch, Bytes, Flags, Places
from matcher.columns.bitset import (
    BITS,
    CASE,
    ONE,
    A,
    Classes,
    Words,
    below,
    highest,
    is_digit,
    is_letter,
    is_separator,
    is_word,
    lowest,
    places,
    shift_back,
    shift_forward,
    windows,
)
from matcher.detect.candidates import Segment, cut, every
from ullage.identifiers import list_glued_words
from ullage.lookup.values import FORM_OF_LENGTH

SHORTEST, LONGEST = 11, 19
WIDTH = 24
"""Bytes of a row; every kind fits."""
LEADING = 16
"""First digits of a word from which on it is found by its digits, not by its letters (`words`)."""
BEFORE_X = 17
"""Digits of a number before a final X."""
X = ord("X")
FEWEST_BEFORE, FEWEST_BEHIND = 3, 4
"""Fewest digits before and behind a first gap, in every shape."""
LOOK_BACK = 32
"""Bytes before a gap in the window of 64 that is looked at."""
MOST_GROUPS = 5
LONGEST_GROUP, LONGEST_FIRST = 15, 11
LONGEST_WORD = 16
"""Bytes of a glued word, which is shorter than this."""


class NumberColumns(NamedTuple):
    """Numbers that stand alone.

    `start` and `end` are i64[n]; `text` u8[n, WIDTH] is a row of bytes from the beginning on.
    """

    start: Places
    end: Places
    text: Bytes

    def select(self, chosen: Flags) -> NumberColumns:
        """Select the numbers that are chosen; returns the object itself if all are."""
        if chosen.all():
            return self
        rows = np.flatnonzero(chosen)
        return NumberColumns(
            self.start.take(rows), self.end.take(rows), self.text.take(rows, axis=0)
        )

    def segment(self, kind: str, length: int, valid: Flags | None = None) -> Segment:
        """Convert to candidates that are all `length` long, valid unless `valid` says otherwise.

        The bytes behind each number in its row are set to zero in place.
        """
        valid = np.ones(len(self.start), bool) if valid is None else valid
        lengths = np.full(len(self.start), length, np.int64)
        return Segment(kind, "plain", self.start, self.end, cut(self.text, length), lengths, valid)


class DigitRuns:
    """All numbers of a batch that are written in one piece.

    No letter or digit is glued to them except a word that names a number. `before_x` are the runs
    of 17 digits followed by an X. `long` holds the start and the length of runs of more than
    LONGEST digits, i64[n] each. `led` i64[n] is where runs of letters and digits begin whose first
    LEADING characters or more are digits, but not all of them.
    """

    def __init__(self, batch: Batch, classes: Classes) -> None:
        start, end = classes.digits.runs(SHORTEST)
        following, size = batch.data.take(end), end - start
        free, glued = ~is_word(batch.data.take(start - 1)), is_word(following)
        odd = np.flatnonzero(free & glued)
        self.led: Places = start.take(odd[size.take(odd) >= LEADING])
        free[~free] = are_behind_word(batch, start[~free])
        odd = np.flatnonzero(free & glued)
        glued[odd] = ~are_before_word(batch, end.take(odd))
        x = odd[((following.take(odd) | CASE) == (X | CASE)) & (size.take(odd) == BEFORE_X)]
        x = x[~is_word(batch.data.take(end.take(x) + 1))]
        self.before_x = _numbers(batch, start.take(x), end.take(x) + 1)
        alone = np.flatnonzero(free & ~glued)
        long = alone[size.take(alone) > LONGEST]
        self.long = start.take(long), size.take(long)
        short = alone[size.take(alone) <= LONGEST]
        length = size.take(short).astype(np.uint8)
        order = np.argsort(length, kind="stable")  # of bytes: counting, not comparing
        short = short.take(order)
        self._all = _numbers(batch, start.take(short), end.take(short))
        self._borders = np.searchsorted(
            length.take(order), np.arange(LONGEST + 2, dtype=np.uint8)
        ).tolist()

    def take_length(self, length: int) -> NumberColumns:
        """Return the numbers of exactly `length` digits, which is at most `LONGEST`.

        The columns are views, not copies.
        """
        rows = slice(self._borders[length], self._borders[length + 1])
        return NumberColumns(self._all.start[rows], self._all.end[rows], self._all.text[rows])


@cache
def _list_glued_words() -> tuple[Words, npt.NDArray[np.bytes_]]:
    """Return the words that may be glued to a number, in lower case, and their digests: [n] each.

    Both are sorted by digest.
    """
    words = np.array([word.encode() for word in list_glued_words()], f"S{LONGEST_WORD}")
    order = np.argsort(digests := _digests(words))
    return digests[order], words[order]


def _digests(words: npt.NDArray[np.bytes_]) -> Words:
    """Hash each word to one number: u64[n].

    Looking up a number among a few hundred takes a tenth of the time of comparing words.
    """
    low, high = np.ascontiguousarray(words).view("<u8").reshape(-1, 2).T
    digests: Words = low ^ (high * np.uint64(0x9E3779B97F4A7C15))
    return digests


def are_behind_word(batch: Batch, start: Places) -> Flags:
    """Return which starts directly follow a glued word that is itself free: bool[n]."""
    if not len(start):
        return np.empty(0, bool)
    text = batch.windows(start - LONGEST_WORD, LONGEST_WORD)
    no_letter = ~is_letter(text)
    size = no_letter[:, ::-1].argmax(1)
    is_free: Flags = no_letter.any(1) & ~is_digit(batch.data.take(start - size - 1))
    text = batch.windows(start - size, LONGEST_WORD)
    return is_free & _is_glued_word(text, size)


def are_before_word(batch: Batch, end: Places) -> Flags:
    """Return which ends are directly before a glued word that is itself free: bool[n]."""
    if not len(end):
        return np.empty(0, bool)
    text = batch.windows(end, LONGEST_WORD)
    no_letter = ~is_letter(text)
    size = no_letter.argmax(1)
    is_free: Flags = no_letter.any(1) & ~is_digit(batch.data.take(end + size))
    return is_free & _is_glued_word(text, size)


def _is_glued_word(text: Bytes, size: Places) -> Flags:
    """Return for which rows the first `size` letters are a glued word."""
    text = np.where(np.arange(LONGEST_WORD) < size[:, None], text | np.uint8(CASE), np.uint8(0))
    words, (digests, glued_words_) = text.view(f"S{LONGEST_WORD}")[:, 0], _list_glued_words()
    at = np.minimum(np.searchsorted(digests, _digests(words)), len(glued_words_) - 1)
    are_glued: Flags = glued_words_.take(at) == words
    return are_glued


def _numbers(batch: Batch, start: Places, end: Places) -> NumberColumns:
    return NumberColumns(start, end, batch.windows(start, WIDTH))


def all_digits(text: Bytes, length: int) -> Flags:
    """Return which rows have only digits in their first `length` columns: bool[n].

    `text` is u8[n, w] with w a multiple of 8.
    """
    digits = is_digit(text[:, : -(-length // 8) * 8])
    digits[:, length:] = True
    return every(digits)


def pair(text: Bytes, column: int) -> npt.NDArray[np.uint16]:
    """Return the characters in an even `column` and in the next as one integer: u16[n]."""
    pairs: npt.NDArray[np.uint16] = text.view("<u2")[:, column // 2]
    return pairs


def pair_table(pairs: Iterable[str]) -> Flags:
    """Return a table of which two characters are one of `pairs`: bool[65536]."""
    table = np.zeros(1 << 16, bool)
    table[[int.from_bytes(two.encode(), "little") for two in pairs]] = True
    return table


def two(text: Bytes, column: int) -> Places:
    """Return the number that two digits from an even `column` on spell: i64[n].

    It is 255 where they are not digits.
    """
    return _twos().take(pair(text, column)).astype(np.int64)


@cache
def _twos() -> Bytes:
    table = np.full(1 << 16, 255, np.uint8)
    table[[int.from_bytes(f"{n:02}".encode(), "little") for n in range(100)]] = range(100)
    return table


@dataclass(frozen=True)
class NumberShape:
    """How numbers of one kind are grouped.

    `accepts` returns which of the numbers at given places, whose groups have these lengths, may be
    one, judging by their characters and surroundings: bool[n]. `prefix` holds first digits that are
    not part of the number. `with_x` says that the last character is an X and not a digit.
    """

    kind: str
    groups: tuple[int, ...]
    accepts: Callable[[Batch, Classes, NumberShape, Places], Flags]
    prefix: bytes = b""
    with_x: bool = False

    @cached_property
    def length(self) -> int:
        """Bytes from the first digit to the last."""
        return sum(self.groups) + len(self.groups) - 1

    @cached_property
    def size(self) -> int:
        """Characters without prefix and separators."""
        return sum(self.groups) - len(self.prefix)

    @cached_property
    def code(self) -> int:
        """The lengths of the shape's digit groups as hexadecimal digits: 0x44443 for a card of 19.

        A final X is not counted as a digit.
        """
        digits = (*self.groups[:-1], self.groups[-1] - self.with_x)
        return sum(group << 4 * (MOST_GROUPS - 1 - number) for number, group in enumerate(digits))

    def numbers(self, batch: Batch, start: Places) -> NumberColumns:
        """Return the numbers of this shape that begin at `start`, without prefix and separators.

        `start` are places in the batch at which the shape is known to match.
        """
        written, text = batch.windows(start, WIDTH), np.zeros((len(start), WIDTH), np.uint8)
        to, place, skipped = 0, 0, len(self.prefix)
        for group in self.groups:
            size = group - skipped
            text[:, to : to + size] = written[:, place + skipped : place + group]
            to, place, skipped = to + size, place + group + 1, 0
        return NumberColumns(start, start + self.length, text)


class GroupedDigits(NamedTuple):
    """Digits in groups: where they begin, and the lengths of their groups, i64[n] each."""

    start: Places
    code: Places


def find_grouped(
    batch: Batch, classes: Classes, shapes: tuple[NumberShape, ...]
) -> list[tuple[NumberShape, NumberColumns]]:
    """Find numbers that are written in groups, by shape.

    Where several shapes fit at one place, the one with the most groups wins. Bit operations tell
    where a first gap may be. From there the lengths of up to five groups are read and make a number
    of five hexadecimal digits. A table says which shapes that number and its beginnings stand for.
    """
    gap = _first_gaps(batch, classes)
    if not len(gap):
        return []
    by_code, table = _index_shapes(shapes)
    start, code = _read_groups(batch, classes, gap)
    numbers_of_shapes = []
    for groups in range(MOST_GROUPS, 1, -1):
        beyond = 4 * (MOST_GROUPS - groups)
        number = table.take(code >> beyond << beyond)
        is_read = np.zeros(len(start), bool)
        for each in np.flatnonzero(np.bincount(number)).tolist():
            rows = np.flatnonzero(number == each)
            for shape in by_code[each]:
                alone = rows[_ends(batch, shape, start[rows] + shape.length)]
                alone = alone[shape.accepts(batch, classes, shape, start[alone])]
                is_read[alone] = True
                numbers_of_shapes.append((shape, shape.numbers(batch, start[alone])))
        start, code = start[~is_read], code[~is_read]
    return [(shape, numbers) for shape, numbers in numbers_of_shapes if len(numbers.start)]


def _ends(batch: Batch, shape: NumberShape, end: Places) -> Flags:
    """Return behind which numbers no letter or digit is glued: bool[n].

    A word that names a number may be glued to it.
    """
    free = ~is_word(batch.data.take(end))
    if not shape.with_x:
        free[~free] = are_before_word(batch, end[~free])
    return free


@cache
def _index_shapes(
    shapes: tuple[NumberShape, ...],
) -> tuple[tuple[tuple[NumberShape, ...], ...], npt.NDArray[np.uint8]]:
    """Return the shapes of each code, and a table from code to the index of its shapes: u8[16^5].

    Index 0 stands for no shape.
    """
    by_code: dict[int, list[NumberShape]] = {}
    for shape in shapes:
        by_code.setdefault(shape.code, []).append(shape)
    table = np.zeros(1 << 4 * MOST_GROUPS, np.uint8)
    table[list(by_code)] = range(1, len(by_code) + 1)
    return ((), *map(tuple, by_code.values())), table


def _first_gaps(batch: Batch, classes: Classes) -> Places:
    """Find separators with enough digits on either side, and not too many.

    Most commas of a dump stand beside a whole number, so this leaves few places to look at.
    """
    digits = classes.digits
    few_before = ~shift_forward(digits.find_starts(LONGEST_FIRST + 1), LONGEST_FIRST + 1)
    few_behind = ~shift_back(digits.find_starts(LONGEST_GROUP + 1), 1)
    enough = shift_forward(digits.find_starts(FEWEST_BEFORE), FEWEST_BEFORE) & shift_back(
        digits.find_starts(FEWEST_BEHIND), 1
    )
    gap = places(enough & few_before & few_behind & ~classes.digit)
    return gap.take(np.flatnonzero(is_separator(batch.data.take(gap))))


def _read_groups(batch: Batch, classes: Classes, gap: Places) -> GroupedDigits:
    """Read the digits in groups around each gap.

    The first group is not too long and not glued to a letter. Gaps in the middle of a card are
    left out.
    """
    data = batch.data
    around = windows(classes.digit, gap - LOOK_BACK)
    first = LOOK_BACK - 1 - highest(~around & below(LOOK_BACK))
    # and the characters before
    fours = (around >> np.uint64(LOOK_BACK - 4 - 6)) & np.uint64(0b111111) == np.uint64(0b011110)
    inside = np.flatnonzero((first == 4) & fours)
    place = gap.take(inside) - 4
    # a trunk prefix, then 13 to 19
    phones = (data.take(place) == ord("0")) & (data.take(place + 1) == ord("1"))
    usable = first <= LONGEST_FIRST
    usable[inside[is_space_or_dash(data.take(place - 1)) & ~phones]] = False
    rows = np.flatnonzero(usable)
    free = ~is_word(data.take(gap.take(rows) - first.take(rows) - 1))
    free[~free] = are_behind_word(batch, (gap - first).take(rows[~free]))
    rows = rows.take(np.flatnonzero(free))
    gap, first = gap.take(rows), first.take(rows)
    code = first << 4 * (MOST_GROUPS - 1)
    bits, place, open_ = around.take(rows) >> np.uint64(LOOK_BACK), gap, np.arange(len(gap))
    for group in range(1, MOST_GROUPS):  # `place` is a gap, and the lowest bit of `bits`
        length = np.minimum(lowest(~(bits >> ONE)), LONGEST_GROUP)
        code[open_] |= length << 4 * (MOST_GROUPS - 1 - group)
        place, bits = place + 1 + length, bits >> (length + 1).astype(np.uint64)
        on = np.flatnonzero(
            (bits & np.uint64(2) > 0) & (data.take(place) == data.take(gap.take(open_)))
        )
        place, bits, open_ = place.take(on), bits.take(on), open_.take(on)
    return GroupedDigits(gap - first, code)


def is_space_or_dash(data: Bytes) -> Flags:
    """Return which bytes are a space or a dash."""
    is_one: Flags = (data == ord(" ")) | (data == ord("-"))
    return is_one


SHORTEST_WORD = 16
DIGEST = "digest"
LAST_HEX = 5
"""Index of the last hexadecimal letter, counted from A."""


class WordRuns(NamedTuple):
    """Runs of at least SHORTEST_WORD letters and digits, not all digits.

    `start` and `length` are i64[n]. Runs of more than 128 characters have length 129.
    """

    start: Places
    length: Places

    def find_length(self, length: int) -> Places:
        """Return where the runs of exactly `length` characters, at most 128, begin."""
        starts: Places = self.start[self.length == length]
        return starts


def find_words(classes: Classes, led: Places) -> WordRuns:
    """Find all words of a batch, of at least SHORTEST_WORD (16) letters and digits.

    `led` are the words whose first 16 characters are digits, as `DigitRuns` knows them. A length
    above 128 is given as 129.
    """
    long = classes.words.find_starts(SHORTEST_WORD)
    start = np.concatenate(
        (places(long & ~shift_forward(long, 1) & ~classes.digits.find_starts(SHORTEST_WORD)), led)
    )
    length = lowest(~windows(classes.word, start))
    for longest in (BITS, 2 * BITS):
        on = np.flatnonzero(length == longest)
        more = lowest(~windows(classes.word, start[on] + longest))
        length[on] += more if longest == BITS else np.minimum(more, 1)
    return WordRuns(start, length)


def find_digests(batch: Batch, words: WordRuns) -> list[Segment]:
    """Find the words that are hexadecimal digests, one segment per form, by their length.

    They are in lower case and count as valid. Words are never all digits, so each digest contains a
    letter.
    """
    segments = []
    for length, form in FORM_OF_LENGTH.items():
        start = words.find_length(length)
        if not len(start):
            continue
        text = batch.windows(start, length)
        text |= np.uint8(CASE)  # which every digit has
        hexadecimal = every(is_digit(text) | (text - np.uint8(A) <= LAST_HEX))
        filled, valid = np.full(len(start), length, np.int64), np.ones(len(start), bool)
        segments.append(
            Segment(DIGEST, form, start, start + length, text, filled, valid).select(hexadecimal)
        )
    return [segment for segment in segments if len(segment)]


class NumberRuns(NamedTuple):
    """The input of all number detectors.

    It holds digits in one piece, digits in groups, and words of letters and digits.
    """

    digits: DigitRuns
    grouped: Sequence[tuple[NumberShape, NumberColumns]]
    words: WordRuns

    @classmethod
    def find(cls, batch: Batch, shapes: tuple[NumberShape, ...]) -> NumberRuns:
        """Find all three in a batch."""
        digits = DigitRuns(batch, batch.classes)
        return cls(
            digits,
            find_grouped(batch, batch.classes, shapes),
            find_words(batch.classes, digits.led),
        )

    def select_kind(self, kind: str) -> Iterator[tuple[NumberShape, NumberColumns]]:
        """Yield, for each shape of `kind`, the numbers that are written in groups of this shape."""
        return ((shape, numbers) for shape, numbers in self.grouped if shape.kind == kind)
